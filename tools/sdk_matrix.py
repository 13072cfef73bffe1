#!/usr/bin/env python3
"""Builds experts in every way that the SDK promises, and prints a matrix.

Samples: keyword-c as C11 and C17, centroid-cpp as C++17 and C++20, by g++ and clang++, consuming the
SDK by find_package(), by add_subdirectory() and by pkg-config without CMake; without a warning
(-Wall -Wextra -Wpedantic -Werror). Each library exports moec_plugin_entry alone and passes
`moecollab validate --level 2`. With mingw-w64 the samples and the templates become .dll files that
export the same one symbol; nothing here can run them. Exits 1 if a cell fails, 2 if a compiler
is missing.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[1]
ENTRY = "moec_plugin_entry"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SAMPLES = {"c": SOURCE / "samples/experts/keyword-c/keywords.c", "c++": SOURCE / "samples/experts/centroid-cpp/centroid.cpp"}
STANDARDS = {"c11": "c", "c17": "c", "c++17": "c++", "c++20": "c++"}
WAYS = ("find_package", "add_subdirectory", "pkg-config")
COMPILERS = {"gcc": ("gcc", "g++"), "clang": ("clang", "clang++"), "mingw-w64": ("x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-g++")}


class Failed(Exception):
    pass


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def exports(library):
    if library.suffix == ".so":
        return [line.split()[-1] for line in run("nm", "-D", "--defined-only", library).splitlines()]
    _, _, table = run("x86_64-w64-mingw32-objdump", "-p", library).partition("[Ordinal/Name Pointer] Table\n")
    names = table.partition("\n\n")[0]
    return [line.split()[-1] for line in names.splitlines()]


class Cell:
    """One expert built in one way. `folder` is its own."""

    def __init__(self, matrix, compiler, standard, way, source, folder):
        self.matrix, self.compiler, self.standard, self.way, self.source, self.folder = matrix, compiler, standard, way, source, folder

    @property
    def windows(self):
        return self.compiler == "mingw-w64"

    def by_cmake(self):
        cc, cxx = COMPILERS[self.compiler]
        language, number = ("CXX", self.standard[3:]) if self.standard.startswith("c++") else ("C", self.standard[1:])
        options = [f"-DCMAKE_C_COMPILER={cc}", f"-DCMAKE_CXX_COMPILER={cxx}", f"-DCMAKE_{language}_STANDARD={number}", f"-DCMAKE_{language}_EXTENSIONS=OFF",
                   f"-DSOURCE={self.source}", f"-DMANIFEST={self.source.parent / 'expert.toml'}", "-DCMAKE_BUILD_TYPE=Release"]
        if self.windows:
            options += ["-DCMAKE_SYSTEM_NAME=Windows", "-DCMAKE_SYSTEM_PROCESSOR=x86_64"]
        options.append(f"-DSDK_SOURCE={SOURCE / 'sdk'}" if self.way == "add_subdirectory" else f"-DCMAKE_PREFIX_PATH={self.matrix.prefix}")
        run("cmake", "-G", "Ninja", "-S", SOURCE / "tests/sdk_matrix", "-B", self.folder, "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF", *options)
        run("cmake", "--build", self.folder)
        return self.folder / "expert.package"

    def by_pkg_config(self):
        cc, cxx = COMPILERS[self.compiler]
        cpp = self.standard.startswith("c++")
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.matrix.prefix / "lib/pkgconfig")}
        asked = ["--cflags"] if self.windows else ["--cflags", "--libs"] + ["--static"] * cpp
        flags = run("pkg-config", *asked, "moecollab-sdk", env=environment).split() + ["-static"] * self.windows
        package = self.folder / "package"
        package.mkdir(parents=True)
        run(cxx if cpp else cc, f"-std={self.standard}", "-O2", "-shared", "-fPIC", *WARNINGS, self.source, *flags, "-o",
            package / ("libexpert.dll" if self.windows else "libexpert.so"))
        shutil.copy(self.source.parent / "expert.toml", package)
        return package

    def build(self):
        try:
            package = self.by_pkg_config() if self.way == "pkg-config" else self.by_cmake()
            library = next((f for f in package.iterdir() if f.suffix in (".so", ".dll")), None)
            if library is None:
                raise Failed(f"{package} has no library")
            if exports(library) != [ENTRY]:
                raise Failed(f"{library} exports {exports(library)}, expected {ENTRY} alone")
            if not self.windows:
                archive = self.folder / "expert.moec"
                run(self.matrix.program, "pack", package, "--output", archive)
                run(self.matrix.program, "validate", archive, "--level", "2")
        except Failed as failure:
            return str(failure)
        return None


class Matrix:
    def __init__(self, options, work):
        self.program, self.work, self.prefix = options.build / "bin/moecollab", work, work / "prefix"
        run("cmake", "--install", options.build, "--component", "sdk", "--prefix", self.prefix)

    def cells(self):
        sources = {name: [(standard, SAMPLES[language]) for standard, language in STANDARDS.items()] for name in COMPILERS}
        for language, standard, suffix in (("c", "c11", "c"), ("cpp", "c++17", "cpp")):
            project = self.work / f"template-{language}"
            run(self.program, "new", "expert", f"template-{language}", "--language", language, "--output", project)
            sources["mingw-w64"].append((standard, project / f"template_{language}.{suffix}"))
        for compiler, of_compiler in sources.items():
            for standard, source in of_compiler:
                for way in WAYS:
                    yield Cell(self, compiler, standard, way, source, self.work / f"{compiler}-{standard}-{way}-{source.stem}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build", help="holds bin/moecollab and the SDK to install")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    options.build = options.build.resolve()
    tools = [program for pair in COMPILERS.values() for program in pair] + ["cmake", "ninja", "pkg-config", "nm", "x86_64-w64-mingw32-objdump"]
    missing = [program for program in tools if not shutil.which(program)]
    if missing:
        print(f"not installed: {', '.join(missing)}; `make setup` installs clang and mingw-w64", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="moecollab-sdk-matrix.") as folder:
        try:
            cells = list(Matrix(options, pathlib.Path(folder)).cells())
        except Failed as failure:
            print(failure, file=sys.stderr)
            return 1
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            failures = list(pool.map(Cell.build, cells))
    print(f"{'compiler':<10} {'standard':<9} {'source':<13}" + "".join(f" {way:<17}" for way in WAYS))
    for i in range(0, len(cells), len(WAYS)):
        cell = cells[i]
        print(f"{cell.compiler:<10} {cell.standard:<9} {cell.source.stem:<13}" + "".join(f" {'FAILED' if f else 'ok':<17}" for f in failures[i:i + len(WAYS)]))
    for cell, failure in zip(cells, failures):
        if failure:
            print(f"\n{cell.compiler} {cell.standard} {cell.way} {cell.source.name}:\n{failure}", file=sys.stderr)
    good = sum(f is None for f in failures)
    print(f"{good} of {len(cells)} built, each exporting {ENTRY} alone")
    return 0 if good == len(cells) else 1


if __name__ == "__main__":
    sys.exit(main())
