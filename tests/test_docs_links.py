"""The documents as a whole: links, options by name, nothing orphaned; and that test_docs.py sees what is wrong in one.
DOCS_PROGRAMS names the folder of the built examples."""
import contextlib
import io
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import test_docs
from support import commands, docs_folder, markdown, script
from support.docs_folder import ROOT

PROGRAMS = pathlib.Path(os.environ.get("DOCS_PROGRAMS", ""))
FOLDERS = ("docs", "benchmarks", "tests", "examples")  # where documents may lie, besides the top
FOREIGN = {"--logdir", "--cflags", "--libs",  # TensorBoard's, pkg-config's, mpirun's and SLURM's
           "--allow-run-as-root", "--oversubscribe", "--hostfile", "--bind-to", "--map-by", "--mca", "--mpi",
           "--cpus-per-task", "--ntasks-per-node", "--gpus-per-task", "--kill-on-bad-exit",
           "--wait", "--requeue", "--signal"}


def documents():
    """All but the records that benchmarks/ and scripts/gpu_day write."""
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).glob("**/*.md"))]
    return sorted(path for path in found if not re.match(r"\d{4}-\d\d-\d\d-", path.name))


def named(path):
    return os.path.relpath(path, ROOT)


def relative_links(path):
    for line, target in markdown.links(path.read_text()):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield line, (path.parent / file).resolve() if file else path, anchor


