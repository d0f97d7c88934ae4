"""train_cifar --dataset folder on pictures as people have them. TRAIN_CIFAR names the built program."""
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest
import zlib

from support.tiny_data import load_safetensors, write_pictures
from test_train_cifar import ENVIRONMENT, PROGRAM, SMALL, Base, arguments

COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
CORPUS = pathlib.Path(__file__).parent / "fuzz" / "corpus" / "images"
OTHERS = ("rgb.jpg", "l.jpg", "cmyk.jpg", "progressive.jpg", "p.gif", "rgb.bmp", "rgb.ppm")


def png(height, width, channels, source):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + source.randbytes(width * channels) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) +
            chunk(b"IEND", b""))


class Mixed(Base):
    """Sizes, channels, names and faults of all kinds in one flat folder."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = cls.folder / "mixed"
        cls.pictures.mkdir()
        source = random.Random(1)
        for height, width in ((1, 1), (1, 300), (300, 1), (3, 7), (40, 17), (3000, 20)):
            for channels in COLOUR_TYPES:
                (cls.pictures / f"{channels}-{height}x{width}.png").write_bytes(png(height, width, channels, source))
        for name in OTHERS:
            shutil.copy(CORPUS / name, cls.pictures)
        good = png(9, 9, 3, source)
        (cls.pictures / os.fsdecode(b"caf\xe9 \n\x1b[31m.PNG")).write_bytes(good)
        (cls.pictures / "link.png").symlink_to("3-40x17.png")
        (cls.pictures / "folder.png").mkdir()
        (cls.pictures / "notes.txt").write_text("no picture")
        (cls.pictures / "bad-empty.png").touch()
        (cls.pictures / "bad-cut.jpg").write_bytes(good[:-20])
        (cls.pictures / os.fsdecode(b"bad-\n\x1b[31m\xff.jpeg")).write_text("text")
        (cls.pictures / "bad-link.png").symlink_to("nowhere")
        os.mkfifo(cls.pictures / "bad-pipe.png")
        cls.good, cls.bad = 26 + len(OTHERS), 5

    def test_trains(self):
        done = self.run_on(self.pictures, "folder", "--epochs", "2", "--knn-every", "1", "--batch-size", "7")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{self.good + self.bad} pictures in {self.pictures}, unlabelled "
                      "(left out: 1 .txt file, the empty folder folder.png)\n", done.stdout)
        self.assertIn("pictures could not be read, and others were taken instead", done.stdout)
        warnings = done.stderr.splitlines()
        self.assertEqual(len(warnings), self.bad, warnings)
        for line in warnings:  # each bad picture once, in one line that the terminal only prints
            self.assertRegex(line, r"\Awarning: [^\x00-\x1f]*/bad-[^\x00-\x1f]* \(sample skipped\)\Z")
        for entry in self.log():
            if entry["event"] == "knn":
                self.assertNotIn("top1", entry)
                self.assertTrue(0 < entry["alignment"] < 2, entry)
                self.assertTrue(-8 < entry["uniformity"] < 0, entry)
        self.assertEqual([entry["epoch"] for entry in self.log() if entry["event"] == "knn"], [1, 2])
        self.assertRegex(done.stdout, r"\nepoch 2: effective rank \d+\.\d of 32, spread \d\.\d\d, alignment \d\.\d\d, "
                                      r"uniformity -\d\.\d\d\ntrained 2 epochs in [^\n]+\n[^\n]+\nno labels, so no accuracy\n")


class Cache(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = write_pictures(cls.folder / "pictures", 16)
        cls.bytes = 16 * 20 * 20 * 3

    def weights(self, *options):
        output = self.train("--epochs", "2", "--overwrite", *options, kind="folder", data=self.pictures)
        return load_safetensors(self.out / "model.safetensors")[1], output

    def test_same_weights_wherever_pictures_are_kept(self):
        spill = self.folder / "spill"
        spill.mkdir()
        reference, output = self.weights("--cache-gb", "0")
        self.assertNotIn("decoded pictures", output)
        for options, line in (
                ((), "decoded pictures are kept: 16 in memory (19.2 kB)\n"),
                (("--cache-gb", "5e-6"), "decoded pictures are kept: 4 in memory (4.8 kB); the others are decoded in "
                                         "every epoch, --cache-gb and --cache-dir keep more\n"),
                (("--cache-gb", "5e-6", "--cache-dir", spill),
                 "decoded pictures are kept: 4 in memory (4.8 kB), 12 in a temporary file (14.4 kB)\n")):
            with self.subTest(options=options):
                weights, output = self.weights(*options)
                self.assertEqual(output.count("decoded pictures"), 1)
                self.assertIn(line, output)
                self.assertTrue(weights == reference)
        self.assertEqual(list(spill.iterdir()), [])

    def test_pictures_are_not_needed_again(self):
        """Once the first epoch has read them they may go: nothing is decoded again, not even for the monitor."""
        folder = self.folder / "going"
        shutil.copytree(self.pictures, folder)
        command = [PROGRAM, *arguments(*SMALL, "--dataset", "folder", "--data", folder, "--out", self.out, "--epochs",
                                       "5", "--knn-every", "1")]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, cwd=self.folder, env=ENVIRONMENT) as process:
            for line in process.stdout:
                if line.startswith("decoded pictures are kept: 16 in memory"):
                    shutil.rmtree(folder)
            rest = process.stderr.read()
        self.assertFalse(folder.exists())
        self.assertEqual((process.returncode, rest), (0, ""))

    def test_data_sets_in_memory_have_none(self):
        self.assertNotIn("decoded pictures", self.train("--no-evaluation"))

    def test_bad_options(self):
        for value in ("-3", "nan", "inf", "1e9"):
            self.refused("--cache-gb", value, words=("--cache-gb",))
        self.refused("--cache-dir", self.folder / "none", words=(str(self.folder / "none"), "No such file"),
                     kind="folder", data=self.pictures)


class Layouts(Base):
    def test_class_folders(self):
        folder = self.folder / "classes"
        odd = os.fsdecode(b"caf\xe9\n\x1b[31m a name of many letters")
        for label, name in enumerate(("cats", "日本語" * 9, "odd")):
            write_pictures(folder / name, 10, 3 * label)
        (folder / "odd").rename(folder / odd)
        done = self.run_on(folder, "folder", "--epochs", "2", "--knn-every", "1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("every fifth picture is kept for the evaluation", done.stdout)
        self.assertIn(f"24 samples of 30 pictures in {folder}, 3 classes\n", done.stdout)
        self.assertRegex(done.stdout, r"\nepoch 1: kNN \d+\.\d\d % on 6 training samples by 18 others, effective rank .*, alignment \d\.\d\d, "
                                      r"uniformity -\d\.\d\d\n")
        knn = [entry for entry in self.log() if entry["event"] == "knn"]
        self.assertEqual(len(knn), 2)
        self.assertTrue({"top1", "alignment", "uniformity"} <= knn[0].keys())
        self.assertNotRegex(done.stdout, r"[\x00-\x09\x0b-\x1f]")
        table = done.stdout.partition("most often taken for\n")[2].splitlines()
        for line, name in zip(table, (os.fsdecode(b"caf\xe9??[31m a name of man"), "cats", "日本語" * 8)):
            self.assertRegex(line, rf"\A  {re.escape(name.ljust(24))} +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d   ")

    def parts(self, name, **folders):
        """A folder of folders: their pictures, [cats, dogs] or a number of unlabelled ones."""
        for part, counts in folders.items():
            for label, count in enumerate(counts if isinstance(counts, list) else [counts]):
                where = self.folder / name / part
                write_pictures(where / ("cats", "dogs")[label] if isinstance(counts, list) else where, count, 9 * label)
        return self.folder / name

    def test_parts_by_other_names(self):
        for train, test in (("Training", "Validation"), ("train2017", "val2017"), ("train_set", "eval-images")):
            folder = self.parts(train, **{train: [10, 10], test: [4, 4]})
            output = self.train("--overwrite", kind="folder", data=folder)
            self.assertIn(f"train: {folder}/{train}; test: {folder}/{test}\n20 pictures in {folder}/{train}, 2 ", output)
            self.assertIn("on 8 test pictures", output)

    def test_trainval(self):
        for train in ("trainval", "train_val2012"):
            folder = self.parts(train, **{train: [10, 10], "test": [4, 4]})
            output = self.train("--overwrite", kind="folder", data=folder)
            self.assertIn(f"train: {folder}/{train}; test: {folder}/test\n20 pictures in {folder}/{train}, 2 ", output)

    def test_a_class_called_test(self):
        folder = self.parts("lone", test=[4, 4], photos=[10, 10])
        output = self.train("--no-evaluation", kind="folder", data=folder)
        self.assertIn(f"no folder of {folder} is called train, so test counts as a class", output)

    def test_a_part_that_is_a_dead_link(self):
        folder = self.parts("moved", train=[10, 10])
        (folder / "test").symlink_to("gone")
        output = self.train(kind="folder", data=folder)
        self.assertIn(f"train: {folder}/train\nnot used: {folder} itself (the dead link test)\n", output)

    def test_folders_that_have_parts(self):
        folder = self.parts("sites", **{f"{site}/{part}": [6, 6] for site in "ab" for part in ("train", "test")})
        output = self.train("--no-evaluation", kind="folder", data=folder)
        self.assertIn("a, b hold parts of their own, which are trained on, test parts too; to tell the parts apart give "
                      f"each folder as a place: {folder}/a::{folder}/b for {folder}\n", output)
        self.assertNotIn("--classes-at", output)
        folder = self.parts("kinds", **{f"{kind}/{part}": 6 for kind in "ab" for part in ("train", "test")})
        output = self.train("--no-evaluation", "--overwrite", kind="folder", data=folder)
        self.assertIn("a, b hold parts of their own, which are trained on, test parts too; where they are classes ", output)

    def test_classes_of_one_number(self):
        folder = self.parts("numbers", **{"01": 10, "1": 10, "1.5": 10})
        self.assertIn("01 and 1 are two classes, and the same number; where one is meant, write both alike\n",
                      self.train("--no-evaluation", kind="folder", data=folder))

    def test_parts_in_parts(self):
        """As zip files are made, and unpacked into folders that are called like them."""
        folder = self.parts("zips", **{"seg_train/seg_train": [10, 10], "seg_test/seg_test": [4, 4], "seg_pred": 3})
        output = self.train(kind="folder", data=folder)
        self.assertIn(f"train: {folder}/seg_train/seg_train; test: {folder}/seg_test/seg_test\n"
                      f"not used: {folder}/seg_pred (3 pictures)\n20 pictures in ", output)
        self.assertIn("on 8 test pictures", output)

    def test_classes_that_differ_in_case(self):
        folder = self.parts("cases", train=[10, 10], test=[4, 4])
        write_pictures(folder / "train" / "Dogs", 10, 9)
        self.assertIn("Dogs and dogs are two classes, told apart by their case alone; ",
                      self.train(kind="folder", data=folder))

    def test_parts_that_are_not_used(self):
        folder = self.parts("unused", train=[10, 10], test=[4, 4], val=[3, 3], pictures_of_us=5)
        output = self.train(kind="folder", data=folder)
        self.assertIn("on 8 test pictures", output)
        self.assertIn(f"not used: {folder}/val (6 pictures)\nnot used: {folder}/pictures_of_us (5 pictures)\n", output)

    def test_parts_without_labels(self):
        folder = self.parts("kaggle", train=[10, 10], test=7)
        output = self.train(kind="folder", data=folder)
        self.assertIn(f"not used: {folder}/test (7 pictures)\n20 pictures in {folder}/train, 2 classes\n", output)
        self.assertIn("it has no labels", output)
        folder = self.parts("flat", train=20, val=6)
        output = self.train("--overwrite", kind="folder", data=folder)
        self.assertIn(f"20 pictures in {folder}/train, unlabelled", output)
        self.assertIn(f"not used: {folder}/val (6 pictures)\n", output)
        self.assertRegex(output, "has no labels.*, so no accuracy")

    def test_a_folder_that_cannot_be_listed(self):
        """For root there is none: then another user runs the programs."""
        folder, out = self.parts("disk", cats=10, dogs=10), self.folder / "of another user"
        closed = write_pictures(folder / "cats" / "lost+found", 1)
        user = {"user": 65534, "group": 65534} if os.getuid() == 0 else {}
        out.mkdir(mode=0o777)
        out.chmod(0o777)
        self.folder.chmod(0o755)
        closed.chmod(0o700 if user else 0)
        self.addCleanup(closed.chmod, 0o755)
        done = subprocess.run([PROGRAM, *arguments(*SMALL, "--dataset", "folder", "--data", folder, "--out", out)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, env=ENVIRONMENT,
                              **user)
        self.assertEqual((done.returncode, done.stderr), (0, f"warning: {closed} cannot be listed (Permission denied), so "
                                                             "what it holds is left out\n"))
        self.assertIn(f"of 20 pictures in {folder}, 2 classes (left out: the folder that cannot be listed, "
                      "cats/lost+found)\n", done.stdout)

    def test_parts_that_cannot_be_listed(self):
        """A test part costs the evaluation, and a disk's lost+found nothing."""
        folder, out = self.parts("whole disk", train=[10, 10], test=[4, 4]), self.folder / "out of another user"
        user = {"user": 65534, "group": 65534} if os.getuid() == 0 else {}
        out.mkdir(mode=0o777)
        out.chmod(0o777)
        self.folder.chmod(0o755)
        (folder / "lost+found").mkdir()
        for closed in (folder / "lost+found", folder / "test"):
            closed.chmod(0o700 if user else 0)
            self.addCleanup(closed.chmod, 0o755)
        done = subprocess.run([PROGRAM, *arguments(*SMALL, "--dataset", "folder", "--data", folder, "--out", out)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder, env=ENVIRONMENT,
                              **user)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"20 pictures in {folder}/train, 2 classes", done.stdout)
        self.assertIn(f"no evaluation on {folder}/test: it cannot be read (", done.stdout)
        self.assertIn(f"not used: {folder}/lost+found (the folder that cannot be listed, ", done.stdout)

    def test_a_class_called_train(self):
        folder = self.parts("vehicles", train=10, bus=10)
        self.assertIn(f"20 pictures in {folder}, 2 classes", self.train(kind="folder", data=folder))

    def test_unlabelled_beside_train_and_test(self):
        """A class's folder in the unlabelled part is none; the others' labels serve the kNN during training, too."""
        folder = self.parts("stl", unlabeled=24, train=[8, 8], test=[4, 4])
        (folder / "unlabeled" / "dogs").mkdir()
        (folder / "unlabeled" / "23.png").rename(folder / "unlabeled" / "dogs" / "23.png")
        output = self.train("--knn-every", "1", "--limit", "20", kind="folder", data=folder)
        self.assertIn("20 samples of 24 pictures in ", output)
        self.assertRegex(output, r"epoch 1: kNN \d+\.\d\d % on 4 training samples by 12 others")
        self.assertIn("on 8 test pictures", output)

    def test_unlabelled_alone(self):
        """It is no class, and neither is what it holds; test parts beside it cannot be measured."""
        folder = self.parts("pool", unlabeled=[10, 10])
        output = self.train(kind="folder", data=folder)
        self.assertIn(f"train: {folder}/unlabeled (there is no train part with labels, so there is no evaluation)\n"
                      f"20 pictures in {folder}/unlabeled, unlabelled\n", output)
        self.assertIn("no labels, so no accuracy\n", output)
        self.parts("pool", val=[3, 3])
        output = self.train("--overwrite", kind="folder", data=folder)
        self.assertIn(f"20 pictures in {folder}/unlabeled, unlabelled\n", output)
        self.assertIn(f"not used: {folder}/val (6 pictures)\n", output)
        self.assertRegex(output, r"nothing to test on in .*/val: .*/unlabeled has no labels, so no accuracy\n")
        classes = self.parts("some", cats=10, dogs=10, unlabeled=5)
        output = self.train("--overwrite", kind="folder", data=classes)
        self.assertIn(f"no folder of {classes} is called train, so unlabeled counts as a class", output)
        output = self.train("--overwrite", kind="folder", data=f"{folder}::{self.parts('more', train=[8, 8])}")
        self.assertRegex(output, rf"train: {folder}/unlabeled; labels for the evaluation: .*/more/train; test: {folder}/val\n")
        flat = self.parts("flat place", pictures=7) / "pictures"
        output = self.train("--overwrite", kind="folder", data=f"{folder}::{flat}")
        self.assertIn(f"27 pictures in {folder}/unlabeled (20), {flat} (7), unlabelled\n", output)

    def test_classes_at(self):
        folder = self.folder / "places"
        for label, name in enumerate(("a/arch", "a/attic", "b/barn")):
            write_pictures(folder / name, 10, 9 * label)
        output = self.train(kind="folder", data=folder)
        self.assertIn("so the 2 folders in a are one class (to make each a class: --classes-at 2)", output)
        self.assertIn(f"of 30 pictures in {folder}, 2 classes", output)
        self.assertIn("3 classes", self.train("--classes-at", "2", "--overwrite", kind="folder", data=folder))
        self.assertIn("3 classes", self.train("--config", self.out / "config.json", "--overwrite", kind="folder", data=folder))
        self.assertIn("unlabelled", self.train("--classes-at", "0", "--overwrite", kind="folder", data=folder))
        write_pictures(self.folder / "around/all/a", 9)
        write_pictures(self.folder / "around/all/b", 9)
        output = self.train("--overwrite", kind="folder", data=self.folder / "around")
        self.assertIn(f"give --data {self.folder}/around/all\n", output)

    def test_a_single_class(self):
        write_pictures(self.folder / "one" / "pictures", 20)
        output = self.train(kind="folder", data=self.folder / "one")
        self.assertIn("a single class, so no accuracy\n", output)
        self.assertNotIn("kNN", output)

    def test_train_and_test(self):
        folder = self.folder / "split"
        for part, count in (("train", 10), ("test", 3)):
            for label, name in enumerate(("cats", "dogs")):
                write_pictures(folder / part / name, count, 9 * label)
        output = self.train(kind="folder", data=folder)
        self.assertIn("20 pictures in ", output)
        self.assertIn("on 6 test pictures", output)
        self.assertNotIn("every fifth", output)
        self.assertIn(f"train: {folder}/train; test: {folder}/test\n", output)


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
