"""The main job: train, route, evaluate, predict."""
import hashlib
import json
import math
import select
import signal
import subprocess
import time

from harness import ENCODER, PROGRAM, SAMPLES, EndToEnd, run, without_times


class MainJob(EndToEnd):
    def test_report_has_every_key_of_the_design(self):
        done = self.eval(self.registry(), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["schema"], "moecollab.report/1")
        domain = {"n", "label_space", "baseline", "majority", "expert", "moe", "oracle", "uniform_gate", "equal_shares", "multi_task_head", "multi_task_deep",
                  "routing_accuracy", "confusion"}
        for name in ("news", "emotion"):
            self.assertEqual(domain - set(report["domains"][name]), set())
            self.assertEqual({"accuracy", "macro_f1", "accuracy_task_aware", "macro_f1_task_aware", "accuracy_ci"} - set(report["domains"][name]["moe"]), set())
        keys = {
            "overall": {"accuracy", "domain_mean", "macro_f1", "oracle_accuracy", "gap_to_oracle", "routing_accuracy", "ece", "coverage", "mcnemar", "truncated"},
            "gate": {"fusion", "fitted_fusion", "top_k", "load", "load_space", "n_eff", "n_eff_target", "n_eff_experts", "utilisation", "dead", "idle",
                     "entropy_mean", "objective"},
            "specialisation": {"matrix", "per_expert", "nmi"},
            "compute": {"encoder_forwards_per_text", "cache_hits", "flops_per_text", "flops_b0_per_text", "saved", "tokens", "seconds", "texts_per_second",
                        "peak_rss_bytes"},
            "provenance": {"version", "libtorch", "device", "precision", "threads", "seed", "encoder_sha256", "registry_lock_sha256", "data", "train_overlap",
                           "command"},
        }
        for section, expected in keys.items():
            self.assertEqual(expected - set(report[section]), set(), section)
        for expert in report["experts"]:
            self.assertEqual({"name", "version", "state", "code", "sha256", "isolation", "calls", "faults"} - set(expert), set())
            self.assertEqual(expert["calls"], 82, "dense: every expert answers every text")
        self.assertEqual(report["compute"]["encoder_forwards_per_text"], 1)
        # Two of three experts read the encoder: 1 - 1/3, less what the experts themselves cost.
        self.assertAlmostEqual(report["compute"]["saved"], 2 / 3, delta=0.01)

    def test_equal_commands_give_equal_bits(self):
        registry = self.registry()
        first, second = (json.loads(self.eval(registry, "--json").stdout) for _ in range(2))
        self.assertEqual(without_times(first), without_times(second))

    def test_cached_and_fresh_features_give_equal_answers(self):
        registry = self.registry()
        self.eval(registry)
        cached, fresh = json.loads(self.eval(registry, "--json").stdout), json.loads(self.eval(registry, "--json", "--no-cache").stdout)
        self.assertEqual(fresh["compute"]["cache_hits"], 0)
        self.assertEqual(cached["compute"]["cache_hits"], 82)
        self.assertEqual({e["seconds"] for e in cached["experts"]}, {0})
        self.assertTrue(all(e["seconds"] > 0 for e in fresh["experts"]))
        self.assertEqual(cached["domains"], fresh["domains"])

    def test_truncated_texts_are_counted_whether_cached_or_not(self):
        registry = self.registry()
        news = self.write("news.jsonl", json.dumps({"text": "market " * 1000, "label": "world"}) + "\n" + (SAMPLES / "news/dev.jsonl").read_text())
        for _ in range(2):
            done = run("eval", f"--data=news={news}", "--registry", registry, "--cache-dir", self.folder / "cache", "--quiet", "--json")
            self.assertEqual(json.loads(done.stdout)["overall"]["truncated"], 1, done.stderr)

    def test_an_interrupt_ends_an_evaluation_and_keeps_what_was_encoded(self):
        registry = self.registry()
        texts = [json.dumps({"text": f"{i} market goal " + f"w{i} " * 300, "label": "world"}) for i in range(3000)]
        news = self.write("news.jsonl", "\n".join(texts))
        for sent, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            cache = self.folder / f"cache{status}"
            command = ["eval", f"--data=news={news}", "--registry", registry, "--cache-dir", cache]
            process = subprocess.Popen([str(PROGRAM), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.assertIn("encoding", process.stderr.readline())
            process.send_signal(sent)
            _, errors = process.communicate(timeout=30)
            self.assertEqual(process.returncode, status, errors)
            self.assertIn("error: E_INTERRUPTED", errors)
            self.assertIn("in the cache", errors)
            self.assertTrue(list(cache.rglob("*.safetensors")))

    def test_second_train_gate_runs_the_encoder_zero_times(self):
        done = run("train-gate", *self.data("train"), *self.options(self.registry()), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["encoder_forwards"], 0)

    def test_top_k_really_leaves_experts_out(self):
        registry = self.registry()
        report = json.loads(self.eval(registry, "--top-k", 1, "--json").stdout)
        self.assertEqual(sum(e["calls"] for e in report["experts"]), 82)

    def test_registry_toml_says_how_the_gate_is_read(self):
        registry = self.registry()
        toml = registry / "registry.toml"
        before = toml.read_text()
        toml.write_text(before + "\n[gate]\ntop_k = 1\n")
        self.assertEqual(sum(e["calls"] for e in json.loads(self.eval(registry, "--json").stdout)["experts"]), 82)
        self.assertEqual(sum(e["calls"] for e in json.loads(self.eval(registry, "--json", "--top-k", "2").stdout)["experts"]), 164, "the command line wins")
        text = "I was so scared that I could not sleep\n"
        weight = lambda: json.loads(run("predict", "--registry", registry, "-", stdin=text).stdout)["experts"]["feelings"]
        toml.write_text(before)
        self.assertGreater(weight(), 0.5)
        toml.write_text(before.replace('name = "feelings"\n', 'name = "feelings"\nweight_cap = 0.4\n'))
        self.assertAlmostEqual(weight(), 0.4, places=5)

    def test_every_fusion_evaluates_and_only_two_are_task_agnostic(self):
        registry = self.registry()
        for fusion in ("mixture", "logit-union", "masked", "paper"):
            with self.subTest(fusion):
                report = json.loads(self.eval(registry, "--fusion", fusion, "--json").stdout)
                self.assertEqual(report["gate"]["fitted_fusion"], "mixture")
                agnostic = fusion in ("mixture", "logit-union")
                self.assertEqual(report["overall"]["accuracy"] is not None, agnostic)
                self.assertIsNotNone(report["domains"]["news"]["moe"]["accuracy_task_aware"])

    def test_outputs_are_written(self):
        done = self.eval(self.registry(), "--report", self.folder / "r.json", "--html", self.folder / "r.html", "--markdown", self.folder / "r.md")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.load(self.folder / "r.json")["schema"], "moecollab.report/1")
        self.assertIn("<table", (self.folder / "r.html").read_text())
        self.assertIn("| news", (self.folder / "r.md").read_text())
        self.assertIn("news", done.stdout)

    def test_require_decides_the_exit_status(self):
        registry = self.registry()
        self.assertEqual(self.eval(registry, "--require", "accuracy>=0.01").returncode, 0)
        self.assertRefused(self.eval(registry, "--require", "accuracy>=1.01"), 6, "E_REQUIRE", "overall.accuracy", "1.01")
        self.assertRefused(self.eval(registry, "--require", "accuracy~1"), 2, "E_CONFIG")
        self.assertRefused(self.eval(registry, "--require", "nonsense>=1"), 2, "E_CONFIG", "overall.nonsense")

    def test_read_only_registry_is_enough_to_evaluate(self):
        registry = self.registry()
        before = sorted((p, p.stat().st_mtime_ns) for p in registry.rglob("*"))
        self.assertEqual(self.eval(registry).returncode, 0)
        self.assertEqual(sorted((p, p.stat().st_mtime_ns) for p in registry.rglob("*")), before)

    def test_predict_answers_in_order_and_goes_on_behind_bad_lines(self):
        lines = ['{"id": "a", "text": "the striker scored twice in the final"}', "{bad", '{"text": ""}', '{"text": "i could cry with joy"}']
        done = run("predict", "-", "--quiet", "--registry", self.registry(), stdin="\n".join(lines) + "\n")
        self.assertEqual(done.returncode, 3, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([a.get("text_id", a.get("error", {}).get("line")) for a in answers], ["a", 2, 3, 4])
        self.assertEqual(answers[1]["error"]["code"], "E_DATA")
        first = answers[0]
        self.assertEqual(set(first), {"text_id", "label", "label_space", "probability", "experts", "unknown_domain", "alternatives", "line"})
        self.assertEqual(first["line"], 1)
        self.assertTrue(0 < first["probability"] <= 1)
        self.assertAlmostEqual(sum(first["experts"].values()), 1, delta=0.01)
        strict = run("predict", "-", "--strict", "--registry", self.folder / "registry", stdin="{bad\n")
        self.assertRefused(strict, 3, "E_DATA")

    def test_predict_streams_a_live_pipe(self):
        texts = [json.loads(line)["text"] for line in open(SAMPLES / "news" / "train.jsonl")] * 2
        program = subprocess.Popen([str(PROGRAM), "predict", "-", "--quiet", "--registry", str(self.registry())], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        program.stdin.write("".join(t + "\n" for t in texts[:-1]))
        program.stdin.flush()
        early = [json.loads(program.stdout.readline()) for _ in texts[:-1]]  # would block for ever if answers waited for the end
        program.stdin.write(texts[-1] + "\n")
        program.stdin.close()
        answers = early + [json.loads(line) for line in program.stdout]
        self.assertEqual(program.wait(), 0)
        program.stdout.close()
        self.assertEqual([a["text_id"] for a in answers], list(range(1, len(texts) + 1)))

    def live(self, *options, source="-"):
        """A predict whose pipes are open."""
        process = subprocess.Popen([str(PROGRAM), "predict", str(source), "--quiet", "--registry", str(self.shared / "registry"), *map(str, options)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: [stream.close() for stream in (process.stdin, process.stdout, process.stderr)])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def say(self, process, *texts):
        process.stdin.write("".join(text + "\n" for text in texts).encode())
        process.stdin.flush()

    def answered(self, process):
        return json.loads(process.stdout.readline())["line"]

    def test_predict_holds_few_texts_back_only_if_told_to(self):
        process = self.live("--batch", 2)
        for line, text in enumerate(("a late goal", "the market fell"), 1):
            self.say(process, text)
            self.assertEqual(self.answered(process), line, "would block if it waited for a second text")
        process.stdin.close()
        self.assertEqual(process.wait(), 0)

        process = self.live("--batch", 2, "--max-latency-ms", 60000)
        self.say(process, "a late goal", "the market fell", "i could cry with joy")
        self.assertEqual([self.answered(process) for _ in range(2)], [1, 2])
        self.assertEqual(select.select([process.stdout], [], [], 1)[0], [], "the third was answered alone")
        self.say(process, "a new drug")
        self.assertEqual([self.answered(process) for _ in range(2)], [3, 4])
        self.say(process, "the last one")
        process.stdin.close()
        self.assertEqual(self.answered(process), 5)
        self.assertEqual(process.wait(), 0)

    def test_an_interrupted_predict_has_answered_what_it_read(self):
        for sent, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.live("--max-latency-ms", 60000)
            self.say(process, "a late goal", "the market fell")
            time.sleep(3)  # read, but held back
            process.send_signal(sent)
            answers, errors = process.stdout.read(), process.stderr.read()
            self.assertEqual(process.wait(), status, errors)
            self.assertEqual([json.loads(line)["line"] for line in answers.splitlines()], [1, 2])
            self.assertIn(b"E_INTERRUPTED: interrupted; every line so far was answered", errors)

    def test_an_interrupt_ends_a_predict_that_has_much_to_read(self):
        texts = self.write("texts.txt", "the striker scored twice in the final of the cup\n" * 200000)
        process = self.live("--format", "lines", source=texts)
        self.assertEqual(self.answered(process), 1)
        process.send_signal(signal.SIGINT)
        answers, errors = process.stdout.read(), process.stderr.read()
        self.assertEqual(process.wait(), 130, errors)
        lines = [json.loads(line)["line"] for line in answers.splitlines()]
        self.assertEqual(lines, list(range(2, len(lines) + 2)), "in order, and the last one is whole")

    def test_a_strict_predict_answers_what_stands_before_the_bad_line(self):
        lines = '{"text": "a late goal"}\n{"text": "the market fell"}\n{bad\n{"text": "never asked"}\n'
        for batch in (1, 2, 128):
            done = run("predict", "--strict", "--batch", batch, "--registry", self.shared / "registry", stdin=lines)
            self.assertRefused(done, 3, "E_DATA", "stdin:3")
            self.assertEqual([json.loads(line)["line"] for line in done.stdout.splitlines()], [1, 2])

    def test_encode_and_tokenize_agree_on_tokens(self):
        texts = self.write("t.jsonl", "".join(json.dumps({"text": t}) + "\n" for t in ("a short one", "and another, a little longer one")))
        done = run("encode", "--encoder", ENCODER, "--input", texts, "--output", self.folder / "o.safetensors", "--max-length", 8, "--no-cache", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        tokens = run("tokenize", texts, "--encoder", ENCODER, "--max-length", 8)
        ids = [json.loads(line) for line in tokens.stdout.splitlines()]
        self.assertEqual([len(i["ids"]) for i in ids], [5, 8])
        self.assertEqual(ids[0]["tokens"], ["[CLS]", "a", "short", "one", "[SEP]"])
        self.assertEqual(json.loads(done.stdout)["tokens"], 13)

    def test_config_file_gives_way_to_flags(self):
        config = self.write("c.toml", 'fusion = "paper"\ntop-k = 1\n')
        report = json.loads(self.eval(self.registry(), "--config", config, "--fusion", "masked", "--json").stdout)
        self.assertEqual((report["gate"]["fusion"], report["gate"]["top_k"]), ("masked", 1))
        bad = self.write("d.toml", "fusoin = 1\n")
        self.assertRefused(self.eval(self.folder / "registry", "--config", bad), 2, "E_CONFIG", "fusoin", "did you mean `fusion`")

    def test_upgrade_by_force_puts_the_expert_on_probation(self):
        registry = self.registry()
        train = ["train-expert", "news-words", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--epochs", 2, *self.options(registry)]
        self.assertRefused(run(*train), 4, "E_REG_EXISTS", "--force")
        self.assertEqual(run(*train, "--force").returncode, 0)
        self.assertEqual(self.eval(registry).returncode, 0, "nobody is stopped")
        self.assertRefused(self.eval(registry, "--strict"), 4, "E_GATE", "news-words 1.0.0", "train-gate")

    def test_a_disabled_expert_is_renormalised_away(self):
        registry = self.registry()
        text = (registry / "registry.toml").read_text()
        (registry / "registry.toml").write_text(text.replace('name = "news-words"', 'name = "news-words"\nenabled = false'))
        done = run("eval", *self.data("dev"), "--registry", registry, "--cache-dir", self.shared / "cache", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("news-words", done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual({e["name"]: e["calls"] for e in report["experts"]}["news-words"], 0)
        self.assertTrue(math.isfinite(report["overall"]["accuracy"]))

    def test_a_round_of_alternation_is_kept_or_undone_whole(self):
        registry = self.registry()
        files = lambda: {str(p.relative_to(registry)): p.read_bytes() for p in registry.rglob("*")
                         if p.is_file() and not {"heldout", "history"} & set(p.relative_to(registry).parts) and p.name != "history.jsonl"}
        self.assertEqual(run("train-gate", *self.data("train"), *self.options(registry)).returncode, 0)
        before = files()
        done = run("train", "--rounds", "1", *self.data("train"), *self.options(registry), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        first, second = result["rounds"]
        self.assertEqual(set(second["experts"]), {"news-adapter", "news-words", "feelings"})
        self.assertEqual(second["kept"], second["held_out_loss"] < first["held_out_loss"])
        if second["kept"]:
            self.assertTrue((registry / "experts" / "feelings" / "1.0.1").exists())
        else:
            self.assertEqual(files(), before)
        self.assertEqual(self.eval(registry).returncode, 0)

    def test_a_round_that_is_interrupted_is_undone(self):
        registry = self.registry()
        self.assertEqual(run("train-gate", *self.data("train"), "--calibrate", "--keep-replay", "5", "--lambda1", "0.01", *self.options(registry)).returncode, 0)
        files = lambda: {str(p.relative_to(registry)): p.read_bytes() for p in registry.rglob("*")
                         if p.is_file() and p.relative_to(registry).parts[0] not in ("heldout", "checkpoints", "history") and p.name not in ("history.jsonl", ".lock")}
        before = files()
        process = subprocess.Popen([str(PROGRAM), "train", "--rounds", "1", *self.data("train"), "--registry", str(registry), "--cache-dir", str(self.shared / "cache"), "--quiet"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        first = registry / "experts" / "news-adapter" / "1.0.1"
        while not first.exists():  # the first of three experts is installed
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("as it was before", errors)
        self.assertFalse(first.exists())
        self.assertEqual(files(), before, "experts, their histories, the gate with its temperatures and its replay, the lock")
        self.assertEqual(self.eval(registry).returncode, 0)

    def test_the_rounds_keep_the_settings_of_the_gate(self):
        registry = self.registry()
        settings = ("--calibrate", "--keep-replay", "5", "--lambda1", "0.01", "--gate", "mlp", "--gate-hidden", "7", "--optimizer", "lbfgs", "--layers", "6", "--top-k", "2", "--prior", "data", "--lambda2", "0.02")
        done = run("train-gate", *self.data("train"), *settings, *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        gate = registry / "gate"
        before = {p.name: p.read_bytes() for p in gate.iterdir() if p.name != "history.jsonl"}
        self.assertIn("replay.safetensors", before)
        done = run("train", "--joint", "--epochs", "1", *self.data("train"), *self.options(registry), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        if not json.loads(done.stdout)["kept"]:
            self.assertEqual({p.name: p.read_bytes() for p in gate.iterdir() if p.name != "history.jsonl"}, before)
        fit = (gate / "gate.toml").read_text()
        for line in ('gate = "mlp"', "top_k = 2", "lambda1 = 0.01", "lambda2 = 0.02", "calibrate = true", "keep_replay = 5", 'optimizer = "lbfgs"', 'prior = "data"', "hidden = 7"):
            self.assertIn(line, fit)

    def test_an_expert_that_was_added_is_not_trained_again(self):
        registry = self.registry()
        manifest = self.package(registry, "feelings") / "expert.toml"
        (registry / "heldout" / (hashlib.sha256(manifest.read_bytes()).hexdigest() + ".safetensors")).unlink()
        done = run("train", "--rounds", "1", *self.data("train"), *self.options(registry), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(json.loads(done.stdout)["rounds"][1]["experts"]), {"news-adapter", "news-words"})

    def test_joint_training_is_kept_or_undone_whole(self):
        registry = self.registry()
        done = run("train", "--joint", "--epochs", "3", *self.data("train"), *self.options(registry), "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        before, joint = json.loads(done.stdout)["rounds"]
        self.assertEqual(set(joint["experts"]), {"news-adapter", "feelings"}, "a lexical expert fits itself")
        self.assertEqual(len(joint["history"]), 3)
        self.assertLess(joint["history"][2]["train_loss"], joint["history"][0]["train_loss"])
        self.assertEqual(joint["kept"], joint["held_out_loss"] < before["held_out_loss"])
        self.assertEqual((registry / "experts" / "feelings" / "1.0.1").exists(), joint["kept"])
        self.assertEqual(self.eval(registry).returncode, 0)
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 0)

    def test_joint_training_refuses_what_it_cannot_do(self):
        registry = self.registry()
        gate = registry / "gate" / "gate.toml"
        before = gate.stat().st_mtime_ns
        self.assertRefused(run("train", "--joint", "--epochs", "0", *self.data("train"), *self.options(registry)), 2, "E_CONFIG", "epochs is 0")
        self.assertEqual(gate.stat().st_mtime_ns, before, "refused before the gate is fitted again")
        words = self.folder / "words"
        done = run("train-expert", "words", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--registry", words, "--encoder", ENCODER)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run("train-gate", self.data("train")[0], *self.options(words)).returncode, 0)
        self.assertRefused(run("train", "--joint", self.data("train")[0], *self.options(words)), 5, "E_TRAIN_UNSUPPORTED", "train/1")
