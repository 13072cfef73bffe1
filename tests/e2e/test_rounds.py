"""Rounds of `train` that are cut short and continue."""
import hashlib
import json
import re
import shutil
import signal
import subprocess
import time
import unittest

from harness import ENCODER, PROGRAM, SAMPLES, EndToEnd, clean_environment, run


def lines(path):
    """A history but for what no two runs share."""
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "peak_rss_bytes")} for line in path.read_text().splitlines()]


def is_change(path):
    """Whether a path in a registry is one that says what was changed."""
    return path.parts[:2] in (("history", "changes"), ("history", "objects"))


def files(registry):
    """What is in the registry, by path, without locks, its changes, and what a process that was killed had not yet renamed."""
    return {str(p.relative_to(registry)): lines(p) if p.suffix == ".jsonl" else hashlib.sha256(p.read_bytes()).hexdigest()
            for p in registry.rglob("*") if p.is_file() and p.name not in ("lock", ".lock") and not is_change(p.relative_to(registry)) and not re.search(r"\.\d+-\d+$", p.name)}


class Rounds(EndToEnd):
    def train(self, registry, *more, rounds=2):
        return ["train", "--rounds", rounds, *self.data("train"), "--registry", registry, "--cache-dir", self.shared / "cache", "--json", *more]

    def finish(self, registry, *more, **options):
        done = run(*self.train(registry, *more, **options))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((registry / "checkpoints" / "train.rounds").exists(), "a finished run leaves no checkpoint")
        return json.loads(done.stdout)

    def kill(self, registry, point, *more, nth=1, **options):
        done = run(*self.train(registry, *more, **options), env={**self.killer(), "KILL_AT": point, "KILL_NTH": str(nth)})
        self.assertEqual(done.returncode, -signal.SIGKILL, f"{point}: {done.stderr}")
        return done.stderr

    def copy(self, name, original=None):
        return shutil.copytree(original or self.shared / "registry", self.folder / name)

    def test_rounds_killed_again_and_again_end_in_the_same_bits(self):
        first = self.copy("first")
        done = run("train-gate", *self.data("train"), *self.options(first), "--gate", "linear")
        self.assertEqual(done.returncode, 0, done.stderr)
        whole, registry = self.copy("whole", first), self.copy("killed", first)
        result = self.finish(whole)
        self.assertEqual([r["kept"] for r in result["rounds"]], [True] * 3, "the test is of rounds that change something")
        points = (("round-0/before/versions.json", 1, ""),  # before the first checkpoint
                  ("gate/gate.toml", 1, "there is no checkpoint to continue from"),
                  ("news-words/result.json", 1, "continuing in round 0, with 0"),  # round 1: the second expert is trained
                  ("round-1/news-words", 1, "continuing in round 1, with 1"),      # and installed
                  ("gate/gate.toml", 2, "continuing in round 1, with 1"),          # all three are; the gate is half written
                  ("gate/gate.toml", 1, "continuing in round 1, with 3"),          # the gate before the round is half put back
                  ("round-2/before/versions.json", 1, "continuing in round 1, with 3"),  # between two rounds
                  ("experts/feelings/1.0.2", 1, "continuing in round 1, with 3"),
                  ("train.rounds/result.json", 1, "continuing in round 2, with 2"),
                  ("checkpoints/.train.rounds", 1, "continuing in round 2, with 3"))
        for point, nth, said in points:
            errors = self.kill(registry, point, *(["--resume"] if said else []), nth=nth)
            self.assertIn(said, errors, point)
            self.assertNotIn("warning", errors)
        self.assertEqual(self.finish(registry, "--resume"), result)
        self.assertEqual(files(registry), files(whole))

    def test_a_round_that_does_not_help_is_undone_after_a_kill_too(self):
        trained = self.folder / "trained"
        for name, domain in (("sports", "news"), ("feelings", "emotion")):
            done = run("train-expert", name, "--kind", "adapter", "--domain", domain, "--data-dir", SAMPLES, "--registry", trained, "--encoder", ENCODER,
                       "--cache-dir", self.shared / "cache", "--epochs", 30, "--lr", "1e-2", "--patience", 30, "--quiet")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("train-gate", *self.data("train"), *self.options(trained)).returncode, 0)
        whole, registry = self.copy("whole", trained), self.copy("killed", trained)
        result = self.finish(whole)
        self.assertEqual([r["kept"] for r in result["rounds"]], [True, False], "the test is of a round that is undone")
        self.assertEqual([p.name for p in whole.glob("experts/*/*")], ["1.0.0"] * 2)
        self.kill(registry, "gate/gate.toml", nth=2)  # of the round
        self.kill(registry, "registry.lock.toml", "--resume", nth=4)  # put back; two experts; put back
        self.assertEqual(self.finish(registry, "--resume"), result)
        self.assertEqual(files(registry), files(whole))

    def test_an_expert_continues_from_its_own_checkpoint(self):
        whole, registry = self.copy("whole"), self.copy("killed")
        options = ("--checkpoint-seconds", "0")
        result = self.finish(whole, *options, rounds=1)
        self.kill(registry, "checkpoints/feelings/0.safetensors", *options, nth=4, rounds=1)
        errors = self.kill(registry, "checkpoints/feelings/1.safetensors", *options, "--resume", nth=4, rounds=1)
        self.assertRegex(errors, "continuing in phase choose, epoch [2-9]")
        self.assertEqual(self.finish(registry, *options, "--resume", rounds=1), result)
        self.assertEqual(files(registry), files(whole))

    def test_a_joint_round_begins_again(self):
        whole, registry = self.copy("whole"), self.copy("killed")
        joint = ("--joint", "--epochs", "3")
        result = self.finish(whole, *joint, rounds=1)
        self.assertEqual(set(result["rounds"][1]["experts"]), {"news-adapter", "feelings"})
        self.kill(registry, "experts/feelings/1.0.1", *joint, rounds=1)
        self.assertTrue((registry / "experts" / "news-adapter" / "1.0.1").exists())
        self.kill(registry, "gate/gate.toml", *joint, "--resume", nth=2, rounds=1)
        self.assertEqual(self.finish(registry, *joint, "--resume", rounds=1), result)
        self.assertEqual(files(registry), files(whole))

    def test_interrupted_rounds_continue(self):
        whole, registry = self.copy("whole"), self.copy("interrupted")
        result = self.finish(whole, rounds=1)
        command = [str(PROGRAM), *map(str, self.train(registry, rounds=1))]
        process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        kept = registry / "checkpoints" / "train.rounds" / "round-1" / "news-adapter"
        while not kept.exists():  # the first of three experts
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        self.assertRefused(run(*command[1:], "--resume"), 7, "E_LOCK", "another run")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("as it was before", errors)
        self.assertIn("--resume", errors)
        self.assertEqual([p.name for p in (registry / "experts").glob("*/1.0.1")], [])
        self.assertEqual(self.eval(registry).returncode, 0, "the registry answers meanwhile")
        self.assertEqual(self.finish(registry, "--resume", rounds=1), result)
        self.assertEqual(files(registry), files(whole))

    def test_another_run_is_refused_and_named(self):
        registry = self.registry()
        self.kill(registry, "round-1/news-words")
        before = files(registry)
        for more, difference in ((["--seed", "2"], "seed is 1 there, 2 here"), (["--lambda1", "0.5"], "lambda1 is \"the gate's\" there, 0.5 here"),
                                 (["--threads", "1"], "threads is"), (["--joint"], "joint is false there, true here")):
            self.assertRefused(run(*self.train(registry, "--resume", *more)), 4, "E_CKPT", difference)
        self.assertRefused(run(*self.train(registry, "--resume", rounds=3)), 4, "E_CKPT", "rounds is 2 there, 3 here")
        other = [f"--data=news={SAMPLES}/news/dev.jsonl", self.data("train")[1]]
        done = run("train", "--rounds", 2, *other, *self.options(registry), "--resume")
        self.assertRefused(done, 4, "E_CKPT")
        self.assertTrue(re.search("data.news is [0-9a-f]{12} there, [0-9a-f]{12} here", done.stderr), done.stderr)
        self.assertEqual(files(registry), before)

    def test_a_registry_that_was_changed_meanwhile_is_refused(self):
        killed = self.copy("killed")
        self.kill(killed, "round-1/news-words")
        for name, domain, said in (("feelings", "emotion", "expert feelings is"), ("news-adapter", "news", "news-adapter/1.0.2 was not made by it")):
            registry = self.copy(name, killed)
            done = run("train-expert", name, "--kind", "adapter", "--domain", domain, "--data-dir", SAMPLES, *self.options(registry), "--epochs", 1, "--force")
            self.assertEqual(done.returncode, 0, done.stderr)
            newest = self.package(registry, name)
            self.assertRefused(run(*self.train(registry, "--resume")), 4, "E_CKPT", said, "start again")
            self.assertTrue(newest.exists())


if __name__ == "__main__":
    unittest.main()
