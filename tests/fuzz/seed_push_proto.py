#!/usr/bin/env python3
"""Seeds for fuzz_push_proto: a push of two series, one with unknown fields."""
import os
import sys


def sized(field, data):
    return bytes([field << 3 | 2, len(data)]) + data


def pair(name, value):
    return sized(1, sized(1, name) + sized(2, value))


SERIES = pair(b"__name__", b"process_cpu") + sized(2, sized(1, b"profile") + sized(2, b"id"))
SEEDS = {
    "one": sized(1, SERIES),
    "two": sized(1, SERIES + sized(2, b"")) + sized(1, pair(b"", b"\xff")),
    "unknown": sized(1, SERIES + sized(3, b"") + b"\x41" + b"12345678") + b"\x48\x01",
}

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, data in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(data)
