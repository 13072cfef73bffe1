#!/usr/bin/env python3
"""gpu_check.py shrink FOLDER TARGET: a copy of an encoder whose weights are bfloat16.
gpu_check.py run --program P --encoder DIR --data DIR --device D [--rows ROW…]: measures the program on a device and prints a table.

Called by gpu_check.sh. A row is what was measured, the bar that the design sets, and whether it is met; a peer that is
not installed makes its row say so. Times are of this machine, ratios are of one run."""
import argparse
import array
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time

PRECISIONS = ("fp32", "fp16", "bf16")
ROWS = ("parity", "encode", "forward", "gate", "sweep", "expert", "table1")


def read_safetensors(path):
    """{name: (dtype, shape, bytes)} of a file that this project wrote, or the encoder's."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[8 + size + t["data_offsets"][0] : 8 + size + t["data_offsets"][1]]) for name, t in header.items()}


def shrink(source, target):
    """Copies an encoder's folder; float32 weights become bfloat16, the upper half of each number."""
    shutil.copytree(source, target)
    weights = target / "model.safetensors"
    header, body = {}, []
    offset = 0
    for name, (dtype, shape, data) in read_safetensors(weights).items():
        if dtype == "F32":
            halves = array.array("H", data)[1::2]
            dtype, data = "BF16", halves.tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        body.append(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    weights.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(body))


class Failure(Exception):
    """What a program said that ended with an error."""


