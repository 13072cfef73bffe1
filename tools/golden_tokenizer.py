#!/usr/bin/env python3
"""Writes the golden files of the tokenizer's tests: tests/golden/tokenizer*.json.

The reference is Hugging Face's `tokenizers` (pip install tokenizers==0.23.3); nothing of it is
needed to build or test. Run it again only to add cases: the seed is fixed, so that the same version
writes the same bytes.

    python tools/golden_tokenizer.py --data DIR [--encoder DIR] [--out DIR]

tokenizer.json              random texts against the real vocabulary (all-MiniLM-L6-v2)
tokenizer_tiny.json         the table of hard cases against a small vocabulary, every option
tokenizer_code_points.json  digests over every code point of Unicode
tokenizer_dev.json          digests of the ids of each DIR/<domain>/dev.jsonl; no text
"""

import argparse
import hashlib
import json
import pathlib
import random
import struct
import sys

from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import __version__ as reference_version
from tokenizers.models import WordPiece

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 20160621
TEXTS = 2400
PAIRS = 150
DEV_MAX_LENGTH = 256
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# Where hard code points live: (first, last, weight).
RANGES = [
    (0x20, 0x7E, 6), (0x00, 0x1F, 1), (0x7F, 0xA0, 1), (0xA1, 0xFF, 4), (0x100, 0x24F, 3),
    (0x250, 0x2FF, 1), (0x300, 0x36F, 4), (0x370, 0x3FF, 3), (0x400, 0x52F, 3), (0x590, 0x5FF, 2),
    (0x600, 0x6FF, 3), (0x8D3, 0x8FF, 1), (0x900, 0x97F, 2), (0xE00, 0xE7F, 2),
    (0x1100, 0x11FF, 1), (0x1680, 0x180F, 1), (0x1AB0, 0x1AFF, 1), (0x1C80, 0x1CFF, 1),
    (0x1DC0, 0x1DFF, 1), (0x1E00, 0x1FFF, 3), (0x2000, 0x206F, 5), (0x2070, 0x20CF, 2),
    (0x20D0, 0x20FF, 1), (0x2100, 0x23FF, 2), (0x2460, 0x27BF, 2), (0x2E00, 0x2E7F, 1),
    (0x3000, 0x303F, 2), (0x3040, 0x30FF, 3), (0x3400, 0x4DBF, 1), (0x4E00, 0x9FFF, 4),
    (0xA640, 0xA7FF, 1), (0xA980, 0xA9DF, 1), (0xAC00, 0xD7A3, 3), (0xE000, 0xF8FF, 1),
    (0xF900, 0xFAFF, 1), (0xFB00, 0xFB4F, 1), (0xFE00, 0xFE6F, 1), (0xFF00, 0xFFFD, 2),
    (0x10000, 0x10FFF, 1), (0x11000, 0x11FFF, 1), (0x16E00, 0x16EFF, 1), (0x1D100, 0x1D24F, 1),
    (0x1D400, 0x1D7FF, 1), (0x1E900, 0x1E95F, 1), (0x1F000, 0x1FAFF, 4), (0x20000, 0x2FA1F, 1),
    (0xE0000, 0xE01EF, 1), (0xF0000, 0x10FFFF, 1),
]

# The table of hard cases; each row was confirmed against the reference.
TABLE = [
    "", "   ", "UNwant\u00e9d,running", "na\u00efve", "a\u0301b",
    *[f"x{c}y" for c in "\u00ad\u0085\u000b\u000c\u200b\u200d\ufeff\u180e\ue000\ufffd\u0000"],
    *[f"x{c}y" for c in "\u00a0\u2028\u3000"],
    "\U0001f971", "\U0001fae0", "a\u0378b", "\u4e2d\u6587", "x\u4e2dy", "x\u3042y", "\u304c",
    "\u0130stan", "\u0130", "x$y", "x\u20acy", "x\u2013y", "x\u00d7y", "stra\u00dfe", "\ufb01",
    " a\tb\nc\r\n", "[CLS]", "[cls]", "x[SEP]y", "hello[PAD]", "[[SEP]]", "[MASK]x", "[SEP",
    "x\U0002b820y", "x\U0002b920y", "x\U0002a6e0y", "\ud55c", "\u03a3\u0391\u03a3", "x\u2e45y",
    "x\U0001e944y", "x\u1734y", "x\u1885y", "x\ua9bdy", "x\U000111c9y", "x\u166dy",
    "A" * 100, "A" * 101, "\u00e9" * 100, "\u00e9" * 101, "2\u00b2", "[ SEP ]", "x\u034fy",
    "a\u0323\u0301b", "a\u302e\U0001d165b", "a\u302e\u0000\U0001d165b", "a\u302e\u034f\U0001d165b",
]

