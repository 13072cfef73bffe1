#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_saved.json: small tokenizers as `transformers` saves them, without a
vocab.txt, the vocab.txt that each was made from, and the ids that the saved one gives.

python3 -m venv V && V/bin/pip install transformers==5.24.0 && V/bin/python tools/golden_saved_tokenizer.py
"""
import json
import pathlib
import tempfile

import tokenizers
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##want", "##ed", "runn", "##ing", ",", "a", "A", "##a", "na", "##ive",
         "\u4e2d", "\u6587", "caf", "##e", "caf\u00e9", "\u00e9", "x", "##y", "#", "##", "["]
TEXTS = ["", "unwanted, running", "UNwanted", "a A aa", "na\u00efve caf\u00e9", "\u4e2d\u6587x", "x[SEP]xy [MASK]", "# ## [x", "caf\u00e9s", "a\u2028x"]
CASES = {
    "uncased": (WORDS, True),
    "cased": (WORDS, False),
    # A line that stands again later leaves an id without a token.
    "line twice": (WORDS + ["a", "x", "last"], True),
    "white space": (WORDS + ["b ", "\u3000", "c\u2028", "last"], True),
}


def case(name, lines, lowercase):
    vocab_txt = "".join(line + "\n" for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "vocab.txt"
        source.write_bytes(vocab_txt.encode())
        saved = pathlib.Path(folder) / "saved"
        transformers.BertTokenizer(vocab=str(source), do_lower_case=lowercase).save_pretrained(saved)
        assert sorted(path.name for path in saved.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
        reference = transformers.BertTokenizer.from_pretrained(saved)
        return {"name": name, "vocab_txt": vocab_txt, "do_lower_case": lowercase,
                "tokenizer_json": json.loads((saved / "tokenizer.json").read_text()),
                "tokenizer_config": json.loads((saved / "tokenizer_config.json").read_text()),
                "ids": [[text, reference(text)["input_ids"]] for text in TEXTS]}


golden = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
          "cases": [case(name, *value) for name, value in CASES.items()]}
(ROOT / "tests/golden/tokenizer_saved.json").write_text(json.dumps(golden, indent=1) + "\n")
