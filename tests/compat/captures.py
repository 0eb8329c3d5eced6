#!/usr/bin/env python3
"""captures.py SOURCE OUT - lay out the recorded client traffic as this server should answer it.

SOURCE is the folder of recordings, whose own replay.py expects what the reference answers. This
server does not read every format yet: requests of those formats must be refused with a 4xx, and
what they carry must not exist afterwards. OUT gets links to the recordings, the adapted
expectations and a copy of replay.py that works on them.
"""
import glob
import json
import os
import re
import shutil
import sys
import urllib.parse

# Client traffic over HTTP/2 is not spoken here.
LEFT_OUT = {"otelcol-0.159-grpc"}
LATER_FORMATS = {"jfr", "speedscope", "tree", "trie"}
REFUSED = {"status": list(range(400, 430))}


def is_later(request):
    """True if the request's format is not read yet."""
    path, _, query = request["path"].partition("?")
    if path.endswith("/v1development/profiles"):
        return True
    if not path.endswith("/ingest"):
        return False
    fields = urllib.parse.parse_qs(query)
    headers = {name.lower(): value for name, value in request["headers"]}
    kind = headers.get("content-type", "")
    return fields.get("format", [""])[0] in LATER_FORMATS or "trie" in kind or "tree" in kind


def services_of(request):
    """The service's name; without a label of its own the name may end in a profile type."""
    query = urllib.parse.parse_qs(request["path"].partition("?")[2])
    name = query.get("name", [""])[0]
    labels = re.search(r"service_name=([^,}]*)", name)
    if labels:
        return {labels.group(1)}
    name = name.partition("{")[0]
    return {name, name.rpartition(".")[0]}


def adapt(folder, target):
    os.makedirs(target)
    refused, whole_folder = set(), True
    for path in sorted(glob.glob(os.path.join(folder, "*.http.json"))):
        with open(path, encoding="utf-8") as f:
            request = json.load(f)
        if is_later(request):
            refused |= services_of(request)
            request["expect"] = REFUSED
        else:
            whole_folder = False
        with open(os.path.join(target, os.path.basename(path)), "w", encoding="utf-8") as f:
            json.dump(request, f)
        os.symlink(os.path.abspath(os.path.join(folder, request["body"])),
                   os.path.join(target, request["body"]))
    expect = os.path.join(folder, "expect.json")
    if not os.path.exists(expect):
        return
    with open(expect, encoding="utf-8") as f:
        wanted = json.load(f)
    # Refused requests carry services of their own, so what is left is what the others carry.
    series = [] if whole_folder else [
        s for s in wanted["series"] if dict(s).get("service_name") not in refused]
    types = {dict(s).get("__profile_type__") for s in series}
    with open(os.path.join(target, "expect.json"), "w", encoding="utf-8") as f:
        json.dump({"series": series,
                   "profile_types": [t for t in wanted["profile_types"] if t in types]}, f)


def main():
    source, out = sys.argv[1:3]
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    shutil.copy(os.path.join(source, "replay.py"), out)
    for name in sorted(os.listdir(source)):
        folder = os.path.join(source, name)
        if name not in LEFT_OUT and glob.glob(os.path.join(folder, "*.http.json")):
            adapt(folder, os.path.join(out, name))


if __name__ == "__main__":
    main()
