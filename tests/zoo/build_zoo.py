#!/usr/bin/env python3
"""Builds the experts of zoo.toml and writes a package folder for each.

    build_zoo.py --cc gcc --cxx g++ --sdk DIR --out DIR [NAME...]

--sdk is the folder that holds include/ and cmake/ (sdk/ of the source tree). A package that is
newer than all that it is made from is left alone. Python's standard library only.
"""
import argparse
import concurrent.futures
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ZOO = Path(__file__).resolve().parent
ROOT = ZOO.parent  # what `source` is relative to
sys.path.insert(0, str(ROOT))
import safetensors_file  # noqa: E402

ID, VERSION = "org.moecollab.zoo", "1.0.0"  # as in zoo.h
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic"]
KEYS = {"source", "level", "check", "inputs", "trained", "labels", "output", "deterministic",
        "max_batch", "library_id", "library_version", "weights", "flags", "link",
        "version_script", "newer_libc"}


def run(command, text=None):
    """Runs a compiler; what it says is shown, and its failure ends the build."""
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.stdout or done.stderr:
        print(" ".join(map(str, command)), done.stdout, done.stderr, sep="\n", file=sys.stderr)
    if done.returncode != 0:
        raise SystemExit(f"build_zoo.py: {command[-1]}: exit status {done.returncode}")


def newer_libc(args, folder, version, symbol):
    """A library to link with that has `symbol` in `version`, as tomorrow's libc.so.6 will."""
    library, versions = folder / "libnewer.so", folder / "versions.map"
    versions.write_text(f"{version} {{ global: {symbol}; }};\n")
    run([args.cc, "-x", "c", "-", "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libN.so.6",
         f"-Wl,--version-script={versions}", "-o", library], f"void {symbol}(void) {{}}\n")
    return library


def link(args, entry, library, scratch):
    """Compiles the entry's source as moecollab_add_expert() would, but for what it asks for."""
    source = ROOT / entry["source"]
    cpp = source.suffix == ".cpp"
    command = [args.cxx if cpp else args.cc, "-std=c++17" if cpp else "-std=gnu11", "-O1",
               *WARNINGS, "-fPIC", "-shared", "-fvisibility=hidden", f"-I{ZOO}",
               f"-I{args.sdk}/include", "-Wl,-z,defs", "-Wl,-z,noexecstack", "-static-libgcc"]
    if cpp:
        command += ["-fvisibility-inlines-hidden", "-static-libstdc++"]
    if entry.get("version_script", True):
        command.append(f"-Wl,--version-script={args.sdk}/cmake/exports.map")
    command += entry.get("flags", []) + [source]
    if "newer_libc" in entry:
        command.append(newer_libc(args, scratch, **entry["newer_libc"]))
    if "link" in entry:
        command += ["-Wl,--no-as-needed", *(f"-l{name}" for name in entry["link"])]
    run([*command, "-o", library])
    if "newer_libc" in entry:  # under its own name the linker would leave the real one out
        library.write_bytes(library.read_bytes().replace(b"libN.so.6\0", b"libc.so.6\0"))


def weights(shapes):
    """The bytes of a safetensors file with tensors of these shapes, none like another."""
    numbers = itertools.count(1)
    return safetensors_file.packed(
        {name: (shape, [0.25 * next(numbers) for _ in range(math.prod(shape))])
         for name, shape in shapes.items()})


def toml(value):
    """A TOML value: JSON writes strings, booleans, numbers and lists of them alike."""
    return json.dumps(value, ensure_ascii=False)


def abi_versions(sdk):
    text = (sdk / "include/moecollab/abi.h").read_text()

    def find(name):
        return re.search(rf'#define MOEC_{name} "?([0-9.]+)', text).group(1)
    return f"{find('ABI_MAJOR')}.{find('ABI_MINOR')}", find("SDK_VERSION")


def manifest(args, name, entry, files):
    """The text of expert.toml; see sdk/cmake/assemble_package.cmake for [abi] and [files]."""
    abi, sdk = abi_versions(args.sdk)
    needs = entry.get("inputs", ["text"])
    tables = {
        "library": {"id": entry.get("library_id", ID),
                    "version": entry.get("library_version", VERSION)},
        "expert": {"id": f"{ID}.{name}", "name": name, "version": VERSION, "vendor": "MoECollab",
                   "license": "Apache-2.0", "description": "of the zoo of the validator's tests"},
        "task": {},
        "input": {"needs": needs},
        "output": {"kind": entry.get("output", "logits"),
                   "deterministic": entry.get("deterministic", True)},
        "abi": {"version": abi, "sdk": sdk, "platform": "linux-x86_64"},
        "files": files,
    }
    if entry.get("trained", True):
        tables["task"] = {"domain": "zoo", "label_space": f"{name}/1",
                          "labels": entry.get("labels", ["a", "b", "c"])}
    if {"hidden", "pooled"} & set(needs):
        tables["input"]["layers"] = [-1]
    if "pooled" in needs:
        tables["input"]["pooling"] = "mean"
    if "max_batch" in entry:
        tables["input"]["max_batch"] = entry["max_batch"]
    tables["input"]["encoder"] = "none"
    lines = ["schema = 1"]
    for title, table in tables.items():
        lines += ["", f"[{title}]"]
        lines += [f"{key if re.fullmatch('[a-z_]+', key) else toml(key)} = {toml(value)}"
                  for key, value in table.items()]
    return "\n".join(lines) + "\n"


def is_fresh(args, entry, written):
    made_from = [ROOT / entry["source"], Path(__file__), ZOO / "zoo.toml",
                 args.sdk / "cmake/exports.map", *ZOO.glob("*.h"),
                 *(args.sdk / "include/moecollab").rglob("*.h*")]
    return written.exists() and all(path.stat().st_mtime < written.stat().st_mtime
                                    for path in made_from)


def package(args, name, entry):
    """Writes the folder of one expert. The manifest comes last: where it is, all is."""
    if not re.fullmatch("[a-z0-9_]{1,64}", name) or not entry.keys() <= KEYS:
        raise SystemExit(f"build_zoo.py: {name}: a name or key that zoo.toml cannot have")
    folder = args.out / name
    if is_fresh(args, entry, folder / "expert.toml"):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        link(args, entry, folder / f"lib{name}.so", Path(scratch))
    if "weights" in entry:
        (folder / "weights.safetensors").write_bytes(weights(entry["weights"]))
    files = {}
    for path in sorted(folder.iterdir()):
        path.chmod(0o644)
        files[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "expert.toml").write_text(manifest(args, name, entry, files), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--cxx", default="g++")
    parser.add_argument("--sdk", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("names", nargs="*", metavar="NAME", help="of zoo.toml; none: all")
    args = parser.parse_args()
    zoo = tomllib.loads((ZOO / "zoo.toml").read_text(encoding="utf-8"))
    unknown = set(args.names) - zoo.keys()
    if unknown:
        raise SystemExit(f"build_zoo.py: not in zoo.toml: {', '.join(sorted(unknown))}")
    names = args.names or list(zoo)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for done in [pool.submit(package, args, name, zoo[name]) for name in names]:
            done.result()


if __name__ == "__main__":
    main()
