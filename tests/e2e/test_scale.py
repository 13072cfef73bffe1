"""Pools of many experts: the figures against what `eval` says of the same pool, runs that continue, refusals."""
import json
import shutil
import unittest

import json_keys
from harness import ENCODER, ROOT, SAMPLES, EndToEnd, run


class Scale(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.samples = cls.shared / "scale-samples"
        for domain in ("news", "emotion"):
            if not (cls.samples / domain).exists():
                shutil.copytree(SAMPLES / domain, cls.samples / domain)

    def scale(self, out, *more, data=None):
        return run("scale", "--data-dir", data or self.samples, "--registry", self.folder / "none", "--encoder", ENCODER, "--out", out, "--domains", 4, *(() if "--rounds" in more else ("--rounds", 2)), *more)

    def figures(self, out, *more):
        done = self.scale(out, *more, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_agrees_with_eval_and_continues(self):
        out = self.folder / "out"
        found = self.figures(out, "--experts", "1,3", "--useless", "0,50")
        self.assertEqual([d["name"] for d in found["domains"]], ["emotion-1", "news-1", "emotion-2", "news-2"])
        self.assertEqual([p["name"] for p in found["pools"]], ["1+0", "1+2", "3+0"])
        pools = {p["name"]: p for p in found["pools"]}
        self.assertEqual((pools["1+2"]["experts"], pools["1+2"]["useless"], pools["1+2"]["spaces"]), (3, 2, 1))
        self.assertEqual(pools["3+0"]["spaces"], 3)
        self.assertEqual(pools["3+0"]["texts"], sum(d["judged"] for d in found["domains"][:3]))
        self.assertEqual([c["experts"] for c in found["costs"]], [1, 3])
        self.assertEqual(found["costs"][0]["batch_32_ms_ratio"], 1)
        self.assertGreater(found["costs"][1]["flops_32_ratio"], 1)
        self.assertEqual(json_keys.flaws(json_keys.listed((ROOT / "docs/report.md").read_text(), "scale"), [found], {}), [])

        folder = out / found["digest"][:12]
        # A useless expert learns the same texts, their labels shuffled.
        honest, shuffled = ([json.loads(line) for line in (folder / file).read_text().splitlines()] for file in ("data/emotion-1/train.jsonl", "shuffled/emotion-1-u1.jsonl"))
        self.assertEqual([e["text"] for e in honest], [e["text"] for e in shuffled])
        self.assertEqual(sorted(e["label"] for e in honest), sorted(e["label"] for e in shuffled))
        self.assertNotEqual([e["label"] for e in honest], [e["label"] for e in shuffled])
        # A pool is a registry like any other, and its figures are those of `eval`.
        data = self.folder / "judged"
        for domain in found["domains"][:3]:
            shutil.copytree(folder / "data" / domain["name"], data / domain["name"])
        report = json.loads(run("eval", "--data-dir", data, "--registry", folder / "pools/3+0", "--json").stdout)
        for key, value in {"accuracy": report["overall"]["accuracy"], "accuracy_task_aware": report["overall"]["accuracy_task_aware"],
                           "recall_1": report["overall"]["routing_accuracy"], "n_eff": report["gate"]["n_eff"]}.items():
            self.assertAlmostEqual(pools["3+0"][key], value, places=5, msg=key)
        before, after = ({e["id"]: e for e in json.loads(run("experts", "list", "--registry", folder / "pools" / name, "--json").stdout)["experts"]}
                         for name in ("1+0", "1+2"))
        self.assertEqual(len(after.keys() - before.keys()), 2)
        change = pools["1+2"]["change"]
        self.assertAlmostEqual(change["before"], pools["1+0"]["accuracy"])
        self.assertAlmostEqual(change["after"], pools["1+2"]["accuracy"])

        # A run that was killed before its second pool.
        lines = out / "pools.jsonl"
        lines.write_text(lines.read_text().splitlines(keepends=True)[0])
        shutil.rmtree(folder / "pools/3+0")
        again = self.figures(out, "--experts", "3", "--useless", "0,50")
        self.assertEqual([p["name"] for p in again["pools"]], ["1+0", "1+2", "3+0"])

        def timeless(pool):
            return {k: v for k, v in pool.items() if k != "fit_seconds"}
        for pool in again["pools"]:
            if pool["name"] in pools:
                self.assertEqual(timeless(pool), timeless(pools[pool["name"]]))
        self.assertEqual(again["pools"][0]["fit_seconds"], pools["1+0"]["fit_seconds"], "taken over")
        self.assertIn("recall@3", (out / "scale.md").read_text())

    def test_refusals(self):
        out = self.folder / "out"
        self.assertRefused(self.scale(out, "--experts", "4,0"), 2, "E_CONFIG", "--experts is 0, expected 1 to 512")
        self.assertRefused(self.scale(out, "--useless", "90"), 2, "E_CONFIG", "--useless is 90, expected 0 to 75")
        self.assertRefused(self.scale(out, "--rounds", "1001"), 2, "E_CONFIG", "--rounds is 1001, expected 1 to 1000")
        self.assertRefused(self.scale(out, "--split", "train"), 2, "E_CONFIG", "--split train")
        self.assertRefused(self.scale(out, "--kind", "adaptor"), 2, "E_CONFIG", "adaptor")
        data = self.folder / "data" / "one"
        data.mkdir(parents=True)
        for split in ("train", "dev"):
            (data / f"{split}.jsonl").write_text('{"text": "a", "label": "x"}\n' * 3)
        self.assertRefused(self.scale(out, data=data.parent), 3, "E_DATA", "one label only, x")
        self.assertFalse((out / "pools.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
