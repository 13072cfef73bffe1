"""What `bench` measures, whatever the figures are, and the comparison with other runtimes as far as it goes without them."""
import importlib.util
import json
import pathlib
import subprocess
import sys
import time
import unittest

from harness import ROOT, EndToEnd, run

PEERS = ROOT / "tests" / "bench" / "peers.py"
PRECISIONS = ("fp32", "bf16", "int8")


class StartUp(unittest.TestCase):
    def test_start_up_without_the_engine_is_quick(self):
        def best(*arguments):
            times = []
            for _ in range(7):
                start = time.perf_counter()
                run(*arguments)
                times.append(time.perf_counter() - start)
            return min(times)
        engine = best("doctor")
        self.assertLess(best("--help"), engine / 2, "--help must not load the engine")
        self.assertLess(best("evla"), engine / 2)


class Bench(EndToEnd):
    def bench(self, registry, *options):
        done = run("bench", "--texts", 40, "--registry", registry, "--json", *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def assertRates(self, result, stage, with_share=True):
        self.assertGreater(stage["milliseconds"], 0)
        self.assertAlmostEqual(stage["texts_per_second"] * stage["milliseconds"] / 1e3, 40, places=6)
        self.assertAlmostEqual(stage["tokens_per_second"] * stage["milliseconds"] / 1e3, result["tokens"], places=3)
        self.assertEqual("share_of_peak" in stage, with_share)
        if with_share:
            self.assertAlmostEqual(stage["share_of_peak"], stage["gflops"] / stage["peak_gflops"], places=9)
            self.assertGreater(stage["share_of_peak"], 0)
            self.assertLessEqual(stage["share_of_peak"], 1.05)

    def test_every_stage(self):
        result = self.bench(self.shared / "registry")
        self.assertEqual((result["texts"], result["precision"]), (40, "fp32"))
        self.assertGreaterEqual(result["threads"], 1)
        self.assertIn("fp32", result["peak"]["gflops"])
        self.assertLessEqual(set(result["peak"]["gflops"]), set(PRECISIONS))
        for figure in (*result["peak"]["gflops"].values(), result["peak"]["memory_copy_gigabytes_per_second"]):
            self.assertGreater(figure, 0)
        self.assertRates(result, result["tokenize"], with_share=False)
        self.assertGreater(result["tokenize"]["megabytes_per_second"], 0)
        self.assertRates(result, result["encode"])
        self.assertEqual(result["encode"]["peak_gflops"], result["peak"]["gflops"]["fp32"])
        self.assertEqual([e["name"] for e in result["experts"]], ["news-adapter", "news-words", "feelings"])
        for expert in result["experts"]:
            self.assertRates(result, expert, with_share="gflops" in expert)
            self.assertGreater(expert["microseconds_batch_1"], 0)
            self.assertGreater(expert["microseconds_batch_32"], 0)
        self.assertRates(result, result["gate"])
        self.assertRates(result, result["fusion"], with_share=False)
        self.assertNotIn("left_out", result)

    def test_the_share_is_of_the_precision_asked_for(self):
        for precision in PRECISIONS:
            done = run("bench", "--texts", 4, "--stage", "encode", "--precision", precision, "--registry", self.shared / "registry", "--json")
            if done.returncode == 2 and "does not multiply" in done.stderr:
                continue
            self.assertEqual(done.returncode, 0, done.stderr)
            result = json.loads(done.stdout)
            self.assertEqual(result["precision"], precision)
            self.assertEqual(result["encode"]["peak_gflops"], result["peak"]["gflops"][precision])
            self.assertTrue({"experts", "gate", "fusion"}.isdisjoint(result))

    def test_one_stage_and_a_registry_without_a_gate(self):
        registry = self.registry()
        (registry / "gate" / "gate.toml").unlink()
        result = self.bench(registry)
        self.assertEqual(result["left_out"]["stages"], ["gate", "fusion"])
        self.assertIn("there is no fitted gate", result["left_out"]["reason"])
        self.assertTrue({"gate", "fusion"}.isdisjoint(result))
        result = self.bench(registry, "--stage", "expert")
        self.assertEqual(len(result["experts"]), 3)
        self.assertTrue({"tokenize", "encode", "gate", "left_out"}.isdisjoint(result))
        self.assertRefused(run("bench", "--texts", 0, "--registry", registry), 2, "E_CONFIG", "texts is 0")

    def test_the_table_has_a_line_per_stage(self):
        done = run("bench", "--texts", 4, "--registry", self.shared / "registry")
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^peak of \d+ threads: .*fp32 \d+ GFLOP/s, .*memory copy \d+\.\d GB/s$")
        self.assertRegex(lines[1], r"^4 texts, \d+ tokens, encoder in fp32$")
        self.assertRegex(lines[2], r"^stage +ms +texts/s +tokens/s +GFLOP/s +% of peak +µs for 1 +µs for 32$")
        self.assertEqual([line.split("  ")[0] for line in lines[3:]],
                         ["tokenize", "encode", "expert news-adapter", "expert news-words", "expert feelings", "gate", "fusion"])


class Peers(unittest.TestCase):
    def peers(self, *options):
        """In a Python without any package but its own."""
        return subprocess.run([sys.executable, "-I", "-S", str(PEERS), *options], capture_output=True, text=True, timeout=60)

    def test_help_needs_no_package(self):
        done = self.peers("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("--write", done.stdout)

    def test_what_is_missing_is_named(self):
        done = self.peers()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("this Python has no sentence-transformers, onnxruntime, openvino, torch", done.stderr)
        self.assertIn("make bench-peers", done.stderr)
        self.assertIn("holds no <domain>/dev.jsonl", self.peers("--data", str(pathlib.Path(__file__).parent)).stderr)
        self.assertEqual(self.peers("--rounds", "0").returncode, 2)

    def test_the_table_takes_the_place_of_the_last_one(self):
        spec = importlib.util.spec_from_file_location("peers", PEERS)
        peers = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(peers)
        page = peers.PAGE.read_text()
        before, after = page.split(peers.BEGIN)[0], page.split(peers.END)[1]
        self.assertEqual(peers.replaced(page, "new"), before + "new" + after)
        self.assertRaises(SystemExit, peers.replaced, before + after, "new")
        # 100 tokens: ours in 2 s, the better peer of that precision in 3 s; nobody to compare int8 with.
        seconds = {("A", "", "fp32"): 4.0, ("B", "latency", "fp32"): 3.0, (peers.US, "", "fp32"): 2.0, (peers.US, "", "int8"): 1.0}
        rows = list(peers.rows_of(100, seconds, dict.fromkeys(seconds, 1.0)))
        self.assertEqual(rows, [(peers.US, "fp32", "50", "1.50×", "1.0000"), ("B, latency mode", "fp32", "33", "1.00×", "1.0000"),
                                ("A", "fp32", "25", "0.75×", "1.0000"), (peers.US, "int8", "100", "–", "1.0000")])


if __name__ == "__main__":
    unittest.main()
