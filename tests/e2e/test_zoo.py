"""Every expert of tests/zoo: what it does wrong is found by the check meant for it, and the good ones are clean.

Eight of the bad ones, drawn by seed (MOECOLLAB_SEED, printed), are tried by every check up to their level, and must
pass those of lower levels; the rest by their own check. So are ten of the good ones. MOECOLLAB_SOAK tries all by
every check.
MOECOLLAB_ZOO=writes_past_the_end runs that one alone."""
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

from harness import ROOT, run

ZOO = ROOT / "tests" / "zoo"
DEADLINE_MS, OF_A_HANG_MS = 8000, 2000  # of a check; a hang costs that much
DRAWN, GOOD_DRAWN = 8, 10
SEED = int(os.environ.get("MOECOLLAB_SEED", "1"))
ENTRIES = {name: entry for name, entry in tomllib.loads((ZOO / "zoo.toml").read_text()).items()
           if name in os.environ.get("MOECOLLAB_ZOO", name).split()}


class Zoo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory(prefix="moecollab-zoo.")
        cls.addClassCleanup(cls._folder.cleanup)
        cls.packages = pathlib.Path(cls._folder.name)
        subprocess.run([sys.executable, ZOO / "build_zoo.py", "--sdk", ROOT / "sdk", "--out", cls.packages, *ENTRIES], check=True)

    def judge(self, name, *options, seed=1):
        level = ENTRIES[name]["level"] if ENTRIES[name]["check"] else 5
        done = run("validate", self.packages / name, "--json", "--level", level, "--seed", seed,
                   "--deadline-ms", OF_A_HANG_MS if name.startswith("hangs_") else DEADLINE_MS, *options)
        self.assertTrue(done.stdout, f"{name}: no report, exit status {done.returncode}: {done.stderr}")
        return name, done, json.loads(done.stdout)

    def judge_all(self, names, options=lambda name: ()):
        with concurrent.futures.ThreadPoolExecutor(2 * os.cpu_count()) as pool:  # many wait
            yield from pool.map(lambda name: self.judge(name, *options(name)), names)

    @staticmethod
    def drawn(names, count):
        return names if "MOECOLLAB_SOAK" in os.environ else random.Random(SEED).sample(names, min(count, len(names)))

    def test_each_misbehaviour_is_found_at_its_level(self):
        bad = sorted(name for name, entry in ENTRIES.items() if entry["check"])
        print("drawn with MOECOLLAB_SEED", SEED)
        whole = set(self.drawn(bad, DRAWN))
        own_check = lambda name: () if name in whole else ("--check", ENTRIES[name]["check"])
        for name, done, result in self.judge_all(bad, own_check):
            with self.subTest(expert=name):
                failed = [(c["level"], c["id"]) for c in result["checks"] if c["verdict"] == "failed"]
                self.assertEqual(done.returncode, 5)
                self.assertIn((ENTRIES[name]["level"], ENTRIES[name]["check"]), failed)
                self.assertTrue(all(level >= ENTRIES[name]["level"] for level, _ in failed), failed)
                for check in result["checks"]:
                    for finding in check["findings"]:
                        self.assertTrue(finding["expected"] and finding["seen"] and check["cure"], check)

    def test_many_at_once_report_and_leave_nothing(self):
        """Twenty validations at once of experts that crash, exit, hang, print, start and leave things."""
        words = ("crashes", "exits", "hangs_at", "prints", "leaves_a", "forks", "aborts", "throws", "writes_to_all", "runs_a", "asks_the")
        names = [name for name, entry in ENTRIES.items() if entry["check"] and name.startswith(words)]
        runs = 200 if "MOECOLLAB_SOAK" in os.environ else 40
        own_check = lambda name: ("--check", ENTRIES[name]["check"])
        before = self.things()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            for name, done, _ in pool.map(lambda i: self.judge(names[i % len(names)], *own_check(names[i % len(names)])), range(runs)):
                self.assertEqual(done.returncode, 5, name)
        self.assertEqual(self.things() - before, set())
        self.assertEqual({entry.name for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit() and self.is_of_validator(entry, names)}, set())

    @staticmethod
    def things():
        """Shared memory, and files of the program's own."""
        return {path for folder in ("/dev/shm", tempfile.gettempdir()) for path in pathlib.Path(folder).iterdir() if folder == "/dev/shm" or path.name.startswith("moecollab-")}

    @staticmethod
    def is_of_validator(process, names):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            return False
        return any(f"/{name}\0".encode() in command for name in names)

    def test_a_wrong_gradient_is_found_in_bf16_too(self):
        """What an expert that computes in bf16 alone is allowed hides neither a sign nor a factor."""
        wrong = [name for name, entry in ENTRIES.items() if entry["check"] in ("gradients", "input-gradients")]
        for name in wrong:
            shutil.copytree(self.packages / name, self.packages / f"{name}-bf16")
            with open(self.packages / f"{name}-bf16" / "expert.toml", "a") as manifest:
                manifest.write('\n[training]\nprecision = "bf16"\n')
            done = run("validate", self.packages / f"{name}-bf16", "--json", "--check", ENTRIES[name]["check"], "--deadline-ms", DEADLINE_MS)
            failed = [c["id"] for c in json.loads(done.stdout)["checks"] if c["verdict"] == "failed"]
            self.assertIn(ENTRIES[name]["check"], failed, name)

    def test_unusual_but_legal_experts_are_clean(self):
        good = sorted(name for name, entry in ENTRIES.items() if not entry["check"])
        for name, done, result in self.judge_all(self.drawn(good, GOOD_DRAWN)):
            with self.subTest(expert=name):
                self.assertEqual([(c["id"], c["findings"]) for c in result["checks"] if c["findings"]], [])
                self.assertEqual((done.returncode, result["level_reached"]), (0, 5))

    def test_the_same_seed_gives_the_same_findings(self):
        findings = lambda name: [(c["id"], c["verdict"], c["findings"]) for c in self.judge(name, seed=7)[2]["checks"]]
        for name in ("negates_gx", "writes_past_the_end", "draws_at_random"):
            if name in ENTRIES:
                self.assertEqual(findings(name), findings(name))

    def test_there_are_enough_of_them(self):
        if "MOECOLLAB_ZOO" in os.environ:
            self.skipTest("a choice was made")
        bad = [e for e in ENTRIES.values() if e["check"]]
        self.assertGreaterEqual(len(bad), 163)  # the first 103 and 60 that were derived from the contract
        self.assertGreaterEqual(len(ENTRIES) - len(bad), 20)
        listed = run("validate", "--list").stdout
        never = {"package", "scan-time", "latency"}  # by no library of the zoo
        checks = [line.split()[0] for line in listed.splitlines() if re.match("  [a-z]", line)]
        self.assertEqual(set(checks) - {e["check"] for e in bad}, never)


if __name__ == "__main__":
    unittest.main()
