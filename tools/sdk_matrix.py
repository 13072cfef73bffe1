#!/usr/bin/env python3
"""Builds experts in every way that the SDK promises, and prints a matrix.

Samples: keyword-c as C11 and C17, centroid-cpp as C++17 and C++20, by g++ and clang++-16, consuming the
SDK by find_package(), by add_subdirectory() and by pkg-config without CMake; without a warning
(-Wall -Wextra -Wpedantic -Werror). Each library exports moec_plugin_entry alone and passes
`moecollab validate --level 2`. With mingw-w64 the samples and the templates become .dll files that
export the same one symbol. With --wine they run: tests/sdk_matrix/answering_host.c loads each .dll
under Wine, and gets the logits that it gets from the same source's .so here. --pairs builds a third
of the cells, such that every two of compiler, standard and way meet. Exits 1 if a cell fails, 2 if a
compiler or Wine is missing.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

SOURCE = pathlib.Path(__file__).resolve().parents[1]
ENTRY = "moec_plugin_entry"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
SAMPLES = {"c": SOURCE / "samples/experts/keyword-c/keywords.c", "c++": SOURCE / "samples/experts/centroid-cpp/centroid.cpp"}
STANDARDS = {"c11": "c", "c17": "c", "c++17": "c++", "c++20": "c++"}
WAYS = ("find_package", "add_subdirectory", "pkg-config")
COMPILERS = {"gcc": ("gcc", "g++"), "clang": ("clang-16", "clang++-16"), "mingw-w64": ("x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-g++")}


WINE = next((path for path in ("/usr/lib/wine/wine64", "/usr/bin/wine64", "/usr/bin/wine") if pathlib.Path(path).exists()), None)


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
            elif self.matrix.wine:
                self.answers_as_here(library)
        except Failed as failure:
            return str(failure)
        return None

    def answers_as_here(self, library):
        """Raises Failed unless the .dll answers under Wine as the same source does in this system."""
        manifest = tomllib.loads((self.source.parent / "expert.toml").read_text())
        arguments = manifest["input"]["needs"][0], str(len(manifest["task"].get("labels", "abc")))
        language, native = COMPILERS["gcc"][self.standard.startswith("c++")], self.folder / "native.so"
        run(language, f"-std={self.standard}", "-O2", "-shared", "-fPIC", f"-I{SOURCE / 'sdk/include'}", self.source, "-lm", "-o", native)
        here = run(self.matrix.host, native, *arguments)
        there = run(WINE, self.matrix.windows_host, library, *arguments, env=self.matrix.wine)
        numbers = [[float(number) for number in text.split()] for text in (here, there)]
        if not here.strip() or len(numbers[0]) != len(numbers[1]) or any(not abs(a - b) <= 1e-4 for a, b in zip(*numbers)):
            raise Failed(f"{library} answers otherwise than the same source here:\n{there}\nexpected\n{here}")


class Matrix:
    def __init__(self, options, work):
        self.program, self.work, self.prefix, self.pairs = options.build / "bin/moecollab", work, work / "prefix", options.pairs
        run("cmake", "--install", options.build, "--component", "sdk", "--prefix", self.prefix)
        self.wine = {**os.environ, "WINEPREFIX": str(work / "wine"), "WINEDEBUG": "-all", "DISPLAY": ""} if options.wine else None
        if self.wine:
            self.host, self.windows_host = work / "answering_host", work / "answering_host.exe"
            source = [f"-I{SOURCE / 'sdk/include'}", SOURCE / "tests/sdk_matrix/answering_host.c", "-o"]
            run("gcc", "-std=c11", *WARNINGS, *source, self.host)
            run("x86_64-w64-mingw32-gcc", "-std=c11", *WARNINGS, "-static", *source, self.windows_host)
            run(WINE, "wineboot", "--init", env=self.wine)  # once, before several start it

    def cells(self):
        sources = {name: [(standard, SAMPLES[language]) for standard, language in STANDARDS.items()] for name in COMPILERS}
        for language, standard, suffix in (("c", "c11", "c"), ("cpp", "c++17", "cpp")):
            project = self.work / f"template-{language}"
            run(self.program, "new", "expert", f"template-{language}", "--language", language, "--output", project)
            sources["mingw-w64"].append((standard, project / f"template_{language}.{suffix}"))
        for i, (compiler, of_compiler) in enumerate(sources.items()):
            for j, (standard, source) in enumerate(of_compiler):
                for k, way in enumerate(WAYS):
                    if self.pairs and (i + j + k) % len(WAYS):
                        continue
                    yield Cell(self, compiler, standard, way, source, self.work / f"{compiler}-{standard}-{way}-{source.stem}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=SOURCE / "build", help="holds bin/moecollab and the SDK to install")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", action="store_true", help="build a third of the cells, in which every two choices meet")
    parser.add_argument("--wine", action="store_true", help="let the .dll files answer under Wine")
    options = parser.parse_args()
    options.build = options.build.resolve()
    tools = [program for pair in COMPILERS.values() for program in pair] + ["cmake", "ninja", "pkg-config", "nm", "x86_64-w64-mingw32-objdump"]
    missing = [program for program in tools if not shutil.which(program)] + ["wine64"] * (options.wine and WINE is None)
    if missing:
        print(f"not installed: {', '.join(missing)}; as root, `make sdk-matrix` installs compilers and Wine", file=sys.stderr)
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
    rows = {}
    for cell, failure in zip(cells, failures):
        rows.setdefault((cell.compiler, cell.standard, cell.source.stem), {})[cell.way] = "FAILED" if failure else "ok"
    for (compiler, standard, source), ways in rows.items():
        print(f"{compiler:<10} {standard:<9} {source:<13}" + "".join(f" {ways.get(way, '-'):<17}" for way in WAYS))
    for cell, failure in zip(cells, failures):
        if failure:
            print(f"\n{cell.compiler} {cell.standard} {cell.way} {cell.source.name}:\n{failure}", file=sys.stderr)
    good = sum(f is None for f in failures)
    ran = sum(cell.windows and failure is None for cell, failure in zip(cells, failures)) if options.wine else 0
    print(f"{good} of {len(cells)} built, each exporting {ENTRY} alone" + f"; {ran} answered under Wine as here" * options.wine)
    return 0 if good == len(cells) else 1


if __name__ == "__main__":
    sys.exit(main())
