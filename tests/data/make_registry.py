#!/usr/bin/env python3
"""Writes a small registry of today's version, and what the program answers from it, as test data for later ones.

    tests/data/make_registry.py build/bin/moecollab tests/data/registry-0.3.0

Three domains of made-up texts on a random encoder (2 layers, H 24): `lexical` knows the weather, `adapter` food,
and a linear layer in C music. The gate is fitted without music, whose expert waits to be grown. The kinds are
compiled for size and with libstdc++ shared. Needs gcc and g++; the last digits are those of this machine's CPU.
"""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import safetensors_file  # noqa: E402

HIDDEN, LAYERS, HEADS, INTERMEDIATE, POSITIONS = 24, 2, 4, 24, 24
SUBJECTS = {
    "weather": (["the sky", "this morning", "the coast", "our valley", "the night", "the forecast"],
                {"dry": ["sunny and clear", "hot and cloudless", "warm with sunshine", "parched and dusty", "bright without rain"],
                 "wet": ["rainy and grey", "full of showers", "soaked by storms", "foggy with drizzle", "flooded after downpours"]}),
    "food": (["the cake", "her lunch", "this plate", "the dish", "their dinner", "the sauce"],
             {"sweet": ["covered in honey", "all sugar and cream", "smelling of vanilla", "with dark chocolate", "dipped into caramel"],
              "savoury": ["rubbed by garlic", "more salt than pepper", "under roasted onions", "topped off as cheese", "swimming through gravy"]}),
    "music": (["the song", "his concert", "that record", "the band", "the choir", "a tune"],
              {"loud": ["with drums and guitars", "roaring from speakers", "of screams and noise", "shaking the hall", "blasting trumpets"],
               "quiet": ["with a soft flute", "whispered by candlelight", "of gentle strings", "lulling the child", "humming slowly"]}),
}
FRAMES = ["{} {}", "i said {} {}", "we found {} {}", "{} {} again", "they think {} {}"]
KINDS = {"lexical": ["plugins/lexical/lexical.cpp", "plugins/lexical/ngrams.cpp"],
         "adapter": ["plugins/adapter/adapter.cpp", "plugins/adapter/matrix_product.cpp"],
         "linear": ["tests/zoo/good/trainable_linear.c"]}
LINEAR = """schema = 1

[library]
id = "org.moecollab.zoo"
version = "1.0.0"

[expert]
id = "org.moecollab.zoo"
name = "linear"
version = "1.0.0"

[task]

[input]
needs = ["pooled"]
layers = [-1]
pooling = "mean"

[output]
kind = "logits"
"""


def shuffled(items):
    """In an order that depends on nothing but the items' number, with any Python."""
    draw = random.Random(7)
    return [item for _, item in sorted((draw.random(), item) for item in items)]


def write_data(folder):
    for domain, (subjects, predicates) in SUBJECTS.items():
        lines = shuffled(json.dumps({"text": frame.format(subject, predicate), "label": label})
                         for label, choices in predicates.items() for predicate in choices for subject in subjects for frame in FRAMES)
        (folder / domain).mkdir(parents=True)
        (folder / domain / "train.jsonl").write_text("\n".join(lines[:48]) + "\n")
        (folder / domain / "dev.jsonl").write_text("\n".join(lines[48:58]) + "\n")


def words():
    texts = " ".join(part for subjects, predicates in SUBJECTS.values() for part in [*subjects, *(p for choices in predicates.values() for p in choices)])
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({*texts.split(), *" ".join(FRAMES).replace("{}", "").split()})]


