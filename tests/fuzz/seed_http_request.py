#!/usr/bin/env python3
"""Seeds for fuzz_http_request: a target, then headers, a line each."""
import os
import sys

SEEDS = [
    b"/ingest?name=app.cpu%7Bregion%3Deu%7D&from=1700000000&until=now\nHost: x\nContent-Length: 5",
    b"http://host:4040/pyroscope/render?query=a&query=b;c\nHost: x\nTransfer-Encoding: chunked",
    b"/a%2Fb%20c?x=%zz&y+z=1\nHost: x\nAccept: */*; allow-utf8-labelnames=true, text/html;q=0.8",
    b"/\nHost: a\nAccept: application/json;q=\"x\\\"y\", a/b\nAccept-Encoding: gzip, deflate, br",
    b"*\nContent-Length: 1\nContent-Length: 2\nExpect: 100-continue",
]

for i, seed in enumerate(SEEDS):
    with open(os.path.join(sys.argv[1], f"seed{i}"), "wb") as f:
        f.write(seed)
