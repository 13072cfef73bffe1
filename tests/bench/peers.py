#!/usr/bin/env python3
"""Encodes the same texts with MoECollab and with other runtimes, in turns, and compares speed and features.

    peers.py [--data samples/data] [--texts 1500] [--threads N] [--rounds 3] [--write] …

The others are sentence-transformers, ONNX Runtime and OpenVINO, whose packages the Python that runs this must have;
`make bench-peers` installs them. Everybody tokenises and encodes within the clock, on the same threads, with the same
maximum length; nobody's loading counts. ONNX Runtime and OpenVINO get batches of texts of like length, as
sentence-transformers makes them. A figure is the least time of all rounds. The cosine is that of a text's features with
sentence-transformers' in fp32, the least of all texts. What fails is left out, with the reason.
"""
import argparse
import importlib.metadata
import itertools
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- written by make bench-peers -->", "<!-- end of what make bench-peers writes -->"
PEERS = ("sentence-transformers", "onnxruntime", "openvino")
PACKAGES = (*PEERS, "torch", "transformers", "tokenizers", "onnx", "numpy")
US = "MoECollab"


def read_texts(folder, count):
    texts = [json.loads(line)["text"] for file in sorted(folder.glob("*/dev.jsonl")) for line in file.open(encoding="utf-8")]
    if not texts:
        raise SystemExit(f"{folder} holds no <domain>/dev.jsonl")
    return list(itertools.islice(itertools.cycle(texts), count))


