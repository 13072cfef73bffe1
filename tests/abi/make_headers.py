#!/usr/bin/env python3
"""make_headers.py INCLUDE OUT VERSION [MIN_HOST_MINOR] [--break]: the SDK's headers as another release.

Sets the version in all headers. A minor above 0 of a major above 0 also grows as the policy allows: one
more member at the end of moec_batch, and one more extension. --break swaps two members of moec_batch,
which no release of the same major may do.
"""
import pathlib
import re
import shutil
import sys

FIELD = "  const double* row_weights;        /* [n]; new in this minor */\n"
EXTENSION = """#ifndef MOECOLLAB_EXT_FUTURE_H_
#define MOECOLLAB_EXT_FUTURE_H_
#include <moecollab/abi.h>
#define MOEC_EXT_FUTURE "moecollab.future/1"
typedef struct moec_future {
  uint32_t struct_size;
  int32_t (*answer)(void);
} moec_future;
#endif
"""


def replaced(text, pattern, replacement):
    text, count = re.subn(pattern, replacement, text, count=1, flags=re.S)
    assert count == 1, pattern
    return text


def main():
    arguments = [a for a in sys.argv[1:] if a != "--break"]
    include, out, version = pathlib.Path(arguments[0]), pathlib.Path(arguments[1]), arguments[2]
    major, minor = map(int, version.split("."))
    lowest = arguments[3] if len(arguments) > 3 else str(minor if major == 0 else 0)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(include, out)
    abi, note = out / "moecollab/abi.h", out / "moecollab/note.h"
    text = abi.read_text()
    text = replaced(text, r"(#define MOEC_ABI_MAJOR) \d+u", rf"\1 {major}u")
    text = replaced(text, r"(#define MOEC_ABI_MINOR) \d+u", rf"\1 {minor}u")
    text = replaced(text, r'(#define MOEC_SDK_VERSION) "[^"]*"', rf'\1 "{version}.0"')
    if major > 0 and minor > 0:
        text = replaced(text, r"(per layer: \[n, H\] float32 \*/\n)(\} moec_batch;)", rf"\1{FIELD}\2")
        (out / "moecollab/ext/future.h").write_text(EXTENSION)
    if "--break" in sys.argv:
        text = replaced(text, r"(  uint32_t flags; [^\n]*\n)(  int64_t rows; [^\n]*\n)((?:  /\*[^/]*/\n)?  const int64_t\* row_ids;[^\n]*\n)", r"\1\3\2")
    abi.write_text(text)
    note.write_text(replaced(note.read_text(), r"(#define MOEC_MIN_HOST_MINOR) \d+u", rf"\1 {lowest}u"))


if __name__ == "__main__":
    main()
