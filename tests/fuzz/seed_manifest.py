#!/usr/bin/env python3
"""Seeds of fuzz_manifest: manifests without their last line, which the target adds."""
import sys

HEAD = "flamekeep backup 1\ninstance 0123456789abcdef0123456789abcdef\nlsn 42\n" \
       "time_ns 1763920000000000000\nmissing 0\n"
FILES = ["file 00000000000000ff 64 log/01763920000000000000/FORMAT\n",
         "file 0123456789abcdef 4194304 log/01763920000000000000/0000000001.wal\n",
         "file fedcba9876543210 1234 seg/anonymous/20251123/0-00000000000000000000000000000001.agg\n"]


def main():
    for i in range(len(FILES) + 1):
        with open(f"{sys.argv[1]}/manifest-{i}", "w", encoding="utf-8") as out:
            out.write(HEAD + "".join(FILES[:i]))


if __name__ == "__main__":
    main()
