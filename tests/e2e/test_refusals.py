"""Bad input: each gets one clear error, the right exit status, and nothing is lost."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import ENCODER, PLUGINS, ROOT, SAMPLES, EndToEnd, run


class Registry(EndToEnd):
    def refuse_registry(self, content, code, *fragments):
        registry = self.folder / "r"
        registry.mkdir(exist_ok=True)
        (registry / "registry.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        self.assertRefused(run("experts", "list", "--registry", registry), 4, code, *fragments)

    def test_missing_folder_and_file(self):
        self.assertRefused(run("experts", "list", "--registry", self.folder / "none"), 4, "E_REG_IO", "none", "MOECOLLAB_REGISTRY", "build/demo/registry")
        (self.folder / "r").mkdir()
        self.assertRefused(run("experts", "list", "--registry", self.folder / "r"), 4, "E_REG_IO", "registry.toml", "build/demo/registry")

    def test_registry_toml_is_a_folder(self):
        (self.folder / "r" / "registry.toml").mkdir(parents=True)
        self.assertRefused(run("experts", "list", "--registry", self.folder / "r"), 4, "E_REG_IO", "registry.toml")

    def test_empty_registry_has_no_experts(self):
        registry = self.folder / "r"
        registry.mkdir()
        (registry / "registry.toml").write_text("")
        done = run("experts", "list", "--registry", registry)
        self.assertEqual((done.returncode, done.stdout), (0, "0 experts installed\n"))
        self.assertRefused(self.eval(registry), 4, "E_REG_EMPTY", "0 experts installed", "MOECOLLAB_REGISTRY", "build/demo/registry")
        self.assertIn("MOECOLLAB_REGISTRY", run("doctor", "--registry", registry).stdout)
        self.assertNotIn("MOECOLLAB_REGISTRY", run("doctor", "--registry", self.registry()).stdout)

    def test_malformed_text(self):
        self.refuse_registry(b"#" * 70_000, "E_REG_SIZE", "70000")
        self.refuse_registry(b"schema = 1\n# \x05", "E_REG_BYTES", "0x05")
        self.refuse_registry("schema = = 1\n", "E_REG_SYNTAX", ":1:")
        self.refuse_registry("schema = 1\n[encoder]\npath = 'x'\npaht = 'x'\n", "E_REG_SCHEMA", "paht", "did you mean `path`")
        self.refuse_registry("schema = 1\n[encoder]\npath = 'x'\nmax_length = 'long'\n", "E_REG_SCHEMA", "max_length", "integer")

    def test_duplicate_names(self):
        entry = '[[expert]]\nname = "a"\nid = "org.a"\nversion = "*"\n'
        self.refuse_registry("schema = 1\n" + entry + entry, "E_REG_SCHEMA", "a")


class Sample(unittest.TestCase):
    """The repository's registry/, which --registry names by default in the source tree."""

    def list(self, *more):
        return run("experts", "list", "--encoder", ENCODER, *more, cwd=ROOT)

    def test_it_has_no_expert_and_says_how_to_get_some(self):
        done = self.list()
        self.assertEqual((done.returncode, done.stdout), (0, "0 experts installed\n"), done.stderr)
        self.assertIn("`make demo`", done.stderr)

    def test_only_the_result_for_scripts(self):
        done = self.list("--json")
        self.assertEqual((json.loads(done.stdout), done.stderr), ({"registry": "registry", "experts": []}, ""))
        self.assertEqual(self.list("--quiet").stderr, "")

    def test_listing_writes_nothing(self):
        before = {path: path.stat().st_mtime_ns for path in (ROOT / "registry").rglob("*")}
        self.list()
        self.assertEqual({path: path.stat().st_mtime_ns for path in (ROOT / "registry").rglob("*")}, before)


