"""examples/linear_probe and finetune as a user runs them, on small data."""
import json
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import time
import unittest

from support.encoder_programs import ENVIRONMENT, PROGRAMS, Base
from support.tiny_data import load_safetensors, png_file, write_pictures


class Labels(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.classes = cls.folder / "classes"
        for label in range(3):  # far apart: black, grey and light
            write_pictures(cls.classes / f"class{label}", 20, 4 * label)
        cls.from_folder = ("--dataset", "folder", "--data", cls.classes)


class LinearProbe(Labels):
    def probe(self, *options, data=None):
        figures = self.folder / "figures.json"
        printed = self.run_program("linear_probe", self.weights, *(data or self.from_folder), "--json", figures,
                                   "--overwrite", *options)
        return printed, json.loads(figures.read_text())

    def test_separable_classes(self):
        printed, figures = self.probe("--labels", "10,100")
        self.assertEqual((figures["dataset"], figures["test_samples"]), ("folder", 12))
        self.assertEqual([(r["percent"], r["samples"], r["knn_k"]) for r in figures["results"]],
                         [(10, 6, 2), (100, 48, 16)])
        for result in figures["results"]:
            self.assertEqual((result["knn"]["top1"], result["linear"]["top1"]), (1.0, 1.0))
        self.assertRegex(printed, r"\n  labels     pictures      kNN %   linear %\n"
                                  r"  10 % +6 +100\.00 +100\.00\n  100 % +48 +100\.00 +100\.00\n\Z")
        self.assertRegex(printed, r"features to train on: 48 of 48 pictures")

    def test_other_channels(self):
        """Than the encoder was trained on."""
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8, 5), }"
        for name in ("ant", "bee"):
            (self.folder / "five" / name).mkdir(parents=True)
            for i in range(5):
                (self.folder / "five" / name / f"{i}.npy").write_bytes(
                    b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(320))
        done = self.launch("linear_probe", self.weights, "--dataset", "folder", "--data", self.folder / "five")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.splitlines()[-1], f"linear_probe: {self.folder}/five: its pictures have 5 channels, "
                                                       "the encoder is for 3 channels")

    def test_few_labels_of_each_class(self):
        """Of ten classes 1 % is one of each; which one the seed says. (How: examples/test_labelled_part.cpp.) Here the
        labels tell nothing of the pictures, so other ones give other neighbours."""
        shuffled, source = shutil.copytree(self.data, self.folder / "shuffled"), random.Random(1)
        for path in shuffled.iterdir():
            content = bytearray(path.read_bytes())
            content[::3073] = source.sample(content[::3073], 12)
            path.write_bytes(content)
        cifar = ("--dataset", "cifar10", "--data", shuffled)
        first, again, other = (self.probe("--labels", "1,100", "--seed", seed, data=cifar)[1]["results"]
                               for seed in ("3", "3", "4"))
        self.assertEqual([(r["samples"], r["knn_k"]) for r in first], [(10, 1), (60, 6)])
        self.assertEqual(first, again)
        self.assertNotEqual(first[0]["knn"], other[0]["knn"])
        self.assertNotEqual(first[0]["linear"], first[1]["linear"])
        short = self.probe("--labels", "100", "--seed", "3", "--epochs", "1", data=cifar)[1]["results"]
        self.assertNotEqual(short[0]["linear"], first[1]["linear"])
        self.assertEqual(first[1]["knn"], other[1]["knn"])  # all labels are all labels
        for result in first:
            self.assertEqual(sum(result["linear"]["confusion"]), 12)

    def test_several_draws_beside_an_untrained_encoder(self):
        """The mean of draws is that of runs with one draw each; and a run's own seed makes the untrained encoder."""
        cifar = ("--dataset", "cifar10", "--data", self.data)
        single = [self.probe("--labels", "20", "--epochs", "5", "--seed", seed, data=cifar)[1]["results"][0]
                  for seed in "345"]
        printed, figures = self.probe("--labels", "20", "--epochs", "5", "--seed", "3", "--draws", "3", "--untrained",
                                      data=cifar)
        self.assertEqual(figures["results"], single)
        self.assertEqual([each["seed"] for each in figures["untrained"]], [3, 4, 5])
        self.assertNotEqual(figures["untrained"], single)
        self.assertEqual(figures["untrained"], self.probe("--labels", "20", "--epochs", "5", "--seed", "3", "--draws", "3",
                                                          "--untrained", data=cifar)[1]["untrained"])
        expected = ""
        for title, results in (("trained", single), ("before training", figures["untrained"])):
            means = []
            for method in ("knn", "linear"):
                values = [100 * each[method]["top1"] for each in results]
                means.append(f"{statistics.mean(values):.2f} +- {statistics.stdev(values):5.2f}")
            expected += (f"{title}:\n  labels     pictures            kNN %         linear %\n"
                         f"  20 %   {single[0]['samples']:12} {means[0]:>16} {means[1]:>16}\n")
        told = "".join(line for line in printed.splitlines(True) if not line.startswith("features ") and
                       "statistics" not in line)
        self.assertTrue(told.endswith(expected), printed)

    def test_automatic_choice_is_told(self):
        printed, figures = self.probe("--labels", "100", "--epochs", "1", data=("--data", self.data))
        self.assertEqual(figures["dataset"], "cifar10")
        self.assertIn(f"auto: CIFAR-10 found in {self.data} ", printed)

    def test_data_of_the_weights(self):
        """What the encoder was trained on is what it is measured on, unless one says otherwise."""
        printed, figures = self.probe("--labels", "100", "--epochs", "1", data=("--seed", "0"))
        self.assertEqual((figures["dataset"], figures["test_samples"]), ("cifar10", 12))
        self.assertEqual(figures["results"], self.probe("--labels", "100", "--epochs", "1", data=(
            "--dataset", "cifar10", "--data", self.data))[1]["results"])
        self.assertNotIn("auto:", printed)

    def test_refused(self):
        unlabelled = write_pictures(self.folder / "unlabelled", 4)
        self.refused("linear_probe", self.weights, "--dataset", "folder", "--data", unlabelled, words=("no labels",))
        for labels in ("0", "101", "-1", "nan"):
            self.refused("linear_probe", self.weights, *self.from_folder, "--labels", labels, words=("--labels",))
        for program in ("linear_probe", "finetune"):
            self.refused(program, self.weights, *self.from_folder, "--labels", "1,10,1.0000001",
                         words=("--labels: 1 occurs twice",))
            self.refused(program, self.weights, *self.from_folder, "--seed", "-1", words=("--seed -1: must be a whole",))
        self.refused("linear_probe", self.weights, *self.from_folder, "--epochs", "0", words=("--epochs 0",))
        self.refused("linear_probe", self.weights, *self.from_folder, "--draws", "0", words=("--draws 0",))
        self.refused("linear_probe", self.weights, *self.from_folder, "--baseline", words=("--baseline", "pictures"))
        self.refused("linear_probe", self.weights, "--dataset", "nothing", words=("nothing", "fashion-mnist"))
        self.refused("linear_probe", self.weights, *self.from_folder, "--json", self.folder / "no" / "x.json",
                     words=("x.json",))


