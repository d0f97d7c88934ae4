"""What is evaluated on: test parts with other classes, without labels or with files that cannot be read, a fifth that
is kept back class by class, and when the test pictures are looked at. None of it may cost the training. TRAIN_CIFAR,
FINETUNE and LINEAR_PROBE name the built programs."""
import os
import re
import shutil
import subprocess
import sys
import unittest

from support.tiny_data import write_pictures
from test_train_cifar import ENVIRONMENT, PROGRAM, SMALL, Base, arguments

FINETUNE, LINEAR_PROBE = os.environ.get("FINETUNE", ""), os.environ.get("LINEAR_PROBE", "")


def break_pictures(paths):
    for path in paths:
        path.write_bytes(path.read_bytes()[:100])


class Parts(Base):
    def setUp(self):
        super().setUp()
        self.data = self.folder / ("data-" + self.id().rsplit(".", 1)[1])

    def classes(self, part, counts):
        for label, (name, count) in enumerate(counts.items()):
            write_pictures(self.data / part / name, count, 3 * label)

    def figures(self):
        return [entry for entry in self.log() if entry["event"] == "evaluation"][0]["trained"]

    def weights_exist(self):
        self.assertTrue((self.out / "model.safetensors").is_file())
        self.assertTrue((self.out / "report.html").is_file())


