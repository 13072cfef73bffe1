"""The pages of docs/ that show commands, run as they stand."""
import json
import os
import re
import subprocess
import time
import unittest

from harness import ROOT, SAMPLES, EndToEnd


def blocks(page):
    """Every fenced block: language, the file that it is to become (or nothing), text."""
    return re.findall(r"^```(\w*) ?(\S*)\n(.*?)^```$", page, re.M | re.S)


def script(page):
    """One shell script: the sh blocks, and each block that names a file as that file."""
    parts = ["set -eu\n"]
    for language, file, text in blocks(page):
        if language == "sh":
            parts.append(text)
        elif file:
            parts.append(f"cat > {file} <<'END_OF_BLOCK'\n{text}END_OF_BLOCK\n")
    return "".join(parts)


class Docs(EndToEnd):
    def run_page(self, name, minutes):
        """Runs a page against a pool of two domains; its report. What it shows as text must be in the output, in that order."""
        work = self.folder / "work"
        data = " ".join(f"--data {d}={SAMPLES}/{d}/train.jsonl" for d in ("news", "emotion"))
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("MOECOLLAB_")}, "SOURCE": str(ROOT), "PREFIX": str(self.shared / "moecollab"),
                       "WORK": str(work), "POOL": str(self.registry()), "POOL_DATA": data, "XDG_CACHE_HOME": str(self.folder / "cache")}
        page = (ROOT / "docs" / name).read_text()
        start = time.monotonic()
        done = subprocess.run(["bash", "-c", "exec 2>&1\n" + script(page)], stdout=subprocess.PIPE, text=True, env=environment, cwd=self.folder, timeout=900)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertLess(time.monotonic() - start, 60 * minutes, f"the page says {minutes} minutes")
        rest = done.stdout
        for language, file, text in blocks(page):
            self.assertIn(language, ("sh", "text", "cpp"), "a block that nothing tries")
            self.assertTrue(file or language != "cpp", "C++ that nothing compiles:\n" + text)
            for line in text.splitlines() if language == "text" else []:
                found = re.search("^" + ".*".join(map(re.escape, line.split("…"))) + "$", rest, re.M)
                self.assertTrue(found, f"{name} shows\n{line}\nand what is left of the output is\n{rest}")
                rest = rest[found.end():]
        return done.stdout, json.loads((work / "report.json").read_text())

    def assertTakesPart(self, report, name):
        calls = {e["name"]: e["calls"] for e in report["experts"]}
        self.assertGreater(calls[name], 0)
        self.assertGreater(report["domains"][name]["moe"]["accuracy"], 0.6)

    def test_the_readmes_expert_compiles(self):
        snippets = [text for language, _, text in blocks((ROOT / "README.md").read_text()) if language == "cpp"]
        self.assertEqual(len(snippets), 1)
        for compiler in ("g++", "clang++"):
            done = subprocess.run([compiler, "-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", f"-I{ROOT / 'sdk/include'}", "-"],
                                  input=snippets[0], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_first_expert_ends_in_a_collaboration(self):
        output, report = self.run_page("first-expert.md", minutes=10)
        self.assertIn('"publisher": "me"', output)
        self.assertTakesPart(report, "two-sorts")

    def test_an_expert_of_the_torch_tier_ends_in_a_collaboration(self):
        output, report = self.run_page("torch-expert.md", minutes=15)
        self.assertNotRegex(output, r"\.cpp:\d+:\d+: warning:")
        self.assertTakesPart(report, "asks")


if __name__ == "__main__":
    unittest.main()
