#!/usr/bin/env python3
"""Compares two folders that two programs wrote (tools/same_results.sh): every file of both, byte for byte.

  tools/same_results.py [--tolerance] FOLDER FOLDER

A SHA-256 in a text or in a name counts as the file that it is of, so that a file that may differ does not make
every digest of it differ. What may differ stands in IGNORED. Each difference is a line: file, key or line or
byte, both values.

With --tolerance only features.safetensors and predictions.jsonl are compared: features may differ by 1e-4, and
one label in 1,000 may be another. Each such label is a line, with the probabilities of both answers. Exit 0: equal; 1: different; 2: usage.
"""
import array
import fnmatch
import hashlib
import json
import operator
import pathlib
import re
import sys
import tarfile
import tomllib
from typing import NamedTuple

SHOWN = 10  # differences of one file


class Ignored(NamedTuple):
    files: str    # pattern of the files' names
    value: str    # regular expression of what is passed over, but for its first group; empty: the whole file
    reason: str
    other_program: bool = False  # only if the programs state other versions or have other libraries


NUMBER = "[0-9][0-9.e+-]*"
MEMORY = "[0-9.]+ [KMGT]iB"
VERSION = "[0-9]+[.][0-9]+[.][0-9]+"
IGNORED = [
    # A run's time, speed and memory, and where the report's and the sweep's pages show them.
    Ignored("*.json*", rf'("(?:fit_)?seconds": ?){NUMBER}', "time"),
    Ignored("*.json*", rf'("texts_per_second": ?){NUMBER}', "speed"),
    Ignored("*.json*", rf'("peak_rss_bytes": ?){NUMBER}', "memory"),
    Ignored("report.md", rf"(\| (?:Seconds|Texts per second) \| ){NUMBER}", "time and speed of the evaluation"),
    Ignored("report.html", rf'(<th scope="row">(?:Seconds|Texts per second)</th><td>){NUMBER}', "time and speed of the evaluation"),
    Ignored("report.md", rf"(\| ){NUMBER}(?= \| [0-9,]+ \| {MEMORY})", "time of an expert's training"),
    Ignored("report.html", rf'(<td class="n">){NUMBER}(?=</td><td class="n">[0-9,]+</td><td class="n">{MEMORY})', "time of an expert's training"),
    Ignored("report.*", rf"(\| |>){MEMORY}", "memory"),
    Ignored("sweep/sweep.csv", rf"(?m)(,){NUMBER}(?=\r$)", "time: the last column"),
    Ignored("sweep/sweep.html", rf"( held-out texts, in ){NUMBER}(?= s)", "time"),
    Ignored("sweep/lock", "", "the process's number"),
    # The program itself, and digests of it that no file here has.
    Ignored("printed/version", "", "the program's version", True),
    Ignored("*/lib*.so", "", "a part of the program; what it computes is compared", True),
    Ignored("*.moec", "", "holds such a library; its other files are compared", True),
    Ignored("printed/pack.json", rf'("bytes": ?){NUMBER}', "of a file that holds such a library", True),
    Ignored("*/registry.lock.toml", rf'(engine = "moecollab ){VERSION}', "the program's version", True),
    Ignored("*.json", rf'("version": ?)"{VERSION}"(?=,\s*"libtorch")', "the program's version", True),
    Ignored("report.*", rf"(>version |Version</th><td>|\| Version \| ){VERSION}", "the program's version", True),
    Ignored("cache/*", "", "the program's version and the packages are part of the names", True),
    Ignored("*sweep*.json*", r'("digest": ?)"[0-9a-f]{64}"', "the program's version and the packages are part of it", True),
]

# When a registry was changed, and what it had before; what the changes came to is compared.
CHANGES = re.compile(r"/history/(?:changes|objects)/")
DIGEST = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b")  # whole, or as pages show it
ORDERED_BY_DIGEST = re.compile(r"^(made_here = \[)(.*)(\])$", re.MULTILINE)  # compared in the order of the names


