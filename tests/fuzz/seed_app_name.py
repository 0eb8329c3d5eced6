#!/usr/bin/env python3
"""Seeds of fuzz_app_name: names and times of every form."""
import sys

TEXTS = [
    "foo", " foo { bar = 1 , baz = 2 } ", "foo{a=b", "foo{a}", "foo{a=}", 'foo{a="x"}', "foo{a=x{y}",
    "foo{=b}", "foo{a-b=c}", "{a=b}", "my app", "foo{__name__=bar}", "foo{b=1,a=1,b=2}",
    "foo{a=1}zzz=2}", "shop.cpu{region=eu,pod=a/b}", "a.b.alloc_space{\u00fc=\u65e5}", "x.unknown",
    "1577836800", "1577836800000", "1577836800000000", "1577836800000000000", "20200229", "20210229",
    "now-1h", "now-1h30m", "now+10min", "-30mon", "2020-01-01T00:00:00Z", "1_577_836_800.5",
    "now-99999999999999999999y",
]


def main():
    for i, text in enumerate(TEXTS):
        with open(f"{sys.argv[1]}/{i:02}", "wb") as out:
            out.write(text.encode())


if __name__ == "__main__":
    main()
