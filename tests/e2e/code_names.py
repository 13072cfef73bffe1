"""Files of the repository and names in them that a page mentions: `host/x/y.cpp`: `name()`, `kOther`."""
import re

FILE = re.compile(r"`((?:host|plugins|sdk|tools|tests|samples)/[\w./-]+\.\w+)`")
NAMES = re.compile(r"`((?:host|plugins|sdk|tools|tests|samples)/[\w./-]+\.\w+)`:((?:,? `[\w:]+(?:\(\))?`)+)")


def flaws(page, root):
    """Files that are not there, and names that are not in their file."""
    found = [f"there is no {file}" for file in FILE.findall(page) if not (root / file).is_file()]
    for file, names in NAMES.findall(page):
        source = (root / file).read_text() if (root / file).is_file() else ""
        for name in re.findall(r"`([\w:]+?)(?:\(\))?`", names):
            if source and not re.search(rf"\b{name.rsplit('::')[-1]}\b", source):
                found.append(f"there is no {name} in {file}")
    return found


def unknown_flags(page, root):
    """`--flags` of the page that no verb has; the parser itself has two."""
    verbs = "".join(path.read_text() for path in (root / "host" / "cli").glob("*.cpp"))
    return [flag for flag in re.findall(r"`(--[a-z0-9-]+)", page) if flag not in ("--help", "--version") and not re.search(rf'"{flag}[",]', verbs)]
