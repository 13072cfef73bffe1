#!/usr/bin/env python3
"""What reading data files costs, beside pandas' C reader and zcat in the same run.

    reader.py [--megabytes 256] [--runs 3] [--build build] [--folder FOLDER]

Writes CSV, JSON Lines and their gzip, made of the sample texts, to a folder that is removed at the end. Each figure is the
least time of the runs. pandas is the one of the Python that runs this; without it there are no ratios. The last line is
what `data check` holds per row. This process stays small, as the peak memory of a child begins with its parent's.
"""
import argparse
import concurrent.futures
import csv
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PANDAS = {"read_csv": "pandas.read_csv(FILE, dtype=str, keep_default_na=False)", "read_json": "pandas.read_json(FILE, lines=True)"}
TIMED = """
import json, resource, time, pandas
FILE = {file!r}
start = time.perf_counter()
rows = len({call})
print(json.dumps({{"records": rows, "seconds": time.perf_counter() - start, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}}))
"""


def write_rows(texts, jsonl, table, size):
    """Rows of two sample texts and a number, so that no text stands twice: the first `size` bytes of JSON Lines, as CSV too."""
    chance = random.Random(1)
    rows, lines = csv.writer(table, lineterminator="\n"), []
    rows.writerow(["text", "label"])
    written = count = 0
    while written < size:
        one, two = chance.choice(texts), chance.choice(texts)
        between = '\n"So," they said, ' if count % 50 == 0 else " "
        text = f"{one['text']}{between}{two['text']} {count}"
        rows.writerow([text, one["label"]])
        lines.append(json.dumps({"text": text, "label": one["label"]}, ensure_ascii=False) + "\n")
        written += len(lines[-1])
        count += 1
        if len(lines) == 10000 or written >= size:
            jsonl.write("".join(lines))
            lines.clear()
    return count


def write_files(folder, size):
    texts = [json.loads(line) for file in sorted((ROOT / "samples" / "data").glob("*/train.jsonl")) for line in file.open(encoding="utf-8")]
    with open(folder / "texts.jsonl", "w", encoding="utf-8") as jsonl, open(folder / "texts.csv", "w", encoding="utf-8", newline="") as table:
        count = write_rows(texts, jsonl, table, size)
    with open(folder / "texts.jsonl.gz", "wb") as packed:
        subprocess.run(["gzip", "-c", "-6", str(folder / "texts.jsonl")], stdout=packed, check=True)
    return count


def least(runs, measure):
    """The result of the quickest run."""
    return min((measure() for _ in range(runs)), key=lambda result: result["seconds"])


def printed_json(*command):
    return json.loads(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout)


def by_pandas(call, file):
    return printed_json(sys.executable, "-c", TIMED.format(file=str(file), call=call))


def by_command(*command):
    """Seconds and peak memory of a command whose output is dropped."""
    start = time.perf_counter()
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return {"seconds": time.perf_counter() - start, "peak_bytes": usage.ru_maxrss * 1024}


def line(what, result, size, against=None):
    ratio = f"{against['seconds'] / result['seconds']:6.2f} ×" if against else ""
    print(f"{what:<34} {result['seconds']:8.2f} s {size / 1e6 / result['seconds']:7.0f} MB/s {result['peak_bytes'] / 1e6:8.1f} MB peak  {ratio}", flush=True)


def compare_readers(bench, folder, rows, runs):
    for file, calls in (("texts.csv", ["read_csv"]), ("texts.jsonl", ["read_json"])):
        size = (folder / file).stat().st_size
        ours = least(runs, lambda file=file: printed_json(bench, "records", folder / file))
        if (ours["records"], ours["refused"]) != (rows, 0):
            raise SystemExit(f"{file}: {ours['records']} records and {ours['refused']} refused of {rows} rows")
        line(f"{file}, records dropped", ours, size)
        for call in calls if has_pandas() else []:
            theirs = least(runs, lambda call=call, file=file: by_pandas(PANDAS[call], folder / file))
            line(f"  pandas.{call}", theirs, size)
            print(f"  reader against pandas.{call}: {theirs['seconds'] / ours['seconds']:.2f} ×", flush=True)


def compare_unpacking(bench, folder, runs):
    file = folder / "texts.jsonl.gz"
    size = (folder / "texts.jsonl").stat().st_size
    ours = least(runs, lambda: printed_json(bench, "bytes", file))
    theirs = least(runs, lambda: by_command("zcat", file))
    line("texts.jsonl.gz, unpacked only", ours, size)
    line("  zcat", theirs, size)
    print(f"  unpacking against zcat: {theirs['seconds'] / ours['seconds']:.2f} ×", flush=True)


def check_memory(program, folder, rows):
    """Bytes of memory that `data check` takes for a row more: between half of the rows and all of them."""
    with open(folder / "texts.jsonl", "rb") as whole, open(folder / "half.jsonl", "wb") as half:
        half.writelines(whole.readline() for _ in range(rows // 2))
    few, many = (by_command(program, "data", "check", "--quiet", folder / name) for name in ("half.jsonl", "texts.jsonl"))
    print(f"data check: {many['seconds']:.2f} s, {many['peak_bytes'] / 1e6:.1f} MB for {rows} rows, "
          f"{(many['peak_bytes'] - few['peak_bytes']) / (rows - rows // 2):.1f} bytes per row more")


def has_pandas():
    return importlib.util.find_spec("pandas") is not None


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--megabytes", type=int, default=256, help="size of the JSON Lines file (256)")
    options.add_argument("--runs", type=int, default=3, help="runs of each reader, of which the quickest counts (3)")
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="build folder, with bin/bench_reader")
    options.add_argument("--folder", help="where the files are written (the system's temporary folder)")
    given = options.parse_args()
    if has_pandas():
        print(f"pandas {importlib.metadata.version('pandas')}")
    else:
        print(f"{sys.executable} cannot import pandas: the reader is measured alone, without a ratio")
    with tempfile.TemporaryDirectory(prefix="moecollab-reader.", dir=given.folder) as name:
        folder = pathlib.Path(name)
        with concurrent.futures.ProcessPoolExecutor(1) as other:
            rows = other.submit(write_files, folder, given.megabytes * 1000000).result()
        print(f"{rows} rows", flush=True)
        bench = given.build / "bin" / "bench_reader"
        compare_readers(bench, folder, rows, given.runs)
        compare_unpacking(bench, folder, given.runs)
        check_memory(given.build / "bin" / "moecollab", folder, rows)


if __name__ == "__main__":
    main()
