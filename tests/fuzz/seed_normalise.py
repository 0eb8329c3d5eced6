#!/usr/bin/env python3
"""Seeds for fuzz_normalise: small pprof messages with labels, inlining, gaps in ids."""
import os
import sys


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def num(field, n):
    return varint(field << 3) + varint(n)


def sized(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field, numbers):
    return sized(field, b"".join(varint(n) for n in numbers))


def profile(strings, samples, types=((1, 2),), ids=(1, 2, 3)):
    out = b"".join(sized(1, num(1, t) + num(2, u)) for t, u in types)
    for stack, values, labels in samples:
        out += sized(2, packed(1, stack) + packed(2, values) +
                     b"".join(sized(3, num(1, k) + num(2, v)) for k, v in labels))
    out += sized(3, num(1, 1) + num(2, 0x1000) + num(3, 0x2000) + num(5, 3) + num(7, 1))
    for i in ids:
        out += sized(4, num(1, i) + num(2, 1) + num(3, 0x1000 + i) +
                     sized(4, num(1, i) + num(2, 7)))
        out += sized(5, num(1, i) + num(2, 3 + i % 3) + num(3, 3) + num(4, 3))
    out += b"".join(sized(6, s.encode()) for s in strings)
    return out + num(9, 1700000000 * 10**9) + sized(11, num(1, 1) + num(2, 2)) + num(12, 10)


STRINGS = ["", "cpu", "nanoseconds", "main.go", "main", "T[go.shape.int].M", "span_id",
           "00000bac2a5ab0c7", "thread", "w1", "trace_id", "0102030405060708090a0b0c0d0e0f10"]
SEEDS = {
    "plain": profile(STRINGS, [((3, 2, 1), (5,), ()), ((2, 1), (7,), ())]),
    "labels": profile(STRINGS, [((2, 1), (5,), ((8, 9), (6, 7))), ((2, 1), (1,), ((10, 11),)),
                                ((1,), (2,), ())]),
    "sparse": profile(STRINGS, [((77, 1 << 40), (5,), ())], ids=(77, 1 << 40, 5)),
    "types": profile(STRINGS, [((1,), (5, 0), ()), ((2,), (-1, 3), ())], types=((1, 2), (4, 2))),
    "deep": profile(STRINGS, [(tuple(range(1, 66)), (1,), ()), (tuple(range(3, 67)), (2,), ())],
                    ids=tuple(range(1, 68))),
}

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, data in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(b"\x01" + data)
