"""Taking a collaboration apart: every step against what `eval` says of the same systems, resumed runs, refusals."""
import json
import re
import shutil
import unittest

import json_keys
from harness import ENCODER, ROOT, SAMPLES, EndToEnd, run


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
        # A version that lies beside the selected one.
        texts = [json.loads(line) for line in (SAMPLES / "news/train.jsonl").read_text().splitlines()]
        worse = self.write("worse.jsonl", "".join(json.dumps({"text": t["text"], "label": other["label"]}) + "\n" for t, other in zip(texts, texts[7:] + texts[:7])))
        done = run("train-expert", "news-words", "--kind", "lexical", "--domain", "news", f"--data=news={worse}", "--force", *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("experts", "rollback", "--registry", registry).returncode, 0)
        report = json.loads(self.eval(registry, "--json").stdout)
        found = self.ablate(registry)
        steps = {(s["group"], s["name"], s["gate"]): s for s in found["steps"]}
        self.assertEqual(len(steps), 8 + 5 + 4 + 3 + 3 + (3 + 2) + 4 + 9 + 2)
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

        impact = {entry["expert"]: entry for entry in found["impact"] if entry["upgrade"] is None}
        self.assertLess(impact["feelings"]["change"], -0.1)  # the only expert of its domain
        self.assertIsNone(impact["feelings"]["through_gate"])
        words = impact["news-words"]
        self.assertAlmostEqual(words["through_gate"], words["change_refitted"] - words["change"])
        self.assertEqual(steps["experts", "feelings", "same"]["change"]["domains"]["emotion"]["after"], 0)

        self.assertEqual(steps["lambda", "none", "refitted"]["figures"], steps["fusion", "mixture", "refitted"]["figures"])
        self.assertNotEqual(steps["lambda", "lambda2 1", "refitted"]["figures"]["overall"]["n_eff"], steps["lambda", "none", "refitted"]["figures"]["overall"]["n_eff"])
        # An upgrade on probation, and fitted again, against the registry upgraded for real.
        upgraded = self.folder / "upgraded"
        shutil.copytree(registry, upgraded)
        self.assertEqual(run("experts", "upgrade", "news-words", "--registry", upgraded).returncode, 0)
        for gate, fit in (("same", None), ("refitted", ["train-gate", *self.data("train")])):
            if fit:
                self.assertEqual(run(*fit, *self.options(upgraded)).returncode, 0)
            step = steps["upgrades", "news-words", gate]
            self.assertEqual(step["version"], "1.0.1")
            figures = json.loads(self.eval(upgraded, "--json").stdout)["domains"]
            for domain, ours in step["figures"]["domains"].items():
                self.assertAlmostEqual(ours["accuracy"], figures[domain]["moe"]["accuracy"], msg=(gate, domain))
            self.assertAlmostEqual(step["change"]["overall"]["before"], found["reference"]["overall"]["accuracy"])
        self.assertLess(steps["upgrades", "news-words", "same"]["change"]["overall"]["change"], 0, "its labels are another text's")
        entry = next(e for e in found["impact"] if e["upgrade"])
        self.assertEqual((entry["expert"], entry["upgrade"]), ("news-words", "1.0.1"))
        self.assertEqual(entry["change"], steps["upgrades", "news-words", "same"]["change"]["overall"]["change"])

        folder = registry / "ablation"
        self.assertEqual(self.load(folder / "ablation.json"), found)
        self.assertIn("## Without each expert", (folder / "ablation.md").read_text())
        # A run that was killed eight steps before its end.
        lines = (folder / "steps.jsonl").read_text().splitlines(keepends=True)
        (folder / "steps.jsonl").write_text("".join(lines[:-8]))
        again = self.ablate(registry)
        finished = [json.loads(line) for line in lines[:-8]]
        kept = [s for s in again["steps"] for f in finished if (s["group"], s["name"], s["gate"]) == (f["group"], f["name"], f["gate"])]
        self.assertEqual([s["seconds"] for s in sorted(kept, key=str)], [s["seconds"] for s in sorted(({k: v for k, v in f.items() if k != "digest"} for f in finished), key=str)])
        for document in (found, again):
            for step in document["steps"]:
                del step["seconds"]
            del document["seconds"]
        self.assertEqual(again, found)

    def test_every_kind_of_registry(self):
        """Another fusion than the factored gate's, all experts asked by number, a cap, z-loss, an expert without a row."""
        registry = self.registry()
        fusions = self.ablate(registry, "--fusion", "masked", "--only", "gate")
        self.assertIsNone(fusions["reference"]["overall"]["accuracy"])
        self.assertNotIn("factored", [s["name"] for s in fusions["steps"]])
        before = self.ablate(registry, "--top-k", 3, "--only", "experts")
        self.assertEqual({s["failure"] for s in before["steps"]}, {None})
        settings = registry / "registry.toml"
        text = settings.read_text()
        settings.write_text(text.replace('name = "news-adapter"\n', 'name = "news-adapter"\nweight_cap = 0.01\n'))
        self.assertNotEqual(settings.read_text(), text)
        capped = self.ablate(registry, "--top-k", 3, "--only", "experts")
        self.assertNotEqual(capped["digest"], before["digest"])
        self.assertNotEqual(capped["reference"], before["reference"])
        for step in capped["steps"]:
            self.assertAlmostEqual(step["change"]["overall"]["before"], capped["reference"]["overall"]["accuracy"])
        settings.write_text(text)
        done = run("train-gate", *self.data("train"), *self.options(registry), "--gate", "linear", "--z-loss", 0.01, "--epochs", 3)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([s["name"] for s in self.ablate(registry, "--only", "gate")["steps"]], ["off", "perfect", "linear", "mlp"])
        done = run("train-expert", "more", "--kind", "lexical", "--domain", "emotion", *self.data("train")[1:], *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRefused(run("ablate", "--data-dir", self.samples, *self.options(registry)), 4, "E_GATE", "expert more has no row in the gate", "train-gate")

    def test_an_upgrade_that_is_refused_is_said_and_tried_again(self):
        registry = self.registry()
        done = run("train-expert", "news-words", "--kind", "lexical", "--domain", "news", *self.data("train")[:1], "--force", "--seed", 7, *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("experts", "rollback", "--registry", registry).returncode, 0)
        settings = registry / "registry.toml"
        settings.write_text(settings.read_text() + '\n[policy]\non_missing = "skip"\n')
        weights = registry / "experts/news-words/1.0.1/weights.safetensors"
        weights.chmod(0o644)
        good = weights.read_bytes()
        weights.write_bytes(good[:-1])
        for step in self.ablate(registry, "--only", "upgrades")["steps"]:
            self.assertRegex(step["failure"], r"news-words 1\.0\.1: E_PLUG_DIGEST: ")
            self.assertIsNone(step["change"])
        weights.write_bytes(good)
        self.assertEqual({s["failure"] for s in self.ablate(registry, "--only", "upgrades")["steps"]}, {None})

    def test_refusals(self):
        registry = self.shared / "registry"
        base = ["ablate", *self.options(registry), "--out", self.folder / "out"]
        self.assertRefused(run(*base, *self.data("dev")), 2, "E_CONFIG", "--data-dir alone")
        self.assertRefused(run(*base, "--data-dir", self.samples, "--split", "train"), 2, "E_CONFIG", "judge on dev or test")
        self.assertRefused(run(*base, "--data-dir", self.samples, "--only", "fusions"), 2, "E_CONFIG", "there is no ablation fusions", "padding")
        self.assertRefused(run("ablate", "--data-dir", self.samples, "--registry", self.folder / "none", "--quiet", "--out", self.folder / "out"), 4, "E_REG")
        blocked = self.write("blocked", "")
        self.assertRefused(run(*base[:-1], blocked / "x", "--data-dir", self.samples), 7, "E_WRITE")


class Diagnosis(EndToEnd):
    """Signs provoked in a real registry. The samples' own experts are no better than they are, so each test looks for its sign."""

    def signs(self, registry, *more):
        done = self.eval(registry, "--json", *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return {(f["sign"], f["subject"]): f for f in json.loads(done.stdout)["diagnosis"]}

    def fitted(self, *more):
        registry = self.registry()
        done = run("train-gate", *self.data("train"), *self.options(registry), *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return registry

    def test_a_healthy_registry_shows_nothing_and_wrong_temperatures_show(self):
        registry = self.fitted("--calibrate", "--gate", "linear")
        self.assertEqual(self.signs(registry, "--diagnose"), {})
        gate = registry / "gate" / "gate.toml"
        text = gate.read_text()
        for temperature, sign in ((0.02, "overconfident-expert"), (50, "underconfident-expert")):
            changed = re.sub(r"(name = ['\"]news-adapter['\"](?:\n(?!\[).*)*?\ntemperature = )[\d.]+", rf"\g<1>{float(temperature)}", text)
            self.assertNotEqual(changed, text)
            gate.write_text(changed)
            self.assertEqual(list(self.signs(registry)), [(sign, "news-adapter")])

    def test_a_gate_that_collapsed(self):
        prior = self.write("prior.toml", "news-adapter = 1000000\nnews-words = 1000000\nfeelings = 1\n")
        registry = self.fitted("--gate", "linear", "--optimizer", "lbfgs", "--lambda2", 100000, "--weight-decay", 0, "--prior", prior)
        found = self.signs(registry)
        self.assertIn(("collapse", ""), found)
        self.assertLess(found["collapse", ""]["figure"], 0.5)
        self.assertIn("collapse: the gate uses 1.", self.eval(registry).stdout)

    def test_gradients_in_padded_columns(self):
        found = self.signs(self.shared / "registry", "--fusion", "paper")
        self.assertGreater(found["padded-gradients", "paper"]["figure"], 0.05)
        self.assertIn(("padded-gradients", "masked"), self.signs(self.shared / "registry", "--fusion", "masked"))

    def test_texts_of_another_kind_than_the_gate_was_fitted_on(self):
        registry, monitor = self.fitted(), self.folder / "monitor.jsonl"
        self.assertNotIn(("drift", "load"), self.signs(registry))
        texts = [json.loads(line) for domain in ("emotion", "news") for line in (SAMPLES / domain / "dev.jsonl").read_text().splitlines()]
        alike = self.write("alike.jsonl", "".join(json.dumps({"text": t["text"]}) + "\n" for t in texts))
        news = self.write("news.jsonl", "".join(json.dumps({"text": t["text"]}) + "\n" for t in texts[42:]))
        watched = ["--monitor", monitor, "--monitor-window", 40, *self.options(registry)[:2], "--quiet"]
        quiet = run("predict", alike, *watched[:2], *watched[4:])
        self.assertEqual((quiet.returncode, quiet.stderr), (0, ""))
        shifted = run("predict", news, *watched)
        self.assertEqual(shifted.returncode, 0, shifted.stderr)
        self.assertIn("drift in the last 40 texts: weight of the experts", shifted.stderr)
        self.assertEqual(shifted.stdout, run("predict", news, *watched[4:]).stdout, "the answers are as they are without it")
        lines = [json.loads(line) for line in monitor.read_text().splitlines()]
        self.assertEqual([line["texts"] for line in lines], [82, 40])
        self.assertLess(lines[0]["load"]["psi"], 0.25)
        self.assertGreater(lines[1]["load"]["psi"], max(0.25, lines[1]["load"]["band"][1]))
        self.assertTrue(all(cell["now"] > cell["before"] for cell in lines[1]["load"]["cells"] if cell["name"].startswith("news")))
        # An evaluation says which domains its texts are of, so the same texts are as expected there.
        one = run("eval", f"--data=news={SAMPLES}/news/dev.jsonl", *self.options(registry), "--monitor", monitor, "--json", "--html", self.folder / "r.html")
        report = json.loads(one.stdout)
        self.assertNotIn("drift", [f["sign"] for f in report["diagnosis"]])
        self.assertEqual([entry["by"] for entry in report["drift"]["history"]], ["predict", "predict", "eval"])
        self.assertEqual(report["drift"]["history"][1]["load"], lines[1]["load"]["psi"])
        self.assertIn("Drift over time", (self.folder / "r.html").read_text())
        self.assertRefused(run("predict", news, *watched[:2], "--monitor-window", 29, *watched[4:]), 2, "E_CONFIG", "monitor-window is 29")
        self.assertRefused(run("predict", news, "--monitor", alike, *watched[2:]), 3, "E_DATA", "alike.jsonl:1 is no line of --monitor")
        self.assertEqual(run("experts", "disable", "feelings", "--registry", registry).returncode, 0)
        without = run("eval", f"--data=news={SAMPLES}/news/dev.jsonl", *self.options(registry), "--monitor", monitor, "--json")
        self.assertIsNone(json.loads(without.stdout)["drift"])
        self.assertIn("drift is null: the gate was fitted with feelings, which takes no part now", without.stderr)
        self.assertRefused(run("predict", news, *watched), 4, "E_GATE", "nothing to compare with", "feelings")

    def test_a_hold_out_that_leaks(self):
        registry = self.folder / "registry"
        # Every text twice, but for a blank: one copy is held out, the other learnt by heart.
        lines = [json.loads(line) for line in (SAMPLES / "emotion/train.jsonl").read_text().splitlines()]
        twice = [{**line, "text": line["text"] + end} for line in lines for end in ("", " .", " !", " ;")]
        train = self.write("train.jsonl", "".join(json.dumps(line) + "\n" for line in twice))
        labels = sorted({line["label"] for line in lines})
        shuffled = [{**line, "label": labels[i % len(labels)]} for i, line in enumerate(lines)]
        noise = self.write("noise.jsonl", "".join(json.dumps(line) + "\n" for line in shuffled))
        for name, file in (("leaky", train), ("noisy", noise)):
            done = run("train-expert", name, "--kind", "lexical", "--domain", "emotion", f"--data=emotion={file}", "--registry", registry, "--encoder", ENCODER,
                       "--cache-dir", self.shared / "cache", "--quiet")
            self.assertEqual(done.returncode, 0, done.stderr)
        done = run("train-gate", f"--data=emotion={train}", *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = run("eval", f"--data=emotion={SAMPLES}/emotion/dev.jsonl", *self.options(registry), "--json")
        found = {(f["sign"], f["subject"]) for f in json.loads(done.stdout)["diagnosis"]}
        self.assertIn(("leaky-hold-out", "leaky"), found)
        self.assertNotIn(("leaky-hold-out", "noisy"), found)


if __name__ == "__main__":
    unittest.main()
