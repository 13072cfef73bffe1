#!/usr/bin/env python3
"""What tokenising costs, beside Hugging Face's `tokenizers` in the same run.

    tokenizer.py [--data samples/data] [--encoder FOLDER] [--threads 2] [--max-length 128] [--rounds 3] [--build build]

The texts are those of <domain>/dev.jsonl, repeated up to --megabytes. Both encode all of them in each round, in turns;
a figure is the least time of five. The peer is the package of the Python that runs this; without it there is no ratio.
The last column is the load time. The run fails if the ids differ.
"""
import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = 5


def read_texts(folder, size):
    """The texts of all dev files, as often as `size` bytes take."""
    texts = [json.loads(line)["text"] for file in sorted(folder.glob("*/dev.jsonl")) for line in file.open(encoding="utf-8")]
    if not texts:
        raise SystemExit(f"{folder} holds no <domain>/dev.jsonl")
    once = sum(len(text.encode()) for text in texts)
    return texts * max(1, size // once)


def ours(given, file):
    command = [given.build / "bin" / "bench_tokenizer", given.encoder, file, given.threads, given.max_length]
    return json.loads(subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout)


class Peer:
    def __init__(self, given):
        os.environ["RAYON_NUM_THREADS"] = str(given.threads)
        os.environ["TOKENIZERS_PARALLELISM"] = "true"
        import tokenizers  # reads the environment
        self.load = lambda: tokenizers.Tokenizer.from_file(str(given.encoder / "tokenizer.json"))
        self.max_length = given.max_length

    def measure(self, texts):
        seconds, load_seconds = [], []
        for _ in range(RUNS):
            start = time.perf_counter()
            tokenizer = self.load()
            load_seconds.append(time.perf_counter() - start)
            tokenizer.no_padding()
            tokenizer.enable_truncation(self.max_length)
            start = time.perf_counter()
            encodings = tokenizer.encode_batch_fast(texts)
            seconds.append(time.perf_counter() - start)
        ids = [encoding.ids for encoding in encodings]
        digest = hashlib.sha256()
        for row in ids:
            digest.update(struct.pack(f"<{len(row)}i", *row))
        return {"tokens": sum(map(len, ids)), "seconds": min(seconds), "load_seconds": min(load_seconds), "sha256": digest.hexdigest()}


def line(what, result, size):
    print(f"{what:<12} {result['seconds'] * 1e3:9.1f} ms {result['tokens'] / result['seconds'] / 1e6:8.2f} million tokens/s "
          f"{size / 1e6 / result['seconds']:7.1f} MB/s   load {result['load_seconds'] * 1e3:6.1f} ms", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=pathlib.Path, default=ROOT / "samples" / "data", help="folder of <domain>/dev.jsonl (samples/data)")
    options.add_argument("--encoder", type=pathlib.Path, default=ROOT / ".deps" / "encoder" / "all-MiniLM-L6-v2", help="encoder folder")
    options.add_argument("--threads", type=int, default=2, help="threads of both (2)")
    options.add_argument("--max-length", type=int, default=128, help="tokens per text in both (128)")
    options.add_argument("--megabytes", type=int, default=8, help="size of the texts together (8)")
    options.add_argument("--rounds", type=int, default=3, help="turns of each (3)")
    options.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="build folder, with bin/bench_tokenizer")
    given = options.parse_args()
    peer = None
    if importlib.util.find_spec("tokenizers") is not None:
        peer = Peer(given)
        print(f"tokenizers {importlib.metadata.version('tokenizers')}, encode_batch_fast")
    else:
        print("this Python cannot import tokenizers: ours is measured alone, without a ratio")
    texts = read_texts(given.data, given.megabytes * 1000000)
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} texts, {size / 1e6:.1f} MB, {given.threads} threads, at most {given.max_length} tokens per text", flush=True)
    with tempfile.NamedTemporaryFile("w", prefix="moecollab-texts.", suffix=".json", encoding="utf-8") as file:
        json.dump(texts, file)
        file.flush()
        for _ in range(given.rounds):
            result = ours(given, file.name)
            line("MoECollab", result, size)
            if peer is None:
                continue
            theirs = peer.measure(texts)
            line("tokenizers", theirs, size)
            if theirs["sha256"] != result["sha256"]:
                raise SystemExit(f"the ids differ: {result['tokens']} tokens here, {theirs['tokens']} there")
            print(f"  the same ids; tokenising against tokenizers: {theirs['seconds'] / result['seconds']:.2f} ×", flush=True)


if __name__ == "__main__":
    main()
