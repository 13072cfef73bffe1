"""The SDK's reference: Doxygen builds it from the headers without a warning, and nothing that an author calls is undocumented."""
import pathlib
import re
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "sdk" / "include" / "moecollab"
FILTER = ROOT / "docs" / "reference" / "doc_comments.py"
EXTENSIONS = sorted(path.stem for path in (INCLUDE / "ext").glob("*.h"))


def text_of(element):
    parts = (element.find(tag) for tag in ("briefdescription", "detaileddescription"))
    return " ".join("".join(part.itertext()).strip() for part in parts if part is not None).strip()


class Reference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="moecollab-reference.")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        settings = f"@INCLUDE = docs/reference/Doxyfile\nOUTPUT_DIRECTORY = {cls.folder}\nGENERATE_XML = YES\nXML_PROGRAMLISTING = NO\n"
        cls.done = subprocess.run(["doxygen", "-"], input=settings, cwd=ROOT, capture_output=True, text=True, timeout=300)
        cls.compounds = {}
        for file in (cls.folder / "xml").glob("*.xml"):
            for compound in ElementTree.parse(file).getroot().iter("compounddef"):
                cls.compounds[compound.findtext("compoundname")] = compound

    def test_doxygen_has_no_warning(self):
        self.assertEqual((self.done.returncode, self.done.stdout, self.done.stderr), (0, "", ""))
        self.assertIn("The expert SDK's reference", (self.folder / "html" / "index.html").read_text())

    def test_what_authors_start_from_has_a_page(self):
        self.assertEqual(EXTENSIONS, ["encoder", "fit", "params", "state", "train"])
        for name in ("moec_library", "moec_batch", "moec_create_info", "moecollab::Expert", "moecollab::TorchExpert", "moecollab::Trainable",
                     *(f"moec_ext_{extension}" for extension in EXTENSIONS)):
            with self.subTest(name=name):
                compound = self.compounds[name]
                self.assertGreater(len(text_of(compound)), 20)
                page = (self.folder / "html" / f"{compound.get('id')}.html").read_text()
                self.assertIn("Detailed Description", page)

    def test_nothing_that_is_called_is_undocumented(self):
        """But for constructors, destructors, and getters without arguments, whose name says it."""
        bare = []
        for name, compound in self.compounds.items():
            if compound.get("kind") in ("struct", "class") and not text_of(compound):
                bare.append(name)
            for member in compound.iter("memberdef"):
                own, arguments = member.findtext("name"), member.findtext("argsstring") or ""
                pointer = member.get("kind") == "variable" and arguments.startswith(")(")
                if member.get("kind") != "function" and not pointer or member.get("prot") == "private":
                    continue
                getter = re.fullmatch(r"\(\) const", arguments)
                if own.lstrip("~") == name.split("::")[-1] or getter or text_of(member):
                    continue
                bare.append(f"{name}::{own}")
        self.assertEqual(bare, [])

    def test_the_filter_changes_comments_only(self):
        for header in sorted(INCLUDE.rglob("*.h*")):
            shown = subprocess.run([str(FILTER), str(header)], capture_output=True, text=True, check=True).stdout
            with self.subTest(header=header.name):
                source = header.read_text()
                self.assertEqual(shown.count("\n"), source.count("\n"))
                compiled = [subprocess.run(["g++", "-fpreprocessed", "-dD", "-E", "-P", "-x", "c++", "-"], input=text, capture_output=True, text=True, check=True).stdout.split()
                            for text in (source, shown)]
                self.assertEqual(*compiled)


if __name__ == "__main__":
    unittest.main()
