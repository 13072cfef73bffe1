#!/usr/bin/env python3
"""docs/reliability.md from tests/reliability.toml and the tests that carry a row's number.

  reliability_table.py          says whether the page is what it would be now: exit 1 if not, or if a test is not there
  reliability_table.py --write  writes it; exit 1 as long as rows lack tests (R-54 aside)
"""
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# Bad input and faults

What each kind of bad input and each fault gets, and the tests that show it. `make reliability-table` writes this page from `tests/reliability.toml` and from the tests that carry a row's number; it fails as long as a row lacks a test. What is missing stands in the last column.

| row | input or fault | gets | tests |
|---|---|---|---|
"""
TEST = re.compile(r"^\s*(?:TEST(?:_F|_P)?\(\w+,\s*(\w+)\)|def (test_\w+)\()", re.M)


def tests_of(path):
    """(name, text from the comment before it to the next test) of every test of a file."""
    text = path.read_text()
    found = list(TEST.finditer(text))
    for i, match in enumerate(found):
        before = text[found[i - 1].end() if i else 0:match.start()]
        comment = re.search(r"(?:^[ \t]*(?://|#)[^\n]*\n)*\Z", before, re.M)[0]
        yield match[1] or match[2], comment


def numbered():
    """Row -> "FILE: NAME" of every test that carries its number."""
    rows = {}
    for path in sorted([*ROOT.glob("tests/**/*.cpp"), *ROOT.glob("tests/e2e/*.py")]):
        for name, comment in tests_of(path):
            for number in set(re.findall(r"(?:\b|_)R(\d\d)_", name) + re.findall(r"\bR-(\d\d)\b", comment)):
                rows.setdefault(f"R-{number}", []).append(f"{path.relative_to(ROOT)}: {name}")
    return rows


def page(rows, carried):
    lines = []
    for row, entry in rows.items():
        tests = sorted({*carried.get(row, []), *entry.get("tests", [])})
        shown = sorted({"`" + test.split(": ")[1] + "`" for test in tests})
        if "missing" in entry:
            shown.append(f"*missing: {entry['missing']}*")
        lines.append(f"| {row} | {entry['input']} | {entry['expected']} | {', '.join(shown)} |\n")
    return HEAD + "".join(lines)


def main():
    rows, carried = tomllib.loads((ROOT / "tests" / "reliability.toml").read_text()), numbered()
    flaws = [f"{row} is no row of tests/reliability.toml: {tests[0]}" for row, tests in carried.items() if row not in rows]
    for row, entry in rows.items():
        for test in entry.get("tests", []):
            file, name = test.split(": ")
            if not (ROOT / file).exists() or name not in {n for n, _ in tests_of(ROOT / file)}:
                flaws.append(f"{row}: there is no test {test}")
        if not carried.get(row) and not entry.get("tests") and "missing" not in entry:
            flaws.append(f"{row} has no test, and does not say what is missing")
    made = page(rows, carried)
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(made)
        flaws += [f"{row}: {entry['missing']}" for row, entry in rows.items() if "missing" in entry and row != "R-54"]
    elif not PAGE.exists() or PAGE.read_text() != made:
        flaws.append("docs/reliability.md is not what tests/reliability.toml gives: make reliability-table")
    print("\n".join(flaws))
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
