"""docs/abi-policy.md, tried: its table of hosts and experts, released binaries, layouts."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ["MOECOLLAB_BUILD"])
BUILT = BUILD / "tests/abi"
INCLUDE = ROOT / "sdk/include"


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120)


def policy_table():
    """{(expert, host): "yes" or "no"} of the page's one table; an expert is ("1.1", "1.0"): built with, needs."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (ROOT / "docs/abi-policy.md").read_text().splitlines() if line.startswith("|")]
    hosts = [re.search(r"[\d.]+$", cell).group() for cell in rows[0][1:]]
    table = {}
    for first, *cells in rows[2:]:
        version, needs = re.fullmatch(r"([\d.]+)(?:, needs ([\d.]+))?", first).groups()
        for host, cell in zip(hosts, cells):
            table[(version, needs or version), host] = cell
    return table


def abi_version():
    text = (INCLUDE / "moecollab/abi.h").read_text()
    return ".".join(re.search(r"MOEC_ABI_MAJOR (\d+)u.*MOEC_ABI_MINOR (\d+)u", text, re.S).groups())


def numbers(version):
    return tuple(map(int, version.split(".")))


class Policy(unittest.TestCase):
    def test_every_cell_of_the_table(self):
        table = policy_table()
        self.assertEqual(len(table), 6 * 5)
        self.assertEqual(set(table.values()), {"yes", "no"})
        for ((version, needs), host), expected in table.items():
            with self.subTest(expert=version, needs=needs, host=host):
                suffix = "+1" if (version, needs) == ("1.1", "1.1") else ""
                done = run(BUILT / f"host_{host}", BUILT / f"libvisitor_{version}{suffix}.so")
                self.assertEqual(done.returncode, 0, done.stderr)
                if expected == "no":
                    self.assertEqual(done.stdout.strip(), f"refused E_ABI: libvisitor.so: needs ABI {needs}, host has {host}")
                else:
                    both_know = int(min(numbers(version), numbers(host)) >= (1, 1) and numbers(host)[0] == 1)
                    self.assertEqual(done.stdout.split(), ["loaded", str(both_know), str(numbers(host)[1]), str(42 * both_know)])

    def test_released_binaries_work_in_todays_host(self):
        packages = sorted(HERE.glob("released/*/packages/*.package"))
        self.assertGreaterEqual(len(packages), 2)
        for package in packages:
            with self.subTest(package=package.name):
                done = run(BUILD / "bin/moecollab", "validate", package)
                built_with, today = package.parents[1].name, abi_version()
                if built_with == today or (numbers(today)[0] > 0 and numbers(built_with)[0] == numbers(today)[0]):
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                    self.assertIn("level 5 reached", done.stdout)
                else:
                    self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
                    self.assertIn(f"needs ABI {built_with}, host has {today}", done.stdout)

    def test_the_recorded_layout_is_that_of_the_released_headers(self):
        for release in HERE.glob("released/*"):
            done = run(sys.executable, HERE / "record_layout.py", release / "include")
            self.assertEqual(done.stdout, (release / "layout.h").read_text(), release.name)


class Comparison(unittest.TestCase):
    """Today's headers against the newest release's; and headers that break a promise, which must not pass."""

    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory(prefix="moecollab-abi.")
        cls.addClassCleanup(cls._folder.cleanup)
        cls.folder = pathlib.Path(cls._folder.name)
        cls.released = max(HERE.glob("released/*"), key=lambda p: numbers(p.name))
        cls.version = cls.released.name
        subprocess.run([sys.executable, HERE / "make_headers.py", INCLUDE, cls.folder / "broken", cls.version, "--break"], check=True)

    def layout(self, include):
        return run("cc", "-std=c11", "-fsyntax-only", f"-I{include}", f"-I{HERE}", f'-DRELEASED="released/{self.version}/layout.h"', HERE / "layout.c")

    def test_layouts(self):
        self.assertEqual(self.layout(INCLUDE).returncode, 0)
        broken = self.layout(self.folder / "broken")
        self.assertNotEqual(broken.returncode, 0)
        self.assertIn("moec_batch.rows moved", broken.stderr)

    def test_a_later_minor_of_the_major_keeps_them(self):
        subprocess.run([sys.executable, HERE / "make_headers.py", INCLUDE, self.folder / "later", "1.1"], check=True)
        self.assertEqual(self.layout(self.folder / "later").returncode, 0)

    def compared(self, include):
        for name, path in (("released", self.released / "include"), ("other", include)):
            subprocess.run(["cc", "-std=c11", "-g", "-shared", "-fPIC", f"-I{path}", str(HERE / "types.c"), "-o", str(self.folder / f"lib{name}.so")], check=True)
        return run("abidiff", "--no-show-locs", self.folder / "libreleased.so", self.folder / "libother.so")

    @unittest.skipUnless(shutil.which("abidiff"), "abidiff (Debian: abigail-tools) is not installed")
    def test_abidiff(self):
        today = self.compared(INCLUDE)
        if abi_version() == self.version:
            self.assertEqual((today.returncode, today.stdout), (0, ""), "a released version does not change")
        else:
            self.assertEqual(today.returncode & 8, 0, today.stdout)
        broken = self.compared(self.folder / "broken")
        self.assertNotEqual(broken.returncode, 0)
        self.assertIn("moec_batch", broken.stdout)


if __name__ == "__main__":
    unittest.main()
