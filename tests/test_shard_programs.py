"""Programs on tar shards: the same pictures in the same order give the same weights as a folder does, the test part is
found by its name, a shard that is damaged costs itself only, and a run that goes on notices other shards. TRAIN_CIFAR
and LINEAR_PROBE name the built programs."""
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import unittest

from support.tiny_data import load_safetensors, write_pictures
from test_train_cifar import ENVIRONMENT, PROGRAM, SMALL, Base, arguments

LINEAR_PROBE, EMBED, NEAREST = (os.environ.get(name, "") for name in ("LINEAR_PROBE", "EMBED", "NEAREST"))
CLASSES = ("ant", "bee", "cat")


def write_shards(pictures, names):
    """The pictures of a folder, in its order, spread over tar files; each with its class as a label."""
    files = sorted(pictures.glob("*/*.png"), key=lambda path: (path.parent.name, path.name))
    each = -(-len(files) // len(names))
    for k, name in enumerate(names):
        name.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as tar:
            for path in files[k * each:(k + 1) * each]:
                key = f"{path.parent.name}/{path.stem}"
                for ending, data in (("png", path.read_bytes()), ("cls", path.parent.name.encode())):
                    member = tarfile.TarInfo(f"{key}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))


class Shards(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for part, count in (("train", 10), ("test", 4)):
            for label, name in enumerate(CLASSES):
                write_pictures(cls.folder / "pictures" / part / name, count, 3 * label)
        cls.cache = cls.folder / "cache"

    def setUp(self):
        super().setUp()
        self.shards = self.folder / ("shards-" + self.id().rsplit(".", 1)[1])
        self.pattern = self.shards / "train-{00..02}.tar"
        write_shards(self.folder / "pictures" / "train", [self.shards / f"train-{k:02}.tar" for k in range(3)])

    def write_test(self):
        write_shards(self.folder / "pictures" / "test", [self.shards / "val-0.tar", self.shards / "val-1.tar"])

    def run_shards(self, *options, kind="shards"):
        return self.run_on(self.pattern, kind, "--cache-dir", self.cache, *options)

    def call(self, program, *options, cwd=None):
        """Another program, with a user's folder for caches of its own."""
        environment = {**ENVIRONMENT, "XDG_CACHE_HOME": os.fspath(self.folder / "user-cache")}
        return subprocess.run([program, *map(str, options), "--threads", "1"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300, cwd=cwd or self.folder, env=environment)

    def weights(self):
        return load_safetensors(self.out / "model.safetensors")[1]  # the rest says where the data lie

    def losses(self):
        return [entry["loss"] for entry in self.log() if entry["event"] == "epoch"]

    def test_as_a_folder(self):
        """With a test part and without, on any number of loader threads."""
        for test in (False, True):
            folder = self.folder / "pictures" if test else self.folder / "pictures" / "train"
            if test:
                self.write_test()
                with tarfile.open(self.shards / "val-1.tar", "a") as tar:
                    tar.addfile(tarfile.TarInfo("ant/none.txt"))
            done = self.run_on(folder, "folder", "--epochs", "2", "--overwrite")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            weights, losses = self.weights(), self.losses()
            for options in ((), ("--workers", "3")):
                done = self.run_shards("--epochs", "2", "--overwrite", *options)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual((self.weights(), self.losses()), (weights, losses))
            self.assertIn(f"30 pictures in 3 shards in {self.shards}, 3 classes", done.stdout)
            if test:
                self.assertIn(f"train: {self.pattern}; test: {self.shards}/val-0.tar and 1 more (left out: 1 .txt "
                              "file)\n", done.stdout)
                self.assertIn("on 12 test pictures", done.stdout)
            else:
                self.assertIn("every fifth picture is kept for the evaluation", done.stdout)
        self.assertEqual(sorted(os.listdir(self.shards)), [*(f"train-{k:02}.tar" for k in range(3)), "val-0.tar", "val-1.tar"])

    def test_found_by_the_ending(self):
        done = self.run_shards("--no-evaluation", kind="auto")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("auto: tar shards, by the ending of --data", done.stdout)
        self.assertEqual(json.loads((self.out / "config.json").read_text())["dataset"], "shards")

    def test_a_test_part_that_is_named(self):
        """It is trained on, and a line says what it is called."""
        self.write_test()
        self.assertNotIn("called like a test part", self.run_shards("--no-evaluation").stdout)
        done = self.run_on(self.shards / "val-{0..1}.tar", "shards", "--cache-dir", self.cache, "--no-evaluation",
                           "--overwrite")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(f"{self.shards}/val-{{0..1}}.tar is called like a test part; trained on, as it is named\n", done.stdout)

    def test_a_test_part_among_what_is_named(self):
        self.write_test()
        data = self.shards / "{train-00,val-0,val-1}.tar"
        done = self.run_on(data, "shards", "--cache-dir", self.cache, "--no-evaluation")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(f"{self.shards}/val-0.tar, {self.shards}/val-1.tar are called like a test part; trained on, as they "
                      "are named\n", done.stdout)

    def test_shards_in_several_folders(self):
        other = self.folder / "shards elsewhere"
        write_shards(self.folder / "pictures" / "test", [other / "0.tar"])
        done = self.run_on(f"{self.shards}/train-{{00..01}}.tar::{other}/0.tar", "shards", "--cache-dir", self.cache,
                           "--no-evaluation")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(f"32 pictures in 3 shards in {self.shards}, {other}, 3 classes\n", done.stdout)

    def test_folders_in_a_shard(self):
        """They are no classes, and that is said, also where the first picture and the last lie in one."""
        path = self.shards / "folders.tar"
        with tarfile.open(path, "w") as tar:
            for name in CLASSES:
                tar.add(self.folder / "pictures" / "train" / name, name)
            tar.add(self.folder / "pictures" / "test" / CLASSES[0] / "00.png", CLASSES[0] + "/last.png")
        done = self.run_on(path, "shards", "--cache-dir", self.cache, "--no-evaluation")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("no labels: in tar shards they are members, .cls or .json, and folders say none", done.stdout)
        self.assertNotIn("no labels: ", self.run_shards("--no-evaluation", "--overwrite").stdout)

    def test_a_shard_that_is_named_twice(self):
        """It counts once."""
        self.assertEqual(self.run_shards("--no-evaluation").returncode, 0)
        weights = self.weights()
        places = f"{self.pattern}::{self.shards}/train-01.tar"
        done = self.run_on(places, "shards", "--cache-dir", self.cache, "--no-evaluation", "--overwrite")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertTrue(self.weights() == weights, "other weights")
        self.assertIn(f"not used: {self.shards}/train-01.tar (named before)\n", done.stdout)

    def test_damaged_shards(self):
        path = self.shards / "train-01.tar"
        path.write_bytes(path.read_bytes()[:3900])
        (self.shards / "train-02.tar").unlink()
        done = self.run_shards("--no-evaluation", "--epochs", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{path}: is cut off within ", done.stderr)
        self.assertIn("train-02.tar: No such file or directory (shard left out)", done.stderr)
        self.assertIn(f"in 2 shards in {self.shards}", done.stdout)

    def test_no_shards(self):
        for data, words in ((self.shards, "is a folder; name the tar shards in it"),
                            (self.shards / "5.tar", "5.tar: No such file or directory\n"),
                            (self.shards / "{5..6}.tar", "5.tar: No such file or directory; none of the 2 shards has a"),
                            (self.shards / "{0..6.tar", "a { is not closed")):
            self.refused(data=data, kind="shards", words=(words,))

    def test_the_only_shard_is_compressed(self):
        path = self.shards / "0.tar.gz"
        path.write_bytes(gzip.compress((self.shards / "train-00.tar").read_bytes()))
        done = self.run_on(path, "shards")
        self.assertEqual(done.returncode, 1)
        self.assertIn("unpack it\n", done.stderr)

    def test_a_shard_that_is_gone_is_noticed(self):
        self.assertEqual(self.run_shards("--no-evaluation", "--epochs", "1").returncode, 0)
        (self.out / "model.safetensors").unlink()  # with it, the run is finished
        (self.shards / "train-02.tar").unlink()
        done = self.launch("--resume", "--out", self.out)
        self.assertIn("what --data names has other names or sizes", done.stdout + done.stderr)

    def test_other_shards_are_noticed(self):
        done = self.run_shards("--no-evaluation", "--epochs", "1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (self.out / "model.safetensors").unlink()  # with it, the run is finished
        write_shards(self.folder / "pictures" / "test", [self.shards / "train-01.tar"])
        done = self.launch("--resume", "--out", self.out)
        self.assertIn("what --data names has other names or sizes", done.stdout + done.stderr)

    def swap_two(self, path):
        """Other samples in a shard of the same name, size and time."""
        with tarfile.open(path) as tar:
            members = [(member, tar.extractfile(member).read()) for member in tar.getmembers()]
        with tarfile.open(path.with_suffix(".new"), "w", format=tarfile.PAX_FORMAT) as tar:
            for member, data in members[2:] + members[:2]:
                tar.addfile(member, io.BytesIO(data))
        shutil.copystat(path, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def test_other_samples_are_noticed(self):
        """That what is tested on may have been trained on is said where it may: not of another training shard."""
        tested = "; it may have been trained on pictures that are tested on now"
        for test, changed, words in ((False, "train-01.tar", tested), (True, "train-01.tar", ""),
                                     (True, "val-0.tar", tested)):
            with self.subTest(test=test, changed=changed):
                if test:
                    self.write_test()
                done = self.run_shards("--no-evaluation", "--epochs", "1", "--overwrite")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                (self.out / "model.safetensors").unlink()  # with it, the run is finished
                self.swap_two(self.shards / changed)
                done = self.launch("--resume", "--out", self.out)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("the data differ from those that the run began with: other pictures in "
                              f"{changed}{words}\n", done.stderr)

    def test_copies_are_named(self):
        """By check, as the shards call them."""
        self.write_test()
        with tarfile.open(self.shards / "train-00.tar", "a") as tar:
            data = (self.folder / "pictures" / "train" / "ant" / "01.png").read_bytes()
            for name in ("./ant/copy.PNG", "ant/other.png"):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        done = self.run_shards("--check", "--no-evaluation")
        self.assertIn(f"2 of 32 pictures occur more than once ({self.shards}/train-00.tar: ./ant/copy.PNG is "
                      f"{self.shards}/train-00.tar: ant/01.png)", done.stdout + done.stderr)

    @unittest.skipUnless(LINEAR_PROBE, "LINEAR_PROBE is not set")
    def test_linear_probe(self):
        """It keeps the index of the shards where the run did, and where that is gone, in the user's folder."""
        self.write_test()
        cache = self.shards / "cache"
        self.assertEqual(self.run_shards("--no-evaluation", "--cache-dir", cache).returncode, 0)
        kept = sorted(cache.iterdir())
        self.assertEqual(len(kept), 5)
        for gone in (lambda: [path.unlink() for path in kept], lambda: shutil.rmtree(cache)):
            gone()
            done = self.call(LINEAR_PROBE, self.out, "--epochs", "2")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            if cache.exists():
                self.assertEqual(sorted(cache.iterdir()), kept)
        self.assertFalse(cache.exists())
        self.assertTrue(list((self.folder / "user-cache" / "libsimclr").glob("*.shard-index")))

    @unittest.skipUnless(EMBED and NEAREST, "EMBED or NEAREST is not set")
    def test_embed_and_nearest(self):
        """A folder's features, and its neighbours, by other names."""
        self.assertEqual(self.run_shards("--no-evaluation").returncode, 0)
        folder, found = self.folder / "pictures" / "train", {}
        for place, out in ((folder, self.out / "a"), (self.pattern, self.out / "b")):
            done = self.call(EMBED, self.out, place, "--out", out)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("features of 30 pictures", done.stdout)
            found[place] = [(out / name).read_bytes() for name in ("features.npy", "files.txt")]
        self.assertEqual(found[folder][0], found[self.pattern][0])
        names = found[folder][1].decode().splitlines()
        self.assertEqual(found[self.pattern][1].decode().splitlines(),
                         [f"train-0{k // 10}.tar: {name}" for k, name in enumerate(names)])
        places = f"{self.shards}/train-{{00..01}}.tar::{self.shards}/train-02.tar"
        self.assertEqual(self.call(EMBED, self.out, places, "--out", self.out / "c").returncode, 0)
        self.assertEqual([(self.out / "c" / name).read_bytes() for name in ("features.npy", "files.txt")],
                         found[self.pattern])
        picture, lines = folder / "bee" / "03.png", []
        for place, options in ((folder, ()), (self.pattern, ()), (self.pattern, ("--features", self.out / "b"))):
            done = self.call(NEAREST, self.out, picture, place, "--k", "4", "--sheet", self.out / "sheet.png",
                             "--overwrite", *options)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            lines.append(([line.split(": ")[-1].split()[-1] for line in done.stdout.splitlines()[-4:]],
                          (self.out / "sheet.png").read_bytes()))
        self.assertEqual(lines[0][0][0], "bee/03.png")
        self.assertEqual(lines[1:], lines[:1] * 2)
        done = self.call(NEAREST, self.out, picture, self.pattern, "--features", self.out / "a")
        self.assertIn("which is not in", done.stderr)
        done = self.call(EMBED, self.out, self.shards, "--dataset", "shards")
        self.assertEqual((done.returncode, done.stderr),
                         (1, f"embed: {self.shards} is a folder; name the tar shards in it, as in "
                             f"'{self.shards}/{{000..127}}.tar'\n"))

    @unittest.skipUnless(LINEAR_PROBE, "LINEAR_PROBE is not set")
    def test_from_another_folder(self):
        """The data of a run are found from it, though their path was from where it was begun; it goes on within an epoch
        as if it had not stopped."""
        self.out = self.shards / "runs" / "one"
        self.pattern = "train-{00..02}.tar"
        other = self.folder / "elsewhere"
        other.mkdir()
        options = ("--dataset", "shards", "--data", self.pattern, "--out", "runs/one", "--no-evaluation", "--cache-dir",
                   self.cache, "--epochs", "2", "--checkpoint-minutes", "0", "--shuffle-block", "4")
        done = subprocess.run([PROGRAM, *map(str, arguments(*SMALL, *options))], cwd=self.shards, env=ENVIRONMENT,
                              capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        before = (self.out / "model.safetensors").read_bytes()
        (self.out / "model.safetensors").unlink()
        checkpoints = sorted(self.out.glob("checkpoints/step-*"))
        self.assertEqual([int(path.stem.split("-")[1]) for path in checkpoints], [4, 5, 6])
        for path in checkpoints[1:]:
            path.unlink()
        done = subprocess.run([PROGRAM, "--resume", "--out", self.out], cwd=other, env=ENVIRONMENT, capture_output=True,
                              text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((self.out / "model.safetensors").read_bytes(), before)
        done = self.call(LINEAR_PROBE, self.out, "--epochs", "2", cwd=other)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for k in range(3):
            (self.shards / f"train-0{k}.tar").unlink()
        done = self.call(LINEAR_PROBE, self.out, "--epochs", "2", cwd=other)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"linear_probe: {self.out}: was trained on {self.pattern}, which is not there; "
                         "say by --data where it lies now\n")


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
