#!/usr/bin/env python3
"""Seeds of fuzz_missing_note: notes of none and two services, and a quarantined file's name."""
import sys


def main():
    seeds = {
        "none": b"fkmiss\n\0\0" + bytes(8),
        "two": b"fkmiss\n\0\2\1a\2\3\4\5svc-b\0\0\0" + bytes(8),
        "name": b"seg_t_20261123_1-000102030405060708090a0b0c0d0e0f.agg.1",
    }
    for name, content in seeds.items():
        with open(f"{sys.argv[1]}/{name}", "wb") as out:
            out.write(content)


if __name__ == "__main__":
    main()
