"""Experts written with LibTorch, from data to answer, and runs that are killed and go on.

MOECOLLAB_KILLS=20 kills a run at that many points (3 in the ordinary test)."""
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from harness import ENCODER, PROGRAM, SAMPLES, EndToEnd, run

KILLS = int(os.environ.get("MOECOLLAB_KILLS", "3"))


class DeepTraining(EndToEnd):
    def train(self, registry, *more, domain="news", name="deep", epochs=2):
        return ["train-expert", name, "--kind", "deep-adapter", "--domain", domain, "--data-dir", SAMPLES, "--registry", registry, "--encoder", ENCODER,
                "--cache-dir", self.shared / "cache", "--epochs", epochs, "--quiet", "--json", *more]

    def test_a_deep_adapter_trains_routes_and_answers(self):
        registry = self.registry()
        done = run(*self.train(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        trained = json.loads(done.stdout)
        self.assertGreater(trained["held_out_accuracy"], 0.5)
        lines = [json.loads(line) for line in (registry / "history" / "deep.jsonl").read_text().splitlines()]
        self.assertEqual([(line["phase"], line["epoch"]) for line in lines[:2]], [("choose", 1), ("choose", 2)])
        self.assertGreater(lines[0]["tokens"], 0)
        self.assertIn("layers = [-3]", (self.package(registry, "deep") / "expert.toml").read_text())
        self.assertFalse((registry / "checkpoints" / "deep").exists(), "a finished run leaves no checkpoint")
        done = run("train-gate", *self.data("train"), *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(self.eval(registry, "--json").stdout)
        calls = {e["name"]: e["calls"] for e in report["experts"]}
        self.assertEqual(calls["deep"], 82)
        # One pass over six blocks and two of them again; B0: four passes, of three experts and the gate, and the two.
        self.assertAlmostEqual(report["compute"]["saved"], 1 - (1 + 1 / 3) / (4 + 1 / 3), delta=0.01)

    def test_depth_all_and_lora(self):
        registry = self.registry()
        for name, settings, layers in (("all", ["--set", "depth=all"], "[0]"), ("lora", ["--set", "mode=lora", "--set", "depth=1"], "[5]")):
            done = run(*self.train(registry, *settings, name=name, epochs=1))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"layers = {layers}", (self.package(registry, name) / "expert.toml").read_text())
        small, whole = (self.package(registry, n) / "weights.safetensors" for n in ("lora", "all"))
        self.assertLess(small.stat().st_size * 50, whole.stat().st_size)
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 0)

    def test_refusals(self):
        registry = self.registry()
        self.assertRefused(run(*self.train(registry, "--set", "depth=7")), 5, "E_DESC_MISMATCH", "depth", "7")
        self.assertRefused(run(*self.train(registry, "--set", "depth=all", "--layers", "3")), 2, "E_CONFIG", "--layers", "layer 0")
        self.assertRefused(run(*self.train(registry, "--schedule", "cosine")), 2, "E_CONFIG", "cosine", "constant or linear")
        self.assertRefused(run(*self.train(registry, "--warmup", "1.5")), 2, "E_CONFIG", "--warmup", "1.5")
        self.assertRefused(run(*self.train(registry, epochs=0)), 2, "E_CONFIG", "--epochs")
        self.assertRefused(run(*self.train(registry, "--class-weights", "some")), 2, "E_CONFIG", "some", "balanced")
        manifest = self.package(registry, "feelings") / "expert.toml"
        self.assertNotIn("libtorch", manifest.read_text(), "the adapter is torch-free")

    def weights(self, registry):
        return {p.name: p.read_bytes() for p in self.package(registry, "deep").iterdir()}

    def test_killed_runs_end_in_the_same_bits(self):
        options = ["--checkpoint-seconds", "0"]
        reference = self.folder / "reference"
        start = time.monotonic()
        self.assertEqual(run(*self.train(reference, *options)).returncode, 0)
        took = time.monotonic() - start
        expected = self.weights(reference)
        chance = random.Random(5)
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MOECOLLAB_")}
        for kill in range(KILLS):
            with self.subTest(kill=kill):
                registry = self.folder / f"killed{kill}"
                process = subprocess.Popen([str(PROGRAM), *map(str, self.train(registry, *options))], env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(chance.uniform(0.1, 1.0) * took)
                process.send_signal(signal.SIGKILL)
                process.wait()
                if not (registry / "experts" / "deep").exists():
                    done = run(*self.train(registry, *options, "--resume"))
                    self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(self.weights(registry), expected)
                shutil.rmtree(registry)

    def test_an_interrupt_saves_and_says_how_to_go_on(self):
        registry = self.folder / "interrupted"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MOECOLLAB_")}
        command = [str(PROGRAM), *map(str, self.train(registry, "--patience", "200", epochs=200))]
        process = subprocess.Popen(command, env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not (registry / "history" / "deep.jsonl").exists():
            time.sleep(0.1)
            self.assertIsNone(process.poll())
        # One run at a time has the name.
        self.assertRefused(run(*command[1:]), 7, "E_LOCK", "another run")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("--resume", errors)
        self.assertTrue(list((registry / "checkpoints" / "deep").glob("*.safetensors")))
        self.assertRefused(run(*command[1:], "--resume", "--lr", "1e-3"), 4, "E_CKPT", "differ")


if __name__ == "__main__":
    unittest.main()
