#!/usr/bin/env python3
"""Seeds of fuzz_names: names of segments, good and nearly so, and tenants."""
import pathlib
import sys

NAMES = (
    "seg/anonymous/20261123/0-0123456789abcdef0123456789abcdef.agg",
    "seg/team-a/20240229/3-ffffffffffffffffffffffffffffffff.agg",
    "seg/a.b_c!*'()/19700101/255-00000000000000000000000000000000.agg",
    "seg/a/20230229/0-0123456789abcdef0123456789abcdef.agg",
    "seg/a/20230228/0-0123456789ABCDEF0123456789abcdef.agg",
    "seg/a/20230228/00-0123456789abcdef0123456789abcdef.agg",
    "seg/../20230228/0-0123456789abcdef0123456789abcdef.smp",
    "anonymous", ".", "..", "team-a", "a/b", "a b", "t\u00e9", "x" * 150, "x" * 151,
)


def main():
    for i, name in enumerate(NAMES):
        (pathlib.Path(sys.argv[1]) / f"name-{i}").write_text(name, encoding="utf-8")


if __name__ == "__main__":
    main()
