#!/usr/bin/env python3
"""Reads generated files by `moecollab data print` and by pandas or Python's json, and compares.

python3 -m venv V && V/bin/pip install pandas==2.2.3 && V/bin/python tools/golden_reader.py [FILES [SEED]]
Each of FILES (300) has rows that are equal to the reference's, or records that the program refuses by
line; another one ends the comparison with status 1. The first 40 are written to
tests/golden/reader.json with what is expected of them.
"""
import base64
import collections
import csv
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import pandas

root = pathlib.Path(__file__).resolve().parents[1]
KEPT = 40
WORDS = ["good", "bad", "NA", "None", "null", "1e3", "-1", "7", "naïve", "e\u0301", "中文", "🎉", "it's", "5\"", "x;y", "#"]
LABELS = ["joy", "NA", "None", "null", "1e3", "0", "sad", "café", "cafe\u0301", "TRUE", " joy", "joy "]


def text_of(draw, special):
    parts = [draw.choice(WORDS) for _ in range(draw.randint(1, 6))]
    for _ in range(draw.randint(0, 2)):
        parts.insert(draw.randint(0, len(parts)), draw.choice(special))
    text = "".join(part if part in special else part + " " for part in parts)
    return draw.choice([text, text.strip(), '"' + text.strip() + '"', '"' + text, text.strip() + '"']) if draw.random() < 0.3 else text.strip()


def table(draw, separator):
    style = draw.choice(["minimal", "all", "naive"])
    special = ['"', ","] if style == "naive" and separator == "\t" else ['"'] if style == "naive" else ['"', ",", "\t", "\n", "\r\n"]
    rows = [["text", "label"]] + [[text_of(draw, special), draw.choice(LABELS)] for _ in range(draw.randint(1, 12))]
    if draw.random() < 0.3:
        rows = [[str(i), *row] if i else ["id", *row] for i, row in enumerate(rows)]
    end = draw.choice(["\n", "\r\n", "\r"])
    lines = []
    for row in rows:
        if style == "naive":
            lines.append(separator.join(field.replace(separator, " ") for field in row))
        else:
            out = io.StringIO()
            csv.writer(out, delimiter=separator, lineterminator="", quoting=csv.QUOTE_ALL if style == "all" else csv.QUOTE_MINIMAL).writerow(row)
            lines.append(out.getvalue())
        if draw.random() < 0.1:
            lines.append(draw.choice(["", "  "]))
    return end.join(lines) + draw.choice([end, ""])


def objects(draw, array):
    rows = [{"text": text_of(draw, ['"', ",", "\t", "\n", "\\", "\ud83d"]), "label": draw.choice(LABELS)} for _ in range(draw.randint(1, 12))]
    for i, row in enumerate(rows):
        if draw.random() < 0.3:
            row["id"] = draw.choice([i, 10**25 + i, 1.5, None, {"a": [i]}])
    ascii_only = draw.random() < 0.5 or any("\ud83d" in row["text"] for row in rows)
    if array:
        return json.dumps(rows, ensure_ascii=ascii_only, indent=draw.choice([None, 1])) + draw.choice(["\n", ""])
    end = draw.choice(["\n", "\r\n", "\r"])
    lines = []
    for row in rows:
        lines.append(json.dumps(row, ensure_ascii=ascii_only))
        if draw.random() < 0.1:
            lines.append(draw.choice(["", "  "]))
    return end.join(lines) + draw.choice([end, ""])


def generated(draw):
    """The file's extension and its bytes."""
    kind = draw.choice(["csv", "tsv", "jsonl", "json"])
    text = table(draw, "," if kind == "csv" else "\t") if kind in ("csv", "tsv") else objects(draw, kind == "json")
    return kind, draw.choice([b"", b"", b"\xef\xbb\xbf"]) + text.encode()


def plain(text):
    """Halves of surrogate pairs as the program replaces them."""
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text)


def label(value):
    return unicodedata.normalize("NFC", value.strip())


def reference(kind, content, quoting):
    if kind in ("csv", "tsv"):
        frame = pandas.read_csv(io.BytesIO(content), sep="," if kind == "csv" else "\t", dtype=str, keep_default_na=False,
                                skip_blank_lines=True, quoting=csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL)
        return [[str(t), label(str(s))] for t, s in zip(frame["text"], frame["label"])]
    text = content.decode("utf-8-sig")
    rows = json.loads(text) if kind == "json" else [json.loads(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    return [[plain(row["text"]), label(row["label"])] for row in rows]


def program(path):
    """Rows, lines of refusals, and how quotes were read."""
    run = subprocess.run([root / "build/bin/moecollab", "data", "print", path], capture_output=True)
    if run.returncode not in (0, 3):
        sys.exit(f"{path}: exit {run.returncode}: {run.stderr.decode()}")
    rows, refused = [], []
    for line in run.stdout.decode().split("\n")[:-1]:
        record = json.loads(line)
        if "error" in record:
            refused.append(record["error"]["line"])
        else:
            rows.append([record["text"], record["label"] or ""])
    if run.returncode == 3 and not refused:
        refused.append(1 if ":1" in run.stderr.decode() else 0)
    return rows, refused, "none" if b"quoting none" in run.stderr else "csv"


def main():
    files, seed = (int(a) for a in (sys.argv[1:] + ["300", "15"][len(sys.argv) - 1 :]))
    draw = random.Random(seed)
    kept, outcomes = [], collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(files):
            kind, content = generated(draw)
            path = pathlib.Path(folder) / f"{i}.{kind}"
            path.write_bytes(content)
            rows, refused, quoting = program(path)
            if refused:
                outcomes[kind, "refused by line"] += 1
                good = all(refused)
            else:
                try:
                    expected = reference(kind, content, quoting)
                except Exception as error:
                    expected = [[str(error)]]
                good = rows == expected
                outcomes[kind, "equal"] += good
            if not good:
                sys.exit(f"file {i} of seed {seed} ({kind}, quoting {quoting}) differs:\n{content!r}\nprogram   {rows}\nreference {expected if not refused else refused}")
            if len(kept) < KEPT:
                kept.append({"name": f"{i}.{kind}", "bytes": base64.b64encode(content).decode(), "rows": rows, "refused": refused})
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{kind:6} {outcome:16} {count}")
    print(f"{files} files, seed {seed}, pandas {pandas.__version__}, Python {sys.version.split()[0]}")
    (root / "tests/golden/reader.json").write_text(json.dumps(kept, ensure_ascii=True, indent=0) + "\n")


main()