def write_encoder(folder, positions=POSITIONS):
    folder.mkdir(parents=True)
    vocabulary, draw, tensors = words(), random.Random(11), {}

    def add(name, shape, centre=0.0, spread=0.2):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        tensors[name] = (shape, [centre + spread * (2 * draw.random() - 1) for _ in range(count)])

    def linear(name, rows, columns):
        add(f"{name}.weight", [rows, columns])
        add(f"{name}.bias", [rows])

    def norm(name):
        add(f"{name}.weight", [HIDDEN], centre=1.0)
        add(f"{name}.bias", [HIDDEN])

    add("embeddings.word_embeddings.weight", [len(vocabulary), HIDDEN], spread=1.0)  # most of a state is its word
    add("embeddings.position_embeddings.weight", [positions, HIDDEN])
    add("embeddings.token_type_embeddings.weight", [2, HIDDEN])
    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        block = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{block}.attention.{part}", HIDDEN, HIDDEN)
        norm(f"{block}.attention.output.LayerNorm")
        linear(f"{block}.intermediate.dense", INTERMEDIATE, HIDDEN)
        linear(f"{block}.output.dense", HIDDEN, INTERMEDIATE)
        norm(f"{block}.output.LayerNorm")
    (folder / "model.safetensors").write_bytes(safetensors_file.packed(tensors))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}\n')
    (folder / "config.json").write_text(json.dumps({
        "model_type": "bert", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": positions, "type_vocab_size": 2, "vocab_size": len(vocabulary), "layer_norm_eps": 1e-12, "hidden_act": "gelu"}) + "\n")


def build_kind(folder, name, sources):
    """A package folder that `pack` completes."""
    folder.mkdir()
    compiler = ["g++", "-std=c++17"] if sources[0].endswith(".cpp") else ["gcc", "-std=gnu11"]
    subprocess.run([*compiler, "-Os", "-flto", "-fPIC", "-shared", "-s", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections",
                    f"-I{ROOT}/sdk/include", f"-I{ROOT}/tests/zoo", f"-Wl,--version-script={ROOT}/sdk/cmake/exports.map,-z,defs,-z,noexecstack,-z,noseparate-code,--gc-sections",
                    *(ROOT / source for source in sources), "-o", folder / f"lib{name}.so"], check=True)
    manifest = ROOT / "plugins" / name / "expert.toml"
    (folder / "expert.toml").write_text(manifest.read_text() if manifest.exists() else LINEAR)


def run(program, folder, *arguments):
    """What the program prints, given paths relative to the folder."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MOECOLLAB_")}
    done = subprocess.run([pathlib.Path(program).absolute(), *map(str, arguments)], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def old_data(split):
    """Of the domains that the gate knows before it grows."""
    return [f"--data={domain}=data/{domain}/{split}.jsonl" for domain in ("weather", "food")]


def answers(program, folder):
    """File name -> what the program answers from the registry there, which is grown on the way."""
    common = ["--registry", "registry", "--threads", 1, "--quiet"]
    evaluate = ["eval", *common, "--no-cache", "--json"]
    return {
        "experts.json": run(program, folder, "experts", "list", "--registry", "registry", "--json"),
        "eval.json": run(program, folder, *evaluate, *old_data("dev")),
        "predictions.jsonl": run(program, folder, "predict", *(f"data/{domain}/dev.jsonl" for domain in SUBJECTS), *common, "--max-latency-ms", 60000),
        "grow.json": run(program, folder, "grow", "music-linear", "--data=music=data/music/train.jsonl", *common, "--no-cache", "--json"),
        "eval-grown.json": run(program, folder, *evaluate, "--data-dir", "data"),
    }


def write_registry(program, folder):
    common = ["--registry", "registry", "--threads", 1, "--no-cache", "--quiet"]
    for domain, kind, settings in (("weather", "lexical", ["buckets=512", "char_max=0"]), ("food", "adapter", ["bottleneck=4"]), ("music", "linear", [])):
        build_kind(folder / kind, kind, KINDS[kind])
        run(program, folder, "pack", kind, "--output", f"{kind}.moec")
        run(program, folder, "train-expert", f"{domain}-{kind}", "--kind", f"{kind}.moec", "--domain", domain, "--data-dir", "data", *common,
            "--encoder", "encoder", "--max-length", POSITIONS, "--lr", 0.03, "--epochs", 15, "--patience", 15, "--batch", 8,
            *(f"--set={setting}" for setting in settings))
        shutil.rmtree(folder / kind)
        (folder / f"{kind}.moec").unlink()
    run(program, folder, "train-baseline", "head", "--data-dir", "data", *common)
    registry = folder / "registry" / "registry.toml"
    text = registry.read_text().replace(f'"{folder / "encoder"}"', '"../encoder"')  # relative to the registry
    registry.write_text(text.replace('name = "music-linear"\n', 'name = "music-linear"\nenabled = false\n'))
    run(program, folder, "train-gate", *old_data("train"), *common, "--keep-replay", 8, "--epochs", 8, "--lr", 0.05, "--batch", 4)
    registry.write_text(text)
    (folder / "registry" / ".lock").unlink()


def main():
    program, target = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder).resolve()
        write_data(folder / "data")
        write_encoder(folder / "encoder")
        write_registry(program, folder)
        for part in ("data", "encoder", "registry"):
            shutil.copytree(folder / part, target / part)
        (target / "answers").mkdir()
        for name, text in answers(program, folder).items():
            (target / "answers" / name).write_text(text if name.endswith(".jsonl") else json.dumps(json.loads(text), indent=1) + "\n")


if __name__ == "__main__":
    main()
