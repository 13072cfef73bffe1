"""One verb on several ranks: equal results, refused differences, and ranks that die."""
import json
import os
import shutil
import subprocess
import time
import unittest

from harness import BUILD, ENCODER, PROGRAM, ROOT, SAMPLES, EndToEnd, clean_environment, run, without_times

MPIRUN = shutil.which("mpirun")
TIMEOUT = 4  # seconds that a rank may be silent
# What a rank does when it is ended, the moment for rank 0 and for another, and whether the file may be there afterwards.
PHASES = {
    "compares the command": ("letter:handshake", "letter:handshake"),
    "reads the texts": ("open:texts.txt", "open:texts.txt"),
    "encodes": ("after:model loaded", "after:model loaded"),
    "hands out features": ("letter:features", "letter:features"),
    "writes, or waits for that": ("rename:features.safetensors", "letter:moecollab/1 G"),
}


def mpirun(ranks, *arguments, env=None, cwd=None, program=PROGRAM, shell=None, tagged=False, before=(), options=()):
    """The program on so many ranks; tagged, "[1,RANK]<stderr>:" begins each line (and breaks those that are long)."""
    command = [str(program), *map(str, arguments)]
    if shell:
        command = ["sh", "-c", shell + ' && exec "$0" "$@"', *command]
    preload = [word for name in (env or {}) for word in ("-x", name)]
    return subprocess.run([*before, MPIRUN, *options, "--oversubscribe", "--bind-to", "none", *(["--tag-output"] if tagged else []), *preload, "-n", str(ranks), *command],
                          capture_output=True, text=True, cwd=cwd, timeout=120,
                          env={**clean_environment(), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **(env or {})})


def without_seconds(parts):
    return [{key: value for key, value in part.items() if key != "seconds"} for part in parts]


