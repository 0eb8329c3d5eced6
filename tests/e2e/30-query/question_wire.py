"""Questions and answers as protobuf bytes, by small schemas: {field: (name, kind)}.

Kinds: "s" text, "b" bytes, "i" int64, "d" double, a schema for a message; a list of one of these
is a repeated field. Numbers in a list are packed. Written from the .proto files, not with the
server's code, so that the two can disagree.
"""
import struct

QUESTION = {1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("start", "i"),
            4: ("end", "i"), 5: ("maxNodes", "i"), 6: ("format", "i"), 11: ("spanSelector", ["s"])}
SPAN_QUESTION = {1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("spanSelector", ["s"]),
                 4: ("start", "i"), 5: ("end", "i"), 6: ("maxNodes", "i"), 7: ("format", "i")}
SERIES_QUESTION = {1: ("profileTypeID", "s"), 2: ("labelSelector", "s"), 3: ("start", "i"),
                   4: ("end", "i"), 5: ("groupBy", ["s"]), 6: ("step", "d"), 9: ("limit", "i")}
LEVEL = {1: ("values", ["i"])}
GRAPH = {1: ("names", ["s"]), 2: ("levels", [LEVEL]), 3: ("total", "i"), 4: ("maxSelf", "i")}
PAIR = {1: ("name", "s"), 2: ("value", "s")}
LABELS = {1: ("labels", [PAIR])}
POINT = {1: ("value", "d"), 2: ("timestamp", "i")}
TYPE = {1: ("ID", "s"), 2: ("name", "s"), 4: ("sampleType", "s"), 5: ("sampleUnit", "s"),
        6: ("periodType", "s"), 7: ("periodUnit", "s")}
VALUE_TYPE = {1: ("type", "i"), 2: ("unit", "i")}
LINE = {1: ("functionId", "i")}
PPROF = {1: ("sampleType", [VALUE_TYPE]),
         2: ("sample", [{1: ("locationId", ["i"]), 2: ("value", ["i"])}]),
         3: ("mapping", [{1: ("id", "i")}]),
         4: ("location", [{1: ("id", "i"), 2: ("mappingId", "i"), 4: ("line", [LINE])}]),
         5: ("function", [{1: ("id", "i"), 2: ("name", "i"), 3: ("systemName", "i")}]),
         6: ("stringTable", ["s"]), 9: ("timeNanos", "i"), 11: ("periodType", VALUE_TYPE),
         12: ("period", "i"), 14: ("defaultSampleType", "i")}
NAMES = {1: ("names", ["s"])}

# method: (request, answer)
MESSAGES = {
    "ProfileTypes": ({1: ("start", "i"), 2: ("end", "i")}, {1: ("profileTypes", [TYPE])}),
    "LabelNames": ({1: ("matchers", ["s"]), 2: ("start", "i"), 3: ("end", "i")}, NAMES),
    "LabelValues": ({1: ("name", "s"), 2: ("matchers", ["s"]), 3: ("start", "i"),
                     4: ("end", "i")}, NAMES),
    "Series": ({1: ("matchers", ["s"]), 2: ("labelNames", ["s"]), 3: ("start", "i"),
                4: ("end", "i")}, {2: ("labelsSet", [LABELS])}),
    "SelectSeries": (SERIES_QUESTION,
                     {1: ("series", [{1: ("labels", [PAIR]), 2: ("points", [POINT])}])}),
    "SelectMergeStacktraces": (QUESTION, {1: ("flamegraph", GRAPH), 2: ("tree", "b"),
                                          5: ("pprof", {1: ("profile", "b")})}),
    "SelectMergeSpanProfile": (SPAN_QUESTION, {1: ("flamegraph", GRAPH), 2: ("tree", "b")}),
    "SelectMergeProfile": (QUESTION, PPROF),
    "Diff": ({1: ("left", QUESTION), 2: ("right", QUESTION)},
             {1: ("flamegraph", {**GRAPH, 5: ("leftTicks", "i"), 6: ("rightTicks", "i")})}),
    "GetProfileStats": ({}, {1: ("dataIngested", "i"), 2: ("oldestProfileTime", "i"),
                             3: ("newestProfileTime", "i")}),
}


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def read_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return n, at


def signed(n):
    return n - (1 << 64) if n >> 63 else n


def encode(schema, message):
    out = b""
    for field, (name, kind) in schema.items():
        if name not in message:
            continue
        values = message[name] if isinstance(kind, list) else [message[name]]
        kind = kind[0] if isinstance(kind, list) else kind
        for value in values:
            if kind == "i":
                out += varint(field << 3) + varint(int(value))
            elif kind == "d":
                out += varint(field << 3 | 1) + struct.pack("<d", value)
            else:
                data = encode(kind, value) if isinstance(kind, dict) else value.encode()
                out += varint(field << 3 | 2) + varint(len(data)) + data
    return out


def decode_one(kind, wire, raw):
    if isinstance(kind, dict):
        return decode(kind, raw)
    if kind == "d":
        assert wire == 1
        return struct.unpack("<d", raw)[0]
    if kind == "i":
        assert wire == 0
        return signed(raw)
    return raw.decode() if kind == "s" else raw


def packed(raw):
    values, at = [], 0
    while at < len(raw):
        n, at = read_varint(raw, at)
        values.append(signed(n))
    return values


def decode(schema, data):
    """A field that the schema does not know is a KeyError: nothing may be in an answer unseen."""
    out, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        wire = key & 7
        if wire == 0:
            raw, at = read_varint(data, at)
        else:
            size, at = (8, at) if wire == 1 else read_varint(data, at)
            raw, at = data[at:at + size], at + size
            assert len(raw) == size
        name, kind = schema[key >> 3]
        if not isinstance(kind, list):
            out[name] = decode_one(kind, wire, raw)
        elif kind == ["i"] and wire == 2:
            out.setdefault(name, []).extend(packed(raw))
        else:
            out.setdefault(name, []).append(decode_one(kind[0], wire, raw))
    return out


def tree_stacks(data):
    """{path: self} of TREE bytes: per node length, name, self, number of children."""
    found, at, todo = {}, 0, [""]
    while todo:
        above = todo.pop()
        size, at = read_varint(data, at)
        name = data[at:at + size].decode()
        own, at = read_varint(data, at + size)
        children, at = read_varint(data, at)
        path = f"{above};{name}" if above else name
        if own:
            found[path] = own
        todo += [path] * children
    assert at == len(data)
    return found


def pprof_stacks(p):
    """{root;...;leaf: values} of a decoded pprof, from protobuf or JSON."""
    strings = p.get("stringTable", [])
    names = {int(f["id"]): strings[int(f["name"])] for f in p.get("function", [])}
    frames = {int(at["id"]): names[int(at["line"][0]["functionId"])]
              for at in p.get("location", [])}
    return {";".join(frames[int(i)] for i in reversed(s["locationId"])):
            [int(v) for v in s["value"]] for s in p.get("sample", [])}
