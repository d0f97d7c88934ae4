"""Trainings with labels, --method supcon and supervised: what is printed and kept, going on, and what is refused. PROGRAMS
names the folder of the built examples."""
import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from support.tiny_data import load_safetensors, write_cifar10, write_pictures, write_stl10

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
BATCH, EPOCHS, CLASSES, TEMPERATURE = 8, 6, 10, 0.3
NEGATIVES = 2 * BATCH - 2  # at best each sample of a batch is alone in its class
SUPCON = math.log(2 * BATCH - 1), math.log(1 + NEGATIVES * math.exp(-2 / TEMPERATURE))
METHODS = {  # options, chance and bound
    "supervised": (["--method", "supervised"], (math.log(CLASSES), 0)),
    "supcon": (["--method", "supcon", "--temperature", str(TEMPERATURE)], SUPCON),
    "supcon-in": (["--method", "supcon", "--temperature", str(TEMPERATURE), "--loss", "supcon-in"], SUPCON),
    "supervised-parts": (["--method", "supervised", "--micro-batch", "4"], (math.log(CLASSES), 0)),
    "supcon-parts": (["--method", "supcon", "--temperature", str(TEMPERATURE), "--micro-batch", "4"], SUPCON),
    "supervised-clipped": (["--method", "supervised", "--clip-grad-norm", "0.5"], (math.log(CLASSES), 0)),
}


class Methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-methods-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        data = write_cifar10(cls.folder / "cifar10")
        cls.options = ["--dataset", "cifar10", "--data", str(data), "--width", "4", "--size", "8", "--batch-size", str(BATCH),
                       "--epochs", str(EPOCHS), "--warmup-epochs", "0", "--lr", "0.5", "--knn-every", "0", "--seed", "3",
                       "--probe-epochs", "2", "--checkpoint-minutes", "0", "--keep-checkpoints", "99"]
        cls.runs, cls.said = {}, {}
        for name, (words, _) in METHODS.items():
            cls.runs[name] = cls.folder / name
            cls.said[name] = cls.call("train_cifar", *cls.options, *words, "--out", str(cls.runs[name]))

    @classmethod
    def call(cls, program, *words, code=0):
        common = [] if "--resume" in words else ["--threads", "1", "--device", "cpu"]
        done = subprocess.run([PROGRAMS / program, *words, *common], cwd=cls.folder, capture_output=True, text=True,
                              timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def events(self, out, kind):
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return [entry for entry in log if entry["event"] == kind]

    def losses(self, out):
        return [entry["loss"] for entry in self.events(out, "step")]

    def refused(self, program, *words):
        done = subprocess.run([PROGRAMS / program, *words, "--out", "refused", "--threads", "1", "--device", "cpu"],
                              cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertFalse((self.folder / "refused").exists())
        return done.stderr

    def test_each_trains_with_its_chance_and_bound(self):
        for name, (_, (chance, bound)) in METHODS.items():
            with self.subTest(name=name):
                steps = self.losses(self.runs[name])
                self.assertEqual(len(steps), 7 * EPOCHS)
                self.assertTrue(all(math.isfinite(step) and step > bound for step in steps), steps)
                self.assertLess(abs(steps[0] - chance), 2)
                self.assertIn(f"(chance {chance:.2f}, bound {bound:.2f})", self.said[name])
        self.assertNotEqual(self.losses(self.runs["supcon"]), self.losses(self.runs["supcon-in"]))

    def test_a_supervised_run_learns_the_labels(self):
        steps = self.losses(self.runs["supervised"])  # each class has a grey of its own
        self.assertLess(sum(steps[-14:]) / 14, 0.8 * math.log(CLASSES), steps)  # of two epochs; it was 0.69

    def test_they_are_evaluated_and_kept_alike(self):
        for name in METHODS:
            with self.subTest(name=name):
                [found] = self.events(self.runs[name], "evaluation")
                self.assertEqual(set(found["trained"]), set(found["untrained"]))
                config = json.loads((self.runs[name] / "config.json").read_text())
                self.assertEqual((config["method"], config["classes"]), (METHODS[name][0][1], CLASSES))
                page = (self.runs[name] / "report.html").read_text()
                self.assertIn("The training saw its samples' labels, too.", page)
                self.assertNotIn("Labels serve only here", page)
                self.assertEqual("all classes are as likely" in page, name.startswith("supervised"))
        names = {name.split(".")[0] for name in load_safetensors(self.runs["supervised"] / "model.safetensors")[1]}
        self.assertEqual(names, {"encoder", "classifier"})
        self.assertIn("kNN", self.call("linear_probe", str(self.runs["supervised"]), "--epochs", "2"))

    def test_a_configuration_repeats_the_run(self):
        for name in ("supervised", "supcon-in"):
            out = self.folder / f"{name}-again"
            self.call("train_cifar", "--config", str(self.runs[name] / "config.json"), "--out", str(out))
            self.assertEqual(self.losses(out), self.losses(self.runs[name]))

    def test_a_run_goes_on_to_the_same_bits(self):
        for name in ("supervised", "supcon-in", "supervised-clipped"):
            with self.subTest(name=name):
                out = self.folder / f"{name}-on"
                shutil.copytree(self.runs[name], out)
                (out / "model.safetensors").unlink()
                for late in sorted((out / "checkpoints").glob("*.safetensors"))[17:]:
                    late.unlink()
                self.assertIn("going on after 17 of 42 steps", self.call("train_cifar", "--resume", "--out", str(out)))
                self.assertEqual(self.losses(out), self.losses(self.runs[name]))
                self.assertEqual((out / "model.safetensors").read_bytes(),
                                 (self.runs[name] / "model.safetensors").read_bytes())

    def test_other_labels_are_refused(self):
        for method, code in (("supervised", 1), ("simclr", 0)):  # of the latter they measure alone
            with self.subTest(method=method):
                data = self.folder / f"labels-{method}"
                shutil.copytree(self.folder / "cifar10", data)
                out = self.folder / f"{method}-relabelled"
                words = [str(data) if word == str(self.folder / "cifar10") else word for word in self.options]
                words = ["2" if word == str(EPOCHS) else word for word in words]
                self.call("train_cifar", *words, "--method", method, "--no-evaluation", "--out", str(out))
                (out / "model.safetensors").unlink()
                sorted((out / "checkpoints").glob("*.safetensors"))[-1].unlink()
                batch = next(data.rglob("data_batch_1.bin"))
                pictures = bytearray(batch.read_bytes())
                pictures[0] = (pictures[0] + 1) % CLASSES
                batch.write_bytes(pictures)
                said = self.call("train_cifar", "--resume", "--out", str(out), code=code)
                self.assertEqual("learns from labels, and they are others now" in said, method == "supervised", said)

    def test_a_classifier_s_head_is_not_exported(self):
        done = subprocess.run([PROGRAMS / "export_onnx", str(self.runs["supervised"]), "head.onnx", "--head"], cwd=self.folder,
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("a supervised run has no projection head; leave it out", done.stderr)

    def test_a_run_that_goes_on_keeps_its_method(self):
        for words in (["--method", "simclr"], ["--loss", "supcon-out"]):
            said = self.call("train_cifar", "--resume", "--out", str(self.runs["supcon-in"]), *words, code=1)
            self.assertEqual(said.count("\n"), 1, said)
            self.assertIn(words[0], said)

    def test_check_looks_at_them(self):
        for name in ("supervised", "supcon-in"):
            done = subprocess.run([PROGRAMS / "train_cifar", "--check", *self.options, *METHODS[name][0], "--threads", "1",
                                   "--device", "cpu"], cwd=self.folder, capture_output=True, text=True, timeout=300)
            self.assertEqual(done.stderr, "")
            self.assertRegex(done.stdout, r"one batch of 8 pictures, \d+ steps: loss ")
            self.assertEqual("similarity of a picture's two views" in done.stdout, name != "supervised")
            self.assertNotIn("nan", done.stdout)

    def test_gradients_are_clipped(self):
        words, out = [*self.options, *METHODS["supervised"][0], "--no-evaluation"], self.folder / "clipped"
        self.call("train_cifar", *words, "--clip-grad-norm", "0.05", "--out", str(out))
        self.assertEqual(self.losses(out)[0], self.losses(self.runs["supervised"])[0])
        self.assertNotEqual(self.losses(out)[1:], self.losses(self.runs["supervised"])[1:])
        self.assertEqual(json.loads((out / "config.json").read_text())["clip_grad_norm"], 0.05)
        self.call("train_cifar", *words, "--clip-grad-norm", "1e9", "--out", str(self.folder / "unclipped"))
        self.assertEqual(self.losses(self.folder / "unclipped"), self.losses(self.runs["supervised"]))
        self.assertIn("cannot be negative; 1 is usual",
                      self.refused("train_cifar", *self.options, "--clip-grad-norm", "-1"))

    def test_what_makes_no_sense_is_refused(self):
        for words, why in ((["--loss", "supcon-in"], "it is for --method supcon, not for simclr"),
                           (["--method", "supcon", "--loss", "debiased"], "use --loss supcon-out"),
                           (["--method", "supcon", "--loss", "dcl"], "a batch of one class alone has no negatives"),
                           (["--method", "supervised", "--loss", "dcl"], "leave it out"),
                           (["--method", "supervised", "--temperature", "0.2"], "leave it out"),
                           (["--method", "supervised", "--head-layers", "3"], "leave it out"),
                           (["--method", "supervized"], "supervised")):
            with self.subTest(words=words):
                self.assertIn(why, self.refused("train_cifar", *self.options, *words))

    def test_samples_without_a_label_are_refused(self):
        folder = write_stl10(self.folder / "stl10")
        words = ["--data", str(folder), "--dataset", "stl10", "--width", "4", "--size", "8", "--batch-size", "8"]
        said = self.refused("train_cifar", *words, "--method", "supcon")
        self.assertIn("--method supcon: none of the 40 training pictures has a label; give data with labels, or train with "
                      "--method simclr", said)
        pictures = write_pictures(self.folder / "bare", 20, 0)
        words = ["--data", str(pictures), "--dataset", "folder", "--width", "4", "--size", "8", "--batch-size", "8"]
        self.assertIn("--method supervised: ", self.refused("train_cifar", *words, "--method", "supervised"))

    def test_a_list_with_some_labels_is_refused(self):
        write_pictures(self.folder / "some", 20, 0)
        names = sorted(path.name for path in (self.folder / "some").iterdir())
        rows = [f"some/{name},{('a', 'b', '')[i % 3]}" for i, name in enumerate(names)]
        (self.folder / "some.csv").write_text("\n".join(["file,label", *rows]) + "\n")
        said = self.refused("train_cifar", "--data", "some.csv", "--width", "4", "--size", "8", "--batch-size", "8",
                            "--method", "supervised")
        self.assertRegex(said, r"\d+ of the \d+ training pictures have no label; leave them out of the data, or train with")

    def test_pairs_refuse_it(self):
        write_pictures(self.folder / "drawings", 20, 0)
        names = sorted(path.name for path in (self.folder / "drawings").iterdir())
        rows = [f"drawings/{a},drawings/{b}" for a, b in zip(names, names[1:] + names[:1])]
        (self.folder / "list.csv").write_text("\n".join(["a,b", *rows]) + "\n")
        self.assertIn("a pair's halves are each other's positives",
                      self.refused("train_pairs", "--data", "list.csv", "--method", "supcon"))


if __name__ == "__main__":
    unittest.main()
