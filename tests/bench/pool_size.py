#!/usr/bin/env python3
"""What more experts cost: pool_size.py [--registry DIR] [--expert NAME] [--copies 4,128] [--texts N] [--threads N].

Makes registries of that many copies of one installed expert (in a temporary folder, each with a gate of its own) and times
them in turns (`build/bin/bench_pool`): a batch of 32 texts that all experts answer, and one text with the two experts of
the greatest shares. Then it prints the peak memory of `predict` with each.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).parents[2]


def run(*command):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def copies(program, registry, expert, count, folder):
    """A registry with the encoder of `registry` and `count` copies of its expert."""
    package = next((registry / "experts" / expert).iterdir())
    head, *entries = (registry / "registry.toml").read_text(encoding="utf-8").split("[[expert]]")
    entry = next(e for e in entries if f'name = "{expert}"' in e)
    folder.mkdir()
    text = head
    for number in range(count):
        name = f"copy-{number:03d}"
        shutil.copytree(package, folder / "experts" / name / package.name)
        text += "[[expert]]" + entry.replace(f'name = "{expert}"', f'name = "{name}"')
    (folder / "registry.toml").write_text(text, encoding="utf-8")
    domain = expert.rsplit("-", 1)[0]
    run(program, "train-gate", "--registry", folder, "--data", f"{domain}={ROOT / 'samples' / 'data' / domain / 'train.jsonl'}", "--quiet", "--no-cache")
    return folder


def peak_megabytes(program, registry, texts):
    process = subprocess.Popen([str(program), "predict", "--registry", str(registry), "--quiet", str(texts)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"predict ended with {status}")
    return usage.ru_maxrss / 1024


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--registry", type=pathlib.Path, default=ROOT / "build" / "demo" / "registry")
    options.add_argument("--expert", default="news-adapter")
    options.add_argument("--copies", default="4,128", help="how many copies, each a pool (4,128)")
    options.add_argument("--texts", type=int, default=128)
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    program, bench = ROOT / "build" / "bin" / "moecollab", ROOT / "build" / "bin" / "bench_pool"
    lines = [line for file in sorted((ROOT / "samples" / "data").glob("*/dev.jsonl")) for line in file.open(encoding="utf-8")]
    with tempfile.TemporaryDirectory(prefix="moecollab-pool.") as name:
        folder = pathlib.Path(name)
        texts = folder / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": json.loads(line)["text"]}) + "\n" for line in lines[:given.texts]), encoding="utf-8")
        counts = [int(count) for count in given.copies.split(",")]
        pools = [copies(program, given.registry, given.expert, count, folder / f"pool-{count}") for count in counts]
        for batch, top_k in ((32, 0), (1, 2)):
            print(run(bench, texts, batch, top_k, given.threads, *pools), end="", flush=True)
        for count, pool in zip(counts, pools):
            print(f"{count} experts: predict holds {peak_megabytes(program, pool, texts):.0f} MB at its peak")


if __name__ == "__main__":
    main()
