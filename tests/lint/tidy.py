#!/usr/bin/env python3
"""clang-tidy over the product's files in build/compile_commands.json. A file that was clean is not
read again while its inputs are the same. Any finding fails."""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys

from source import sources

STAMPS = "build/lint/tidy"
FULL = "build/lint/tidy-full.txt"


def digest(paths):
    h = hashlib.sha256()
    for path in paths:
        h.update(path.encode())
        with open(path, "rb") as f:
            h.update(f.read())
    return h.hexdigest()


def inputs(path, headers):
    """What the file includes, as the last debug build saw it, or else every header."""
    deps = f"build/debug/{path}.o.d"
    if not os.path.exists(deps) or os.path.getmtime(deps) < os.path.getmtime(path):
        return [path, *headers]
    with open(deps, encoding="utf-8") as f:
        names = f.read().split("\n\n")[0].replace("\\\n", " ").split(":", 1)[1].split()
    names = [n for n in names if not n.endswith(":")]
    if not all(os.path.exists(n) for n in names):
        return [path, *headers]
    return sorted({path, *names})


def findings(text):
    """The findings with their line, without the analyzer's way to each (which is in FULL)."""
    kept, keep = [], False
    for line in text.split("\n"):
        if re.search(r": (error|warning|note): ", line):
            keep = ": note: " not in line
        if keep:
            kept.append(line)
    return "\n".join(kept)


def tidy(path):
    done = subprocess.run(["clang-tidy-14", "--quiet", "-p", "build", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    output = done.stdout + "".join(
        line + "\n" for line in done.stderr.split("\n")
        if line and "warnings generated" not in line and "warning generated" not in line)
    return path, done.returncode == 0 and "warning:" not in output, output


def main():
    with open("build/compile_commands.json", encoding="utf-8") as f:
        files = [e["file"] for e in json.load(f) if not e["file"].startswith(("tests/", "bench/"))]
    common = digest([".clang-tidy"])
    headers = list(sources(["base", "storage", "api", "server", "web"], (".h", ".def")))
    todo = []
    os.makedirs(STAMPS, exist_ok=True)
    for path in files:
        stamp = os.path.join(STAMPS, hashlib.sha256(
            (common + digest(inputs(path, headers))).encode()).hexdigest())
        if not os.path.exists(stamp):
            todo.append((path, stamp))
    bad = 0
    full = open(FULL, "w", encoding="utf-8")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (path, stamp), (_, clean, output) in zip(todo, pool.map(tidy, [p for p, _ in todo])):
            if clean:
                open(stamp, "w", encoding="utf-8").close()
            else:
                bad = 1
                full.write(output)
                print(findings(output) or output.strip())
    full.close()
    print(f"{len(files)} files, {len(todo)} of them read")
    return bad


if __name__ == "__main__":
    sys.exit(main())