class TestParts(Parts):
    def test_other_classes(self):
        """Figures over what both have; each side's lack is named once."""
        self.classes("train", {"ant": 10, "bee": 10, "cat": 10})
        self.classes("test", {"bee": 4, "cat": 4, "dog": 3})
        output = self.train(kind="folder", data=self.data)
        train, test = self.data / "train", self.data / "test"
        self.assertIn(f"{test} lacks ant: the figures are over the other 2 of 3 classes; {train} lacks dog; "
                      f"3 pictures of {test} without a class of {train} are left out\n", output)
        self.assertRegex(output, r"\n  ant +not measured: no test samples\n")
        self.assertIn("on 8 test pictures", output)
        figures = self.figures()["linear"]
        self.assertEqual([sum(figures["confusion"][row:row + 3]) for row in (0, 3, 6)], [0, 4, 4])
        for key in ("precision", "recall", "f1"):
            self.assertEqual([value is None for value in figures[key]], [True, False, False])
        self.assertIn("means over the classes: 1 of 3 classes was not measured, for want of test pictures: ant.",
                      (self.out / "report.html").read_text())
        for program, options in ((LINEAR_PROBE, ()), (FINETUNE, ("--out", self.folder / "tuned", "--overwrite"))):
            done = subprocess.run([program, self.out, "--dataset", "folder", "--data", self.data, "--labels", "100",
                                   "--epochs", "1", "--threads", "1", "--device", "cpu", *options], text=True,
                                  capture_output=True, env=ENVIRONMENT, cwd=self.folder)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("lacks ant: ", done.stdout)

    def test_what_is_left_out_of_them(self):
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"ant": 4, "bee": 4})
        (self.data / "test" / "ant" / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
        (self.data / "test" / "notes.txt").touch()
        line = f"test: {self.data / 'test'} (left out: 1 .heic picture in ant"
        self.assertRegex(self.train(kind="folder", data=self.data), re.escape(line) + r".*, 1 \.txt file\)\n")
        for program, options in ((LINEAR_PROBE, ()), (FINETUNE, ("--out", self.folder / "tuned", "--overwrite"))):
            done = subprocess.run([program, self.out, "--labels", "100", "--epochs", "1", "--threads", "1", *options],
                                  capture_output=True, text=True, env=ENVIRONMENT, cwd=self.folder)
            self.assertIn(line, done.stdout, done.stderr)

    def test_in_another_folder(self):
        """What an unpacked zip file looks like."""
        self.classes("set-1.0/data/train", {"ant": 10, "bee": 10})
        self.classes("set-1.0/data/val", {"ant": 4, "bee": 4})
        output = self.train(kind="folder", data=self.data)
        inner = self.data / "set-1.0" / "data"
        self.assertIn(f"{self.data} holds but one folder, so the parts of {inner} are taken\n", output)
        self.assertIn(f"train: {inner}/train; test: {inner}/val\n", output)
        self.assertIn("20 pictures in ", output)

    def test_without_a_train_part(self):
        self.classes("val", {"ant": 10, "bee": 10})
        self.classes("test", {"ant": 4, "bee": 4})
        self.assertIn(f"no folder of {self.data} is called train, so test, val count as classes",
                      self.train(kind="folder", data=self.data))

    def test_cases(self):
        """Of two folders that differ in it the larger is taken, and classes that differ in it are named."""
        self.classes("Train", {"ant": 3, "bee": 3})
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"Ant": 4, "Bee": 4})
        output = self.train(kind="folder", data=self.data)
        self.assertIn(f"20 pictures in {self.data / 'train'}", output)
        self.assertIn(f"not used: {self.data / 'Train'} (6 pictures)\n", output)
        self.assertIn(f"it has no class of {self.data / 'train'}: Ant is another name than ant; give both the same case",
                      output)

    def test_a_class_of_another_case(self):
        """The hint is of classes that the other side lacks."""
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"ant": 4, "Bee": 4})
        self.assertIn(f"{self.data}/train lacks Bee: Bee is another name than bee; give both the same case; 4 pictures",
                      self.train(kind="folder", data=self.data))

    def test_one_class_is_enough(self):
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"bee": 1})
        self.train(kind="folder", data=self.data)
        self.assertEqual(self.figures()["knn"]["count"], 1)

    def test_nothing_to_test_on(self):
        """Unlabelled, of other classes, without a picture: the training goes on; the first and last lines say why."""
        self.classes("train", {"ant": 10, "bee": 10})
        test = self.data / "test"
        for make, why in ((lambda: write_pictures(test, 6), "it has no labels"),
                          (lambda: write_pictures(test / "cow", 6), "it has no class of "),
                          (lambda: (test / "ant").mkdir(parents=True), "it cannot be read"),
                          (lambda: test.mkdir(), rf"it cannot be read \(image_folder: {test} is empty; ")):
            shutil.rmtree(test, ignore_errors=True)
            make()
            with self.subTest(why=why):
                output = self.train("--overwrite", kind="folder", data=self.data)
                self.assertRegex(output, rf"(?m)^no evaluation on {test}: {why}")
                self.assertRegex(output, rf"(?m)^nothing to test on in {test}: {why}.*, so no accuracy$")
                self.assertIn("20 pictures in ", output)
                self.assertRegex(output, r"kNN \d+\.\d\d % on 4 training samples by 16 others")
                self.weights_exist()

    def test_unreadable_pictures(self):
        """Most of them, then all: what is left is measured on, and where nothing is left the training still counts."""
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"ant": 4, "bee": 4})
        pictures = sorted((self.data / "test").rglob("*.png"))
        break_pictures(pictures[1:7])
        done = self.run_on(self.data, "folder", "--knn-every", "1")
        self.assertEqual((done.returncode, done.stderr.count("(sample skipped)")), (0, 6), done.stderr)
        self.assertIn("measured on 2 of 8 test pictures; the others could not be read", done.stdout)
        self.assertEqual(self.figures()["knn"]["count"], 2)
        self.assertIn("measured on 2 of 8 test pictures; the others could not be read",
                      (self.out / "report.html").read_text())
        break_pictures(pictures)
        done = self.run_on(self.data, "folder", "--knn-every", "1", "--overwrite")
        self.assertEqual((done.returncode, done.stderr.count("(sample skipped)")), (0, 8), done.stderr)
        self.assertIn("\nnone of the 8 test pictures can be read, so no accuracy\n", done.stdout)
        self.weights_exist()
        done = subprocess.run([FINETUNE, self.out, "--data", self.data, "--dataset", "folder", "--out",
                               self.folder / "none"], text=True, capture_output=True, env=ENVIRONMENT, cwd=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\nfinetune: --data .*: none of the test pictures can be read\n\Z")

    def test_unreadable_pictures_in_the_other_programs(self):
        """They are named once, counted, and cost no more than themselves: most of a few labels, too."""
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"ant": 4, "bee": 4})
        self.train(kind="folder", data=self.data)
        bad = [self.data / part / name for part, name in (("train", "ant/03.png"), ("train", "bee/04.png"),
                                                          ("test", "bee/02.png"))]
        break_pictures(bad)
        common = (self.out, "--epochs", "1", "--threads", "1", "--device", "cpu", "--labels", "20,100")
        for program, options in ((LINEAR_PROBE, ()), (FINETUNE, ("--out", self.folder / "unreadable"))):
            done = subprocess.run([program, *common, *options], text=True, capture_output=True, env=ENVIRONMENT,
                                  cwd=self.folder)
            self.assertEqual((done.returncode, done.stderr.count("(sample skipped)")), (0, 3), done.stderr)
            for path in bad:
                self.assertEqual(done.stderr.count(str(path)), 1, done.stderr)
            self.assertIn("measured on 7 of 8 test pictures; the other could not be read\n", done.stdout)
            self.assertIn("trained on 18 of 20 pictures; the others could not be read\n", done.stdout)
        break_pictures(sorted((self.data / "test").rglob("*.png"))[:5])
        break_pictures(sorted((self.data / "train").rglob("*.png"))[:9])
        done = subprocess.run([FINETUNE, *common, "--out", self.folder / "unreadable", "--overwrite"], text=True,
                              capture_output=True, env=ENVIRONMENT, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("measured on 2 of 8 test pictures; the others could not be read\n", done.stdout)
        done = subprocess.run([LINEAR_PROBE, *common], text=True, capture_output=True, env=ENVIRONMENT, cwd=self.folder)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, r"\nlinear_probe: loader: \d+ of \d+ samples cannot be read, more than half; check "
                                      r"the data\. The first: [^\n]*\n\Z")

    def test_test_pictures_are_looked_at_once(self):
        """One that cannot be read tells when it is: behind the training."""
        self.classes("train", {"ant": 10, "bee": 10})
        self.classes("test", {"ant": 4, "bee": 4})
        break_pictures([self.data / "test" / "bee" / "02.png"])
        # stdbuf preloads a library, which the address sanitizer wants to come behind its own.
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        for options in ((), ("--hold-out", "0.2")):
            command = [PROGRAM, *arguments(*SMALL, "--dataset", "folder", "--data", self.data, "--out", self.out,
                                           "--epochs", "2", "--knn-every", "1", "--overwrite", *options)]
            output = subprocess.run(["stdbuf", "-oL", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    text=True, env={**ENVIRONMENT, "ASAN_OPTIONS": sanitizer}, cwd=self.folder).stdout
            self.assertRegex(output, r"(?s)\nepoch 2: kNN .*\ntrained 2 epochs in .*warning: [^\n]*bee/02\.png")
            self.assertEqual(output.count("02.png"), 1)


class Fifth(Parts):
    def test_class_by_class(self):
        """Each class keeps something to train on, and what cannot be measured is named."""
        self.classes(".", {"fern": 20, "moss": 1, "reed": 7})
        output = self.train(kind="folder", data=self.data)
        self.assertRegex(output, r"(?m)^every fifth picture is kept for the evaluation, class by class .*; not measured, "
                                 r"for want of pictures to keep: moss$")
        self.assertRegex(output, r"\n  moss +not measured: no test samples\n")
        confusion = self.figures()["linear"]["confusion"]
        self.assertEqual([sum(confusion[row:row + 3]) for row in (0, 3, 6)], [4, 0, 1])

    def test_single_pictures(self):
        self.classes(".", {f"own{i:02}": 1 for i in range(20)})
        output = self.train("--knn-every", "1", kind="folder", data=self.data)
        self.assertIn("all pictures are trained on: the classes have too few", output)
        self.assertIn("too few pictures to hold some out, so no accuracy", output)
        self.assertNotIn("kNN", output)
        self.assertIn("20 pictures in ", output)


if __name__ == "__main__":
    for program in (PROGRAM, FINETUNE, LINEAR_PROBE):
        if not os.path.isfile(program):
            sys.exit("set TRAIN_CIFAR, FINETUNE and LINEAR_PROBE to the built programs")
    unittest.main()
