#!/usr/bin/env python3
"""Function and file lengths: says the longest, lists what is past the aim, fails past the limit."""
import sys

from source import sources

FUNCTION_AIM, FUNCTION_LIMIT = 70, 100
FILE_AIM, FILE_LIMIT = 600, 1000


def name_of(head):
    words = head.split("(")[0].split()
    return words[-1].lstrip("*") if words else "?"


def functions(lines):
    """(name line, length) of each function; clang-format puts both its braces in column 0."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = start - 2
            while head > 0 and lines[head][:1] in (" ", "\t", ""):
                head -= 1
            yield head + 1, name_of(lines[head]), number - start + 1
            start = None


def main():
    files, funcs = [], []
    for path in sources(["base", "storage", "api", "server", "web", "bench", "tests"]):
        with open(path, encoding="utf-8") as f:
            lines = f.read().split("\n")
        files.append((len(lines) - 1, path))
        funcs += [(length, path, line, name) for line, name, length in functions(lines)]
    bad = 0
    for length, path in sorted(files, reverse=True):
        if length > FILE_AIM:
            word = "too long" if length > FILE_LIMIT else "long"
            bad |= length > FILE_LIMIT
            print(f"{path}: {word}: {length} lines (aim {FILE_AIM}, limit {FILE_LIMIT})")
    for length, path, line, name in sorted(funcs, reverse=True):
        if length > FUNCTION_AIM:
            word = "too long" if length > FUNCTION_LIMIT else "long"
            bad |= length > FUNCTION_LIMIT
            print(f"{path}:{line}: {name}: {word}: {length} lines "
                  f"(aim {FUNCTION_AIM}, limit {FUNCTION_LIMIT})")
    if files:
        product = [f for f in files if not f[1].startswith(("tests/", "bench/"))]
        print(f"{len(product)} product files, {sum(f[0] for f in product)} lines; "
              f"{len(files) - len(product)} test and bench files, "
              f"{sum(f[0] for f in files) - sum(f[0] for f in product)} lines")
        print("longest file: {0[1]}, {0[0]} lines".format(max(files)))
    if funcs:
        length, path, line, name = max(funcs)
        print(f"longest function: {name} ({path}:{line}), {length} lines")
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
