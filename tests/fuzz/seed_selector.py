#!/usr/bin/env python3
"""Seeds of fuzz_selector: one file per form that clients send."""
import sys

SELECTORS = [
    "{}", '{service_name="x",}', 'process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="api"}',
    '{a="b", c!="d", e=~"f.*", g!~".+"}', '{"k8s.pod"="p\\"1\\u00fc\\x41\\101"}', "{a='b', c=`d`}",
    '{env=~"prod|dev"} # comment', '{"process_cpu",a=~"(?i)x{2,3}[a-z]+$"}', '{a=~"("}',
]


def main():
    for i, text in enumerate(SELECTORS):
        with open(f"{sys.argv[1]}/selector-{i}", "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main()
