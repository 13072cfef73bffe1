"""A gate fitted in fp32 and used in another precision: the record that `eval` writes, and what allows what."""
import json
import unittest

from harness import EndToEnd, run

TEXT = "the striker scored twice in the final\n"


def precisions():
    """What this CPU computes in, beside fp32."""
    return [p for p in json.loads(run("doctor", "--json").stdout)["engine"]["precisions"] if p != "fp32"]


class WithAnotherPrecision(EndToEnd):
    def setUp(self):
        super().setUp()
        if not precisions():
            self.skipTest("this CPU computes in fp32 only: it lacks AVX512_BF16 and AVX512_VNNI")
        self.precision = precisions()[-1]
        self.copy = self.registry()

    def predict(self, precision, *more):
        return run("predict", "-", "--registry", self.copy, "--precision", precision, *more, stdin=TEXT)

    def record(self):
        """The one record of the precision, after an evaluation in it."""
        done = self.eval(self.copy, "--precision", self.precision, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        paths = list((self.copy / "precision").glob(f"{self.precision}-*.json"))
        self.assertEqual([report["precision"].pop("file")], [str(p) for p in paths])
        self.assertEqual(report["precision"], self.load(paths[0]))
        return paths[0], report

    def rewrite(self, path, **keys):
        record = {**self.load(path), **keys}
        path.write_text(json.dumps(record))

    def passing(self):
        """A record that passes whatever this CPU's kernels give, and is faster whatever else ran meanwhile."""
        path, _ = self.record()
        self.rewrite(path, passes=True, reasons=[], texts_per_second_against=100.0, texts_per_second=300.0)
        return path

    def test_eval_records_both_precisions_on_the_same_texts(self):
        path, report = self.record()
        record = self.load(path)
        self.assertEqual((record["schema"], record["precision"], record["against"]), ("moecollab.precision/1", self.precision, "fp32"))
        self.assertEqual(report["provenance"]["precision"], self.precision)
        fp32 = json.loads(self.eval(self.copy, "--json").stdout)
        self.assertNotIn("precision", fp32, "nothing to compare")
        for domain in record["domains"]:
            name = domain["domain"]
            self.assertAlmostEqual(domain["accuracy"], report["domains"][name]["moe"]["accuracy"])
            self.assertAlmostEqual(domain["accuracy_against"], fp32["domains"][name]["moe"]["accuracy"])
            self.assertEqual(domain["n"], fp32["domains"][name]["n"])
            self.assertEqual(domain["data"], fp32["provenance"]["data"][name])
            self.assertAlmostEqual(domain["n"] * (domain["accuracy"] - domain["accuracy_against"]), domain["fixed"] - domain["broke"])
            self.assertGreaterEqual(domain["flips"], domain["fixed"] + domain["broke"])
        self.assertEqual({d["domain"] for d in record["domains"]}, {"news", "emotion"})
        self.assertEqual(record["overall"]["n"], sum(d["n"] for d in record["domains"]))
        self.assertEqual(record["passes"], not record["reasons"])
        self.assertGreater(record["texts_per_second"], 0)
        self.assertTrue(record["cpu_name"])
        self.assertIn(record["use"]["cpu_class"], path.name)

    def test_eval_prints_the_comparison(self):
        done = run("eval", *self.data("dev"), "--registry", self.copy, "--cache-dir", self.shared / "cache", "--precision", self.precision)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("flips", done.stdout)
        self.assertRegex(done.stdout, rf"fp32: \d+ texts/s, {self.precision}: \d+ texts/s; {self.precision} (passes|does not pass: )")
        self.assertIn(f"precision/{self.precision}-", done.stderr)

    def test_a_domain_that_was_not_evaluated_does_not_pass(self):
        done = run("eval", self.data("dev")[0], *self.options(self.copy), "--precision", self.precision, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("no text of label space emotion", " ".join(json.loads(done.stdout)["precision"]["reasons"]))
        self.assertRefused(self.predict(self.precision), 4, "E_GATE", "did not pass", "emotion")

    def test_predict_needs_a_record_that_passes(self):
        self.assertRefused(self.predict(self.precision), 4, "E_GATE", "fitted in fp32", f"no record of {self.precision}",
                           f"moecollab eval --precision {self.precision}", "--precision fp32")
        path = self.passing()
        done = self.predict(self.precision)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"fitted in fp32 and is used in {self.precision}", done.stderr)
        self.assertEqual(json.loads(done.stdout)["label_space"].split("/")[0], "news")
        self.assertRefused(self.predict(self.precision, "--top-k", 1), 4, "E_GATE", "another fusion or top-k")
        self.rewrite(path, passes=False, reasons=["accuracy falls by 9 points"])
        self.assertRefused(self.predict(self.precision), 4, "E_GATE", "did not pass", "9 points")
        path.write_text("{")
        self.assertRefused(self.predict(self.precision), 4, "E_REG_SYNTAX", path.name, "moecollab eval")

    def test_a_record_of_another_gate_or_choice_of_experts_does_not_count(self):
        self.passing()
        registry = self.copy / "registry.toml"
        before = registry.read_text()
        registry.write_text(before.replace('name = "news-words"', 'name = "news-words"\nenabled = false'))
        self.assertRefused(self.predict(self.precision), 4, "E_GATE", "another choice of experts")
        registry.write_text(before)
        gate = self.copy / "gate" / "gate.toml"
        gate.write_text(gate.read_text() + "\n")
        self.assertRefused(self.predict(self.precision), 4, "E_GATE", "another gate")

    def test_auto_is_the_fastest_that_a_record_allows(self):
        done = self.predict("auto")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("precision auto: fp32: no other precision has a record", done.stderr)
        plain = self.predict("fp32")
        self.assertEqual(plain.stdout, done.stdout)
        path = self.passing()
        done = self.predict("auto")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"precision auto: {self.precision}, by its record 3.00 times as fast as fp32", done.stderr)
        self.assertEqual(done.stdout, self.predict(self.precision).stdout)
        report = json.loads(self.eval(self.copy, "--precision", "auto", "--json").stdout)
        self.assertEqual(report["provenance"]["precision"], self.precision)
        self.assertNotIn("precision", report, "nothing is judged")
        self.rewrite(path, texts_per_second=90.0)
        self.assertIn("precision auto: fp32", self.predict("auto").stderr)
        self.assertEqual(json.loads(self.eval(self.copy, "--precision", "auto", "--json").stdout)["provenance"]["precision"], "fp32")

    def test_what_learns_takes_fp32_only(self):
        package = self.package(self.copy, "news-words")
        for verb in (["train-gate", *self.data("train")], ["train-expert", "x", "--kind", "lexical", "--domain", "news", *self.data("train")],
                     ["train-baseline", "head", *self.data("train")], ["train", "--rounds", 1, *self.data("train")],
                     ["grow", "news-words", *self.data("train")], ["admit", package, *self.data("train")], ["sweep", *self.data("train")]):
            with self.subTest(verb[0]):
                done = run(*verb, *self.options(self.copy), "--precision", self.precision)
                self.assertRefused(done, 2, "E_CONFIG", "fp32", self.precision, "not in this version")

    def test_probe_vectors_are_those_of_fp32(self):
        """An expert is the same in whatever precision it is opened: its probe vectors were made in fp32."""
        (self.copy / "registry.lock.toml").unlink()
        done = run("experts", "verify", "--registry", self.copy, "--precision", self.precision, "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        experts = {e["name"]: (e["state"], e["probe"]) for e in json.loads(done.stdout)["experts"]}
        self.assertEqual(experts, dict.fromkeys(("news-adapter", "news-words", "feelings"), ("ready", "passed")))


class InFp32(EndToEnd):
    def test_a_gate_says_what_it_was_fitted_in(self):
        registry = self.registry()
        gate = registry / "gate" / "gate.toml"
        text = gate.read_text()
        self.assertIn('precision = "fp32"\n', text)
        answer = run("predict", "-", "--quiet", "--registry", registry, stdin=TEXT)
        gate.write_text(text.replace('precision = "fp32"\n', ""))
        old = run("predict", "-", "--quiet", "--registry", registry, stdin=TEXT)
        self.assertEqual((old.returncode, old.stdout), (0, answer.stdout), "an older gate is one of fp32")
        gate.write_text(text.replace('precision = "fp32"\n', 'precision = "int8"\n'))
        self.assertRefused(run("predict", "-", "--registry", registry, stdin=TEXT), 4, "E_GATE", "fitted in int8", "asked for is fp32", "train-gate")
        gate.write_text(text.replace('precision = "fp32"\n', 'precision = "int4"\n'))
        self.assertRefused(self.eval(registry), 4, "E_GATE", "precision", "fp32, fp16, bf16 or int8")

    def test_auto_where_no_gate_is_used_is_fp32(self):
        output = self.folder / "features.safetensors"
        texts = self.write("texts.txt", TEXT)
        done = run("encode", "--input", texts, "--output", output, "--precision", "auto", "--registry", self.shared / "registry")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("precision auto: fp32", done.stderr)


if __name__ == "__main__":
    unittest.main()
