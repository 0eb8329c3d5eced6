"""Small pprof and push messages as bytes, written field by field."""


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def sized(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


def profile(stacks, time_ns, types=(("cpu", "nanoseconds"),), labels=()):
    """stacks: {"root;leaf": (value, ...)}; labels: string labels of every sample."""
    strings = [""]

    def text(s):
        if s not in strings:
            strings.append(s)
        return strings.index(s)

    out, frames = b"", {}
    for kind, unit in types:
        out += sized(1, number(1, text(kind)) + number(2, text(unit)))
    for stack, values in stacks.items():
        ids = [frames.setdefault(f, len(frames) + 1) for f in stack.split(";")]
        out += sized(2, sized(1, b"".join(varint(i) for i in reversed(ids))) +
                     sized(2, b"".join(varint(v) for v in values)) +
                     b"".join(sized(3, number(1, text(k)) + number(2, text(v)))
                              for k, v in labels))
    out += sized(3, number(1, 1) + number(7, 1))
    for name, i in frames.items():
        out += sized(4, number(1, i) + number(2, 1) + sized(4, number(1, i)))
        out += sized(5, number(1, i) + number(2, text(name)))
    period = sized(11, number(1, text(types[0][0])) + number(2, text(types[0][1])))
    return out + b"".join(sized(6, s) for s in strings) + number(9, time_ns) + period


def raw_sample(p):
    body, row_id = p if isinstance(p, tuple) else (p, "")
    return sized(2, sized(1, body) + (sized(2, row_id) if row_id else b""))


def push(*series):
    """series: (labels, profile, ...); a profile is its bytes, or (bytes, RawSample.ID)."""
    out = b""
    for labels, *profiles in series:
        out += sized(1, b"".join(sized(1, sized(1, k) + sized(2, v)) for k, v in labels.items()) +
                     b"".join(raw_sample(p) for p in profiles))
    return out
