"""Programs on pictures in NumPy's files: parts by names, types, channels, labels or none, and what is refused. TRAIN_CIFAR
names the built program; the others lie beside it. WITH_NPZ: 1 where the build reads .npz."""
import array
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import unittest
import zipfile

from support.tiny_data import load_safetensors, write_pictures
from test_train_cifar import ENVIRONMENT, PROGRAM, SMALL, Base

SIDE = 20
WITH_NPZ = os.environ.get("WITH_NPZ") == "1"


def npy(descr, shape, values):
    """`values`: bytes, or numbers of that type."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode()
    header += b" " * (53 - len(header) % 64 + 64 * (len(header) % 64 > 53)) + b"\n"
    codes = {"<u2": "H", "<i8": "q", "<f4": "f", "<f8": "d"}
    data = array.array(codes[descr], values).tobytes() if descr in codes else bytes(values)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def pictures(count, seed, channels=1, descr="|u1", scale=1.0):
    """Grey squares, dark or light by the label, with noise; the labels."""
    source, values = random.Random(seed), []
    for i in range(count):
        level = (60, 180)[i % 2]
        values += [(level + source.randrange(-40, 41)) * scale for _ in range(SIDE * SIDE * channels)]
    shape = (count, SIDE, SIDE) + ((channels,) if channels > 1 else ())
    whole = descr in ("|u1", "<u2")
    return npy(descr, shape, map(int, values) if whole else values), npy("|u1", (count, 1), (i % 2 for i in range(count)))


def write_npz(path, **arrays):
    """Where the build reads none, a folder of files by the arrays' names."""
    if not WITH_NPZ:
        path.mkdir(exist_ok=True)
        for name, content in arrays.items():
            (path / f"{name}.npy").write_bytes(content)
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return path


