"""Data folders as people have them: capitals and blanks in names, CSV and TSV, integer labels, and what is refused before anything is trained."""
import csv
import json
import shutil
import subprocess

from harness import ENCODER, ROOT, SAMPLES, EndToEnd, clean_environment, run


class Folders(EndToEnd):
    def domain(self, name, extension, splits=("train", "dev"), texts=8):
        """A domain of two labels, 0 and 1, which are told apart by one word."""
        folder = self.folder / "data" / name
        folder.mkdir(parents=True)
        for split in splits:
            with open(folder / f"{split}.{extension}", "w", newline="") as file:
                table = csv.writer(file, delimiter="\t" if extension == "tsv" else ",")
                table.writerow(["text", "label"])
                table.writerows([f"a {'good' if i % 2 else 'bad'} text, number {i} of {split}", i % 2] for i in range(texts))

    def train(self, domain, *more):
        return run("train-expert", "x", "--kind", "lexical", "--domain", domain, "--data-dir", self.folder / "data", "--registry", self.folder / "r",
                   "--encoder", ENCODER, "--no-cache", *more)

    def test_the_demo_ends_in_a_table(self):
        self.domain("SST-2", "csv")
        self.domain("AG News", "tsv")
        (self.folder / "data" / "AG News" / "notes").write_text("no data")
        done = subprocess.run([ROOT / "tools" / "demo.sh", self.folder / "data", self.folder / "out"], capture_output=True, text=True,
                              env=clean_environment(), timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^ag-news +accuracy .*\n.*\n^sst-2 +accuracy ")
        self.assertIn("AG News is domain ag-news, SST-2 is domain sst-2\n", done.stderr)
        experts = sorted(folder.name for folder in (self.folder / "out" / "registry" / "experts").iterdir())
        self.assertEqual(experts, ["ag-news-adapter", "ag-news-lexical", "sst-2-adapter", "sst-2-lexical"])
        report = self.load(self.folder / "out" / "report.json")
        self.assertEqual(sorted(report["domains"]), ["ag-news", "sst-2"])
        self.assertEqual(report["provenance"]["train_overlap"], {"ag-news": 0, "sst-2": 0}, "the training files are found too")

    def test_an_expert_distilled_from_the_seeds_takes_their_place(self):
        self.domain("d", "csv", texts=20)
        self.domain("e", "csv", texts=20)

        def demo(kinds=("lexical", "deep-adapter"), **options):
            return subprocess.run([ROOT / "tools" / "demo.sh", self.folder / "data", self.folder / "out", *kinds],
                                  capture_output=True, text=True, env=clean_environment() | options, timeout=300)

        for refused, why in ((demo(SEEDS="two"), "SEEDS is two, expected a number"), (demo(SEEDS="5-4"), "there is no seed from 5 to 4"),
                             (demo(kinds=["lexical"], DISTILL="1"), "there is no deep expert to learn from among lexical")):
            self.assertEqual(refused.returncode, 2)
            self.assertIn(why, refused.stderr)
        first = demo(SEEDS="4-4")
        self.assertEqual((first.returncode, first.stdout.count("Domain ")), (0, 1), first.stderr)
        done = demo(SEEDS="4-5", DISTILL="1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("what the last run trained is kept", done.stderr)
        self.assertIn("d-deep-adapter-5 1.0.0 trained", done.stdout)
        self.assertNotIn("d-deep-adapter-4 1.0.0 trained", done.stdout)
        self.assertEqual(done.stdout.count("Domain "), 2, "a table with the seeds and one without")
        names = {folder: [expert["name"] for expert in self.load(self.folder / "out" / folder / "report.json")["experts"] if expert["state"] == "ready"]
                 for folder in (".", "distilled")}
        self.assertEqual(names["."], ["d-lexical", "d-deep-adapter-4", "e-lexical", "e-deep-adapter-4", "d-deep-adapter-5", "e-deep-adapter-5"])
        self.assertEqual(sorted(names["distilled"]), ["d-distilled", "d-lexical", "e-distilled", "e-lexical"])
        again = demo(SEEDS="4-5", DISTILL="1")
        self.assertIn("nothing to do again", again.stderr)
        self.assertEqual(again.stdout, done.stdout[done.stdout.index("Domain "):])
        fewer = demo(SEEDS="4-4")
        self.assertIn("has more seeds than 4 to 4 - rebuilding it", fewer.stderr)
        self.assertEqual(fewer.stdout.count("Domain "), 1)

    def test_eval_says_which_texts_were_trained_on(self):
        self.domain("d", "csv", texts=20)
        data = self.folder / "data" / "d"
        self.assertEqual(self.train("d").returncode, 0)
        common = ("--registry", self.folder / "r", "--no-cache")
        self.assertEqual(run("train-gate", "--data-dir", self.folder / "data", *common).returncode, 0)
        elsewhere = self.folder / "mixed.csv"
        elsewhere.write_text((data / "dev.csv").read_text() + "".join((data / "train.csv").read_text().splitlines(True)[1:4]))
        done = run("eval", "--data", f"d={elsewhere}", "--json", *common)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("d: 3 of the 23 texts stand in the training data of expert x", done.stderr)
        self.assertEqual(json.loads(done.stdout)["provenance"]["train_overlap"], {"d": 3})
        clean = run("eval", "--data", f"d={data / 'dev.csv'}", "--json", *common)
        self.assertNotIn("training data of", clean.stderr)
        self.assertEqual(json.loads(clean.stdout)["provenance"]["train_overlap"], {"d": 0})

    def test_the_registry_says_how_a_domain_is_read(self):
        self.domain("d", "csv", texts=20)
        self.assertEqual(self.train("d").returncode, 0)
        table = self.folder / "published.csv"
        table.write_text("".join(f'"{i % 2 + 1}","a {"good" if i % 2 else "bad"}","title {i}"\n' for i in range(20)))
        registry = self.folder / "r" / "registry.toml"
        registry.write_text(registry.read_text() + '\n[data.d]\ncolumns = ["label", "text", "title"]\njoin = ["title", "text"]\nlabel_base = 1\nlabel_names = ["0", "1"]\n')
        common = ("--registry", self.folder / "r", "--no-cache")
        self.assertEqual(run("train-gate", "--data", f"d={table}", *common).returncode, 0)
        done = run("eval", "--data", f"d={table}", "--json", *common)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["domains"]["d"]["n"], 20)
        refused = run("eval", "--data", f"d={table},label-names=no+yes", *common)
        self.assertRefused(refused, 3, "E_DATA")

    def test_the_domain_may_be_asked_for_in_either_form(self):
        self.domain("SST-2", "csv")
        for domain in ("SST-2", "sst-2", "SST.2"):
            done = self.train(domain, "--force", "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((json.loads(done.stdout)["domain"], done.stderr.count("SST-2 is domain sst-2\n")), ("sst-2", 1))

    def test_domains_lists_what_there_is(self):
        self.domain("SST-2", "csv")
        done = run("data", "domains", "--data-dir", self.folder / "data", "--data", "x=y.tsv")
        file = self.folder / "data" / "SST-2" / "train.csv"
        self.assertEqual((done.returncode, done.stdout), (0, f"sst-2\t{file}\nx\ty.tsv\n"), done.stderr)
        done = run("data", "domains", "--data-dir", self.folder / "data", "--json")
        self.assertEqual(json.loads(done.stdout), {"domains": [{"domain": "sst-2", "given": "SST-2", "split": "train", "file": str(file)}]})

    def test_names_are_refused_before_training(self):
        self.domain("R&D", "csv")
        self.assertRefused(self.train("R&D"), 2, "E_CONFIG", "`R&D` cannot be a domain's name")
        self.assertRefused(self.train("rd"), 2, "E_CONFIG", "data/R&D cannot be a domain's name")
        (self.folder / "data" / "R&D").rename(self.folder / "data" / "sst.2")
        self.domain("SST-2", "csv")
        self.assertRefused(self.train("sst-2"), 2, "E_CONFIG", "data/SST-2 and ", "data/sst.2 are both domain sst-2")
        self.assertFalse((self.folder / "r").exists())

    def test_two_files_for_one_split(self):
        self.domain("d", "csv")
        shutil.copy(SAMPLES / "news" / "train.jsonl", self.folder / "data" / "d")
        self.assertRefused(self.train("d"), 2, "E_CONFIG", "train.csv, train.jsonl", "--format")
        done = self.train("d", "--format", "csv", "--json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["held_out"]), (0, 2), done.stderr)

    def test_the_demo_says_before_it_trains_what_it_cannot_judge(self):
        self.domain("d", "csv", splits=["train"])
        self.domain("e", "csv")
        def demo():
            return subprocess.run([ROOT / "tools" / "demo.sh", self.folder / "data", self.folder / "out", "lexical"],
                                  capture_output=True, text=True, env=clean_environment(), timeout=300)

        done = demo()
        self.assertEqual(done.returncode, 0, done.stderr)
        said = "data: d has no dev or test file that can be taken: it is trained, but not judged; "
        self.assertLess(done.stderr.index(said), done.stderr.index("the labels are class numbers"), done.stderr)
        shutil.rmtree(self.folder / "data" / "e")
        done = demo()
        self.assertEqual(done.returncode, 3)
        self.assertIn("no domain has one dev or test file beside train to judge on", done.stderr)

    def test_a_missing_split_names_what_is_there(self):
        self.domain("d", "csv", splits=["dev"])
        self.assertRefused(self.train("d"), 3, "E_DATA", "no domain has train.{", "d (dev.csv)")
