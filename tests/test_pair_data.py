"""The pairs beside the project, through the programs: what is left out, how many candidates there are, and that one half
finds the other. TRAIN_PAIRS and NEAREST name the built programs; without those pairs the test is skipped. PAIRS names
another place.
"""
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("PAIRS") or ROOT.parent / "shared") / "pairs"
ARCHIVES = ["emoji.tar.gz", "tuxpaint.tar.gz"]
SMALL = ["--epochs", "1", "--warmup-epochs", "0", "--batch-size", "64", "--size", "16", "--width", "4", "--limit", "128",
         "--knn-every", "0", "--threads", "1", "--device", "cpu"]
SKIP_CODE = 77


class Pairs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-pairs-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        for archive in ARCHIVES:
            with tarfile.open(SHARED / archive) as tar:
                tar.extractall(cls.folder)

    def train(self, data, out, *options):
        done = subprocess.run([os.environ["TRAIN_PAIRS"], "--data", data, "--out", out, *SMALL, *options],
                              capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        log = [json.loads(line) for line in (self.folder / out / "log.jsonl").read_text().splitlines()]
        return done.stdout, done.stderr, [line for line in log if line["event"] == "evaluation"][0]["retrieval"]

    def test_unseen_drawings_are_sought_among_all_emoji(self):
        subprocess.run([sys.executable, ROOT / "benchmarks" / "emoji_pairs.py", self.folder / "emoji"], check=True,
                       capture_output=True)
        _, _, found = self.train("emoji/pairs.tsv", "emoji-run")
        self.assertEqual(list(found), ["noto -> openmoji", "openmoji -> noto"])
        for figures in found.values():
            self.assertEqual((figures["queries"], figures["candidates"]), (643, 1609))
            self.assertAlmostEqual(figures["chance"]["r10"], 10 / 1609)
            self.assertGreater(figures["raw"]["r10"], 3 * figures["chance"]["r10"])  # two drawings of one thing
        found = subprocess.run([os.environ["NEAREST"], "emoji-run", "emoji/noto/1f600.png", "emoji/openmoji", "--from", "first",
                                "--k", "3", "--threads", "1", "--device", "cpu"], capture_output=True, text=True,
                               cwd=self.folder)
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertEqual(len([line for line in found.stdout.splitlines() if line.endswith(".png")]), 3)

    def test_stamps_have_spoken_names_or_are_counted(self):
        out, err, found = self.train("tuxpaint/stamps.tsv", "stamps-run", "--columns", "image,speech_fr", "--sound-width", "4")
        self.assertIn("25 pairs without a speech_fr", out)
        self.assertIn("has no speech_fr (pair left out)", err)
        figures = found["image -> speech_fr"]
        self.assertNotIn("raw", figures)
        self.assertEqual(figures["queries"], figures["candidates"])
        self.assertAlmostEqual(figures["chance"]["r1"], 1 / figures["candidates"])


if __name__ == "__main__":
    missing = [str(SHARED / archive) for archive in ARCHIVES if not (SHARED / archive).is_file()]
    if missing:
        print(f"skipped: {missing[0]} is not there")
        sys.exit(SKIP_CODE)
    unittest.main()