class Arrays(Base):
    """MedMNIST's names in one .npz, Keras's as files side by side."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.parts = {}
        for part, count in (("train", 20), ("test", 10), ("val", 6)):
            cls.parts[f"{part}_images"], cls.parts[f"{part}_labels"] = pictures(count, part)
        cls.set = cls.folder / "medmnist" / "set.npz"
        cls.set.parent.mkdir()
        write_npz(cls.set, **cls.parts)

    def files(self, name, **arrays):
        folder = self.folder / name
        folder.mkdir(parents=True)
        for name, content in arrays.items():
            (folder / f"{name}.npy").write_bytes(content)
        return folder

    def weights(self):
        return load_safetensors(self.out / "model.safetensors")[1]

    def test_files_side_by_side(self):
        names = {"images": "x", "labels": "y"}
        folder = self.files("npy", **{f"{names[content]}_{part}": data for (part, content), data in
                                      ((name.split("_"), data) for name, data in self.parts.items())})
        for data in (folder, folder / "x_train.npy"):
            output = self.train("--overwrite", kind="auto", data=data)
            self.assertIn("auto: arrays found in", output)
            self.assertIn("20 pictures [20,20,1], 2 classes, from", output)
            self.assertIn("train: x_train (20); test: x_test (10)\n", output)
            self.assertIn("not used: x_val (6), y_val (6)", output)
            self.assertIn("on 10 test pictures", output)
        for name, what in (("x_test", "is the test part"), ("x_val", "is the val part"), ("y_train", "holds labels")):
            output = self.train("--overwrite", kind="auto", data=folder / f"{name}.npy")
            self.assertIn(f"{name}.npy {what}; trained on x_train.npy\n", output)
            self.assertIn("20 pictures [20,20,1], 2 classes, from", output)
        self.assertNotIn("; trained on", self.train("--overwrite", kind="auto", data=folder / "x_train.npy"))
        (folder / "more.npz").write_bytes(b"")
        self.assertIn("not used: x_val (6), y_val (6), more.npz", self.train("--overwrite", kind="auto", data=folder))

    def test_npz(self):
        """Also alone in its folder; the same numbers as from files side by side."""
        if not WITH_NPZ:
            data = self.folder / "none.npz"
            data.write_bytes(b"PK\3\4")
            return self.refused(kind="auto", data=data, words=("install libarchive-dev and build again",))
        output = self.train(kind="auto", data=self.set)
        self.assertIn("not used: val_images (6), val_labels (6)", output)
        weights = self.weights()
        self.train("--overwrite", kind="auto", data=self.set.parent)
        self.assertTrue(self.weights() == weights)
        self.train("--overwrite", kind="arrays", data=self.files("side", **self.parts))
        self.assertTrue(self.weights() == weights)
        several = self.folder / "several"
        several.mkdir()
        for name in "ab":
            write_npz(several / f"{name}.npz", **self.parts)
        self.refused("--overwrite", kind="auto", data=several, keep_out=True,
                     words=("holds 2 .npz files (a.npz, b.npz); give the one to train on",))
        cut = self.folder / "cut.npz"
        cut.write_bytes(self.set.read_bytes()[:-30])
        self.refused("--overwrite", kind="auto", data=cut, keep_out=True, words=("cut.npz",))

    def test_zip_files_without_arrays(self):
        """What they are for, their endings say."""
        if not WITH_NPZ:
            return
        for name, words in (("list.xlsx", "save it as CSV"), ("list.ods", "save it as CSV"), ("set.zip", "unpack it"),
                            ("set.npz", "save them by np.savez or np.save")):
            data = self.folder / "zipped" / name
            data.parent.mkdir(exist_ok=True)
            with zipfile.ZipFile(data, "w") as archive:
                archive.writestr("content.xml", "no array")
            self.refused(kind="auto", data=data, words=(f"{name}: holds no arrays; ", words))

    def test_unlabelled(self):
        """An unlabelled part is trained on; without one, and without labels, everything is."""
        unlabelled = pictures(24, "more")[0]
        data = write_npz(self.folder / "stl.npz", unlabeled_images=unlabelled, **self.parts)
        output = self.train("--knn-every", "1", kind="arrays", data=data)
        self.assertIn("train: unlabeled_images (24); labels for the evaluation: train_images (20); test: test_images (10)\n",
                      output)
        self.assertIn("24 pictures [20,20,1], unlabelled, from", output)
        self.assertRegex(output, r"epoch 1: kNN \d+\.\d\d % on 4 training samples by 16 others")
        self.assertIn("on 10 test pictures", output)
        larger = npy("|u1", (24, 32, 32), (i * 7 % 256 for i in range(24 * 32 * 32)))
        self.train("--overwrite", "--size", "0", kind="arrays",
                   data=write_npz(self.folder / "larger.npz", unlabeled_images=larger, **self.parts))
        config = json.loads((self.out / "config.json").read_text())
        self.assertEqual(config["augmentation"]["size"], 32)  # of what is trained on
        output = self.train("--overwrite", "--classes-at", "0", kind="arrays", data=data)
        self.assertIn("20 pictures [20,20,1], unlabelled, from", output)
        self.assertIn("unlabeled_images (24)", output)
        lone = self.files("lone", x_test=unlabelled) / "x_test.npy"
        output = self.train("--overwrite", kind="arrays", data=lone)  # whatever it is called, and not tested on, too
        self.assertIn("24 pictures [20,20,1], unlabelled, from", output)
        self.assertNotIn("the part test", output)
        output = self.train("--overwrite", kind="arrays", data=self.files("alone", photos=unlabelled))
        self.assertIn("24 pictures [20,20,1], unlabelled, from", output)
        self.assertIn("no labels", output)

    def test_classes_are_the_labels_that_occur(self):
        """Of both parts by their numbers; a test part's own class is left out, and named."""
        numbers = (7, 2**40)
        def labels(count, *others):
            return npy("<i8", (count,), [*others, *(numbers[i % 2] for i in range(len(others), count))])
        parts = {name: content for name, content in self.parts.items() if "images" in name and "val" not in name}
        output = self.train(kind="arrays", data=write_npz(
            self.folder / "sparse.npz", train_labels=labels(20, 900, 900, -1), test_labels=labels(10, 5), **parts))
        self.assertIn("20 pictures [20,20,1], 3 classes (1 without a label), from", output)
        self.assertIn("the part test lacks 900: the figures are over the other 2 of 3 classes; the training part lacks 5; "
                      "1 picture of the part test without a class of the training part is left out\n", output)
        self.assertRegex(output, r"\n  7 +\d+\.\d\d.*\n  900 +not measured.*\n  1099511627776 +\d")
        self.assertIn("1 picture has no label, and the evaluation does not learn from it\n", output)
        floats = [float("nan") if i < 4 else 2.0 + i % 2 for i in range(20)]
        output = self.train("--overwrite", kind="arrays", data=write_npz(
            self.folder / "floats.npz", images=self.parts["train_images"], labels=npy("<f8", (20,), floats)))
        self.assertIn("2 classes (4 without a label), from", output)

    def test_a_test_part_without_labels(self):
        """Then the other is tested on, as of folders, and nothing is said of its black pictures."""
        parts = {name: array for name, array in self.parts.items() if name != "test_labels"}
        parts["test_images"] = npy("|u1", (10, SIDE, SIDE), bytes(10 * SIDE * SIDE))
        output = self.train(kind="arrays", data=write_npz(self.folder / "blind.npz", **parts))
        self.assertIn("no evaluation on the part test: it has no labels", output)
        self.assertIn("train: train_images (20); test: val_images (6)\n", output)
        self.assertIn("not used: test_images (10)\n", output)
        self.assertIn("on 6 test pictures", output)

    def test_a_fifth_is_kept(self):
        """And a run that goes on notices that its array is another."""
        data = write_npz(self.folder / "one.npz", x=self.parts["train_images"], y=self.parts["train_labels"])
        output = self.train(kind="arrays", data=data)
        self.assertIn("(to choose them, call arrays of them x_test and y_test)", output)
        self.assertIn("on 4 test pictures", output)
        images, labels = pictures(30, "other")
        write_npz(data, x=images, y=labels)
        done = self.launch("--resume", "--out", self.out)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the run began with 16 training pictures, and now there are 24 (", done.stderr)
        self.assertIn("other names or sizes", done.stderr)

    def test_other_types_and_channels(self):
        """16 bits, five channels; a test part of other channels costs the evaluation only."""
        images, labels = pictures(20, "deep", 5, "<u2", 257)
        data = write_npz(self.folder / "deep.npz", train_images=images, train_labels=labels,
                         test_images=self.parts["test_images"], test_labels=self.parts["test_labels"])
        output = self.train(kind="arrays", data=data)
        self.assertIn("20 pictures [20,20,5], u16, 2 classes, from", output)
        self.assertIn("no evaluation on the part test: it cannot be read (its pictures have 1 channel, those trained on "
                      "5)\n", output)
        self.assertEqual(json.loads((self.out / "config.json").read_text())["augmentation"]["channels"], 5)
        done = self.run_on(data, "arrays", "--check", "--overwrite")
        self.assertRegex(done.stdout, r"to make each channel's mean 0 and deviation 1: --mean [\d.,]+ --stddev [\d.,]+\n")

    def test_values_to_255(self):
        """Of floating-point values white is 1: others are named, with what to do."""
        images, labels = pictures(20, "float", 1, "<f4")
        data = write_npz(self.folder / "float.npz", images=images, labels=labels)
        done = self.run_on(data, "arrays")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = (r"\Awarning: .*float.npz \(images\): the pictures' floating-point values go from 2\d to 2\d\d in the 20 "
                r"pictures looked at, and what lies outside of 0 to 1 becomes 0 or 1; save x / 255\n\Z")
        self.assertRegex(done.stderr, said)
        kind = ("--dataset", "arrays")  # where no .npz is read, the set is a folder
        for program, options in (("embed", (data, *kind)), ("nearest", (self.query(), data, *kind)), ("linear_probe", ()),
                                 ("finetune", ("--labels", "100", "--epochs", "1", "--out", self.folder / "float-tuned"))):
            done = self.run_beside(program, *options)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, said)
        done = self.run_on(data, "arrays", "--check", "--overwrite")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout + done.stderr, r"floating-point values go from 2\d to 2\d\d: 100 % lie outside of 0 to 1")
        images = pictures(20, "float", 1, "<f8", 1 / 255)[0]
        self.train("--overwrite", kind="arrays", data=write_npz(data, images=images, labels=labels))

    def test_values_that_are_no_numbers(self):
        """Counted at the start; each such picture is skipped."""
        values = [(0.2, 0.7)[i // (SIDE * SIDE) % 2] for i in range(20 * SIDE * SIDE)]
        for i in (2, 3, 8):
            values[i * SIDE * SIDE] = float("nan")
        data = write_npz(self.folder / "nan.npz", images=npy("<f4", (20, SIDE, SIDE), values),
                         labels=self.parts["train_labels"])
        said = (r"picture 2: the value in row 0, column 0, channel 0 is nan; give missing values a number \(3 of the 20 "
                r"pictures looked at cannot be read, and will be skipped\)\n")
        done = self.run_on(data, "arrays")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(re.findall(said, done.stderr)), 1, done.stderr)
        self.assertEqual(done.stderr.count("(sample skipped)"), 3)
        done = self.run_beside("embed", data, "--dataset", "arrays")
        self.assertEqual(len(re.findall(said, done.stderr)), 1, done.stderr)
        self.assertIn("3 pictures could not be read: left out", done.stdout)

    def test_black_pictures(self):
        """Values of 0 and 1 in bytes, or cut down to 0, are seldom meant."""
        labels = self.parts["train_labels"]
        for descr, greatest, words in (("|u1", 1, "is 1, and white is 255: they are nearly black; save x * 255"),
                                       ("|u1", 0, "is 0, and white is 255: they are black; save them again, by x * 255"),
                                       ("<u2", 255, "is 255, and white is 65535: they are nearly black; save x * (65535"),
                                       ("<f4", 1 / 255, "is 0.00392157, and white is 1: they are nearly black; save x /")):
            values = [greatest * (i % 3 == 0) for i in range(20 * SIDE * SIDE)]
            data = write_npz(self.folder / "black.npz", images=npy(descr, (20, SIDE, SIDE), values), labels=labels)
            done = self.run_on(data, "arrays", "--overwrite", "--no-evaluation")
            self.assertIn(f"the greatest value in the 20 pictures looked at {words}", done.stderr)

    def test_a_folder_of_floats(self):
        """Each a picture of its own."""
        folder = self.folder / "singles"
        folder.mkdir()
        for i in range(20):
            values = [(60, 180)[i % 2] + j % 7 for j in range(SIDE * SIDE)]
            (folder / f"{i:02}.npy").write_bytes(npy("<f4", (SIDE, SIDE), values))
        said = r"singles: the pictures' floating-point values go from 60 to 186 in the 20 pictures looked at, .*; save x / 255\n"
        for done in (self.run_on(folder, "folder"), self.run_beside("embed", folder)):
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, rf"\Awarning: .*{said}\Z")

    def test_floats_of_one_part(self):
        """Of the folders train and test each may have values of its own."""
        for of, scales in (("test", (1 / 255, 1)), ("train", (1, 1 / 255))):
            folder = self.folder / f"floats of {of}"
            for part, scale in zip(("train", "test"), scales):
                for i in range(20):
                    (folder / part / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
                    values = [((60, 180)[i % 2] + j % 7) * scale for j in range(SIDE * SIDE)]
                    (folder / part / "ab"[i % 2] / f"{i:02}.npy").write_bytes(npy("<f4", (SIDE, SIDE), values))
            done = self.run_on(folder, "folder", "--overwrite")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, rf"warning: [^\n]*floats of {of}/{of}: the pictures' floating-point values go from 60 to "
                             "186 in the 20 pictures looked at, [^\n]*; save x / 255\n")
            self.assertEqual(done.stderr.count("floating-point values"), 1, done.stderr)

    def test_an_encoder_for_other_channels(self):
        self.train(kind="arrays", data=self.set)
        folder = self.folder / "five"
        folder.mkdir()
        (folder / "a.npy").write_bytes(npy("|u1", (SIDE, SIDE, 5), bytes(5 * SIDE * SIDE)))
        done = self.run_beside("embed", folder)
        self.assertEqual((done.returncode, done.stderr),
                         (1, f"embed: {folder}: its pictures have 5 channels, the encoder is for 1 channel\n"))
        for i in range(70):  # all 32 that are looked at first
            channels = 5 if i in {k * 70 // 32 for k in range(32)} else 1
            (folder / f"{i:02}.npy").write_bytes(npy("|u1", (SIDE, SIDE, channels), bytes(channels * SIDE * SIDE)))
        (folder / "a.npy").unlink()
        done = self.run_beside("embed", folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{folder}: the 32 pictures looked at have 5 channels, the encoder is for 1 channel; those that do "
                      "not fit are left out\n", done.stderr)
        self.assertIn("features of 38 pictures", done.stdout)
        self.assertIn("32 pictures could not be read: left out", done.stdout)

    def query(self):
        return write_pictures(self.folder / f"query-{self.id()}", 1) / "00.png"

    def run_beside(self, name, *options):
        return subprocess.run([pathlib.Path(PROGRAM).parent / name, self.out, *options, "--threads", "1", "--device", "cpu"],
                              text=True, capture_output=True, env=ENVIRONMENT, cwd=self.folder)

    def test_embed_and_nearest(self):
        """Pictures are listed by their arrays' names; whichever array a picture is in, its features are the same."""
        self.train(kind="arrays", data=self.set)
        alone = self.files("embed", x=self.parts["val_images"]) / "x.npy"
        rows = {}
        self.files("all", **self.parts)
        for data in (*(self.folder / "all" / f"{part}_images.npy" for part in ("train", "test", "val")), alone):
            done = self.run_beside("embed", data, "--out", "features", "--overwrite")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            files = (self.folder / "features" / "files.txt").read_text().splitlines()
            self.assertEqual({name.split("/")[0] for name in files}, {data.stem})  # not of those beside it
            values = array.array("f", (self.folder / "features" / "features.npy").read_bytes()[-4 * 32 * len(files):])
            rows |= {name: values[32 * i:32 * i + 32].tolist() for i, name in enumerate(files)}
        names = [f"{name}/{i}" for name, count in (("train_images", 20), ("test_images", 10), ("val_images", 6), ("x", 6))
                 for i in range(count)]
        self.assertEqual(list(rows), names)
        for i in range(6):
            for a, b in zip(rows[f"val_images/{i}"], rows[f"x/{i}"]):
                self.assertAlmostEqual(a, b, delta=1e-5)
        done = self.run_beside("embed", self.folder / "all", "--dataset", "arrays", "--out", "of-the-folder")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((self.folder / "of-the-folder" / "files.txt").read_text().splitlines(), names[:36])
        picture = self.query()
        done = self.run_beside("nearest", picture, alone, "--k", "2")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"cosine  file\n-?\d\.\d{4}  x/\d\n-?\d\.\d{4}  x/\d\n\Z")
        done = self.run_beside("nearest", picture, alone, "--k", "2", "--features", "features", "--sheet", "sheet.png")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue((self.folder / "sheet.png").read_bytes().startswith(b"\x89PNG"))

    def test_nothing_is_written_among_the_data(self):
        """Where the files' folder is the current one, outputs lie beside it."""
        folder = self.files("among/arrays", **self.parts)
        before = sorted(folder.iterdir())
        options = (*SMALL, "--data", "train_images.npy")
        def call(program, *options):
            done = subprocess.run([pathlib.Path(PROGRAM).parent / program, *map(str, options)], text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, env=ENVIRONMENT, cwd=folder)
            self.assertEqual(done.stderr, "")
            return done.stdout
        self.assertIn("they are not drawn among the data", call("train_cifar", *options, "--check"))
        self.assertIn("files in ../runs/arrays-", call("train_cifar", *options, "--no-evaluation"))
        run = next((folder.parent / "runs").iterdir())
        self.assertIn("in ../embedding\n", call("embed", run, "test_images.npy", "--threads", "1", "--device", "cpu"))
        self.assertEqual(sorted(folder.iterdir()), before)

    def test_bare_names_of_parts(self):
        """train.npy with train_label.npy, and names with a word of their own behind."""
        for names in (("train", "train_label", "test", "test_label"),
                      ("X_train_sat4", "y_train_sat4", "X_test_sat4", "y_test_sat4")):
            place = self.folder / names[0]
            place.mkdir()
            contents = (*pictures(40, 1), *pictures(10, 2))
            for name, content in zip(names, contents):
                (place / f"{name}.npy").write_bytes(content)
            for data in (place, place / f"{names[0]}.npy"):
                self.out = self.folder / f"run-{data.name}"
                text = self.train(kind="auto", data=data)
                self.assertIn(f"train: {names[0]} (40); test: {names[2]} (10)\n", text)
                self.assertIn("2 classes, from ", text)

    def test_which_of_two_is_trained_on(self):
        """Of two that could both be the pictures the one that is named, and in a folder none."""
        place = self.folder / "satellites"
        place.mkdir()
        for count, name in ((40, "sat4"), (30, "sat6")):
            for content, part in zip(pictures(count, 1), "Xy"):
                (place / f"{part}_train_{name}.npy").write_bytes(content)
        (place / "y_train_sat4.npy").unlink()
        self.assertIn("30 pictures", self.train(kind="auto", data=place / "X_train_sat6.npy"))
        self.out = self.folder / "refused"
        self.refused(data=place, kind="arrays", words=("X_train_sat4 and X_train_sat6 could both be the pictures",))

    def test_a_run_whose_data_have_changed(self):
        place = self.folder / "changing"
        place.mkdir()
        for channels in (1, 5):
            content, labels = pictures(40, 3, channels)
            (place / "images.npy").write_bytes(content)
            (place / "labels.npy").write_bytes(labels)
            if channels == 1:
                self.train(kind="arrays", data=place)
        self.refused("--resume", data=place, kind="arrays", keep_out=True,
                     words=("--resume: the data have changed: ", "5 channels of arrays now"))

    def test_other_programs(self):
        """They find the run's data by themselves."""
        self.train(kind="arrays", data=self.set)
        for name, options in (("linear_probe", ()), ("finetune", ("--out", self.folder / "tuned"))):
            done = self.run_beside(name, "--labels", "100", "--epochs", "1", *options)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertRegex(done.stdout, r"\b20\b")
            self.assertRegex(done.stdout, r"\b10 test pictures|100 %")


if __name__ == "__main__":
    if not PROGRAM:
        sys.exit(77)
    unittest.main()