class Results:
    """The files of a folder and of the packed packages in it, by name."""

    def __init__(self, folder):
        files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file() and not CHANGES.search(str(path))}
        for name in [name for name in files if name.endswith(".moec")]:
            files |= {f"{name}/{member}": data for member, data in unpacked(files[name]).items()}
        self._named = {}  # SHA-256, or its first 12 digits -> name of a file that has it
        for name in sorted(files, key=lambda name: (bool(DIGEST.search(name)), name)):
            digest = hashlib.sha256(content(files[name])).hexdigest()
            for key in (digest, digest[:12]):
                self._named.setdefault(key, name)
        self._files = {self._with_names(name): file for name, file in files.items()}
        self.names = set(self._files)
        self.program = {name: content(file) for name, file in files.items() if name == "printed/version" or name.endswith(".so")}

    def _with_names(self, text):
        return DIGEST.sub(lambda digest: f"<SHA-256 of {self._named[digest[0]]}>" if digest[0] in self._named else digest[0], text)

    def _tensors_by_name(self, data):
        """Of safetensors: names and bytes in the order of the names, which may hold digests and then decide the order."""
        start = 8 + int.from_bytes(data[:8], "little")
        try:
            header = json.loads(self._with_names(data[8:start].decode()))
        except ValueError:
            return data  # damaged
        places = {name: tensor.pop("data_offsets") for name, tensor in header.items() if name != "__metadata__"}
        tensors = [data[start + places[name][0]:start + places[name][1]] for name in sorted(places)]
        return json.dumps(header, sort_keys=True).encode() + b"".join(tensors)

    def read(self, name, ignored, other_program):
        """Text, its digests named, without what is ignored; or bytes."""
        data = content(self._files[name])
        if name.endswith(".safetensors"):
            return self._tensors_by_name(data) if other_program else data
        try:
            text = self._with_names(data.decode())
        except UnicodeDecodeError:
            return data
        text = ORDERED_BY_DIGEST.sub(lambda list: list[1] + ", ".join(sorted(list[2].split(", "))) + list[3], text)
        for rule in ignored:
            if rule.value and fnmatch.fnmatch(name, rule.files):
                text = re.sub(rule.value, r"\g<1>0", text)
        return text


def content(file):
    return file if isinstance(file, bytes) else file.read_bytes()


def unpacked(path):
    """Name -> content of a packed package's files; none of a damaged one, whose bytes differ anyway."""
    try:
        with tarfile.open(path) as packed:
            return {member.name: packed.extractfile(member).read() for member in packed.getmembers() if member.isfile()}
    except tarfile.TarError:
        return {}


def leaves(value, path=""):
    """Dotted path -> value of everything in a JSON value that holds nothing else."""
    if not isinstance(value, (dict, list)) or not value:
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {p: v for key, child in items for p, v in leaves(child, f"{path}.{key}" if path else str(key)).items()}


def parsed(name, text):
    """Leaves of a JSON, JSONL or TOML file, lines of another."""
    try:
        if name.endswith(".json"):
            return leaves(json.loads(text))
        if name.endswith(".jsonl"):
            return leaves({f"line {i}": json.loads(line) for i, line in enumerate(text.splitlines(), 1)})
        if name.endswith(".toml"):
            return leaves(tomllib.loads(text))
    except ValueError:
        pass  # damaged
    return lines(text)


def lines(text):
    return {f"line {i}": line for i, line in enumerate(text.splitlines(keepends=True), 1)}


def changed(a, b):
    """(key, value of a, value of b) of two dictionaries, for each key that differs."""
    return [(key, a.get(key, "(missing)"), b.get(key, "(missing)")) for key in {**a, **b} if a.get(key, "(missing)") != b.get(key, "(missing)")]


