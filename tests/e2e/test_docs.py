"""The pages of docs/ that show commands, run as they stand."""
import json
import os
import re
import subprocess
import time
import unittest

from harness import ROOT, SAMPLES, EndToEnd


def commands(page):
    """The shell blocks of a page, one script."""
    return "set -eu\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S))


class Docs(EndToEnd):
    def test_the_first_expert_ends_in_a_collaboration(self):
        work = self.folder / "work"
        data = " ".join(f"--data {d}={SAMPLES}/{d}/train.jsonl" for d in ("news", "emotion"))
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("MOECOLLAB_")}, "SOURCE": str(ROOT), "PREFIX": str(self.folder / "moecollab"),
                       "WORK": str(work), "POOL": str(self.registry()), "POOL_DATA": data, "XDG_CACHE_HOME": str(self.folder / "cache")}
        script = commands((ROOT / "docs" / "first-expert.md").read_text())
        start = time.monotonic()
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=self.folder, timeout=900)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertLess(time.monotonic() - start, 600, "the page says ten minutes")
        self.assertIn('"publisher": "me"', done.stdout)
        report = json.loads((work / "report.json").read_text())
        calls = {e["name"]: e["calls"] for e in report["experts"]}
        self.assertGreater(calls["two-sorts"], 0)
        self.assertGreater(report["domains"]["two-sorts"]["moe"]["accuracy"], 0.6)


if __name__ == "__main__":
    unittest.main()