class Check:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.rows = []

    def program(self, *arguments, check=True):
        environment = {**os.environ, "LD_LIBRARY_PATH": self.options.libraries} if self.options.libraries else None
        done = subprocess.run([self.options.program, *map(str, arguments)], capture_output=True, text=True, env=environment)
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(map(str, arguments))}\n{done.stderr}")
        return done

    def json_of(self, *arguments):
        return json.loads(self.program(*arguments, "--json", "--quiet").stdout)

    def add(self, row, value, bar="", met=None, timed=False):
        """`timed`: the bar is for a GPU, so a try on the CPU neither meets nor misses it."""
        met = None if timed and self.options.device == "cpu" else met
        self.rows.append((row, value, bar, "" if met is None else "ok" if met else "MISSED"))
        print(f"{row:34} {value:34} {bar:22} {self.rows[-1][3]}", flush=True)

    def texts(self, split):
        """Texts of all domains, one per line, and the file that holds them."""
        texts = []
        for path in sorted(self.options.data.glob(f"*/{split}.jsonl")):
            texts += [" ".join(json.loads(line)["text"].split()) or "-" for line in path.read_text("utf-8").splitlines()]
        texts = texts[: self.options.texts]
        file = self.folder / f"{split}.txt"
        file.write_text("\n".join(texts) + "\n", "utf-8")
        return texts, file

    def encode(self, file, device, precision):
        out = self.folder / f"{device}-{precision}.safetensors"
        result = self.json_of("encode", "--format", "lines", "--input", file, "--output", out, "--encoder", self.options.encoder, "--max-length", 256,
                              "--device", device, "--precision", precision)
        return result, array.array("f", read_safetensors(out)["pooled"][2])

    def precisions(self):
        return PRECISIONS if self.options.device != "cpu" else ("fp32",)

    # --- Rows

    def check_parity(self):
        _, file = self.texts("dev")
        _, expected = self.encode(file, "cpu", "fp32")
        for precision in self.precisions():
            _, found = self.encode(file, self.options.device, precision)
            distance = max(abs(a - b) for a, b in zip(expected, found))
            self.add(f"features, {precision} against CPU", f"max. difference {distance:.2g}", "1e-4" if precision == "fp32" else "",
                     distance <= 1e-4 if precision == "fp32" else None)
        registry = self.registry()
        self.fit("cpu")  # another row may have fitted it on the device
        answers = {}
        for device in ("cpu", self.options.device):
            done = self.program("predict", file, "--format", "lines", "--registry", registry, "--device", device, "--quiet")
            answers[device] = [json.loads(line)["label"] for line in done.stdout.splitlines()]
        same = sum(a == b for a, b in zip(answers["cpu"], answers[self.options.device])) / len(answers["cpu"])
        self.add("labels, gate fitted on the CPU", f"{same:.4%} equal", "99.9 %", same >= 0.999)

    def ours(self, file):
        return {precision: result["tokens"] / result["seconds"] for precision in self.precisions()
                for result in [self.encode(file, self.options.device, precision)[0]]}

    def check_encode(self):
        texts, file = self.texts("train")
        rates = self.ours(file)
        for precision, rate in rates.items():
            self.add(f"encode, {precision}", f"{rate:,.0f} tokens/s")
        try:
            best, what = self.sentence_transformers(texts)
        except Exception as failure:  # a peer that fails must not cost the other rows
            return self.add("encode against sentence-transformers", f"no figure: {failure}"[:200])
        ratio = max(rates.values()) / best
        self.add("encode against sentence-transformers", f"{ratio:.1f} times ({what}: {best:,.0f})", "8 times", ratio >= 8, timed=True)

    def sentence_transformers(self, texts):
        import sentence_transformers
        import torch
        tokens, best = None, (0, "")
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            model = sentence_transformers.SentenceTransformer(str(self.options.encoder), device=self.options.device, model_kwargs={"dtype": dtype})
            model.max_seq_length = 256
            if tokens is None:
                tokens = sum(min(256, len(ids)) for ids in model.tokenizer(texts)["input_ids"])
            for batch in (32, 256, 1024):
                model.encode(["warm up"] * batch, batch_size=batch)
                start = time.perf_counter()
                model.encode(texts, batch_size=batch, convert_to_numpy=True)
                rate = tokens / (time.perf_counter() - start)
                best = max(best, (rate, f"{dtype}, batch {batch}".replace("torch.", "")))
        return best

    def check_forward(self):
        """Tokens to features, copies included, beside a pass of the same operators called from Python. The program's own bench counts
        tokenising, too, which it also does alone: that is taken off."""
        registry = self.registry()
        texts = 512 if self.options.device == "cpu" else 65_536
        for precision in self.precisions():
            result = self.json_of("bench", "--stage", "encode", "--texts", texts, "--registry", registry, "--device", self.options.device, "--precision", precision)
            whole, tokenising = (result[stage]["milliseconds"] for stage in ("encode", "tokenize"))
            rate = result["tokens"] / (whole - tokenising) * 1000
            self.add(f"forward pass, {precision}", f"{rate:,.0f} tokens/s ({tokenising:.0f} of {whole:.0f} ms tokenise)")
            if precision == "fp16":
                self.packed_pass(rate)

    def packed_pass(self, ours):
        try:
            tokens, rate = self.packed_rate()
        except Exception as failure:
            return self.add("that against a pass in PyTorch, fp16", f"no figure: {failure}"[:200])
        self.add("that against a pass in PyTorch, fp16", f"{ours / rate:.2f} ({rate:,.0f} tokens/s of {tokens:,})", "0.9", ours / rate >= 0.9, timed=True)

    def packed_rate(self):
        """Tokens/s of the same model in PyTorch over texts as long as those of the bench: page-locked ids in, the same operators, means out."""
        import torch
        device, half = self.options.device, torch.float16
        shape = json.loads((self.options.encoder / "config.json").read_text("utf-8"))
        hidden, heads, eps = shape["hidden_size"], shape["num_attention_heads"], shape["layer_norm_eps"]
        stored = read_safetensors(self.options.encoder / "model.safetensors")
        kinds = {"BF16": torch.bfloat16, "F32": torch.float32}
        weight = {name.removeprefix("bert."): torch.frombuffer(bytearray(data), dtype=kinds[kind]).view(size).to(device, half)
                  for name, (kind, size, data) in stored.items() if kind in kinds}
        blocks = []
        for i in range(shape["num_hidden_layers"]):
            get = lambda name: [weight[f"encoder.layer.{i}.{name}.{part}"] for part in ("weight", "bias")]
            qkv = [torch.cat(parts) for parts in zip(*(get(f"attention.self.{name}") for name in ("query", "key", "value")))]
            blocks.append((qkv, *map(get, ("attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"))))
        words = weight["embeddings.word_embeddings.weight"]
        positions = weight["embeddings.position_embeddings.weight"] + weight["embeddings.token_type_embeddings.weight"][0]
        first_norm = [weight[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")]
        linear, norm = torch.nn.functional.linear, torch.nn.functional.layer_norm

        passes = []  # of 65,536 tokens at most, as the program's
        for length in sorted(6 + i * 7 % 57 for i in range(65_536)):
            if not passes or sum(passes[-1]) + length > 65_536:
                passes.append([])
            passes[-1].append(length)
        starts = []
        for lengths in passes:
            tokens = sum(lengths)
            numbers = torch.randint(1000, 20_000, (2, tokens), dtype=torch.int32)
            numbers[1] = torch.cat([torch.arange(n, dtype=torch.int32) for n in lengths])
            ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
            starts.append((numbers.pin_memory(), ends.pin_memory(), max(lengths), torch.empty(len(lengths), hidden).pin_memory()))

        def run(numbers, ends, longest, out):
            ids, place = numbers.to(device, non_blocking=True)
            ends = ends.to(device, non_blocking=True)
            x = norm(words.index_select(0, ids).add_(positions.index_select(0, place)), (hidden,), *first_norm, eps)
            for qkv, after, after_norm, up, down, last_norm in blocks:
                q, k, v = linear(x, *qkv).view(-1, 3, heads, hidden // heads).unbind(1)
                context = torch.ops.aten._flash_attention_forward(q, k, v, ends, ends, longest, longest, 0.0, False, False)[0].reshape(-1, hidden)
                x = norm(linear(context, *after).add_(x), (hidden,), *after_norm, eps)
                x = norm(linear(torch.nn.functional.gelu(linear(x, *up)), *down).add_(x), (hidden,), *last_norm, eps)
            sums = torch.segment_reduce(x.float(), "sum", offsets=ends.long(), axis=0)
            out.copy_(sums / ends.diff().unsqueeze(1), non_blocking=True)

        best = float("inf")
        with torch.inference_mode():
            for _ in range(6):  # the first one warms up
                torch.cuda.synchronize()
                start = time.perf_counter()
                for begin in starts:
                    run(*begin)
                torch.cuda.synchronize()
                best = min(best, time.perf_counter() - start)
        tokens = sum(map(sum, passes))
        return tokens, tokens / best

    def registry(self):
        """Experts and gate, trained here on the CPU, once."""
        registry = self.folder / "registry"
        if not registry.exists():
            for domain in sorted(path.parent.name for path in self.options.data.glob("*/train.jsonl")):
                for seed in range(1, self.options.experts + 1):
                    self.program("train-expert", f"{domain}-{seed}", "--kind", "adapter", "--domain", domain, "--seed", seed, "--epochs", 1, "--folds", 5,
                                 "--data-dir", self.options.data, "--registry", registry, "--encoder", self.options.encoder, "--cache-dir", self.folder / "cache")
            self.fit("cpu")
        return registry

    def fit(self, device, *options):
        return self.json_of("train-gate", "--data-dir", self.options.data, "--registry", self.folder / "registry", "--cache-dir", self.folder / "cache",
                            "--device", device, *options)

    def check_gate(self):
        self.registry()
        for gate in ("linear", "factored"):
            options = ("--gate", gate, *(["--no-guard"] if gate == "linear" else []))  # its guard is five more fits
            on_cpu = self.fit("cpu", *options)
            self.fit(self.options.device, *options)
            on_device = self.fit(self.options.device, *options)
            ratio = on_device["validation_task_loss"] / on_cpu["validation_task_loss"]
            steps = len((self.folder / "registry" / "gate" / "history.jsonl").read_text("utf-8").splitlines())
            self.add(f"{gate} gate, {on_device['texts']} texts, seconds",
                     f"{on_device['fit_seconds']:.2f} ({steps} steps of {on_device['optimizer']}; CPU {on_cpu['fit_seconds']:.2f})",
                     "0.3", on_device["fit_seconds"] <= 0.3, timed=True)
            self.add(f"{gate} gate, validation loss", f"{ratio:.4f} of the CPU's", "1.01", ratio <= 1.01)

    def check_sweep(self):
        for gate in ("linear", "factored"):
            result = self.json_of("sweep", "--gate", gate, "--data-dir", self.options.data, "--registry", self.registry(), "--cache-dir", self.folder / "cache",
                                  "--device", self.options.device, "--out", self.folder / f"sweep-{gate}")
            self.add(f"sweep of {len(result['points'])} points, {gate} gate", f"{result['fit_seconds']:.1f} s", "5 s", result["fit_seconds"] <= 5, timed=True)

    def check_expert(self):
        domain = min(self.options.data.glob("*/train.jsonl"), key=lambda path: path.stat().st_size).parent.name
        for device in dict.fromkeys(("cpu", self.options.device)):
            start = time.perf_counter()
            result = self.json_of("train-expert", f"{domain}-deep-{device}", "--kind", "deep-adapter", "--domain", domain, "--epochs", 1,
                                  "--data-dir", self.options.data, "--registry", self.registry(), "--encoder", self.options.encoder, "--device", device)
            self.add(f"deep expert, one epoch, {device}", f"{time.perf_counter() - start:.1f} s, accuracy {result['held_out_accuracy']:.3f}")

    def check_table1(self):
        """The script of `make table1`: fifteen experts, gate and report, from texts."""
        out = self.folder / "table1"
        environment = {**os.environ, "DEVICE": self.options.device, "MOECOLLAB_ENCODER": str(self.options.encoder), "LD_LIBRARY_PATH": self.options.libraries or ""}
        script = pathlib.Path(self.options.program).parents[2] / "tools" / "demo.sh"
        start = time.perf_counter()
        done = subprocess.run([script, self.options.data.resolve(), out, "lexical", "deep-adapter", "adapter"], capture_output=True, text=True, env=environment)
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            raise Failure(f"{script}\n{done.stderr}")
        self.add("table1, seconds", f"{seconds:.0f}", "300", seconds <= 300, timed=True)
        print((out / "table.txt").read_text("utf-8"))

    def run(self):
        doctor = json.loads(self.program("doctor", "--json", check=False).stdout)
        print("LibTorch", doctor["engine"]["libtorch"], "| threads", doctor["engine"]["threads"], "|", json.dumps(doctor["cuda"]))
        for name in self.options.rows:
            try:
                getattr(self, f"check_{name}")()
            except Failure as failure:  # the other rows still say something, but nothing that rests on half of this one
                shutil.rmtree(self.folder / "registry", ignore_errors=True)
                self.add(name, "failed", met=False)
                print(failure, file=sys.stderr, flush=True)
        shutil.rmtree(self.folder)
        return 1 if any(row[3] == "MISSED" for row in self.rows) else 0


def main():
    if sys.argv[1:2] == ["shrink"]:
        return shrink(*map(pathlib.Path, sys.argv[2:4]))
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("verb", choices=["run"])
    parser.add_argument("--program", required=True)
    parser.add_argument("--libraries", help="folders that the program, and not this Python, finds libraries in")
    parser.add_argument("--encoder", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--experts", type=int, default=3, help="for each domain, of the rows about gates")
    parser.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    return Check(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
