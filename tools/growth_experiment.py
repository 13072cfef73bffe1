#!/usr/bin/env python3
"""Growth, judged by leaving one domain out at a time.

For every domain of a trained registry: fit the gate on the other domains, grow it by the left-out
domain's experts on N of its texts, and evaluate on the dev files; beside it the gate refitted on
everything. Prints a table, and with --check exits 1 unless every domain reaches the goals: at least
96 % of the full refit's accuracy on the new domain and overall, old domains at most 0.5 points
down, the row in at most 1 s. With --no-eval the drop is on texts that the rows were fitted on.

  tools/growth_experiment.py --registry build/demo/registry --data samples/data --work build/growth
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys

GOAL_RATIO, GOAL_DROP, GOAL_SECONDS = 0.96, 0.005, 1.0


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=pathlib.Path("build/bin/moecollab"))
    parser.add_argument("--registry", type=pathlib.Path, required=True, help="trained on all domains; copied, never changed")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="<domain>/{train,dev}.jsonl")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for the copies")
    parser.add_argument("--cache", type=pathlib.Path, help="feature cache (default: the user's)")
    parser.add_argument("--domains", nargs="*", help="domains to leave out (default: each in turn)")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train-gate", default="", help="further options of `train-gate`, as one string")
    parser.add_argument("--grow", default="", help="further options of `grow`, as one string")
    parser.add_argument("--no-eval", action="store_true", help="held-out training texts only: for choosing options, never on dev")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


class Experiment:
    def __init__(self, options):
        self.options = options
        self.domains = sorted(p.parent.name for p in options.data.glob("*/train.jsonl"))
        self.experts = self.experts_by_domain()

    def run(self, verb, *arguments, registry):
        command = [str(self.options.program), verb, *map(str, arguments), "--registry", str(registry), "--quiet", "--json"]
        if self.options.cache and verb != "experts":
            command += ["--cache-dir", str(self.options.cache)]
        if verb == "experts":
            command = [c for c in command if c != "--quiet"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout)

    def experts_by_domain(self):
        result = {}
        for expert in self.run("experts", "list", registry=self.options.registry)["experts"]:
            if expert["entry"]:
                result.setdefault(expert["domain"], []).append(expert["name"])
        return result

    def files(self, domains, split):
        return [f"--data={d}={self.options.data}/{d}/{split}.jsonl" for d in domains]

    def copy(self, name):
        target = self.options.work / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.options.registry, target)
        return target

    @staticmethod
    def enable(registry, names, enabled):
        path = registry / "registry.toml"
        text = path.read_text()
        for name in names:
            if enabled:
                text = text.replace(f'name = "{name}"\nenabled = false\n', f'name = "{name}"\n')
            else:
                text, count = re.subn(rf'^name = "{re.escape(name)}"\n', f'name = "{name}"\nenabled = false\n', text, flags=re.M)
                assert count == 1, name
        path.write_text(text)

    def train_gate(self, registry, domains):
        self.run("train-gate", *self.files(domains, "train"), "--seed", self.options.seed, *self.options.train_gate.split(), registry=registry)

    def full_refit(self):
        registry = self.copy("full")
        self.train_gate(registry, self.domains)
        return None if self.options.no_eval else self.evaluate(registry, self.domains)

    def evaluate(self, registry, domains):
        report = self.run("eval", *self.files(domains, "dev"), registry=registry)
        return {"overall": report["overall"]["accuracy"], **{d: report["domains"][d]["moe"]["accuracy"] for d in domains}}

    def leave_out(self, domain, full):
        registry = self.copy(domain)
        others = [d for d in self.domains if d != domain]
        newcomers = self.experts[domain]
        self.enable(registry, newcomers, False)
        self.train_gate(registry, others)
        before = None if self.options.no_eval else self.evaluate(registry, others)
        self.enable(registry, newcomers, True)
        grown = self.run("grow", *newcomers, *self.files(self.domains, "train"), "--texts", self.options.texts, "--seed", self.options.seed,
                         *self.options.grow.split(), registry=registry)
        held_out = {"new": grown["new_domain"]["after"], "drop": max(d["before"] - d["after"] for d in grown["old_domains"].values())}
        row = {"domain": domain, "seconds": grown["fit_seconds"], "guard": grown["guard"], "held_out": held_out}
        if not self.options.no_eval:
            after = self.evaluate(registry, self.domains)
            row |= {"full_new": full[domain], "new": after[domain], "full": full["overall"], "overall": after["overall"],
                    "drop": max(before[d] - after[d] for d in others)}
        return row


def reached(row):
    return (row["new"] >= GOAL_RATIO * row["full_new"] and row["overall"] >= GOAL_RATIO * row["full"] and row["drop"] <= GOAL_DROP
            and row["seconds"] <= GOAL_SECONDS)


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(options)
    full = experiment.full_refit()
    rows = []
    if options.no_eval:
        print(f"{'left out':<10} {'new, held out':>13} {'worst drop':>10} {'row s':>6}  guard")
    else:
        print(f"{'left out':<10} {'new: full':>9} {'grown':>7} {'ratio':>7} {'all: full':>9} {'grown':>7} {'ratio':>7} {'old, worst':>10} {'row s':>6}  guard, goals")
    for domain in options.domains or experiment.domains:
        row = experiment.leave_out(domain, full)
        rows.append(row)
        if options.no_eval:
            print(f"{domain:<10} {row['held_out']['new']:13.4f} {-100 * row['held_out']['drop']:+10.2f} {row['seconds']:6.2f}  {row['guard']}", flush=True)
            continue
        print(f"{domain:<10} {row['full_new']:9.4f} {row['new']:7.4f} {row['new'] / row['full_new']:7.1%} {row['full']:9.4f} {row['overall']:7.4f} "
              f"{row['overall'] / row['full']:7.1%} {-100 * row['drop']:+10.2f} {row['seconds']:6.2f}  {row['guard']}, {'reached' if reached(row) else 'MISSED'}",
              flush=True)
    (options.work / "growth.json").write_text(json.dumps(rows, indent=2))
    if options.check and not options.no_eval:
        sys.exit(0 if all(map(reached, rows)) else 1)


if __name__ == "__main__":
    main()
