"""Registries that earlier versions wrote (tests/data): today's program answers from them as theirs did."""
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

from harness import PROGRAM, ROOT, run

sys.path.insert(0, str(ROOT / "tests" / "data"))
from make_registry import answers, old_data  # noqa: E402

REGISTRIES = sorted((ROOT / "tests" / "data").glob("registry-*"))
MOST_BYTES = 350_000  # with the history of changes, which keeps registry.toml, lock and gate once more
# CPUs differ in the last bits of a sum, and shares and losses are sums of numbers up to 1: with every instruction
# set that LibTorch and MKL can be set to use, floats moved by 4e-7 at most, and the six digits of `predict` by one.
TOLERANCE = 2e-6
PASSED_OVER = re.compile(r"[./](" + "|".join((
    "(fit_)?seconds", "texts_per_second", "peak_rss_bytes",       # time, speed and memory
    r"provenance\.(version|libtorch)",
    "encoder_forwards_per_text", "flops_per_text", "saved",       # count the probes that another version makes again
    "iterations",                                                 # of a fit until its last bits settle
    "notes", "reason", "hint",                                    # prose
)) + r")(\.|$)")
# What a report says otherwise on purpose: (key, recorded) -> now.
REWORDED = {}


def parsed(name, text):
    return [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else json.loads(text)


class OldRegistries(unittest.TestCase):
    def setUp(self):
        self.assertTrue(REGISTRIES)
        folder = tempfile.TemporaryDirectory(prefix="moecollab-e2e.")
        self.addCleanup(folder.cleanup)
        self.copies = [pathlib.Path(shutil.copytree(registry, pathlib.Path(folder.name) / registry.name)) for registry in REGISTRIES]
        for copy in self.copies:  # a checkout has the permissions of whoever made it
            for path in (copy, *copy.rglob("*")):
                path.chmod(path.stat().st_mode & ~0o022)

    def assertAnswers(self, recorded, now, path=""):
        """Everything that was recorded is still there; more may be."""
        if PASSED_OVER.search(path):
            return
        if isinstance(recorded, float) and isinstance(now, (int, float)):
            self.assertLessEqual(abs(recorded - now), TOLERANCE * max(1, abs(recorded)), path)
        elif isinstance(recorded, dict) and isinstance(now, dict):
            self.assertEqual(set(recorded) - set(now), set(), path)
            for key, value in recorded.items():
                self.assertAnswers(value, now[key], f"{path}.{key}")
        elif isinstance(recorded, list) and isinstance(now, list):
            self.assertEqual(len(recorded), len(now), path)
            for i, value in enumerate(recorded):
                self.assertAnswers(value, now[i], f"{path}.{i}")
        elif REWORDED.get((path.rpartition(".")[2], recorded)) != now or now is None:
            self.assertEqual((recorded, type(recorded)), (now, type(now)), path)

    def test_every_answer_is_the_recorded_one(self):
        for copy in self.copies:
            now = answers(PROGRAM, copy)
            self.assertEqual(set(now), {path.name for path in (copy / "answers").iterdir()})
            for name, text in now.items():
                self.assertAnswers(parsed(name, (copy / "answers" / name).read_text()), parsed(name, text), f"{copy.name}/{name}")

    def test_the_lock_of_another_version_is_no_obstacle(self):
        """Its record of probes is that of another engine, so all are made again."""
        for copy in self.copies:
            lock = copy / "registry" / "registry.lock.toml"
            lock.write_text(re.sub(r'(?m)^engine = ".*"$', 'engine = "moecollab 0.0.1"', lock.read_text()))
            done = run("eval", "--registry", "registry", "--threads", 1, "--quiet", "--no-cache", "--json", *old_data("dev"), cwd=copy)
            self.assertEqual(done.returncode, 0, done.stderr)
            recorded = json.loads((copy / "answers" / "eval.json").read_text())
            del recorded["provenance"]["registry_lock_sha256"]
            self.assertAnswers(recorded, json.loads(done.stdout), copy.name)

    def test_they_stay_small_and_name_no_folder_of_the_machine(self):
        for registry in REGISTRIES:
            files = [path for path in registry.rglob("*") if path.is_file()]
            self.assertLessEqual(sum(path.stat().st_size for path in files), MOST_BYTES, registry)
            self.assertIn('path = "../encoder"', (registry / "registry" / "registry.toml").read_text())
            for path in files:
                self.assertNotRegex(path.read_bytes(), rb'"/(home|root|tmp|work)/', path)
