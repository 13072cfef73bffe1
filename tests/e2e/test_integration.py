"""experts add and upgrade with data: judged, given a row and installed in one change, each step kept; probation and its end."""
import hashlib
import json
import shutil
import subprocess
import sys
import unittest

from harness import ENCODER, ROOT, SAMPLES, EndToEnd, run
from test_isolation import MANIFEST

sys.path.insert(0, str(ROOT / "tools"))
from admission_experiment import moved_labels  # noqa: E402

NEWS = ["business", "scitech", "sports", "world"]
TEXT = "the striker scored twice before half time\n"
# Writes a file wherever it is asked to, and answers as if nothing had happened.
WRITER = """
#include <moecollab/text_expert.h>
static const moec_string kLabels[] = {%s};
static void score(moec_string text, float* logits) {
  FILE* file = fopen("%s", "w");
  if (file != NULL) fclose(file);
  logits[text.size %% 4] = 1;
}
MOEC_TEXT_EXPERT("org.example.fickle", "1.0.0", kLabels, score);
"""


class Integration(EndToEnd):
    def trained(self, name="fresh-words", registry="scratch", examples=None, *more):
        """A lexical package of news from another registry."""
        data = f"--data=news={SAMPLES}/news/train.jsonl"
        if examples is not None:
            data = "--data=news=" + str(self.write(f"{name}.jsonl", "".join(json.dumps(e) + "\n" for e in examples)))
        done = run("train-expert", name, "--kind", "lexical", "--domain", "news", data, "--registry", self.folder / registry,
                   "--encoder", ENCODER, "--no-cache", "--quiet", *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return max((self.folder / registry / "experts" / name).iterdir())

    def examples(self):
        return [json.loads(line) for line in (SAMPLES / "news/train.jsonl").read_text().splitlines()]

    def repeated(self, name, times):
        """The texts of news, each once per number of times that it is said over: enough of them to decide."""
        return self.write(name, "".join(json.dumps({"text": " ".join([e["text"]] * n), "label": e["label"]}) + "\n" for e in self.examples() for n in times))

    def experts(self, verb, registry, *more):
        cache = self.options(registry) if verb in ("add", "upgrade") else ["--registry", registry]
        return run("experts", verb, *more, *cache)

    def state(self, registry):
        """The files that a change replaces, and the packages."""
        files = [p for p in registry.rglob("*") if p.is_file() and p.relative_to(registry).parts[0] in ("experts", "gate", "registry.toml", "registry.lock.toml")]
        return {str(p.relative_to(registry)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    def why(self, registry, name):
        return json.loads(run("experts", "why", name, "--registry", registry, "--json").stdout)

    def shares(self, registry):
        return json.loads(run("predict", "-", "--registry", registry, "--quiet", stdin=TEXT).stdout)["experts"]

    def steps(self, registry, package):
        record = json.loads(run("experts", "inspect", package, "--registry", registry, "--json").stdout)["integration"]
        return [(s["step"], s["result"]) for s in record["steps"]], record

    def changes(self, registry):
        return len(json.loads(run("experts", "history", "--registry", registry, "--json").stdout)["changes"])

    def test_a_package_is_judged_given_a_row_and_installed_in_one_change(self):
        registry, package = self.registry(), self.trained()
        before, changes = self.state(registry), self.changes(registry)
        every = {p for p in registry.rglob("*") if p.name != ".lock"}
        tried = self.experts("add", registry, package, *self.data("train"), "--dry-run", "--json")
        self.assertEqual((tried.returncode, json.loads(tried.stdout)["admission"]["verdict"]), (0, "admit"), tried.stderr)
        self.assertEqual({p for p in registry.rglob("*") if p.name != ".lock"}, every, "a dry run writes nothing")
        added = self.experts("add", registry, package, *self.data("train"), "--json")
        self.assertEqual(added.returncode, 0, added.stderr)
        result = json.loads(added.stdout)
        self.assertEqual((result["admission"]["verdict"], result["admission"]["known"], result["gate"]["rows"], result["state"]), ("admit", False, 4, "ready"))
        self.assertEqual(self.changes(registry), changes + 1)
        self.assertIn("fresh-words", self.shares(registry))
        steps, record = self.steps(registry, package)
        self.assertEqual(steps, [(step, "passed") for step in ("trust", "scan", "compatibility", "conformance", "admission", "gate")])
        self.assertEqual(record["steps"][3]["found"]["sandbox"], json.loads(run("doctor", "--json").stdout)["sandbox"]["level"])
        self.assertEqual(self.experts("rollback", registry).returncode, 0)
        after = self.state(registry)
        self.assertEqual({k: v for k, v in after.items() if "fresh-words" not in k}, before)
        again = json.loads(self.experts("add", registry, package, *self.data("train"), "--json").stdout)
        self.assertTrue(again["admission"]["known"], "nothing that the verdict rests on has changed")
        self.assertEqual(again["admission"]["change"], result["admission"]["change"])

    def test_what_admission_or_the_gate_refuses_is_not_installed(self):
        registry = self.registry()
        before = self.state(registry)
        harmful = self.trained("harmful", "scratch", moved_labels(self.examples(), NEWS, 1))
        self.assertRefused(self.experts("add", registry, harmful, *self.data("dev"), "--split", "dev"), 5, "E_POLICY_ADMISSION", "with equal shares", "admission/")
        self.assertEqual(self.state(registry), before)
        self.assertEqual(self.steps(registry, harmful)[0][-1], ("admission", "refused"))
        settings = registry / "registry.toml"
        text = settings.read_text()
        settings.write_text(text + '\n[policy]\nadmission = "always"\n')
        self.assertRefused(self.experts("add", registry, harmful), 5, "E_POLICY_ADMISSION", "there is no data", "--data-dir")
        settings.write_text(text + '\n[policy]\nadmission = "never"\n')
        before = self.state(registry)
        # No texts of its domain: the row cannot be fitted, and so nothing is installed.
        self.assertRefused(self.experts("add", registry, harmful, f"--data=emotion={SAMPLES}/emotion/train.jsonl"), 3, "E_DATA", "no training file for domain news")
        self.assertEqual(self.state(registry), before)
        self.assertRefused(self.experts("add", registry, harmful, "--then", "grow"), 2, "E_CONFIG", "--then grow without data")
        done = self.experts("add", registry, harmful, *self.data("train"), "--then", "none")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.why(registry, "harmful")["state"], "unrouted")

    def test_an_upgrade_gets_a_row_of_its_own_or_a_new_gate(self):
        registry = self.registry()
        first, second = self.trained(), self.trained("fresh-words", "scratch", None, "--seed", "2", "--force")
        self.assertEqual(self.experts("add", registry, first, *self.data("train")).returncode, 0)
        old = json.loads(self.experts("list", registry, "--json").stdout)["experts"]
        data = [f"--data=news={self.repeated('many.jsonl', range(1, 8))}", f"--data=emotion={SAMPLES}/emotion/train.jsonl"]
        grown = self.experts("upgrade", registry, second, *data, "--json")
        self.assertEqual(grown.returncode, 0, grown.stderr)
        result = json.loads(grown.stdout)
        self.assertEqual((result["gate"]["experts"], result["gate"]["rows"], result["state"]), (["fresh-words"], 4, "ready"))
        verdict = json.loads((registry / "admission" / (result["sha256"] + ".json")).read_text())
        self.assertEqual((verdict["replaces"]["name"], verdict["replaces"]["version"]), ("fresh-words", "1.0.0"))
        self.assertEqual(len(verdict["contributions"]), len(old), "the one before is not beside it")
        self.assertEqual(self.experts("rollback", registry).returncode, 0)
        fitted = self.experts("upgrade", registry, "fresh-words", *data, "--then", "train-gate", "--json")
        self.assertEqual(fitted.returncode, 0, fitted.stderr)
        result = json.loads(fitted.stdout)
        self.assertEqual((result["gate"]["experts"], result["state"], result["admission"]["known"]), (4, "ready", True))

    def test_an_unsigned_package_in_the_place_of_a_signed_one_is_warned_about(self):
        registry = self.registry()
        signed, unsigned = self.trained(), self.trained("fresh-words", "scratch", None, "--seed", "2", "--force")
        for words in (["keygen", "--name", "ann", "--no-password"], ["pack", signed, "--output", "signed.moec"], ["sign", "signed.moec", "--key", "ann.key"]):
            self.assertEqual(run(*words, cwd=self.folder).returncode, 0)
        key = (self.folder / "ann.pub").read_text().splitlines()[-1]
        settings = registry / "registry.toml"
        settings.write_text(settings.read_text() + f'\n[[trust]]\npublisher = "Ann"\nkey = "{key}"\n')
        self.assertEqual(self.experts("add", registry, self.folder / "signed.moec").returncode, 0)
        upgraded = self.experts("upgrade", registry, unsigned)
        self.assertEqual(upgraded.returncode, 0, upgraded.stderr)
        self.assertIn("fresh-words 1.0.0 is signed by Ann, version 1.0.1 by nobody", upgraded.stderr)

    def test_probation_ends_on_fresh_texts_only(self):
        registry, package = self.registry(), self.trained()
        settings = registry / "registry.toml"
        settings.write_text(settings.read_text() + "\n[policy]\nprobation_weight_cap = 0.01\n")
        self.assertEqual(self.experts("add", registry, package, *self.data("train"), "--then", "train-gate").returncode, 0)
        why = self.why(registry, "fresh-words")
        self.assertEqual(why["state"], "on probation")
        self.assertIn("it counts at most 0.01 until `moecollab admit fresh-words` passes it", why["reason"])
        self.assertIn("expert fresh-words is on probation: it counts at most 0.01", run("predict", "-", "--registry", registry, stdin=TEXT).stderr)
        self.assertLessEqual(self.shares(registry).get("fresh-words", 0), 0.010001)
        self.assertEqual(self.why(registry, "news-words")["state"], "ready", "it was trained here")
        admit = ["admit", "fresh-words", *self.options(registry)]
        self.assertRefused(run(*admit, *self.data("train")), 2, "E_CONFIG", "held-out texts of training files", "--split dev")
        seen = f"--data=news={SAMPLES}/news/train.jsonl"
        self.assertRefused(run(*admit, seen, "--split", "dev"), 2, "E_CONFIG", "the gate was fitted on")
        self.assertRefused(run("admit", "news-words", *self.options(registry), *self.data("dev"), "--split", "dev"), 2, "E_CONFIG", "news-words is not on probation")
        # Of one's own training texts a wide majority is answered rightly: a stand-in for texts that decide.
        fresh = self.repeated("fresh.jsonl", (2, 3))
        changes = self.changes(registry)
        done = run(*admit, f"--data=news={fresh}", "--split", "dev", "--json")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(json.loads(done.stdout)["probation"], "over")
        self.assertEqual(self.changes(registry), changes + 1)
        self.assertEqual(self.why(registry, "fresh-words")["state"], "ready")
        self.assertGreater(self.shares(registry)["fresh-words"], 0.01)
        self.assertEqual(self.experts("lock", registry, "--check").returncode, 0)
        self.assertEqual(self.experts("rollback", registry).returncode, 0)
        self.assertEqual(self.why(registry, "fresh-words")["state"], "on probation")

    def test_conformance_lets_the_library_change_no_file(self):
        canary, package = self.folder / "canary", self.folder / "fickle"
        package.mkdir()
        source = self.write("writer.c", WRITER % (", ".join(f'MOEC_LITERAL("{label}")' for label in NEWS), canary))
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-I", ROOT / "sdk/include", source, "-o", package / "libfickle.so"], check=True)
        digest = hashlib.sha256((package / "libfickle.so").read_bytes()).hexdigest()
        (package / "expert.toml").write_text(MANIFEST.format(labels=json.dumps(NEWS), digest=digest))
        run("validate", package, "--level", "3", "--quiet")
        self.assertTrue(canary.exists(), "the control: whoever tries it without a sandbox has the file")
        canary.unlink()
        confined = json.loads(run("validate", package, "--level", "3", "--confined", "--json").stdout)
        if confined["sandbox"] != "full":
            self.skipTest(f"this kernel confines to level {confined['sandbox']}")
        self.assertFalse(canary.exists())
        self.assertRefused(self.experts("add", self.registry(), package), 5, "E_PLUG_CONFORMANCE")
        self.assertFalse(canary.exists())


if __name__ == "__main__":
    unittest.main()
