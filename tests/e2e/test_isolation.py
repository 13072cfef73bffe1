"""Experts in processes of their own: they answer as in this one, and what they do hurts only themselves."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from harness import PLUGINS, PROGRAM, ROOT, SAMPLES, EndToEnd, clean_environment, run, without_times

# Counts words of three labels; a text may ask it to crash or to hang.
FICKLE = """
#include <moecollab/text_expert.h>
#include <unistd.h>
static const moec_string kLabels[] = {%s};
static void score(moec_string text, float* logits) {
  char copy[1024];
  snprintf(copy, sizeof copy, "%%.*s", (int)(text.size < 1000 ? text.size : 1000), text.data);
  if (strstr(copy, "CRASHNOW") != NULL) {
    fprintf(stderr, "about to read nowhere\\n");
    logits[0] = (float)*(volatile int*)16;
  }
  if (strstr(copy, "NOTANUMBER") != NULL) logits[0] = 0.0f / 0.0f;
  while (strstr(copy, "HANGNOW") != NULL) sleep(1);
  if (strstr(copy, "match") != NULL || strstr(copy, "team") != NULL) logits[%d] = 3;
}
MOEC_TEXT_EXPERT("org.example.fickle", "1.0.0", kLabels, score);
"""
MANIFEST = """schema = 1
[library]
id = "org.example.fickle"
version = "1.0.0"
[expert]
id = "org.example.fickle"
name = "fickle"
version = "1.0.0"
[task]
domain = "news"
label_space = "news/1"
labels = {labels}
[input]
needs = ["text"]
encoder = "none"
[output]
kind = "logits"
[abi]
version = "1.0"
sdk = "1.0.0"
platform = "linux-x86_64"
[files]
"libfickle.so" = "{digest}"
"""
PLAIN, CRASH, HANG = "the team won the match\n", "CRASHNOW in the final\n", "HANGNOW in the final\n"


class Isolation(EndToEnd):
    @classmethod
    def build_shared(cls, folder):
        """As the others have it, and an expert from elsewhere, for which the gate was fitted."""
        super().build_shared(folder)
        labels = sorted({json.loads(line)["label"] for line in (SAMPLES / "news/train.jsonl").read_text().splitlines()})
        source, package = folder / "fickle.c", folder / "fickle"
        package.mkdir()
        source.write_text(FICKLE % (", ".join(f'MOEC_LITERAL("{label}")' for label in labels), labels.index("sports")))
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-I", ROOT / "sdk/include", source, "-o", package / "libfickle.so"], check=True)
        digest = hashlib.sha256((package / "libfickle.so").read_bytes()).hexdigest()
        (package / "expert.toml").write_text(MANIFEST.format(labels=json.dumps(labels), digest=digest))
        for words in (["experts", "add", package, "--registry", folder / "registry"],
                      ["train-gate", *cls.data("train"), "--registry", folder / "registry", "--cache-dir", folder / "cache", "--quiet"]):
            done = run(*words)
            assert done.returncode == 0, done.stderr

    def policy(self, registry, *lines):
        path = registry / "registry.toml"
        path.write_text(path.read_text() + "\n[policy]\n" + "".join(line + "\n" for line in lines))

    def predict(self, registry, text, *more):
        return run("predict", "-", "--registry", registry, *more, stdin=text)

    def answers(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def listed(self, registry):
        return {e["name"]: e["state"] for e in json.loads(run("experts", "list", "--registry", registry, "--json").stdout)["experts"]}

    def workers_of(self, process):
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                _, name, rest = stat.read_text().replace(")", "(").split("(")
            except (OSError, ValueError):
                continue
            if name.startswith("moecollab_worke") and int(rest.split()[1]) == process:
                found.append(int(stat.parent.name))
        return found

    def test_R58_reports_are_equal_but_for_where_experts_ran(self):
        registry, reports = self.registry(), []
        for isolation in ("auto", "process"):
            done = self.eval(registry, "--json", "--no-cache", "--isolation", isolation)
            self.assertEqual(done.returncode, 0, done.stderr)
            report = json.loads(done.stdout)
            reports.append(report)
            ran = {e["name"]: e.pop("isolation") for e in report["experts"]}
            own = "in-process" if isolation == "auto" else "process"
            self.assertEqual(ran, {"news-adapter": own, "news-words": own, "feelings": own, "fickle": "process"})
            without_times(report)
            del report["provenance"]["command"]
        self.assertEqual(reports[0], reports[1])

    def test_explanations_are_equal_wherever_experts_run(self):
        registry, lines = self.registry(), []
        for isolation in ("auto", "process"):
            done = run("predict", "-", "--explain", "--isolation", isolation, "--registry", registry, stdin="the striker scored, früher\nshares fell\n")
            self.assertEqual(done.returncode, 0, done.stderr)
            lines.append([json.loads(line) for line in done.stdout.splitlines()])
        self.assertEqual(lines[0], lines[1])
        text = "the striker scored, früher".encode()
        opinions = {o["expert"]: o["evidence"] for o in lines[0][0]["explain"]["experts"]}
        self.assertIsNone(opinions["news-adapter"])
        self.assertIsNone(opinions["fickle"])
        self.assertTrue(0 < len(opinions["news-words"]) <= 5)
        magnitudes = [abs(part["weight"]) for part in opinions["news-words"]]
        self.assertEqual(magnitudes, sorted(magnitudes, reverse=True))
        for part in opinions["news-words"]:
            self.assertEqual(text[part["begin"]:part["end"]].decode(), part["text"])

    def test_R17_an_expert_that_dies_is_named_and_quarantined(self):
        registry = self.registry()
        before = self.answers(self.predict(registry, PLAIN))
        done = self.predict(registry, CRASH)
        self.assertRefused(done, 5, "E_IPC_DIED: expert fickle: its process died of SIGSEGV in forward()", "about to read nowhere",
                           "it is asked again in a new process", "expert fickle is quarantined")
        self.assertEqual(self.listed(registry)["fickle"], "quarantined")
        why = run("experts", "why", "fickle", "--registry", registry).stdout
        for fragment in ("E_PLUG_QUARANTINE", "died of SIGSEGV in forward()", "about to read nowhere", "experts quarantine clear fickle"):
            self.assertIn(fragment, why)
        self.assertRefused(self.predict(registry, PLAIN), 5, "E_PLUG_QUARANTINE: expert fickle is refused", "died of SIGSEGV")
        last = json.loads(run("experts", "history", "--registry", registry, "--json").stdout)["changes"][-1]
        self.assertIn("expert fickle is quarantined: its process died of SIGSEGV in forward()", last["reason"])

        cleared = json.loads(run("experts", "quarantine", "clear", "fickle", "--registry", registry, "--json").stdout)
        self.assertEqual([(p["phase"], p["cause"]) for p in cleared["cleared"]], [("forward", "died of SIGSEGV")])
        self.assertEqual(self.answers(self.predict(registry, PLAIN)), before)
        again = run("experts", "quarantine", "clear", "fickle", "--registry", registry)
        self.assertEqual((again.returncode, again.stdout), (0, "fickle is not quarantined\n"))
        self.assertRefused(run("experts", "quarantine", "clear", "fickel", "--registry", registry), 2, "E_CONFIG", "fickle")

    def test_an_expert_that_fails_is_dropped_if_the_policy_says_so(self):
        registry = self.registry()
        self.policy(registry, 'on_expert_failure = "drop"', "call_deadline_ms = 1000")
        for text in (CRASH, HANG):
            dropped = self.predict(registry, text + PLAIN)
            answers = self.answers(dropped)
            self.assertIn("it is left out from now on", dropped.stderr)
            self.assertEqual(self.listed(registry)["fickle"], "quarantined")
            disabled = run("experts", "disable", "fickle", "--registry", registry)
            self.assertEqual(disabled.returncode, 0, disabled.stderr)
            for mine, others in zip(answers, self.answers(self.predict(registry, text + PLAIN)), strict=True):
                self.assertEqual((mine["label"], mine["experts"].keys()), (others["label"], others["experts"].keys()))
                self.assertAlmostEqual(mine["probability"], others["probability"], places=5)
            for words in (["enable", "fickle"], ["quarantine", "clear", "fickle"]):
                run("experts", *words, "--registry", registry)
        self.assertIn("fickle", self.answers(self.predict(registry, PLAIN))[0]["experts"])

    def test_an_expert_that_a_trusted_key_signed_runs_here_and_is_named_if_it_ends_the_program(self):
        registry, key = self.registry(), self.folder / "author"
        for words in (["keygen", "--name", key, "--no-password"], ["sign", self.package(registry, "fickle"), "--key", f"{key}.key"]):
            done = run(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
        public = pathlib.Path(f"{key}.pub").read_text().splitlines()[1]
        path = registry / "registry.toml"
        path.write_text(path.read_text() + f'\n[[trust]]\npublisher = "author"\nkey = "{public}"\n')
        done = self.predict(registry, CRASH)
        self.assertEqual(done.returncode, -signal.SIGSEGV, done.stderr)
        self.assertIn("error: E_INTERNAL: this process dies of SIGSEGV in forward() of expert fickle\n  --isolation process", done.stderr)
        self.assertRefused(self.predict(registry, CRASH, "--isolation", "process"), 5, "E_IPC_DIED: expert fickle")

    def test_a_library_from_elsewhere_stays_one_whatever_it_learnt_here(self):
        kind, registry = self.folder / "words", self.registry()
        shutil.copytree(PLUGINS / "lexical", kind)
        library = kind / "liblexical.so"
        library.chmod(0o644)
        library.write_bytes(library.read_bytes() + b"\0")  # the same code, and another file
        manifest = kind / "expert.toml"
        manifest.write_text(re.sub(r'"liblexical.so" = "\w+"', f'"liblexical.so" = "{hashlib.sha256(library.read_bytes()).hexdigest()}"', manifest.read_text()))
        for name, source in (("theirs", kind), ("ours", "lexical")):
            done = run("train-expert", name, "--kind", source, "--domain", "news", "--data-dir", SAMPLES, "--registry", registry, "--no-cache", "--quiet")
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run("grow", name, *self.data("train"), *self.options(registry))
            self.assertEqual(done.returncode, 0, done.stderr)
        done = self.eval(registry, "--json", "--no-cache")
        ran = {e["name"]: e["isolation"] for e in json.loads(done.stdout)["experts"]}
        self.assertEqual((ran["theirs"], ran["ours"], ran["news-words"]), ("process", "in-process", "in-process"))
        weights = [(self.package(registry, name) / "weights.safetensors").read_bytes() for name in ("theirs", "ours")]
        self.assertEqual(weights[0], weights[1], "what it learnt in its process")

    def test_R32_the_last_expert_that_fails_ends_the_run(self):
        registry = self.registry()
        self.policy(registry, 'on_expert_failure = "drop"')
        for name in ("news-adapter", "news-words", "feelings"):
            run("experts", "disable", name, "--registry", registry)
        done = self.predict(registry, PLAIN + CRASH, "--batch", 1)
        self.assertRefused(done, 5, "E_IPC_DIED: no expert is left: expert fickle")
        self.assertEqual(len(done.stdout.splitlines()), 1, "what was answered before is there")

    def test_R20_an_expert_that_answers_nan_can_be_quarantined(self):
        for policy, status in (("stop", 5), ("drop", 0)):
            registry = self.registry()
            self.policy(registry, 'nan = "quarantine"', f'on_expert_failure = "{policy}"')
            done = self.predict(registry, "NOTANUMBER in the final\n")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn("expert fickle is quarantined", done.stderr)
            self.assertEqual(self.listed(registry)["fickle"], "quarantined")
            self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="moecollab-e2e.")))

    def test_R23_a_hang_ends_at_its_deadline(self):
        registry = self.registry()
        self.policy(registry, "call_deadline_ms = 1000")
        self.assertRefused(self.predict(registry, HANG), 5, "E_IPC_DEADLINE: expert fickle", "did not answer in 100", "in forward()")

    def test_R26_no_process_outlives_its_host(self):
        registry = self.registry()
        host = subprocess.Popen([str(PROGRAM), "predict", "-", "--registry", str(registry)], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        try:
            host.stdin.write(HANG.encode())
            host.stdin.close()
            workers = self.wait_for(lambda: self.workers_of(host.pid))
            self.assertEqual(len(workers), 1)
            time.sleep(0.3)  # it hangs now
            os.kill(host.pid, signal.SIGKILL)
            host.wait()
            self.wait_for(lambda: not pathlib.Path(f"/proc/{workers[0]}").exists())
        finally:
            host.kill()
            host.wait()

    def wait_for(self, condition, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.02)
        self.fail(f"it did not come to that in {seconds} s")

    def test_safe_mode_runs_the_programs_own_libraries_alone(self):
        registry = self.registry()
        done = self.predict(registry, CRASH, "--safe-mode")
        self.assertNotIn("fickle", self.answers(done)[0]["experts"])
        self.assertIn("its library org.example.fickle did not come with this program", done.stderr)

    def test_R57_the_level_of_the_sandbox_is_said_and_can_be_required(self):
        level = json.loads(run("doctor", "--json").stdout)["sandbox"]["level"]
        self.assertIn(level, ("full", "system calls", "none"))
        self.assertRegex(run("doctor").stdout, rf"sandbox: .*{level}")
        done = self.predict(self.registry(), PLAIN, "--require-sandbox")
        if level == "full":
            self.answers(done)
        else:
            self.assertRefused(done, 5, "E_POLICY", f'"{level}"')


if __name__ == "__main__":
    unittest.main()
