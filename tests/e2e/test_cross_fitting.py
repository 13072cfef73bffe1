"""Folds, whose models answer what they did not learn, and experts that learn from others."""
import json
import pathlib
import shutil
import tempfile

from harness import ENCODER, SAMPLES, EndToEnd, run

NEWS = 80                # training texts
HELD_OUT_FEELINGS = 12   # a fifth of each of the six labels' 14


class CrossFitting(EndToEnd):
    """Two experts of news with five folds, one of emotion without."""
    _folded = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if CrossFitting._folded is None:
            CrossFitting._folded = tempfile.TemporaryDirectory(prefix="moecollab-e2e.")
            for name, kind, domain, folds in (("news-a", "adapter", "news", 5), ("news-w", "lexical", "news", 5), ("feelings", "adapter", "emotion", 1)):
                done = cls.train(pathlib.Path(CrossFitting._folded.name) / "registry", name, kind, domain, "--folds", folds)
                assert done.returncode == 0, done.stderr

    @classmethod
    def train(cls, registry, name, kind, domain, *more):
        return run("train-expert", name, "--kind", kind, "--domain", domain, "--data-dir", SAMPLES, "--registry", registry, "--encoder", ENCODER,
                   "--cache-dir", cls.shared / "cache", "--epochs", 4, "--quiet", "--json", *more)

    def registry(self):
        copy = self.folder / "registry"
        shutil.copytree(pathlib.Path(CrossFitting._folded.name) / "registry", copy)
        return copy

    def fit(self, registry):
        done = run("train-gate", *self.data("train"), *self.options(registry), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("held-out logits", done.stderr)
        return json.loads(done.stdout)

    def test_the_gate_is_fitted_on_all_texts_that_all_experts_of_a_domain_answered(self):
        registry = self.registry()
        self.assertEqual(self.fit(registry)["texts"], NEWS + HELD_OUT_FEELINGS)
        made = json.loads(self.train(registry, "news-w", "lexical", "news", "--force").stdout)
        self.assertEqual((made["folds"], made["cross_fitted"]), (1, 0))
        self.assertEqual(self.fit(registry)["texts"], made["held_out"] + HELD_OUT_FEELINGS, "one expert of news has no other answers")

    def test_folds_are_recorded_and_change_nothing_that_is_installed(self):
        registry = self.registry()
        made = json.loads(self.train(registry, "again", "adapter", "news", "--folds", 5).stdout)
        self.assertEqual((made["folds"], made["held_out"] + made["cross_fitted"], made["teachers"]), (5, NEWS, []))
        phases = [json.loads(line)["phase"] for line in (registry / "history/again.jsonl").read_text().splitlines()]
        self.assertEqual(list(dict.fromkeys(phases)), ["choose", "fold 2", "fold 3", "fold 4", "fold 5", "refit"])
        inspected = json.loads(run("experts", "inspect", self.package(registry, "again"), "--json").stdout)
        self.assertEqual(inspected["provenance"]["recipe"]["folds"], 5)
        self.assertEqual(self.train(registry, "plain", "adapter", "news").returncode, 0)
        weights = [self.package(registry, name) / "weights.safetensors" for name in ("again", "plain")]
        self.assertEqual(*(file.read_bytes() for file in weights))

    def test_more_folds_than_texts(self):
        done = self.train(self.folder / "new", "many", "lexical", "news", "--folds", 100)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("35 of 100 folds hold no text, and are left out", done.stderr)
        made = json.loads(done.stdout)
        self.assertEqual((made["held_out"], made["cross_fitted"]), (16, 64))

    def test_a_student_learns_from_its_teachers(self):
        registry = self.registry()
        done = self.train(registry, "student", "adapter", "news", "--distill", "news-a,news-w")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("warning", done.stderr)
        made = json.loads(done.stdout)
        self.assertEqual(made["teachers"], ["news-a", "news-w"])
        manifest = json.loads(run("experts", "inspect", self.package(registry, "student"), "--json").stdout)
        distilled = manifest["provenance"]["distilled"]
        self.assertEqual(distilled["texts"], NEWS)
        self.assertEqual(list(distilled["teachers"]), ["news-a", "news-w"])
        weights = [self.package(registry, name) / "weights.safetensors" for name in ("student", "news-a")]
        self.assertNotEqual(*(file.read_bytes() for file in weights), "the same seed and texts, other targets")
        # It counts as any other expert, but cannot be made again of the texts alone.
        self.fit(registry)
        rounds = json.loads(run("train", "--rounds", 1, *self.data("train"), *self.options(registry), "--json").stdout)["rounds"]
        self.assertEqual(set(rounds[1]["experts"]), {"news-a", "news-w", "feelings"})

    def test_what_the_teachers_did_not_answer_is_said(self):
        registry = self.registry()
        self.assertEqual(self.train(registry, "once", "adapter", "news").returncode, 0)
        done = self.train(registry, "student", "adapter", "news", "--distill", "once", "--distill", "news-a")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the teachers have held-out logits for 16 of the 80 texts", done.stderr)
        self.assertIn("--folds 5", done.stderr)

    def test_refusals(self):
        registry = self.registry()

        def student(*more, kind="adapter"):
            return self.train(registry, "student", kind, "news", *more)

        self.assertRefused(student("--folds", 3), 2, "E_CONFIG", "--folds is 3, expected 1, or 5 to 100")
        self.assertRefused(student("--distill", "news-b"), 2, "E_CONFIG", "there is no expert news-b", "did you mean")
        self.assertRefused(student("--distill", "news-a,feelings"), 2, "E_CONFIG", "expert feelings answers in label space emotion/1, the new one in news/1")
        self.assertRefused(student("--distill", "news-a,news-a"), 2, "E_CONFIG", "names news-a twice")
        self.assertRefused(student("--distill", "news-a", kind="lexical"), 5, "E_TRAIN_UNSUPPORTED", "adapter or deep-adapter")
        for library in self.package(registry, "news-w").glob("*.so"):
            library.unlink()
        self.assertRefused(student("--distill", "news-w"), 2, "E_CONFIG", "expert news-w cannot teach")
        (registry / "heldout" / f"{self.digest(registry, 'news-a')}.safetensors").unlink()
        self.assertRefused(student("--distill", "news-a"), 2, "E_CONFIG", "expert news-a has no held-out logits here")
        self.assertFalse((registry / "experts/student").exists())

    def digest(self, registry, name):
        return next(e["sha256"] for e in json.loads(run("experts", "list", "--registry", registry, "--json").stdout)["experts"] if e["name"] == name)
