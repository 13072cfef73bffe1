"""Twenty texts in every format in which people have them: each verb's result is that of JSON Lines, and a damaged row costs itself."""
import concurrent.futures
import csv
import gzip
import io
import json
import pathlib
import tempfile
import unittest
from typing import Callable, NamedTuple

from harness import ENCODER, SAMPLES, EndToEnd, run

LABELS = ["business", "scitech", "sports", "world"]


def twenty_texts():
    """Five of each label, some with what formats must keep apart: delimiters, quotes, letters beyond ASCII and beyond UCS-2."""
    lines = (SAMPLES / "news" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    taken = [[line for line in map(json.loads, lines) if line["label"] == label][:5] for label in LABELS]
    texts = [{"id": f"t{i}", "text": line["text"], "label": line["label"]} for i, line in enumerate(line for five in zip(*taken) for line in five)]
    for i, around in enumerate(('"{}" they said', 'so, "{}", then; and [more]', "{} caf\u00e9 \U0001f389", '{} he said "so"', "#{}|")):
        texts[3 * i]["text"] = around.format(texts[3 * i]["text"])
    return texts


TEXTS = twenty_texts()
ROWS = [[row["id"], row["text"], row["label"]] for row in TEXTS]


def json_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows, header=("id", "text", "label"), **form):
    out = io.StringIO()
    csv.writer(out, **{"lineterminator": "\n", **form}).writerows([header, *rows] if header else rows)
    return out.getvalue()


def unquoted_tsv():
    return "".join("\t".join(row) + "\n" for row in [["id", "text", "label"], *ROWS])


def zstd_of(data):
    """A frame of raw blocks, which every reader of zstd takes, so that nothing has to be installed to write it."""
    assert len(data) < 1 << 17
    block = (len(data) << 3 | 1).to_bytes(3, "little") + data
    return bytes.fromhex("28b52ffd") + b"\xa0" + len(data).to_bytes(4, "little") + block


def numbered():
    return [{**row, "label": LABELS.index(row["label"])} for row in TEXTS]


def split_rows():
    """As AG News is published: the class number from 1, a title, the text."""
    return [[row["id"], LABELS.index(row["label"]) + 1, *row["text"].split(" ", 1)] for row in TEXTS]


def label_studio():
    return [{"id": i, "data": {"text": row["text"]}, "annotations": [{"id": 100 + i, "was_cancelled": False, "result": [
        {"type": "choices", "from_name": "topic", "to_name": "text", "value": {"choices": [row["label"]]}}]}]} for i, row in enumerate(TEXTS)]


class Format(NamedTuple):
    file: str
    content: Callable[[], bytes]
    reading: list = []   # options of every verb
    labels: list = []    # options of verbs that read labels
    has_ids: bool = True


NAMES = ["--label-names", ",".join(LABELS)]
FORMATS = {
    "jsonl": Format("a.jsonl", lambda: json_lines(TEXTS)),
    "array": Format("a.json", lambda: json.dumps(TEXTS, indent=1).encode()),
    "csv": Format("a.csv", lambda: table(ROWS).encode()),
    "tsv": Format("a.tsv", lambda: unquoted_tsv().encode()),
    "quoted tsv": Format("a.tab", lambda: table(ROWS, delimiter="\t", quoting=csv.QUOTE_ALL).encode()),
    "csv.gz": Format("a.csv.gz", lambda: gzip.compress(table(ROWS).encode(), mtime=0)),
    "jsonl.zst": Format("a.jsonl.zst", lambda: zstd_of(json_lines(TEXTS))),
    "line breaks in fields": Format("a.csv", lambda: table([["one\ntwo\r\n\r\nthree", *row] for row in ROWS], ("note", "id", "text", "label"),
                                                           quoting=csv.QUOTE_ALL).encode()),
    "CR": Format("a.csv", lambda: table(ROWS, lineterminator="\r").encode()),
    "CRLF and blank lines": Format("a.csv", lambda: table(ROWS, lineterminator="\r\n\r\n").encode()),
    "UTF-16": Format("a.csv", lambda: table(ROWS, lineterminator="\r\n").encode("utf-16")),
    "byte order mark": Format("a.csv", lambda: table(ROWS).encode("utf-8-sig")),
    "class numbers": Format("a.jsonl", lambda: json_lines(numbered()), labels=NAMES),
    "without a header": Format("a.csv", lambda: table(split_rows(), None, quoting=csv.QUOTE_ALL).encode(),
                               ["--columns", "id,label,title,rest", "--join", "title,rest"], ["--label-base", 1, *NAMES]),
    "other columns": Format("a", lambda: table([[row[1], "x", row[2], row[0]] for row in ROWS], ("body", "text", "Topic", "key"), delimiter="\t").encode(),
                            ["--format", "tsv", "--text-column", "body", "--id-column", "key"], ["--label-column", "Topic"]),
    "doccano": Format("a.jsonl", lambda: json_lines([{**row, "label": [row["label"]], "Comments": []} for row in TEXTS])),
    "label studio": Format("a.json", lambda: json.dumps(label_studio()).encode(), has_ids=False),
}


