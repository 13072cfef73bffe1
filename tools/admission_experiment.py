#!/usr/bin/env python3
"""Admission, judged on candidates of known worth.

For every seed and domain, four candidates are made and judged against a trained registry:
  flipped   the lexical expert trained on labels that are all moved on by the seed: refuse
  random    a plugin with random logits: refuse
  constant  a plugin that always says the first label: refuse
  clone     the lexical expert trained on a random half of the data with 10 % of its labels changed: admit
Prints the verdicts, and with --check exits 1 unless all are right. Bounds are tuned at seeds 1-5 on
held-out training texts (--split train), and judged at seeds 6-10 on dev.

  tools/admission_experiment.py --registry build/demo/registry --data folder --work build/admission --seeds 6-10
"""
import argparse
import hashlib
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tomllib

EXPECTED = {"flipped": "refuse", "random": "refuse", "constant": "refuse", "clone": "admit"}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="holds bin/moecollab and test-packages/stub")
    parser.add_argument("--registry", type=pathlib.Path, required=True, help="the pool; only its admission/ is written")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="<domain>/{train,dev}.jsonl")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for candidates")
    parser.add_argument("--encoder", type=pathlib.Path, default=pathlib.Path(".deps/encoder/all-MiniLM-L6-v2"))
    parser.add_argument("--cache", type=pathlib.Path, help="feature cache (default: the user's)")
    parser.add_argument("--seeds", default="6-10", help="first-last")
    parser.add_argument("--split", default="dev", choices=("dev", "train"))
    parser.add_argument("--all-domains", action="store_true", help="every domain at every seed, not one per seed in turn")
    parser.add_argument("--kinds", nargs="*", default=list(EXPECTED), choices=list(EXPECTED))
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def moved_labels(examples, labels, seed):
    """Every label becomes another: moved on by 1 to C - 1 places."""
    step = 1 + seed % (len(labels) - 1)
    move = {label: labels[(i + step) % len(labels)] for i, label in enumerate(labels)}
    return [{"text": e["text"], "label": move[e["label"]]} for e in examples]


def noisy_half(examples, labels, seed):
    """A random half, one in ten of whose labels is replaced by a random other."""
    draw = random.Random(seed)
    half = draw.sample(examples, len(examples) // 2)
    wrong = set(draw.sample(range(len(half)), len(half) // 10))
    return [{"text": e["text"], "label": draw.choice([l for l in labels if l != e["label"]]) if i in wrong else e["label"]} for i, e in enumerate(half)]


def toml_text(tables):
    """Enough of TOML for a manifest: tables of strings, numbers, booleans and lists of strings."""
    return "schema = 1\n" + "".join(f"\n[{name}]\n" + "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in table.items()) for name, table in tables.items())


def stub_package(stub, folder, name, domain, space, labels, mode, seed):
    """A package of the stub plugin (tests/candidates) for a domain."""
    manifest = tomllib.loads((stub / "expert.toml").read_text())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    library = next(stub.glob("lib*.so"))
    shutil.copy(library, folder / library.name)
    tables = {"library": manifest["library"],
              "expert": {**manifest["expert"], "id": f"org.moecollab.test.stub.{name}", "name": name},
              "abi": manifest["abi"],
              "task": {"domain": domain, "label_space": space, "labels": labels},
              "input": {"needs": ["text"], "encoder": "none"},
              "output": {"kind": "logits"},
              "config": {"mode": mode, "seed": seed},
              "files": {library.name: hashlib.sha256(library.read_bytes()).hexdigest()}}
    (folder / "expert.toml").write_text(toml_text(tables))
    return folder


class Experiment:
    def __init__(self, options):
        self.options = options
        self.program = options.build / "bin" / "moecollab"
        done = subprocess.run([str(self.program), "experts", "list", "--registry", str(options.registry), "--json"], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        self.spaces = {e["domain"]: (e["label_space"], e["labels"]) for e in json.loads(done.stdout)["experts"] if e["entry"]}
        self.domains = sorted(p.parent.name for p in options.data.glob("*/train.jsonl") if p.parent.name in self.spaces)

    def train(self, name, domain, examples, seed):
        scratch = self.options.work / "scratch"
        file = self.options.work / f"{name}.jsonl"
        file.write_text("".join(json.dumps(e) + "\n" for e in examples))
        shutil.rmtree(scratch / name, ignore_errors=True)
        done = subprocess.run([str(self.program), "train-expert", name, "--kind", "lexical", "--domain", domain, f"--data={domain}={file}",
                               "--registry", str(scratch / name), "--encoder", str(self.options.encoder), "--no-refit", "--no-cache", "--seed", str(seed), "--quiet"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return next((scratch / name / "experts" / name).iterdir())

    def candidate(self, kind, domain, seed):
        space, labels = self.spaces[domain]
        name = f"{kind}-{domain}-{seed}"
        if kind in ("random", "constant"):
            return stub_package(self.options.build / "test-packages" / "stub", self.options.work / name, name, domain, space, labels, kind, seed)
        examples = [json.loads(line) for line in (self.options.data / domain / "train.jsonl").open()]
        examples = (moved_labels if kind == "flipped" else noisy_half)(examples, labels, seed)
        return self.train(name, domain, examples, seed)

    def judge(self, package, seed):
        command = [str(self.program), "admit", str(package), "--registry", str(self.options.registry), "--data-dir", str(self.options.data),
                   "--split", self.options.split, "--seed", str(seed), "--quiet", "--json"]
        if self.options.cache:
            command += ["--cache-dir", str(self.options.cache)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 5, 6) or not done.stdout.startswith('{"schema"'):
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout)


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(options)
    first, _, last = options.seeds.partition("-")
    right, rows = {kind: [0, 0] for kind in options.kinds}, []
    print(f"{'candidate':<28} {'verdict':<10} {'own':>6} {'major':>6} {'change':>8} {'low':>8} {'high':>8} {'z':>7} {'fitted':>8} {'l-o-o':>8} {'Shapley':>8}")
    for seed in range(int(first), int(last or first) + 1):
        for domain in experiment.domains if options.all_domains else [experiment.domains[seed % len(experiment.domains)]]:
            for kind in options.kinds:
                r = experiment.judge(experiment.candidate(kind, domain, seed), seed)
                forced, own, mine = r["forced_share"], r["own_domain"], next(c for c in r["contributions"] if c["candidate"])
                ok = r["verdict"] == EXPECTED[kind]
                right[kind][0] += ok
                right[kind][1] += 1
                rows.append({"kind": kind, "domain": domain, "seed": seed, "right": ok, "verdict": r})
                fitted = r["fitted_gate"]["change"] if r["fitted_gate"] else float("nan")
                print(f"{kind + ' ' + domain + ' ' + str(seed):<28} {r['verdict']:<10} {own['accuracy']:6.3f} {own['majority']:6.3f} {forced['change']:+8.4f} "
                      f"{forced['low']:+8.4f} {forced['high']:+8.4f} {forced['z']:+7.2f} {fitted:+8.4f} {mine['leave_one_out']:+8.4f} {mine['shapley']:+8.4f}"
                      f"{'' if ok else '  WRONG'}", flush=True)
    print(", ".join(f"{kind}: {EXPECTED[kind]} {done}/{total}" for kind, (done, total) in right.items()))
    (options.work / "admission.json").write_text(json.dumps(rows, indent=2))
    if options.check:
        sys.exit(0 if all(done == total for done, total in right.values()) else 1)


if __name__ == "__main__":
    main()
