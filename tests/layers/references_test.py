"""Comments, tools and pages refer to what a reader of the repository has: references_test.py [ROOT].

A rule finds a phrase also if a comment breaks it across lines.
"""
import pathlib
import tempfile

from text_rules import Rule, found_in, report, root_of_arguments

FOLDERS = (".ci", "cmake", "docs", "findings", "host", "plugins", "registry", "samples", "sdk", "tests", "tools")
RULES = (
    Rule(r"\bdesign~page\b", "name a page of docs/, or say the reason"),
    Rule(r"\bpages?~\d+\b", "name the page and its heading"),
    Rule(r"\bshared/", "take the folder from an argument or a variable"),
)
EXEMPT = {"tests/layers/references_test.py": "holds the rules and the lines that prove them"}


def prove_that_it_finds():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "host").mkdir()
        (root / "host" / "a.h").write_text("int a;\n// The exit status of design\n// page\n// 6.\n")
        (root / "host" / "b.py").write_text("data = ROOT / 'shared/data'\n")
        (root / "host" / "good.h").write_text("// PREFIX/share/doc; a shared folder; the page of 2 parts.\n")
        (root / "top.md").write_text("See page 4.\n")
        found = found_in(root, FOLDERS, RULES, EXEMPT)
        for part in ("host/a.h:2", "host/b.py:1", "top.md:1"):
            assert any(line.startswith(part + ":") for line in found), (part, found)
        assert not any("good.h" in line for line in found), found


if __name__ == "__main__":
    prove_that_it_finds()
    report(found_in(root_of_arguments(), FOLDERS, RULES, EXEMPT), "every reference is to the repository itself")
