#!/usr/bin/env python3
"""Seeds of fuzz_multipart: a content type, a newline, a form."""
import sys

CONFIG = '{"contentions":{"display-name":"block_count","units":"x","cumulative":true},"delay":null}'


def part(name, body, filename='"f"', newline="\r\n"):
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename:
        disposition += f"; filename={filename}"
    return f"{disposition}{newline}Content-Type: text/plain{newline}{newline}{body}"


def form(parts, boundary="xyz", newline="\r\n", end="--"):
    body = "".join(f"--{boundary}{newline}{p}{newline}" for p in parts)
    return f"multipart/form-data; boundary={boundary}\n{body}--{boundary}{end}{newline}"


SEEDS = {
    "client": form([part("profile", "bytes"), part("sample_type_config", CONFIG)]),
    "values": form([part("a", "1", filename=""), part("b", "", filename="x"),
                    part("c\\\"d", "3", filename="\"\\\\\"")]),
    "newlines": form([part("sample_type_config", CONFIG, newline="\n")], newline="\n"),
    "cut": form([part("profile", "--xy\r\n--xyzz\r\n")], end=""),
    "empty": form([]),
    "quoted": 'multipart/form-data; charset=x; boundary="a b"\n--a b \t\r\n\r\n--a b--',
    "none": "multipart/form-data\nxx",
}


def main():
    for name, text in SEEDS.items():
        with open(f"{sys.argv[1]}/{name}", "wb") as out:
            out.write(text.encode())


if __name__ == "__main__":
    main()