@unittest.skipUnless(MPIRUN and (BUILD / "lib" / "libmoecollab_mpi.so").exists(), "this machine has no Open MPI, or the build has none")
class OnRanks(EndToEnd):
    def texts(self, count=400):
        lines = [json.loads(line)["text"] for split in ("train", "dev") for line in (SAMPLES / "news" / f"{split}.jsonl").read_text().splitlines()]
        return self.write("texts.txt", "\n".join((lines * (1 + count // len(lines)))[:count]) + "\n")

    def encode(self, ranks, texts, output, *more, **how):
        return mpirun(ranks, "encode", "--input", texts, "--output", output, "--encoder", ENCODER, "--format", "lines", "--threads", 1, "--quiet", *more, **how)

    def assertEnded(self, done, status):
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)

    def test_encode_gives_the_same_bytes_on_1_2_4_and_8_ranks(self):
        texts = self.texts(60)
        for ranks in (1, 2, 4, 8):
            self.assertEnded(self.encode(ranks, texts, self.folder / f"{ranks}.safetensors", "--hidden", 3), 0)
        done = run("encode", "--input", texts, "--output", self.folder / "alone.safetensors", "--encoder", ENCODER, "--format", "lines", "--threads", 1,
                   "--quiet", "--hidden", 3)
        self.assertEnded(done, 0)
        first = (self.folder / "1.safetensors").read_bytes()
        self.assertGreater(len(first), 60 * 384 * 4)
        for ranks in (2, 4, 8, "alone"):
            self.assertEqual((self.folder / f"{ranks}.safetensors").read_bytes(), first, f"{ranks} ranks")

    def test_fewer_texts_than_ranks(self):
        texts = self.write("texts.txt", "one\nand another one\n")
        for ranks in (1, 4):
            self.assertEnded(self.encode(ranks, texts, self.folder / f"{ranks}.safetensors"), 0)
        self.assertEqual((self.folder / "4.safetensors").read_bytes(), (self.folder / "1.safetensors").read_bytes())

    def test_eval_gives_the_same_report_as_one_process(self):
        registry = self.registry()
        arguments = ["eval", *self.data("dev"), "--registry", registry, "--threads", 1, "--no-cache", "--json"]
        reports = []
        for ranks in (1, 2, 4):
            done = mpirun(ranks, *arguments)
            self.assertEnded(done, 0)
            self.assertEqual(len(done.stdout.splitlines()), 1, "one rank prints")
            reports.append(without_times(json.loads(done.stdout)))
        alone = subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, env=clean_environment(), timeout=120)
        for report in reports[1:]:
            self.assertEqual(report, reports[0])
        self.assertEqual(reports[0], without_times(json.loads(alone.stdout)))

    def test_an_evaluation_with_all_that_it_can_ask_for_and_a_missed_bound(self):
        arguments = ["eval", *self.data("dev"), "--registry", self.registry(), "--threads", 1, "--no-cache", "--json", "--quiet", "--top-k", 1, "--diagnose",
                     "--arrangement", "separate"]
        first, third = (mpirun(ranks, *arguments) for ranks in (1, 3))
        self.assertEqual(without_times(json.loads(third.stdout)), without_times(json.loads(first.stdout)))
        missed = mpirun(2, *arguments, "--require", "accuracy>=2")
        lines = [json.loads(line) for line in missed.stdout.splitlines()]
        self.assertEqual((missed.returncode, len(lines), lines[1]["error"]["code"]), (6, 2, "E_REQUIRE"), missed.stdout[-500:])

    def test_train_gate_writes_the_same_gate_as_one_process(self):
        gates = []
        for ranks in (0, 2, 4):
            registry = self.folder / f"registry{ranks}"
            shutil.copytree(self.shared / "registry", registry)
            shutil.rmtree(registry / "gate")
            (self.folder / "here").unlink(missing_ok=True)
            (self.folder / "here").symlink_to(registry)  # so that the command is the same
            arguments = ["train-gate", *self.data("train"), "--registry", "here", "--threads", 1, "--no-cache", "--epochs", 5, "--quiet"]
            done = mpirun(ranks, *arguments, cwd=self.folder) if ranks else subprocess.run(
                [str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, env=clean_environment(), cwd=self.folder, timeout=120)
            self.assertEnded(done, 0)
            gates.append({name: (registry / "gate" / name).read_bytes() for name in ("gate.toml", "gate.safetensors")})
        for gate in gates[1:]:
            self.assertEqual(gate, gates[0])

    def test_sweep_deals_its_points_out_and_continues_after_a_rank_died(self):
        arguments = ["sweep", *self.data("train"), "--registry", self.registry(), "--lambda1", 0, 0.1, "--lambda2", 0, 0.1, "--epochs", 3, "--gate", "linear",
                     "--threads", 1, "--quiet", "--json", "--out", "out"]
        alone = subprocess.run([str(PROGRAM), *map(str, arguments), "--cache-dir", str(self.shared / "cache")], capture_output=True, text=True,
                               env=clean_environment(), cwd=self.folder, timeout=120)
        self.assertEnded(alone, 0)
        for rank in (0, 1):
            (self.folder / f"host{rank}").mkdir()
        (self.folder / "host0" / "out").mkdir()
        points = self.folder / "host0" / "out" / "points.jsonl"
        # The mark shows that a finished point is taken as it is, although only the first rank sees it.
        points.write_text((self.folder / "out" / "points.jsonl").read_text().splitlines(keepends=True)[0].replace('"skipped_steps":0', '"skipped_steps":77'))
        self.assertIn(":77", points.read_text())

        def on_two_hosts(*more, **how):
            return mpirun(2, *arguments, *more, cwd=self.folder, shell="cd host$OMPI_COMM_WORLD_RANK", tagged=True, **how)

        killed = on_two_hosts("--dist-timeout", TIMEOUT, env={"LD_PRELOAD": self.killer_of_ranks(), "KILL_RANK": "1", "KILL_AT": "letter:results of points", "KILL_HOW": "kill"})
        self.assertNotEqual(killed.returncode, 0)
        self.assertRegex(killed.stderr, r"\[1,0\]<stderr>:error: E_DIST: rank 1 \(host ")
        self.assertIn(":77", points.read_text())
        self.assertTrue(all(json.loads(line)["digest"] for line in points.read_text().splitlines()))
        done = on_two_hosts()
        self.assertEnded(done, 0)
        self.assertFalse((self.folder / "host1" / "out").exists(), "one rank writes")
        shared, expected = (without_seconds(json.loads(path.read_text())["points"]) for path in (points.with_name("sweep.json"), self.folder / "out" / "sweep.json"))
        self.assertEqual(shared[0].pop("skipped_steps"), 77)
        self.assertEqual(expected[0].pop("skipped_steps"), 0)
        self.assertEqual(len(expected), 4)
        self.assertEqual(shared, expected)

    def test_ablate_deals_its_steps_out(self):
        for domain in ("news", "emotion"):
            shutil.copytree(SAMPLES / domain, self.folder / "samples" / domain)
        for rank in (0, 1):
            (self.folder / f"host{rank}").mkdir()
        registry = self.registry()
        linear = run("train-gate", "--data-dir", self.folder / "samples", *self.options(registry), "--gate", "linear", "--epochs", 2)  # which is fast to fit again
        self.assertEnded(linear, 0)
        arguments = ["ablate", "--data-dir", self.folder / "samples", "--registry", registry, "--only", "features,single,padding", "--threads", 1, "--quiet",
                     "--json", "--out", "out"]
        alone = subprocess.run([str(PROGRAM), *map(str, arguments), "--cache-dir", str(self.shared / "cache")], capture_output=True, text=True,
                               env=clean_environment(), cwd=self.folder, timeout=120)
        self.assertEnded(alone, 0)
        done = mpirun(2, *arguments, cwd=self.folder, shell="cd host$OMPI_COMM_WORLD_RANK")
        self.assertEnded(done, 0)
        shared, expected = json.loads(done.stdout), json.loads(alone.stdout)
        self.assertEqual(len(expected["steps"]), 4 + 3 + 4)
        self.assertEqual(without_seconds(shared["steps"]), without_seconds(expected["steps"]))
        self.assertEqual(*({key: found[key] for key in ("digest", "reference", "impact")} for found in (shared, expected)))
        self.assertEqual(sorted(path.name for path in (self.folder / "host0" / "out").iterdir()),
                         ["ablation.html", "ablation.json", "ablation.md", "lock", "steps.jsonl"])
        self.assertFalse((self.folder / "host1" / "out").exists(), "one rank writes")

    def train_expert(self, ranks, registry, *more, kind="deep-adapter", env=None):
        return mpirun(ranks, "train-expert", "deep", "--kind", kind, "--domain", "news", "--data-dir", SAMPLES, "--registry", registry, "--encoder", ENCODER,
                      "--threads", 1, *more, env=env, tagged=env is not None)

    def test_train_expert_gives_the_same_weights_also_if_a_rank_died(self):
        deep = ["--epochs", 1, "--set", "depth=1"]

        def killed_run(ranks, victim, moment, *more):
            return self.train_expert(ranks, self.folder / "3", *deep, *more, env={
                "LD_PRELOAD": self.killer_of_ranks(), "KILL_RANK": victim, "KILL_AT": moment, "KILL_HOW": "kill"})

        killed = killed_run(2, "1", "letter:gradients of step 2")
        self.assertNotEqual(killed.returncode, 0)
        self.assertRegex(killed.stderr, r"\[1,0\]<stderr>:error: E_DIST: rank 1 \(host ")
        self.assertFalse((self.folder / "3" / "experts" / "deep").exists(), "nothing is installed")
        self.assertTrue(list((self.folder / "3" / "checkpoints" / "deep").glob("*.safetensors")), "the first rank saved what it had")
        self.assertIn("start the run again; what was learnt is kept: --resume continues", killed.stderr)
        alone = run("train-expert", "deep", "--kind", "deep-adapter", "--domain", "news", "--data-dir", SAMPLES, "--registry", self.folder / "3",
                    "--encoder", ENCODER, "--threads", 1, *deep, "--resume")
        self.assertIn("shards is 8 there, nothing here", alone.stderr)
        self.assertIn("start this with mpirun", alone.stderr)
        killed = killed_run(3, "0", "rename:registry.toml", "--resume")
        self.assertNotEqual(killed.returncode, 0)
        self.assertIn("continuing in phase choose, epoch 1", killed.stderr)
        lines, weights = {}, {}
        for ranks in (1, 3, *((4, 2) if os.environ.get("MOECOLLAB_SOAK") else ())):
            done = self.train_expert(ranks, self.folder / str(ranks), *deep, *(["--resume"] if ranks == 3 else []))
            self.assertEnded(done, 0)
            self.assertEqual("deep was trained already" in done.stderr, ranks == 3, done.stderr)
            lines[ranks], weights[ranks] = done.stdout, (self.package(self.folder / str(ranks), "deep") / "weights.safetensors").read_bytes()
            self.assertRegex(lines[ranks], r"held-out accuracy 0\.\d+ on 16 texts\n$")
            self.assertEqual(lines[ranks], lines[1])
            self.assertTrue(weights[ranks] == weights[1], f"{ranks} ranks learnt other weights")
            self.assertEqual(list((self.folder / str(ranks) / "checkpoints").iterdir()), [])

    def test_an_expert_that_learns_by_itself_is_refused_on_several_ranks(self):
        done = self.train_expert(2, self.folder / "registry", "--quiet", kind="lexical")
        self.assertEnded(done, 2)
        self.assertIn("kind lexical learns by itself, which only one rank can do; 2 were started", done.stderr)
        self.assertIn("start it without mpirun", done.stderr)
        self.assertFalse((self.folder / "registry" / "experts").exists())

    def refused(self, shell, *fragments, arguments=None, program=PROGRAM):
        """Rank r runs `shell`, with $R for its number, and then the same command."""
        done = mpirun(2, *(arguments or ["encode", "--input", "texts.txt", "--output", "out", "--format", "lines", "--encoder", ENCODER, "--threads", 1]),
                      cwd=self.folder, shell=f"R=$OMPI_COMM_WORLD_RANK && {shell}", program=program)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("error: E_DIST"), 2, done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stderr)
        self.assertFalse(list(self.folder.rglob("out")))

    def test_R54_other_texts_are_refused(self):
        for rank in (0, 1):
            (self.folder / f"host{rank}").mkdir()
            (self.folder / f"host{rank}" / "texts.txt").write_text(f"a text\nof rank {rank}\n")
        self.refused("cd host$R", "texts is ", "on rank 0 and", "on rank 1")

    def test_R54_another_seed_is_refused(self):
        for rank in (0, 1):
            (self.folder / f"host{rank}").mkdir()
            (self.folder / f"host{rank}" / "seed.toml").write_text(f"seed = {rank + 5}\n")
        self.refused("cd host$R", 'seed is "5" on rank 0 and "6" on rank 1', arguments=[
            "eval", *self.data("dev"), "--registry", self.registry(), "--config", "seed.toml", "--threads", 1])

    def test_R54_another_build_is_refused(self):
        texts = self.texts(5)
        for rank in (0, 1):
            (self.folder / f"host{rank}" / "bin").mkdir(parents=True)
            shutil.copy(PROGRAM, self.folder / f"host{rank}" / "bin" / "moecollab")
            (self.folder / f"host{rank}" / "lib").symlink_to(BUILD / "lib")
            shutil.copy(texts, self.folder / f"host{rank}")
        with open(self.folder / "host1" / "bin" / "moecollab", "ab") as program:
            program.write(b"another")
        self.refused("cd host$R", "build is ", "on rank 0 and", program="bin/moecollab")

    def test_R54_other_experts_and_another_gate_are_refused(self):
        for rank in (0, 1):
            shutil.copytree(self.shared / "registry", self.folder / f"host{rank}" / "registry")
        arguments = ["eval", *self.data("dev"), "--registry", "registry", "--threads", 1]
        gate = self.folder / "host1" / "registry" / "gate" / "gate.toml"
        gate.write_text(gate.read_text() + "# another\n")
        self.refused("cd host$R", "gate is ", "on rank 0 and", arguments=arguments)
        text = (self.folder / "host1" / "registry" / "registry.toml").read_text()
        (self.folder / "host1" / "registry" / "registry.toml").write_text(text.replace('name = "news-words"', 'name = "news-words"\nenabled = false', 1))
        self.refused("cd host$R", "expert news-words", arguments=arguments)

    def test_what_cannot_run_on_several_ranks_is_refused(self):
        done = mpirun(2, "predict", "--registry", self.shared / "registry", self.texts(3))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("predict runs on one rank, 2 were started", done.stderr)
        self.assertIn("encode", done.stderr)
        done = self.encode(9, self.texts(3), self.folder / "out")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("9 ranks were started, and work comes in 8 shards", done.stderr)

    def test_R54_what_one_rank_cannot_read_ends_all_with_its_error(self):
        (self.folder / "host0").mkdir()
        (self.folder / "host1").mkdir()
        (self.folder / "host0" / "texts.txt").write_text("a text\n")
        done = mpirun(2, "encode", "--input", "texts.txt", "--output", "out", "--format", "lines", "--encoder", ENCODER, cwd=self.folder,
                      shell="cd host$OMPI_COMM_WORLD_RANK", tagged=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stderr, r"\[1,0\]<stderr>:error: E_DATA\w*: rank 1 \(host [^)]*\): texts.txt")

    def killer_of_ranks(self):
        library = self.folder / "kill_rank.so"
        if not library.exists():
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, ROOT / "tests" / "e2e" / "kill_rank.c"], check=True)
        return str(library)

    def end_rank(self, ranks, victim, moment, how, **more):
        """Encodes while that rank is ended; all others must name it in time."""
        output = self.folder / "features.safetensors"
        output.write_text("as before")
        start = time.monotonic()
        done = self.encode(ranks, self.texts(), output, "--dist-timeout", TIMEOUT, tagged=True, **more,
                           env={"LD_PRELOAD": self.killer_of_ranks(), "KILL_RANK": str(victim), "KILL_AT": moment, "KILL_HOW": how})
        seconds = time.monotonic() - start
        self.assertNotEqual(done.returncode, 0, done.stderr)
        for rank in range(ranks):
            if rank != victim:
                self.assertRegex(done.stderr, rf"\[1,{rank}\]<stderr>:error: E_DIST: rank {victim} \(host ", f"rank {rank}\n{done.stderr}")
        self.assertLess(seconds, TIMEOUT + 5 + 10)  # and the run until then
        self.assertTrue(output.read_bytes() == b"as before" or len(output.read_bytes()) > 400 * 384 * 4, "half a file")

    def test_R54_a_rank_that_dies_is_named_by_all_others(self):
        self.end_rank(3, 1, "after:model loaded", "kill")
        self.end_rank(2, 0, "rename:features.safetensors", "kill")

    def test_R54_a_rank_that_hangs_is_named_by_all_others(self):
        self.end_rank(3, 2, "letter:features", "stop")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip") and shutil.which("nsenter"), "two hosts in network namespaces need root and iproute2")
    def test_R54_two_hosts_give_the_same_bytes_and_name_a_rank_that_dies(self):
        hosts = [str(ROOT / "tests" / "e2e" / "two_hosts.sh")]
        if subprocess.run([*hosts, "true"], capture_output=True).returncode != 0:
            self.skipTest("this system allows no network namespaces")
        texts = self.texts(60)
        self.assertEnded(self.encode(1, texts, self.folder / "one.safetensors"), 0)
        self.assertEnded(self.encode(2, texts, self.folder / "two.safetensors", before=hosts, options=["--host", "alpha:1,beta:1"]), 0)
        self.assertEqual((self.folder / "two.safetensors").read_bytes(), (self.folder / "one.safetensors").read_bytes())
        self.end_rank(2, 1, "after:model loaded", "kill", before=hosts, options=["--host", "alpha:1,beta:1"])

    @unittest.skipUnless(os.environ.get("MOECOLLAB_SOAK"), "MOECOLLAB_SOAK=1: two minutes")
    def test_R54_every_rank_in_every_phase(self):
        for phase, (of_first, of_others) in PHASES.items():
            for victim in range(5):
                with self.subTest(phase=phase, victim=victim):
                    self.end_rank(5, victim, of_others if victim else of_first, "kill")
                    print(f"rank {victim} dies while it {phase}: named by the 4 others", flush=True)


if __name__ == "__main__":
    unittest.main()
