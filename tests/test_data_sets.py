"""examples/train_cifar on each kind of data set, and what it says of data that is wrong. TRAIN_CIFAR names the built
program."""
import gzip
import json
import os
import re
import shutil
import struct
import sys
import unittest

from support.tiny_data import (load_safetensors, records, write_cifar10, write_emnist, write_fashion_mnist,
                               write_pictures, write_stl10, write_tiny_imagenet)
from test_train_cifar import PROGRAM, SMALL, Base, arguments


class DataSets(Base):
    def test_cifar100(self):
        folder = self.folder / "cifar100" / "cifar-100-binary"
        folder.mkdir(parents=True)
        for name, count in (("train.bin", 40), ("test.bin", 12)):
            (folder / name).write_bytes(records(count, 2, name))
        output = self.train("--preset", "lightly", "--optimizer", "adamw", kind="cifar100", data=folder.parent)
        self.assertIn("kNN top-1", output)
        self.assertNotIn("most often taken for", output)  # a hundred rows are not printed
        self.assertEqual(len(self.log()[-1]["trained"]["linear"]["recall"]), 100)

    def test_fashion_mnist(self):
        folder = write_fashion_mnist(self.folder / "fashion")
        output = self.train("--preset", "google", "--warmup-epochs", "1", kind="fashion-mnist", data=folder)
        self.assertIn("linear top-1", output)
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual((config["augmentation"]["size"], config["augmentation"]["channels"]), (28, 1))
        self.assertEqual(config["optimizer"], "lars")
        self.assertEqual(load_safetensors(self.out / "model.safetensors")[1]["encoder.conv1.weight"][1].count(1), 1)

    def test_files_of_mnist(self):
        """They have the names of Fashion-MNIST's: their classes are the digits."""
        folder = write_fashion_mnist(self.folder / "mnist", begins=())
        output = self.train(kind="auto", data=folder)
        self.assertIn("auto: idx files found in ", output)
        self.assertIn("40 pictures [28,28,1], 10 classes", output)
        self.assertRegex(output, r"\n  7 +\d+\.\d\d")
        self.assertNotIn("Sneaker", output)
        self.refused("--overwrite", data=folder, kind="fashion-mnist", keep_out=True,
                     words=("holds another set, whose training labels do not begin as Fashion-MNIST's; take --dataset idx",))

    def test_cifar_of_python(self):
        folder = self.folder / "python" / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        (folder / "data_batch_1").write_bytes(b"\x80\x02}")
        hundred = self.folder / "python100" / "cifar-100-python"
        hundred.mkdir(parents=True)
        for name in ("train", "test", "meta"):
            (hundred / name).write_bytes(b"\x80\x02}")
        for data in (folder, folder.parent, hundred, hundred.parent):
            self.refused(data=data, kind="auto", words=("CIFAR's Python version, which is not read: get the binary",))

    def test_stl10(self):
        """By its recipe, small: trained on the unlabelled pictures, measured by the others."""
        folder = write_stl10(self.folder / "stl10" / "stl10_binary")
        small = ("--preset", "stl10", "--size", "32", "--head-hidden", "8")
        output = self.train(*small, kind="auto", data=folder.parent)
        self.assertIn("train: unlabeled_X.bin; labels for the evaluation: train_X.bin; test: test_X.bin\n", output)
        self.assertIn("STL-10 unlabelled: 40 pictures [96,96,3], from ", output)
        self.assertRegex(output, r"\n  monkey +\d+\.\d\d")
        self.assertEqual(self.log()[-1]["trained"]["knn"]["count"], 10)
        (self.out / "model.safetensors").unlink()
        with open(folder / "unlabeled_X.bin", "r+b") as file:
            file.truncate(27648 * 39)
        done = self.launch("--resume", "--out", self.out)
        self.assertRegex(done.stderr, r"began with 40 training pictures, and now there are 39 \(.*stl10_binary")

    def test_other_idx_files(self):
        """Parts by other names, classes as the labels say, and no labels."""
        folder = write_fashion_mnist(self.folder / "two", begins=(1, 0))
        for name in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
            shutil.copy(folder / f"t10k-{name}", folder / f"val-{name}")
            (folder / f"t10k-{name}").rename(folder / f"test-{name}")
        for part, count in (("train", 40), ("test", 12), ("val", 12)):
            (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(
                gzip.compress(struct.pack(">II", 0x801, count) + bytes(i % 2 for i in range(count))))
        output = self.train(kind="auto", data=folder)
        self.assertIn("40 pictures [28,28,1], 2 classes", output)
        self.assertIn("train: train-images-idx3-ubyte; test: test-images-idx3-ubyte\n"
                      "not used: val-images-idx3-ubyte (12 pictures)\n", output)
        self.assertEqual(self.log()[-1]["trained"]["knn"]["count"], 12)
        (folder / "train-labels-idx1-ubyte.gz").unlink()
        output = self.train("--overwrite", kind="auto", data=folder)
        self.assertIn("40 pictures [28,28,1], unlabelled", output)
        self.assertIn("the training part has no labels", output)

    def test_labelled_folder_with_a_corrupt_picture(self):
        folder = self.folder / "labelled"
        for label, name in enumerate(("cats", "dogs", "owls")):
            write_pictures(folder / name, 10, 3 * label)
        broken = [folder / "dogs" / "03.png", folder / "owls" / "05.png"]  # the latter is held out for the evaluation
        for path in broken:
            path.write_bytes(path.read_bytes()[:200])
        done = self.run_on(folder, "folder", "--epochs", "2", "--knn-every", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        warnings = done.stderr.splitlines()
        self.assertEqual(len(warnings), 2, warnings)  # each picture once, however often it is tried
        for path, line in zip(broken, warnings):
            self.assertTrue(line.startswith(f"warning: {path}: ") and line.endswith(" (sample skipped)"), line)
        self.assertIn("1 picture could not be read, and others were taken instead", done.stdout)
        self.assertRegex(done.stdout, r"\n  dogs +\d+\.\d\d")
        log = self.log()
        self.assertEqual([entry["skipped_samples"] for entry in log if entry["event"] == "epoch"], [1, 1])
        self.assertEqual(log[-1]["trained"]["knn"]["count"], 5)
        self.assertIn("measured on 5 of 6 test pictures; the other could not be read", done.stdout)

    def test_unlabelled_folder(self):
        folder = write_pictures(self.folder / "unlabelled", 20)
        output = self.train("--size", "16", "--knn-every", "1", "--head-layers", "3", "--arch", "resnet34",
                            kind="folder", data=folder)
        self.assertIn("no labels, so no accuracy", output)
        self.assertNotIn("kNN", output)
        self.assertEqual([entry for entry in self.log() if entry["event"] == "evaluation" or "top1" in entry], [])
        self.assertTrue((self.out / "model.safetensors").is_file())

    def test_profile(self):
        quick = ("--no-evaluation", "--knn-every", "0", "--limit", "40", "--overwrite")
        self.assertNotIn("ms a step", self.train(*quick))
        output = self.train(*quick, "--profile")
        rows = re.findall(r"^(\S.*?) +(\d+\.\d) +(\d+\.\d{3}) +\d+\.\d %$", output, re.MULTILINE)
        times = {name: float(ms) for name, calls, ms in rows}
        self.assertIn("steps: 3", output)  # of 5; two warm up
        self.assertLess({"conv2d forward", "batchnorm apply", "nt_xent backward", "optimizer sgd", "wait for views", "other",
                         "all"}, set(times))
        self.assertAlmostEqual(sum(times.values()), 2 * times["all"], delta=0.02 * times["all"])

    def test_folder_too_small_to_hold_pictures_out(self):
        folder = self.folder / "few"
        for name in ("cats", "dogs"):
            write_pictures(folder / name, 2)
        self.assertIn("too few pictures", self.train("--batch-size", "2", kind="folder", data=folder))

    def test_folder_name_that_is_not_utf8(self):
        folder = self.folder / os.fsdecode(b"caf\xe9")
        write_cifar10(folder)
        self.train("--no-evaluation", data=folder)
        self.assertIn("caf", json.loads((self.out / "config.json").read_text())["data"])


class AutomaticDataSet(Base):
    """--dataset auto, without and with --data."""

    @unittest.skipUnless(os.path.isdir("/usr/share/datasets/fashion-mnist"), "Debian's Fashion-MNIST is not installed")
    def test_a_run_keeps_the_set_that_was_found(self):
        small = arguments(*SMALL, "--size", "8", "--limit", "16", "--no-evaluation")
        first = self.launch(*small, "--out", self.out)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        self.assertIn("auto: no CIFAR-10 in data-cache, so Fashion-MNIST from ", first.stdout)
        write_cifar10(self.folder / "data-cache")
        config, again = self.out / "config.json", self.folder / "again"
        weights = (self.out / "model.safetensors").read_bytes()
        (self.out / "model.safetensors").unlink()  # with it, the run is finished
        for options in (("--config", config, "--out", again), ("--resume", "--out", self.out)):
            done = self.launch(*options)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("16 samples of Fashion-MNIST train: ", done.stdout)
        for run in (again, self.out):
            self.assertEqual((run / "model.safetensors").read_bytes(), weights)
        self.assertEqual((again / "config.json").read_text(), config.read_text())
        self.assertIn("auto: CIFAR-10 found in data-cache ", self.launch(*small, "--out", self.folder / "new").stdout)

    def test_a_folder_that_is_named(self):
        """It is looked at, and nothing takes its place."""
        cifar100 = self.folder / "cifar100" / "cifar-100-binary"
        cifar100.mkdir(parents=True)
        for name, count in (("train.bin", 40), ("test.bin", 12)):
            (cifar100 / name).write_bytes(records(count, 2, name))
        for kind, folder in (("cifar10", self.cifar10), ("cifar100", cifar100.parent),
                             ("fashion-mnist", write_fashion_mnist(self.folder / "fashion")),
                             ("idx", write_fashion_mnist(self.folder / "digits", begins=(5, 0, 4, 1, 9))),
                             ("emnist", write_emnist(self.folder / "letters") / "emnist-letters"),
                             ("tiny-imagenet", write_tiny_imagenet(self.folder / "tiny-imagenet-200"))):
            with self.subTest(kind=kind):
                self.train("--no-evaluation", "--overwrite", data=folder, kind="auto")
                self.assertEqual(json.loads((self.out / "config.json").read_text())["dataset"], kind)
                weights = (self.out / "model.safetensors").read_bytes()
                (self.out / "model.safetensors").unlink()  # with it, the run is finished
                again = self.folder / f"again-{kind}"
                for options in (("--resume", "--out", self.out), ("--config", self.out / "config.json", "--out", again)):
                    done = self.launch(*options)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                for run in (self.out, again):
                    self.assertEqual((run / "model.safetensors").read_bytes(), weights)
        self.out = self.folder / "refused"
        pictures = write_pictures(self.folder / "photos" / "cats", 2).parent
        self.refused(data=pictures, kind="auto", words=(f"--data {pictures}: ", "--dataset folder"))
        self.refused(data=pictures / "cats" / "00.png", kind="auto", words=("00.png: is not a folder but a file",))
        self.refused(data=self.folder / "nowhere", kind="auto", words=("nowhere: no such folder",))
        for name, words in (("list.txt", "add --dataset list"), ("list.json", "save it as CSV"), ("set.7z", "unpack it"),
                            ("train-images-idx3-ubyte.gz", "give the folder that holds it")):
            (self.folder / name).touch()
            self.refused(data=self.folder / name, kind="auto", words=("is not a folder but a file", words))
        other = self.folder / "other"
        other.mkdir()
        for names, words in (((), "other: holds no files"), (("a.txt",), "holds no pictures but 1 .txt file"),
                             (("train/images.npy", "train/labels.npy"),
                              "holds 2 .npy files in folders: put them into one, called train_images,"),
                             (("a.npy", "b.npy"), "holds 2 .npy files: add --dataset folder where each is a picture"),
                             (("0.tar", "1.tar"), "holds 2 .tar files: name them, 0.tar, 1.tar, as in --data '"),
                             (("one.npz", "two.npz"), "holds 2 .npz files (one.npz, two.npz); give the one")):
            for name in names:
                (other / name).parent.mkdir(exist_ok=True)
                (other / name).touch()
            self.refused(data=other, kind="auto", words=(words,))
        self.refused(data=pictures, kind="auto", words=(f"--data {pictures}: holds 2 pictures: add --dataset folder",))

    def test_idx_files_in_odd_places(self):
        self.out = self.folder / "odd"
        dotted, above = self.folder / "dotted", self.folder / "above"
        write_fashion_mnist(above / "MNIST" / "raw")
        dotted.mkdir()
        for name in ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"):
            (dotted / name).touch()
        self.refused(data=dotted, kind="auto", words=(f"put a dash for it, as in {dotted}/train-images-idx3-ubyte",))
        self.refused(data=above, kind="auto", words=(f"give that one, as in --data {above}/MNIST/raw",))
        self.refused(data=above / "MNIST" / "raw", kind="folder",
                     words=("it holds Fashion-MNIST: take --dataset fashion-mnist",))


class BadData(Base):
    def bad_cifar10(self, name, change):
        folder = write_cifar10(self.folder / self.id().rsplit(".", 1)[1])
        path = folder / name
        path.write_bytes(change(path.read_bytes()))
        self.refused(data=folder, words=(str(path),))

    def test_missing_folder(self):
        missing = self.folder / "nowhere"
        self.refused(data=missing, words=(str(missing),))
        for kind in ("cifar100", "fashion-mnist", "folder"):
            self.refused(data=missing, kind=kind, words=(str(missing),))

    def test_truncated(self):
        self.bad_cifar10("data_batch_1.bin", lambda data: data[:-100])

    def test_empty_file(self):
        self.bad_cifar10("data_batch_3.bin", lambda data: b"")

    def test_wrong_label(self):
        self.bad_cifar10("data_batch_2.bin", lambda data: bytes([77]) + data[1:])

    def test_bad_test_batch(self):
        """It costs the evaluation, not the training, and both the first lines and the last say why."""
        folder = write_cifar10(self.folder / "no-test")
        path = folder / "test_batch.bin"
        whole = path.read_bytes()
        for content in (None, whole[:-100], bytes([77]) + whole[1:]):
            path.unlink() if content is None else path.write_bytes(content)
            output = self.train("--overwrite", data=folder)
            self.assertRegex(output, r"(?m)^no evaluation on the test part: it cannot be read \(.*test_batch\.bin")
            self.assertRegex(output, r"(?m)^nothing to test on in the test part: .*test_batch\.bin.*, so no accuracy$")
            self.assertTrue((self.out / "model.safetensors").is_file())

    def test_folder_without_pictures(self):
        folder = self.folder / "empty"
        folder.mkdir()
        (folder / "readme.txt").write_text("none here")
        self.refused(data=folder, kind="folder", words=(str(folder), "no JPEG"))

    def test_fewer_than_a_batch(self):
        folder = write_pictures(self.folder / "few", 1)
        for i in range(3):
            (folder / f"{i}.npy").touch()
        self.refused(data=folder, kind="folder",
                     words=("is more than the 1 training picture; lower it (", "left out: 3 .npy files"))

    def test_all_pictures_corrupt(self):
        folder = write_pictures(self.folder / "corrupt", 16)
        for path in folder.iterdir():
            path.write_bytes(path.read_bytes()[:100])
        done = self.run_on(folder, "folder")
        self.assertEqual(done.returncode, 1)
        *warnings, last = done.stderr.splitlines()
        self.assertTrue(all(line.startswith("warning: ") and str(folder) in line for line in warnings), warnings)
        self.assertRegex(last, r"\Atrain_cifar: .*of 16 samples cannot be read.*" + re.escape(str(folder)))
        self.check_no_partial_files(self.out)


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
