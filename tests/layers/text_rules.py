"""Rules over the words of text files, for the tests beside this file."""
import pathlib
import re
import sys

TEXT = {".md", ".txt", ".h", ".hpp", ".c", ".cpp", ".cu", ".in", ".py", ".sh", ".cmake", ".toml", ".json", ".yml", ""}


class Rule:
    """A phrase that is not to be used, and the advice; ~ stands for a gap between words, also in a broken comment or literal."""

    def __init__(self, phrase, advice, ignore_case=True):
        self.pattern = re.compile(phrase.replace("~", r"""(?:(?!\n\s*\n)[\s"*#]|//)+"""), re.IGNORECASE if ignore_case else 0)
        self.advice = advice


def files_of(root, folders):
    """Text files at the top of root and in those folders of it."""
    top = [path for path in root.iterdir() if path.is_file()]
    inside = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(path for path in top + inside if path.suffix in TEXT and "__pycache__" not in path.parts)


def found_in(root, folders, rules, exempt):
    """"FILE:LINE: words: advice" of each match but in exempt files (paths in root; a folder ends in a slash)."""
    found = []
    for path in files_of(root, folders):
        name = path.relative_to(root).as_posix()
        if any(name == e or e.endswith("/") and name.startswith(e) for e in exempt):
            continue
        text = path.read_text(errors="replace")
        for rule in rules:
            for match in rule.pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                words = " ".join(match[0].split())
                found.append(f"{name}:{line}: {words}: {rule.advice}")
    return found


def root_of_arguments():
    """The tree to read: the first argument, or this one."""
    return pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]


def report(problems, none):
    """Prints the problems, or that there are none, and ends with status 1 or 0."""
    print("\n".join(problems) or none)
    sys.exit(bool(problems))
