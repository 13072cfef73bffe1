"""Experts written with LibTorch, from data to answer, and runs that are killed and continue.

MOECOLLAB_KILLS=20 kills a run at that many points (3 in the ordinary test)."""
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from harness import ENCODER, PROGRAM, SAMPLES, EndToEnd, clean_environment, run

KILLS = int(os.environ.get("MOECOLLAB_KILLS", "3"))
# What no precision changes runs once; `make soak` runs all of it in each.
once = unittest.skipIf(os.environ.get("MOECOLLAB_TRAINING_PRECISION") == "bf16" and "MOECOLLAB_SOAK" not in os.environ,
                       "as in fp32: precision plays no part")


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


class DeepTraining(EndToEnd):
    def train(self, registry, *more, domain="news", name="deep", kind="deep-adapter", epochs=2, data=SAMPLES):
        return ["train-expert", name, "--kind", kind, "--domain", domain, "--data-dir", data, "--registry", registry, "--encoder", ENCODER,
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
        done = run("validate", self.package(registry, "deep"), "--encoder", ENCODER, "--check", "blocks", "--check", "blocks-learnt", "--deadline-ms", 60000, "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["passed"]), (0, 2), done.stdout)
        done = run("train-gate", *self.data("train"), *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(self.eval(registry, "--json").stdout)
        calls = {e["name"]: e["calls"] for e in report["experts"]}
        self.assertEqual(calls["deep"], 82)
        curve = report["training"]["experts"]["deep"]
        self.assertEqual([e["epoch"] for e in curve["epochs"]], [1, 2])
        self.assertGreater(curve["seconds"], 0)
        self.assertEqual(set(report["training"]["gate"][0]["accuracy"]), {"news", "emotion"})
        # One pass over six blocks and two of them again; B0: four passes, of three experts and the gate, and the two.
        self.assertAlmostEqual(report["compute"]["saved"], 1 - (1 + 1 / 3) / (4 + 1 / 3), delta=0.01)

    @once
    def test_the_pass_for_a_deep_expert_gives_what_an_adapter_and_the_gate_read(self):
        registry, cache = self.folder / "registry", self.folder / "cache"

        def train(**options):
            command = [cache if word == self.shared / "cache" else word for word in self.train(registry, epochs=1, **options)]
            done = run(*command)
            self.assertEqual(done.returncode, 0, done.stderr)
            return {name for name in files(cache) if name.endswith(".safetensors")}

        held = train()
        self.assertEqual(len(held), 3, "the means of three layers")
        self.assertEqual(train(name="shallow", kind="adapter"), held, "it encoded no text")

    def test_the_precision_of_training_is_recorded_and_decides_the_bits(self):
        weights = {}
        for precision in ("fp32", "bf16"):
            registry = self.folder / precision
            forced = {"MOECOLLAB_TRAINING_PRECISION": precision}
            done = run(*self.train(registry, epochs=1), env=forced)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual({epoch["precision"] for epoch in json.loads(done.stdout)["history"]}, {precision})
            package = self.package(registry, "deep")
            inspected = json.loads(run("experts", "inspect", package, "--json").stdout)
            self.assertEqual(inspected["training"], {"precision": precision})
            self.assertEqual(inspected["provenance"]["recipe"]["precision"], precision)
            weights[precision] = (package / "weights.safetensors").read_bytes()
        self.assertNotEqual(weights["fp32"], weights["bf16"])
        done = run(*self.train(registry, epochs=1), env={"MOECOLLAB_TRAINING_PRECISION": "fp16"})
        self.assertRefused(done, 2, "E_CONFIG", "MOECOLLAB_TRAINING_PRECISION", "fp16", "fp32 or bf16")

    def test_a_checkpoint_of_another_precision_is_refused(self):
        registry = self.folder / "interrupted"
        command = self.train(registry, "--patience", "200", "--checkpoint-seconds", "0", epochs=200)
        fp32 = clean_environment() | {"MOECOLLAB_TRAINING_PRECISION": "fp32"}
        process = subprocess.Popen([str(PROGRAM), *map(str, command)], env=fp32, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not list(registry.glob("checkpoints/deep/*.safetensors")):
            time.sleep(0.1)
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        self.assertRefused(run(*command, "--resume", env={"MOECOLLAB_TRAINING_PRECISION": "bf16"}), 4, "E_CKPT", "differ")

    def test_depth_all_and_lora(self):
        registry = self.registry()
        for name, settings, layers in (("all", ["--set", "depth=all"], "[0]"), ("lora", ["--set", "mode=lora", "--set", "depth=1"], "[5]")):
            done = run(*self.train(registry, *settings, name=name, epochs=1))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"layers = {layers}", (self.package(registry, name) / "expert.toml").read_text())
        small, whole = (self.package(registry, n) / "weights.safetensors" for n in ("lora", "all"))
        self.assertLess(small.stat().st_size * 50, whole.stat().st_size)
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 0)

    def test_bf16_weights_halve_the_package(self):
        registry = self.registry()
        for name, weights in (("wide", "f32"), ("narrow", "bf16")):
            done = run(*self.train(registry, "--weights", weights, name=name, epochs=1))
            self.assertEqual(done.returncode, 0, done.stderr)
        wide, narrow = ((self.package(registry, n) / "weights.safetensors").stat().st_size for n in ("wide", "narrow"))
        self.assertLess(narrow, 0.501 * wide)
        done = run("experts", "verify", "--registry", registry)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    @once
    def test_an_evaluation_asks_for_an_answer_once(self):
        registry = self.registry()
        self.assertEqual(run(*self.train(registry)).returncode, 0)
        self.assertEqual(run("train-gate", *self.data("train"), *self.options(registry)).returncode, 0)
        reports = []
        for cache in (["--cache-dir", self.folder / "cache"],) * 2 + (["--no-cache"],):
            done = run("eval", *self.data("dev"), "--registry", registry, "--quiet", "--json", *cache)
            self.assertEqual(done.returncode, 0, done.stderr)
            reports.append(json.loads(done.stdout))
        first, second, fresh = reports
        cached = [[e["cached"] for e in report["experts"]] for report in reports]
        self.assertEqual(cached, [[0] * 4, [82] * 4, [0] * 4])
        self.assertEqual({e["calls"] for report in reports for e in report["experts"]}, {82})
        for section in ("domains", "overall", "gate"):
            self.assertEqual(first[section], second[section], section)
            self.assertEqual(first[section], fresh[section], section)
        self.assertEqual(first["compute"]["saved"], second["compute"]["saved"])

    @once
    def test_refusals(self):
        registry = self.registry()
        self.assertRefused(run(*self.train(registry, "--set", "depth=7")), 5, "E_DESC_MISMATCH", "depth", "7")
        self.assertRefused(run(*self.train(registry, "--set", "depth=all", "--layers", "3")), 2, "E_CONFIG", "--layers", "layer 0")
        self.assertRefused(run(*self.train(registry, "--schedule", "cosine")), 2, "E_CONFIG", "cosine", "constant or linear")
        self.assertRefused(run(*self.train(registry, "--warmup", "1.5")), 2, "E_CONFIG", "--warmup", "1.5")
        self.assertRefused(run(*self.train(registry, epochs=0)), 2, "E_CONFIG", "--epochs")
        self.assertRefused(run(*self.train(registry, "--class-weights", "some")), 2, "E_CONFIG", "some", "balanced")
        self.assertRefused(run(*self.train(registry, "--pooling", "max")), 2, "E_CONFIG", "--pooling", "max", "mean or cls")
        self.assertRefused(run(*self.train(registry, "--weights", "f16")), 2, "E_CONFIG", "f16", "f32 or bf16")
        lexical = ["train-expert", "words", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--registry", registry, "--weights", "bf16"]
        self.assertRefused(run(*lexical), 2, "E_CONFIG", "bf16", "lexical", "params/1")
        manifest = self.package(registry, "feelings") / "expert.toml"
        self.assertNotIn("libtorch", manifest.read_text(), "the adapter is torch-free")

    @once
    def test_a_killed_gate_fit_ends_in_the_same_bits(self):
        trained = self.registry()
        self.assertEqual(run(*self.train(trained)).returncode, 0)

        def fit(registry, cache):
            return ["train-gate", *self.data("train"), "--registry", registry, "--cache-dir", cache, "--quiet"]

        def gate(registry):
            return {name: (registry / "gate" / name).read_bytes() for name in ("gate.toml", "gate.safetensors")}

        start = time.monotonic()
        self.assertEqual(run(*fit(trained, self.folder / "cache")).returncode, 0)
        took = time.monotonic() - start
        expected = gate(trained)
        chance = random.Random(6)
        for kill in range(KILLS):
            with self.subTest(kill=kill):
                registry, cache = self.folder / f"gate{kill}", self.folder / f"cache{kill}"
                shutil.copytree(trained, registry)
                shutil.copytree(self.shared / "registry" / "gate", registry / "gate", dirs_exist_ok=True)
                process = subprocess.Popen([str(PROGRAM), *map(str, fit(registry, cache))], env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(chance.uniform(0.1, 1.0) * took)
                process.send_signal(signal.SIGKILL)
                process.wait()
                done = run(*fit(registry, cache))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(gate(registry), expected)

    def test_killed_runs_end_in_the_same_bits(self):
        options = ["--checkpoint-seconds", "0"]
        reference = self.folder / "reference"
        start = time.monotonic()
        self.assertEqual(run(*self.train(reference, *options)).returncode, 0)
        took = time.monotonic() - start
        expected = files(reference / "experts")
        chance = random.Random(5)
        for kill in range(KILLS):
            with self.subTest(kill=kill):
                registry = self.folder / f"killed{kill}"
                process = subprocess.Popen([str(PROGRAM), *map(str, self.train(registry, *options))], env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(chance.uniform(0.1, 1.0) * took)
                process.send_signal(signal.SIGKILL)
                process.wait()
                if not (registry / "experts" / "deep").exists() or (registry / "checkpoints" / "deep").exists():
                    done = run(*self.train(registry, *options, "--resume"))
                    self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(files(registry / "experts"), expected)
                self.assertFalse((registry / "checkpoints" / "deep").exists())
                shutil.rmtree(registry)

    @once
    def test_a_run_killed_while_it_installs_goes_on(self):
        killer = self.killer()
        few = self.folder / "few"
        (few / "news").mkdir(parents=True)
        (few / "news" / "train.jsonl").write_text("".join((SAMPLES / "news" / "train.jsonl").read_text().splitlines(keepends=True)[:24]))
        reference = self.registry()
        self.assertEqual(run(*self.train(reference, epochs=1, data=few)).returncode, 0)
        expected = files(reference / "experts")
        for kind in ("deep-adapter", "lexical"):
            for point in ("result.json", "deep/1.0.0", "registry.toml", "registry.lock.toml", "checkpoints/.deep"):
                with self.subTest(point=point, kind=kind):
                    registry = self.folder / f"{kind}{hash(point)}"  # without the point in its path
                    shutil.copytree(self.shared / "registry", registry)
                    command = self.train(registry, kind=kind, epochs=1, data=few)
                    temporary = registry / "tmp"
                    temporary.mkdir()
                    done = run(*command, env={**killer, "KILL_AT": point, "TMPDIR": str(temporary)})
                    self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                    self.assertEqual(list(temporary.iterdir()), [])
                    if (registry / "experts" / "deep" / "1.0.0").exists():
                        self.assertRefused(run(*command, "--resume", "--seed", 2), 4, "E_REG_EXISTS", "deep 1.0.0")
                    done = run(*command, "--resume")
                    self.assertEqual(done.returncode, 0, done.stderr)
                    if kind == "deep-adapter":
                        self.assertEqual(files(registry / "experts"), expected)
                    for name in ("registry.toml", "registry.lock.toml"):
                        self.assertIn('"deep"', (registry / name).read_text())
                    self.assertEqual([str(p) for p in registry.rglob(".*") if p.name != ".lock"], [])
                    self.assertEqual(list((registry / "checkpoints").iterdir()), [])

    @once
    def test_an_interrupt_saves_and_says_how_to_go_on(self):
        registry = self.folder / "interrupted"
        command = [str(PROGRAM), *map(str, self.train(registry, "--patience", "200", epochs=200))]
        process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
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
