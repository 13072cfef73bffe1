"""Outputs that cannot be written: files, a full or closed stdout, a stderr that nobody reads."""
import json
import os
import signal
import subprocess
import time
import unittest

from harness import BUILD, ENCODER, PROGRAM, SAMPLES, EndToEnd, clean_environment, run


class Output(EndToEnd):
    def test_the_separate_arrangement_answers_the_same_with_more_passes(self):
        registry = self.shared / "registry"
        base = ["eval", "--registry", registry, *self.data("dev"), "--quiet", "--json"]
        self.assertRefused(run(*base, "--arrangement", "separate"), 2, "E_CONFIG", "a cache saves them", "--no-cache")
        shared, separate = (json.loads(run(*base, "--no-cache", "--arrangement", a).stdout) for a in ("shared", "separate"))
        self.assertEqual(shared["domains"], separate["domains"])
        self.assertEqual((shared["compute"]["arrangement"], separate["compute"]["arrangement"]), ("shared", "separate"))
        readers = 2  # news-adapter and feelings; news-words reads the texts
        self.assertEqual((shared["compute"]["encoder_forwards_per_text"], separate["compute"]["encoder_forwards_per_text"]), (1, 1 + readers))
        self.assertAlmostEqual(separate["compute"]["saved"], 0)
        self.assertGreater(shared["compute"]["saved"], 0.3)

    def test_a_report_is_shown_again_and_two_are_compared(self):
        files = {name: self.folder / name for name in ("a.json", "a.html", "a.md", "b.json", "again.html", "again.md", "both.html", "both.md")}
        registry = self.shared / "registry"
        first = self.eval(registry, "--report", files["a.json"], "--html", files["a.html"], "--markdown", files["a.md"])
        again = run("report", files["a.json"], "--html", files["again.html"], "--markdown", files["again.md"])
        self.assertEqual((again.returncode, again.stdout), (0, first.stdout), again.stderr)
        for form in ("html", "md"):
            self.assertEqual(files[f"again.{form}"].read_text(), files[f"a.{form}"].read_text())
        self.assertRefused(run("report", files["a.json"], "--html", files["a.json"]), 2, "E_CONFIG", "is the report itself")
        self.eval(registry, "--top-k", 1, "--report", files["b.json"])
        both = run("report", files["a.json"], files["b.json"], "--html", files["both.html"], "--markdown", files["both.md"], "--json")
        self.assertEqual(both.returncode, 0, both.stderr)
        a, b, overall = self.load(files["a.json"]), self.load(files["b.json"]), json.loads(both.stdout)["overall"]
        self.assertEqual((overall["before"], overall["after"]), (a["overall"]["accuracy"], b["overall"]["accuracy"]))
        self.assertAlmostEqual(overall["change"], (overall["fixed"] - overall["broke"]) / overall["n"])
        self.assertIn("Against the earlier report", files["both.html"].read_text())
        self.assertIn("Against the earlier report", files["both.md"].read_text())
        newer = self.write("newer.json", files["a.json"].read_text().replace("moecollab.report/1", "moecollab.report/9"))
        self.assertRefused(run("report", newer), 3, "E_DATA", "newer.json is no report", "moecollab.report/9")
        self.assertRefused(run("report", files["a.json"], self.write("x.json", "{")), 3, "E_DATA", "x.json is no report")
        self.assertRefused(run("report", self.write("y.json", '{"schema": "moecollab.report/1", "precision": {}}')), 3, "E_DATA", "y.json is no report")
        self.assertRefused(run("report", self.folder / "none.json"), 3, "E_DATA", "none.json cannot be read")
        self.assertRefused(run("report", files["a.json"], "--html", self.folder / "one", "--markdown", self.folder / "one"), 2, "E_CONFIG", "named for two forms")

    def test_outputs_are_checked_before_work_begins(self):
        done = self.eval(self.shared / "registry", "--report", self.folder / "none" / "r.json")
        self.assertRefused(done, 7, "E_WRITE", "none")
        done = self.eval(self.shared / "registry", "--html", self.folder)
        self.assertRefused(done, 7, "E_WRITE", "folder")
        done = run("encode", "--encoder", ENCODER, "--input", self.folder / "missing", "--output", self.folder / "none" / "o.safetensors")
        self.assertRefused(done, 7, "E_WRITE", "none")

    def test_a_full_standard_output_is_an_error(self):
        tokenize = ["tokenize", "--encoder", ENCODER, "--format", "lines", "-"]
        many = "hello\n" * 1000  # more than is buffered
        for arguments, stdin in ((tokenize, "hello\n"), (tokenize, many), ([*tokenize, "--json"], many), (["validate", "--list"], ""), (["--help"], "")):
            with open("/dev/full", "w") as full:
                done = subprocess.run([str(PROGRAM), *map(str, arguments)], input=stdin, stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertRefused(done, 7, "E_WRITE")

    def test_a_read_only_registry_stops_training_before_it_starts(self):
        if os.geteuid() == 0:
            # Root may write anywhere: an immutable place is a folder that is a file.
            blocked = self.write("blocked", "")
            done = run("train-expert", "e", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--registry", blocked / "registry", "--encoder", ENCODER,
                       "--no-cache")
        else:
            registry = self.registry()
            registry.chmod(0o500)
            self.addCleanup(registry.chmod, 0o700)
            done = run("train-expert", "e", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, *self.options(registry))
        self.assertRefused(done, 7, "E_WRITE")


class Completion(unittest.TestCase):
    """The script for bash, asked as readline asks it: the words of the line, "=" a word of its own."""

    def complete(self, *words):
        """What is proposed for the last word, and which paths readline is asked for beside it."""
        script = BUILD / "share/bash-completion/completions/moecollab"
        ask = ('set -u; source "$0"; compopt() { echo "$2"; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
               '_moecollab; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", ask, str(script), "moecollab", *words], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_verbs(self):
        self.assertEqual(set(self.complete("tr")), {"train", "train-expert", "train-gate", "train-baseline"})
        self.assertEqual(self.complete("experts", "ve"), ["verify"])
        self.assertEqual(self.complete("help", "ev"), ["eval"])
        self.assertEqual(self.complete("help", "experts", "ve"), ["verify"])

    def test_flags_of_the_verb(self):
        self.assertEqual(self.complete("eval", "--fu"), ["--fusion"])
        self.assertEqual(self.complete("eval", "--split", "train", "--fu"), ["--fusion"])
        self.assertEqual(self.complete("pack", "--fu"), [])
        self.assertEqual(self.complete("experts", "add", "--nam"), ["--name"])

    def test_words_of_a_flag(self):
        words = ["mixture", "logit-union", "masked", "paper"]
        for given in (["--fusion", ""], ["--fusion", "="], ["--fusion", "=", ""]):
            self.assertEqual(self.complete("eval", *given), words, given)
        self.assertEqual(self.complete("eval", "--fusion", "=", "ma"), ["masked"])
        self.assertEqual(self.complete("eval", "--fusion=ma"), ["--fusion=masked"], "a shell that does not split at =")
        self.assertEqual(self.complete("predict", "--fusion", "pa"), [], "predict does not know the domain")
        self.assertEqual(self.complete("train-baseline", ""), ["head", "deep"])
        self.assertEqual(self.complete("eval", "--top-k", ""), [])

    def test_paths_are_left_to_readline(self):
        self.assertEqual(self.complete("eval", "--report", "r"), ["default"])
        self.assertEqual(self.complete("eval", "--data", "news", "=", "r"), ["default"])
        self.assertEqual(self.complete("eval", "--data-dir", "r"), ["dirnames"])
        self.assertEqual(self.complete("validate", "./"), ["default"])
        self.assertEqual(self.complete("train-expert", "--kind", "lex"), ["default", "lexical"])


class Stderr(EndToEnd):
    """A message that cannot be written is dropped: exit status and results are those of any other run."""

    def redirected(self, how, *arguments):
        command = ["sh", "-c", f'exec "$0" "$@" {how}', str(PROGRAM), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=300)

    def with_broken_pipe(self, stream, *arguments):
        """The exit status of a run whose stdout or stderr nobody reads any more."""
        reader, writer = os.pipe()
        os.close(reader)
        try:
            streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writer}
            return subprocess.run([str(PROGRAM), *map(str, arguments)], env=clean_environment(), timeout=300, **streams).returncode
        finally:
            os.close(writer)

    def test_an_error_that_cannot_be_told_keeps_its_status(self):
        listing = ["experts", "list", "--registry", self.folder / "none", "--json"]
        for how in ("2>/dev/full", "2>&-", "2>&- <&-"):
            done = self.redirected(how, *listing)
            self.assertEqual(done.returncode, 4, how)
            self.assertEqual(json.loads(done.stdout)["error"]["code"], "E_REG_IO", how)
        for how in (">/dev/full", ">&-", ">&- 2>&- <&-"):
            self.assertEqual(self.redirected(how, *listing).returncode, 4, how)
        self.assertEqual(self.with_broken_pipe("stderr", *listing), 4)

    def test_results_that_nobody_takes_are_no_success(self):
        for how in (">/dev/full", ">&-", ">&- 2>&-"):
            self.assertEqual(self.redirected(how, "--version").returncode, 7, how)
        self.assertEqual(self.with_broken_pipe("stdout", "--version"), -signal.SIGPIPE)

    def test_answers_that_nobody_takes_end_predict(self):
        texts = self.write("texts.txt", "the striker scored twice in the final of the cup\n" * 100000)
        predict = ["predict", "--format", "lines", "--quiet", "--registry", self.shared / "registry"]
        self.assertEqual(self.with_broken_pipe("stdout", *predict, texts), -signal.SIGPIPE)
        done = self.redirected(">/dev/full", *predict, texts)
        self.assertRefused(done, 7, "E_WRITE")
        with open("/dev/full", "w") as full, subprocess.Popen([str(PROGRAM), *map(str, predict)], stdin=subprocess.PIPE, stdout=full,
                                                              stderr=subprocess.PIPE, text=True) as process:
            process.stdin.write("a late goal\n")
            process.stdin.flush()  # and stays open: nobody waits for its end
            self.assertEqual(process.wait(timeout=60), 7, process.stderr.read())

    def test_eval_with_a_warning_gives_the_same_report(self):
        registry = self.registry()
        next(self.package(registry, "news-words").glob("lib*.so")).unlink()
        toml = registry / "registry.toml"
        toml.write_text(toml.read_text() + '\n[policy]\non_missing = "skip"\n')

        def report(how):
            done = self.redirected(how, "eval", *self.data("dev"), *self.options(registry), "--json")
            self.assertEqual(done.returncode, 0, how + done.stderr)
            report = json.loads(done.stdout)
            report["compute"] = None  # seconds
            return report, done.stderr

        report("")  # fills the cache
        expected, said = report("")
        self.assertIn("warning: expert news-words is refused", said)
        for how in ("2>/dev/full", "2>&-"):
            self.assertEqual(report(how), (expected, ""), how)

    def test_no_message_goes_into_a_file_that_is_open(self):
        sweep = ["sweep", *self.data("train"), "--registry", self.registry(), "--cache-dir", self.shared / "cache", "--lambda1", 0, "--lambda2", 0,
                 "--out", self.folder / "out"]
        self.assertEqual(run(*sweep).returncode, 0)
        self.assertIn("1 point is there already", run(*sweep).stderr, "what is said while the lock is held")
        self.assertEqual(self.redirected("<&- >&- 2>&-", *sweep).returncode, 7)  # libraries would be 0 and 1, and the lock 2
        self.assertRegex((self.folder / "out" / "lock").read_text(), r"\A\d+\n\Z")

    def test_points_of_another_kind_of_fit_are_not_taken_for_finished(self):
        sweep = ["sweep", *self.data("train"), "--registry", self.registry(), "--cache-dir", self.shared / "cache", "--lambda1", 0, "--lambda2", 0,
                 "--out", self.folder / "out", "--gate", "factored"]
        self.assertEqual(run(*sweep).returncode, 0)
        self.assertNotIn("are there already", run(*sweep, "--no-guard").stderr)
        self.assertIn("1 point is there already", run(*sweep, "--no-guard").stderr)

    def test_training_goes_on_when_its_progress_cannot_be_shown(self):
        # Two texts share a label, the others have each their own: one text is held out, and the loop tells its progress after five seconds.
        lines = [{**json.loads(line), "label": f"label {max(i, 1)}"} for i, line in enumerate((SAMPLES / "news" / "train.jsonl").read_text().splitlines())]
        data = self.write("train.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

        def start(name, stderr):
            return subprocess.Popen([str(PROGRAM), "train-expert", "slow", "--kind", "adapter", "--domain", "labels", "--data", f"labels={data}",
                                     "--registry", str(self.folder / name), "--encoder", str(ENCODER), "--cache-dir", str(self.shared / "cache"),
                                     "--epochs", "60", "--batch", "1", "--threads", "1"],
                                    env=clean_environment(), stdout=subprocess.DEVNULL, stderr=stderr, text=True)

        with open("/dev/full", "w") as full:
            runs = {"told": start("told", subprocess.PIPE), "full": start("full", full)}
        for name, process in runs.items():
            self.addCleanup(process.kill)
            while not (self.folder / name / "history" / "slow.jsonl").exists():
                self.assertIsNone(process.poll())
                time.sleep(0.005)
            process.send_signal(signal.SIGSTOP)  # its clock runs on
        time.sleep(5.1)
        for process in runs.values():
            process.send_signal(signal.SIGCONT)
        _, said = runs["told"].communicate(timeout=120)
        self.assertRegex(said, r"epochs: \d+/60 epochs, ")
        self.assertEqual([runs["told"].returncode, runs["full"].wait(timeout=120)], [0, 0], said)
        told, full = (self.package(self.folder / name, "slow") for name in ("told", "full"))
        files = sorted(file.name for file in told.iterdir())
        self.assertIn("weights.safetensors", files)
        self.assertEqual(sorted(file.name for file in full.iterdir()), files)
        for file in files:
            self.assertEqual((told / file).read_bytes(), (full / file).read_bytes(), file)
