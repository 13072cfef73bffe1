#!/usr/bin/env python3
"""What it costs to run every expert in a process of its own: isolation.py [--registry DIR] [--data-dir DIR] [--rounds N].

Evaluates the texts (the samples if no others are named) in turns with all experts in the program's process and with none, and prints the ratio
of the seconds that the reports state (answering) and of those that the clock shows (start and end included), medians of each.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).parents[2]


def evaluate(registry, data, isolation):
    start = time.monotonic()
    done = subprocess.run([ROOT / "build/bin/moecollab", "eval", "--registry", registry, "--data-dir", data, "--no-cache", "--json",
                           "--quiet", "--isolation", isolation], stdout=subprocess.PIPE, check=True)
    report = json.loads(done.stdout)
    ran = {e["isolation"] for e in report["experts"]}
    return report["compute"]["seconds"], time.monotonic() - start, ran, len(report["experts"]), sum(d["n"] for d in report["domains"].values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", type=pathlib.Path, default=ROOT / "build/demo/registry")
    parser.add_argument("--data-dir", type=pathlib.Path, default=ROOT / "samples/data")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    runs = {"auto": [], "process": []}
    for number in range(args.rounds):
        for isolation in sorted(runs, reverse=number % 2 == 1):
            runs[isolation].append(evaluate(args.registry, args.data_dir, isolation))
    answering, whole = ([statistics.median(run[i] for run in runs[isolation]) for isolation in ("auto", "process")] for i in (0, 1))
    where = {isolation: "/".join(sorted(runs[isolation][0][2])) for isolation in runs}
    experts, texts = runs["auto"][0][3:]
    print(f"eval of {experts} experts on {texts} texts, {where['process']} beside {where['auto']}: {answering[1] / answering[0]:.3f} of the time to "
          f"answer ({answering[0]:.3f} s), {whole[1] / whole[0]:.3f} of the whole ({whole[0]:.2f} s)")


if __name__ == "__main__":
    main()
