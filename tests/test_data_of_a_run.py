"""The relative path of a run's data is from where the run was begun, for linear_probe and finetune, too."""
import json
import os
import shutil
import subprocess
import unittest

from support.encoder_programs import ENVIRONMENT, PROGRAMS, Base
from support.tiny_data import write_pictures


class DataOfARun(Base):
    """Their relative path is from where the run was begun, wherever its reader is."""
    def setUp(self):
        super().setUp()
        self.folder = self.out  # the class's is shared
        self.folder.mkdir()

    def begin(self, name, count, *options, out="runs/r", data="photos"):
        """A folder of its own, which holds data and a run that trains on them."""
        project = self.folder / name
        for label, each in enumerate(("ant", "bee")):
            if count > 0:
                write_pictures(project / "photos" / each, count, 4 * label)
        done = self.launch_in(project, "train_cifar", "--dataset", "folder", "--data", data, "--width", "4",
                              "--size", "8", "--batch-size", "8", "--epochs", "1", "--threads", "1", "--probe-epochs",
                              "2", "--knn-every", "0", "--device", "cpu", "--out", out, *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return project

    @staticmethod
    def launch_in(folder, name, *arguments):
        return subprocess.run([PROGRAMS / name, *map(os.fspath, arguments)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=300, text=True, cwd=folder, env=ENVIRONMENT)

    def test_from_another_folder(self):
        mine, other = self.begin("mine", 10), self.begin("other", 15)
        config = json.loads((mine / "runs/r/config.json").read_text())
        self.assertEqual((config["data"], config["started_in"]), ("photos", "../.."))
        before = (mine / "runs/r/model.safetensors").read_bytes()
        (mine / "runs/r/model.safetensors").unlink()
        for reader in (("train_cifar", "--resume", "--out", "../mine/runs/r"),
                       ("train_cifar", "--config", "../mine/runs/r/config.json", "--out", "runs/again"),
                       ("linear_probe", "../mine/runs/r", "--epochs", "1"),
                       ("linear_probe", max((mine / "runs/r/checkpoints").iterdir()), "--epochs", "1"),
                       ("finetune", mine / "runs/r/model.safetensors", "--out", "tuned/deep", "--epochs", "1",
                        "--labels", "100"),
                       ("linear_probe", "tuned/deep/labels-100.safetensors", "--epochs", "1")):
            with self.subTest(reader=reader):
                done = self.launch_in(other, *reader)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("20 pictures in ../mine/photos, 2 classes", done.stdout)
        self.assertEqual((mine / "runs/r/model.safetensors").read_bytes(), before)
        self.assertEqual(json.loads((mine / "runs/r/config.json").read_text()), config)
        self.assertFalse(list(mine.glob("runs/r/config.before-*")))
        self.begin("mine", 0, out="other/runs/of/the/same")
        self.assertEqual((mine / "other/runs/of/the/same/model.safetensors").read_bytes(), before)
        again = json.loads((other / "runs/again/config.json").read_text())
        self.assertEqual((again["data"], again["started_in"]), ("../mine/photos", "../.."))

    def test_from_another_folder_without_the_configuration(self):
        mine, other = self.begin("mine", 10), self.begin("other", 10)
        files = [mine / "runs/r" / name for name in ("config.json", "model.safetensors")]
        before = [path.read_bytes() for path in files]
        for path in files:
            path.unlink()
        done = self.launch_in(other, "train_cifar", "--resume", "--out", "../mine/runs/r")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("20 pictures in ../mine/photos, 2 classes", done.stdout)
        self.assertEqual([path.read_bytes() for path in files], before)

    def test_caches_from_another_folder(self):
        """So is the path of a run's caches, also where that of its data is not relative."""
        mine, other = self.folder / "mine", self.folder / "other"
        (mine / "cache").mkdir(parents=True)
        other.mkdir()
        self.begin("mine", 10, "--cache-dir", "cache", data=mine / "photos")
        config = json.loads((mine / "runs/r/config.json").read_text())
        self.assertEqual((config["cache_dir"], config["started_in"]), ("cache", "../.."))
        (mine / "runs/r/model.safetensors").unlink()
        for reader in (("--resume", "--out", "../mine/runs/r"),
                       ("--config", "../mine/runs/r/config.json", "--out", "runs/again")):
            done = self.launch_in(other, "train_cifar", *reader)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads((mine / "runs/r/config.json").read_text()), config)
        again = json.loads((other / "runs/again/config.json").read_text())
        self.assertEqual((again["cache_dir"], again["started_in"]), ("../mine/cache", "../.."))

    def test_copied_run(self):
        """Its data and caches are looked for in the current folder, where nothing lies by the copy."""
        (self.folder / "mine" / "cache").mkdir(parents=True)
        mine = self.begin("mine", 10, "--cache-dir", "cache")
        copy = shutil.copytree(mine / "runs/r", self.folder / "x" / "y" / "z" / "r")
        (copy / "model.safetensors").unlink()
        done = self.launch_in(mine, "train_cifar", "--resume", "--out", copy)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("20 pictures in photos, 2 classes", done.stdout)

    def test_cache_that_takes_no_file(self):
        """finetune does without: the cache may be another user's. (In /proc nobody makes a file.)"""
        cache = self.folder / "cache"
        cache.mkdir()
        project = self.begin("mine", 10, "--cache-dir", cache)
        cache.rmdir()
        cache.symlink_to("/proc")
        done = self.launch_in(project, "finetune", "runs/r", "--out", "tuned", "--epochs", "1", "--labels", "100")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"cannot make a file in {cache}", done.stdout)

    def test_elsewhere(self):
        """A project moves as a whole; a copied file is read from the current folder; else it is said whose data it
        is."""
        project = self.begin("first", 10)
        project = project.rename(self.folder / "moved")
        done = self.launch_in(self.folder, "linear_probe", "moved/runs/r", "--epochs", "1")
        self.assertIn("20 pictures in moved/photos, 2 classes", done.stdout, done.stderr)
        copy = self.folder / "a" / "b" / "c" / "copied.safetensors"
        copy.parent.mkdir(parents=True)
        shutil.copy(project / "runs/r/model.safetensors", copy)
        done = self.launch_in(project, "linear_probe", copy, "--epochs", "1")
        self.assertIn("20 pictures in photos, 2 classes", done.stdout, done.stderr)
        weights = project / "runs/r/model.safetensors"
        for name, words, begin in (("linear_probe", (copy,), ""),
                                   ("train_cifar", ("--resume", "--out", project / "runs/r"),
                                    f"--resume: the run is finished, {weights} are its weights; ")):
            if name == "train_cifar":
                (project / "photos").rename(project / "gone")
            done = self.launch_in(self.folder, name, *words)
            self.assertEqual((done.returncode, done.stderr),
                             (1, f"{name}: {begin}{words[-1]}: was trained on photos, which is not there; say by "
                                 "--data where it lies now\n"))


if __name__ == "__main__":
    unittest.main()
