"""A changed expert never stops the others: probation, rows that fit no more, and what every verb says of them."""
import json
import re
import shutil
import unittest

from harness import SAMPLES, EndToEnd, run


class Upgrades(EndToEnd):
    def upgraded(self, *more):
        """A registry in which news-words was trained again after the gate was fitted."""
        registry = self.registry()
        done = run("train-expert", "news-words", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--force", *more, *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(list((registry / "experts/news-words").iterdir())), 2, "both versions lie side by side")
        return registry

    def experts_of_gate(self, registry):
        return set(re.findall(r'^name = "(.*)"', (registry / "gate/gate.toml").read_text(), re.M))

    def predict(self, registry, *more):
        return run("predict", "-", "--registry", registry, *more, stdin="the striker scored twice before half time\n")

    def state(self, registry, name):
        why = json.loads(run("experts", "why", name, "--registry", registry, "--json").stdout)
        listed = json.loads(run("experts", "list", "--registry", registry, "--json").stdout)["experts"]
        report = json.loads(self.eval(registry, "--json").stdout)["experts"]
        states = {why["state"], *(e["state"] for e in listed + report if e["name"] == name)}
        self.assertEqual(len(states), 1, "why, list and eval say the same")
        return states.pop(), why

    def test_an_upgraded_expert_has_the_row_of_the_one_before_on_probation(self):
        registry = self.upgraded("--seed", 7)
        done = self.predict(registry)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("expert news-words is on probation", done.stderr)
        self.assertIn("train-gate", done.stderr)
        self.assertIn("news-words", json.loads(done.stdout)["experts"])
        state, why = self.state(registry, "news-words")
        self.assertEqual(state, "on probation")
        self.assertRegex(why["reason"], r"fitted for news-words 1\.0\.0 \([0-9a-f]{12}\), installed is 1\.\S+ \([0-9a-f]{12}\)")
        self.assertEqual(self.state(registry, "news-adapter")[0], "ready")
        added = run("experts", "add", self.package(registry, "news-words"), "--registry", registry)
        self.assertIn("on probation; next: fit its row again with `moecollab grow news-words`, or all rows with `moecollab train-gate`", added.stdout, "the same again: installed already")
        for verb in (self.predict(registry, "--strict"), self.eval(registry, "--strict")):
            self.assertRefused(verb, 4, "E_GATE", "news-words", "probation", "--strict")
        grown = run("grow", "news-words", *self.data("train"), *self.options(registry)[:-1])
        self.assertEqual(grown.returncode, 0, grown.stderr)
        self.assertIn("expert news-words gets a new row: the one that it has was fitted for news-words 1.0.0", grown.stderr)
        self.assertEqual(self.state(registry, "news-words")[0], "ready")
        self.assertEqual(self.experts_of_gate(registry), self.experts_of_gate(self.shared / "registry"))
        grown = run("grow", "news-words", *self.data("train"), *self.options(registry))
        self.assertRefused(grown, 2, "E_CONFIG", "news-words has a row in the gate already", "train-gate")
        self.assertEqual(run("train-gate", *self.data("train"), *self.options(registry)).returncode, 0)
        self.assertNotIn("probation", self.predict(registry, "--strict").stderr)

    def test_the_policy_may_cap_it_until_the_gate_is_fitted(self):
        registry = self.upgraded("--seed", 7)
        settings = registry / "registry.toml"
        settings.write_text(settings.read_text() + "\n[policy]\nprobation_weight_cap = 0.01\n")
        experts = json.loads(self.predict(registry).stdout)["experts"]
        self.assertLessEqual(experts["news-words"], 0.010001)
        self.assertGreater(sum(experts.values()), 0.99, "the others share the rest")
        self.assertEqual(run("train-gate", *self.data("train"), *self.options(registry)).returncode, 0)
        self.assertGreater(json.loads(self.predict(registry).stdout)["experts"]["news-words"], 0.01)
        settings.write_text(settings.read_text().replace("cap = 0.01", "cap = 1.5"))
        self.assertRefused(self.predict(registry), 4, "E_REG_SCHEMA", "must be above 0 and at most 1, not 1.5")

    def test_one_that_cannot_be_compared_is_left_out_and_the_others_share_its_weight(self):
        registry = self.upgraded("--seed", 7)
        shutil.rmtree(registry / "experts/news-words/1.0.0")
        done = self.predict(registry)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: expert news-words takes no part, the others share its weight", done.stderr)
        experts = json.loads(done.stdout)["experts"]
        self.assertNotIn("news-words", experts)
        self.assertGreater(sum(experts.values()), 0.99)
        state, why = self.state(registry, "news-words")
        self.assertEqual((state, "not here to be compared" in why["reason"]), ("gate mismatch", True))
        self.assertRefused(self.predict(registry, "--strict"), 4, "E_GATE", "news-words", "left out", "not here to be compared")
        settings = registry / "registry.toml"
        text = settings.read_text()
        settings.write_text(text.replace('name = "news-words"\n', 'name = "news-words"\nrequired = true\n'))
        self.assertRefused(self.predict(registry), 4, "E_GATE", "news-words is required")

    def edit(self, registry, name, before, after):
        manifest = registry / f"experts/{name}/1.0.0/expert.toml"
        text = manifest.read_text()
        self.assertIn(before, text)
        manifest.chmod(0o644)
        manifest.write_text(text.replace(before, after, 1))
        return manifest, text

    def test_an_edited_manifest_takes_no_part_and_no_verb_adopts_it(self):
        registry = self.registry()
        good = self.folder / "good"
        shutil.copytree(self.package(registry, "news-words"), good)
        manifest, text = self.edit(registry, "news-words", 'vendor = "', 'vendor = "Not ')
        lock = (registry / "registry.lock.toml").read_bytes()
        state, why = self.state(registry, "news-words")
        self.assertEqual((state, why["code"]), ("gate mismatch", "E_PLUG_DIGEST"))
        self.assertIn("is not the one that was installed", why["reason"])
        self.assertIn("experts lock", why["hint"])
        done = self.predict(registry)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("expert news-words takes no part, the others share its weight: news-words 1.0.0: expert.toml is not the one", done.stderr)
        self.assertNotIn("news-words", json.loads(done.stdout)["experts"])
        self.assertRefused(self.predict(registry, "--strict"), 4, "E_GATE", "news-words", "not the one that was installed")
        verified = run("experts", "verify", "--registry", registry)
        self.assertEqual(verified.returncode, 5, verified.stdout)
        self.assertIn("E_PLUG_DIGEST", verified.stdout)
        self.assertEqual(run("registry", "check", "--registry", registry).returncode, 5)
        self.assertEqual((registry / "registry.lock.toml").read_bytes(), lock)
        self.assertEqual(run("experts", "lock", "--check", "--registry", registry).returncode, 4)
        added = run("experts", "add", good, "--registry", registry)
        self.assertEqual((added.returncode, manifest.read_text()), (0, text), added.stderr)
        self.assertEqual(self.state(registry, "news-words")[0], "ready", "put right")
        self.edit(registry, "news-words", 'vendor = "', 'vendor = "Not ')
        self.assertEqual(run("experts", "lock", "--registry", registry).returncode, 0)
        state, why = self.state(registry, "news-words")
        self.assertEqual(state, "gate mismatch", "its row was fitted for the other one")
        self.assertIn("it takes no part until its row is fitted again", why["reason"])
        added = run("experts", "add", good, "--registry", registry)
        self.assertEqual((added.returncode, manifest.read_text()), (0, text), added.stderr)
        self.assertEqual(self.state(registry, "news-words")[0], "ready", "what the history knows goes back to its place")

    def test_a_fit_takes_an_edited_expert_and_says_so(self):
        registry = self.registry()
        self.edit(registry, "news-words", 'vendor = "', 'vendor = "Not ')
        done = run("train-gate", *self.data("train"), *self.options(registry)[:-1])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("it is fitted as it is now", done.stderr)
        state, why = self.state(registry, "news-words")
        self.assertEqual((state, why["code"]), ("ready", "E_PLUG_DIGEST"))
        self.assertIn("the gate was fitted for it as it is now", self.predict(registry).stderr)
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 5)
        self.assertEqual(run("experts", "lock", "--registry", registry).returncode, 0)
        state, why = self.state(registry, "news-words")
        self.assertEqual((state, why["code"]), ("ready", None))

    def test_a_version_whose_folder_was_lost_may_be_made_again(self):
        registry = self.registry()
        shutil.rmtree(registry / "experts/news-words")
        done = run("train-expert", "news-words", "--kind", "lexical", "--domain", "news", "--data-dir", SAMPLES, "--seed", 2, *self.options(registry))
        self.assertEqual(done.returncode, 0, done.stderr)
        state, why = self.state(registry, "news-words")
        self.assertEqual((state, why["code"]), ("gate mismatch", None), "another package than the gate was fitted for")
        self.assertEqual(run("experts", "lock", "--check", "--registry", registry).returncode, 0)

    def test_whoever_was_edited_is_blamed(self):
        registry = self.registry()
        self.edit(registry, "news-adapter", '"sports"', '"games"')
        states = {e["name"]: (e["state"], e["code"]) for e in json.loads(run("experts", "list", "--registry", registry, "--json").stdout)["experts"]}
        self.assertEqual(states["news-words"], ("ready", None))
        self.assertEqual(states["news-adapter"], ("refused", "E_DESC_LABELS"))

    def test_add_selects_what_it_judged(self):
        registry = self.upgraded("--seed", 7)
        first = self.folder / "first"
        shutil.copytree(registry / "experts/news-words/1.0.0", first)
        self.assertEqual(run("experts", "remove", "news-words", "--registry", registry).returncode, 0)
        added = run("experts", "add", first, "--registry", registry)
        self.assertRegex(added.stdout, r"^news-words 1\.0\.0 installed", added.stderr)
        self.assertNotIn("which registry.toml selects", added.stdout)
        why = json.loads(run("experts", "why", "news-words", "--registry", registry, "--json").stdout)
        self.assertEqual((why["version"], why["newer"]), ("1.0.0", "1.0.1"))

    def test_a_gate_that_cannot_be_read_is_said(self):
        registry = self.registry()
        tensors = registry / "gate/gate.safetensors"
        tensors.write_bytes(tensors.read_bytes()[:-1])
        why = json.loads(run("experts", "why", "news-words", "--registry", registry, "--json").stdout)
        self.assertEqual((why["state"], why["code"]), ("unrouted", "E_GATE"))
        self.assertIn("`moecollab experts lock` puts back", why["hint"])
        self.assertRefused(run("registry", "export", self.folder / "pool.moecreg", "--registry", registry), 4, "E_REG_IO", "gate/gate.safetensors")
        self.assertEqual(run("experts", "pin", "feelings", "--registry", registry).returncode, 0)
        self.assertEqual(self.predict(registry).stderr, "")
        self.assertEqual(run("registry", "check", "--registry", registry).returncode, 0)

    def test_a_lock_that_went_is_said(self):
        registry = self.upgraded("--seed", 7)
        self.assertEqual(run("experts", "rollback", "--registry", registry).returncode, 0)
        lock, answer = (registry / "registry.lock.toml").read_bytes(), self.predict(registry).stdout
        (registry / "registry.lock.toml").unlink()
        self.assertEqual(self.predict(registry).stdout, answer, "not of the version that was rolled back")
        self.assertIn("registry.lock.toml, which the last change wrote, is missing", self.predict(registry).stderr)
        check = run("registry", "check", "--registry", registry)
        self.assertEqual(check.returncode, 4)
        self.assertIn("E_REG_MISSING: registry.lock.toml", check.stdout)
        self.assertEqual(run("experts", "verify", "--registry", registry).returncode, 0)
        self.assertEqual((registry / "registry.lock.toml").read_bytes(), lock)

    def test_a_disabled_expert_is_no_upgrade(self):
        registry = self.registry()
        settings = registry / "registry.toml"
        settings.write_text(settings.read_text().replace('name = "news-words"\n', 'name = "news-words"\nenabled = false\n'))
        done = self.predict(registry, "--strict")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_add_says_which_version_is_selected(self):
        registry = self.upgraded("--seed", 7)
        self.assertEqual(run("experts", "pin", "news-words", "--to", "1.0.0", "--allow-downgrade", "--registry", registry).returncode, 0)
        added = run("experts", "add", self.package(registry, "news-words"), "--registry", registry)
        self.assertRegex(added.stdout, r"; ready is 1\.0\.0, which registry.toml selects\n", added.stderr)

    def test_two_rows_of_one_expert_are_refused(self):
        registry = self.registry()
        gate = registry / "gate/gate.toml"
        gate.write_text(gate.read_text().replace('name = "news-words"', 'name = "news-adapter"'))
        self.assertRefused(self.predict(registry), 4, "E_GATE", "two rows for news-adapter")

    def test_other_labels_are_no_probation(self):
        registry = self.registry()
        data = self.write("news.jsonl", "".join(json.dumps({"text": f"{word} number {i}", "label": label}) + "\n"
                                                for i in range(8) for word, label in (("goal", "sports"), ("share", "business"))))
        shutil.rmtree(registry / "experts/news-words")
        other = self.folder / "other"
        done = run("train-expert", "news-words", "--kind", "lexical", "--domain", "news", f"--data=news={data}", "--registry", other,
                   "--encoder", json.loads(run("doctor", "--registry", registry, "--json").stdout)["encoder"]["folder"], "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        shutil.copytree(self.shared / "registry/experts/news-words/1.0.0", registry / "experts/news-words/1.0.0")
        newer = registry / "experts/news-words/1.1.0"
        shutil.copytree(other / "experts/news-words/1.0.0", newer)
        manifest = newer / "expert.toml"
        manifest.chmod(0o644)
        text = manifest.read_text()
        mine, theirs = json.loads(run("experts", "list", "--registry", other, "--json").stdout)["experts"][0]["id"], \
            json.loads(run("experts", "list", "--registry", self.shared / "registry", "--json").stdout)["experts"]
        theirs = next(e["id"] for e in theirs if e["name"] == "news-words")
        head, _, tail = text.partition("[expert]")
        manifest.write_text(head + "[expert]" + tail.replace(mine, theirs).replace('version = "1.0.0"', 'version = "1.1.0"', 1).replace(
            '[task]\n', '[task]\npartial = true\n').replace('partial = false\n', ''))
        (registry / "registry.lock.toml").unlink()  # which selects the version before,
        shutil.rmtree(registry / "history")  # as the copy does that this has
        state, why = self.state(registry, "news-words")
        self.assertEqual(state, "gate mismatch", why)
        self.assertIn("its labels was", why["reason"])
        self.assertEqual(self.predict(registry).returncode, 0)


if __name__ == "__main__":
    unittest.main()
