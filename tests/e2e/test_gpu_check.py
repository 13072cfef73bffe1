"""What measures a machine with a GPU runs here on the CPU, as far as it goes without one."""
import subprocess
import unittest

from harness import ENCODER, PROGRAM, ROOT, SAMPLES, EndToEnd, run

TOOL = ROOT / "tools" / "gpu_check.py"


class GpuCheck(EndToEnd):
    def rows(self, *arguments):
        done = subprocess.run([TOOL, "run", "--program", PROGRAM, "--encoder", ENCODER, "--data", SAMPLES, "--texts", "40", "--experts", "1", *arguments], capture_output=True, text=True)
        return done, {line[:34].strip(): line[35:].split("  ")[0].strip() for line in done.stdout.splitlines()[1:]}

    def test_rows_on_the_cpu(self):
        done, rows = self.rows("--device", "cpu", "--rows", "parity", "gate")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(rows["features, fp32 against CPU"], "max. difference 0")
        self.assertEqual(rows["labels, gate fitted on the CPU"], "100.0000% equal")
        for gate in ("linear", "factored"):
            self.assertEqual(rows[f"{gate} gate, validation loss"], "1.0000 of the CPU's")

    def test_a_device_that_is_not_here_ends_the_check_with_its_name(self):
        done, _ = self.rows("--device", "cuda:99", "--rows", "parity")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cuda:99", done.stderr)

    def test_a_shrunk_encoder_is_read(self):
        small = self.folder / "small"
        subprocess.run([TOOL, "shrink", ENCODER, small], check=True)
        whole, half = ((folder / "model.safetensors").stat().st_size for folder in (ENCODER, small))
        self.assertLess(half, 0.51 * whole)
        (self.folder / "texts.txt").write_text("a late goal\n")
        done = run("encode", "--format", "lines", "--input", self.folder / "texts.txt", "--output", self.folder / "out.safetensors", "--encoder", small)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_lies_where_is_said(self):
        script = ROOT / "tools" / "gpu_check.sh"
        for arguments, words in (([], "gpu_check.sh pack [FILE]"), (["run", self.folder / "none.tar.xz"], "make it with gpu_check.sh pack")):
            done = subprocess.run([script, *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    unittest.main()
