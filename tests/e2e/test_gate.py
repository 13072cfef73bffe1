"""Fitting the gate: its options, history and calibration, and the sweep over λ1 and λ2."""
import csv
import fcntl
import hashlib
import json
import re
import tomllib

from harness import SAMPLES, EndToEnd, run


class TrainGate(EndToEnd):
    def fit(self, registry, *more):
        done = run("train-gate", *self.data("train"), *self.options(registry), *more, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def predict(self, registry):
        done = run("predict", "-", "--quiet", "--registry", registry, stdin="the striker scored twice in the final\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_every_variant_fits_saves_and_evaluates(self):
        registry = self.registry()
        prior = self.write("prior.toml", "news-adapter = 1\nnews-words = 1\nfeelings = 2\n")
        for arguments in (["--optimizer", "lbfgs"], ["--gate", "mlp", "--gate-hidden", 8], ["--gate", "factored"],
                          ["--gate", "factored", "--lambda1", 0.1, "--lambda2", 0.1, "--optimizer", "lbfgs"], ["--gate", "factored", "--top-k", 2], ["--top-k", 2],
                          ["--lambda1", 0.1, "--lambda2", 0.1, "--entropy-sign", "explore", "--balance-window", 4, "--prior", prior],
                          ["--lambda2", 0.1, "--prior", "data", "--free-bits", 0.05],
                          ["--switch", 0.1, "--importance-cv2", 0.1, "--z-loss", 0.001], ["--fusion", "logit-union", "--optimizer", "lbfgs"]):
            with self.subTest(arguments):
                self.fit(registry, "--epochs", 10, *arguments)
                done = self.eval(registry, "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertGreater(json.loads(done.stdout)["overall"]["accuracy_task_aware"], 0.2)

    def test_two_factors_are_written_and_used(self):
        registry = self.registry()
        self.fit(registry, "--gate", "factored")
        gate = (registry / "gate" / "gate.toml").read_text()
        self.assertIn('gate = "factored"', gate)
        self.assertEqual(gate.count('space = "news/1"'), 2)
        self.assertEqual(len(re.findall('pool = "(linear|logarithmic)"', gate)), 3)
        shares = self.predict(registry)["experts"]
        self.assertAlmostEqual(sum(shares.values()), 1, delta=0.01)
        # Label spaces that registry.toml names stand before those of the experts.
        toml = registry / "registry.toml"
        before, told = self.predict(registry), self.eval(registry, "--json")
        labels = sorted({json.loads(line)["label"] for line in (SAMPLES / "emotion" / "train.jsonl").open()})
        toml.write_text(toml.read_text() + f'\n[[label_space]]\nname = "emotion/1"\nlabels = {json.dumps(labels)}\n')
        self.assertEqual(self.predict(registry), before)
        self.fit(registry, "--gate", "factored")
        self.assertEqual(json.loads(self.eval(registry, "--json").stdout)["overall"]["accuracy"], json.loads(told.stdout)["overall"]["accuracy"])

    def test_two_factors_and_a_term_that_says_nothing_of_them(self):
        done = run("train-gate", *self.data("train"), *self.options(self.registry()), "--gate", "factored", "--z-loss", 0.1)
        self.assertEqual(done.returncode, 2)
        self.assertIn("z-loss", done.stderr)

    def test_a_label_space_without_a_text_is_named(self):
        registry, (news, _) = self.registry(), self.data("train")
        self.assertNotIn("warning", run("train-gate", *self.data("train"), *self.options(registry)).stderr)
        done = run("train-gate", news, *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: no text is of emotion/1: this gate learns that none ever is", done.stderr)
        judged = self.eval(registry, "--json")
        self.assertIn("warning: the gate was fitted without answered texts of emotion/1; fitted without any text of theirs, it never chooses their labels", judged.stderr)
        self.assertLess(json.loads(judged.stdout)["domains"]["emotion"]["routing_accuracy"], 0.1)
        back = run("experts", "rollback", "--registry", registry)
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertEqual((registry / "gate" / "gate.toml").read_bytes(), (self.shared / "registry" / "gate" / "gate.toml").read_bytes())

    def test_history_has_a_line_an_epoch(self):
        registry = self.registry()
        fit = self.fit(registry, "--lambda2", 0.01, "--z-loss", 0.001)
        lines = [json.loads(line) for line in (registry / "gate" / "history.jsonl").read_text().splitlines()]
        self.assertEqual(len([l for l in lines if l["phase"] == "refit"]), fit["epochs"])
        first = lines[0]
        self.assertEqual((first["phase"], first["epoch"]), ("choose", 1))
        self.assertEqual({"task", "routing", "entropy", "balance", "total", "z-loss"}, set(first["terms"]))
        self.assertEqual({"news", "emotion"}, set(first["held_out"]["domains"]))
        self.assertEqual({"news-adapter", "news-words", "feelings"}, set(first["usage"]["load"]))
        for key in ("entropy", "n_eff", "n_eff_target", "n_eff_experts"):
            self.assertGreaterEqual(first["usage"][key], 0)
        self.assertGreater(first["peak_rss_bytes"], 1 << 20)
        self.assertIsNone(lines[-1]["held_out"], "the refit has no held-out texts")

    def test_temperatures_are_stored_and_used(self):
        registry = self.registry()
        fit = self.fit(registry, "--calibrate")
        for name, fitted in fit["calibration"].items():
            self.assertLessEqual(fitted["nll_after"], fitted["nll_before"] + 1e-9, name)
        gate = registry / "gate" / "gate.toml"
        text = gate.read_text()
        temperature = fit["calibration"]["news-words"]["temperature"]
        self.assertIn(f"temperature = {temperature}"[:22], text)
        before, report = self.predict(registry), json.loads(self.eval(registry, "--json").stdout)
        # All experts as good as uniform: the answer must follow what the file says.
        lines = ["temperature = 1000.0" if line.startswith("temperature") else line for line in text.splitlines()]
        gate.write_text("\n".join(lines) + "\n")
        self.assertLess(self.predict(registry)["probability"], before["probability"] - 0.05)
        self.assertNotEqual(json.loads(self.eval(registry, "--json").stdout)["overall"]["ece"], report["overall"]["ece"])

    def test_a_second_fit_asks_no_expert_and_equals_the_first(self):
        registry = self.registry()
        first = self.fit(registry)
        tensors = (registry / "gate" / "gate.safetensors").read_bytes()
        second = self.fit(registry)
        self.assertEqual(second["expert_calls"], 0)
        self.assertEqual((registry / "gate" / "gate.safetensors").read_bytes(), tensors)
        self.assertEqual(first["task_loss"], second["task_loss"])
        self.assertGreater(run_json("train-gate", *self.data("train"), "--registry", registry, "--no-cache", "--quiet")["expert_calls"], 0)

    def test_top_k_auto_is_chosen_on_held_out_texts_and_used(self):
        registry = self.registry()
        fit = self.fit(registry, "--top-k", "auto")
        choice = fit["top_k_auto"]
        accuracy = choice["accuracy"]
        self.assertEqual((len(accuracy), choice["texts"]), (3, fit["texts"]))
        enough = [k for k, value in enumerate(accuracy, 1) if value >= accuracy[-1] - 0.001]
        self.assertEqual(choice["k"], enough[0])
        self.assertEqual(fit["top_k"], choice["k"] % 3, "0 is all three")
        gate = tomllib.loads((registry / "gate" / "gate.toml").read_text())
        self.assertEqual(gate["top_k"], fit["top_k"])
        self.assertEqual(gate["metrics"]["top_k_auto"], {"texts": fit["texts"], "accuracy": accuracy})
        self.assertEqual(json.loads(self.eval(registry, "--json").stdout)["gate"]["top_k"], fit["top_k"])
        tensors = (registry / "gate" / "gate.safetensors").read_bytes()
        done = run("train-gate", *self.data("train"), *self.options(registry), "--top-k", "auto")
        self.assertIn(f"top-k auto: {choice['k']} of 3 experts; held-out accuracy {accuracy[choice['k'] - 1]:.4f} against {accuracy[-1]:.4f} with all\n",
                      done.stdout, "the same again")
        dense = self.fit(registry)
        self.assertEqual((dense["top_k"], dense["top_k_auto"]), (0, None))
        self.assertEqual((registry / "gate" / "gate.safetensors").read_bytes(), tensors, "the gate itself is the dense one")

    def test_top_k_auto_needs_held_out_logits(self):
        registry = self.registry()
        manifest = self.package(registry, "news-words") / "expert.toml"
        (registry / "heldout" / (hashlib.sha256(manifest.read_bytes()).hexdigest() + ".safetensors")).unlink()
        before = {p.name: p.read_bytes() for p in (registry / "gate").iterdir()}
        done = run("train-gate", *self.data("train"), *self.options(registry), "--top-k", "auto")
        self.assertRefused(done, 2, "E_CONFIG", "--top-k auto without held-out logits: expert news-words", "--top-k")
        self.assertEqual({p.name: p.read_bytes() for p in (registry / "gate").iterdir()}, before)
        self.fit(registry, "--top-k", 2)

    def test_the_guard_of_a_linear_gate(self):
        """Of four experts two learnt news with its labels turned round, and an epoch is too short to find out."""
        registry = self.registry()
        rows = [json.loads(line) for line in (SAMPLES / "news" / "train.jsonl").read_text().splitlines()]
        labels = sorted({row["label"] for row in rows})
        turned = dict(zip(labels, labels[1:] + labels[:1], strict=True))
        data = self.write("turned.jsonl", "".join(json.dumps(row | {"label": turned[row["label"]]}) + "\n" for row in rows))
        for seed in (1, 2):
            done = run("train-expert", f"turned-{seed}", "--kind", "adapter", "--domain", "news", f"--data=news={data}", "--seed", seed, *self.options(registry))
            self.assertEqual(done.returncode, 0, done.stderr)
        arguments = ("--gate", "linear", "--epochs", 1, "--top-k", "auto")
        left = self.fit(registry, *arguments, "--no-guard")
        self.assertNotIn("share_guard", left)
        weights = (registry / "gate" / "gate.safetensors").read_bytes()
        done = run("train-gate", *self.data("train"), *self.options(registry)[:-1], *arguments, "--json")
        fit = json.loads(done.stdout)
        (name, guard), = fit["share_guard"].items()
        self.assertEqual(guard["best"], fit["expert_accuracy"][name])
        self.assertEqual(guard["best"], max(value for expert, value in fit["expert_accuracy"].items() if expert != "feelings"))
        self.assertGreater(guard["best"] - guard["before"], 0.0025)
        self.assertGreater(guard["after"], guard["before"])
        self.assertIn(f"guard: alone, {name} is right on {guard['best']:.4f} of 16 held-out texts", done.stderr)
        self.assertGreater(fit["top_k_auto"]["accuracy"][-1], left["top_k_auto"]["accuracy"][-1], "chosen under the guard")
        self.assertNotEqual((registry / "gate" / "gate.safetensors").read_bytes(), weights)
        gate = tomllib.loads((registry / "gate" / "gate.toml").read_text())
        self.assertEqual(gate["metrics"]["share_guard"], {name: guard})
        self.assertNotIn("guard", gate["fit"])
        self.assertIn("share_guard", self.fit(registry, "--gate", "mlp", "--epochs", 1))

    def test_a_fit_that_diverges_leaves_the_old_gate(self):
        registry = self.registry()
        before = {p.name: p.read_bytes() for p in (registry / "gate").iterdir()}
        done = run("train-gate", *self.data("train"), *self.options(registry), "--lr", "1e38")
        self.assertRefused(done, 5, "E_TRAIN_DIVERGED", "finite")
        self.assertEqual({p.name: p.read_bytes() for p in (registry / "gate").iterdir()}, before)

    def test_bad_values(self):
        registry = self.registry()
        prior = self.write("prior.toml", "news-adapter = 1\nnews-word = 1\nfeelings = 2\n")
        for arguments, fragments in ((["--lambda1", "1e30"], ("lambda1", "1e+30")), (["--switch", "-1"], ("switch",)), (["--z-loss", "nan"], ("z-loss",)),
                                     (["--importance-cv2", "inf"], ("importance-cv2",)), (["--free-bits", "-0.1"], ("free-bits",)),
                                     (["--balance-window", "-1"], ("balance-window",)), (["--entropy-sign", "both"], ("both", "explore")),
                                     (["--optimizer", "sgd"], ("sgd", "lbfgs")), (["--gate", "deep"], ("deep", "mlp")), (["--gate-hidden", "0"], ("gate-hidden",)),
                                     (["--optimizer", "lbfgs", "--balance-window", "9"], ("balance-window",)), (["--prior", "unifrom"], ("did you mean `uniform`",)),
                                     (["--prior", prior], ("news-word", "did you mean `news-words`"))):
            with self.subTest(arguments):
                self.assertRefused(run("train-gate", *self.data("train"), *self.options(registry), *arguments), 2, "E_CONFIG", *fragments)


class Cascade(EndToEnd):
    def early(self, *more):
        registry = self.registry()
        done = run("train-gate", *self.data("train"), *self.options(registry), *more, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return registry

    def gate(self, registry):
        return tomllib.loads((registry / "gate" / "gate.toml").read_text())

    def report(self, registry, *more):
        done = self.eval(registry, *more, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_texts_stop_where_their_experts_read_no_deeper(self):
        registry = self.early("--gate-layer", 2, "--top-k", 1)
        gate = self.gate(registry)
        self.assertEqual((gate["gate_layer"], [f["layer"] for f in gate["feature"]]), (2, [0, 1, 2]))
        markdown = self.folder / "report.md"
        report = self.report(registry, "--markdown", markdown)
        calls = {e["name"]: e["calls"] for e in report["experts"]}
        texts = sum(d["n"] for d in report["domains"].values())
        self.assertEqual(sum(calls.values()), texts)
        cascade, stopped = report["compute"]["cascade"], calls["news-words"]
        self.assertGreater(stopped, 0)
        self.assertLess(stopped, texts)
        self.assertEqual((cascade["gate_layer"], cascade["deepest_layer"], cascade["stopped"]), (2, 6, stopped / texts))
        self.assertAlmostEqual(cascade["layers_per_text"], (2 * stopped + 6 * (texts - stopped)) / texts)
        self.assertEqual(cascade["flops_per_text"], report["compute"]["flops_per_text"])
        self.assertLess(cascade["flops_per_text"], cascade["flops_without_per_text"])
        self.assertEqual(report["compute"]["encoder_forwards_per_text"], 1)
        self.assertIn("| Cascade from layer 2 |", markdown.read_text())
        dense = self.report(registry, "--top-k", 0)["compute"]["cascade"]
        self.assertEqual((dense["stopped"], dense["saved"]), (0, 0), "each expert is asked about each text")
        news = SAMPLES / "news" / "dev.jsonl"
        done = run("predict", news, "--registry", registry, "--quiet")
        labels = [json.loads(line)["label"] for line in done.stdout.splitlines()]
        right = sum(json.loads(line)["label"] == label for line, label in zip(news.read_text().splitlines(), labels))
        self.assertEqual(right / len(labels), report["domains"]["news"]["moe"]["accuracy"])
        without_cache = run_json("eval", *self.data("dev"), "--registry", registry, "--quiet", "--no-cache")
        self.assertEqual(without_cache["overall"], report["overall"])
        self.assertEqual(without_cache["compute"]["cascade"], cascade)

    def test_the_last_layer_is_the_default(self):
        registry = self.early()
        tensors, report = (registry / "gate" / "gate.safetensors").read_bytes(), self.report(registry)
        self.assertNotIn("gate_layer", self.gate(registry))
        self.assertIsNone(report["compute"]["cascade"])
        done = run("train-gate", *self.data("train"), *self.options(registry), "--gate-layer", 6)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((registry / "gate" / "gate.safetensors").read_bytes(), tensors)
        self.assertEqual(self.report(registry)["overall"], report["overall"])

    def test_what_moves_the_gate_reads_its_layer(self):
        registry = self.registry()
        entries = (registry / "registry.toml").read_text()
        (registry / "registry.toml").write_text(entries.replace('name = "news-words"\n', 'name = "news-words"\nenabled = false\n'))
        done = run("train-gate", *self.data("train"), *self.options(registry), "--gate-layer", 0, "--keep-replay", 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        (registry / "registry.toml").write_text(entries)
        done = run("grow", "news-words", *self.data("train"), *self.options(registry), "--texts", 8)
        self.assertEqual(done.returncode, 0, done.stderr)
        gate = self.gate(registry)
        self.assertEqual((gate["gate_layer"], len(gate["feature"]), len(gate["expert"])), (0, 1, 3))
        self.assertGreater(run_json("sweep", *self.data("train"), *self.options(registry), "--epochs", 2, "--gate-layer", 0, "--lambda1", 0, "--lambda2", 0)["texts"], 0)
        done = run("train", "--joint", "--epochs", "1", *self.data("train"), *self.options(registry), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        gate = self.gate(registry)
        self.assertEqual((gate["gate_layer"], [f["layer"] for f in gate["feature"]]), (0, [0]), "the rounds keep it")

    def test_refusals(self):
        registry = self.registry()
        for arguments, fragments in ((["--gate-layer", 7], ("gate-layer is 7", "0 (embeddings) to 6")), (["--gate-layer", -1], ("gate-layer is -1",)),
                                     (["--gate-layer", 2, "--layers", 1], ("gate-layer and layers",))):
            with self.subTest(arguments):
                self.assertRefused(run("train-gate", *self.data("train"), *self.options(registry), *arguments), 2, "E_CONFIG", *fragments)
        gate = registry / "gate" / "gate.toml"
        good = gate.read_text()
        for bad, fragment in ((good.replace("layer = 6", "layer = 7"), "layer 7, the encoder has layers 0 (embeddings) to 6"),
                              (good.replace("top_k = 0", "top_k = 0\ngate_layer = 4"), "is 4, the deepest [[feature]] is of layer 6")):
            gate.write_text(bad)
            self.assertRefused(self.eval(registry), 4, "E_GATE", fragment)


def run_json(*arguments):
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Sweep(EndToEnd):
    def sweep(self, registry, *more):
        return run_json("sweep", *self.data("train"), *self.options(registry), "--epochs", 5, *more)

    def figures(self, result):
        return [{k: v for k, v in point.items() if k != "seconds"} for point in result["points"]]

    def test_writes_what_it_prints_whatever_the_threads(self):
        registry = self.registry()
        grid = ["--lambda1", 0, 0.1, "--lambda2", "0,0.1", 0.01]
        one = self.sweep(registry, *grid, "--threads", 1, "--out", self.folder / "one")
        two = self.sweep(registry, *grid, "--threads", 2, "--out", self.folder / "two")
        self.assertEqual(self.figures(one), self.figures(two))
        self.assertEqual([(p["lambda1"], p["lambda2"]) for p in one["points"]], [(a, b) for a in (0, 0.1) for b in (0, 0.01, 0.1)])
        self.assertEqual(self.load(self.folder / "one" / "sweep.json"), one)
        with open(self.folder / "one" / "sweep.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 6)
        self.assertEqual(float(rows[5]["accuracy"]), one["points"][5]["held_out"]["accuracy"])
        self.assertIn("<table>", (self.folder / "one" / "sweep.html").read_text())
        self.assertEqual(one["best"]["accuracy"], max(p["held_out"]["accuracy"] for p in one["points"]))
        self.assertEqual((registry / "gate" / "gate.toml").read_bytes(), (self.shared / "registry" / "gate" / "gate.toml").read_bytes(), "no gate is saved")

    def test_a_rerun_goes_on_where_the_last_ended(self):
        registry = self.registry()
        out = self.folder / "out"
        first = self.sweep(registry, "--lambda1", 0, "--lambda2", 0, 0.1, "--out", out)
        points = out / "points.jsonl"
        lines = points.read_text().splitlines(keepends=True)
        self.assertEqual(len(lines), 2)
        # A mark in a finished point: it must be taken as it is, and the missing one fitted.
        marked = json.loads(lines[0])
        marked["epochs"] = 1234
        points.write_text(json.dumps(marked) + "\n")
        second = self.sweep(registry, "--lambda1", 0, "--lambda2", 0, 0.1, "--out", out)
        self.assertEqual(second["points"][0]["epochs"], 1234)
        self.assertEqual(self.figures(second)[1], self.figures(first)[1])
        # Other options: nothing of it counts.
        done = run("sweep", *self.data("train"), *self.options(registry), "--epochs", 5, "--lambda1", 0, "--lambda2", 0, 0.1, "--out", out, "--seed", 2, "--json", "--quiet")
        other = json.loads(done.stdout)
        self.assertNotEqual(other["points"][0]["epochs"], 1234)
        self.assertNotEqual(other["digest"], first["digest"])
        self.assertIn("2 points are of other data, experts or options; the first that this run finishes takes the place of them", done.stderr, "also if it is quiet")

    def test_one_sweep_a_folder(self):
        registry = self.registry()
        out = self.folder / "out"
        self.sweep(registry, "--lambda1", 0, "--lambda2", 0, "--out", out)
        with open(out / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assertRefused(run("sweep", *self.data("train"), *self.options(registry), "--out", out), 7, "E_LOCK", "--out")

    def test_says_what_the_best_changes(self):
        registry = self.registry()
        done = run("sweep", *self.data("train"), *self.options(registry), "--epochs", 3, "--lambda1", 0.01, "--lambda2", 0.01)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 points", done.stdout, "lambda1 = lambda2 = 0 is always fitted")
        self.assertIn("best: lambda1", done.stdout)
        self.assertIn("points), utilisation soft", done.stdout)
        self.assertTrue((registry / "sweep" / "sweep.json").exists())

    def test_bad_values(self):
        registry = self.registry()
        for arguments, fragments in ((["--lambda1", "0", "-1"], ("lambda1", "-1")), (["--lambda2", "1e30"], ("lambda2", "1e+30")), (["--lambda2", "nan"], ("lambda2",)),
                                     (["--lambda1", *range(200), "--lambda2", *range(200)], ("200",)), (["--epochs", "0"], ("epochs",))):
            with self.subTest(arguments):
                self.assertRefused(run("sweep", *self.data("train"), *self.options(registry), *arguments), 2, "E_CONFIG", *fragments)
        blocked = self.write("blocked", "")
        self.assertRefused(run("sweep", *self.data("train"), *self.options(registry), "--out", blocked / "x"), 7, "E_WRITE")
        out = self.folder / "damaged"
        out.mkdir()
        (out / "points.jsonl").write_text("{oops\n")
        self.assertRefused(run("sweep", *self.data("train"), *self.options(registry), "--out", out), 4, "E_CKPT", "points.jsonl")
