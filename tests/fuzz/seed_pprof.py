#!/usr/bin/env python3
"""Seeds of fuzz_pprof: small profiles as several clients write them, bare and gzipped."""
import gzip
import sys


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n) if n else b""


def blob(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field, numbers, is_packed):
    if is_packed:
        return blob(field, b"".join(map(varint, numbers)))
    return b"".join(varint(field << 3) + varint(n) for n in numbers)


def profile(types, stacks, is_packed=True, strings_first=False, labels=()):
    table = [""]

    def text(s):
        if s not in table:
            table.append(s)
        return table.index(s)

    names = []
    body = b"".join(blob(1, number(1, text(t)) + number(2, text(u))) for t, u in types)
    for stack, values in stacks:
        for name in stack:
            if name not in names:
                names.append(name)
        ids = [names.index(n) + 1 for n in reversed(stack)]
        body += blob(2, packed(1, ids, is_packed) + packed(2, values, is_packed) + b"".join(
            blob(3, number(1, text(k)) + (number(3, v) if isinstance(v, int) else number(2, text(v))))
            for k, v in labels))
    body += blob(3, number(1, 1) + number(2, 0x400000) + number(3, 0x500000) +
                 number(5, text("/bin/app")) + number(6, text("build")) + number(7, 1))
    for i, name in enumerate(names):
        body += blob(4, number(1, i + 1) + number(2, 1) + number(3, 0x400000 + 16 * i) +
                     blob(4, number(1, i + 1) + number(2, 10 + i)))
        body += blob(5, number(1, i + 1) + number(2, text(name)) + number(3, text(name)) +
                     number(4, text(name + ".py")) + number(5, i))
    tail = (number(9, 1700000000000000000) + number(10, 10**10) +
            blob(11, number(1, text("cpu")) + number(2, text("nanoseconds"))) +
            number(12, 10**7) + blob(13, varint(text("a comment"))) + number(14, 1))
    strings = b"".join(blob(6, s.encode()) for s in table)
    return strings + body + tail if strings_first else body + tail + strings


CPU = [("samples", "count"), ("cpu", "nanoseconds")]
HEAP = [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"),
        ("inuse_space", "bytes")]
SEEDS = {
    "cpu": profile(CPU, [(["main", "work", "hash"], [3, 30000000]), (["main", "gc"], [1, 10**7])]),
    "unpacked": profile(CPU, [(["a", "b"], [1, -1])], is_packed=False, strings_first=True),
    "heap": profile(HEAP, [(["main", f"f{i}"], [i, i * 512, 0, 0]) for i in range(40)],
                    labels=[("bytes", 512), ("pod", "x")]),
    "deep": profile(CPU, [([f"f{i}" for i in range(200)], [1, 2])]),
    "empty": b"",
    "group": b"\xa3\x06\x08\x01\xa4\x06" + b"\x60\x05",
    "dotnet": blob(1, number(1, 1)) + blob(4, number(1, 5)) + blob(5, number(2, 1)) +
              blob(6, b"") + blob(6, b"alloc-size"),
    "text": b"certainly not a profile",
}


def main():
    for name, body in SEEDS.items():
        for suffix, data in (("pb", body), ("pb.gz", gzip.compress(body, mtime=0))):
            with open(f"{sys.argv[1]}/{name}.{suffix}", "wb") as out:
                out.write(data)


if __name__ == "__main__":
    main()
