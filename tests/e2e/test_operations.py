"""What an operator does to a registry that runs: each verb is one change, which is there or is not, and can be put back."""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import unittest

from harness import ENCODER, PROGRAM, ROOT, SAMPLES, EndToEnd, clean_environment, run

STATE = ("registry.toml", "registry.lock.toml", "gate/gate.toml", "gate/gate.safetensors", "gate/history.jsonl", "gate/replay.safetensors")
TEXT = "the striker scored twice before half time\n"


class Operated(EndToEnd):
    @classmethod
    def build_shared(cls, folder):
        """As the others have it, and news-words 1.0.1 beside 1.0.0, which is the one selected."""
        super().build_shared(folder)
        done = run("train-expert", "news-words", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--force", "--seed", 7,
                   "--registry", folder / "registry", "--cache-dir", folder / "cache", "--quiet")
        assert done.returncode == 0, done.stderr
        done = run("experts", "rollback", "--registry", folder / "registry")
        assert done.returncode == 0, done.stderr

    def experts(self, verb, registry, *more, **options):
        return run("experts", verb, *more, "--registry", registry, **options)

    def changed(self, verb, registry, *more):
        """The result of a verb that changed the registry."""
        done = self.experts(verb, registry, *more, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertIsInstance(result["change"], int)
        return result

    def state(self, registry):
        return {f: hashlib.sha256((registry / f).read_bytes()).hexdigest() for f in STATE if (registry / f).exists()}

    def listed(self, registry):
        return {e["name"]: (e["version"], e["state"]) for e in json.loads(self.experts("list", registry, "--json").stdout)["experts"]}

    def history(self, registry):
        return json.loads(self.experts("history", registry, "--json").stdout)["changes"]

    def predict(self, registry, *more):
        done = run("predict", "-", "--registry", registry, *more, stdin=TEXT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


class Operations(Operated):
    def test_a_day_of_an_operator(self):
        registry = self.registry()
        before, answer = self.state(registry), self.predict(registry)
        self.assertEqual(self.listed(registry)["news-words"], ("1.0.0", "ready"))
        why = self.experts("why", registry, "news-words").stdout
        self.assertIn("1.0.1 is installed and not taken: 1.0.0 is selected in registry.lock.toml", why)
        self.assertIn("`moecollab experts upgrade news-words`", why)

        off = self.changed("disable", registry, "news-words", "--reason", "it's too slow")
        self.assertEqual((off["before"]["enabled"], off["after"]["enabled"]), (True, False))
        self.assertNotIn("news-words", self.predict(registry)["experts"])
        self.assertEqual(self.listed(registry)["news-words"][1], "disabled")
        self.assertIn("enabled = false for it\n  next: `moecollab experts enable news-words`", self.experts("why", registry, "news-words").stdout)
        self.changed("enable", registry, "news-words")
        self.assertEqual(self.predict(registry), answer)

        upgraded = self.changed("upgrade", registry, "news-words")
        self.assertEqual((upgraded["version"], upgraded["selected"], upgraded["state"]), ("1.0.1", "1.0.1", "on probation"))
        self.assertRefused(self.experts("upgrade", registry, "news-words"), 2, "E_CONFIG", "version 1.0.1 is selected already")
        self.assertRefused(self.experts("pin", registry, "news-words", "--to", "1.0.0"), 5, "E_PLUG_ROLLBACK", "--allow-downgrade")
        self.changed("pin", registry, "news-words", "--to", "1.0.0", "--allow-downgrade")
        self.assertEqual(self.predict(registry), answer)
        why = self.experts("why", registry, "news-words").stdout
        self.assertIn("1.0.0 is pinned in registry.toml", why)
        self.assertRefused(self.experts("upgrade", registry, "news-words"), 2, "E_CONFIG", "1.0.0 is pinned", "experts unpin news-words")

        self.changed("remove", registry, "news-words")
        self.assertEqual(self.listed(registry)["news-words"][1], "found")
        self.assertIn("registry.toml has no entry for it\n  next: `moecollab experts add", self.experts("why", registry, "news-words").stdout)
        self.assertRefused(self.experts("disable", registry, "news-wrods"), 2, "E_CONFIG", 'no expert "news-wrods"')

        history = self.history(registry)
        self.assertEqual([c["command"].split()[2] for c in history[-6:]], ["rollback", "disable", "enable", "upgrade", "pin", "remove"])
        self.assertIn("--reason 'it'\\''s too slow'", history[-5]["command"])
        self.assertEqual(history[-5]["reason"], "it's too slow")
        self.assertIn("it's too slow", self.experts("history", registry).stdout)

        back = self.changed("rollback", registry, history[-5]["number"])
        self.assertEqual(self.state(registry), before, "bit for bit")
        self.assertEqual(back["versions"], ["news-words none -> 1.0.0"])
        self.assertEqual(self.predict(registry), answer)
        lock = self.experts("lock", registry, "--check")
        self.assertEqual((lock.returncode, lock.stdout), (0, "registry.lock.toml is right\n"))

    def test_a_dry_run_writes_nothing(self):
        registry = self.registry()
        settings = registry / "registry.toml"
        for n in range(4):  # gates, of which the first are no longer kept
            (registry / "gate/gate.toml").write_text((registry / "gate/gate.toml").read_text() + f"# {n}\n")
            self.changed("disable" if n % 2 == 0 else "enable", registry, "feelings")
        settings.write_text(settings.read_text().replace('name = "news-words"\n', 'name = "news-words"\npin = "1.0.1"\n'))  # which the lock does not say
        before = {p: p.read_bytes() if p.is_file() else None for p in sorted(registry.rglob("*"))}
        for verb, *more in (("disable", "news-words"), ("pin", "news-words", "--to", "1.0.1"), ("remove", "feelings"), ("rollback",),
                            ("lock",), ("gc",), ("add", self.package(registry, "feelings"), "--name", "moods")):
            done = self.experts(verb, registry, *more, "--dry-run", "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIsNone(json.loads(done.stdout).get("change"))
            after = {p: p.read_bytes() if p.is_file() else None for p in sorted(registry.rglob("*"))}
            self.assertEqual(after, before, verb)
        self.assertIsInstance(self.changed("lock", registry)["change"], int)
        self.assertGreater(json.loads(self.experts("gc", registry, "--json").stdout)["contents"], 0)
        upgraded = self.experts("upgrade", self.registry_beside(), "news-words", "--dry-run")
        self.assertIn("news-words 1.0.1 can be installed", upgraded.stdout, upgraded.stderr)
        exists = self.experts("add", registry, self.damaged_copy(registry), "--dry-run")
        self.assertRefused(exists, 4, "E_REG_EXISTS", "give the new package a higher version")

    def registry_beside(self):
        return shutil.copytree(self.shared / "registry", self.folder / "beside")

    def damaged_copy(self, registry):
        """Another package of a version that is installed."""
        copy = shutil.copytree(registry / "experts/feelings/1.0.0", self.folder / "copy")
        with open(copy / "expert.toml", "a") as manifest:
            manifest.write("\n# another\n")
        return copy

    def test_an_upgrade_by_name_is_of_the_name_in_this_registry(self):
        registry = self.registry()
        self.changed("add", registry, registry / "experts/news-words/1.0.0", "--name", "headlines")
        shutil.copytree(registry / "experts/news-words/1.0.1", registry / "experts/headlines/1.0.1")
        upgraded = self.changed("upgrade", registry, "headlines")
        self.assertEqual((upgraded["name"], upgraded["selected"]), ("headlines", "1.0.1"))
        self.assertEqual(self.listed(registry)["news-words"][0], "1.0.0")

    def test_a_stale_lock_is_named(self):
        registry = self.registry()
        shutil.rmtree(registry / "experts/news-words/1.0.0")
        done = self.experts("lock", registry, "--check")
        self.assertEqual((done.returncode, done.stdout), (4, "news-words 1.0.0 -> 1.0.1\n"))
        self.assertEqual(self.changed("lock", registry)["differences"], ["news-words 1.0.0 -> 1.0.1"])
        self.assertEqual(self.experts("lock", registry, "--check").returncode, 0)

    def test_a_rollback_restores_the_gate_too(self):
        registry = self.registry()
        before, answer = self.state(registry), self.predict(registry)
        done = run("train-gate", *self.data("train"), *self.options(registry), "--lambda2", 0.05, "--keep-replay", 20)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotEqual(self.predict(registry), answer)
        self.assertIn("gate/replay.safetensors", self.changed("rollback", registry)["files"])
        self.assertEqual(self.state(registry), before)
        self.assertEqual(self.predict(registry), answer)

    def test_claims_are_taken_again_on_the_data_that_they_name(self):
        registry = self.registry()
        dev = SAMPLES / "news/dev.jsonl"
        digest = hashlib.sha256(dev.read_bytes()).hexdigest()
        alone = json.loads(run("eval", f"--data=news={dev}", "--registry", registry, "--json").stdout)["domains"]["news"]["expert"]
        name = alone["name"]
        claim = '\n[[claim]]\ndataset = "{}"\nsplit = "dev"\nmetric = "{}"\nvalue = {}\ntolerance = {}\n'.format
        manifest = registry / "experts" / name / "1.0.0" / "expert.toml"
        manifest.write_text(manifest.read_text() + claim(digest, "accuracy", alone["accuracy"], 0.0) + claim(digest, "macro_f1", alone["macro_f1"] + 0.1, 0.05)
                            + claim("0" * 64, "accuracy", 0.9, 0.0) + claim(digest, "mood", 1.0, 0.0))
        done = run("experts", "verify", name, "--claims", f"--data=news={dev}", "--registry", registry, "--json")
        self.assertEqual(done.returncode, 6, done.stderr)
        claims = json.loads(done.stdout)["experts"][0]["claims"]
        self.assertEqual([c["verdict"] for c in claims], ["held", "not held", "no data", "no data"])
        self.assertEqual([c["seen"] is None for c in claims], [False, False, True, True])
        self.assertAlmostEqual(claims[0]["seen"], alone["accuracy"])
        self.assertAlmostEqual(claims[1]["seen"], alone["macro_f1"])
        self.assertIn("0" * 64, claims[2]["reason"])
        self.assertIn("mood", claims[3]["reason"])
        text = run("experts", "verify", "--claims", f"--data=news={dev}", "--registry", registry).stdout
        self.assertIn(f"{name}\n  held: accuracy of", text)
        self.assertIn("feelings: claims nothing", text)
        without = run("experts", "verify", name, "--claims", "--registry", registry, "--json")
        self.assertEqual((without.returncode, {c["verdict"] for c in json.loads(without.stdout)["experts"][0]["claims"]}), (0, {"no data"}))

    def test_a_package_must_keep_the_contract_to_be_added(self):
        registry = self.registry()
        before = self.state(registry)
        subprocess.run([sys.executable, ROOT / "tests/zoo/build_zoo.py", "--sdk", ROOT / "sdk", "--out", self.folder, "draws_at_random"], check=True)
        package = self.folder / "draws_at_random"
        self.assertRefused(self.experts("add", registry, package), 5, "E_PLUG_CONFORMANCE", "`deterministic`", f"moecollab validate {package} --level 3")
        self.assertEqual(self.state(registry), before)
        settings = registry / "registry.toml"
        text = settings.read_text()
        settings.write_text(text + "\n[policy]\nconformance = 6\n")
        self.assertRefused(self.experts("add", registry, package), 4, "E_REG_SCHEMA", "must be 0 to 5, not 6")
        settings.write_text(text + "\n[policy]\nconformance = 0\n")
        self.assertIsNone(self.changed("add", registry, package)["conformance"])
        settings.write_text(text)
        good = self.folder / "good.moec"
        self.assertEqual(run("pack", registry / "experts/feelings/1.0.0", "--output", good).returncode, 0)
        other = self.folder / "other"
        done = run("experts", "add", good, "--registry", other, "--encoder", ENCODER, "--json")
        self.assertEqual(json.loads(done.stdout)["conformance"]["level"], 3, done.stderr)


class Beside(Operated):
    def facts(self, process):
        """Resident memory in bytes and open descriptors of a process."""
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024, len(os.listdir(f"/proc/{process.pid}/fd"))

    def ask(self, process):
        process.stdin.write(TEXT)
        process.stdin.flush()
        return {k: v for k, v in json.loads(process.stdout.readline()).items() if k not in ("text_id", "line")}

    def test_upgrades_and_rollbacks_fail_no_answer(self):
        """Somebody changes versions again and again; every predict that starts meanwhile answers as one of the two, and one that runs as it began."""
        times = 500 if os.environ.get("MOECOLLAB_SOAK") else 8
        registry = self.registry()
        old = self.predict(registry)
        self.changed("upgrade", registry, "news-words")
        new = self.predict(registry)
        self.assertNotEqual(old, new)
        self.changed("rollback", registry)
        running = subprocess.Popen([str(PROGRAM), "predict", "-", "--quiet", "--registry", str(registry)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True, env=clean_environment())
        first = self.ask(running)
        for _ in range(50):
            self.ask(running)
        memory, descriptors = self.facts(running)
        seen, failed, done = [], [], threading.Event()

        def change():
            try:
                for _ in range(times):
                    self.changed("upgrade", registry, "news-words")
                    self.changed("rollback", registry)
            except Exception as error:  # shown by the main thread
                failed.append(error)
            finally:
                done.set()

        changing = threading.Thread(target=change)
        changing.start()
        while not done.is_set() or len(seen) < times:
            seen.append(self.predict(registry))
            self.assertEqual(self.ask(running), first, "it keeps the registry that it opened")
        changing.join()
        self.assertEqual(failed, [])
        self.assertTrue(all(answer in (old, new) for answer in seen))
        self.assertEqual(self.predict(registry), old)
        self.assertEqual(len(self.history(registry)), len(self.history(self.shared / "registry")) + 2 + 2 * times)
        now, descriptors_now = self.facts(running)
        self.assertLess(now - memory, 4 << 20)
        self.assertEqual(descriptors_now, descriptors)
        running.stdin.close()
        self.assertEqual(running.wait(), 0)
        running.stdout.close()

    def test_two_that_change_at_once_take_turns(self):
        registry = self.registry()
        before = len(self.history(registry))
        command = [str(PROGRAM), "experts", "disable", "news-words", "--registry", str(registry)]
        both = [subprocess.Popen([*command[:2], verb, *command[3:]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
                for _ in range(10) for verb in ("disable", "enable")]
        for process in both:
            _, errors = process.communicate()
            self.assertEqual(process.returncode, 0, errors)
        numbers = [c["number"] for c in self.history(registry)]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertGreater(len(numbers), before)
        self.assertEqual(self.experts("lock", registry, "--check").returncode, 0)


def shim(folder):
    """The environment of a process that kill_at_change.c looks after; it says what is to happen."""
    library = folder / "kill.so"
    source = pathlib.Path(__file__).parent / "kill_at_change.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wno-unused-result", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library)}


class FullDisk(Operated):
    # each write, and each fsync, fails once, or from then on.
    def test_every_failing_call(self):
        environment, count = shim(self.folder), self.folder / "count"
        model = shutil.copytree(self.shared / "registry", self.folder / "model")
        before = self.state(model)
        self.experts("disable", model, "feelings", env={**environment, "KILL_UNDER": str(model), "KILL_COUNT": str(count)})
        after = self.state(model)
        self.assertNotEqual(before, after)
        points = [(n, on) for n in range(1, int(count.read_text()) + 1) for on in ({}, {"FAIL_ON": "1"})]
        self.assertGreater(len(points), 60)
        if not os.environ.get("MOECOLLAB_SOAK"):
            points = random.Random(46).sample(points, 40)
        seen = set()
        for n, on in points:
            with self.subTest(call=n, **on):
                registry = shutil.copytree(self.shared / "registry", self.folder / "registry")
                done = self.experts("disable", registry, "feelings", env={**environment, "KILL_UNDER": str(registry), "FAIL_NTH": str(n), **on})
                decided = (registry / "history/pending.json").exists()
                if done.returncode:
                    self.assertRefused(done, 7, "E_WRITE")
                    self.assertEqual("counts, but is not finished" in done.stderr, decided)
                self.assertEqual(self.experts("lock", registry).returncode, 0)
                self.assertEqual(self.state(registry), after if decided or done.returncode == 0 else before)
                seen.add((done.returncode, decided))
                shutil.rmtree(registry)
        self.assertEqual(seen, {(0, False), (7, False), (7, True)})


class Kills(Operated):
    """kill -9 before each call that changes a file: the old state or the new one, and the next change goes through."""
    news = f"--data=news={SAMPLES}/news/train.jsonl"
    verbs = {"add": ["good.moec", "--name", "moods"], "add with data": ["words.moec", news], "upgrade with data": ["news-words", news], "disable": ["news-words"], "pin": ["news-words", "--to", "1.0.1"], "remove": ["news-words"], "upgrade": ["news-words"], "rollback": [],
             "lock": [], "gc": []}

    def prepared(self, verb, name):
        """A registry in which this verb has something to do, and what it comes to."""
        registry = self.folder / name
        shutil.copytree(self.shared / "registry", registry)
        if verb == "add" and not (self.folder / "good.moec").exists():
            self.assertEqual(run("pack", registry / "experts/feelings/1.0.0", "--output", self.folder / "good.moec").returncode, 0)
        if verb == "add with data" and not (self.folder / "words.moec").exists():
            done = run("train-expert", "words", "--kind", "lexical", "--domain", "news", self.news, "--registry", self.folder / "scratch", "--encoder", ENCODER, "--no-cache", "--quiet")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(run("pack", self.folder / "scratch/experts/words/1.0.0", "--output", self.folder / "words.moec").returncode, 0)
        if verb == "lock":
            settings = registry / "registry.toml"
            settings.write_text(settings.read_text().replace('name = "news-words"\n', 'name = "news-words"\npin = "1.0.1"\n'))
        if verb == "gc":
            for n in range(5):
                self.changed("disable" if n % 2 == 0 else "enable", registry, "feelings")
                gate = (registry / "gate/gate.toml").read_text()
                (registry / "gate/gate.toml").write_text(gate + f"# {n}\n")
            self.changed("upgrade", registry, "news-words")
            for n in range(4):
                self.changed("disable" if n % 2 == 1 else "enable", registry, "feelings")
                gate = (registry / "gate/gate.toml").read_text()
                (registry / "gate/gate.toml").write_text(gate + f"# again {n}\n")
        return registry

    def asked_for(self, registry):
        """What registry.toml and lock select: a package that merely lies there changes nothing."""
        return {name: expert for name, expert in self.listed(registry).items() if expert[1] != "found"}

    @staticmethod
    def packages(registry):
        """Every file of every package, but for those that are being copied or removed."""
        return {str(p.relative_to(registry)): hashlib.sha256(p.read_bytes()).hexdigest() for p in registry.glob("experts/*/[0-9]*/**/*") if p.is_file()}

    def test_every_point(self):
        killer = shim(self.folder)
        points, expected = [], {}
        for verb, more in self.verbs.items():
            model = self.prepared(verb, f"{verb}-model")
            old = self.asked_for(model)
            count = self.folder / f"{verb}.count"
            done = self.experts(verb.split()[0], model, *more, cwd=self.folder, env={**killer, "KILL_UNDER": str(model), "KILL_COUNT": str(count)})
            self.assertEqual(done.returncode, 0, done.stderr)
            expected[verb] = (old, self.asked_for(model), self.state(model), self.packages(model))
            calls = int(count.read_text())
            self.assertGreater(calls, 5, verb)
            points += [(verb, n) for n in range(1, calls + 1)]
        if not os.environ.get("MOECOLLAB_SOAK"):
            points = random.Random(20).sample(points, 16)
        for verb, n in points:
            with self.subTest(verb=verb, call=n):
                registry = self.prepared(verb, f"{verb}-{n}")
                before, packages = self.state(registry), self.packages(registry)
                done = self.experts(verb.split()[0], registry, *self.verbs[verb], cwd=self.folder, env={**killer, "KILL_UNDER": str(registry), "KILL_NTH": str(n)})
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                old, new, after, packages_after = expected[verb]
                self.assertIn(self.packages(registry), (packages, packages_after), "a package is whole, or not there")
                seen = self.asked_for(registry)
                self.assertIn(seen, (old, new))
                if n % 4 == 0:
                    self.predict(registry)
                # The next change finishes what was decided, and what was not is as if it had never been.
                done = self.experts("disable", registry, "news-adapter")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(self.experts("rollback", registry).returncode, 0)
                self.assertIn(self.state(registry), (before, after))
                if old != new:
                    self.assertEqual(self.state(registry), after if seen == new else before, "what readers saw is what is there")
                self.assertFalse((registry / "history/pending.json").exists())
                self.assertEqual(list((registry / "history").glob(".new*")), [])
                shutil.rmtree(registry)


if __name__ == "__main__":
    unittest.main()
