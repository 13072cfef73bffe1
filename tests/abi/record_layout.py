#!/usr/bin/env python3
"""record_layout.py INCLUDE: prints what a release's C headers promise of sizes, offsets and constants.

Run once a release, into released/VERSION/layout.h; tests/abi/layout.c holds every later header of the
same major to it. Structs and constants are found in the headers, their numbers come from the compiler.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

FROZEN = ("moec_tensor", "moec_string", "moec_note", "moec_elf_note")  # may not even grow
STRUCT = re.compile(r"typedef struct (\w+) \{(.*?)\n\} \1;", re.S)
ENUM = re.compile(r"\benum \{(.*?)\};", re.S)


def members(body):
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    for declaration in filter(str.strip, body.split(";")):
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        if pointer:
            yield pointer.group(1)
            continue
        for name in declaration.split(","):
            yield re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*$", name.strip()).group(1)


def main():
    include = pathlib.Path(sys.argv[1])
    headers = sorted(h.relative_to(include).as_posix() for h in include.rglob("*.h") if h.name in ("abi.h", "note.h") or h.parent.name == "ext")
    lines = []
    for header in headers:
        text = (include / header).read_text()
        for name, body in STRUCT.findall(text):
            kind = "FROZEN" if name in FROZEN else "STRUCT"
            lines.append(f'printf("{kind}({name}, %zu)\\n", sizeof({name}));')
            for member in members(body):
                lines.append(f'printf("MEMBER({name}, {member}, %zu, %zu)\\n", offsetof({name}, {member}), sizeof((({name}*)0)->{member}));')
        for body in ENUM.findall(text):
            for constant in re.findall(r"\b(MOEC_\w+)\s*=", body):
                lines.append(f'printf("CONSTANT({constant}, %lld)\\n", (long long){constant});')
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "print.c"
        source.write_text("#include <stddef.h>\n#include <stdio.h>\n" + "".join(f"#include <{h}>\n" for h in headers) + "int main(void) {\n" + "\n".join(lines) + "\n}\n")
        subprocess.run(["cc", "-std=c11", f"-I{include}", str(source), "-o", f"{folder}/print"], check=True)
        print(subprocess.run([f"{folder}/print"], check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
