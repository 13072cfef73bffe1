"""Taking a collaboration apart: every step against what `eval` says of the same systems, resumed runs, refusals."""
import json
import shutil
import unittest

import json_keys
from harness import ROOT, SAMPLES, EndToEnd, run


class Ablation(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.samples = cls.shared / "samples"
        for domain in ("news", "emotion"):
            if not (cls.samples / domain).exists():
                shutil.copytree(SAMPLES / domain, cls.samples / domain)

    def ablate(self, registry, *more):
        done = run("ablate", "--data-dir", self.samples, *self.options(registry), "--json", *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_agrees_with_eval_and_continues(self):
        registry = self.registry()
        report = json.loads(self.eval(registry, "--json").stdout)
        found = self.ablate(registry)
        steps = {(s["group"], s["name"], s["gate"]): s for s in found["steps"]}
        self.assertEqual(len(steps), 8 + 5 + 4 + 3 + 3 + (3 + 2) + 4)
        self.assertEqual({s["failure"] for s in found["steps"]}, {None})

        def agrees(figures, system, told=False):
            for domain, ours in figures["domains"].items():
                theirs = report["domains"][domain][system]
                self.assertAlmostEqual(ours["accuracy_task_aware" if told else "accuracy"], theirs["accuracy"], msg=domain)
                self.assertAlmostEqual(ours["macro_f1_task_aware" if told else "macro_f1"], theirs["macro_f1"], msg=domain)

        agrees(found["reference"], "moe")
        self.assertAlmostEqual(found["reference"]["overall"]["routing_accuracy"], report["overall"]["routing_accuracy"])
        self.assertAlmostEqual(found["reference"]["overall"]["n_eff"], report["gate"]["n_eff"], places=5)
        agrees(steps["fusion", "mixture", "same"]["figures"], "moe")
        self.assertEqual(steps["fusion", "mixture", "same"]["change"]["overall"]["change"], 0)
        agrees(steps["gate", "perfect", None]["figures"], "oracle")
        agrees(steps["gate", "off", None]["figures"], "uniform_gate")
        # What `train-gate` fits is what the refit of the gate's own kind fits.
        agrees(steps["gate", "factored", "refitted"]["figures"], "moe")
        masked = json.loads(self.eval(registry, "--json", "--fusion", "masked").stdout)
        for domain, figures in steps["fusion", "masked", "same"]["figures"]["domains"].items():
            self.assertIsNone(figures["accuracy"])
            self.assertAlmostEqual(figures["accuracy_task_aware"], masked["domains"][domain]["moe"]["accuracy_task_aware"])
        for name in ("news-adapter", "news-words", "feelings"):
            alone = steps["single", name, None]
            self.assertEqual(len(alone["figures"]["domains"]), 1)
            for domain, systems in report["domains"].items():
                if systems["expert"]["name"] == name:
                    agrees(alone["figures"], "expert", told=True)
        top_1 = json.loads(self.eval(registry, "--json", "--top-k", "1").stdout)
        self.assertAlmostEqual(steps["top-k", "1", "same"]["figures"]["overall"]["accuracy"], top_1["overall"]["accuracy"])

        self.assertEqual(json_keys.flaws(json_keys.listed((ROOT / "docs/report.md").read_text(), "ablation"), [found], json_keys.names(report)), [])

        impact = {entry["expert"]: entry for entry in found["impact"]}
        self.assertLess(impact["feelings"]["change"], -0.1)  # the only expert of its domain
        self.assertIsNone(impact["feelings"]["through_gate"])
        words = impact["news-words"]
        self.assertAlmostEqual(words["through_gate"], words["change_refitted"] - words["change"])
        self.assertEqual(steps["experts", "feelings", "same"]["change"]["domains"]["emotion"]["after"], 0)

        folder = registry / "ablation"
        self.assertEqual(self.load(folder / "ablation.json"), found)
        self.assertIn("## Without each expert", (folder / "ablation.md").read_text())
        # A run that was killed after three steps.
        lines = (folder / "steps.jsonl").read_text().splitlines(keepends=True)
        (folder / "steps.jsonl").write_text("".join(lines[:3]))
        again = self.ablate(registry)
        finished = [json.loads(line) for line in lines[:3]]
        kept = [s for s in again["steps"] for f in finished if (s["group"], s["name"], s["gate"]) == (f["group"], f["name"], f["gate"])]
        self.assertEqual([s["seconds"] for s in sorted(kept, key=str)], [s["seconds"] for s in sorted(({k: v for k, v in f.items() if k != "digest"} for f in finished), key=str)])
        for document in (found, again):
            for step in document["steps"]:
                del step["seconds"]
            del document["seconds"]
        self.assertEqual(again, found)

    def test_refusals(self):
        registry = self.shared / "registry"
        base = ["ablate", *self.options(registry), "--out", self.folder / "out"]
        self.assertRefused(run(*base, *self.data("dev")), 2, "E_CONFIG", "--data-dir alone")
        self.assertRefused(run(*base, "--data-dir", self.samples, "--split", "train"), 2, "E_CONFIG", "judge on dev or test")
        self.assertRefused(run(*base, "--data-dir", self.samples, "--only", "fusions"), 2, "E_CONFIG", "there is no ablation fusions", "padding")
        self.assertRefused(run("ablate", "--data-dir", self.samples, "--registry", self.folder / "none", "--quiet", "--out", self.folder / "out"), 4, "E_REG")
        blocked = self.write("blocked", "")
        self.assertRefused(run(*base[:-1], blocked / "x", "--data-dir", self.samples), 7, "E_WRITE")


if __name__ == "__main__":
    unittest.main()