TINY_VOCABULARY = SPECIAL + [
    "un", "##want", "##ed", ",", "runn", "##ing", "[", "]", "cl", "##s", "naive", "na\u00efve",
    "ab", "hello", "x", "xy", "y", "a", "b", "c", "\u4e2d", "\u6587", "\ud55c", "\u304b", "\u304c",
    "\u03c3\u03b1\u03c3", "\u03a3\u0391\u03a3", "i", "##stan", "##\u0307", "$", "stra\u00dfe",
    "\ufb01", "2", "##a", "A", "##A", "UN", "##want\u00e9d", "sep", "##\u0301", "##b", "##y",
    "\u00e9", "##\u00e9", "e", "##e", "##\u302e", "##\U0001d165",
]

TINY_OPTIONS = {
    "uncased": dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    "cased": dict(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=False),
    "uncased, accents kept": dict(
        clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True),
    "cased, accents stripped": dict(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=False),
    "not cleaned": dict(
        clean_text=False, handle_chinese_chars=True, strip_accents=None, lowercase=True),
    "Chinese not spaced": dict(
        clean_text=True, handle_chinese_chars=False, strip_accents=None, lowercase=True),
}


def code_point(rng):
    first, last, _ = rng.choices(RANGES, weights=[r[2] for r in RANGES])[0]
    return chr(rng.randint(first, last))


def fragment(rng, words):
    """One piece of a random text: mostly words, and everything that tokenizers get wrong."""
    kind = rng.random()
    if kind < 0.30:
        word = rng.choice(words)
        return rng.choice([word, word.upper(), word.title(), word + rng.choice(words)])
    if kind < 0.55:
        return "".join(code_point(rng) for _ in range(rng.randint(1, 5)))
    if kind < 0.65:
        return rng.choice(TABLE)
    if kind < 0.72:
        return rng.choice(SPECIAL + ["[cls]", "[SEP", "MASK]", "[[UNK]]", "[S\u0000EP]"])
    if kind < 0.82:
        return "".join(rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u2013\u2014\u201c\u2026\u3002")
                       for _ in range(rng.randint(1, 3)))
    if kind < 0.90:
        base = rng.choice("aeiounAEIOUN\u0130\u03a3\u304b\u05d0\u0627\u0915")
        return base + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(rng.randint(1, 4)))
    if kind < 0.93:
        return rng.choice(["x", "ab", "e\u0301", "\u00fc", "\U0001f600"]) * rng.randint(20, 55)
    if kind < 0.96:
        return "\u200d".join(chr(rng.randint(0x1F440, 0x1F4FF)) for _ in range(rng.randint(2, 3)))
    return str(rng.randint(0, 10**rng.randint(1, 9)))


def random_text(rng, words):
    gaps = ["", " ", " ", " ", "\t", "\n", "\r\n", "  ", "\u00a0", "\u3000", "\u2028"]
    parts = []
    for _ in range(rng.randint(0, 9)):
        parts.append(fragment(rng, words))
        parts.append(rng.choice(gaps))
    return "".join(parts)


def encode(tokenizer, *texts, max_length=None, literal=False):
    tokenizer.encode_special_tokens = literal
    tokenizer.no_truncation()
    if max_length is not None:
        tokenizer.enable_truncation(max_length=max_length)
    return tokenizer.encode(*texts)


def real_cases(tokenizer):
    rng = random.Random(SEED)
    words = sorted(w for w in tokenizer.get_vocab() if w.isalpha() and len(w) > 2)
    texts = TABLE + [random_text(rng, words) for _ in range(TEXTS - len(TABLE))]
    cases = []
    for text in texts:
        case = {"text": text}
        if rng.random() < 0.1:
            case["literal"] = True
        if rng.random() < 0.3:
            whole = len(encode(tokenizer, text, literal="literal" in case).ids)
            case["max_length"] = max(2, rng.choice([2, 3, whole - 1, whole, whole + 1]))
        case["ids"] = encode(tokenizer, text, max_length=case.get("max_length"),
                             literal="literal" in case).ids
        cases.append(case)
    return cases, pair_cases(tokenizer, rng, lambda: random_text(rng, words), PAIRS)


