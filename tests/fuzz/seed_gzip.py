#!/usr/bin/env python3
"""Seeds of fuzz_gzip: members of every block type, several members, named ones, zlib, a bomb."""
import gzip
import sys
import zlib

TEXT = b"main;run;step 1\nmain;run;step;alloc 22\n" * 40


def named():
    raw = gzip.compress(b"named", mtime=0)
    return raw[:3] + b"\x08" + raw[4:10] + b"cpu.pprof\0" + raw[10:]


SEEDS = [
    gzip.compress(TEXT, 9, mtime=0), gzip.compress(TEXT, 1, mtime=0), gzip.compress(TEXT, 0, mtime=0),
    gzip.compress(b"", mtime=0), gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0),
    gzip.compress(bytes(1 << 20), mtime=0), gzip.compress(bytes(range(256)) * 8, mtime=0), named(),
    zlib.compress(TEXT, 9), zlib.compress(b"", 0), gzip.compress(TEXT, mtime=0)[:-5], TEXT,
]


def main():
    for i, data in enumerate(SEEDS):
        with open(f"{sys.argv[1]}/{i:02}", "wb") as out:
            out.write(data)


if __name__ == "__main__":
    main()
