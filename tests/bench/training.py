#!/usr/bin/env python3
"""How long two versions of the program take to train deep experts, in turns on the same texts.

    training.py OLD NEW DATA [--domains emotion,legal] [--texts N] [--runs 1] [--threads N]

OLD and NEW are programs (build/bin/moecollab), DATA is a folder of <domain>/train.jsonl and dev.jsonl. Each run is
`train-expert --kind deep-adapter` with the recipe of tools/demo.sh on a registry of its own, nothing cached. Per domain it
prints the least wall time and the least CPU time (user and system, of all threads) of each program, the ratios OLD : NEW,
and the accuracies on dev. Other programs on the machine lengthen the wall time; CPU time tells the versions apart all the
same. --texts takes the first N training texts.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ENCODER = pathlib.Path(__file__).resolve().parents[2] / ".deps" / "encoder" / "all-MiniLM-L6-v2"
ALL_BLOCKS = ["--set", "depth=all", "--epochs"]
RECIPES = {"legal": [*ALL_BLOCKS, "4"], "general": [*ALL_BLOCKS, "4"], "emotion": [*ALL_BLOCKS, "3"], "news": ["--epochs", "3"]}
FIT_TEXTS = 200  # a gate over one expert gives it every text, whatever it is fitted on


def run(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"training.py: {program} {arguments[0]} ended with {done.returncode}")
    return done.stdout


def first_texts(file, count, target):
    with open(file, encoding="utf-8") as lines:
        target.write_text("".join(line for _, line in zip(range(count), lines)), encoding="utf-8")
    return target


def train(program, domain, texts, registry, threads):
    """Seconds by the clock and of the CPU."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run(program, "train-expert", "deep", "--kind", "deep-adapter", "--domain", domain, *RECIPES.get(domain, []), "--data", f"{domain}={texts}",
        "--registry", registry, "--encoder", ENCODER, "--no-cache", "--quiet", *threads)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def dev_accuracy(program, domain, texts, dev, registry, threads):
    few = first_texts(texts, FIT_TEXTS, registry.parent / "few.jsonl")
    shared = ["--registry", registry, "--no-cache", "--quiet", *threads]
    run(program, "train-gate", "--data", f"{domain}={few}", *shared)
    return json.loads(run(program, "eval", "--data", f"{domain}={dev}", "--json", *shared))["domains"][domain]["expert"]["accuracy"]


def compare(options, domain, folder):
    texts = pathlib.Path(options.data) / domain / "train.jsonl"
    dev = texts.with_name("dev.jsonl")
    if options.texts:
        texts = first_texts(texts, options.texts, folder / f"{domain}.jsonl")
    threads = ["--threads", options.threads] if options.threads else []
    best, accuracy = {}, {}
    for turn in range(options.runs):
        for name, program in (("old", options.old), ("new", options.new)):
            registry = folder / f"{domain}-{name}-{turn}" / "registry"
            registry.parent.mkdir()
            taken = train(program, domain, texts, registry, threads)
            best[name] = tuple(map(min, taken, best.get(name, taken)))
            print(f"{domain} {name} run {turn + 1}: {taken[0]:.1f} s, {taken[1]:.1f} CPU-seconds", file=sys.stderr, flush=True)
            if name not in accuracy:
                accuracy[name] = dev_accuracy(program, domain, texts, dev, registry, threads)
    (old, old_cpu), (new, new_cpu) = best["old"], best["new"]
    print(f"{domain:8s} {old:8.1f} s {new:8.1f} s  {old / new:5.2f}x  CPU {old_cpu:8.1f} s {new_cpu:8.1f} s  {old_cpu / new_cpu:5.2f}x"
          f"  dev {accuracy['old']:.4f} {accuracy['new']:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=os.path.abspath)
    parser.add_argument("new", type=os.path.abspath)
    parser.add_argument("data")
    parser.add_argument("--domains", default="emotion,legal")
    parser.add_argument("--texts", type=int)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for domain in options.domains.split(","):
            compare(options, domain, pathlib.Path(folder))


if __name__ == "__main__":
    main()
