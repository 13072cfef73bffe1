#!/usr/bin/env python3
"""Writes tests/golden/encoder.json: texts and their mean-pooled features by `transformers`, float32.

python3 -m venv V && V/bin/pip install torch transformers && V/bin/python tools/golden_encoder.py
The texts are the first four of each sample domain, and some of other shapes; max length 256.
"""
import json
import pathlib

import torch
from transformers import AutoModel, AutoTokenizer

root = pathlib.Path(__file__).resolve().parents[1]
encoder = root / ".deps/encoder/all-MiniLM-L6-v2"
texts = [json.loads(line)["text"] for domain in sorted((root / "samples/data").glob("*/dev.jsonl")) for line in list(open(domain))[:4]]
texts += ["", "a", "naïve café 中文 e\u0301", "word " * 300]

tokenizer = AutoTokenizer.from_pretrained(encoder)
model = AutoModel.from_pretrained(encoder, attn_implementation="eager", torch_dtype=torch.float32).eval()
pooled = []
with torch.no_grad():
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        pooled.append([round(x, 7) for x in model(**batch).last_hidden_state[0].mean(0).tolist()])
(root / "tests/golden/encoder.json").write_text(json.dumps({"max_length": 256, "texts": texts, "pooled": pooled}) + "\n")