def first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def from_there(a, b):
    """Both values in short, from shortly before their first difference."""
    a, b = (value if isinstance(value, str) else json.dumps(value) for value in (a, b))
    start = max(0, first_difference(a, b) - 20)
    return " and ".join(f"{'…' if start else ''}{value[start:start + 60]!r}" for value in (a, b))


def changes(name, a, b):
    """(place, value of a, value of b) of what differs in two contents of a file: key, else line, else byte."""
    if isinstance(a, str) and isinstance(b, str):
        return changed(parsed(name, a), parsed(name, b)) or changed(lines(a), lines(b))
    a, b = (data.encode() if isinstance(data, str) else data for data in (a, b))
    place = first_difference(a, b)
    return [(f"byte {place} of {len(a)} and {len(b)}", a[place:place + 8].hex(), b[place:place + 8].hex())]


def compare(folder_a, folder_b):
    """The names of the files that were compared, and a line for each difference."""
    a, b = Results(folder_a), Results(folder_b)
    other = a.program != b.program
    ignored = [rule for rule in IGNORED if other or not rule.other_program]
    names = [name for name in a.names | b.names if not any(not rule.value and fnmatch.fnmatch(name, rule.files) for rule in ignored)]
    names.sort(key=lambda name: (name.startswith("cache/"), name))  # what follows from the others comes last
    found = []
    for name in names:
        if name not in a.names or name not in b.names:
            found.append(f"{name}: missing in {folder_b if name in a.names else folder_a}")
            continue
        x, y = (results.read(name, ignored, other) for results in (a, b))
        here = changes(name, x, y) if x != y else []
        found += [f"{name}: {place}: {from_there(p, q)}" for place, p, q in here[:SHOWN]]
        if len(here) > SHOWN:
            found.append(f"{name}: and {len(here) - SHOWN} more")
    return names, found


FEATURES_MAY_DIFFER = 1e-4
LABELS_THAT_STAY = 0.999


def features_of(folder):
    """The numbers of the tensor "pooled", float32."""
    data = (folder / "features.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:start])["pooled"]["data_offsets"]
    return array.array("f", data[start + begin:start + end])


def compare_within_tolerance(folder_a, folder_b):
    """What was found, as text, and whether it is within the tolerance."""
    a, b = features_of(folder_a), features_of(folder_b)
    answers = [[json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()] for folder in (folder_a, folder_b)]
    if len(a) != len(b) or len(answers[0]) != len(answers[1]) or not answers[0]:
        return f"{len(a)} and {len(b)} features, {len(answers[0])} and {len(answers[1])} answers", False
    off = max(map(abs, map(operator.sub, a, b)))
    flips = [f"text {x['text_id']}: {x['label']} ({x['probability']:.6f}, then {x['alternatives'][0]['probability']:.6f}), now {y['label']} ({y['probability']:.6f})"
             for x, y in zip(*answers) if (x["label"], x["label_space"]) != (y["label"], y["label_space"])]
    stay = 1 - len(flips) / len(answers[0])
    flips.append(f"features differ by at most {off:.2g}; {len(answers[0]) - len(flips)} of {len(answers[0])} labels are the same ({stay:.2%})")
    return "\n".join(flips), off <= FEATURES_MAY_DIFFER and stay >= LABELS_THAT_STAY


def main():
    arguments = sys.argv[1:]
    tolerance = "--tolerance" in arguments[:1]
    folders = [pathlib.Path(argument) for argument in arguments[tolerance:]]
    if len(folders) != 2 or not all(folder.is_dir() for folder in folders):
        print(__doc__, file=sys.stderr)
        return 2
    if tolerance:
        said, within = compare_within_tolerance(*folders)
        print(said)
        return 0 if within else 1
    names, differences = compare(*folders)
    if not names:
        print(f"{folders[0]} and {folders[1]} are empty", file=sys.stderr)
        return 2
    print("\n".join(differences) if differences else f"equal: {len(names)} files")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
