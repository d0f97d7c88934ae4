"""Programs on lists of pictures and on several places at once: the same pictures in the same order give the same weights
as a folder does, parts are found by a column, embed and nearest read what a list names, and a run that goes on notices
another list. PROGRAMS names the folder of the built programs."""
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import unittest

os.environ.setdefault("TRAIN_CIFAR", os.path.join(os.environ.get("PROGRAMS", ""), "train_cifar"))

from support.tiny_data import load_safetensors, write_pictures
from test_array_sets import npy
from test_train_cifar import ENVIRONMENT, PROGRAM, SMALL, Base

CLASSES = ("ant", "bee", "cat")


class Lists(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = cls.folder / "pictures"
        for part, count in (("train", 8), ("val", 4)):
            for label, name in enumerate(CLASSES):
                write_pictures(cls.pictures / part / name, count, 3 * label)

    def rows(self, part, relative_to):
        """Path and class of each picture, in a folder's order."""
        files = sorted((self.pictures / part).glob("*/*.png"), key=lambda path: (path.parent.name, path.name))
        return [(path.relative_to(relative_to).as_posix(), path.parent.name) for path in files]

    def write(self, rows, header=None, name="list.csv", separator=",", end="\n"):
        path = self.pictures / name
        lines = ([header] if header else []) + [separator.join(row) for row in rows]
        path.write_bytes("".join(line + end for line in lines).encode())
        self.addCleanup(path.unlink, missing_ok=True)
        return path

    def outcome(self, data, kind, *options):
        """Weights and losses; what was written on the terminal."""
        done = self.run_on(data, kind, "--epochs", "2", "--overwrite", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        losses = [entry["loss"] for entry in self.log() if entry["event"] == "epoch"]
        return (load_safetensors(self.out / "model.safetensors")[1], losses), done.stdout

    def program(self, name, *arguments, stderr=""):
        program = os.path.join(os.path.dirname(PROGRAM), name)
        done = subprocess.run([program, *map(os.fspath, arguments), "--threads", "1"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300, cwd=self.folder, env=ENVIRONMENT)
        self.assertEqual((done.returncode, done.stderr), (0, stderr), done.stdout)
        return done.stdout

    def test_as_a_folder(self):
        folder, _ = self.outcome(self.pictures / "train", "folder")
        rows = self.rows("train", self.pictures)
        for path in (self.write(rows, "path,label"), self.write(rows, None, "list.tsv", "\t", "\r\n")):
            listed, output = self.outcome(path, "auto")
            self.assertTrue(listed == folder, "other weights or losses")
            self.assertIn("auto: a list of pictures, by the ending of --data", output)
            self.assertRegex(output, f"give {path} a column split that says train or test")
            self.assertRegex(output, rf"of 24 pictures in {path}, 3 classes")

    def test_parts(self):
        folder, _ = self.outcome(self.pictures, "folder")
        rows = [(*row, part) for part in ("val", "train") for row in self.rows(part, self.pictures)]
        path = self.write([*rows, ("val/ant/00.png", "ant", "extra")], "image,species,split")
        done = self.run_on(path, "list", "--epochs", "2", "--overwrite")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(load_safetensors(self.out / "model.safetensors")[1] == folder[0], "other weights")
        warning = f"warning: {path}, line 38: names val/ant/00.png once more (row left out)\n"
        self.assertEqual(done.stderr, warning)
        self.assertIn(f"{path}: paths from image, labels from species, parts from split\n", done.stdout)
        self.assertIn(f"train: {path} (train); test: {path} (val)\n", done.stdout)
        self.assertIn("on 12 test pictures", done.stdout)
        output = self.program("linear_probe", self.out, "--epochs", "2", stderr=warning)
        self.assertIn(f"{path} (val)", output)

    def test_rows_without_a_label(self):
        """They are trained on; the others are evaluated, a fifth of them."""
        rows = [(path, label if k % 2 else "") for k, (path, label) in enumerate(self.rows("train", self.pictures))]
        path = self.write(rows, "path,label")
        _, output = self.outcome(path, "list", "--knn-every", "1")
        self.assertIn("12 pictures have no label, and the evaluation does not learn from them", output)
        self.assertIn("21 samples of 24 pictures in ", output)
        self.assertIn("on 3 test pictures", output)
        self.assertRegex(output, r"epoch 1: kNN \d+\.\d\d % on 3 training samples by 6 others")
        self.assertIn("9 of 21 samples of 24 pictures", self.program("linear_probe", self.out, "--epochs", "2"))
        output = self.outcome(path, "list", "--hold-out", "0.3", "--knn-every", "1")[1]
        self.assertIn("3 pictures held out", output)
        self.assertIn("18 of 21 samples of 24 pictures", output)
        path = self.write([(row[0],) for row in rows], "path", "none.csv")
        self.assertIn("unlabelled", self.outcome(path, "list")[1])

    def test_which_part_is_trained_on(self):
        """A part of another name where it has test parts alone beside it."""
        for train, words in (("trainval", None), ("train val", None), ("fit", "no part is called train, so fit is"),
                             ("", "no part is called train, so the rows of no part are")):
            rows = [(*row, {"train": train}.get(part, "test")) for part in ("train", "val")
                    for row in self.rows(part, self.pictures)]
            path = self.write(rows, "path,label,split")
            _, output = self.outcome(path, "list", "--no-evaluation")
            self.assertIn(f"train: {path} ({train or 'of no part'}); test: {path} (test)\n24 pictures in ", output)
            self.assertIn(words or "parts from split\ntrain: ", output)
        path = self.write([(*row, str(k % 2)) for k, row in enumerate(self.rows("train", self.pictures))],
                          "path,label,split")
        self.assertIn("no part is called train (0, 1), so all are trained on",
                      self.outcome(path, "list", "--no-evaluation")[1])

    def test_a_part_of_which_no_row_is_left(self):
        rows = self.rows("train", self.pictures)
        path = self.write([(*row, "train") for row in rows] + [(*rows[0], "test")], "path,label,split")
        done = self.run_on(path, "list", "--no-evaluation")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{path}: no row of the part test is left\n", done.stdout)

    def test_parts_whose_case_differs(self):
        """They are one part, as case does not count."""
        words = {"train": ("train", "Train", "TRAIN"), "val": ("Val", "val")}
        rows = [(*row, words[part][k % len(words[part])]) for part in words
                for k, row in enumerate(self.rows(part, self.pictures))]
        path = self.write(rows, "path,label,split")
        _, output = self.outcome(path, "list", "--no-evaluation")
        self.assertIn(f"train: {path} (train); test: {path} (Val)\n24 pictures in ", output)
        self.assertNotIn("not used", output)

    def test_labels_of_one_number(self):
        rows = [(path, {"ant": "0", "bee": "0.0", "cat": "1"}[label]) for path, label in self.rows("train", self.pictures)]
        self.assertIn("0 and 0.0 are two classes, and the same number",
                      self.outcome(self.write(rows, "path,label"), "list", "--no-evaluation")[1])

    def test_no_list(self):
        rows = self.rows("train", self.pictures / "train")
        self.refused(data=self.write(rows, "path,label"), kind="list",
                     words=("none of 24 files is there; line 2 is looked for as ", "/pictures/ant/00.png"))
        self.refused(data=self.write([("a", "b")], "id,label", "other.csv"), kind="auto",
                     words=("none of the columns id, label has the paths of files",))
        self.refused(data=self.pictures, kind="list", words=("is a folder; give a table, which is a file",))
        self.refused(data=self.write([(f"{row[0]} {row[1]}",) for row in rows], name="blanks.txt"), kind="list",
                     words=("parted by commas, semicolons, tabs or |, not by blanks",))
        self.refused(data=self.folder / "none.csv", kind="auto", words=("none.csv: there is no such file",))
        self.refused(data=f"{self.pictures}::", kind="folder", words=("a place is empty",))

    def test_several_places(self):
        """Their parts are put together, classes by their names; a folder may be called like several places."""
        for name in ("site::a", "b"):
            (self.folder / name).mkdir()
        for part in ("train", "val"):
            os.symlink(self.pictures / part, self.folder / "site::a" / part)
        for label, name in ((1, "bee"), (4, "dog")):
            write_pictures(self.folder / "b" / "Training" / name, 5, 3 * label)
        place = self.folder / "site::a"
        self.assertIn(f"24 pictures in {place}/train, 3 classes", self.outcome(place, "folder")[1])
        places = f"{self.pictures}::{self.folder / 'b'}"
        _, output = self.outcome(places, "auto")
        train = f"{self.pictures}/train (24), {self.folder}/b/Training (10)"
        self.assertIn(f"train: {train}; test: {self.pictures}/val\n34 pictures in {train}, 4 classes\n", output)
        self.assertIn("lacks dog: the figures are over the other 3 of 4 classes", output)
        path = self.write(self.rows("train", self.pictures), "path,label")
        _, output = self.outcome(f"{self.folder / 'b'}::{path}", "folder")
        self.assertIn(f"in {self.folder}/b/Training (10), {path} (24), 4 classes", output)

    def test_places_that_are_called_like_parts(self):
        train, val = self.pictures / "train", self.pictures / "val"
        _, output = self.outcome(f"{train}::{val}", "folder")
        self.assertIn(f"{val} is called like a test part and is trained on: ", output)
        self.assertNotIn(f"{train} is called", output)
        path = self.write(self.rows("val", self.pictures), "path,label", "val.csv")
        self.assertIn(f"{path} is called like a test part", self.outcome(f"{train}::{path}", "auto")[1])
        done = self.launch("--dataset", "folder", "--data", train, "--data", val)
        self.assertIn("--data: given twice; several places are given as one, --data A::B", done.stderr)

    def test_what_is_left_out_of_several_places(self):
        for name in ("left", "right"):
            write_pictures(self.folder / name / "bee", 5, 3)
            write_pictures(self.folder / name / "dog", 5, 12)
        (self.folder / "right" / "dog" / "x.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
        (self.folder / "left" / "notes.txt").touch()
        _, output = self.outcome(f"{self.folder / 'left'}::{self.folder / 'right'}", "folder")
        self.assertRegex(output, rf"left out: 1 \.heic picture in {self.folder}/right/dog.*, "
                                 rf"1 \.txt file in {self.folder}/left\)")

    def test_a_place_whose_test_part_has_no_labels(self):
        """It is not tested on where another place's is, and is not named among what is."""
        flat, images = self.folder / "flat", self.folder / "tiny"
        for place in (flat, images):
            write_pictures(place / "train" / "bee", 5, 3)
        write_pictures(flat / "val", 6)
        write_pictures(images / "test" / "images", 4)
        for place, part, count in ((flat, "val", 6), (images, "test", 4)):
            _, output = self.outcome(f"{self.pictures}::{place}", "folder")
            self.assertIn(f"not used: {place}/{part} ({count} pictures; it has no labels)\n", output)
            self.assertIn(f"; test: {self.pictures}/val\n", output)
            self.assertNotIn("lacks", output)
        _, output = self.outcome(f"{flat}::{self.pictures / 'train'}", "folder")
        self.assertIn(f"no evaluation on {flat}/val: it has no labels", output)

    def test_the_same_pictures_in_two_places(self):
        """They count once, and what is tested on in the one is not trained on by the other."""
        train = self.pictures / "train"
        path = self.write(self.rows("train", self.pictures) + self.rows("val", self.pictures), "path,label")
        alone = self.outcome(self.pictures, "folder")[0]
        for place in (path, train, self.pictures / "val" / "bee"):
            weights, output = self.outcome(f"{self.pictures}::{place}", "folder")
            self.assertTrue(weights == alone, "other weights or losses")
            self.assertRegex(output, rf"not used: {place} \(\d+ pictures that a place before has\)")
        parts = self.write([(*row, part) for part in ("train", "val") for row in self.rows(part, self.pictures)] +
                           [(*self.rows("train", self.pictures)[0], "test")], "path,label,split", "parts.csv")
        parts.write_text(parts.read_text().replace("val/ant/00.png,ant,val", "val/ant/00.png,ant,test"))
        done = self.run_on(f"{path}::{parts}", "auto", "--overwrite", "--no-evaluation")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("auto: pictures in several places, by the :: of --data\n", done.stdout)
        for part, count in (("train", 24), ("test", 1), ("val", 11)):
            self.assertRegex(done.stdout, rf"not used: {parts} \({part}\) \({count} pictures? that a place before has")
        self.assertNotIn("no evaluation on", done.stdout)
        _, output = self.outcome(f"{train / 'ant'}::{path}", "folder")
        self.assertIn("(left out: 8 pictures that a place before has)", output)
        self.program("embed", self.out, train, "--out", self.folder / "once")
        output = self.program("embed", self.out, f"{train}::{train / 'ant'}", "--out", self.folder / "twice")
        self.assertIn("left out: 8 pictures that a place before has", output)
        self.assertEqual(*((self.folder / name / "features.npy").read_bytes() for name in ("once", "twice")))

    def test_where_runs_lie(self):
        """Beside the folder of the list, where that is the current one and holds pictures of it; else in it."""
        flat = write_pictures(self.folder / "own" / "flat", 10)
        (flat / "list.csv").write_text("".join(f"{path.name}\n" for path in sorted(flat.glob("*.png"))))
        (flat.parent / "list.csv").write_text("".join(f"flat/{path.name}\n" for path in sorted(flat.glob("*.png"))))
        for folder, files in ((flat, "../runs/list-"), (flat.parent, "runs/list-")):
            done = subprocess.run([PROGRAM, *SMALL, "--data", "list.csv"], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=300, cwd=folder, env=ENVIRONMENT)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
            self.assertIn(f"files in {files}", done.stdout)
        done = subprocess.run([PROGRAM, *SMALL, "--data", "list.csv", "--out", "mine"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300, cwd=flat, env=ENVIRONMENT)
        self.assertEqual((done.returncode, done.stderr), (0, ""))  # a list says what is data, so a name may lie beside it

    def test_embed_and_nearest(self):
        self.outcome(self.pictures, "folder", "--no-evaluation")
        names = [path for path, _ in self.rows("val", self.pictures)][::-2]
        path = self.write([(name,) for name in names], "file")
        self.program("embed", self.out, path, "--out", self.folder / "features")
        self.assertEqual((self.folder / "features" / "files.txt").read_text().split(), names)
        other = self.write([(name,) for name in names], "file", "list.txt")
        self.program("embed", self.out, other, "--dataset", "list", "--out", self.folder / "other")
        self.assertEqual((self.folder / "other" / "files.txt").read_text().split(), names)
        query = self.pictures / names[1]
        output = self.program("nearest", self.out, query, path, "--k", "2", "--features", self.folder / "features",
                              "--sheet", self.folder / "sheet.png")
        self.assertIn(f"1.0000  {names[1]}\n", output)
        output = self.program("nearest", self.out, query, f"{path}::{self.pictures / 'train'}", "--k", "2")
        self.assertIn(f"1.0000  {query}\n", output)

    def test_outputs_that_are_the_data(self):
        """No program writes among the pictures of a folder, or over a file that it reads."""
        self.outcome(self.pictures, "folder", "--no-evaluation")
        path = self.write(self.rows("train", self.pictures), "path,label")
        listed, query = self.pictures / "train/ant/00.png", self.folder / "query.png"
        shutil.copy(listed, query)
        shards = self.folder / "shards"
        shards.mkdir(exist_ok=True)
        with tarfile.open(shards / "train-0.tar", "w") as tar:
            for name in CLASSES:
                tar.add(self.pictures / "train" / name, name)
        arrays = self.folder / "arrays" / "pictures.npy"
        arrays.parent.mkdir(exist_ok=True)
        arrays.write_bytes(npy("|u1", (2, 20, 20, 3), bytes(range(240)) * 10))
        before = {file: file.read_bytes() for file in (*self.pictures.rglob("*.*"), *shards.iterdir(), query, arrays,
                                                       self.out / "model.safetensors")}
        among = "lies in the data's folder; choose another, so that data and results stay apart"
        over = "is read here, and would be lost"
        tar = shards / "train-{0..0}.tar"
        for words, command in (
                (among, ("embed", self.out, self.pictures, "--out", self.pictures / "features")),
                (among, ("embed", self.out, f"{self.folder / 'cifar10'}::{self.pictures}", "--out", self.pictures / "new/x")),
                (among, ("nearest", self.out, query, self.pictures, "--sheet", self.pictures / "train/ant/sheet.png")),
                (among, ("nearest", self.out, query, path, "--sheet", self.pictures / "train/ant/sheet.png")),
                (over, ("nearest", self.out, query, path, "--sheet", listed, "--overwrite")),
                (over, ("nearest", self.out, query, path, "--sheet", query, "--overwrite")),
                (over, ("nearest", self.out, query, tar, "--sheet", shards / "train-0.tar", "--overwrite")),
                (among, ("linear_probe", self.out, "--json", self.pictures / "figures.json")),
                (among, ("linear_probe", self.out, "--data", path, "--json", self.pictures / "train/ant/x.json")),
                (over, ("linear_probe", self.out, "--data", path, "--json", path, "--overwrite")),
                (among, ("embed", self.out, path, "--out", self.pictures / "train/cat")),
                (among, ("embed", self.out, arrays, "--out", arrays.parent)),
                (among, ("train_cifar", *SMALL, "--data", path, "--out", self.pictures / "train/bee/run")),
                (among, ("train_cifar", *SMALL, "--data", path, "--check", "--out", self.pictures / "train/bee/run")),
                (over, ("linear_probe", self.out, "--json", self.out / "model.safetensors", "--overwrite")),
                (among, ("finetune", self.out, "--out", self.pictures / "runs")),
                (among, ("finetune", self.out, "--data", path, "--out", self.pictures / "train/ant/runs")),
                ("--overwrite would remove it", ("finetune", self.out, "--out", self.out, "--overwrite")),
                (among, ("train_cifar", *SMALL, "--dataset", "folder", "--data", self.pictures, "--out",
                         self.pictures / "train/run"))):
            with self.subTest(command=command):
                done = subprocess.run([os.path.join(os.path.dirname(PROGRAM), command[0]), *map(os.fspath, command[1:])],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                                      cwd=self.folder, env=ENVIRONMENT)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertRegex(done.stderr, rf"\A{command[0]}: --[^\n]*: [^\n]*{words}[^\n]*\n\Z")
                self.assertEqual({file: file.read_bytes() for file in before}, before)
        self.assertEqual({file for file in self.pictures.rglob("*.*")}, {f for f in before if self.pictures in f.parents})
        self.program("embed", self.out, path, "--out", self.folder / "beside")
        self.program("embed", self.out, arrays, "--out", arrays.parent / "features")
        self.program("linear_probe", self.out, "--epochs", "1", "--json", self.out / "figures.json")

    def test_an_encoder_for_other_channels(self):
        """It is refused at once, as the other way round."""
        deep = self.folder / "deep"
        for name in CLASSES[:2]:
            (deep / name).mkdir(parents=True)
            for k in range(10):
                (deep / name / f"{k}.npy").write_bytes(npy("|u1", (20, 20, 6), random.Random(k).randbytes(2400)))
        self.outcome(deep, "folder", "--no-evaluation")
        pictures = self.pictures / "train"
        for name, options in (("embed", (pictures,)), ("linear_probe", ("--data", pictures, "--dataset", "folder")),
                              ("finetune", ("--data", pictures, "--dataset", "folder"))):
            done = subprocess.run([os.path.join(os.path.dirname(PROGRAM), name), self.out, *options],
                                  capture_output=True, text=True, timeout=300, cwd=self.folder, env=ENVIRONMENT)
            self.assertEqual((done.returncode, done.stderr), (1, f"{name}: {pictures}: its pictures are grey or RGB, "
                                                                 "the encoder is for 6 channels\n"))

    def test_the_same_command_goes_on(self):
        """Of a list that was called a folder, too."""
        path = self.write(self.rows("train", self.pictures), "path,label")
        self.outcome(path, "folder", "--no-evaluation")
        self.assertEqual(json.loads((self.out / "config.json").read_text())["dataset"], "folder")
        (self.out / "model.safetensors").unlink()
        done = self.run_on(path, "folder", "--epochs", "2", "--no-evaluation", "--resume")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.write([(row[0],) for row in self.rows("train", self.pictures)], "path")
        done = self.run_on(path, "folder", "--no-evaluation", "--overwrite")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        program = os.path.join(os.path.dirname(PROGRAM), "linear_probe")
        done = subprocess.run([program, self.out], capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
        self.assertIn("give the list a column called label", done.stderr)

    def test_another_list_is_noticed(self):
        rows = self.rows("train", self.pictures)
        # Of the same size; those of the fifth that is kept, and of the others, follow each other as before.
        other = [(path, {7: "bee", 8: "ant"}.get(k, label)) for k, (path, label) in enumerate(rows)]
        differ = ("the data differ from those that the run began with: "
                  "the training and test pictures have other labels or another order; "
                  "it may have been trained on pictures that are tested on now\n")
        sizes = "what --data names has other names or sizes"
        for change, words in ((lambda: self.write(rows[1:], "path,label"), sizes),
                              (lambda: self.write(rows, "path,labels"), sizes),
                              (lambda: self.write(other, "path,label"), differ)):
            path = self.write(rows, "path,label")
            self.outcome(path, "list", "--no-evaluation")
            (self.out / "model.safetensors").unlink()  # with it, the run is finished
            change()
            done = self.launch("--resume", "--out", self.out)
            self.assertIn(words, done.stdout + done.stderr)


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set PROGRAMS to the folder of the built programs")
    unittest.main()
