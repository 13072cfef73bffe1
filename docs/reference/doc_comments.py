#!/usr/bin/env python3
"""doc_comments.py HEADER: the header with its plain comments as Doxygen's (an INPUT_FILTER). Every line keeps its number.

A comment above a declaration documents it, one after a declaration as well, the first one the file. Lines indented by
three spaces and more are code. `// --- …` is a heading, and a comment after `}` or `#endif` says what that closes.
"""
import re
import sys

NO_DOCUMENTATION = re.compile(r"\s*(//\s*---|#(if|endif|else|elif)|\})")
TRAILING = re.compile(r"(.*\S\s+)(//|/\*) (.*)$")


def documented(text):
    lines, out = text.split("\n"), []
    while lines:
        line = lines.pop(0)
        if NO_DOCUMENTATION.match(line):
            out.append(line)
        elif re.match(r"\s*//", line):
            block = [line]
            while re.match(r"\s*//(?!\s*---)", lines[0]):
                block.append(lines.pop(0))
            out += comment([re.sub(r"\s*//", "", l) for l in block], first=not out)
        elif re.match(r"\s*/\*(?!.*\*/.*\S)", line):
            block = [line]
            while "*/" not in block[-1]:
                block.append(lines.pop(0))
            block[-1] = block[-1][:block[-1].index("*/")].rstrip()
            out += comment([re.sub(r"\s*(/\*| \*)|^ {3,}", "", l, count=1) for l in block], first=not out)
        else:
            out.append(TRAILING.sub(lambda m: m[1] + ("///< " if m[2] == "//" else "/**< ") + m[3], line))
    return "\n".join(out)


def comment(body, first):
    """The same lines as one /** */; the empty lines around an example become @code and @endcode."""
    code = False
    for i, line in enumerate(body):
        if line.startswith("   ") != code and line.strip() or code and not line.strip():
            edge = i if code else i - 1
            body[edge] = " @endcode" if code else " @code{.cpp}"
            code = not code
    if code:
        body[-1] += " @endcode"
    body[0] = "/**" + body[0]
    body[-1] += " @file */" if first else " */"
    return body


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as header:
        sys.stdout.write(documented(header.read()))
