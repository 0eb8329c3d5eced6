#!/usr/bin/env python3
"""Seeds of fuzz_evict_record: a segment's id and the ids of its heads."""
import struct
import sys


def main():
    for heads in (0, 1, 3):
        with open(f"{sys.argv[1]}/heads-{heads}", "wb") as out:
            out.write(struct.pack(f"<{2 + heads}Q", *range(1, 3 + heads)))


if __name__ == "__main__":
    main()
