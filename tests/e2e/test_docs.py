"""README.md and the pages of docs/, run as they stand (pages.py says by which rules)."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import code_names
import json_keys
import pages
from harness import BUILD, ROOT, SAMPLES, EndToEnd, clean_environment

# Pages with a project of their own, which takes minutes; they have tests of their own.
PROJECTS = {"first-expert.md", "torch-expert.md"}
# Written by the program, and compared with it by another test.
GENERATED = {"commands.md"}
# Pages whose every --flag is one of the program's; others name those of CMake and ctest as well.
FLAGS_OF_VERBS = {"mathematics.md", "report.md", "routing.md", "registry.md", "operating.md"}
README = "README.md of the project"
SECONDS = 90  # for all other pages together, on two cores that do nothing else


def pages_of_docs():
    return {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}


def shared_pages():
    """Those that share the registry of the samples."""
    return {README: (ROOT / "README.md").read_text(),
            **{name: page for name, page in pages_of_docs().items() if name not in PROJECTS | GENERATED}}


class Demo:
    """What `make demo` makes of the samples, beside the build: made again only if data, options or program changed."""
    folder = BUILD / "docs-demo"

    @classmethod
    def make(cls):
        if not cls.folder.exists() and (BUILD / "demo" / "inputs").exists():
            shutil.copytree(BUILD / "demo", cls.folder)  # tools/demo.sh keeps it if it is of the samples
        done = subprocess.run(["tools/demo.sh", "samples/data", str(cls.folder)], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr

    @classmethod
    def checkout(cls, folder):
        """A folder that looks like a checkout after `make demo`; registry and report are a copy, which a page may change."""
        (folder / "build").mkdir(parents=True)
        for entry in ROOT.iterdir():
            if entry.name not in ("build", ".git"):
                (folder / entry.name).symlink_to(entry)
        for entry in ("bin", "lib"):
            (folder / "build" / entry).symlink_to(BUILD / entry)
        shutil.copytree(cls.folder, folder / "build" / "demo", ignore=shutil.ignore_patterns("cache"))
        return folder


class Docs(unittest.TestCase):
    def test_no_page_has_a_block_that_nothing_tries(self):
        self.assertLessEqual(PROJECTS, set(pages_of_docs()))
        for name, page in {**shared_pages(), **pages_of_docs()}.items():
            if name in GENERATED:  # the examples of --help, on files of the reader's
                continue
            for flaw in pages.flaws(page):
                with self.subTest(page=name):
                    # The project's README has one class, which another test compiles.
                    self.assertTrue(name == README and flaw.startswith("cpp that"), flaw)

    def test_the_index_names_every_page(self):
        index = (ROOT / "docs" / "README.md").read_text()
        linked = set(re.findall(r"\]\(([\w-]+\.md)(?:#[\w-]+)?\)", index))
        self.assertEqual(linked | GENERATED, set(pages_of_docs()) - {"README.md"} | GENERATED)

    def test_links_lead_to_files(self):
        for name, page in pages_of_docs().items():
            for target in re.findall(r"\]\(([^)\s#:]+)(?:#[\w-]+)?\)", page):
                self.assertTrue((ROOT / "docs" / target).exists() or target in GENERATED, f"docs/{name} links to {target}")

    def test_files_names_and_flags_are_in_the_code(self):
        for name, page in {**shared_pages(), **pages_of_docs()}.items():
            with self.subTest(page=name):
                self.assertEqual(code_names.flaws(page, ROOT) + (code_names.unknown_flags(page, ROOT) if name in FLAGS_OF_VERBS else []), [])

    def test_cmake_calls_what_the_sdk_has(self):
        sdk = "".join(path.read_text() for path in (ROOT / "sdk" / "cmake").iterdir())
        for name, page in shared_pages().items():
            for block in pages.blocks(page):
                for call in re.findall(r"^(moecollab_\w+)\(", block.text, re.M) if block.language == "cmake" else []:
                    self.assertRegex(sdk, rf"function\({call}\b", name)


class OnTheSamples(unittest.TestCase):
    """The pages that share the registry of the samples, run once, two at a time."""

    @classmethod
    def setUpClass(cls):
        Demo.make()
        folder = tempfile.TemporaryDirectory(prefix="moecollab-docs.")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        shutil.copytree(Demo.folder / "cache", cls.folder / "cache" / "moecollab")
        start = time.monotonic()
        longest_first = sorted(shared_pages().items(), key=lambda item: -len(pages.commands(pages.script(item[1]))))
        with concurrent.futures.ThreadPoolExecutor(2) as workers:
            cls.runs = dict(workers.map(lambda item: (item[0], cls.run_shared(*item, cls.folder)), longest_first))
        cls.seconds = time.monotonic() - start
        cls.print_summary(cls.runs, cls.seconds)

    def test_commands_succeed_and_print_what_the_pages_show(self):
        for page, run in self.runs.items():
            with self.subTest(page=page):
                self.assertEqual(run.failure, "", run.failure)
        self.assertLess(self.seconds, 4 * SECONDS)  # beside other tests

    def test_the_report_page_lists_every_key(self):
        page = pages_of_docs()["report.md"]
        for schema, *files in (("report", "report.json", "masked.json"), ("comparison", "comparison.json"), ("sweep", "sweep/sweep.json"), ("admission", "admission.json")):
            documents = [self.load("report.md", "report", file) for file in files]
            names = json_keys.names(self.load("report.md", "report", "report.json"))
            for flaw in json_keys.flaws(json_keys.listed(page, schema), documents, names):
                with self.subTest(schema=schema):
                    self.fail(flaw)

    def test_the_reports_schema_is_that_of_the_page_and_takes_every_report(self):
        made = json_keys.schema(json_keys.listed(pages_of_docs()["report.md"], "report"), "report")
        file = ROOT / "docs" / "report.schema.json"
        if os.environ.get("MOECOLLAB_WRITE_SCHEMAS"):
            file.write_text(json.dumps(made, indent=1) + "\n")
        schema = json.loads(file.read_text())
        self.assertEqual(schema, made, "run this test with MOECOLLAB_WRITE_SCHEMAS=1")
        for name in ("report.json", "masked.json", "top1.json"):
            report = self.load("report.md", "report", name)
            self.assertEqual(list(json_keys.errors(schema, report)), [])
        report["overall"]["accuracy"] = "0.7"
        report["experts"][0]["calls"] = 1.5
        report["schema"] = "moecollab.report/2"
        self.assertEqual(len(list(json_keys.errors(schema, report))), 3)

    def test_the_registry_page_names_every_file(self):
        rows = set(re.findall(r"^\| `([^`]+)` \|", pages_of_docs()["registry.md"], re.M))
        registry = Demo.folder / "registry"
        names = {expert.name for expert in (registry / "experts").iterdir()}
        for path in registry.rglob("*"):
            parts = ["<name>" if part in names else re.sub(r"^[0-9a-f]{64}\b", "<digest>", part) for part in path.relative_to(registry).parts]
            if parts[0] == "experts":
                parts = [re.sub(r"^\d+\.\d+\.\d+$", "<version>", re.sub(r"^.*\.so$", "*.so", part)) for part in parts]
            if parts[0] == "history":
                parts[1:] = [f"<name>{path.suffix}"] if path.stem in names else [re.sub(r"^\d{6}\.json$", "<number>.json", part) for part in parts[1:]]
            if path.is_file():
                self.assertIn("/".join(parts), rows)
        # What other verbs write, by the list of the code itself.
        layout = (ROOT / "host" / "registry" / "layout.h").read_text()
        for part in re.findall(r'"([^"]+)"', re.sub(r"#include.*", "", layout)):
            self.assertTrue(any(part in row for row in rows), f"layout.h has {part}, docs/registry.md has not")

    def load(self, page, *parts):
        """JSON that a page left in its build folder."""
        return json.loads(self.folder.joinpath(page, "build", *parts).read_text())

    @staticmethod
    def run_shared(name, page, folder):
        """Runs a page in a checkout of its own."""
        checkout = Demo.checkout(folder / name.replace(" ", "-"))
        environment = {**clean_environment(), "SOURCE": str(checkout), "DATA": str(checkout / "samples" / "data"), "XDG_CACHE_HOME": str(folder / "cache"),
                       "REGISTRY": str(checkout / "build" / "demo" / "registry"), "MOECOLLAB_REGISTRY": str(checkout / "build" / "demo" / "registry"),
                       "WORK": str(checkout / "build" / "work")}
        return pages.run_page(page, checkout, environment)

    @staticmethod
    def print_summary(runs, seconds):
        ran = skipped = 0
        lines = []
        for name, page in {**shared_pages(), **pages_of_docs()}.items():
            for block in pages.blocks(page):
                if block.language == "sh" and not block.reason:
                    ran += len(pages.commands(block.text))
                for command in pages.commands(block.text) if block.language == "sh" and block.reason else []:
                    skipped += 1
                    lines.append(f"  {name}: {command} ({block.reason})")
        times = ", ".join(f"{name} {run.seconds:.1f}" for name, run in runs.items() if run.seconds >= 1)
        print(f"docs: {ran} commands run; {len(runs)} pages on the samples in {seconds:.0f} s, at most {SECONDS} s on an idle machine ({times})\n"
              f"docs: {skipped} commands not run:", *lines, sep="\n", file=sys.stderr, flush=True)


class Rules(unittest.TestCase):
    """The rules of pages.py find what they are there for."""

    def test_lines_are_found_in_their_order_and_numbers_nearly(self):
        page = "```text\na  0.93 of 100\n…\nlast: …, 7\n```\n"
        self.assertIsNone(pages.missing_line(page, "a 0.94  of 104\nbetween\nlast: anything, 7\n"))
        self.assertEqual(pages.missing_line(page, "a 0.94 of 110\nbetween\nlast: x, 7\n")[0], "a  0.93 of 100")
        self.assertEqual(pages.missing_line(page, "last: x, 7\na 0.93 of 100\nbetween\n")[0], "last: …, 7")
        self.assertEqual(pages.missing_line(page, "a 0.93 of 100\nbetween\nlast: x, 8\n")[0], "last: …, 7")
        self.assertEqual(pages.missing_line("```text\nfp32 ab12\n```\n", "fp16 ab12\n")[0], "fp32 ab12")

    def test_a_page_that_fails_is_reported(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("ended with 3", pages.run_page("```sh\nexit 3\n```\n", folder, {"PATH": "/bin:/usr/bin"}).failure)
            self.assertIn("shows\nno", pages.run_page("```sh\necho yes\n```\n```text\nno\n```\n", folder, {"PATH": "/bin:/usr/bin"}).failure)
            page = "```sh not-run: slow\nexit 3\n```\n```text\nno\n```\n```toml a.toml\nx = 1\n```\n```sh\ncat a.toml\n```\n```text\nx = 1\n```\n"
            self.assertEqual(pages.run_page(page, folder, {"PATH": "/bin:/usr/bin"}).failure, "")

    def test_names_that_are_not_in_the_code_are_found(self):
        page = "`host/gate/gate.h`: `capped()`, `gone()`; `host/gate/gone.h`; `--lambda1`, `--gone`"
        self.assertEqual(code_names.flaws(page, ROOT), ["there is no host/gate/gone.h", "there is no gone in host/gate/gate.h"])
        self.assertEqual(code_names.unknown_flags(page, ROOT), ["--gone"])

    def test_keys_are_compared_in_both_directions(self):
        page = "## A report: `moecollab.report/1`\n| `a.<expert>` | number or null |\n| `b[].c` | string |\n| `d.e` | integer |\n## next\n| `f` | string |\n"
        keys, named = json_keys.listed(page, "report"), {"words": "<expert>"}
        self.assertEqual(json_keys.flaws(keys, [{"a": {"words": 0.5}, "b": [{"c": "x"}], "d": None}], named), [])
        for document, flaw in (({"a": {"words": 0.5}, "b": [], "d": {"e": 1.5}}, "d.e is 1.5"), ({"a": {"other": 1.5}, "b": [], "d": None}, "a.other is not"),
                               ({"a": {"words": None}, "b": [], "d": {"x": 1}}, "d.e is on the page"), ({"a": {"words": True}, "b": [], "d": None}, "a.<expert> is True")):
            self.assertIn(flaw, " ".join(json_keys.flaws(keys, [document], named)))

    def test_blocks_that_nothing_tries_are_flaws(self):
        for page, flaw in (("```\nx\n```\n", "which nothing tries"), ("- ```sh\n  x\n  ```\n", "an indented block"), ("```sh\nx\n", "without an end"),
                           ("```sh not-run:\nx\n```\n", "without a reason"), ("Do:\n\n```sh not-run: slow\nx\n```\n", "does not show: slow"), ("```json\n{\n```\n", "Expecting"), ("```toml\nx\n```\n", "Expected"),
                           ("```cpp\nint x;\n```\n", "cpp that nothing compiles")):
            self.assertIn(flaw, " ".join(pages.flaws(page)), page)
        self.assertEqual(pages.commands("a \\\n  b\n# no\n\ncat <<END > f\nx\nEND\nc\n"), ["a b", "cat <<END > f", "c"])


class Projects(EndToEnd):
    """The pages that lead through a project of one's own, against a pool of two domains."""

    def run_page(self, name, minutes, **variables):
        """Runs a page; its output and the report that it ends in."""
        work = self.folder / "work"
        data = " ".join(f"--data {d}={SAMPLES}/{d}/train.jsonl" for d in ("news", "emotion"))
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("MOECOLLAB_")}, "SOURCE": str(ROOT), "PREFIX": str(self.shared / "moecollab"),
                       "WORK": str(work), "POOL": str(self.registry()), "POOL_DATA": data, "XDG_CACHE_HOME": str(self.folder / "cache"), **variables}
        run = pages.run_page((ROOT / "docs" / name).read_text(), self.folder, environment)
        self.assertEqual(run.failure, "")
        self.assertLess(run.seconds, 60 * minutes, f"the page says {minutes} minutes")
        return run.output, json.loads((work / "report.json").read_text())

    def assertTakesPart(self, report, name):
        calls = {e["name"]: e["calls"] for e in report["experts"]}
        self.assertGreater(calls[name], 0)
        self.assertGreater(report["domains"][name]["moe"]["accuracy"], 0.6)

    def test_the_readmes_expert_compiles(self):
        snippets = [block.text for block in pages.blocks((ROOT / "README.md").read_text()) if block.language == "cpp"]
        self.assertEqual(len(snippets), 1)
        for compiler in ("g++", "clang++-16"):
            done = subprocess.run([compiler, "-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{ROOT / 'sdk/include'}", "-"],
                                  input=snippets[0], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def check_first_expert(self, language):
        output, report = self.run_page("first-expert.md", minutes=10, LANGUAGE=language)
        self.assertTrue((self.folder / f"work/two-sorts/two_sorts.{language}").is_file())
        self.assertIn('"publisher": "me"', output)
        self.assertTakesPart(report, "two-sorts")

    def test_the_first_expert_in_cpp_ends_in_a_collaboration(self):
        self.check_first_expert("cpp")

    def test_the_first_expert_in_c_ends_in_a_collaboration(self):
        self.check_first_expert("c")

    def test_an_expert_of_the_torch_tier_ends_in_a_collaboration(self):
        output, report = self.run_page("torch-expert.md", minutes=15)
        self.assertNotRegex(output, r"\.cpp:\d+:\d+: warning:")
        self.assertTakesPart(report, "asks")


if __name__ == "__main__":
    unittest.main()
