"""Reading C sources for the checks: code without comments and strings, lines kept."""
import os
import re

TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    text = match.group(0)
    keep = "\n" * text.count("\n")
    return ('""' if text[0] == '"' else " ") + keep


def code_only(text):
    return TOKEN.sub(blank, text)


def sources(roots, endings=(".c", ".h", ".cc")):
    for root in roots:
        for folder, _, names in sorted(os.walk(root)):
            for name in sorted(names):
                if name.endswith(endings):
                    yield os.path.join(folder, name)
