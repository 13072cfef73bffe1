"""What `predict` costs beside the encoder: predict.py [--registry DIR] [--texts N] [--rounds N]. Builds nothing.

`encode` and `predict` take turns on the same texts, so that what else runs on the machine slows both down alike:
  1. all texts as a file and through a pipe: seconds of answering against seconds of encoding, the starts left out;
  2. one text at a time through a pipe, against the encoder's own pass of one text on all threads, by the medians (of
     `build/bin/bench_answer`, which `make bench` builds);
  3. from the start of the process to the first answer, with a warm page cache.
"""
import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]


def sample_texts(count):
    texts = [json.loads(line)["text"] for file in sorted((ROOT / "samples" / "data").glob("*/*.jsonl")) for line in file.open(encoding="utf-8")]
    return list(itertools.islice(itertools.cycle(texts), count))


class Bench:
    def __init__(self, program, registry, folder, texts):
        self.program, self.registry, self.folder, self.texts = str(program), str(registry), folder, texts
        self.file = self.write("texts.jsonl", texts)

    def write(self, name, texts):
        file = self.folder / name
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        return file

    def encode(self, file, *options):
        """Seconds of tokenising and encoding, the start left out."""
        command = [self.program, "encode", "--registry", self.registry, "--input", str(file), "--output", str(self.folder / "out.safetensors"),
                   "--json", "--quiet", *map(str, options)]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["seconds"]

    def lone_passes(self, file):
        """The median of the encoder's passes in milliseconds, the texts one after the other, each on all threads."""
        command = [str(pathlib.Path(self.program).parent / "bench_answer"), self.registry, str(file)]
        for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
            if line.startswith("tokens and encoder, median"):
                return float(line.split()[-2]) / 1000
        raise SystemExit("bench_answer printed no median")

    def start(self, *options, **streams):
        return subprocess.Popen([self.program, "predict", "--registry", self.registry, "--quiet", *map(str, options)], **streams)

    def predict(self, through_a_pipe):
        """Seconds from the first answer, which is a text's of its own, to the last one."""
        first = self.write("first.jsonl", self.texts[:1])
        if through_a_pipe:
            process = self.start("-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdin.write(first.read_bytes())
            process.stdin.flush()
            process.stdout.readline()
            begun = time.perf_counter()
            feeder = subprocess.Popen(["cat", str(self.file)], stdout=process.stdin)
            process.stdin.close()
        else:
            # A named pipe that ends after its text: the next file is then read as files are.
            gate = self.folder / "gate.jsonl"
            os.mkfifo(gate)
            process = self.start(gate, self.file, stdout=subprocess.PIPE)
            with open(gate, "wb", buffering=0) as writing:
                writing.write(first.read_bytes())
                process.stdout.readline()
                begun = time.perf_counter()
            gate.unlink()
            feeder = None
        answers, seconds = 0, 0
        for _ in process.stdout:
            answers, seconds = answers + 1, time.perf_counter() - begun
        if feeder is not None:
            feeder.wait()
        if process.wait() != 0 or answers != len(self.texts):
            raise SystemExit(f"predict ended with {process.returncode} after {answers} of {len(self.texts)} answers")
        return seconds

    def one_at_a_time(self, texts):
        """Milliseconds from writing each text to reading its answer, and from the start to the first answer."""
        begun = time.perf_counter()
        process = self.start("-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        took = []
        for text in [texts[0], *texts]:
            line = (json.dumps({"text": text}) + "\n").encode()
            asked = time.perf_counter() if took else begun
            process.stdin.write(line)
            process.stdin.flush()
            process.stdout.readline()
            took.append(1000 * (time.perf_counter() - asked))
        process.stdin.close()
        process.wait()
        return took[1:], took[0]


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def compare_throughput(bench, rounds):
    seconds = {"encode": [], "a file": [], "a pipe": []}
    for _ in range(rounds):
        seconds["encode"].append(bench.encode(bench.file))
        seconds["a file"].append(bench.predict(through_a_pipe=False))
        seconds["a pipe"].append(bench.predict(through_a_pipe=True))
    best = {name: min(values) for name, values in seconds.items()}
    ratios = {name: statistics.median(p / e for p, e in zip(seconds[name], seconds["encode"])) for name in ("a file", "a pipe")}
    print(f"encode of {len(bench.texts)} texts: {best['encode']:.3f} s")
    for name, ratio in ratios.items():
        print(f"predict from {name}: {best[name]:.3f} s; predict/encode {ratio:.3f} (median of {rounds} pairs), {best[name] / best['encode']:.3f} (least of each)", flush=True)


def compare_lone_texts(bench, rounds, count):
    texts = bench.texts[:count]
    few = bench.write("few.jsonl", texts)
    passes, medians, tails, firsts = [], [], [], []
    for _ in range(rounds):
        passes.append(bench.lone_passes(few))
        took, first = bench.one_at_a_time(texts)
        medians.append(statistics.median(took))
        tails.append(percentile(took, 99))
        firsts.append(first)
    print(f"one of {count} texts at a time: p50 {min(medians):.2f} ms, p99 {min(tails):.2f} ms; the encoder's own pass {min(passes):.2f} ms (p50); "
          f"p50/pass {min(medians) / min(passes):.2f}, beyond it {min(medians) - min(passes):.2f} ms")
    print(f"start to first answer: {min(firsts):.0f} ms (least of {rounds}), {statistics.median(firsts):.0f} ms (median)", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "bin" / "moecollab")
    options.add_argument("--registry", type=pathlib.Path, default=ROOT / "build" / "demo" / "registry", help="with a fitted gate (that of `make demo`)")
    options.add_argument("--texts", type=int, default=2000, help="of the first comparison (2000)")
    options.add_argument("--lone", type=int, default=200, help="texts of the second comparison (200)")
    options.add_argument("--rounds", type=int, default=5, help="turns of each comparison (5)")
    given = options.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory(prefix="moecollab-predict.") as name:
        bench = Bench(given.program, given.registry, pathlib.Path(name), sample_texts(given.texts))
        bench.one_at_a_time(bench.texts[:2])  # the page cache
        compare_throughput(bench, given.rounds)
        compare_lone_texts(bench, given.rounds, given.lone)


if __name__ == "__main__":
    main()