def cpu():
    found = re.search(r"^model name\s*: *(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    units = [name for name, flag in (("AVX-512", "avx512f"), ("VNNI", "avx512_vnni"), ("bf16", "avx512_bf16"), ("AMX", "amx_int8")) if flag in flags]
    return f"{found[1] if found else 'unknown CPU'} ({', '.join(units) or 'no AVX-512'})"


class Batches:
    """Texts as padded arrays, longest first, and their rows put back into order."""

    def __init__(self, given):
        import tokenizers
        self.tokenizer = tokenizers.Tokenizer.from_file(str(given.encoder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(given.max_length)
        self.size = given.batch

    def of(self, texts):
        import numpy
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        for first in range(0, len(order), self.size):
            rows = order[first:first + self.size]
            padded = numpy.zeros((len(rows), len(ids[rows[0]])), numpy.int64)
            mask = numpy.zeros_like(padded)
            for at, row in enumerate(rows):
                padded[at, :len(ids[row])] = ids[row]
                mask[at, :len(ids[row])] = 1
            yield rows, padded, mask

    def tokens(self, texts):
        return sum(int(mask.sum()) for _, _, mask in self.of(texts))

    @staticmethod
    def mean(states, mask):
        weights = mask.astype(states.dtype) / mask.sum(1, keepdims=True, dtype=states.dtype)
        return (weights[:, None, :] @ states)[:, 0]


def sentence_transformers(given, dtype):
    import torch
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer(str(given.encoder), device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
    model.max_seq_length = given.max_length

    def encode(texts):
        return model.encode(texts, batch_size=given.batch, show_progress_bar=False, convert_to_tensor=True).float().numpy()
    return encode


def export_onnx(given, folder):
    """The encoder as ONNX in fp32, and with int8 weights per channel."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    class States(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(str(given.encoder), attn_implementation="eager").eval()

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    example = torch.ones((2, 8), dtype=torch.int64)
    any_size = {0: "texts", 1: "tokens"}
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(States(), (example, example), str(folder / "fp32.onnx"), input_names=names, output_names=["states"],
                      dynamic_axes={name: any_size for name in [*names, "states"]}, opset_version=17, dynamo=False)
    quantize_dynamic(str(folder / "fp32.onnx"), str(folder / "int8.onnx"), weight_type=QuantType.QInt8, per_channel=True)


def onnx_runtime(given, folder, precision):
    import numpy
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = given.threads
    session = onnxruntime.InferenceSession(str(folder / f"{precision}.onnx"), options, providers=["CPUExecutionProvider"])
    batches = Batches(given)

    def encode(texts):
        out = {}
        for rows, ids, mask in batches.of(texts):
            states = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            out.update(zip(rows, Batches.mean(states, mask)))
        return numpy.array([out[row] for row in range(len(texts))])
    return encode


def open_vino(given, folder, precision, mode):
    """`mode`: LATENCY, one request at a time, or THROUGHPUT, as many at once as OpenVINO finds best."""
    import numpy
    import openvino
    model = openvino.Core().compile_model(str(folder / "fp32.onnx"), "CPU", {
        "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": given.threads, "PERFORMANCE_HINT": mode})
    queue = openvino.AsyncInferQueue(model, 1 if mode == "LATENCY" else 0)
    batches = Batches(given)

    def encode(texts):
        out = {}
        queue.set_callback(lambda request, batch: out.update(zip(batch[0], Batches.mean(request.get_output_tensor(0).data, batch[1]))))
        for rows, ids, mask in batches.of(texts):
            queue.start_async({"input_ids": ids, "attention_mask": mask}, (rows, mask))
        queue.wait_all()
        return numpy.array([out[row] for row in range(len(texts))])
    return encode


def read_pooled(path):
    """The tensor `pooled` of a safetensors file: float32."""
    import numpy
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + size])["pooled"]
    begin, end = entry["data_offsets"]
    return numpy.frombuffer(data[8 + size + begin:8 + size + end], numpy.float32).reshape(entry["shape"])


def moecollab(given, folder, precision):
    """Seconds are the program's own: tokenising and encoding. Its start and loading do not count."""
    def encode(texts):
        source, target = folder / "texts.jsonl", folder / "pooled.safetensors"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        command = [given.program, "encode", "--encoder", given.encoder, "--input", source, "--output", target, "--max-length", given.max_length,
                   "--precision", precision, "--threads", given.threads, "--json", "--quiet"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[0])
        encode.seconds = json.loads(done.stdout)["seconds"]
        return read_pooled(target)
    return encode


def systems(given, folder):
    """(runtime, mode, precision) and how to make it, the reference first."""
    for precision, dtype in (("fp32", "float32"), ("bf16", "bfloat16")):
        yield ("sentence-transformers", "", precision), lambda dtype=dtype: sentence_transformers(given, dtype)
    for precision in ("fp32", "int8"):
        yield ("ONNX Runtime", "", precision), lambda precision=precision: onnx_runtime(given, folder, precision)
    for precision, hint in (("fp32", "f32"), ("bf16", "bf16")):
        for mode in ("LATENCY", "THROUGHPUT"):
            yield ("OpenVINO", mode.lower(), precision), lambda hint=hint, mode=mode: open_vino(given, folder, hint, mode)
    for precision in ("fp32", "bf16", "int8"):
        yield (US, "", precision), lambda precision=precision: moecollab(given, folder, precision)


def least_cosine(features, reference):
    import numpy
    norms = numpy.linalg.norm(features, axis=1) * numpy.linalg.norm(reference, axis=1)
    return float(((features * reference).sum(1) / norms).min())


def measure(given, folder, texts):
    """Per system: least seconds and least cosine. The first call of each, which warms it up, is not timed."""
    running, cosines, seconds, reference = {}, {}, {}, None
    for key, make in systems(given, folder):
        try:
            running[key] = make()
            features = running[key](texts)
        except Exception as error:  # whatever a runtime throws for what it cannot do here
            print(f"{' '.join(filter(None, key))} is left out: {error}", file=sys.stderr)
            running.pop(key, None)
            continue
        reference = features if reference is None else reference
        cosines[key] = least_cosine(features, reference)
    for _ in range(given.rounds):
        for key, encode in running.items():
            start = time.perf_counter()
            encode(texts)
            took = getattr(encode, "seconds", time.perf_counter() - start)
            seconds[key] = min(took, seconds.get(key, took))
    return seconds, cosines


def rows_of(tokens, seconds, cosines):
    """Cells of the table: runtime, precision, tokens/s, times the best peer of that precision, cosine."""
    for precision in ("fp32", "bf16", "int8"):
        best = min((took for key, took in seconds.items() if key[2] == precision and key[0] != US), default=None)
        for key in sorted((key for key in seconds if key[2] == precision), key=seconds.get):
            name = key[0] + (f", {key[1]} mode" if key[1] else "")
            ratio = f"{best / seconds[key]:.2f}×" if best else "–"
            yield name, precision, f"{tokens / seconds[key]:,.0f}", ratio, f"{cosines[key]:.4f}"


def section(given, texts, tokens, rows):
    """What stands between the markers of docs/performance.md."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in (*PEERS, "torch"))
    rounds = "one round" if given.rounds == 1 else f"the best of {given.rounds} rounds in turns"
    lines = [BEGIN, f"{cpu()}, threads: {given.threads}; {versions}; {len(texts):,} texts, {tokens:,} tokens, at most {given.max_length} per text; "
             f"{rounds}, {time.strftime('%Y-%m-%d')}.", "", "| runtime | precision | tokens/s | against the best peer of that precision | least cosine |",
             "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), END])


def replaced(page, text):
    """The page with what stands between its markers replaced."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise SystemExit(f"{PAGE}: there must be one line {BEGIN!r} and, after it, one line {END!r}")
    return page[:page.index(BEGIN)] + text + page[page.index(END) + len(END):]


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "samples" / "data", help="folder of <domain>/dev.jsonl (samples/data)")
    parser.add_argument("--texts", type=int, default=1500, help="texts, the files' repeated as often as that takes (1500)")
    parser.add_argument("--encoder", type=pathlib.Path, default=ROOT / ".deps" / "encoder" / "all-MiniLM-L6-v2", help="encoder folder")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "bin" / "moecollab", help="build/bin/moecollab")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads of everybody (the cores of this process)")
    parser.add_argument("--max-length", type=int, default=128, help="tokens per text of everybody (128)")
    parser.add_argument("--batch", type=int, default=32, help="texts per batch of the peers (32)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of everybody (3)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md too")
    return parser


def main():
    parser = options()
    given = parser.parse_args()
    if min(given.texts, given.threads, given.max_length, given.batch, given.rounds) < 1:
        parser.error("--texts, --threads, --max-length, --batch and --rounds are at least 1")
    texts = read_texts(given.data, given.texts)
    missing = []
    for package in PACKAGES:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        raise SystemExit(f"this Python has no {', '.join(missing)}; `make bench-peers` installs what is needed")
    os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="true", RAYON_NUM_THREADS=str(given.threads))
    import torch
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="moecollab-peers.") as folder:
        export_onnx(given, pathlib.Path(folder))
        tokens = Batches(given).tokens(texts)
        seconds, cosines = measure(given, pathlib.Path(folder), texts)
    text = section(given, texts, tokens, list(rows_of(tokens, seconds, cosines)))
    print(text)
    if given.write:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    main()
