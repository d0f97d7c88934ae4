"""What train_cifar makes of folders whose parts lie deep, beside others, within classes, under names that are nearly
those of parts, or behind links: it finds them, or a line says what is trained on. TRAIN_CIFAR names the program."""
import os
import shutil
import sys
import unicodedata
import unittest

from support.tiny_data import write_pictures, write_tiny_imagenet
from test_train_cifar import PROGRAM, Base

CLASSES = ("n01443537", "n07747607")
BY_HINT = "where parts are meant, call the folders train and test"


class Folders(Base):
    def setUp(self):
        super().setUp()
        self.data = self.folder / ("data-" + self.id().rsplit(".", 1)[1])

    def pictures(self, *folders, count=6):
        for k, folder in enumerate(folders):
            write_pictures(self.data / folder, count, 3 * k % 9)

    def parts(self, folder, names=("train", "test"), classes=("ant", "bee")):
        self.pictures(*(f"{folder}/{part}/{name}" for part in names for name in classes))

    def line(self, *options, kind="folder", data=None):
        return self.train("--overwrite", "--no-evaluation", *options, kind=kind, data=data or self.data)


class Deep(Folders):
    def test_many_folders_down(self):
        self.parts("a/b/c/d")
        inner = self.data / "a/b/c/d"
        output = self.line()
        self.assertIn(f"{self.data} holds but one folder, so the parts of {inner} are taken\n", output)
        self.assertIn(f"train: {inner}/train; test: {inner}/test\n12 pictures in ", output)

    def test_beside_a_stray_picture(self):
        self.parts("archive/data")
        shutil.copy(self.data / "archive/data/train/ant/00.png", self.data / "archive/logo.png")
        output = self.line()
        self.assertIn(f"train: {self.data}/archive/data/train; test: {self.data}/archive/data/test\n", output)
        self.assertIn(f"not used: {self.data}/archive itself (1 picture)\n", output)
        shutil.rmtree(self.out)
        shutil.rmtree(self.data / "archive/data/test")  # a folder called train alone may be a class
        self.refused(data=self.data / "archive", kind="folder", words=("holds both 1 picture and 1 sub-folder",))

    def test_beside_other_folders(self):
        """What cannot be told is said, with what to give."""
        self.parts("a/b/images")
        self.pictures("a/b/masks")
        output = self.line()
        self.assertIn("a/b/images holds parts of its own, which are trained on, test parts too; to tell the parts "
                      f"apart give that folder: {self.data}/a/b/images for {self.data}\n", output)
        self.assertNotIn("--classes-at", output)
        shutil.move(self.data / "a/b/images", self.data / "images")  # masks right beside it are no place, either
        shutil.move(self.data / "a/b/masks", self.data / "masks")
        shutil.rmtree(self.data / "a")
        self.assertIn(f"apart give that folder: {self.data}/images for {self.data}\n", self.line())

    def test_imagenet(self):
        """As its archive leaves it, with Annotations and ImageSets beside."""
        self.parts("ILSVRC/Data/CLS-LOC", ("train",), CLASSES)
        self.pictures("ILSVRC/Data/CLS-LOC/val")
        solution = "".join(f"{k:02},{CLASSES[k % 2]} 1 2 3 4\n" for k in range(6))
        (self.data / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + solution)
        (self.data / "LOC_synset_mapping.txt").write_text(f"{CLASSES[0]} goldfish\n{CLASSES[1]} orange\n")
        inner = self.data / "ILSVRC/Data/CLS-LOC"
        for k in range(2):
            for kind, data in (("auto", self.data), ("imagenet", self.data), ("imagenet", self.data / "ILSVRC")):
                output = self.train("--overwrite", kind=kind, data=data)
                self.assertIn(f"train: {inner}/train; test: {inner}/val with the labels of ", output)
                self.assertIn(f"12 pictures in {inner}/train, 2 classes", output)
                self.assertIn("on 6 test pictures", output)
                self.assertIn("n01443537 goldfish", output)
            for name in ("Annotations/CLS-LOC/train", "ImageSets/CLS-LOC"):
                (self.data / "ILSVRC" / name).mkdir(parents=True, exist_ok=True)
                (self.data / "ILSVRC" / name / "a.xml").touch()
        output = self.line(data=f"{self.data}::{self.data}", kind="imagenet")
        self.assertIn(f"train: {inner}/train", output)

    def test_tiny_imagenet(self):
        """In the folder of the archive's name, as CIFAR and STL-10 are found."""
        inner = write_tiny_imagenet(self.data / "tiny-imagenet-200")
        (inner / "words.txt").write_text("n01443537\tgoldfish, Carassius auratus\n")
        output = self.train("--overwrite", kind="auto", data=self.data)
        self.assertIn(f"auto: Tiny-ImageNet found in {inner} ", output)
        self.assertIn("on 8 test pictures", output)
        self.assertIn("n01443537 goldfish", output)

    def test_all_in_one_folder(self):
        self.pictures("kit/VOC/masks", "kit/VOC/pictures", count=9)
        self.assertIn(f"all pictures lie in {self.data}/kit/VOC; to take its folders for what they are, "
                      f"give --data {self.data}/kit/VOC\n", self.line())
        shutil.rmtree(self.data / "kit/VOC/masks")
        self.assertIn(f"all pictures lie in {self.data}/kit/VOC/pictures; to take them without a class, "
                      f"give --data {self.data}/kit/VOC/pictures\n", self.line())
        self.assertNotIn("all pictures lie in", self.line(data=self.data / "kit/VOC"))
        self.pictures("kit/VOCab/pictures")  # another folder, which begins so
        self.assertIn(f"all pictures lie in {self.data}/kit; to take its folders", self.line())

    def test_a_test_part_among_places(self):
        """It is trained on, whatever the others are called."""
        self.parts("siteA")
        self.parts("siteB")
        self.pictures("flat", "valp/val/ant", "valp/val/bee")
        listed = self.data / "list.csv"
        listed.write_text("path,label\nsiteB/train/ant/00.png,ant\nsiteB/train/bee/00.png,bee\n")
        for first, test in (("siteB", "siteA/test"), ("siteA", "valp/val"), ("list.csv", "siteA/test")):
            output = self.line(data=f"{self.data / first}::{self.data / test}")
            self.assertIn(f"{self.data / test} is called like a test part and is trained on: ", output)
        self.assertNotIn("is called like", self.line(data=f"{self.data / 'siteA'}::{self.data / 'siteB'}"))
        output = self.line("--classes-at", "0", data=f"{self.data / 'flat'}::{self.data / 'valp/val'}")
        self.assertIn(f"{self.data / 'valp/val'} is called like a test part and is trained on: ", output)


