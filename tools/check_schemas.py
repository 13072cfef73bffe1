#!/usr/bin/env python3
"""Holds registry/schema/*.json against the readers: check_schemas.py [--list]

A schema must take every registry.toml and expert.toml that the program reads, and refuse what the program refuses, but for
what JSON Schema cannot say (NOT_EXPRESSIBLE). The documents are those of the tree, and each one that the unit tests give to
a reader (build/bin/test_registry, built by `tools/build.sh dev N`). --list names every one that only the program refuses.

Needs Python 3.11 or later and `pip install jsonschema==4.23.0`; holds the files of the tree against `taplo` too, if that program is there
(`pip install taplo==0.9.3`). No part of `make test`, which downloads nothing.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCHEMAS = {"registry.toml": "registry.schema.json", "expert.toml": "expert.schema.json"}
DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# What moecollab_add_expert() appends to the manifest of a source tree.
COMPLETED = f'\n[abi]\nversion = "1.0"\nsdk = "1.0.0"\nplatform = "linux-x86_64"\n\n[files]\n"libx.so" = "{DIGEST}"\n'
# Refusals of the program that draft 7 has no words for: part of the message, and why.
NOT_EXPRESSIBLE = [
    (r"must be an integer, not -?\d+\.0", "a number without a fraction is an integer in draft 7"),
    (r"(weight_cap|temperature|value|tolerance)` must .*(nan|inf|finite)", "JSON has no NaN and no infinity"),
    (r"stands twice: in \[\[", "two tables of an array with the same name"),
    (r"`task\.labels` is missing", "labels may be absent if labels_file or output.kind says so"),
    (r"`input\.(layers|encoder)` (is|asks)", "layers and encoder depend on needs"),
    (r"does not list the labels_file", "one value as a key of another table"),
    (r"cannot be listed: the manifest holds no digest of itself", "two names that [files] may not hold"),
    (r"a number is too large", "a version's number above 64 bits"),
]


def validators():
    for file, schema in SCHEMAS.items():
        text = (ROOT / "registry" / "schema" / schema).read_text()
        # Python's $ also matches before a line break at the end; ECMA 262's, which schemas are written in, does not.
        content = json.loads(re.sub(r'\$"(?=,?\n)', r'\\\\Z"', text))
        jsonschema.Draft7Validator.check_schema(content)
        yield file, jsonschema.Draft7Validator(content)


def tree_documents():
    """(path, name, text) of every registry.toml and expert.toml of the tree and of what it built."""
    folders = [ROOT / name for name in ("registry", "plugins", "samples", "sdk", "tests", "build") if (ROOT / name).exists()]
    for path in sorted(str(file.relative_to(ROOT)) for folder in folders for file in folder.rglob("*.toml")):
        name = "expert.toml" if path == "tests/torch/faulty.toml" else pathlib.Path(path).name
        if name not in SCHEMAS:
            continue
        text = (ROOT / path).read_text()
        text = text.replace("@ID@", "com.example.name").replace("@NAME@", "name").replace("@TARGET@", "name")
        if name == "expert.toml" and not re.search(r"^\[(abi|files)\]", text, re.M):
            text += COMPLETED
        yield path, name, text
        if path.startswith("registry/"):
            for skip in ("labels_file", "labels") if name == "expert.toml" else ("no such key",):
                yield f"{path} with every key but {skip}", name, re.sub(r"^#(?=[a-z\[\"])", "", text, flags=re.M).replace(f"\n{skip} =", "\n#")


def recorded_documents():
    """(name, text, refusal or None) of each document that the unit tests give to a reader, once."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "documents"
        test = ROOT / "build" / "bin" / "test_registry"
        done = subprocess.run([test, "--gtest_brief=1", "--gtest_filter=-SignedPackage.*:*Damage*"], env={**os.environ, "MOECOLLAB_RECORD": str(file)}, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.exit(f"{test} failed")
        seen = set()
        for line in file.read_text().split("\n")[:-1]:  # not splitlines(): it knows more line ends
            record = json.loads(line)
            key = (record["file"], record["text"])
            if key not in seen:
                seen.add(key)
                yield *key, record["refusal"]


def fault(validator, text):
    """What the schema says against the document, or None."""
    error = next(iter(validator.iter_errors(tomllib.loads(text))), None)
    return error and f"{'.'.join(map(str, error.absolute_path))}: {error.message[:120]}"


def taplo_check(program):
    """Lets taplo validate what the tree holds as it stands, each file by a schema given on the command line."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (path, name, text) in enumerate(tree_documents()):
            copy = pathlib.Path(folder) / f"{number}.toml"
            copy.write_text(re.sub(r"^#:schema.*\n", "", text))
            schema = (ROOT / "registry" / "schema" / SCHEMAS[name]).as_uri()
            done = subprocess.run([program, "lint", "--schema", schema, str(copy)], capture_output=True, text=True)
            if done.returncode != 0:
                failures += 1
                print(f"taplo refuses {path}: {done.stderr[-600:]}")
        bad = pathlib.Path(folder) / "bad.toml"
        bad.write_text("schema = 1\n[encoder]\npath = 'x'\nmax_length = 2\n")
        schema = (ROOT / "registry" / "schema" / SCHEMAS["registry.toml"]).as_uri()
        if subprocess.run([program, "lint", "--schema", schema, str(bad)], capture_output=True).returncode == 0:
            failures += 1
            print("taplo takes max_length = 2")
        print(f"taplo: {number + 1} files of the tree, {failures} failures")
    return failures


def main():
    by_file = dict(validators())
    failures = files = 0
    for path, name, text in tree_documents():
        files += 1
        if (wrong := fault(by_file[name], text)) is not None:
            failures += 1
            print(f"the schema refuses {path}: {wrong}")
    print(f"files of the tree: {files} taken, as the program does")

    count = collections.Counter()
    beyond = collections.defaultdict(list)
    for name, text, refusal in recorded_documents():
        if refusal and refusal["code"] in ("E_REG_SIZE", "E_REG_BYTES", "E_REG_SYNTAX"):
            count["no TOML to check"] += 1
            continue
        wrong = fault(by_file[name], text)
        count[("refused" if refusal else "read", "refused" if wrong else "read")] += 1
        if refusal is None and wrong is not None:
            failures += 1
            print(f"only the schema refuses this {name}: {wrong}\n{text}")
        if refusal is not None and wrong is None:
            reason = next((why for part, why in NOT_EXPRESSIBLE if re.search(part, refusal["message"])), None)
            if reason is None:
                failures += 1
                print(f"only the program refuses: {refusal['message']}")
            beyond[reason].append(refusal["message"])
    print("documents of the unit tests:")
    print(f"  read by both {count['read', 'read']}, refused by both {count['refused', 'refused']}, no TOML (size, bytes, syntax) {count['no TOML to check']}")
    print(f"  refused by the program alone {count['refused', 'read']}:")
    for reason, messages in beyond.items():
        print(f"    {len(messages):3} {reason}")
        if "--list" in sys.argv:
            print("".join(f"          {m}\n" for m in messages), end="")
    program = shutil.which("taplo")
    failures += taplo_check(program) if program else 0
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
