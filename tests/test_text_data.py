"""The texts beside the project: movie reviews, subjectivity and TREC's questions are read, parted and trained on. TRAIN_TEXT
names the built program; without those texts the test is skipped. TEXTS names another place.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = pathlib.Path(os.environ.get("TEXTS") or ROOT.parent / "shared" / "text")
FILES = {"mr": ["rt-polarity.neg", "rt-polarity.pos"], "subj": ["subj.objective", "subj.subjective"],
         "trec": ["TREC.train", "TREC.test"]}
CLASSES = {"mr": 2, "subj": 2, "trec": 6}
SKIP_CODE = 77


def lines(name):
    """How many lines of a file are UTF-8, and how many are not."""
    good = bad = 0
    for line in (TEXTS / name).read_bytes().split(b"\n"):
        try:
            good += line.decode().strip() != ""
        except UnicodeDecodeError:
            bad += 1
    return good, bad


class Texts(unittest.TestCase):
    def train(self, data, *arguments):
        with tempfile.TemporaryDirectory(prefix="simclr-texts-") as folder:
            done = subprocess.run([os.environ["TRAIN_TEXT"], "--data", str(data), "--out", f"{folder}/run", "--limit",
                                   "512", "--epochs", "1", "--warmup-epochs", "0", "--batch-size", "64", "--width", "16",
                                   "--knn-every", "0", "--probe-epochs", "2", "--device", "cpu", *arguments],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout + done.stderr

    def test_every_set_alone(self):
        for kind, files in FILES.items():
            with self.subTest(kind=kind), tempfile.TemporaryDirectory(prefix="simclr-texts-") as folder:
                for name in files:
                    pathlib.Path(folder, name).symlink_to(TEXTS / name)
                said = self.train(folder)
                good, bad = map(sum, zip(*(lines(name) for name in files)))
                found = re.search(r"left out: (\d+) lines? not in UTF-8", said)
                self.assertEqual(int(found[1]) if found else 0, bad if kind != "trec" else lines("TREC.train")[1])
                tested = int(re.search(r"on ([\d,]+) test texts", said)[1].replace(",", ""))
                if kind == "trec":
                    self.assertEqual(tested, 500)
                else:
                    self.assertTrue(0.18 * good < tested < 0.22 * good, f"{tested} of {good}")

    def test_one_of_several(self):
        said = self.train(TEXTS, "--dataset", "subj", "--no-evaluation")
        for name in ("movie reviews", "TREC's questions"):
            self.assertIn(f"trained on without its labels: {name} in ", said)
        # The reviews and subjectivity share thousands of sentences.
        repeated = int(re.search(r"and (\d+) repeated texts", said)[1])
        self.assertGreater(repeated, 3000)

    def test_which_one_must_be_said(self):
        done = subprocess.run([os.environ["TRAIN_TEXT"], "--data", str(TEXTS)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("say by --dataset which one is evaluated on: mr, subj, trec", done.stderr)


if __name__ == "__main__":
    missing = [name for names in FILES.values() for name in names if not (TEXTS / name).exists()]
    if missing:
        print(f"skipped: no {missing[0]} in ../shared/text beside the project")
        sys.exit(SKIP_CODE)
    unittest.main()