def without(line, *keys):
    return {key: value for key, value in json.loads(line).items() if key not in keys}


class Verbs:
    """What each verb makes of a file, as far as it must not depend on the format."""

    def __init__(self, form, folder, cache):
        self.form, self.folder = form, folder
        self.file = folder / form.file
        self.file.write_bytes(form.content())
        self.registry = folder / "registry"
        self.common = ["--registry", self.registry, "--quiet", "--threads", 1]
        self.cache = ["--cache-dir", cache]
        self.labelled = [f"--data=news={self.file}", *form.reading, *form.labels]
        # An export without ids is numbered by its lines.
        self.unequal = ["line"] if form.has_ids else ["line", "text_id"]
        self.results = {name: getattr(self, name)() for name in
                        ("train_expert", "train_gate", "eval", "predict", "encode", "tokenize", "data_print", "data_check")}

    def run(self, *arguments):
        done = run(*arguments)
        assert done.returncode == 0, f"{self.file.name}: {done.stderr}{done.stdout}"
        return done.stdout

    def train_expert(self):
        made = json.loads(self.run("train-expert", "words", "--kind", "lexical", "--domain", "news", *self.labelled, *self.common, *self.cache,
                                   "--encoder", ENCODER, "--json"))
        kept = [*self.registry.glob("experts/words/*/weights.safetensors"), *self.registry.glob("heldout/*")]
        return [made[key] for key in ("epochs", "held_out", "held_out_accuracy", "held_out_loss")] + [file.read_bytes() for file in kept]

    def train_gate(self):
        made = self.run("train-gate", *self.labelled, *self.common, *self.cache, "--json")
        return [json.loads(made)["task_loss"], (self.registry / "gate" / "gate.safetensors").read_bytes()]

    def eval(self):
        report = json.loads(self.run("eval", *self.labelled, *self.common, *self.cache, "--json"))
        return {key: report[key] for key in ("domains", "overall", "gate")}

    def predict(self):
        return [without(line, *self.unequal) for line in self.run("predict", self.file, *self.form.reading, *self.common).splitlines()]

    def encode(self):
        output = self.folder / "features.safetensors"
        self.run("encode", "--input", self.file, "--output", output, *self.form.reading, *self.common)
        return output.read_bytes()

    def tokenize(self):
        return self.run("tokenize", self.file, *self.form.reading, "--encoder", ENCODER)

    def data_print(self):
        lines = self.run("data", "print", self.file, *self.form.reading, *self.form.labels).splitlines()
        self.lines = [json.loads(line)["line"] for line in lines]
        return [without(line, "file", "line", *([] if self.form.has_ids else ["id"])) for line in lines]

    def data_check(self):
        return without(json.dumps(json.loads(self.run("data", "check", self.file, *self.form.reading, *self.form.labels, "--json"))["files"][0]),
                       "file", "format", "sha256")


RUNS = {}  # by format


def setUpModule():
    """Runs each verb once per format, two formats at a time."""
    folder = tempfile.TemporaryDirectory(prefix="moecollab-e2e.")
    unittest.addModuleCleanup(folder.cleanup)
    root = pathlib.Path(folder.name)

    def results(place, form):
        (root / str(place)).mkdir()
        return Verbs(form, root / str(place), root / "cache")

    with concurrent.futures.ThreadPoolExecutor(2) as workers:
        RUNS.update(zip(FORMATS, workers.map(results, range(len(FORMATS)), FORMATS.values())))


