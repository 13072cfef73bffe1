"""What a run finds around it: what would end it is found before work starts, and what would not is said and passed over."""
import datetime
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import unittest

from harness import ENCODER, PROGRAM, SAMPLES, EndToEnd, clean_environment, run, without_times

TEXTS = [("the team won the cup", "sports"), ("the striker scored", "sports"), ("shares fell again", "business"), ("the bank cut its rate", "business")]


class BeforeTraining(EndToEnd):
    """A refusal that the first second can give leaves no checkpoint, package or history behind."""

    def lines(self, rows):
        return self.write("train.jsonl", "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))

    def train(self, rows=TEXTS, *more, kind="adapter"):
        return run("train-expert", "x", "--kind", kind, "--domain", "d", "--data", f"d={self.lines(rows)}", "--registry", self.folder / "r",
                   "--encoder", ENCODER, "--no-cache", "--epochs", 2, *more)

    def assertNothingDone(self):
        for name in ("checkpoints", "history", "heldout"):
            self.assertFalse((self.folder / "r" / name).exists(), name)

    def test_labels_and_options(self):
        single = [(text, f"label {i}") for i, (text, _) in enumerate(TEXTS)]
        held_out = "no text is held out: a label needs two texts, and no label of "
        for rows, more, status, code, fragment in (
                (single, (), 3, "E_DATA", held_out),
                ([*TEXTS, ("a late goal", "spo\nrts")], (), 3, "E_DATA", r'train.jsonl:5: the label "spo\x0arts" holds a control character'),
                (TEXTS, ("--layers", 3, 3), 2, "E_CONFIG", "`input.layers` names something twice"),
                (TEXTS, ("--seed", 2 ** 63), 2, "E_CONFIG", "seed is 9223372036854775808, expected at most 9223372036854775807"),
                (TEXTS[:2], (), 3, "E_DATA", "all texts have the label")):
            with self.subTest(fragment):
                self.assertRefused(self.train(rows, *more), status, code, fragment)
                self.assertNothingDone()

    def test_what_is_fitted_on_held_out_texts(self):
        data = self.lines([(text, f"label {i}") for i, (text, _) in enumerate(TEXTS)])
        for verb in (["train-gate"], ["sweep"], ["train", "--rounds", 1]):
            done = run(*verb, "--data", f"news={data}", *self.options(self.registry()))
            self.assertRefused(done, 3, "E_DATA", "no text is held out: a label needs two texts")
            shutil.rmtree(self.folder / "registry")

    def test_rounds_need_enough_texts_and_a_pupil(self):
        registry = self.registry()
        gate = (registry / "gate" / "gate.toml").read_bytes()
        few = self.lines([(f"{text} {i}", label) for text, label in TEXTS for i in range(2)])
        self.assertRefused(run("train", "--rounds", 1, "--data", f"news={few}", *self.options(registry)), 3, "E_DATA", "2 held-out texts are too few", "at least 5")
        shutil.rmtree(registry / "heldout")  # then nobody knows that the experts were trained here
        self.assertRefused(run("train", "--rounds", 1, *self.data("train"), *self.options(registry)), 5, "E_TRAIN_UNSUPPORTED")
        self.assertEqual((registry / "gate" / "gate.toml").read_bytes(), gate, "no gate was fitted before")

    def test_many_labels_go_into_a_file(self):
        done = self.train([(f"text {i} of {k}", f"label {i:03}") for i in range(501) for k in (1, 2)])
        self.assertEqual(done.returncode, 0, done.stderr)
        package = self.package(self.folder / "r", "x")
        self.assertEqual((package / "labels.txt").read_text(), "".join(f"label {i:03}\n" for i in range(501)))
        self.assertIn('labels_file = "labels.txt"', (package / "expert.toml").read_text())
        why = run("experts", "verify", "--registry", self.folder / "r")
        self.assertEqual((why.returncode, why.stdout), (0, "x: ready, probe: passed\n"), why.stderr)

    def test_folders_of_the_registry(self):
        for folder in ("experts", "heldout", "history", "checkpoints"):
            (self.folder / "r").mkdir()
            (self.folder / "r" / folder).write_text("in the way")
            self.assertRefused(self.train(kind="lexical"), 7, "E_WRITE", f"r/{folder} cannot be written: it is not a folder")
            self.assertEqual(sorted(p.name for p in (self.folder / "r").iterdir() if p.name != ".lock"), sorted([folder, "registry.toml"]))
            shutil.rmtree(self.folder / "r")


class BeforeEvaluation(EndToEnd):
    def test_a_threshold_on_what_no_report_has(self):
        registry = self.shared / "registry"
        done = self.eval(registry, "--require", "macro_f2>=0.5")
        self.assertRefused(done, 2, "E_CONFIG", "the report has no overall.macro_f2; did you mean `macro_f1`?")
        self.assertEqual(done.stdout, "")
        known = re.search(r"there are overall\.(.*)", done.stderr).group(1).split(", ")
        self.assertEqual(set(known), set(json.loads(self.eval(registry, "--json").stdout)["overall"]))

    def test_one_file_for_two_forms(self):
        done = self.eval(self.shared / "registry", "--report", self.folder / "r", "--html", self.folder / "." / "r")
        self.assertRefused(done, 2, "E_CONFIG", "r is named for two forms of the report")
        self.assertFalse((self.folder / "r").exists())


class Desktop(EndToEnd):
    NAMES = (".DS_Store", "Thumbs.db", "._x", ".directory", "desktop.ini")

    def test_beside_packages_they_are_ignored(self):
        registry = self.registry()
        before = run("experts", "list", "--registry", registry).stdout
        for name in self.NAMES:
            for folder in (registry, registry / "experts", registry / "experts" / "news-words", registry / "gate", registry / "heldout", registry / "history"):
                (folder / name).write_text("x")
        self.assertEqual(run("experts", "list", "--registry", registry).stdout, before)
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 0)
        self.assertEqual(run("predict", "--registry", registry, stdin="a late goal\n").returncode, 0)

    def test_within_one_the_command_that_removes_it_is_named(self):
        registry = self.registry()
        file = self.package(registry, "news-words") / ".DS_Store"
        file.write_text("x")
        self.assertRefused(run("predict", "--registry", registry, stdin="a\n"), 5, "E_PLUG_PATH", "a desktop's file manager left it", f"rm '{file}'")
        subprocess.run(["sh", "-c", f"rm '{file}'"], check=True)
        self.assertEqual(run("predict", "--registry", registry, stdin="a\n").returncode, 0)


