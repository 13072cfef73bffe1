"""`moecollab validate` on packages that are fine and on things that are none; tests/zoo has the bad ones."""
import json
import pathlib
import shutil
import unittest
import xml.etree.ElementTree as xml

from harness import BUILD, ENCODER, PLUGINS, SAMPLES, EndToEnd, run

SAMPLE = BUILD / "tests" / "plugin" / "samples" / "keyword-c" / "keywords.package"
LEVELS = {1: 9, 2: 14, 3: 15, 4: 25, 5: 9}  # checks of each


class Validate(EndToEnd):
    def validate(self, package, *more):
        done = run("validate", package, "--json", "--deadline-ms", 60000, *more)
        return done, json.loads(done.stdout)

    def copy(self, package):
        target = self.folder / package.name
        shutil.copytree(package, target)
        return target

    def test_stock_and_sample_experts_reach_level_5(self):
        for package in (SAMPLE, BUILD / "tests/plugin/samples/nearest-c/nearest.package", BUILD / "tests/plugin/samples/centroid-cpp/centroid.package", PLUGINS / "adapter", PLUGINS / "lexical", PLUGINS / "deep-adapter"):
            with self.subTest(package=package.name):
                done, result = self.validate(package)
                self.assertEqual(done.returncode, 0, [c for c in result["checks"] if c["findings"]])
                self.assertEqual((result["level_reached"], result["failed"], result["not_run"]), (5, 0, []))
                self.assertEqual(len(result["checks"]), sum(LEVELS.values()))
                self.assertGreater(result["passed"], 25)

    def test_gradients_are_judged_in_the_precision_that_the_expert_trains_in(self):
        for precision in ("fp32", "bf16"):  # which `auto` would be: asked for float32, the expert computes in it
            done = run("validate", PLUGINS / "deep-adapter", "--level", "4", env={"MOECOLLAB_TRAINING_PRECISION": precision})
            self.assertEqual(done.returncode, 0, done.stdout)
        declared = self.copy(PLUGINS / "deep-adapter")
        manifest = declared / "expert.toml"
        manifest.chmod(0o644)
        manifest.write_text(manifest.read_text().replace('precision = "auto"', 'precision = "bf16"'))
        done, result = self.validate(declared)
        self.assertEqual(done.returncode, 0, [c for c in result["checks"] if c["findings"]])

    def test_trained_packages_need_their_encoder(self):
        package = self.package(self.registry(), "feelings")
        done, result = self.validate(package, "--encoder", ENCODER)
        self.assertEqual((done.returncode, result["level_reached"]), (0, 5))
        self.assertRefused(run("validate", package, cwd=self.folder), 2, "E_CONFIG", "--encoder")
        checkout = self.folder / "checkout"
        (checkout / ".deps" / "encoder").mkdir(parents=True)
        (checkout / ".deps" / "encoder" / "all-MiniLM-L6-v2").symlink_to(ENCODER)
        self.assertEqual(run("validate", package, "--level", 2, cwd=checkout).returncode, 0)
        manifest = package / "expert.toml"
        manifest.chmod(0o644)
        text = manifest.read_text()
        manifest.write_text(text.replace(text.split('fingerprint = "')[1][:12], "0123456789ab"))
        self.assertRefused(run("validate", package, "--encoder", ENCODER), 2, "E_CONFIG", "made for the encoder 0123456789ab")

    def test_what_is_no_package_never_passes(self):
        empty = self.folder / "empty"
        empty.mkdir()
        for path in (empty, self.write("text.txt", "hello"), BUILD / "lib"):
            done, result = self.validate(path)
            self.assertEqual((done.returncode, result["passed"], result["failed"]), (5, 0, 1), path)
            self.assertEqual(result["checks"][0]["id"], "package")
        self.assertRefused(run("validate", self.folder / "nowhere"), 2, "E_CONFIG", "nowhere")
        self.assertRefused(run("validate"), 2, "E_CONFIG")
        tomorrow = self.copy(SAMPLE)
        manifest = tomorrow / "expert.toml"
        manifest.chmod(0o644)
        manifest.write_text(manifest.read_text().replace("schema = 1", "schema = 2"))
        done, result = self.validate(tomorrow)
        self.assertEqual(done.returncode, 5)
        self.assertIn("schema", result["checks"][0]["findings"][0]["seen"])

    def test_a_damaged_file_is_found_and_higher_levels_are_not_run(self):
        package = self.copy(SAMPLE)
        manifest = package / "expert.toml"
        manifest.chmod(0o644)
        manifest.write_text(manifest.read_text().replace('version = "1.0.0"\n\n[expert]', 'version = "1.0.1"\n\n[expert]'))
        done, result = self.validate(package)
        self.assertEqual(done.returncode, 5)
        self.assertEqual([c["id"] for c in result["checks"] if c["verdict"] == "failed"], ["identity"])
        self.assertIn("1.0.1", result["checks"][6]["findings"][0]["expected"])
        self.assertEqual((result["level_reached"], len(result["not_run"])), (0, sum(LEVELS.values()) - LEVELS[1]))

    def test_the_report_says_whose_features_were_used(self):
        for package, more, expected in ((SAMPLE, (), None), (PLUGINS / "adapter", (), "a stand-in with features of 32 numbers; --encoder"),
                                        (PLUGINS / "adapter", ("--encoder", ENCODER), f"{ENCODER}, features of 384 numbers")):
            done, result = self.validate(package, "--level", 1, *more)
            self.assertEqual(done.returncode, 0)
            text = run("validate", package, "--level", 1, *more).stdout
            if expected is None:
                self.assertIsNone(result["encoder"])
                self.assertTrue(text.startswith("L1 load"), text)
            else:
                self.assertIn(expected, result["encoder"])
                self.assertIn(expected, text.splitlines()[0])

    def test_quiet_leaves_out_what_passed(self):
        self.assertRegex(run("validate", SAMPLE, "--level", 2, "--quiet").stdout, r"^\d+ passed, 0 failed, \d+ not applicable: level 2 reached\n$")
        broken = self.copy(PLUGINS / "adapter")
        manifest = broken / "expert.toml"
        manifest.chmod(0o644)
        manifest.write_text(manifest.read_text().replace('needs = ["pooled"]', 'needs = ["hidden"]'))
        text = run("validate", broken, "--quiet").stdout
        self.assertIn("FAIL", text)
        self.assertNotIn("  ok ", text)
        # What the library refuses is its own message, and no check's usual cure stands for it.
        self.assertIn("the message is the library's own", text)
        self.assertNotIn("write at most struct_size bytes", text)

    def test_options(self):
        done, result = self.validate(SAMPLE, "--level", 2)
        self.assertEqual((done.returncode, result["level_reached"], len(result["checks"])), (0, 2, LEVELS[1] + LEVELS[2]))
        done, result = self.validate(SAMPLE, "--check", "finite", "--check", "entry")
        self.assertEqual([c["id"] for c in result["checks"]], ["entry", "finite"])
        self.assertRefused(run("validate", SAMPLE, "--check", "finit"), 2, "E_CONFIG", "did you mean `finite`")
        self.assertRefused(run("validate", SAMPLE, "--level", 6), 2, "E_CONFIG", "1 to 5")
        listed = run("validate", "--list").stdout
        for check in result["checks"]:
            self.assertIn(check["id"], listed)
        self.assertEqual(listed.count("fix:"), sum(LEVELS.values()) - 1, "each check but the figure `latency` says how it is fixed")
        checks = json.loads(run("validate", "--list", "--json").stdout)
        self.assertEqual({c["id"]: c["cure"] is None for c in checks}, {c["id"]: c["id"] == "latency" for c in checks})
        self.assertEqual([sum(c["level"] == level for c in checks) for level in sorted(LEVELS)], [LEVELS[level] for level in sorted(LEVELS)])
        done = run("validate", SAMPLE, "--check", "bind")
        self.assertEqual(done.returncode, 5, "no check that applies is no success")

    def test_another_libtorch_is_refused_before_anything_runs(self):
        package = self.folder / "mlp.package"
        shutil.copytree(BUILD / "tests/torch/samples/mlp-torch/mlp.package", package)
        manifest = package / "expert.toml"
        text = manifest.read_text()
        manifest.chmod(0o644)
        manifest.write_text(text.replace('libtorch = "==2.15.*"', 'libtorch = "==2.14.*"'))
        self.assertNotEqual(manifest.read_text(), text)
        self.assertRefused(run("validate", package), 5, "E_ABI_LIBTORCH", "2.14", "2.15")
        self.assertRefused(run("train-expert", "other", "--kind", package, "--domain", "news", "--data-dir", SAMPLES, "--registry", self.folder / "new",
                               "--encoder", ENCODER, "--no-cache"), 5, "E_ABI_LIBTORCH", "2.14", "2.15")

    def test_junit(self):
        report = self.folder / "report.xml"
        done = run("validate", SAMPLE, "--junit", report, "--deadline-ms", 60000)
        self.assertEqual(done.returncode, 0, done.stdout)
        suite = xml.parse(report).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), (str(sum(LEVELS.values())), "0"))
        self.assertEqual(len(suite), sum(LEVELS.values()))


if __name__ == "__main__":
    unittest.main()
