"""A registry as a whole: everything that is wrong with it at once, and a copy on another machine that answers the same."""
import json
import shutil
import unittest

from harness import ENCODER, SAMPLES, EndToEnd, run


class Transfer(EndToEnd):
    def check(self, registry):
        done = run("registry", "check", "--registry", registry, "--json")
        result = json.loads(done.stdout)
        self.assertEqual(done.returncode, result["status"], done.stderr)
        return result["status"], {f["subject"]: f["code"] for f in result["findings"]}

    def flip(self, path):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)

    def test_check_names_everything_at_once_and_writes_nothing(self):
        registry = self.registry()
        before = {p: p.read_bytes() for p in registry.rglob("*") if p.is_file()}
        self.assertEqual(self.check(registry), (0, {}))
        self.assertEqual(before, {p: p.read_bytes() for p in registry.rglob("*") if p.is_file()})
        self.flip(self.package(registry, "news-words") / "weights.safetensors")
        self.assertEqual(self.check(registry), (5, {"news-words": "E_PLUG_DIGEST"}))
        shutil.rmtree(registry / "experts/feelings")
        self.flip(registry / "gate/gate.safetensors")
        self.assertEqual(self.check(registry), (4, {"news-words": "E_PLUG_DIGEST", "feelings": "E_REG_MISSING", "gate": "E_GATE"}))
        settings = registry / "registry.toml"
        text = settings.read_text()
        settings.write_text(text + '\n[policy]\non_missing = "skip"\n')
        self.assertEqual(self.check(registry), (4, {"news-words": "E_PLUG_DIGEST", "gate": "E_GATE"}), "one is left out on purpose, one is damaged")
        settings.write_text(text.replace("fingerprint = ", "fingerprint = 1 #"))
        self.assertEqual(self.check(registry), (4, {"registry": "E_REG_SCHEMA"}))

    def test_a_moved_registry_answers_the_same(self):
        registry, moved, file = self.registry(), self.folder / "deep/er/moved", self.folder / "pool.moecreg"
        dev = SAMPLES / "news/dev.jsonl"
        answers = run("predict", dev, "--registry", registry)
        self.assertEqual(answers.returncode, 0, answers.stderr)
        done = run("registry", "export", file, "--registry", registry)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 packages", done.stdout)
        self.assertNotIn(str(ENCODER).encode(), file.read_bytes())
        self.assertNotIn(str(self.folder).encode(), file.read_bytes())
        shutil.rmtree(registry)
        done = run("registry", "import", file, "--registry", moved, "--encoder", ENCODER)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("nothing is wrong", done.stdout)
        self.assertEqual(run("predict", dev, "--registry", moved).stdout, answers.stdout)
        self.assertEqual(run("experts", "lock", "--check", "--registry", moved).returncode, 0)
        again = run("registry", "import", file, "--registry", moved, "--encoder", ENCODER)
        self.assertRefused(again, 2, "E_CONFIG", "is there already")

    def test_another_encoder_is_named(self):
        registry, moved, file = self.registry(), self.folder / "moved", self.folder / "pool.moecreg"
        self.assertEqual(run("registry", "export", file, "--registry", registry).returncode, 0)
        encoder = self.folder / "encoder"
        shutil.copytree(ENCODER, encoder)
        self.flip(encoder / "model.safetensors")
        done = run("registry", "import", file, "--registry", moved, "--encoder", encoder)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("E_ENCODER_FINGERPRINT", done.stdout)


if __name__ == "__main__":
    unittest.main()
