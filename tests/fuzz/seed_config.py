#!/usr/bin/env python3
"""Seeds of fuzz_config: files as operators write them, and every option of config.def alone."""
import pathlib
import re
import sys

WHOLE = (
    "listen: 127.0.0.1:4040\ndata: /var/lib/flamekeep\nwal: {sync: group, max_bytes: 1GiB}\n",
    "wal.sync: interval\nlimits: reference-sizes\nlimits.samples_max: 5\nauth.multitenancy: true\n",
    "retention: {max_bytes: 80%, max_age: 90d}\ntenants:\n  team-a:\n    retention:\n"
    "      {max_bytes: 20GiB, max_age: 30d}\n  b.c_(d): {retention: {max_age: 1h}}\n",
    "# nothing\n", "{}", "--- \nlog.level: debug\n...\n", "a: &x 1\nb: *x\n", "- 1\n", "x: !!int 1\n",
)
VALUES = ("1", "0", "true", "80%", "20GiB", "90d", "10ms", "text", '"q\\u00e9"')


def main():
    folder = pathlib.Path(sys.argv[1])
    for i, text in enumerate(WHOLE):
        (folder / f"whole-{i}").write_text(text)
    text = pathlib.Path("server/config.def").read_text()
    for i, name in enumerate(re.findall(r'"([a-z]+(?:[._][a-z_.]+)*)", "', text)):
        (folder / f"option-{i}").write_text(f"{name}: {VALUES[i % len(VALUES)]}\n")


if __name__ == "__main__":
    main()
