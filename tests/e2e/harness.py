"""What the end-to-end tests share: the built program, a registry trained on the samples, and copies of it to damage."""
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["MOECOLLAB_BUILD"])
PROGRAM = BUILD / "bin" / "moecollab"
ENCODER = pathlib.Path(os.environ.get("MOECOLLAB_ENCODER", ROOT / ".deps/encoder/all-MiniLM-L6-v2"))
PLUGINS = BUILD / "lib" / "moecollab" / "plugins"
sys.path.insert(0, str(ROOT / "tests"))

# Kills the process that is about to rename something to a path with KILL_AT in it, the KILL_NTH time.
KILLER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
static int seen;
int rename(const char* from, const char* to) {
  if (strstr(to, getenv("KILL_AT")) && ++seen == atoi(getenv("KILL_NTH"))) raise(SIGKILL);
  return ((int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename"))(from, to);
}
"""


def first_samples():
    """A folder with the first texts of each sample file, as many per label: texts that are added after them cost the suites no time."""
    folder, train = BUILD / "first_samples", {"emotion": 84, "general": 80, "legal": 84, "medical": 80, "news": 80}
    for domain, split in itertools.product(train, ("train", "dev")):
        most, name = train[domain] // (1 if split == "train" else 2), f"{domain}/{split}.jsonl"
        first, copy = (ROOT / "samples/data" / name).read_bytes().splitlines(keepends=True)[:most], folder / name
        if copy.exists() and copy.read_bytes() == b"".join(first):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=BUILD, delete=False) as new:  # other suites read it meanwhile
            new.writelines(first)
        os.chmod(new.name, 0o644)
        os.replace(new.name, copy)
    return folder


SAMPLES = first_samples()


def clean_environment():
    """Without the project's variables, but for the one that says which precision the tests train in."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MOECOLLAB_") or k == "MOECOLLAB_TRAINING_PRECISION"}


def run(*arguments, stdin=None, env=None, cwd=None):
    """Runs the program in a clean environment; never raises."""
    return subprocess.run([str(PROGRAM), *map(str, arguments)], input=stdin, capture_output=True,
                          text=not isinstance(stdin, bytes), env={**clean_environment(), **(env or {})}, cwd=cwd, timeout=300)


def without_times(report):
    """A report without what a clock or the machine's memory says."""
    for key in ("seconds", "texts_per_second", "peak_rss_bytes"):
        del report["compute"][key]
    for expert in report["experts"]:
        del expert["seconds"]
    return report


class EndToEnd(unittest.TestCase):
    """Trains one registry a process: an adapter and a lexical expert for news, an adapter for emotion."""
    _shared = None

    @classmethod
    def setUpClass(cls):
        if EndToEnd._shared is None:
            EndToEnd._shared = tempfile.TemporaryDirectory(prefix="moecollab-e2e.")
            cls.build_shared(pathlib.Path(EndToEnd._shared.name))
        cls.shared = pathlib.Path(EndToEnd._shared.name)

    @classmethod
    def build_shared(cls, folder):
        for name, kind, domain in (("news-adapter", "adapter", "news"), ("news-words", "lexical", "news"), ("feelings", "adapter", "emotion")):
            done = run("train-expert", name, "--kind", kind, "--domain", domain, "--data-dir", SAMPLES, "--registry", folder / "registry",
                       "--encoder", ENCODER, "--cache-dir", folder / "cache", "--epochs", 8, "--quiet")
            assert done.returncode == 0, done.stderr
        done = run("train-gate", *cls.data("train"), "--registry", folder / "registry", "--cache-dir", folder / "cache", "--quiet")
        assert done.returncode == 0, done.stderr

    @staticmethod
    def data(split):
        return [f"--data=news={SAMPLES}/news/{split}.jsonl", f"--data=emotion={SAMPLES}/emotion/{split}.jsonl"]

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="moecollab-e2e.")
        self.folder = pathlib.Path(self._folder.name)
        self.addCleanup(self._folder.cleanup)

    def registry(self):
        """A copy of the trained registry that the test may damage."""
        copy = self.folder / "registry"
        shutil.copytree(self.shared / "registry", copy)
        return copy

    def options(self, registry):
        return ["--registry", registry, "--cache-dir", self.shared / "cache", "--quiet"]

    def eval(self, registry, *more):
        return run("eval", *self.data("dev"), *self.options(registry), *more)

    def package(self, registry, name):
        """The folder of an installed expert's newest version."""
        return max((registry / "experts" / name).iterdir())

    def killer(self):
        """The environment of a process that kills itself; KILL_AT is to be added."""
        library = self.folder / "killer.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, self.write("killer.c", KILLER)], check=True)
        return {"LD_PRELOAD": str(library), "KILL_NTH": "1"}

    def assertRefused(self, done, status, code, *fragments):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(f"error: {code}", done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, path):
        return json.loads(pathlib.Path(path).read_text())
