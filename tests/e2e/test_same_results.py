"""tools/same_results.py: two folders of results are equal, or the first thing that differs is named."""
import array
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from harness import PROGRAM, ROOT, EndToEnd, run

sys.path.insert(0, str(ROOT / "tests" / "data"))
from make_registry import write_data, write_encoder  # noqa: E402


class SameResults(EndToEnd):
    @classmethod
    def build_shared(cls, folder):
        super().build_shared(folder)
        done = run("eval", *cls.data("dev"), "--registry", folder / "registry", "--cache-dir", folder / "cache", "--quiet", "--report", folder / "report.json")
        assert done.returncode == 0, done.stderr

    def setUp(self):
        super().setUp()
        for name in ("a", "b"):
            shutil.copytree(self.shared, self.folder / name, ignore=shutil.ignore_patterns("cache"))
        self.b = self.folder / "b"

    def compare(self):
        done = subprocess.run([sys.executable, ROOT / "tools" / "same_results.py", self.folder / "a", self.b], capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout

    def assertDiffers(self, *fragments):
        status, said = self.compare()
        self.assertEqual(status, 1, said)
        for fragment in fragments:
            self.assertIn(fragment, said)

    def assertEqualResults(self):
        status, said = self.compare()
        self.assertEqual((status, said.split(":")[0]), (0, "equal"), said)

    def replace(self, name, old, new, folder=None):
        path = (folder or self.b) / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new, 1))

    def flip(self, path):
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        return len(data) - 5

    def restored(self, name):
        shutil.copy(self.folder / "a" / name, self.b / name)

    def test_copies_are_equal(self):
        self.assertEqualResults()

    def test_one_flipped_byte_differs(self):
        weights = self.package(self.b / "registry", "feelings") / "weights.safetensors"
        for path in (weights, self.b / "registry/gate/gate.safetensors", next((self.b / "registry/heldout").iterdir()),
                     next(weights.parent.glob("lib*.so"))):
            place = self.flip(path)
            name = str(path.relative_to(self.b))
            if "heldout" in name or name.endswith(".so"):
                name = path.parent.name  # the digest in the name is replaced; of a library, its manifest differs
            with self.subTest(name):
                self.assertDiffers(name)
                if not path.name.endswith(".so"):
                    self.assertDiffers(f"byte {place} of ")
            self.restored(path.relative_to(self.b))
        self.assertEqualResults()

    def test_one_changed_digit_differs(self):
        report = self.load(self.b / "report.json")
        for name, key, old, new in (("report.json", "overall.accuracy", f'"accuracy": {report["overall"]["accuracy"]}', '"accuracy": 0.123'),
                                    ("registry/gate/gate.toml", "objective.lambda1", "lambda1 = 0.0", "lambda1 = 0.1"),
                                    ("registry/gate/gate.toml", "seconds", "schema = 1\n", "schema = 1\nseconds = 1\n")):
            with self.subTest(key):
                self.replace(name, old, new)
                self.assertDiffers(f"{name}: {key}: ")
                self.restored(name)
        self.assertEqualResults()

    def test_layout_differs_too(self):
        self.replace("report.json", '"overall": ', '"overall":  ')
        self.assertDiffers("report.json: line ")

    def test_a_missing_file_differs_on_either_side(self):
        name = "registry/history/news-words.jsonl"
        (self.b / name).unlink()
        self.assertDiffers(f"{name}: missing in {self.b}")
        self.restored(name)
        (self.folder / "a" / name).unlink()
        self.assertDiffers(f"{name}: missing in {self.folder / 'a'}")

    def change_numbers(self, name, *keys):
        path = self.b / name
        text, count = re.subn(rf'("(?:{"|".join(keys)})": ?)[0-9.e-]+', r"\g<1>9876.5", path.read_text())
        self.assertGreaterEqual(count, len(keys))
        path.write_text(text)

    def test_time_speed_and_memory_may_differ(self):
        history = "registry/history/news-words.jsonl"
        self.change_numbers("report.json", "seconds", "texts_per_second", "peak_rss_bytes")
        self.change_numbers(history, "seconds", "peak_rss_bytes")
        self.assertEqualResults()
        self.change_numbers(history, "epoch")
        self.assertDiffers(f"{history}: line 1.epoch: '1' and '9876.5'")

    def test_digests_may_stand_in_another_order_if_they_are_of_the_same_files(self):
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((self.b / "registry").rglob("expert.toml"))]
        other = hashlib.sha256(b"of no file").hexdigest()
        for folder, digests in ((self.folder / "a", files), (self.b, files[::-1])):
            (folder / "list.toml").write_text(f"made_here = {json.dumps(digests)}\n")
        self.assertGreater(len(files), 1)
        self.assertEqualResults()
        (self.b / "list.toml").write_text(f"made_here = {json.dumps([*files[:-1], other])}\n")
        self.assertDiffers("list.toml: made_here.")

    def test_what_names_the_version_may_differ_between_versions_only(self):
        lock = self.b / "registry" / "registry.lock.toml"
        before = hashlib.sha256(lock.read_bytes()).hexdigest()
        self.replace("registry/registry.lock.toml", 'engine = "moecollab ', 'engine = "moecollab 9')
        self.replace("report.json", before, hashlib.sha256(lock.read_bytes()).hexdigest())
        self.assertDiffers("registry/registry.lock.toml: expert.0.probe.engine: ")
        for folder, version in (("a", "1.0.0"), ("b", "1.0.1")):
            (self.folder / folder / "printed").mkdir()
            (self.folder / folder / "printed" / "version").write_text(f"moecollab {version}\n")
        self.assertEqualResults()
        self.replace("report.json", hashlib.sha256(lock.read_bytes()).hexdigest(), before)
        self.assertDiffers("report.json: provenance.registry_lock_sha256: ")

    def drive(self, *arguments, **environment):
        return subprocess.run([ROOT / "tools" / "same_results.sh", *arguments], capture_output=True, text=True,
                              env={**os.environ, "OUT": str(self.folder / "out"), **environment})

    def test_the_driver_compares_what_two_programs_write(self):
        write_data(self.folder / "data")
        shutil.rmtree(self.folder / "data" / "music")
        write_encoder(self.folder / "encoder", positions=256)
        done = self.drive(PROGRAM, PROGRAM, self.folder / "data", KINDS="lexical", THREADS="1", MOECOLLAB_ENCODER=str(self.folder / "encoder"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, "^equal: 1[0-9][0-9] files")

    def test_the_driver_refuses_what_it_cannot_run(self):
        failing = pathlib.Path(shutil.which("false")).resolve()
        for arguments, status, fragment in (([], 2, "OLD_PROGRAM"), ([PROGRAM, self.folder / "none"], 2, "there is no"),
                                            ([PROGRAM, PROGRAM, self.folder / "a"], 2, "train.jsonl"), ([failing, PROGRAM], 1, "version ended with 1")):
            with self.subTest(arguments):
                done = self.drive(*arguments)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(fragment, done.stderr)

    def test_within_tolerance_labels_that_move_are_listed(self):
        def write(folder, features, labels):
            header = json.dumps({"pooled": {"dtype": "F32", "shape": [len(features)], "data_offsets": [0, 4 * len(features)]}}).encode()
            (folder / "features.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + array.array("f", features).tobytes())
            (folder / "predictions.jsonl").write_text("".join(
                json.dumps({"text_id": n, "label": label, "label_space": "films", "probability": 0.5, "alternatives": [{"probability": 0.4}]}) + "\n"
                for n, label in enumerate(labels)))

        def compared():
            return subprocess.run([sys.executable, ROOT / "tools" / "same_results.py", "--tolerance", self.folder / "a", self.b], capture_output=True, text=True)
        labels = ["good"] * 1000
        write(self.folder / "a", [0.5, 0.25], labels)
        for features, moved, status, fragment in (([0.50005, 0.25], 1, 0, "text 0: good (0.500000, then 0.400000), now bad"), ([0.5, 0.25], 2, 1, "998 of 1000"),
                                                  ([0.5002, 0.25], 0, 1, "differ by at most 0.0002"), ([0.5], 0, 1, "2 and 1 features")):
            write(self.b, features, ["bad"] * moved + labels[moved:])
            done = compared()
            self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
            self.assertIn(fragment, done.stdout)

    def test_the_driver_opens_what_the_old_program_trained(self):
        write_data(self.folder / "data")
        shutil.rmtree(self.folder / "data" / "music")
        write_encoder(self.folder / "encoder", positions=256)
        done = self.drive("--tolerance", PROGRAM, PROGRAM, self.folder / "data", KINDS="lexical", THREADS="1", MOECOLLAB_ENCODER=str(self.folder / "encoder"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("features differ by at most 0;", done.stdout)