class Links(unittest.TestCase):
    maxDiff = None

    def test_they_lead_somewhere(self):
        broken = [f"{named(path)}:{line}: {named(target)}#{anchor}" for path in documents()
                  for line, target, anchor in relative_links(path)
                  if not target.exists() or anchor and anchor not in markdown.anchors(target.read_text())]
        self.assertEqual(broken, [])

    def test_names_that_link_to_code_stand_in_it(self):
        """[`name`](file): a page that leads through a file goes stale when the file's names change."""
        named_in_code = re.compile(r"\[`(\w+)`\]\(([^)#\s]+\.(?:h|cpp|cu|cmake|py))\)")
        missing = [f"{named(path)}: {name} is not in {target}" for path in documents()
                   for name, target in named_in_code.findall(path.read_text())
                   if not re.search(rf"\b{name}\b", (path.parent / target).read_text())]
        self.assertEqual(missing, [])

    def test_every_document_is_reached_from_the_readme(self):
        reached, new = set(), {ROOT / "README.md"}
        while new:
            reached |= new
            new = {target for path in new for _, target, _ in relative_links(path)
                   if target.suffix == ".md" and target.exists()} - reached
        self.assertEqual([named(path) for path in documents() if path not in reached], [])

    def test_the_readme_and_the_index_name_every_guide(self):
        guides = {path for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"}
        for index in (ROOT / "README.md", ROOT / "docs" / "README.md"):
            missing = guides - {target for _, target, _ in relative_links(index)}
            self.assertEqual(sorted(map(named, missing)), [], f"not in {named(index)}")


class Names(unittest.TestCase):
    maxDiff = None

    def test_options_in_the_text_exist(self):
        programs = [path for path in PROGRAMS.iterdir() if path.is_file() and os.access(path, os.X_OK)]
        scripts = [*(path for path in (ROOT / "scripts").iterdir() if path.is_file()), ROOT / ".ci" / "run"]
        python = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tests/test_*.py")]
        known = "".join([*(commands.help_of(str(path)) for path in [*programs, *scripts]),
                         *(commands.help_of("python3", str(path)) for path in python if "ArgumentParser" in path.read_text()),
                         commands.cmake_help(), commands.help_of("ctest"),
                         *(commands.options_added(path.read_text()) for path in ROOT.glob("benchmarks/*.cpp"))])
        unknown = [f"{named(path)}:{line}: {option}" for path in documents()
                   for line, text in enumerate(markdown.prose(path.read_text()).splitlines(), 1)
                   for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)
                   if option not in FOREIGN and not commands.has_option(known, option)]
        self.assertEqual(unknown, [])

    def test_only_what_is_added_is_an_option_of_a_source(self):
        source = 'app.add_option("--one", x, "As --three");\napp.add_flag(\n    "!-t,--two", y);  // --four\n'
        self.assertEqual(commands.options_added(source), "--one\n-t,--two\n")

    def test_the_changelog_begins_with_this_version(self):
        version = re.search(r"project\(simclr VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
        newest = re.search(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)
        self.assertEqual(newest and newest[1], version)


class Runner(unittest.TestCase):
    """test_docs.py over documents with one fault each."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        (cls.folder / "root").mkdir()
        cls.environment = docs_folder.make(cls.folder / "root", PROGRAMS, PROGRAMS)

    def said_of(self, text, kind=test_docs.Document):
        path = self.folder / "guide.md"
        path.write_text(text)
        document = kind(path, self.folder / "root", self.environment, PROGRAMS)
        with contextlib.redirect_stdout(io.StringIO()) as said:
            failures, _ = document.check()
        self.assertEqual(failures > 0, said.getvalue() != "")
        return said.getvalue()

    def test_good_ones_pass(self):
        for text in (
                "```sh\necho 1 apple\necho 2; echo 3\n```\n\nprints\n\n```text\n1 apple\n...\n3\n```\n",
                "```sh\necho a lot\n```\n```text\na ...\n```\n",
                "<!-- test: figures vary -->\n```sh\necho '12.5 %,  in 1 min 07 s'\n```\n```text\n7 %, in 3 s\n```\n",
                "<!-- test: figures vary -->\n```sh\necho in 1 step, 1\n```\n```text\nin 12 steps, 3\n```\n",
                "<!-- test: fails -->\n```sh\ntrain_cifar --optimizer adam\n```\n```text\ntrain_cifar: ...\n```\n",
                "<!-- test: prints nothing -->\n```sh\ntrue\n```\n",
                "<!-- test: in a copy -->\n```sh\nsudo apt-get install g++  # what builds it\ncmake --preset cpu "
                "-DSIMCLR_CUDA=OFF \\\n  && train_cifar --epochs=3 | tee log\n```\n```text\nnot compared\n```\n",
                "<!-- test: figures within 10 % -->\n```sh\necho 2.00 3\n```\n```text\n2.1 3\n```\n",
                "```sh\nseq 9\n```\n```text\n1\n...\n```\n<!-- test: printed above -->\n```text\n4\n5\n```\n",
                "<!-- run: echo 7 >seven -->\n```sh\ncat seven\n```\n```text\n7\n```\n",
                "```python\nprint(1 + 1)\n```\n```text\n2\n```\n",
                '```json\n{"epochs": 3, "augmentation": {"hue": 0.2}}\n```\n',
                '```json\n{"event": "step", "loss": 1.0}\n{"event": "knn"}\n```\n'):
            with self.subTest(text=text):
                self.assertEqual(self.said_of(text), "")

    def test_bad_ones_do_not(self):
        for text, words in (
                ("```sh\necho 1\n```\n", "what does it print?"),
                ("```sh\ntrue\n```\n\n```sh\ntrue\n```\n```text\n```\n", "what does it print?"),
                ("```sh\necho 1\n```\n```text\n2\n```\n", "it prints something else"),
                ("```sh\necho 1; echo 2\n```\n```text\n1\n```\n", "it prints something else"),
                ("<!-- test: prints nothing -->\n```sh\necho 1\n```\n", "it prints something else"),
                ("<!-- test: figures vary -->\n```sh\necho nan %\n```\n```text\n7 %\n```\n", "figures apart"),
                ("<!-- test: figures vary -->\n```sh\necho 1 step\n```\n```text\n7 yes\n```\n", "figures apart"),
                ("<!-- test: figures within 10 % -->\n```sh\necho 2.00 3\n```\n```text\n2.0 2\n```\n", "3, not 2"),
                ("```sh\nseq 9\n```\n```text\n1\n...\n```\n<!-- test: printed above -->\n```text\n5\n4\n```\n",
                 "it prints something else"),
                ("<!-- run: cat seven eight -->\n```sh\ntrue\n```\n", "cat seven eight: exit code 1"),
                ("```sh\necho 1; false\n```\n```text\n1\n```\n", "exit code 1"),
                ("<!-- test: fails -->\n```sh\necho 1\n```\n```text\n1\n```\n", "exit code 0"),
                ("<!-- test: whatever -->\n```sh\necho 1\n```\n```text\n1\n```\n", "means nothing"),
                ("```\nls\n```\n", "no command prints"),
                ("```console\n$ ls\n```\n", "no command prints"),
                ("```text\nstray\n```\n", "no command prints"),
                ("```cpp\nint main() {}\n```\n", "nothing compiles it"),
                ("```cmake\nadd_subdirectory(whatever)\n```\n", "nothing configures it"),
                ('```json\n{"epoch": 3}\n```\n', 'did you mean "epochs"?'),
                ("```json\n{3}\n```\n", "no JSON"),
                ("```python\nprint(1 / 0)\n```\n```text\n...\n```\n", "ZeroDivisionError")):
            with self.subTest(text=text):
                self.assertIn(words, self.said_of(text))

    def test_commands_for_a_copy_are_looked_at(self):
        for command, words in (
                ("train_cifar --epoch 3", "--epoch is not in"),
                ("train_cifars --epochs 3", "no program train_cifars"),
                ("scripts/test --quik", "--quik is not in"),
                ("scripts/tests", "no scripts/tests"),
                ("python3 tests/test_kills.py --kill 3", "--kill is not in"),
                ("cmake --preset fast", "fast is no preset"),
                ("cmake --preset cpu -DSIMCLR_CUDAA=ON", "SIMCLR_CUDAA is no option"),
                ("true && scripts/download cifar10 --tries 3", "--tries is not in")):
            with self.subTest(command=command):
                self.assertIn(words, self.said_of(f"<!-- test: in a copy -->\n```sh\n{command}\n```\n"))

    def test_in_a_copy_they_run(self):
        guide = script.load(ROOT / "scripts" / "test_guides").Guide
        for text, words in (
                ("```sh\necho 1\n```\n```text\n2\n```\n<!-- test: in a copy -->\n```sh\necho 1\n```\n```text\n1\n```\n", ""),
                ("<!-- test: in a copy; with --more -->\n```sh\necho 1\necho 2\n```\n```text\n1\n2 --more\n```\n", ""),
                ("<!-- test: in a copy; with a toy GPU -->\n```sh\nnvidia-smi\n```\n```text\nNVIDIA Toy...\n```\n", ""),
                ("<!-- test: in a copy -->\n```sh\necho 1\n```\n```text\n2\n```\n", "it prints something else"),
                ("<!-- test: in a copy -->\n```sh\necho 1\n```\n", "what does it print?")):
            with self.subTest(text=text):
                self.assertIn(words, said := self.said_of(text, guide))
                self.assertEqual(said == "", words == "")


if __name__ == "__main__":
    unittest.main()