class Names(Folders):
    def test_nearly_those_of_parts(self):
        for k, (train, test) in enumerate((("train_resized", "test_resized"), ("my_train", "my_test"),
                                           ("trainA", "testA"), ("bounding_box_train", "bounding_box_test"),
                                           ("train", "test_small"))):
            folder = f"set{k}"
            self.parts(folder, (train, test))
            output = self.line(data=self.data / folder)
            first, second = sorted((train, test))
            self.assertIn(f"{first}, {second} in {self.data / folder} are called nearly like parts but count as "
                          f"classes, so all pictures are trained on; {BY_HINT}\n", output)
            self.assertNotIn("--classes-at", output)

    def test_train_beside_another(self):
        self.parts(".", ("train", "holdout"))
        output = self.line()
        self.assertIn(f"train in {self.data} is called like a part but counts as a class, so ", output)
        self.assertNotIn("--classes-at", output)
        self.parts(".", ("bus", "car"))  # where it is a class among others
        self.assertNotIn(BY_HINT, self.line())

    def test_parts_within_classes(self):
        self.pictures("cats/train", "cats/test", "dogs/train", "dogs/test")
        output = self.line()
        self.assertIn("cats, dogs hold parts of their own, which are trained on, test parts too; where they are "
                      f"classes make train/cats and test/cats of each, else give each folder as a place: {self.data}",
                      output)
        self.assertNotIn("--classes-at", output)

    def test_that_look_equal(self):
        """Told apart by blanks, or by how a system writes accents: the hint that case has."""
        composed, parted = (unicodedata.normalize(form, "K\u00e4fer") for form in ("NFC", "NFD"))
        for k, (train, test, give) in enumerate(((composed, parted, "write both in one form of Unicode (NFC)"),
                                                 (parted, composed.upper(), "write both in one form of Unicode (NFC), give "
                                                  "both the same case"),
                                                 ("bee", "bee ", "take the blanks around them away"))):
            folder = f"set{k}"
            self.pictures(*(f"{folder}/{name}" for name in ("train/ant", "test/ant", f"train/{train}", f"test/{test}")))
            output = self.train("--overwrite", kind="folder", data=self.data / folder)
            self.assertIn(f"lacks {test}: {test} is another name than {train}; {give}; ", output)
        self.pictures(f"own/{composed}", f"own/{parted}", "blank/bee", "blank/bee ")
        for folder, words in (("own", "by how letters with accents are written"), ("blank", "by blanks around them")):
            self.assertIn(f" are two classes, told apart {words}; where one is meant, write both alike",
                          self.line(data=self.data / folder))
        self.pictures("other/K\u00e4fer", "other/Kafer")
        self.assertNotIn("two classes", self.line(data=self.data / "other"))


class Links(Folders):
    def test_between_parts(self):
        self.pictures("train/ant", "train/bee", "test/ant")
        (self.data / "test/bee").symlink_to("../train/bee")
        self.assertIn("both trained on and tested on: 6 pictures, since links lead to one file or folder: "
                      f"{self.data}/test/bee is {self.data}/train/bee\n", self.train(kind="folder", data=self.data))

    def test_of_files(self):
        """Once some file is a link, all are asked."""
        self.pictures("train/ant", "train/bee", "test/ant", "test/bee")
        for name in ("02.png", "03.png"):
            (self.data / "test/bee" / name).unlink()
            (self.data / "test/bee" / name).symlink_to(self.data / "train/bee" / name)
        self.assertIn("both trained on and tested on: 2 pictures, since links lead to one file or folder: "
                      f"{self.data}/test/bee/02.png is {self.data}/train/bee/02.png, ",
                      self.train(kind="folder", data=self.data))

    def test_between_classes(self):
        self.pictures("ant", "bee")
        (self.data / "cow").symlink_to("ant")
        line = f"counted twice: 6 pictures, since links lead to one file or folder: {self.data}/cow is {self.data}/ant\n"
        self.assertIn(line, self.line())
        self.pictures("set/train/ant", "set/train/bee", "set/test/ant")
        (self.data / "set/train/cow").symlink_to("ant")
        self.assertIn("counted twice: 6 pictures", self.line(data=self.data / "set"))
        listed = self.data / "list.csv"  # which may name one folder in each part
        listed.write_text("path,label,split\n" + "".join(
            f"{name}/{k:02}.png,{name},{'test' if k > 3 else 'train'}\n" for name in ("ant", "bee") for k in range(6)))
        self.assertNotIn("since links", self.line(data=listed, kind="auto"))


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
