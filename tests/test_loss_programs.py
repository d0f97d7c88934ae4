"""Trainings with each loss of NT-Xent's family: what is printed and kept, going on, and what is refused. PROGRAMS names
the folder of the built examples."""
import json
import math
import os
import pathlib
import subprocess
import tempfile
import unittest

from support.tiny_data import write_cifar10, write_pictures

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
BATCH, TEMPERATURE, PRIOR = 8, 0.3, 0.2
NEGATIVES = 2 * BATCH - 2
APART = BATCH / ((BATCH - 1) * TEMPERATURE)
PLAIN = math.log(1 + NEGATIVES), math.log1p(NEGATIVES * math.exp(-APART))
DECOUPLED = math.log(NEGATIVES), math.log(NEGATIVES) - APART
REWEIGHTED = PLAIN[0], math.log1p(NEGATIVES * math.exp(-2 / TEMPERATURE))
LOSSES = {  # options, chance and bound
    "nt-xent": ([], PLAIN),
    "dcl": ([], DECOUPLED),
    "dclw": (["--dclw-sigma", "0.4"], DECOUPLED),
    "debiased": (["--class-prior", str(PRIOR)], REWEIGHTED),
    "hard": (["--class-prior", str(PRIOR), "--hardness", "0.5"], REWEIGHTED),
}


class Losses(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-losses-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        data = write_cifar10(cls.folder / "cifar10")
        cls.options = ["--dataset", "cifar10", "--data", str(data), "--width", "4", "--size", "8", "--batch-size", str(BATCH),
                       "--epochs", "2", "--warmup-epochs", "0", "--knn-every", "0", "--no-evaluation", "--seed", "3",
                       "--temperature", str(TEMPERATURE)]
        cls.runs = {}
        for loss, (more, _) in LOSSES.items():
            cls.runs[loss] = cls.folder / loss
            cls.said = getattr(cls, "said", {})
            cls.said[loss] = cls.call("train_cifar", *cls.options, "--loss", loss, *more, "--out", str(cls.runs[loss]))

    @classmethod
    def call(cls, program, *words, code=0):
        common = [] if "--resume" in words else ["--threads", "1", "--device", "cpu"]
        done = subprocess.run([PROGRAMS / program, *words, *common], cwd=cls.folder, capture_output=True, text=True,
                              timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def losses(self, out):
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [entry["loss"] for entry in log if entry["event"] == "step"]

    def test_each_trains_with_its_chance_and_bound(self):
        first = {}
        for loss, (_, (chance, bound)) in LOSSES.items():
            with self.subTest(loss=loss):
                steps = self.losses(self.runs[loss])
                first[loss] = steps[0]
                self.assertEqual(len(steps), 14)
                self.assertTrue(all(math.isfinite(step) and step > bound for step in steps), steps)
                self.assertLess(abs(steps[0] - chance), 2)
                self.assertIn(f"(chance {chance:.2f}, bound {bound:.2f})", self.said[loss])
        self.assertEqual(len(set(first.values())), len(LOSSES), first)  # of the same views and weights

    def test_they_are_in_the_configuration(self):
        for loss, (words, _) in LOSSES.items():
            config = json.loads((self.runs[loss] / "config.json").read_text())
            self.assertEqual(config["loss"], loss)
            for name, value in zip(words[::2], words[1::2]):
                self.assertEqual(config[name[2:].replace("-", "_")], float(value))

    def test_a_configuration_repeats_the_run(self):
        self.call("train_cifar", "--config", str(self.runs["hard"] / "config.json"), "--out", str(self.folder / "again"))
        self.assertEqual(self.losses(self.folder / "again"), self.losses(self.runs["hard"]))

    def test_a_run_that_goes_on_keeps_its_loss(self):
        for change in (["--loss", "dcl"], ["--hardness", "2"], ["--class-prior", "0.3"]):
            said = self.call("train_cifar", "--resume", "--out", str(self.runs["hard"]), *change, code=1)
            self.assertEqual(said.count("\n"), 1, said)
            self.assertIn(change[0], said)
        (self.runs["dclw"] / "model.safetensors").unlink()
        before = self.losses(self.runs["dclw"])
        self.assertIn("going on after 14 of 14 steps",
                      self.call("train_cifar", "--resume", "--out", str(self.runs["dclw"])))
        self.assertEqual(self.losses(self.runs["dclw"]), before)

    def test_what_makes_no_sense_is_refused(self):
        for words, why in ((["--hardness", "1"], "it is for --loss hard, not for nt-xent"),
                           (["--loss", "dcl", "--class-prior", "0.1"], "it is for --loss debiased or hard, not for dcl"),
                           (["--loss", "dcl", "--dclw-sigma", "1"], "it is for --loss dclw"),
                           (["--loss", "debiased", "--class-prior", "1"], "must be"),
                           (["--loss", "hard", "--hardness", "-1"], "must be"),
                           (["--loss", "hard", "--temperature", "1.5e-5"], "over 1 + hardness"),
                           (["--loss", "info-nce"], "nt-xent")):
            with self.subTest(words=words):
                said = self.call("train_cifar", *self.options[:-2], *words, "--out", "refused", code=1)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertIn(why, said)
                self.assertFalse((self.folder / "refused").exists())

    def test_pairs_train_with_each(self):
        write_pictures(self.folder / "drawings", 20, 0)
        names = sorted(path.name for path in (self.folder / "drawings").iterdir())
        rows = [f"drawings/{a},drawings/{b}" for a, b in zip(names, names[1:] + names[:1])]
        (self.folder / "list.csv").write_text("\n".join(["a,b", *rows]) + "\n")
        words = ["--data", "list.csv", "--epochs", "1", "--warmup-epochs", "0", "--size", "8", "--width", "4", "--batch-size",
                 "4", "--knn-every", "0", "--no-evaluation"]
        for loss in LOSSES:
            learned = [] if loss in ("nt-xent", "dcl", "dclw") else ["--fixed-temperature"]
            with self.subTest(loss=loss):
                if learned:
                    said = self.call("train_pairs", *words, "--loss", loss, "--out", "refused", code=1)
                    self.assertIn("its temperature is not learned; add --fixed-temperature", said)
                said = self.call("train_pairs", *words, "--loss", loss, *learned, "--out", f"pairs-{loss}")
                chance = math.log(3 if loss in ("dcl", "dclw") else 4)
                self.assertIn(f"(chance {chance:.2f}, bound ", said)
                self.assertTrue(all(map(math.isfinite, self.losses(self.folder / f"pairs-{loss}"))))


if __name__ == "__main__":
    unittest.main()
