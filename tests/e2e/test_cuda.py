"""The sample with a CUDA kernel: nvcc builds it, and without a GPU it refuses and the other experts answer."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import BUILD, ENCODER, ROOT, SAMPLES, EndToEnd, run

SAMPLE = ROOT / "samples" / "experts" / "centroid-cuda"
CENTROID = BUILD / "tests/plugin/samples/centroid-cpp/centroid.package"  # the same expert for the CPU
NVCC = os.environ.get("MOECOLLAB_NVCC") or shutil.which("nvcc")
COMPILE_SECONDS = 60  # far above what it takes (5 s): the machine may be busy
NO_DEVICE = {"CUDA_VISIBLE_DEVICES": "-1"}  # also on a machine that has one


def cmake(*arguments, **environment):
    return subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


class WithoutNvcc(unittest.TestCase):
    def test_configuring_says_what_is_missing_and_how_to_get_it(self):
        with tempfile.TemporaryDirectory(prefix="moecollab-cuda.") as build:
            done = cmake("-S", SAMPLE, "-B", build, CUDACXX="/nowhere/nvcc")
            self.assertNotEqual(done.returncode, 0, done.stdout)
            said = " ".join(done.stderr.split())  # CMake breaks lines
            for fragment in ("centroid-cuda needs nvcc", "was not found", "-DCMAKE_CUDA_COMPILER=", "CUDA toolkit", "pip install nvidia-cuda-nvcc"):
                self.assertIn(fragment, said)
            self.assertEqual(said.count("CMake Error"), 1, "one error, and it is ours")
            self.assertNotIn("CMAKE_CUDA_COMPILER:", (pathlib.Path(build) / "CMakeCache.txt").read_text(), "the next try looks again")


@unittest.skipUnless(NVCC, "no nvcc: it is neither on PATH nor named by MOECOLLAB_NVCC")
class Cuda(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="moecollab-cuda.")
        cls.addClassCleanup(folder.cleanup)
        place = pathlib.Path(folder.name)
        shutil.copytree(SAMPLE, place / "source")
        for step in (("--install", BUILD, "--prefix", place / "sdk", "--component", "sdk"),
                     ("-S", place / "source", "-B", place / "build", f"-DCMAKE_PREFIX_PATH={place / 'sdk'}", f"-DCMAKE_CUDA_COMPILER={NVCC}",
                      "-DCMAKE_BUILD_TYPE=Release"),
                     ("--build", place / "build")):
            start = time.monotonic()
            done = cmake(*step)
            assert done.returncode == 0, done.stdout + done.stderr
        cls.seconds = time.monotonic() - start
        cls.said = done.stdout + done.stderr
        cls.kind = place / "build" / "centroid_cuda.package"
        cls.library = cls.kind / "libcentroid_cuda.so"

    def ok(self, *arguments, **more):
        done = run(*arguments, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def carried_here(self):
        """A registry with a fitted gate whose news-gpu is of this library, as if it came from a machine with a GPU. Here
        centroid-cpp made its weights and probe, which are the same."""
        registry = self.registry()
        self.ok("train-expert", "news-gpu", "--kind", CENTROID, "--domain", "news", "--data-dir", SAMPLES, *self.options(registry))
        self.ok("train-gate", *self.data("train"), *self.options(registry))
        package = self.package(registry, "news-gpu")
        manifest, gate = package / "expert.toml", registry / "gate" / "gate.toml"
        before = manifest.read_bytes()
        text = before.decode().replace('id = "com.example.centroid"\n', 'id = "com.example.centroid-cuda"\n')
        text, files = re.subn(r'"libcentroid\.so" = "\w+"', f'"{self.library.name}" = "{self.digest(self.library.read_bytes())}"', text)
        (package / "libcentroid.so").unlink()
        shutil.copy(self.library, package)
        manifest.write_text(text)
        rows = gate.read_text()
        self.assertEqual((files, rows.count(self.digest(before))), (1, 1))
        gate.write_text(rows.replace(self.digest(before), self.digest(manifest.read_bytes())))
        return registry

    @staticmethod
    def digest(content):
        return hashlib.sha256(content).hexdigest()

    def test_it_compiles_without_a_warning(self):
        self.assertLess(self.seconds, COMPILE_SECONDS)
        self.assertNotIn("warning", self.said)
        self.assertIn('"libcentroid_cuda.so" = ', (self.kind / "expert.toml").read_text())

    def test_the_library_exports_one_symbol_and_loads_without_cuda(self):
        symbols = subprocess.run(["nm", "-D", "--defined-only", self.library], capture_output=True, text=True, check=True).stdout
        self.assertEqual([line.split()[-1] for line in symbols.splitlines()], ["moec_plugin_entry"])
        dynamic = subprocess.run(["readelf", "-dW", self.library], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"NEEDED.*\[(.*)\]", dynamic)
        self.assertIn("libc.so.6", needed)
        self.assertFalse([name for name in needed if re.match(r"libcu|libnv|libstdc", name)], needed)
        self.assertIn(b".nv_fatbin\0", self.library.read_bytes(), "the kernel is inside")
        self.ok("validate", self.kind, "--level", 1)

    def test_without_a_device_the_refusal_is_told_and_the_others_answer(self):
        registry = self.carried_here()
        states = {e["name"]: (e["state"], e["code"]) for e in json.loads(self.ok("experts", "list", "--registry", registry, "--json", env=NO_DEVICE).stdout)["experts"]}
        self.assertEqual(states["news-gpu"], ("refused", "E_PLUG_UNSUPPORTED"))
        self.assertEqual({name for name, (state, _) in states.items() if state == "ready"}, {"news-adapter", "news-words", "feelings"})
        why = self.ok("experts", "why", "news-gpu", "--registry", registry, env=NO_DEVICE).stdout
        self.assertRegex(why, r"no CUDA device: .+ \(driver: .+, this library: CUDA \d+\.\d+\); centroid-cuda needs an NVIDIA GPU")
        self.assertIn("next: use it on a machine that has what it needs", why)

        evaluate = ["eval", *self.data("dev"), "--registry", registry, "--cache-dir", self.shared / "cache", "--no-cache", "--json"]
        self.assertRefused(run(*evaluate, env=NO_DEVICE), 5, "E_PLUG_UNSUPPORTED", "news-gpu", "no CUDA device")
        toml = registry / "registry.toml"
        toml.write_text(toml.read_text() + '\n[policy]\non_missing = "skip"\n')
        done = self.ok(*evaluate, env=NO_DEVICE)
        self.assertIn("no CUDA device", done.stderr)
        self.assertIn("the others share its weight", done.stderr)
        experts = {e["name"]: e for e in json.loads(done.stdout)["experts"]}
        self.assertEqual((experts["news-gpu"]["state"], experts["news-gpu"]["calls"]), ("refused", 0))
        for name in ("news-adapter", "news-words", "feelings"):
            self.assertGreater(experts[name]["calls"], 0, name)
        answer = json.loads(self.ok("predict", "--registry", registry, "-", stdin="the striker scored twice in the final\n", env=NO_DEVICE).stdout)
        self.assertEqual(answer["label_space"], "news/1")
        self.assertLessEqual({"news-adapter", "news-words"}, set(answer["experts"]))
        self.assertNotIn("news-gpu", answer["experts"])
        self.assertAlmostEqual(sum(answer["experts"].values()), 1, places=4)

    def test_without_a_device_it_is_neither_trained_nor_added(self):
        registry = self.carried_here()
        train = ("train-expert", "other", "--kind", self.kind, "--domain", "news", "--data-dir", SAMPLES, "--encoder", ENCODER)
        self.assertRefused(run(*train, "--registry", registry, "--no-cache", env=NO_DEVICE), 5, "E_PLUG_UNSUPPORTED", "other", "no CUDA device")
        self.assertRefused(run("experts", "add", self.package(registry, "news-gpu"), "--name", "other", "--registry", registry, env=NO_DEVICE),
                           5, "E_PLUG_UNSUPPORTED", "no CUDA device")
        self.assertFalse((registry / "experts" / "other").exists())

    @unittest.skipUnless(os.path.exists("/dev/nvidiactl"), "no NVIDIA GPU: /dev/nvidiactl is not there")
    def test_on_a_device_it_answers_as_centroid_cpp_does(self):
        registry = self.carried_here()
        self.assertIn("news-gpu: ready, probe: passed", self.ok("experts", "verify", "--registry", registry).stdout)
        self.ok("train-expert", "other", "--kind", self.kind, "--domain", "news", "--data-dir", SAMPLES, *self.options(registry))
        learnt = [(self.package(registry, name) / "weights.safetensors").read_bytes() for name in ("news-gpu", "other")]
        self.assertEqual(learnt[0], learnt[1])


if __name__ == "__main__":
    unittest.main()