class EveryFormat(unittest.TestCase):
    def expect_equal(self, verb):
        expected = RUNS["jsonl"].results[verb]
        for name, verbs in RUNS.items():
            with self.subTest(format=name):
                got, wanted = verbs.results[verb], expected
                if verb == "predict" and not verbs.form.has_ids:
                    wanted = [{key: value for key, value in line.items() if key != "text_id"} for line in wanted]
                if verb == "data_print" and not verbs.form.has_ids:
                    wanted = [{key: value for key, value in line.items() if key != "id"} for line in wanted]
                self.assertTrue(got == wanted, f"{got}\n{wanted}")
        return expected

    def test_train_expert_learns_the_same_expert(self):
        _, held_out, *_ = self.expect_equal("train_expert")
        self.assertEqual(held_out, 4)

    def test_train_gate_fits_the_same_gate(self):
        self.expect_equal("train_gate")

    def test_eval_reports_the_same_figures(self):
        self.assertEqual(self.expect_equal("eval")["domains"]["news"]["confusion"]["labels"], LABELS)

    def test_predict_answers_the_same(self):
        self.assertEqual([line["text_id"] for line in self.expect_equal("predict")], [row["id"] for row in TEXTS])

    def test_encode_writes_the_same_bytes(self):
        self.expect_equal("encode")

    def test_tokenize_prints_the_same_ids(self):
        self.assertEqual(self.expect_equal("tokenize").count("\n"), 20)

    def test_data_print_shows_the_same_records(self):
        self.assertEqual([[line["id"], line["text"], line["label"]] for line in self.expect_equal("data_print")], ROWS)

    def test_data_check_counts_the_same(self):
        self.assertEqual(self.expect_equal("data_check")["labels"], {label: 5 for label in LABELS})

    def test_lines_are_those_of_the_file(self):
        rows = range(20)
        for name, lines in {"jsonl": [i + 1 for i in rows], "array": [5 * i + 2 for i in rows], "csv": [i + 2 for i in rows], "csv.gz": [i + 2 for i in rows],
                            "line breaks in fields": [4 * i + 2 for i in rows], "CR": [i + 2 for i in rows], "CRLF and blank lines": [2 * i + 3 for i in rows],
                            "UTF-16": [i + 2 for i in rows], "without a header": [i + 1 for i in rows], "label studio": [1 for i in rows]}.items():
            self.assertEqual(RUNS[name].lines, lines, name)


class DamagedRow(EndToEnd):
    """A row that cannot be read, between two that can; answered by the registry of the JSON Lines."""
    CASES = {
        "a.jsonl": ('{"text": "the striker scored", "label": "sports"}\n{"text": 7, "label": "sports"}\n{"text": "shares fell", "label": "business"}\n', 2, "2: `text`"),
        "a.json": ('[{"text": "the striker scored", "label": "sports"},\n{"label": "sports"},\n{"text": "shares fell", "label": "business"}]', 2, "2: "),
        "a.csv": ('text,label\nthe striker scored,sports\n"the cup, lost,sports\nshares fell,business\n', 3, "3:1: "),
        "b.csv": ("text,label\nthe striker scored,sports\n\nthe cup, lost,sports\nshares fell,business\n", 4, "4:3: the row has 3 columns"),
        "a.tsv": ("text\tlabel\nthe striker scored\tsports\nthe cup\nshares fell\tbusiness\n", 3, "3:2: the row has 1 columns"),
        "a.csv.gz": (gzip.compress(b"text,label\nthe striker scored,sports\nthe cup\xff,sports\nshares fell,business\n"), 3, "3:1: column 1 (`text`) is not UTF-8"),
    }

    @classmethod
    def setUpClass(cls):
        """Nothing of its own."""

    def test_predict_answers_the_others(self):
        for name, (content, line, reason) in self.CASES.items():
            file = self.write(name, content)
            done = run("predict", file, *RUNS["jsonl"].common)
            with self.subTest(file=name):
                first, bad, last = map(json.loads, done.stdout.splitlines())
                self.assertEqual((first["line"], bad["error"]["line"], last["line"]), (line - (2 if name == "b.csv" else 1), line, line + 1))
                self.assertIn(first["label"], LABELS)
                self.assertIn(last["label"], LABELS)
                self.assertEqual(bad["error"]["code"], "E_DATA")
                self.assertIn(f"{file}:{reason}", bad["error"]["message"])
                self.assertEqual(done.returncode, 3)

    def test_training_refuses_the_file_at_that_line(self):
        for name, (content, _, reason) in self.CASES.items():
            file = self.write(name, content)
            with self.subTest(file=name):
                done = run("train-expert", "e", "--kind", "lexical", "--domain", "news", f"--data=news={file}", "--registry", self.folder / "r", "--encoder", ENCODER)
                self.assertRefused(done, 3, "E_DATA", f"{file}:{reason}", "(1 records follow it)")
                self.assertFalse((self.folder / "r" / "experts").exists())

    def test_data_check_counts_it_and_data_print_shows_it(self):
        for name, (content, line, reason) in self.CASES.items():
            file = self.write(name, content)
            with self.subTest(file=name):
                checked = run("data", "check", file, "--json")
                found = json.loads(checked.stdout)["files"][0]
                self.assertEqual((checked.returncode, found["rows"], found["damaged"] + found["empty"]), (3, 2, 1))
                self.assertTrue(found["first_refusals"][0].startswith(reason), found["first_refusals"])
                printed = run("data", "print", file)
                self.assertEqual(printed.returncode, 3)
                self.assertEqual(json.loads(printed.stdout.splitlines()[1])["error"]["line"], line)


if __name__ == "__main__":
    unittest.main()
