#!/usr/bin/env python3
"""Seeds for fuzz_json_bridge: the first byte picks the message."""
import os
import sys

QUESTION = (b'"profileTypeID":"a:b:c:d:e","labelSelector":"{x=\\"y\\"}","start":"1700000000000",'
            b'"end":1.7e12')
SEEDS = {
    "diff": b'\x00{"left":{' + QUESTION + b',"maxNodes":0,"format":"PROFILE_FORMAT_TREE",'
            b'"stackTraceSelector":{"callSite":[{"name":"f"}],"goPgo":{"keepLocations":5}}},'
            b'"right":{"profile_typeID":"t","async":{"type":1}}}',
    "series": b'\x01{' + QUESTION + b',"groupBy":["a","b"],"step":15.5,"aggregation":1,"limit":"7"}',
    "points": b'\x02{"series":[{"points":[{"value":"NaN","timestamp":"5"},{"value":-0.0}]}]}',
    "labels": b'\x03{"matchers":["{}"],"labelNames":["a"],"start":1}',
    "proto": b"\x00\x0a\x07\x0a\x01t\x18\x05\x28\x00",
}

if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, data in SEEDS.items():
        with open(os.path.join(sys.argv[1], name), "wb") as f:
            f.write(data)