def pair_cases(tokenizer, rng, text, count):
    cases = []
    for _ in range(count):
        a, b = text(), text()
        whole = len(encode(tokenizer, a, b).ids)
        max_length = max(3, rng.choice([3, 4, 5, 8, whole // 2, whole - 1, whole, whole + 1]))
        found = encode(tokenizer, a, b, max_length=max_length)
        cases.append({"a": a, "b": b, "max_length": max_length, "ids": found.ids,
                      "type_ids": found.type_ids})
    return cases


def tiny_tokenizer(options):
    vocabulary = {token: i for i, token in enumerate(TINY_VOCABULARY)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def tiny_sets():
    rng = random.Random(SEED)
    sets = []
    for name, options in TINY_OPTIONS.items():
        tokenizer = tiny_tokenizer(options)
        for literal in (False, True):
            cases = [{"text": t, "tokens": encode(tokenizer, t, literal=literal).tokens}
                     for t in TABLE]
            resolved = dict(options)
            if resolved["strip_accents"] is None:
                resolved["strip_accents"] = resolved["lowercase"]
            sets.append({"name": name, "options": resolved, "literal": literal, "cases": cases})
    lengths = [" ".join(["x"] * n) for n in (0, 1, 2, 3, 7, 12)]
    pairs = pair_cases(tiny_tokenizer(TINY_OPTIONS["uncased"]), rng, lambda: rng.choice(lengths), 60)
    return sets, pairs


def code_point_sets():
    """Digests of the words that the reference makes of one text a code point, by block of 4096.

    The text is "A", a mark of class 224, the code point, a mark of class 216, "B": it shows the
    code point's fate in every step and its own combining class. Words are joined by one space and
    ended by a line feed.
    """
    sets = []
    for name in ("uncased", "not cleaned", "uncased, accents kept"):
        options = TINY_OPTIONS[name]
        normalizer = normalizers.BertNormalizer(**options)
        splitter = pre_tokenizers.BertPreTokenizer()
        digests = []
        for block in range(0, 0x110000, 0x1000):
            digest = hashlib.sha256()
            for c in range(block, block + 0x1000):
                if 0xD800 <= c < 0xE000:
                    continue
                text = normalizer.normalize_str("A\u302e" + chr(c) + "\U0001d165B")
                words = " ".join(w for w, _ in splitter.pre_tokenize_str(text))
                digest.update(words.encode() + b"\n")
            digests.append(digest.hexdigest()[:16])
        resolved = dict(options)
        if resolved["strip_accents"] is None:
            resolved["strip_accents"] = resolved["lowercase"]
        sets.append({"name": name, "options": resolved, "digests": digests})
    return sets


def dev_digests(tokenizer, data):
    """Per domain: the file's digest, and count and digest of its ids (int32, little-endian)."""
    domains = []
    for path in sorted(data.glob("*/dev.jsonl")):
        content = path.read_bytes()
        count, digest = 0, hashlib.sha256()
        for line in content.decode().split("\n"):
            if line:
                ids = encode(tokenizer, json.loads(line)["text"], max_length=DEV_MAX_LENGTH).ids
                count += len(ids)
                digest.update(struct.pack(f"<{len(ids)}i", *ids))
        domains.append({"domain": path.parent.name, "file_sha256": hashlib.sha256(content).hexdigest(),
                        "ids": count, "ids_sha256": digest.hexdigest()})
    return domains


def dump(path, about, **content):
    """One case per line, so that a change can be read."""
    lines = [f'"about": {json.dumps(about)}', f'"reference": "tokenizers {reference_version}"']
    for key, value in content.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(v, separators=(",", ":")) for v in value)
            lines.append(f'"{key}": [\n{rows}]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    path.write_text("{" + ",\n".join(lines) + "}\n")
    print(f"{path} {path.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=pathlib.Path,
                        default=ROOT / ".deps/encoder/all-MiniLM-L6-v2")
    parser.add_argument("--data", type=pathlib.Path, required=True, help="holds <domain>/dev.jsonl")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden")
    args = parser.parse_args()
    if not args.data.is_dir():
        sys.exit(f"{args.data}: no such folder; it holds <domain>/dev.jsonl")

    tokenizer = Tokenizer.from_file(str(args.encoder / "tokenizer.json"))
    tokenizer.no_padding()  # the file carries both, fixed at 128
    tokenizer.no_truncation()
    args.out.mkdir(parents=True, exist_ok=True)

    cases, pairs = real_cases(tokenizer)
    dump(args.out / "tokenizer.json", "ids by all-MiniLM-L6-v2; without max_length, not truncated",
         cases=cases, pairs=pairs)
    sets, pairs = tiny_sets()
    dump(args.out / "tokenizer_tiny.json", "tokens and ids by a small vocabulary",
         vocabulary=TINY_VOCABULARY, sets=sets, pairs=pairs)
    dump(args.out / "tokenizer_code_points.json", code_point_sets.__doc__, sets=code_point_sets())
    dump(args.out / "tokenizer_dev.json", dev_digests.__doc__, max_length=DEV_MAX_LENGTH,
         domains=dev_digests(tokenizer, args.data))


if __name__ == "__main__":
    main()
