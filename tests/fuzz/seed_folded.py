#!/usr/bin/env python3
"""Seeds of fuzz_folded: a byte that picks the form, then text."""
import sys

TEXTS = {
    "plain": "main;work;hash 10\nmain;work 5\nmain;gc 1\n",
    "odd": "a;b 1\n\n\nnospace\r\na;;c 3\na;d; 4\n 5\n;lead 6\na b c 7\nx\ty 9",
    "refused": "a;b 1.5\n",
    "huge": "a 9223372036854775807\na 1\nb -9223372036854775808\nc 99999999999999999999\n",
    "deep": "f;" * 500 + " 1\n",
    "long": "x" * 70000 + " 1\nafter 2\n",
}


def main():
    for name, text in TEXTS.items():
        for form in (0, 1, 5, 9, 24):
            with open(f"{sys.argv[1]}/{name}.{form}", "wb") as out:
                out.write(bytes([form]) + text.encode())


if __name__ == "__main__":
    main()
