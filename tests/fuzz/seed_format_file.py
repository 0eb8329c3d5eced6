#!/usr/bin/env python3
"""Seeds of fuzz_format_file: with and without the last line."""
import sys


def main():
    old = "flamekeep data directory\nformat 0.0\ninstance 000102030405060708090a0b0c0d0e0f\n"
    for name, text in (("old", old), ("new", old + "checksum 0011223344556677\n")):
        with open(f"{sys.argv[1]}/{name}", "w", encoding="ascii") as out:
            out.write(text)


if __name__ == "__main__":
    main()