class Package(EndToEnd):
    """Damage to an installed package: re-pinned if the damage is to be found after the digests."""

    def repin(self, registry, name, edit=None):
        """Lets `edit` change the manifest's text, then writes true digests of all files into it."""
        package = self.package(registry, name)
        manifest = package / "expert.toml"
        text = manifest.read_text()
        if edit:
            changed = edit(text)
            self.assertNotEqual(changed, text, "the edit changed nothing")
            text = changed
        for file in package.iterdir():
            if file.name != "expert.toml":
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                text = re.sub(rf'("{re.escape(file.name)}" = )"[0-9a-f]{{64}}"', rf'\1"{digest}"', text)
        manifest.write_text(text)
        return package

    def assertExpertRefused(self, registry, name, code, *fragments):
        """The run stops with the expert's code, and `why` tells the same."""
        done = self.eval(registry)
        self.assertIn(done.returncode, (4, 5), done.stderr)
        self.assertIn(f"error: {code}", done.stderr)
        self.assertIn(name, done.stderr)
        why = run("experts", "why", name, "--registry", registry)
        self.assertEqual(why.returncode, 0, why.stderr)
        self.assertIn(code, why.stdout)
        for fragment in fragments:
            self.assertIn(fragment, why.stdout)

    def library(self, registry, name="news-words"):
        return next(self.package(registry, name).glob("lib*.so"))

    def test_missing_library(self):
        registry = self.registry()
        self.library(registry).unlink()
        self.assertExpertRefused(registry, "news-words", "E_PLUG_PATH", "liblexical.so")

    def test_wrong_digest_shows_both(self):
        registry = self.registry()
        library = self.library(registry)
        data = bytearray(library.read_bytes())
        before = hashlib.sha256(data).hexdigest()
        data[-1] ^= 1
        library.write_bytes(data)
        self.assertExpertRefused(registry, "news-words", "E_PLUG_DIGEST", before, hashlib.sha256(data).hexdigest())

    def test_other_platform(self):
        registry = self.registry()
        self.repin(registry, "news-words", lambda t: t.replace("linux-x86_64", "linux-riscv64"))
        self.assertExpertRefused(registry, "news-words", "E_ABI_PLATFORM", "linux-riscv64", "linux-x86_64")

    def test_other_abi_major_and_newer_minor(self):
        for version in ("2.0", "1.1", "0.9"):
            with self.subTest(version):
                registry = self.registry()
                self.repin(registry, "news-words", lambda t: t.replace('[abi]\nversion = "1.0"', f'[abi]\nversion = "{version}"'))
                self.assertExpertRefused(registry, "news-words", "E_ABI", f"needs {version}, host has 1.0")
                shutil.rmtree(registry)

    def test_abi_in_the_librarys_note_counts_too(self):
        registry = self.registry()
        library = self.library(registry)
        data = bytearray(library.read_bytes())
        note = data.index(b"MoECollab\0") + 12
        self.assertEqual(data[note + 8], 0)
        data[note + 8] = 1
        library.write_bytes(data)
        self.repin(registry, "news-words")
        self.assertExpertRefused(registry, "news-words", "E_ABI", "needs ABI 1.1, host has 1.0")

    def test_other_encoder_fingerprint(self):
        registry = self.registry()
        self.repin(registry, "feelings", lambda t: re.sub(r'fingerprint = "[0-9a-f]{64}"', f'fingerprint = "{"0" * 64}"', t))
        self.assertExpertRefused(registry, "feelings", "E_DESC_ENCODER", "0" * 64)

    def test_label_counts_of_manifest_and_weights(self):
        registry = self.registry()
        self.repin(registry, "feelings", lambda t: t.replace('labels = ["', 'labels = ["extra", "'))
        self.assertExpertRefused(registry, "feelings", "E_DESC_MISMATCH")

    def test_labels_of_two_experts_of_one_space(self):
        registry = self.registry()
        self.repin(registry, "news-words", lambda t: t.replace('"business"', '"commerce"'))
        self.assertExpertRefused(registry, "news-words", "E_DESC_LABELS", "commerce")

    def test_library_id_of_manifest_and_note(self):
        registry = self.registry()
        self.repin(registry, "news-words", lambda t: t.replace('"org.moecollab.lexical"', '"org.moecollab.other"', 1))
        self.assertExpertRefused(registry, "news-words", "E_DESC_MISMATCH", "org.moecollab.other", "org.moecollab.lexical")

    def test_probe_that_fails(self):
        registry = self.registry()
        probe = self.package(registry, "news-words") / "probe.json"
        content = json.loads(probe.read_text())
        content["logits"][0][0] += 1
        probe.write_text(json.dumps(content))
        self.repin(registry, "news-words")
        self.assertExpertRefused(registry, "news-words", "E_DESC_PROBE", "tolerance")

    def test_library_is_text_truncated_or_32_bit(self):
        def text(data): return b"I am no library. " * 200
        def truncated(data): return data[: len(data) // 2]
        def bits32(data): return data[:4] + b"\x01" + data[5:]
        def executable(data): return data[:16] + b"\x02\x00" + data[18:]
        def machine(data): return data[:18] + b"\xb7\x00" + data[20:]
        for damage, code in ((text, "E_ELF_FORMAT"), (truncated, "E_ELF_BOUNDS"), (bits32, "E_ELF_CLASS"), (executable, "E_ELF_TYPE"), (machine, "E_ELF_MACHINE")):
            with self.subTest(damage.__name__):
                registry = self.registry()
                library = self.library(registry)
                library.write_bytes(damage(library.read_bytes()))
                self.repin(registry, "news-words")
                self.assertExpertRefused(registry, "news-words", code)
                shutil.rmtree(registry)

    def test_weights_with_a_nan(self):
        registry = self.registry()
        weights = self.package(registry, "feelings") / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\xc0\x7f")
        self.repin(registry, "feelings")
        self.assertExpertRefused(registry, "feelings", "E_ST_NONFINITE")

    def test_a_refused_expert_is_skipped_where_the_policy_says_so(self):
        registry = self.registry()
        self.library(registry).unlink()
        toml = registry / "registry.toml"
        toml.write_text(toml.read_text() + '\n[policy]\non_missing = "skip"\n')
        done = self.eval(registry, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("news-words", done.stderr)
        states = {e["name"]: (e["state"], e["code"]) for e in json.loads(done.stdout)["experts"]}
        self.assertEqual(states["news-words"], ("refused", "E_PLUG_PATH"))

    def test_list_shows_the_refused_and_verify_fails_on_them(self):
        registry = self.registry()
        self.library(registry).unlink()
        listed = json.loads(run("experts", "list", "--registry", registry, "--json").stdout)["experts"]
        self.assertEqual({e["name"]: e["state"] for e in listed}, {"news-adapter": "ready", "news-words": "refused", "feelings": "ready"})
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 5)

    def test_the_registry_of_the_command_line_wins_over_the_environment(self):
        registry, other = self.registry(), {"MOECOLLAB_REGISTRY": str(self.folder / "none")}
        for verb in (["list"], ["why", "feelings"], ["verify", "feelings"]):
            self.assertEqual(run("experts", *verb, "--registry", registry, env=other).returncode, 0, verb)
        mine = self.folder / "mine"
        done = run("experts", "add", self.package(registry, "feelings"), "--registry", mine, "--encoder", ENCODER, env=other)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((mine / "experts" / "feelings").is_dir())
        self.assertFalse((self.folder / "none").exists())

    def test_add_refuses_a_kind_and_a_second_package_of_one_version(self):
        registry = self.registry()
        self.assertRefused(run("experts", "add", PLUGINS / "lexical", "--registry", registry), 5, "E_DESC_LABELS", "train-expert")
        copy = self.folder / "copy"
        shutil.copytree(self.package(registry, "news-words"), copy)
        (copy / "expert.toml").write_text((copy / "expert.toml").read_text() + "\n# another package\n")
        self.assertRefused(run("experts", "add", copy, "--registry", registry), 4, "E_REG_EXISTS", "1.0.0")

    def test_add_and_verify_a_good_package(self):
        registry = self.registry()
        done = run("experts", "add", self.package(registry, "news-words"), "--name", "second", "--registry", registry)
        self.assertEqual(done.returncode, 0, done.stderr)
        states = {e["name"]: e["state"] for e in json.loads(run("experts", "list", "--registry", registry, "--json").stdout)["experts"]}
        self.assertEqual(states["second"], "unrouted")
        self.assertIn("second: ready, probe: passed", run("experts", "verify", "--registry", registry).stdout)


    def test_inspect_of_a_name_says_the_path(self):
        registry = self.shared / "registry"
        self.assertRefused(run("experts", "inspect", "news-words", "--registry", registry, cwd=self.folder), 4, "E_REG_IO",
                           f"{registry}/experts/news-words/1.0.0", "experts why news-words")
        self.assertRefused(run("experts", "inspect", "news-wrods", "--registry", registry, cwd=self.folder), 4, "E_REG_IO", "holds expert.toml")

    def test_a_new_registry_elsewhere_needs_an_encoder(self):
        done = run("train-expert", "e", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--registry", "new", cwd=self.folder)
        self.assertRefused(done, 4, "E_ENCODER", "new", "all-MiniLM-L6-v2", "--encoder", "MOECOLLAB_ENCODER")
        self.assertFalse((self.folder / "new").exists(), "nothing was made")


class Data(EndToEnd):
    def refuse(self, name, content, *fragments):
        path = self.write(name, content)
        done = run("eval", f"--data=news={path}", *self.options(self.shared / "registry"))
        self.assertRefused(done, 3, "E_DATA", name, *fragments)

    def test_files_that_cannot_be_read(self):
        done = run("eval", f"--data=news={self.folder}/none.jsonl", *self.options(self.shared / "registry"))
        self.assertRefused(done, 3, "E_DATA", "none.jsonl")
        good = '{"text": "a match", "label": "sports"}\n'
        self.refuse("empty.jsonl", "")
        self.refuse("line.jsonl", good + "{oops\n", ":2")
        self.refuse("key.jsonl", good + '{"text": "x"}\n', ":2", "label")
        self.refuse("space.jsonl", good + '{"text": "x", "label": "sport"}\n', ":2", "sport", "did you mean `sports`")
        self.refuse("blank.jsonl", good + '{"text": "", "label": "sports"}\n', ":2")
        self.refuse("utf8.jsonl", good.encode() + b'{"text": "\xff", "label": "sports"}\n', ":2", "UTF-8")
        self.refuse("quote.csv", 'text,label\n"unterminated,sports\n', "quote")

    def test_a_text_of_one_mebibyte_is_truncated_and_counted(self):
        path = self.write("big.jsonl", json.dumps({"text": "goal " * (1 << 18), "label": "sports"}) + "\n")
        done = run("eval", f"--data=news={path}", *self.options(self.shared / "registry"), "--no-cache", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["overall"]["truncated"], 1)

    def test_training_needs_two_classes_and_a_known_domain(self):
        path = self.write("one.jsonl", '{"text": "a", "label": "x"}\n{"text": "b", "label": "x"}\n')
        train = ["train-expert", "e", "--kind", "lexical", *self.options(self.folder / "new"), "--encoder", ENCODER]
        self.assertRefused(run(*train, "--domain", "d", f"--data=d={path}"), 3, "E_DATA", '"x"')
        self.assertRefused(run(*train, "--domain", "nwes", "--data-dir", SAMPLES), 3, "E_DATA", "did you mean `news`")
        self.assertFalse((self.folder / "new").exists(), "nothing was made")


class Options(EndToEnd):
    def gate(self, *more):
        return run("train-gate", *self.data("train"), *self.options(self.registry() if not (self.folder / "registry").exists() else self.folder / "registry"), *more)

    def test_bad_values(self):
        for arguments, fragments in ((["--top-k", "4"], ("4", "3 experts")), (["--lambda1", "-0.1"], ("lambda1", "-0.1")), (["--lambda2", "nan"], ("lambda2",)),
                                     (["--lambda1", "many"], ("lambda1",)), (["--fusion", "mixtur"], ("mixtur", "mixture")), (["--lr", "0"], ("lr",)),
                                     (["--epochs", "0"], ("epochs",)), (["--precision", "fp16"], ("fp16", "for GPUs")), (["--precision", "fp8"], ("fp8", "fp32")),
                                     (["--device", "gpu"], ("gpu", "cuda:N")), (["--device", "cuda:x"], ("cuda:x",)), (["--threads", "-1"], ("threads",)),
                                     (["--lambda3", "1"], ("lambda3", "--lambda1"))):
            with self.subTest(arguments):
                self.assertRefused(self.gate(*arguments), 2, "E_CONFIG", *fragments)
        self.assertRefused(self.eval(self.folder / "registry", "--top-k", 9), 2, "E_CONFIG", "9")
        said = run("encode", "--threads", 1024, "--input", "nowhere.txt", "--output", self.folder / "out.safetensors", *self.options(self.folder / "registry")[:2])
        self.assertIn("--threads is 1024, this process may use", said.stderr)
        words = self.gate("--fusion", "mixtur", "--json")
        self.assertEqual(json.loads(words.stdout)["error"]["code"], "E_CONFIG", "a refused word is JSON too, wherever --json stands")

    def test_a_device_that_is_not_here(self):
        cuda = json.loads(run("doctor", "--json").stdout)["cuda"]
        asked = f"cuda:{cuda['usable']}"  # the first that is not here
        done = self.gate("--device", asked)
        self.assertRefused(done, 2, "E_CONFIG", asked)
        if cuda["usable"] == 0:
            for fragment in ("libcuda.so.1", "libtorch_cuda.so", "make setup CUDA=1", "--device cpu"):
                self.assertIn(fragment, done.stderr, "all that is missing, and how to get it")
            said = run("encode", "--device", "auto", "--input", "nowhere.txt", "--output", self.folder / "out.safetensors")
            self.assertIn(f"device auto: cpu: {cuda['missing']}", said.stderr)
            self.assertIn("cuda: no GPU can be used", run("doctor").stdout)

    def test_the_demo_names_a_folder_without_training_files(self):
        (self.folder / "data" / "notes").mkdir(parents=True)
        done = subprocess.run([ROOT / "tools" / "demo.sh", self.folder / "data", self.folder / "out"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("no domain has train.{jsonl,ndjson,json,csv,tsv} (folders seen: notes (no file))", done.stderr)

    def test_mistyped_verb(self):
        self.assertRefused(run("evla"), 2, "E_CONFIG", "did you mean `eval`")

    def test_help_begins_with_an_example(self):
        for verb in ([], ["eval"], ["train-gate"], ["experts", "add"]):
            done = run(*verb, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertIn("Example", done.stdout[:400])

    def test_bad_kind_and_name(self):
        train = ["--domain", "news", "--data-dir", SAMPLES, *self.options(self.folder / "new")]
        self.assertRefused(run("train-expert", "x", "--kind", "lexcal", *train), 2, "E_CONFIG", "did you mean `lexical`")
        self.assertRefused(run("train-expert", "../x", "--kind", "lexical", *train), 2, "E_CONFIG", "../x")


class Encoder(EndToEnd):
    def encode(self, folder, output="o.safetensors"):
        texts = self.write("t.txt", "hello\nunwanted, running\n")
        return run("encode", "--encoder", folder, "--input", texts, "--format", "lines", "--output", self.folder / output)

    def copy(self):
        folder = self.folder / "encoder"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(ENCODER / name, folder)
        os.symlink(ENCODER / "model.safetensors", folder / "model.safetensors")
        return folder

    def test_each_missing_file(self):
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            folder = self.copy()
            (folder / "vocab.txt").unlink()
            (folder / name).unlink()
            done = self.encode(folder)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn(name, done.stderr)

    def test_tokenizer_json_alone_is_the_same_encoder(self):
        folder = self.copy()
        self.assertEqual(self.encode(folder, "both.safetensors").returncode, 0)
        (folder / "vocab.txt").unlink()
        self.assertEqual(self.encode(folder, "alone.safetensors").returncode, 0)
        self.assertEqual((self.folder / "alone.safetensors").read_bytes(), (self.folder / "both.safetensors").read_bytes())
        done = self.eval(self.shared / "registry", "--encoder", folder)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_lies_there_instead_is_named(self):
        folder = self.copy()
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"never opened")
        self.assertRefused(self.encode(folder), 4, "E_ENCODER", "pytorch_model.bin, a pickle", "weights_only=True")
        (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90868376\n")
        self.assertRefused(self.encode(folder), 4, "E_ST_GIT_LFS", "90868376", "git lfs pull")
        self.assertRefused(self.encode(folder.parent), 4, "E_ENCODER", "an encoder lies below it: encoder")
        self.assertRefused(run("tokenize", self.folder / "t.txt", "--encoder", folder.parent), 4, "E_ENCODER", "an encoder lies below it: encoder")

    def test_damaged_files(self):
        folder = self.copy()
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").write_bytes((ENCODER / "model.safetensors").read_bytes()[:1_000_000])
        self.assertRefused(self.encode(folder), 4, "E_ST_")
        folder = self.copy()
        (folder / "tokenizer.json").unlink()
        (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text() + "onemore\n")
        self.assertRefused(self.encode(folder), 4, "E_VOCAB", "30523", "30522")
        folder = self.copy()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "swish9"}))
        self.assertRefused(self.encode(folder), 4, "E_ENCODER", "hidden_act", "swish9")

    def test_encoder_that_is_not_the_registrys(self):
        folder = self.copy()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-5}))
        self.assertRefused(self.eval(self.shared / "registry", "--encoder", folder), 4, "E_ENCODER_FINGERPRINT")
