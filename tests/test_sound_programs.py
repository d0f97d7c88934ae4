"""train_speech, and the programs that take weights on what it has trained. PROGRAMS names their folder."""
import json
import math
import os
import pathlib
import tempfile
import unittest

from support.encoder_programs import Base, read_npy
from support.tiny_data import wav, write_recordings

PATTERN = "{label}_{speaker}_{take}.wav"


RESAMPLES = os.environ.get("RESAMPLES", "1") == "1"


class Recordings(Base):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_recordings(cls.folder / "words")
        cls.weights = cls.folder / "run"
        done = cls.train(out=cls.weights, epochs=8, noise="words")
        assert done.returncode == 0, done.stderr
        cls.printed = done.stdout

    @classmethod
    def train(cls, *flags, **changed):
        options = {"data": "words", "pattern": PATTERN, "test": "speaker=eve", "rate": 8000, "seconds": 0.3, "mels": 16,
                   "width": 4, "batch-size": 12, "epochs": 2, "warmup-epochs": 0, "knn-every": 2, "knn-k": 5,
                   "device": "cpu"} | {name.replace("_", "-"): value for name, value in changed.items()}
        return cls.launch("train_speech", *flags, *(str(word) for name, value in options.items()
                                                    for word in ("--" + name, value)))

    def test_training_says_what_it_does(self):
        for words in ("no speaker of the test part is trained on", "test: speaker=eve", "noise: 48 recordings in words",
                      "36 recordings in words, 3 classes, at 8000 Hz", "resnet18, width 4"):
            self.assertIn(words, self.printed)
        report = (self.weights / "report.html").read_text()
        self.assertIn("<audio controls", report)
        self.assertNotIn(" picture", report.split("<script")[0])

    def test_features(self):
        self.run_program("embed", self.weights, "words", "--out", self.out)
        names, rows = (self.out / "files.txt").read_text().splitlines(), read_npy(self.out / "features.npy")
        self.assertEqual(names, sorted(path.name for path in self.data.iterdir()))
        self.assertEqual({len(row) for row in rows}, {32})
        self.assertTrue(all(map(math.isfinite, sum(rows, ()))))
        for more in ((), ("--features", self.out)):
            printed = self.run_program("nearest", self.weights, "words/no_ann_1.wav", "words", "--k", "3", *more)
            self.assertRegex(printed, r"cosine  file\n1\.0000  no_ann_1\.wav\n0\.\d+ ")
        self.refused("nearest", self.weights, "words/no_ann_1.wav", "words", "--sheet", self.out / "a.png",
                     words=("--sheet", "of recordings"))
        self.refused("nearest", self.weights, "none.wav", "none", "--sheet", self.out / "a.png",
                     words=("--sheet", "of recordings"))  # before anything is read
        self.refused("finetune", self.weights, "--crop-min", "0.5", "--out", self.out / "f", words=("--crop-min 0.5",))
        self.refused("embed", self.weights, "none", words=("embed: none: no such folder or list of recordings",))
        self.refused("embed", self.weights, "words/no_ann_1.wav", words=("words/no_ann_1.wav: is a recording",))
        (self.folder / "named.csv").write_text("file\nwords/no_ann_1.wav\n")
        self.refused("embed", "no-run", "named.csv", words=("no-run",))
        self.refused("nearest", self.weights, "words", "words", words=("not a recording",))
        self.refused("embed", self.weights, "words", "--dataset", "arrays", words=("--dataset arrays",))
        self.refused("embed", self.weights, "words", "--out", "words/features", words=("--out words/features",))

    def test_a_list_with_segments(self):
        (self.folder / "list.csv").write_text("file,label,start,end\nwords/no_ann_0.wav,no,0,0.1\n"
                                              "words/no_ann_0.wav,no,0.1,0.25\nwords/go_joe_3.wav,go,,\n")
        self.run_program("embed", self.weights, "list.csv", "--out", self.out)
        self.assertEqual((self.out / "files.txt").read_text().splitlines(),
                         ["words/no_ann_0.wav 0-0.1", "words/no_ann_0.wav 0.1-0.25", "words/go_joe_3.wav"])

    def test_bad_recordings_are_named_and_left_out(self):
        some = write_recordings(self.folder / "some", takes=1)
        (some / "cut_ann_0.wav").write_bytes(wav([0.1] * 1000)[:500])
        (some / "empty_ann_0.wav").write_bytes(b"")
        (some / "notes.txt").write_text("no recording")
        done = self.launch("embed", self.weights, some, "--out", self.out, "--device", "cpu")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len((self.out / "files.txt").read_text().splitlines()), 12)
        for words in ("cut_ann_0.wav", "empty_ann_0.wav"):
            self.assertIn(words, done.stdout + done.stderr)
        self.assertIn("2 recordings could not be read: left out", done.stdout)
        self.assertIn("left out: 1 .txt file", done.stdout)
        done = self.train(data=some, out=self.out / "run", batch_size=4)
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("cut_ann_0.wav", "empty_ann_0.wav", "2 recordings could not be read"):
            self.assertIn(words, done.stdout + done.stderr)

    def test_few_labels(self):
        figures = self.out.with_suffix(".json")
        printed = self.run_program("linear_probe", self.weights, "--labels", "50,100", "--epochs", "20", "--baseline",
                                   "--json", figures)
        self.assertIn("  labels   recordings      kNN %   linear %", printed)
        results = json.loads(figures.read_text())
        self.assertEqual((results["test_samples"], [each["samples"] for each in results["results"]]), (12, [18, 36]))
        self.assertEqual([each["samples"] for each in results["baseline"]], [18, 36])
        self.assertEqual(results["baseline_name"], "MFCC statistics")
        printed = self.run_program("finetune", self.weights, "--labels", "100", "--epochs", "3", "--out", self.out)
        self.assertIn("  labels   recordings  pre-trained %", printed)
        self.assertTrue((self.out / "labels-100.safetensors").exists())
        self.refused("linear_probe", self.weights, "--dataset", "cifar10", words=("--dataset cifar10", "of recordings"))
        self.refused("linear_probe", self.weights, "--json", "words/figures.json", words=("--json words/figures.json",))
        (self.folder / "few.csv").write_text("file,label\nwords/no_ann_0.wav,no\nwords/go_joe_3.wav,go\n")
        self.refused("linear_probe", self.weights, "--data", "few.csv", "--json", "words/no_ann_0.wav", "--overwrite",
                     words=("--json words/no_ann_0.wav", "is read here"))
        self.refused("finetune", self.weights, "--classes-at", "2", "--out", self.out / "b", words=("--classes-at 2",))

    def test_other_data_are_parted_as_is_said_here(self):
        folders = self.folder / "folders"
        for path in self.data.iterdir():
            label = path.name.split("_")[0]
            (folders / label).mkdir(parents=True, exist_ok=True)
            (folders / label / path.name).write_bytes(path.read_bytes())
        printed = self.run_program("linear_probe", self.weights, "--data", folders, "--labels", "100", "--epochs", "5")
        self.assertIn("every fifth recording is kept", printed)
        printed = self.run_program("linear_probe", self.weights, "--data", folders, "--pattern", PATTERN, "--test",
                                   "take=0", "--labels", "100", "--epochs", "5")
        self.assertIn("test: take=0", printed)
        printed = self.run_program("linear_probe", self.weights, "--data", "words", "--labels", "100", "--epochs", "5")
        self.assertIn("test: speaker=eve", printed)  # by another name the run's own
        self.refused("linear_probe", self.weights, "--data", folders / "no", words=("--data", "--pattern"))

    def test_a_run_goes_on_from_elsewhere(self):
        done = self.train("--no-evaluation", out=self.out, noise="words", data=self.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        (self.out / "model.safetensors").unlink()
        config = (self.out / "config.json").read_text()
        (self.folder / "else").mkdir()
        done = self.launch("train_speech", "--resume", "--out", self.out, cwd=self.folder / "else")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("noise: 48 recordings in ../words", done.stdout)
        self.assertEqual((self.out / "config.json").read_text(), config)
        (self.out / "model.safetensors").unlink()
        hum = write_recordings(self.folder / "hum", takes=1)
        done = self.launch("train_speech", "--resume", "--out", self.out, "--noise", hum)
        self.assertIn("the data differ from those that the run began with: other recordings in the noise", done.stderr)
        done = self.train(out=self.out / "b", noise="none")
        self.assertRegex(done.stderr, r"\Atrain_speech: --noise: none: ")

    def test_gru_and_check(self):
        done = self.train("--no-evaluation", out=self.out, arch="gru", seconds=1)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_program("embed", self.out, "words", "--out", self.out / "features")
        if not RESAMPLES:
            return
        done = self.train("--check", rate=16000)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"recordings: 36 looked at, 0\.3 to 0\.38 s, half of them below 0\.3\d? s; 8000 Hz")
        self.assertIn("- rate: the files have at most 8000 samples a second", done.stdout)

    def test_what_cannot_be_is_refused(self):
        for changed, words in (({"test": "fold=1"}, "have no field fold"), ({"pattern": "{label}"}, "have no field speaker"),
                               ({"mels": 7}, "--mels 7"), ({"speed": "1.2,0.9"}, "--speed"), ({"noise": "none"}, "none")):
            done = self.train(out=self.out, **changed)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stderr, r"\Atrain_speech: [^\n]{10,400}\n\Z")
            self.assertIn(words, done.stderr)
        self.refused("train_speech", "--device", "cpu", "--out", self.out, words=("--data: name a folder",))


if __name__ == "__main__":
    unittest.main()
