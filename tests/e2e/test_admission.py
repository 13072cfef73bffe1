"""admit: candidates judged against what is installed."""
import json
import shutil
import sys

from harness import BUILD, ENCODER, ROOT, SAMPLES, EndToEnd, run

sys.path.insert(0, str(ROOT / "tools"))
from admission_experiment import moved_labels, noisy_half, stub_package  # noqa: E402

NEWS = ["business", "scitech", "sports", "world"]


class Admit(EndToEnd):
    def admit(self, registry, package, *more, split="dev"):
        return run("admit", package, *self.data(split), *(["--split", split] if split != "train" else []), *self.options(registry), *more)

    def stub(self, mode="constant", space="news/1", labels=NEWS, domain="news", name="stub"):
        return stub_package(BUILD / "test-packages" / "stub", self.folder / name, name, domain, space, labels, mode, 1)

    def verdict(self, done):
        self.assertTrue(done.stdout.startswith('{"schema"'), done.stderr)
        return json.loads(done.stdout)

    def candidate(self, examples, name="candidate"):
        file = self.write(f"{name}.jsonl", "".join(json.dumps(e) + "\n" for e in examples))
        done = run("train-expert", name, "--kind", "lexical", "--domain", "news", f"--data=news={file}", "--registry", self.folder / "scratch",
                   "--encoder", ENCODER, "--no-refit", "--no-cache", "--epochs", 5, "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        return next((self.folder / "scratch" / "experts" / name).iterdir())

    def examples(self):
        return [json.loads(line) for line in open(SAMPLES / "news" / "train.jsonl")]

    def test_worthless_candidates_are_refused_and_nothing_is_installed(self):
        registry = self.registry()
        before = sorted(p for p in registry.rglob("*"))
        for mode in ("constant", "random"):
            package = self.stub(mode, name=mode)
            done = self.admit(registry, package, "--json")
            result = self.verdict(done)
            if mode == "constant":
                self.assertEqual((done.returncode, result["verdict"]), (5, "refuse"))
                self.assertEqual(result["own_domain"]["accuracy"], result["own_domain"]["majority"], "the samples are balanced")
            self.assertLess(result["own_domain"]["accuracy"], 0.5)
            stored = registry / "admission" / (result["candidate"]["sha256"] + ".json")
            self.assertEqual(json.loads(stored.read_text())["verdict"], result["verdict"])
        new = {p.relative_to(registry).parts[0] for p in registry.rglob("*")} - {p.relative_to(registry).parts[0] for p in before}
        self.assertEqual(new, {"admission"})

    def test_flipped_labels_are_refused(self):
        done = self.admit(self.registry(), self.candidate(moved_labels(self.examples(), NEWS, 1)), "--json")
        self.assertEqual((done.returncode, self.verdict(done)["verdict"]), (5, "refuse"))

    def test_an_honest_clone_needs_more_texts_than_the_samples_have(self):
        done = self.admit(self.registry(), self.candidate(noisy_half(self.examples(), NEWS, 1)), "--json")
        result = self.verdict(done)
        self.assertEqual((done.returncode, result["verdict"]), (6, "undecided"), result["reasons"])
        self.assertGreater(result["texts_needed"], 82)

    def test_the_verdict_adds_up(self):
        done = self.admit(self.registry(), self.candidate(noisy_half(self.examples(), NEWS, 2)), "--json")
        result = self.verdict(done)
        forced = result["forced_share"]
        self.assertEqual(forced["n"], 82)
        self.assertAlmostEqual(forced["change"], (forced["fixed"] - forced["broke"]) / 82)
        self.assertEqual(sum(d["fixed"] for d in forced["domains"].values()), forced["fixed"])
        self.assertAlmostEqual(sum(c["shapley"] for c in result["contributions"]), forced["after"], msg="efficiency: the values sum to the whole pool's accuracy")
        mine = [c for c in result["contributions"] if c["candidate"]]
        self.assertEqual(len(mine), 1)
        self.assertAlmostEqual(mine[0]["leave_one_out"], forced["change"], msg="leaving the candidate out undoes the change")
        self.assertEqual(done.stdout, self.admit(self.folder / "registry", self.folder / "scratch" / "experts" / "candidate" / "1.0.0", "--json").stdout, "equal seeds")

    def test_a_packed_candidate_is_judged_as_its_folder(self):
        registry, folder = self.registry(), self.candidate(noisy_half(self.examples(), NEWS, 2))
        self.assertEqual(run("pack", folder, "--output", self.folder / "candidate.moec").returncode, 0)
        one, other = (self.verdict(self.admit(registry, package, "--json")) for package in (folder, self.folder / "candidate.moec"))
        for key in ("candidate", "verdict", "forced_share", "contributions"):
            self.assertEqual(one[key], other[key])

    def test_held_out_training_texts_are_the_default(self):
        done = self.admit(self.registry(), self.candidate(noisy_half(self.examples(), NEWS, 3)), "--json", split="train")
        result = self.verdict(done)
        self.assertEqual(result["split"], "train (held out)")
        self.assertLess(result["forced_share"]["n"], 60)
        self.assertIsNotNone(result["fitted_gate"])
        self.assertIn("may have trained on", " ".join(result["notes"]))

    def test_bad_input(self):
        registry = self.registry()
        self.assertRefused(self.admit(registry, self.folder / "none"), 4, "E_REG_IO", "none")
        self.assertRefused(self.admit(registry, self.package(registry, "news-words")), 2, "E_CONFIG", "installed already")
        self.assertRefused(self.admit(registry, BUILD / "lib" / "moecollab" / "plugins" / "lexical"), 5, "E_DESC_LABELS", "kind")
        self.assertRefused(self.admit(registry, self.stub(space="weather/1", labels=["rain", "sun"], domain="weather")), 3, "E_DATA", "weather")
        self.assertRefused(self.admit(registry, self.stub(labels=["business", "sports"])), 5, "E_DESC_LABELS", "news/1")
        self.assertRefused(self.admit(registry, self.stub(), "--texts", 0), 2, "E_CONFIG", "--texts")
        self.assertRefused(self.admit(registry, self.stub(), "--permutations", 0), 2, "E_CONFIG", "--permutations")
        self.assertFalse((registry / "admission").exists(), "nothing was written")

    def test_damaged_package(self):
        registry = self.registry()
        package = self.stub()
        library = next(package.glob("lib*.so"))
        damaged = bytearray(library.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        library.write_bytes(damaged)
        self.assertRefused(self.admit(registry, package), 5, "E_PLUG_DIGEST", library.name)
        library.unlink()
        self.assertRefused(self.admit(registry, package), 5, "E_PLUG_PATH", library.name)
        (package / "expert.toml").write_text("schema = = 1\n")
        self.assertRefused(self.admit(registry, package), 4, "E_REG_SYNTAX", "expert.toml")

    def test_an_empty_pool_has_nothing_to_judge_against(self):
        registry = self.folder / "r"
        registry.mkdir()
        (registry / "registry.toml").write_text("")
        self.assertRefused(self.admit(registry, self.stub()), 4, "E_REG_EMPTY", "experts add")

    def test_without_a_gate_the_forced_share_still_decides(self):
        registry = self.registry()
        shutil.rmtree(registry / "gate")
        done = self.admit(registry, self.stub(), "--json")
        result = self.verdict(done)
        self.assertEqual((done.returncode, result["fitted_gate"]), (5, None))
        self.assertIn("gate", " ".join(result["notes"]))
