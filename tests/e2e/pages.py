"""Pages of documentation as programs: their fenced blocks, run and compared.

```sh                    is run as it stands
```sh not-run: REASON    is shown and not run; so is the text block after it. The paragraph before it says REASON too, which
                         a reader of the rendered page does not see here
```text                  is output: every line occurs in it, in that order; "…" stands for anything, runs of spaces
                         are equal, and numbers agree that differ by 0.02 or 5 % at most (CPUs differ in last bits)
```LANGUAGE FILE         becomes that file
```json, ```toml         parse; ```cmake calls functions that the SDK has
"""
import json
import re
import subprocess
import time
import tomllib
from typing import NamedTuple

LANGUAGES = ("sh", "text", "cpp", "python", "toml", "json", "cmake")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")


class Block(NamedTuple):
    language: str
    file: str     # that it is to become, or nothing
    reason: str   # why it is not run, or nothing
    text: str


def blocks(page):
    """Every fenced block of a page. A text block after one that is not run shares its reason."""
    found = []
    for head, text in re.findall(r"^```([^\n`]*)\n(.*?)^``` *$", page, re.M | re.S):
        language, _, rest = head.strip().partition(" ")
        reason = rest.removeprefix("not-run:").strip() if rest.startswith("not-run:") else ""
        if language == "text" and found and found[-1].language == "sh":
            reason = found[-1].reason
        found.append(Block(language, "" if reason or rest.startswith("not-run") else rest, reason, text))
    return found


def flaws(page):
    """What is wrong with a page before anything runs: blocks that nothing tries, and data that does not parse."""
    found = [f"an indented block, which nothing tries: {line}" for line in re.findall(r"^[ >\t]+```.*", page, re.M)]
    if len(re.findall(r"^```", page, re.M)) % 2:
        found.append("a block without an end")
    for head in re.findall(r"^```(\S+ +not-run:? *)$", page, re.M):
        found.append(f"a block that is not run without a reason: {head}")
    for before, reason in re.findall(r"^(.*)\n*^```\S+ +not-run: *(\S.*)$", page, re.M):
        if reason not in before:
            found.append(f"a reason that the rendered page does not show: {reason}")
    for block in blocks(page):
        if block.language not in LANGUAGES:
            found.append(f"a block of `{block.language}`, which nothing tries: {block.text}")
        if block.language in ("cpp", "python") and not block.file:
            found.append(f"{block.language} that nothing compiles or runs: {block.text}")
        try:
            if block.language == "json":
                json.loads(block.text)
            if block.language == "toml":
                tomllib.loads(block.text)
        except ValueError as error:
            found.append(f"{error}: {block.text}")
    return found


def commands(text):
    """The commands of a sh block: its lines, those that continue joined, without comments and here-documents."""
    text = re.sub(r"<<-?\s*'?(\w+)'?(.*?)\n.*?^\1$", r"<<\1\2", text.replace("\\\n", " "), flags=re.M | re.S)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def script(page):
    """One shell script: the sh blocks, and each block that names a file as that file."""
    parts = ["set -eu\n"]
    for block in blocks(page):
        if block.language == "sh" and not block.reason:
            parts.append(block.text)
        elif block.file:
            parts.append(f"cat > {block.file} <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n")
    return "".join(parts)


def pattern(line):
    """A line of a text block as a regular expression with a group a number, and those numbers."""
    parts, numbers = [], []
    for i, piece in enumerate(line.split("…")):
        parts.append(".*?" if i else "")
        at = 0
        for number in NUMBER.finditer(piece):
            parts.append(literal(piece[at:number.start()]) + f"({NUMBER.pattern})")
            numbers.append(float(number[0]))
            at = number.end()
        parts.append(literal(piece[at:]))
    return re.compile(r"\s*" + "".join(parts) + r"\s*"), numbers


def literal(text):
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))


def close(a, b):
    return abs(a - b) <= max(0.02, 0.05 * max(abs(a), abs(b)))


def missing_line(page, output):
    """The first line of the page's text blocks that the output does not have in its place, and what is left of the output."""
    rest = output.splitlines()
    for block in blocks(page):
        for line in block.text.splitlines() if block.language == "text" and not block.reason else []:
            if line.strip() == "…":  # lines between are passed over anyway
                continue
            expression, numbers = pattern(line)
            for i, seen in enumerate(rest):
                found = expression.fullmatch(seen)
                if found and all(close(a, float(b)) for a, b in zip(numbers, found.groups())):
                    rest = rest[i + 1:]
                    break
            else:
                return line, "\n".join(rest)
    return None


class Run(NamedTuple):
    output: str
    seconds: float
    failure: str  # or nothing


def run_page(page, folder, environment, limit=900):
    """Runs a page in a folder: what it printed, and what is wrong with it."""
    start = time.monotonic()
    done = subprocess.run(["bash", "-c", "exec 2>&1\n" + script(page)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          env=environment, cwd=folder, timeout=limit)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        return Run(done.stdout, seconds, f"a command ended with {done.returncode}:\n{done.stdout}")
    missing = missing_line(page, done.stdout)
    failure = f"the page shows\n{missing[0]}\nand what is left of the output is\n{missing[1]}" if missing else ""
    return Run(done.stdout, seconds, failure)
