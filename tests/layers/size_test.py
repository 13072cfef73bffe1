"""Files, functions and verbs of host/ stay small: size_test.py [ROOT].

A file has at most 400 lines, one of engine/ 120, a function 60 and a verb's run_* 80. What is longer is listed below,
with the reason. Code is formatted by clang-format, so a function begins at the last line of its indentation before its brace.
"""
import pathlib
import re
import sys
import tempfile

FILE, ENGINE_FILE, FUNCTION, RUN = 400, 120, 60, 80
LONGER = {  # (file, function): reason
    ("cli/experts.cpp", "add_experts"): "one paragraph of flags per sub-verb",
}
NO_FUNCTION = re.compile(r"\s*(namespace|class|struct|enum|union|extern|#|//|\}|(static )?(inline )?constexpr [^()]*(=|\{)|const [^()]*=)")


def functions(lines):
    """Name and length of each function at namespace or class level."""
    for indent in ("", "  "):
        start = None
        for number, line in enumerate(lines):
            if line.startswith(indent) and len(line) > len(indent) and line[len(indent)] not in " }":
                start = number
            elif line in (indent + "}", indent + "};") and start is not None and not NO_FUNCTION.match(lines[start]):
                head = re.search(r"([~\w]+|operator\S+)\(", " ".join(lines[start:number + 1]))
                if head and line == indent + "}":
                    yield head[1], number - start + 1


def too_long(host):
    found = []
    for path in sorted([*host.rglob("*.h"), *host.rglob("*.cpp")]):
        name = path.relative_to(host).as_posix()
        lines = path.read_text().splitlines()
        most = ENGINE_FILE if name.startswith("engine/") else FILE
        if len(lines) > most:
            found.append(f"{name} has {len(lines)} lines, at most {most} are for it")
        for function, length in functions(lines):
            if length > FUNCTION and (name, function) not in LONGER and not (function.startswith("run_") and name.startswith("engine/") and length <= RUN):
                found.append(f"{name}: {function}() has {length} lines, at most {FUNCTION} are for it")
    return found


def prove_that_it_finds():
    with tempfile.TemporaryDirectory() as folder:
        host = pathlib.Path(folder)
        (host / "engine").mkdir()
        (host / "base").mkdir()
        body = "  step();\n" * 60
        (host / "base" / "long.cpp").write_text("namespace a {\n\nvoid long_one(int x,\n              int y) {\n" + body + "}\n\nvoid short_one() {\n}\n}\n")
        (host / "base" / "class.h").write_text("class A {\n  void method() {\n" + "    step();\n" * 60 + "  }\n};\n")
        (host / "engine" / "verb.cpp").write_text("void run_it() {\n" + body + "}\n" + "// line\n" * 60)
        found = " ".join(too_long(host))
        for part in ("long_one() has 63", "method() has 62", "engine/verb.cpp has 122"):
            assert part in found, (part, found)
        assert "short_one" not in found and "run_it" not in found, found


if __name__ == "__main__":
    prove_that_it_finds()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    host = (root if root.is_dir() else root.parents[2]) / "host"
    problems = too_long(host)
    print("\n".join(problems) or "all sizes are within their bounds")
    sys.exit(bool(problems))