class Finetune(Labels):
    options = ("--labels", "25,100", "--epochs", "8", "--batch-size", "8", "--threads", "1")

    def tune(self, *options, out=None):
        return self.run_program("finetune", self.weights, *self.from_folder, *self.options, *options, "--out",
                                out or self.out)

    def log(self, event):
        lines = (self.out / "log.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def losses(self, percent, pretrained=True):
        return [entry["loss"] for entry in self.log("epoch")
                if (entry["percent"], entry["pretrained"]) == (percent, pretrained)]

    def test_learns(self):
        printed = self.tune("--from-scratch")
        self.assertIn("every fifth picture is kept for the evaluation", printed)
        table = printed[printed.index("  labels"):].splitlines()
        self.assertEqual(table[0].split(), ["labels", "pictures", "pre-trained", "%", "from", "scratch", "%"])
        rows = [line.split() for line in table[1:3]]
        self.assertEqual([(row[0], row[2]) for row in rows], [("25", "12"), ("100", "48")])
        self.assertGreaterEqual(float(rows[1][3]), 75)
        self.assertRegex(printed, r"\n100 % pre-trained  epoch 8/8  step (\d+)/\1  loss \d\.\d{3}  lr 0\.0000  "
                                  r"\d+ samples/s  0 s left\n")
        self.assertRegex(printed, r"\n25 % from scratch  epoch 8/8  step ")
        for percent in (25, 100):
            pretrained, scratch = self.losses(percent), self.losses(percent, pretrained=False)
            self.assertEqual((len(pretrained), len(scratch)), (8, 8))
            self.assertNotEqual(pretrained[0], scratch[0])
            if percent == 100:
                self.assertLess(pretrained[-1], pretrained[0])
                self.assertLess(scratch[-1], scratch[0])
        results = self.log("evaluation")
        self.assertEqual([(r["percent"], r["pretrained"], r["samples"], r["epochs"]) for r in results],
                         [(25, True, 12, 8), (25, False, 12, 8), (100, True, 48, 8), (100, False, 48, 8)])
        self.assertEqual(f"{100 * results[2]['metrics']['top1']:.2f}", rows[1][3])
        self.assertEqual(f"{100 * results[3]['metrics']['top1']:.2f}", rows[1][4])
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual((config["labels"], config["from_scratch"], config["batch_size"]), ([25, 100], True, 8))

    def test_output_that_nobody_reads(self):
        """As `finetune ... | head -1`: a stop like any other."""
        command = [PROGRAMS / "finetune", self.weights, *self.from_folder, "--epochs", "400", "--batch-size", "8",
                   "--threads", "1", "--device", "cpu", "--out", self.out, "--labels", "5,100"]
        process = subprocess.Popen([*map(os.fspath, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, cwd=self.folder, env=ENVIRONMENT)
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read().decode()
        self.assertEqual(process.wait(timeout=120), 128 + signal.SIGPIPE, error)
        self.assertRegex(error, r"\Afinetune: nobody reads the output; stopped; [^\n]*\n")
        self.assertTrue((self.out / "log.jsonl").read_text().endswith("}\n"))
        self.assertEqual(list(self.out.glob("*.simclr-tmp*")), [])

    def stop(self, event, number, *options):
        """What finetune prints that gets a signal once its log has so many lines of an event."""
        command = [PROGRAMS / "finetune", self.weights, *self.from_folder, "--epochs", "400", "--batch-size", "8",
                   "--threads", "1", "--device", "cpu", "--out", self.out, *options]
        process = subprocess.Popen([*map(os.fspath, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder, env=ENVIRONMENT)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            log = self.out / "log.jsonl"
            if log.exists() and log.read_text().count(f'"event":"{event}"') >= number:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
        self.assertEqual((process.returncode, error), (128 + signal.SIGINT, ""), out)
        return out

    def test_a_stop_leaves_whole_files(self):
        printed = self.stop("epoch", 2, "--labels", "25,100")
        self.assertIn(f"stopped; no classifier was trained to its end, so {self.out} holds none", printed)
        self.assertEqual({path.name for path in self.out.iterdir()}, {"config.json", "log.jsonl"})
        printed = self.stop("evaluation", 1, "--labels", "25,100", "--overwrite")
        self.assertRegex(printed, rf"stopped; labels-25\.safetensors in {self.out} is whole, and nothing of another is "
                                  r"kept\. To begin again choose another --out, or add --overwrite\n\Z")
        self.assertEqual({path.name for path in self.out.iterdir()},
                         {"config.json", "log.jsonl", "labels-25.safetensors"})
        load_safetensors(self.out / "labels-25.safetensors")
        self.assertTrue((self.out / "log.jsonl").read_text().endswith("}\n"))
        self.assertEqual(len(self.log("evaluation")), 1)
        self.refused("finetune", self.weights, *self.from_folder, "--out", self.out, words=("already holds a run",))

    def test_a_stop_while_pictures_are_looked_at(self):
        """The damaged one, which comes last, is not reached."""
        large = self.folder / "large"
        for name, count in (("a", 60), ("b", 4)):
            write_pictures(large / "train" / name, 1)
            write_pictures(large / "test" / name, 1)
            picture = large / "train" / name / "00.png"
            side = 3000 if name == "a" else 20
            picture.write_bytes(png_file(side, side, 8, 0, bytes((side + 1) * side)))
            for i in range(1, count):
                os.link(picture, picture.with_name(f"{i:02}.png"))
        (large / "train" / "b" / "zz.png").write_bytes(b"")
        command = ["stdbuf", "-oL", PROGRAMS / "finetune", self.weights, "--dataset", "folder", "--data", large, "--labels",
                   "100", "--epochs", "1", "--threads", "1", "--device", "cpu", "--out", self.out]
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        process = subprocess.Popen([*map(os.fspath, command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=self.folder,
                                   env={**ENVIRONMENT, "ASAN_OPTIONS": sanitizer})
        while not process.stdout.readline().startswith("files in "):
            self.assertIsNone(process.poll())
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
        self.assertEqual((process.returncode, error), (128 + signal.SIGINT, ""), out)
        self.assertIn("stopped; no classifier was trained to its end", out)

    def test_the_seed_chooses_the_labels(self):
        """What is read tells: every third picture is damaged, and the others are no reason to warn."""
        damaged = shutil.copytree(self.classes, self.folder / "damaged")
        for path in sorted(damaged.rglob("*.png"))[::3]:
            path.write_bytes(path.read_bytes()[:100])
        command = ("finetune", self.weights, "--dataset", "folder", "--data", damaged, "--labels", "25",
                   "--epochs", "1", "--device", "cpu", "--threads", "1", "--overwrite", "--out", self.out, "--seed")
        first, again, other = (self.launch(*command, seed) for seed in ("3", "3", "4"))
        self.assertEqual((first.returncode, other.returncode), (0, 0), first.stderr + other.stderr)
        warned = [sorted(done.stderr.splitlines()) for done in (first, again, other)]
        self.assertEqual(warned[0], warned[1])
        self.assertNotEqual(warned[0], warned[2])

    def test_weights(self):
        """Saved with names of the classes, usable as an encoder, changed by the training, the same for a seed."""
        self.tune()
        names = {"config.json", "log.jsonl", "labels-25.safetensors", "labels-100.safetensors"}
        self.assertEqual({path.name for path in self.out.iterdir()}, names)
        metadata, tuned = load_safetensors(self.out / "labels-100.safetensors")
        self.refused("embed", self.out, self.classes, words=(f"give one of its files, such as {self.out}/labels-100.",))
        finetuned = json.loads(metadata["finetuned"])
        self.assertEqual(finetuned, {"dataset": "folder", "percent": 100.0, "classes": ["class0", "class1", "class2"]})
        before, original = load_safetensors(self.weights / "model.safetensors")
        self.assertEqual(json.loads(metadata["config"]), json.loads(before["config"]))
        self.assertEqual(tuned["classifier.weight"][1], [3, 32])
        encoder = {name for name in original if name.startswith("encoder.")}
        self.assertEqual(set(tuned), encoder | {"classifier.weight", "classifier.bias"})
        self.assertNotEqual(tuned["encoder.conv1.weight"], original["encoder.conv1.weight"])
        self.embed(self.classes / "class0", weights=self.out / "labels-100.safetensors", out=self.folder / "embedded")
        again = self.folder / "again"
        self.tune("--from-scratch", out=again)
        self.assertEqual((again / "labels-25.safetensors").read_bytes(),
                         (self.out / "labels-25.safetensors").read_bytes())

    def test_views(self):
        """Without a step to speak of, and all pictures in a batch, other views alone make other losses."""
        command = ("finetune", self.weights, *self.from_folder, "--labels", "25", "--epochs", "2", "--lr", "1e-12",
                   "--threads", "1", "--overwrite", "--out", self.out, "--crop-min")
        self.run_program(*command, "0.3")
        cropped = self.losses(25)
        self.run_program(*command, "1")
        flipped = self.losses(25)
        for one, other in (cropped, flipped, (cropped[0], flipped[0])):
            self.assertGreater(abs(one - other), 1e-4)

    def test_all_labels_are_used(self):
        """Of pictures that cannot be read each is named once it is met, so all are met; a last batch of one picture,
        from which batch norm could learn nothing, does not come about."""
        damaged = shutil.copytree(self.classes, self.folder / "incomplete")
        for label in range(3):
            shutil.rmtree(damaged / f"class{label}")
            write_pictures(damaged / f"class{label}", 10, 4 * label)
        for number in (1, 4, 8):  # not held out
            path = damaged / "class1" / f"{number:02}.png"
            path.write_bytes(path.read_bytes()[:100])
        for size in (2, 5, 13, 23):  # of 24 pictures: the last leaves one over
            with self.subTest(size=size):
                done = self.launch("finetune", self.weights, "--dataset", "folder", "--data", damaged, "--labels", "100",
                                   "--epochs", "1", "--batch-size", str(size), "--threads", "1", "--overwrite", "--out",
                                   self.out, "--device", "cpu")
                self.assertEqual((done.returncode, done.stderr.count("(sample skipped)")), (0, 3), done.stderr)

    def test_how_long(self):
        self.run_program("finetune", self.weights, *self.from_folder, "--labels", "50,100", "--threads", "1",
                         "--out", self.out)
        self.assertEqual([len(self.losses(percent)) for percent in (50, 100)], [14, 10])

    def test_starts_from_the_weights(self):
        """Without a step to speak of, the encoder is the pre-trained one."""
        self.tune("--lr", "1e-12")
        _, tuned = load_safetensors(self.out / "labels-25.safetensors")
        _, original = load_safetensors(self.weights / "model.safetensors")
        for name in ("encoder.conv1.weight", "encoder.layer4.1.conv2.weight"):
            floats = [struct.unpack(f"<{len(t[name][2]) // 4}f", t[name][2]) for t in (tuned, original)]
            for a, b in zip(*floats):
                self.assertAlmostEqual(a, b, delta=1e-6)

    def test_used_folder(self):
        command = ("finetune", self.weights, *self.from_folder, "--epochs", "1", "--out", self.out, "--labels")
        self.run_program(*command, "25")
        command += ("100",)
        self.refused(*command, words=("already holds a run", "--overwrite"))
        self.assertTrue((self.out / "labels-25.safetensors").exists())
        self.run_program(*command, "--overwrite")
        self.assertFalse((self.out / "labels-25.safetensors").exists())

    def test_refused(self):
        out = ("--out", self.out)
        self.refused("finetune", self.weights, *self.from_folder, *out, "--labels", "0", words=("--labels 0",))
        self.refused("finetune", self.weights, *self.from_folder, *out, "--batch-size", "1",
                     words=("--batch-size 1: ", "at least 2"))
        self.refused("finetune", self.weights, *self.from_folder, *out, "--lr", "0", words=("--lr 0",))
        self.refused("finetune", self.weights, *self.from_folder, *out, "--epochs", "-1", words=("--epochs -1",))
        self.refused("finetune", self.weights, *self.from_folder, *out, "--crop-min", "0", words=("--crop-min 0",))
        self.refused("finetune", self.folder / "nothing", *self.from_folder, *out, words=("nothing",))
        self.assertFalse(self.out.exists())
        self.refused("finetune", self.weights, *self.from_folder, *out, "--lr", "1e30", words=("lower --lr",))


if __name__ == "__main__":
    unittest.main()
