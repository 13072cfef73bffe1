"""Pages, help, messages and comments are in plain English: language_test.py [ROOT].

Help and messages are read in the sources, where a literal may be broken across lines. Words that the report prints are
part of results, which stay equal from version to version; they are exempt below.
"""
import pathlib
import tempfile

from text_rules import Rule, found_in, report, root_of_arguments

FOLDERS = (".ci", "cmake", "docs", "findings", "host", "plugins", "registry", "samples/experts", "sdk", "tests", "tools")
UNIT = r"(text|row|step|line|domain|epoch|run|call|file|second|round|seed|batch|token|label|point|multiply-add)"
COUNTED = (r"(once|twice|one~(?!is\b|of\b|as\b)\w+|(?<!=)\d+~(?!for\b|in\b|to\b|of\b|with\w*\b|is\b)\w+|\d+(?=~a~multiply)|(one|a)~(\w+~)?(pass|line|entry|number|value)|texts|rows|tokens|steps|calls|lines|nats|bytes|[mnuµ]s"
           r"|nanoseconds|microseconds|seconds)")
RULES = (
    Rule(r"\banew\b", "say again"),
    Rule(r'(?<![`"])\bmend(s|ed|ing)?\b(?! *[="`])', "say fix"),
    Rule(r"\b(go|goes|going|went|gone)~on\b(?! (the|standard|one|a)\b)", "say continue"),
    Rule(r"\b(am|is|are|was|were|be|been|being)~told\b(?! apart)", "say that it knows"),
    Rule(r"\bbehind~(it|them|the|a|an|this|that|such|each|every)\b(?!~(small C |C )?(interface|ABI|door|host's back|rows\b|reference's))",
         "say after"),
    Rule(r"\bone~behind~the~other\b", "say one after the other"),
    Rule(rf"\b{COUNTED}~(?-i:an?)~{UNIT}\b", "say per"),
    Rule(r"\b(nullopt|nullptr|null|NaN|none|undefined|empty|false|E_[A-Z_]+|(?<=[;:(] )[01])~where\b", "say if"),
    Rule(r"\bwhere~(there~(is|are)~(no|none|one)|one~is|none~is|it~is~(not|none)|they~are~not)\b", "say if"),
    Rule(r"[.:;]~Where~(it|there|an?~\w+|no~\w+)~(is|are|has|cannot|would)\b", "say if", ignore_case=False),
    Rule(r"(?m)^(?:[^/\n]*[;,{(] *)? *(//|/\*) Of\b", "begin with a noun or a verb", ignore_case=False),
)
EXEMPT = {
    "tests/layers/language_test.py": "holds the rules and the lines that prove them",
    "tests/abi/released/": "is as it was released",
    "host/evaluation/domains_section.cpp": "prints the report",
    "host/evaluation/overall_section.cpp": "prints the report",
}

BAD = (
    "one encoder pass a text", "Texts a step", "once a text", "40 us a row", "a line an epoch",
    "nullopt where there is none", "E_DATA where it is empty", "made where there is none",
    "the text behind the header", "one behind the other", "computed anew", "how to mend it", "it goes on",
    '"so that the same command goes "\n          "on"', "// nobody is\n// told", "say so. Where there is no file, it ends",
    "int x;  // Of this thread", "2 a multiply-add",
)
GOOD = (
    "one encoder pass per text", "asks a text", "a text that nobody needs", "says where it is kept", "behind the C ABI",
    "leaves nothing behind", "are told apart", '{"mend", text}', "mend = \"fix it\"", "`mend`", "amended, recommend",
    "the steps of a run", "again", "Where an expert's classes hold the targets",
)


def prove_that_it_finds():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, lines in (("bad", BAD), ("good", GOOD)):
            (root / "host" / name).mkdir(parents=True)
            for number, line in enumerate(lines):
                (root / "host" / name / f"{number}.h").write_text(f"first\n  {line}\nlast\n")
        found = found_in(root, FOLDERS, RULES, EXEMPT)
        seen = {line.split(":")[0] for line in found}
        assert seen == {f"host/bad/{n}.h" for n in range(len(BAD))}, (found, [BAD[n] for n in range(len(BAD)) if f"host/bad/{n}.h" not in seen])


if __name__ == "__main__":
    prove_that_it_finds()
    report(found_in(root_of_arguments(), FOLDERS, RULES, EXEMPT), "plain English, as far as the rules see")