class Numbers(EndToEnd):
    def report(self, registry, env):
        done = run("eval", *self.data("dev"), *self.options(registry), "--json", "--no-cache", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return without_times(json.loads(done.stdout))

    def test_R55_neither_language_nor_time_zone_changes_them(self):
        locales = self.folder / "locales"
        locales.mkdir()
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", locales / "de_DE.UTF-8"], check=True, capture_output=True)
        german = {"LOCPATH": str(locales), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Pacific/Kiritimati"}
        # That the locale is one in which a half is written with a comma:
        comma = subprocess.run(["python3", "-c", "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.str(0.5))"],
                               env={**os.environ, **german}, capture_output=True, text=True, check=True).stdout
        self.assertEqual(comma, "0,5\n")
        registry = self.registry()
        self.assertEqual(self.report(registry, german), self.report(registry, {}))
        done = run("experts", "disable", "feelings", "--registry", registry, env=german)
        self.assertEqual(done.returncode, 0, done.stderr)
        change = json.loads(run("experts", "history", "--registry", registry, "--json").stdout)["changes"][-1]
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(change["time"])
        self.assertLess(abs(age.total_seconds()), 600, "the time is UTC")

    def test_R47_calls_that_are_interrupted_or_cut_short_are_made_again(self):
        shim = self.folder / "interrupted.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, pathlib.Path(__file__).with_name("interrupted_calls.c")], check=True)
        interrupted = {"LD_PRELOAD": str(shim)}
        plain, cut = self.folder / "plain", self.folder / "cut"
        for registry, env in ((plain, {}), (cut, interrupted)):
            shutil.copytree(self.shared / "registry", registry)
            for words in (["train-gate", *self.data("train"), "--no-cache", "--epochs", 3], ["experts", "disable", "feelings"],
                          ["experts", "enable", "feelings"]):
                done = run(*words, "--registry", registry, env=env)
                self.assertEqual(done.returncode, 0, done.stderr)
        for file in ("registry.toml", "registry.lock.toml", "gate/gate.safetensors"):
            self.assertEqual((cut / file).read_bytes(), (plain / file).read_bytes(), file)
        texts = "the team won the match\n" * 100
        answers = [run("predict", "-", "--registry", plain, stdin=texts, env=env) for env in ({}, interrupted)]
        self.assertEqual(answers[1].returncode, 0, answers[1].stderr)
        self.assertEqual(answers[1].stdout, answers[0].stdout)

    def test_R60_time_grows_in_step_with_the_packages_that_lie_there(self):
        """Time of the processor: for 64 and 1,000 packages 16 times as much if it does, 240 times if it grew with the square."""
        registry = self.registry()
        package = self.package(registry, "news-words")
        used = []
        for count in (0, 64, 1000):
            for number in range(count):
                folder = registry / "experts" / f"copy-{number}" / package.name
                if not folder.exists():
                    folder.mkdir(parents=True)
                    for file in package.iterdir():
                        os.link(file, folder / file.name)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = run("experts", "list", "--registry", registry, "--json")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.assertEqual(len(json.loads(done.stdout)["experts"]), 3 + count)
            used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        self.assertLess(used[2] - used[0], 60 * max(used[1] - used[0], 0.01))


class Places(EndToEnd):
    """Folders and variables that others find as a matter of course."""

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "takes another user's rights")
    def test_R07_packages_are_their_owners_alone_whatever_the_umask(self):
        registry = self.folder / "registry"
        done = subprocess.run(["sh", "-c", 'umask 000 && exec "$@"', "sh", PROGRAM, "train-expert", "words", "--kind", "lexical", "--domain", "news",
                               "--data-dir", SAMPLES, "--registry", registry, "--encoder", ENCODER, "--no-cache", "--epochs", "1"],
                              capture_output=True, text=True, env=clean_environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        library = self.package(registry, "words") / "liblexical.so"
        self.assertEqual(library.stat().st_mode & 0o022, 0)
        self.assertEqual(run("experts", "verify", "words", "--registry", registry).returncode, 0)
        library.chmod(0o664)
        done = run("experts", "verify", "words", "--registry", registry)
        self.assertEqual(done.returncode, 5, done.stderr)
        for fragment in ("E_PLUG_PERM", "mode 0664", "chmod -R go-w"):
            self.assertIn(fragment, done.stdout + done.stderr + run("experts", "why", "words", "--registry", registry).stdout)

    def test_verify_reports_on_a_registry_that_may_only_be_read(self):
        registry = self.registry()
        lock = (registry / "registry.lock.toml").read_bytes()
        subprocess.run(["chmod", "-R", "a+rX", str(self.folder)], check=True)
        done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", str(PROGRAM), "experts", "verify", "--registry", str(registry), "--json"],
                              capture_output=True, text=True, env=clean_environment(), timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: registry.lock.toml is not written: ", done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report["lock_written"], {e["probe"] for e in report["experts"]}), (False, {"passed"}))
        self.assertEqual((registry / "registry.lock.toml").read_bytes(), lock)
        self.assertTrue(json.loads(run("experts", "verify", "--registry", registry, "--json").stdout)["lock_written"])

    def test_a_linked_registry_toml_is_read_and_written_through(self):
        registry, target = self.registry(), self.folder / "etc" / "real.toml"
        target.parent.mkdir()
        (registry / "registry.toml").rename(target)
        (registry / "registry.toml").symlink_to("../etc/real.toml")
        done = run("train-expert", "more", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.readlink(registry / "registry.toml"), "../etc/real.toml")
        self.assertIn('name = "more"', target.read_text())
        self.assertEqual([p.name for p in target.parent.iterdir()], ["real.toml"])
        target.unlink()
        self.assertRefused(run("train-expert", "again", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, *self.options(registry)),
                           4, "E_REG_IO", "symbolic link to ../etc/real.toml")

    def eval_in(self, environment, *before):
        return subprocess.run([*before, str(PROGRAM), "eval", *self.data("dev"), "--registry", str(self.shared / "registry"), "--json"], capture_output=True,
                              text=True, env=environment, timeout=300)

    def test_without_a_place_for_the_cache(self):
        done = self.eval_in({})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: features are not cached: neither XDG_CACHE_HOME nor HOME is set; name a folder with --cache-dir", done.stderr)
        expected = json.loads(done.stdout)["overall"]
        blocked = self.write("home", "a file")
        done = self.eval_in({"HOME": str(blocked)})
        self.assertEqual((done.returncode, json.loads(done.stdout)["overall"]), (0, expected), done.stderr)
        self.assertIn("warning: features are not cached: the feature cache ", done.stderr)
        asked = run("eval", *self.data("dev"), "--registry", self.shared / "registry", "--cache-dir", blocked / "cache")
        self.assertRefused(asked, 7, "E_WRITE", "the feature cache")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "takes another user's rights")
    def test_a_cache_that_may_only_be_read(self):
        subprocess.run(["chmod", "-R", "a+rX", str(self.shared), str(self.folder)], check=True)
        cache = self.folder / "moecollab"
        cache.mkdir()
        done = self.eval_in({"XDG_CACHE_HOME": str(self.folder)}, "setpriv", "--reuid=65534", "--clear-groups")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("features are not cached any more: "), 1, done.stderr)

    def test_no_folder_for_temporary_files(self):
        archive = self.folder / "n.moec"
        self.assertEqual(run("pack", self.package(self.shared / "registry", "news-words"), "--output", archive).returncode, 0)
        done = run("experts", "inspect", archive, env={"TMPDIR": "/nowhere"})
        self.assertRefused(done, 7, "E_WRITE", "temporary files", "TMPDIR")

    def test_a_working_folder_that_is_gone(self):
        command = 'mkdir "$1" && cd "$1" && rmdir "$1" && exec "$2" experts list --registry "$3"'
        done = subprocess.run(["sh", "-c", command, "sh", str(self.folder / "gone"), str(PROGRAM), str(self.shared / "registry")], capture_output=True,
                              text=True, env=clean_environment(), timeout=60)
        self.assertRefused(done, 2, "E_CONFIG", "the working folder cannot be used: No such file or directory")
