"""What takes weights takes those of texts: embed, nearest, linear_probe and finetune. PROGRAMS names the folder of the built
examples.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from support.tiny_data import write_roles, write_texts

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
MAY_HAVE = "which may have been samples that are tested on here"


class TextPrograms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-texts-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write_texts(cls.folder)
        cls.call("train_text", "--data", "films.tsv", "--out", "run", "--epochs", "2", "--warmup-epochs", "0", "--width", "8",
                 "--batch-size", "16", "--knn-every", "0", "--no-evaluation", "--device", "cpu")

    @classmethod
    def call(cls, program, *arguments, code=0):
        done = subprocess.run([PROGRAMS / program, *arguments], cwd=cls.folder, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def test_embed_and_nearest(self):
        said = self.call("embed", "run", "films.tsv", "--out", "features")
        self.assertIn("features of 80 texts, 16 each", said)
        names = (self.folder / "features" / "files.txt").read_text().splitlines()
        rows = [line.split("\t")[1] for line in (self.folder / "films.tsv").read_text().splitlines()[1:]]
        self.assertEqual(names, rows)
        for more in ([], ["--features", "features"]):
            said = self.call("nearest", "run", rows[7], "films.tsv", "--k", "3", *more)
            self.assertIn(f"1.0000  {rows[7]}\n", said)
        said = self.call("nearest", "run", "a fine film", "sentences.txt", "--sheet", "a.png", code=1)
        self.assertIn("these weights are of texts", said)
        self.assertIn("is no valid UTF-8", self.call("embed", "run", "sentences.txt", "--out", "others"))
        self.assertIn("films.tsv", self.call("embed", "run", "films.tsv", "--out", "films.tsv", code=1))

    def test_linear_probe_and_finetune(self):
        said = self.call("linear_probe", "run", "--labels", "100", "--epochs", "5", "--json", "probe.json")
        self.assertIn("100 %", said)
        figures = json.loads((self.folder / "probe.json").read_text())
        self.assertEqual(figures["dataset"], "texts")
        self.assertNotIn("baseline", figures)
        said = self.call("linear_probe", "run", "--labels", "20,100", "--baseline", "--draws", "2", "--json", "beside.json")
        self.assertIn("TF-IDF:\n", said)
        beside = json.loads((self.folder / "beside.json").read_text())
        baseline = {(each["percent"], each["seed"]): each["linear"]["top1"] for each in beside["baseline"]}
        self.assertEqual(set(baseline), {(20, 0), (20, 1), (100, 0), (100, 1)})
        self.assertGreater(baseline[100, 0], 0.8)  # the words tell
        self.assertEqual([each["samples"] for each in beside["baseline"]], [each["samples"] for each in beside["results"]])
        self.assertIn("no labels", self.call("linear_probe", "run", "--data", "sentences.txt", code=1))
        self.call("finetune", "run", "--labels", "100", "--epochs", "2", "--out", "tuned", "--device", "cpu")
        # Its weights hold the tokenizer, too.
        self.assertIn("100 %", self.call("linear_probe", "tuned/labels-100.safetensors", "--data", "films.tsv", "--labels",
                                         "100", "--epochs", "2"))

    def train(self, out, *data):
        self.call("train_text", "--data", *data, "--out", out, "--epochs", "1", "--warmup-epochs", "0", "--width", "8",
                  "--batch-size", "16", "--knn-every", "0", "--no-evaluation", "--device", "cpu")

    def test_a_run_may_have_been_trained_on_what_is_tested_on(self):
        """Where its test part was changed since, not where further places were."""
        head, *rows = (self.folder / "films.tsv").read_text().splitlines()

        def write(rows, more):
            (self.folder / "changed.tsv").write_text("\n".join([head, *rows]) + "\n")
            (self.folder / "more.txt").write_text(more)

        write(rows, "one more text\nand another\n")
        self.train("changed-run", "changed.tsv::more.txt")
        for data in ([], ["--data", "changed.tsv"], ["--data", "./changed.tsv::./more.txt"]):
            with self.subTest(data=data):
                asked = ("linear_probe", "changed-run", *data, "--labels", "100", "--epochs", "2")
                write(rows, "yet one more text\nand another\n")
                self.assertNotIn(MAY_HAVE, self.call(*asked))
                write([row + " indeed" for row in rows], "one more text\nand another\n")
                self.assertIn(MAY_HAVE, self.call(*asked))

    def test_each_set_of_a_folder_is_known_again(self):
        sets = self.folder / "several"
        sets.mkdir()
        for name in ("subj.objective", "subj.subjective", "rt-polarity.neg", "rt-polarity.pos"):
            (sets / name).write_text("".join(f"a line of {name}, number {i}\n" for i in range(20)))
        self.train("several-run", "several", "--dataset", "mr")
        asked = ("linear_probe", "several-run", "--dataset", "subj", "--labels", "100", "--epochs", "2")
        self.assertNotIn(MAY_HAVE, self.call(*asked))
        (sets / "subj.objective").write_text("".join(f"a changed line, number {i}\n" for i in range(20)))
        self.assertIn(MAY_HAVE, self.call(*asked))
        self.assertNotIn(MAY_HAVE, self.call("linear_probe", "several-run", "--labels", "100", "--epochs", "2"))

    def test_files_that_are_read_are_not_replaced(self):
        """Not those of a published set in a further place, either."""
        sets = self.folder / "sets"
        sets.mkdir()
        for name in ("subj.objective", "subj.subjective"):
            (sets / name).write_text("".join(f"a line of {name}, number {i}\n" for i in range(20)))
        before = (sets / "subj.objective").read_bytes()
        said = self.call("linear_probe", "run", "--data", "films.tsv::sets", "--json", "sets/subj.objective", "--overwrite",
                         code=1)
        self.assertIn("is read here, and would be lost", said)
        self.assertEqual((sets / "subj.objective").read_bytes(), before)

    def test_data_sets_of_pictures_are_refused(self):
        said = self.call("linear_probe", "run", "--data", "films.tsv", "--dataset", "cifar10", code=1)
        self.assertIn("--dataset cifar10: is of pictures, and these weights are of texts; leave it out\n", said)

    def test_token_probe(self):
        write_roles(self.folder / "roles.conllu", 6)
        with (self.folder / "roles.conllu").open("a") as file:
            file.write("no number\n")
        said = self.call("token_probe", "run", "roles.conllu", "roles.conllu", "--least", "2", "--epochs", "2000", "--json",
                         "roles.json")
        self.assertIn("12 pairs of a word and a predicate to learn from, 12 to test on", said)
        self.assertIn("left out: 1 sentence with a line without a number", said)
        figures = json.loads((self.folder / "roles.json").read_text())
        self.assertEqual(figures["roles"], ["none", "ARG0", "ARG1"])
        self.assertEqual(figures["trained"]["macro_f1"], 1)
        said = self.call("token_probe", "run", "roles.conllu", "roles.conllu", "--least", "2", "--arguments", "--json",
                         "roles.json", "--overwrite")
        self.assertEqual(json.loads((self.folder / "roles.json").read_text())["roles"], ["ARG0", "ARG1"])
        self.assertIn("no role", self.call("token_probe", "run", "roles.conllu", "roles.conllu", code=1))
        self.assertIn("--json run/config.json: ", self.call("token_probe", "run", "roles.conllu", "roles.conllu", "--json",
                                                            "run/config.json", "--overwrite", code=1))
        self.assertIn("no sentence with a predicate",
                      self.call("token_probe", "run", "films.tsv", "roles.conllu", code=1))


if __name__ == "__main__":
    unittest.main()
