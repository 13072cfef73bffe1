"""grow and train-baseline: new rows for an old gate, and a model to beat."""
import hashlib
import json
import re
import shutil
import struct

from harness import SAMPLES, EndToEnd, run

import safetensors_file


class Grow(EndToEnd):
    def enable(self, registry, name, enabled):
        path = registry / "registry.toml"
        text = path.read_text()
        path.write_text(text.replace(f'name = "{name}"\nenabled = false\n', f'name = "{name}"\n') if enabled
                        else text.replace(f'name = "{name}"\n', f'name = "{name}"\nenabled = false\n'))

    def young(self, *train_options):
        """A registry whose gate knows the two experts of news, with `feelings` installed beside them."""
        registry = self.registry()
        # The shared one learnt for 8 epochs, too few to be worth a row.
        done = run("train-expert", "feelings", "--kind", "adapter", "--domain", "emotion", "--data-dir", SAMPLES, "--registry", registry,
                   "--cache-dir", self.shared / "cache", "--force", "--lr", "3e-3", "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.enable(registry, "feelings", False)
        done = run("train-gate", f"--data=news={SAMPLES}/news/train.jsonl", *self.options(registry), *train_options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.enable(registry, "feelings", True)
        return registry

    def grow(self, registry, *more, data=None, name="feelings"):
        return run("grow", name, *(self.data("train") if data is None else data), *self.options(registry), *more)

    def accuracy(self, registry):
        done = self.eval(registry, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        return {name: d["moe"]["accuracy"] for name, d in report["domains"].items()}

    def tensors(self, registry):
        return safetensors_file.unpacked(registry / "gate" / "gate.safetensors")

    def test_a_gate_with_a_hidden_layer_is_fitted_again(self):
        registry = self.young("--gate", "mlp", "--gate-hidden", 4)
        before = (registry / "gate" / "gate.toml").read_bytes()
        done = self.grow(registry, "--texts", 4)
        self.assertEqual(done.returncode, 4)
        self.assertIn("hidden layer", done.stderr)
        self.assertIn("train-gate", done.stderr)
        self.assertEqual((registry / "gate" / "gate.toml").read_bytes(), before)

    def test_a_gate_in_two_factors_grows_by_a_space(self):
        registry = self.young("--gate", "factored")
        before = self.tensors(registry)
        done = self.grow(registry, "--texts", 8, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((result["method"], result["guard"], result["rows"]), ("fit", "passed", 3))
        self.assertGreater(result["new_domain"]["after"], result["new_domain"]["before"])
        after = self.tensors(registry)
        for name in ("space.weight", "space.bias"):
            self.assertEqual(after[name][0][0], 2)
            self.assertEqual(after[name][1][:len(before[name][1])], before[name][1], "the old space, bit for bit")
        for name in ("mean", "std", "weight", "bias"):
            self.assertEqual(after[name][1][:len(before[name][1])], before[name][1], "the old space's shares too")
        self.assertGreater(self.accuracy(registry)["emotion"], 1 / 6)

    def test_a_space_with_an_expert_that_is_not_ready_does_not_grow(self):
        registry = self.registry()
        self.enable(registry, "news-words", False)
        done = run("train-gate", *self.data("train"), *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.enable(registry, "news-words", True)
        self.enable(registry, "news-adapter", False)
        before = (registry / "gate" / "gate.toml").read_bytes()
        self.assertRefused(self.grow(registry, name="news-words"), 4, "E_GATE", "expert news-adapter of label space news/1", "train-gate")
        self.assertEqual((registry / "gate" / "gate.toml").read_bytes(), before)

    def test_a_gate_in_two_factors_takes_another_expert_of_a_space(self):
        registry = self.registry()
        self.enable(registry, "news-words", False)
        done = run("train-gate", f"--data=news={SAMPLES}/news/train.jsonl", f"--data=emotion={SAMPLES}/emotion/train.jsonl",
                   *self.options(registry), "--gate", "factored")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.enable(registry, "news-words", True)
        before, toml = self.tensors(registry), (registry / "gate" / "gate.toml").read_text()
        done = self.grow(registry, "--json", name="news-words")
        self.assertEqual(done.returncode, 0, done.stderr)
        result, after = json.loads(done.stdout), self.tensors(registry)
        self.assertEqual((result["loss"], result["iterations"]), (None, 0), "no row of the routing")
        for name in ("space.weight", "space.bias"):
            self.assertEqual(after[name], before[name])
        self.assertEqual(after["bias"][0][0], before["bias"][0][0] + 1)
        grown = (registry / "gate" / "gate.toml").read_text()
        self.assertEqual(grown.count('space = "news/1"'), toml.count('space = "news/1"') + 1)
        done = run("predict", "--registry", registry, "-", stdin="stocks fell as oil prices rose\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("no row in the gate", done.stderr)

    def test_grows_by_one_domain_and_leaves_old_rows_alone(self):
        registry = self.young()
        before = safetensors_file.unpacked(registry / "gate" / "gate.safetensors")
        percentiles = self.percentiles((registry / "gate" / "gate.toml").read_text())
        done = self.grow(registry, "--texts", 4, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((result["method"], result["guard"], result["rows"], result["texts"]), ("fit", "passed", 3, 4))
        self.assertLess(result["fit_seconds"], 1.0)
        self.assertGreater(result["new_domain"]["after"], result["new_domain"]["before"])
        self.assertEqual(set(result["old_domains"]), {"news"})
        after = safetensors_file.unpacked(registry / "gate" / "gate.safetensors")
        for name in ("mean", "std"):
            self.assertEqual(before[name], after[name])
        for name in ("weight", "bias"):
            self.assertEqual(after[name][0][0], 3)
            self.assertEqual(after[name][1][:len(before[name][1])], before[name][1], "old rows, bit for bit")
        toml = (registry / "gate" / "gate.toml").read_text()
        self.assertNotEqual(self.percentiles(toml), percentiles, "what is unknown is measured with the new row")
        self.assertIn('guard = "passed"', toml)
        self.assertIn('name = "feelings"', toml)
        accuracy = self.accuracy(registry)
        self.assertGreater(accuracy["emotion"], 1 / 6)
        self.assertGreater(accuracy["news"], 1 / 4)

    def percentiles(self, toml):
        return re.search(r"^entropy_percentiles = \[(.*)\]$", toml, re.M).group(1)

    def test_a_domain_whose_experts_are_disabled_is_left_out(self):
        registry = self.registry()
        done = run("train-expert", "third", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--registry", registry, "--no-cache", "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.enable(registry, "feelings", False)
        done = run("grow", "third", *self.data("train"), "--texts", 4, "--registry", registry, "--cache-dir", self.shared / "cache", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("domain emotion has no expert that is ready: left out", done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((result["guard"], result["unchecked"], set(result["old_domains"])), ("not checked", ["emotion"], {"news"}))
        self.assertIsNone(result["new_domain"], "the other held-out texts of a known domain are replayed, so they judge nothing")

    def test_equal_seeds_give_equal_gates(self):
        registry = self.young()
        gates = []
        for _ in range(2):
            copy = {p.name: p.read_bytes() for p in (registry / "gate").iterdir()}
            self.assertEqual(self.grow(registry, "--seed", 5).returncode, 0)
            gates.append({p.name: p.read_bytes() for p in (registry / "gate").iterdir()})
            for name, content in copy.items():
                (registry / "gate" / name).write_bytes(content)
        self.assertEqual(gates[0], gates[1])

    def test_a_domain_that_loses_counts_more(self):
        registry = self.young()
        own = (SAMPLES / "emotion" / "train.jsonl").read_text().splitlines()
        strange = [json.dumps({"text": json.loads(line)["text"], "label": "joy"}) for line in (SAMPLES / "news" / "train.jsonl").read_text().splitlines()]
        data = [f"--data=emotion={self.write('mixed.jsonl', chr(10).join(own + strange[::2]))}", f"--data=news={SAMPLES}/news/train.jsonl"]
        done = self.grow(registry, "--json", data=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertGreaterEqual(result["old_weights"]["news"], 2)
        news = result["old_domains"]["news"]
        self.assertLessEqual(news["before"] - news["after"], 0.005)
        self.assertIn(f"news = {result['old_weights']['news']}", (registry / "gate" / "gate.toml").read_text())

    def test_rows_that_no_lowering_mends_are_refused(self):
        """A prototype as long as rows a hundred times as steep: where it lies ahead, it does so by more than 3 nats."""
        registry = self.young("--gate", "linear")
        toml, tensors = (registry / "gate" / name for name in ("gate.toml", "gate.safetensors"))
        steep = {name: (shape, [x * (100 if name == "weight" else 1) for x in struct.unpack(f"<{len(raw) // 4}f", raw)])
                 for name, (shape, raw) in safetensors_file.unpacked(tensors).items()}
        before = hashlib.sha256(tensors.read_bytes()).hexdigest()
        tensors.write_bytes(safetensors_file.packed(steep, {}))
        toml.write_text(toml.read_text().replace(before, hashlib.sha256(tensors.read_bytes()).hexdigest()))
        gate = {p.name: p.read_bytes() for p in toml.parent.iterdir()}
        strange = [json.dumps({"text": json.loads(line)["text"], "label": "joy"}) for line in (SAMPLES / "news" / "train.jsonl").read_text().splitlines()]
        data = [f"--data=emotion={self.write('strange.jsonl', chr(10).join(strange))}", f"--data=news={SAMPLES}/news/train.jsonl"]
        self.assertRefused(self.grow(registry, "--prototype", data=data), 6, "E_REQUIRE_GUARD", "news would lose", "the gate is unchanged")
        self.assertEqual({p.name: p.read_bytes() for p in toml.parent.iterdir()}, gate)

    def test_prototype_trains_nothing(self):
        registry = self.young()
        done = self.grow(registry, "--prototype", "--json")
        self.assertIn(done.returncode, (0, 6), done.stderr)
        if done.returncode == 0:
            self.assertEqual(json.loads(done.stdout)["method"], "prototype")
        else:
            self.assertIn("E_REQUIRE_GUARD", done.stderr)

    def test_without_replay_the_guard_is_not_checked(self):
        registry = self.young()
        new_only = [f"--data=emotion={SAMPLES}/emotion/train.jsonl"]
        gate = (registry / "gate" / "gate.toml").read_bytes()
        self.assertRefused(self.grow(registry, "--guard", data=new_only), 6, "E_REQUIRE_GUARD", "news", "--keep-replay")
        self.assertEqual((registry / "gate" / "gate.toml").read_bytes(), gate)
        done = self.grow(registry, "--json", data=new_only)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["unchecked"], ["news"])
        self.assertIn('guard = "not checked"', (registry / "gate" / "gate.toml").read_text())

    def test_kept_replay_stands_for_the_old_data(self):
        registry = self.young("--keep-replay", 8)
        kept = registry / "gate" / "replay.safetensors"
        self.assertEqual(safetensors_file.unpacked(kept)["z"][0][0], 8)
        self.assertNotIn(json.loads((SAMPLES / "news" / "train.jsonl").read_text().splitlines()[0])["text"].encode(), kept.read_bytes(), "no texts are kept")
        done = self.grow(registry, "--guard", "--json", data=[f"--data=emotion={SAMPLES}/emotion/train.jsonl"])
        self.assertIn(done.returncode, (0, 6), done.stderr)
        if done.returncode == 6:
            self.assertIn("replayed texts", done.stderr)
            return
        result = json.loads(done.stdout)
        self.assertEqual((result["guard"], result["replay"], result["old_domains"]["news"]["texts"]), ("passed", 8, 8))
        self.assertGreater(safetensors_file.unpacked(kept)["z"][0][0], 8, "the new domain's rows are kept too")

    def test_damaged_replay_is_refused(self):
        registry = self.young("--keep-replay", 4)
        kept = registry / "gate" / "replay.safetensors"
        damaged = bytearray(kept.read_bytes())
        damaged[-1] ^= 1
        kept.write_bytes(damaged)
        self.assertRefused(self.grow(registry), 4, "E_GATE", "replay.safetensors")

    def test_a_refit_without_keeping_removes_what_was_kept(self):
        registry = self.young("--keep-replay", 4)
        done = run("train-gate", *self.data("train"), *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse((registry / "gate" / "replay.safetensors").exists())

    def add_routing(self, registry, content):
        package = self.package(registry, "feelings")
        (package / "routing.safetensors").write_bytes(content)
        manifest = package / "expert.toml"
        manifest.write_text(manifest.read_text() + f'"routing.safetensors" = "{hashlib.sha256(content).hexdigest()}"\n'
                            if manifest.read_text().rstrip().splitlines()[-1].startswith('"') else
                            re.sub(r"(?m)^\[files\]\n", f'[files]\n"routing.safetensors" = "{hashlib.sha256(content).hexdigest()}"\n', manifest.read_text()))

    def fingerprint(self, registry):
        return re.search(r'encoder = "([0-9a-f]{64})"', (registry / "gate" / "gate.toml").read_text()).group(1)

    def test_routing_file_serves_where_there_is_no_data(self):
        registry = self.young()
        hidden = safetensors_file.unpacked(registry / "gate" / "gate.safetensors")["mean"][0][0] // 3
        numbers = [((i * 37) % 101) / 101 - 0.5 for i in range(5 * hidden)]
        news = [f"--data=news={SAMPLES}/news/train.jsonl"]
        self.assertRefused(self.grow(registry, data=[]), 3, "E_DATA", "routing.safetensors", "--data emotion=")
        self.add_routing(registry, safetensors_file.packed({"features": ([5, hidden], numbers), "mean": ([hidden], numbers[:hidden])}, {"encoder": "0" * 64}))
        self.assertRefused(self.grow(registry, data=news), 5, "E_DESC_ENCODER", "0" * 64)

        registry = self.fresh_copy()
        self.add_routing(registry, safetensors_file.packed({"features": ([5, hidden], numbers), "mean": ([hidden], numbers[:hidden])}, {"encoder": self.fingerprint(registry)}))
        done = self.grow(registry, "--json", data=news)
        self.assertIn(done.returncode, (0, 6), done.stderr)
        self.assertIn("count as average", done.stderr)
        if done.returncode == 0:
            self.assertEqual((json.loads(done.stdout)["source"], json.loads(done.stdout)["texts"]), ("routing", 5))

    def test_a_routing_file_without_the_gates_layer_is_refused(self):
        registry = self.young("--gate-layer", 0)
        hidden = safetensors_file.unpacked(registry / "gate" / "gate.safetensors")["mean"][0][0]
        self.add_routing(registry, safetensors_file.packed({"features": ([5, hidden], [0.5] * 5 * hidden)}, {"encoder": self.fingerprint(registry)}))
        self.assertRefused(self.grow(registry, data=[f"--data=news={SAMPLES}/news/train.jsonl"]), 4, "E_ST_ROUTING", "no features of layers 0")

    def fresh_copy(self):
        shutil.rmtree(self.folder / "registry")
        return self.young()

    def test_bad_input(self):
        registry = self.young()
        gate = {p.name: p.read_bytes() for p in (registry / "gate").iterdir()}
        for arguments, name, status, code, fragments in (
                (["--texts", "0"], "feelings", 2, "E_CONFIG", ("--texts", "0")),
                (["--texts", "-3"], "feelings", 2, "E_CONFIG", ("-3",)),
                ([], "feeling", 2, "E_CONFIG", ("did you mean `feelings`",)),
                ([], "news-words", 2, "E_CONFIG", ("has a row",)),
                (["feelings"], "feelings", 2, "E_CONFIG", ("twice",))):
            with self.subTest((name, arguments)):
                self.assertRefused(self.grow(registry, *arguments, name=name), status, code, *fragments)
        changed = self.write("news.jsonl", (SAMPLES / "news" / "train.jsonl").read_bytes() + b'{"text": "one more text", "label": "world"}\n')
        self.assertRefused(self.grow(registry, data=[f"--data=emotion={SAMPLES}/emotion/train.jsonl", f"--data=news={changed}"]), 3, "E_DATA_CHANGED", "news.jsonl")
        wrong = self.write("emotion.jsonl", '{"text": "so glad", "label": "gladness"}\n')
        self.assertRefused(self.grow(registry, data=[f"--data=emotion={wrong}"]), 3, "E_DATA", "gladness")
        self.assertEqual({p.name: p.read_bytes() for p in (registry / "gate").iterdir()}, gate, "nothing was written")

    def test_no_gate_and_other_encoder(self):
        registry = self.young()
        toml = registry / "gate" / "gate.toml"
        text = toml.read_text()
        toml.write_text(text.replace(self.fingerprint(registry), "0" * 64))
        self.assertRefused(self.grow(registry), 4, "E_GATE", "0" * 64)
        toml.unlink()
        self.assertRefused(self.grow(registry), 4, "E_GATE", "train-gate")

    def test_an_ungrown_expert_is_named_with_the_next_command(self):
        registry = self.young()
        done = self.eval(registry)
        self.assertNotEqual(done.returncode, 1)
        self.assertIn("moecollab grow feelings", run("experts", "why", "feelings", "--registry", registry).stdout)


class Baseline(EndToEnd):
    def train(self, registry, *more, kind="head"):
        return run("train-baseline", kind, *self.data("train"), *self.options(registry), *more)

    def test_eval_reports_the_head_and_the_uniform_gate(self):
        registry = self.registry()
        bare = json.loads(self.eval(registry, "--json").stdout)
        self.assertIsNone(bare["domains"]["news"]["multi_task_head"])
        self.assertTrue(any("multi_task_head" in note for note in bare["notes"]))
        done = self.train(registry, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["labels"], 10)
        report = json.loads(self.eval(registry, "--json").stdout)
        versus = {entry["vs"]: entry for entry in report["overall"]["mcnemar"]}
        self.assertEqual(set(versus), {"expert", "oracle", "majority", "uniform_gate", "multi_task_head"})
        for entry in versus.values():
            self.assertEqual(set(entry), {"vs", "z", "fixed", "broke"})
        for system in ("multi_task_head", "uniform_gate"):
            right = sum(d[system]["accuracy"] * d["n"] for d in report["domains"].values())
            ours = report["overall"]["accuracy"] * 82
            self.assertAlmostEqual(versus[system]["fixed"] - versus[system]["broke"], ours - right, places=6)
        self.assertGreater(report["domains"]["news"]["multi_task_head"]["accuracy"], 0.25)
        self.assertEqual(len(report["notes"]), 1, "only the deep baseline is missing")
        self.assertIn("multi_task_deep", report["notes"][0])

    def test_the_deep_model_over_all_labels(self):
        registry = self.registry()
        done = self.train(registry, "--epochs", 1, "--json", kind="deep")
        self.assertEqual(done.returncode, 0, done.stderr)
        trained = json.loads(done.stdout)
        self.assertEqual((trained["labels"], trained["epochs"], trained["held_out_accuracy"]), (10, 1, None))
        self.assertFalse((registry / "checkpoints" / "multi-task-deep").exists())
        report = json.loads(self.eval(registry, "--json").stdout)
        right = sum(d["multi_task_deep"]["accuracy"] * d["n"] for d in report["domains"].values())
        versus = {entry["vs"]: entry for entry in report["overall"]["mcnemar"]}["multi_task_deep"]
        self.assertAlmostEqual(versus["fixed"] - versus["broke"], report["overall"]["accuracy"] * 82 - right, places=6)
        self.assertGreater(right / 82, 0.2)
        self.assertNotIn("multi-task-deep", [e["name"] for e in report["experts"]], "it takes no part in the answer")
        weights = registry / "baselines" / "deep" / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        done = self.eval(registry, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIsNone(json.loads(done.stdout)["domains"]["news"]["multi_task_deep"])
        self.assertIn("multi_task_deep is null", done.stderr)

    def test_a_deep_model_of_other_labels_is_null(self):
        registry = self.registry()
        self.assertEqual(self.train(registry, "--epochs", 1, kind="deep").returncode, 0)
        self.assertEqual(run("train-expert", "other", "--kind", "lexical", "--domain", "other", f"--data=other={SAMPLES}/news/train.jsonl",
                             "--registry", registry).returncode, 0)
        done = run("train-gate", *self.data("train"), f"--data=other={SAMPLES}/news/train.jsonl", *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.eval(registry, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("knows 10 labels, the installed experts 14", done.stderr)

    def test_top_k_leaves_no_uniform_gate(self):
        report = json.loads(self.eval(self.registry(), "--top-k", 1, "--json").stdout)
        self.assertIsNone(report["domains"]["news"]["uniform_gate"])
        self.assertTrue(any("uniform_gate" in note for note in report["notes"]))
        self.assertNotIn("uniform_gate", [entry["vs"] for entry in report["overall"]["mcnemar"]])

    def test_a_head_that_does_not_fit_is_null_with_a_reason(self):
        registry = self.registry()
        self.assertEqual(self.train(registry).returncode, 0)
        toml = registry / "baselines" / "head.toml"
        text = toml.read_text()
        for damage, fragment in ((lambda: toml.write_text(re.sub(r'encoder = "[0-9a-f]{64}"', f'encoder = "{"0" * 64}"', text)), "encoder"),
                                 (lambda: toml.write_text(text.replace('"joy"', '"bliss"')), "bliss"),
                                 (lambda: toml.write_text(text + "what = 1\n"), "what"),
                                 (lambda: (toml.write_text(text), (registry / "baselines" / "head.safetensors").write_bytes(b"x")), "SHA-256")):
            damage()
            done = self.eval(registry, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(done.stdout)
            self.assertIsNone(report["domains"]["news"]["multi_task_head"])
            self.assertIn(fragment, " ".join(report["notes"]))
            self.assertIn("warning", done.stderr)

    def test_bad_input(self):
        registry = self.registry()
        self.assertRefused(self.train(registry, kind="haed"), 2, "E_CONFIG", "did you mean `head`")
        for arguments, fragment in ((["--epochs", "0"], "epochs"), (["--lr", "0"], "lr"), (["--batch", "0"], "batch")):
            self.assertRefused(self.train(registry, *arguments), 2, "E_CONFIG", fragment)
        self.assertFalse((registry / "baselines").exists())

    def test_equal_seeds_give_equal_heads(self):
        registry = self.registry()
        heads = []
        for _ in range(2):
            self.assertEqual(self.train(registry, "--seed", 4).returncode, 0)
            heads.append({p.name: p.read_bytes() for p in (registry / "baselines").iterdir()})
        self.assertEqual(heads[0], heads[1])
