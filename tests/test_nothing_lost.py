"""Nothing that a run or a user left is deleted, cut or replaced unless --overwrite says so, whatever is missing or damaged in
the run's folder and whatever stands beside --resume. PROGRAMS names the folder of the built programs."""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

from support.tiny_data import png, write_cifar10

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}


def sums(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


def last_step(run):
    return max(run.glob("checkpoints/step-*"))


def half(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def remove(*patterns):
    def do(run):
        for pattern in patterns:
            for path in list(run.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return do


def each(damage, pattern):
    return lambda run: [damage(path) for path in run.glob(pattern)]


DAMAGES = {
    "nothing": lambda run: None,
    "all step files": remove("checkpoints/step-*"),
    "the last step file": lambda run: last_step(run).unlink(),
    "the checkpoints": remove("checkpoints"),
    "the checkpoints and the weights": remove("checkpoints", "model.safetensors"),
    "the checkpoints, the weights and the report": remove("checkpoints", "model.safetensors", "report.html"),
    "step files and weights": remove("checkpoints/step-*", "model.safetensors"),
    "the weights": remove("model.safetensors"),
    "the configuration": remove("config.json"),
    "the log": remove("log.jsonl"),
    "the log and the weights": remove("log.jsonl", "model.safetensors"),
    "the report": remove("report.html"),
    "all but the weights": remove("checkpoints", "config.json", "log.jsonl", "report.html", "events.*"),
    "half of the weights": each(half, "model.safetensors"),
    "half of the last step file": lambda run: half(last_step(run)),
    "half of the last step file, and the weights": lambda run: (half(last_step(run)), remove("model.safetensors")(run)),
    "a bit of each step file": each(flip, "checkpoints/step-*"),
    "a bit of each step file, and the weights": lambda run: (each(flip, "checkpoints/step-*")(run),
                                                             remove("model.safetensors")(run)),
    "half of the configuration": each(half, "config.json"),
    "half of the log": each(half, "log.jsonl"),
    "half of the log, and the weights": lambda run: (half(run / "log.jsonl"), remove("model.safetensors")(run)),
    "half of the best": lambda run: half(run / "checkpoints/best.safetensors"),
}
OPTIONS = {"alone": [], "more epochs": ["--epochs", "3"], "another recipe": ["--preset", "google"],
           "kNN": ["--knn-every", "2"], "few checkpoints": ["--keep-checkpoints", "1", "--checkpoint-minutes", "0"]}


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.data = write_cifar10(cls.folder / "data", each=15)
        cls.run_options = ["--dataset", "cifar10", "--data", cls.data, "--width", "2", "--size", "8", "--batch-size", "20",
                           "--epochs", "2", "--threads", "1", "--probe-epochs", "1", "--knn-samples", "20", "--knn-every",
                           "1", "--device", "cpu", "--checkpoint-minutes", "0", "--hold-out", "0.2"]
        cls.whole = cls.folder / "whole"
        done = cls.launch("train_cifar", *cls.run_options, "--out", cls.whole)
        assert done.returncode == 0, done.stderr
        (cls.whole / "notes.txt").write_text("a user's")
        (cls.whole / "checkpoints/mine.txt").write_text("a user's")

    @classmethod
    def launch(cls, name, *options):
        return subprocess.run([PROGRAMS / name, *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, env=ENVIRONMENT, cwd=cls.folder)

    @classmethod
    def changed(cls, name, value):
        """The options with another value."""
        options = list(cls.run_options)
        options[options.index(name) + 1] = value
        return options

    def copy(self, name="run"):
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(self.whole, out)
        return out

    def check_kept(self, before, run, log):
        """Every file is there with its bytes, if under another name, but for what the rule excepts."""
        after = sums(run)
        kept = set(after.values())
        lost = {name for name, digest in before.items() if after.get(name) != digest and digest not in kept}
        newer = max((int(re.search(r"\d+", name)[0]) for name in after if name.startswith("checkpoints/step-")), default=-1)
        for name in sorted(lost):
            step = re.fullmatch(r"checkpoints/step-(\d+)\.safetensors", name)
            if step:  # (a) rotation
                self.assertGreaterEqual(newer, int(step[1]), name)
            elif name == "log.jsonl":  # (b) all its lines are in log.jsonl or in log.cut-N.jsonl
                pieces = b"".join(path.read_bytes() for path in sorted(run.glob("log*.jsonl")))
                for line in log.splitlines():
                    self.assertIn(line, pieces)
            else:  # (c) functions of the log
                self.assertTrue(name == "report.html" or name.startswith("events.out."), f"{name} is lost")


class Resume(Base):
    def test_event_file_whose_log_is_gone(self):
        """It is no function of a log that is not there."""
        run = self.copy()
        remove("checkpoints", "model.safetensors", "report.html", "log.jsonl")(run)
        events, = run.glob("events.out.*")
        content = events.read_bytes()
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((run / "events.before-1").read_bytes(), content)

    def test_checkpoints_under_other_names(self):
        """A copy of an older one has the highest name; later ones are in the way of steps that are done again."""
        run = self.copy()
        first, *later = sorted((run / "checkpoints").glob("step-*"))
        self.assertTrue(later)
        shutil.copy(first, run / "checkpoints/step-99999999.safetensors")
        (run / "model.safetensors").unlink()
        before = sums(run / "checkpoints")
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count("is kept under another name"), len(later) + 1)
        after = sums(run / "checkpoints")
        for path in (*later, run / "checkpoints/step-99999999.safetensors"):
            self.assertEqual(after["later-" + path.name], before[path.name])

    def test_whatever_is_missing_or_damaged(self):
        for damage, do in DAMAGES.items():
            for name, options in OPTIONS.items():
                with self.subTest(damage=damage, options=name):
                    run = self.copy()
                    do(run)
                    before = sums(run)
                    log = (run / "log.jsonl").read_bytes() if (run / "log.jsonl").exists() else b""
                    done = self.launch("train_cifar", "--resume", "--out", run, *options)
                    self.check_kept(before, run, log)
                    if done.returncode:
                        self.assertRegex(done.stderr, r"(\Awarning: [^\n]+\n)?(\n?warning: [^\n]+\n)*\n?train_cifar: [^\n]{10,600}\n\Z")
                        self.assertEqual(sums(run), before)
                    elif "is finished" in done.stdout:  # a report that is missing is made again
                        new = {} if "report.html" in before else {"report.html"} & set(sums(run))
                        self.assertEqual({name: digest for name, digest in sums(run).items() if name not in new}, before)

    def test_a_finished_run_says_so(self):
        for damage in ("nothing", "all step files", "the checkpoints", "the configuration", "the report", "the log",
                       "half of the last step file", "half of the best"):
            with self.subTest(damage=damage):
                run = self.copy()
                DAMAGES[damage](run)
                done = self.launch("train_cifar", "--resume", "--out", run)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                last = -2 if damage == "the report" else -1
                self.assertRegex(done.stdout.splitlines()[last], "is finished: .*model.safetensors .*another --out")

    def test_a_report_that_is_gone_is_made_again(self):
        run = self.copy()
        (run / "report.html").unlink()
        before = sums(run)
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(f"report: {run}/report.html\n", done.stdout)
        self.assertEqual((run / "report.html").read_text().replace(str(run), str(self.whole)),
                         (self.whole / "report.html").read_text())
        (run / "report.html").unlink()
        self.assertEqual(sums(run), before)

    def test_figures_that_are_missing_are_named(self):
        run = self.copy()
        remove("checkpoints/step-*")(run)
        log = run / "log.jsonl"
        log.write_text("".join(line for line in log.read_text().splitlines(True) if '"evaluation"' not in line))
        before = sums(run)
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual((done.returncode, done.stderr, sums(run)), (0, "", before))
        self.assertIn("is finished: ", done.stdout)
        command = re.search(r"figures are missing: (linear_probe \S+) measures", done.stdout)[1]
        measured = self.launch(*command.split(), "--device", "cpu", "--epochs", "1", "--labels", "100")
        self.assertIn("linear %", measured.stdout)
        self.assertEqual(measured.returncode, 0, measured.stderr)
        done = self.launch("train_cifar", "--resume", "--out", run, "--no-evaluation")
        self.assertNotIn("linear_probe", done.stdout)

    def test_what_starting_afresh_would_lose_is_named(self):
        run = self.copy()
        DAMAGES["step files and weights"](run)
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual(done.returncode, 1)
        for word in ("best.safetensors", "report.html", "log.jsonl of a finished run", "step-*.safetensors"):
            self.assertIn(word, done.stderr)
        self.assertIn("a copy of the best one", done.stderr)
        (run / "checkpoints/best.safetensors").unlink()
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertIn("; put a checkpoint back, or choose another --out\n", done.stderr)

    def test_going_on_without_the_configuration(self):
        run = self.copy()
        remove("config.json", "model.safetensors")(run)
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual((run / "config.json").read_bytes(), (self.whole / "config.json").read_bytes())
        self.assertEqual((run / "model.safetensors").read_bytes(), (self.whole / "model.safetensors").read_bytes())

    def test_log_lines_move(self):
        run = self.copy()
        remove("model.safetensors")(run)
        last_step(run).unlink()
        log = (run / "log.jsonl").read_text()
        (run / "log.cut-1.jsonl").write_text("of before\n")
        done = self.launch("train_cifar", "--resume", "--out", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((run / "log.cut-1.jsonl").read_text(), "of before\n")
        cut = (run / "log.cut-2.jsonl").read_text()
        self.assertTrue(log.endswith(cut) and '"evaluation"' in cut and cut.startswith("{"))

    def test_unreadable_checkpoints_are_kept(self):
        run = self.copy()
        remove("model.safetensors")(run)
        newest = last_step(run)
        half(newest)
        damaged = newest.read_bytes()
        done = self.launch("train_cifar", "--resume", "--out", run, "--keep-checkpoints", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((run / "checkpoints" / f"unreadable-{newest.name}").read_bytes(), damaged)
        self.assertEqual(sorted(path.name for path in run.glob("checkpoints/step-*")), [newest.name])

    def test_no_loss_that_nobody_computed(self):
        out = self.folder / "loss"
        done = self.launch("train_cifar", *self.changed("--knn-every", "0")[:-2], "--keep-checkpoints", "9", "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        remove("model.safetensors", "report.html")(out)
        for path in out.glob("checkpoints/step-*"):
            if int(re.search(r"\d+", path.name)[0]) > 3:  # behind the last step of the first epoch
                path.unlink()
        done = self.launch("train_cifar", "--resume", "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("going on after 3 of 6 steps", done.stdout)
        self.assertRegex(done.stdout, r"epoch 2/2  step \d/3  loss [1-9]")
        self.assertNotIn("loss 0.000", done.stdout)


class OtherFiles(Base):
    def test_a_folder_that_holds_no_run(self):
        for name in ("report.html", "model.safetensors", "labels-1.safetensors", "checkpoints", "config.json"):
            with self.subTest(name=name):
                out = self.folder / f"user-{name}"
                (out / name).mkdir(parents=True) if name == "checkpoints" else (out.mkdir(), (out / name).write_text("mine"))
                before = sums(out)
                done = self.launch("train_cifar", *self.run_options, "--out", out)
                self.assertEqual(done.returncode, 1)
                self.assertIn("already holds a run", done.stderr)
                self.assertEqual((sums(out), (out / "log.jsonl").exists()), (before, False))
                done = self.launch("finetune", self.whole, "--labels", "100", "--epochs", "1", "--out", out)
                self.assertEqual(done.returncode, 1)
                self.assertEqual(sums(out), before)

    def test_overwrite_takes_what_runs_write_and_no_more(self):
        run = self.copy()
        (run / "log.cut-1.jsonl").write_text("{}\n")
        done = self.launch("train_cifar", *self.changed("--epochs", "1"), "--overwrite", "--out", run)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({(run / name).read_text() for name in ("notes.txt", "checkpoints/mine.txt")}, {"a user's"})
        self.assertFalse((run / "log.cut-1.jsonl").exists() or (run / "checkpoints/step-00000006.safetensors").exists())

    def test_copies_with_names_of_the_users_own(self):
        names = [f"checkpoints/{name}.safetensors" for name in ("step-5", "step-0", "step-000000001", "unreadable-mine")]
        for options in (["--resume"], [*self.changed("--epochs", "1"), "--overwrite"]):
            with self.subTest(options=options[-1]):
                run = self.copy()
                (run / "model.safetensors").unlink()
                last_step(run).unlink()
                for name in names:
                    shutil.copy(max(run.glob("checkpoints/step-0*")), run / name)
                before = sums(run)
                done = self.launch("train_cifar", *options, "--keep-checkpoints", "1", "--out", run)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                after = sums(run)
                self.assertEqual([after.get(name) for name in names], [before[name] for name in names])

    def test_outputs_are_not_replaced(self):
        pictures = self.folder / "pictures"
        pictures.mkdir()
        for i in range(4):
            (pictures / f"{i}.png").write_bytes(png(i, random.Random(i), side=10))
        (self.folder / "features").mkdir()
        common = ["--device", "cpu"]
        cases = {"features/features.npy": ["embed", self.whole, pictures, "--out", "features", *common],
                 "features/files.txt": ["embed", self.whole, pictures, "--out", "features", *common],
                 "figures.json": ["linear_probe", self.whole, "--json", "figures.json", "--epochs", "1", "--labels", "100",
                                  *common],
                 "sheet.png": ["nearest", self.whole, pictures / "0.png", pictures, "--sheet", "sheet.png", *common]}
        for name, command in cases.items():
            with self.subTest(name=name):
                path = self.folder / name
                path.write_text("mine")
                done = self.launch(*command)
                self.assertEqual((done.returncode, path.read_text()), (1, "mine"))
                self.assertRegex(done.stderr, rf"\A{command[0]}: [^\n]*{path.name}: exists already[^\n]+--overwrite\n\Z")
                done = self.launch(*command, "--overwrite")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertNotEqual(path.read_bytes(), b"mine")
                path.unlink()
        out = self.folder / "exported.safetensors"
        out.write_text("mine")
        for direction in ("export", "import"):
            done = self.launch("torchvision_weights", direction, self.whole, out)
            self.assertEqual((done.returncode, out.read_text()), (1, "mine"))
            self.assertIn("exists already", done.stderr)
        for folder in ("embedding", "embedding-2"):  # a name that nobody gave
            self.assertIn(f"in {folder}\n", self.launch("embed", self.whole, pictures, *common).stdout)
        (self.folder / "check-views.png").write_text("mine")
        done = self.launch("train_cifar", *self.run_options, "--check")
        self.assertIn("check-views-2.png", done.stdout)
        self.assertEqual((self.folder / "check-views.png").read_text(), "mine")


class AtOnce(Base):
    """Programs that write the same output at the same time."""

    def together(self, *commands):
        running = [subprocess.Popen([PROGRAMS / name, *map(str, options)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=self.folder)
                   for name, *options in commands]
        return [(process.communicate(timeout=120), process.returncode) for process in running]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pictures = cls.folder / "pictures"
        cls.pictures.mkdir()
        for i in range(12):
            (cls.pictures / f"{i:02}.png").write_bytes(png(i, random.Random(i), side=150))

    def test_names_that_nobody_gave(self):
        for (out, error), code in self.together(*[["embed", self.whole, self.pictures, "--device", "cpu"]] * 4):
            self.assertEqual((code, error), (0, ""))
            folder = self.folder / re.search(r"each, in (\S+)\n", out)[1]
            self.assertEqual(len(list(folder.iterdir())), 2)
        self.assertEqual({path.name for path in self.folder.glob("embedding*")},
                         {"embedding", "embedding-2", "embedding-3", "embedding-4"})
        sheets = set()
        for (out, error), _ in self.together(*[["train_cifar", *self.run_options, "--check"]] * 3):
            sheets.add(re.search(r"look at them in (check-views\S*): ", out)[1])
        self.assertEqual(sheets, {"check-views.png", "check-views-2.png", "check-views-3.png"})

    def test_runs_that_nobody_named(self):
        commands = [["train_cifar", *self.changed("--epochs", "1")[:-2], "--no-evaluation", "--seed", seed] for seed in range(4)]
        commands += [["finetune", self.whole, "--labels", "100", "--epochs", "1", "--device", "cpu"]] * 2
        for (out, error), code in self.together(*commands):
            self.assertEqual((code, error), (0, ""))
        runs = [path.name for path in (self.folder / "runs").iterdir()]
        self.assertEqual(len(runs), 6)
        for run in runs:
            self.assertRegex(run, r"\A(cifar10-quick|finetune-cifar10)-\d{8}-\d{6}(-[2-4])?\Z")
        self.assertEqual(len(list((self.folder / "runs").glob("*/config.json"))), 6)

    def test_names_that_were_given(self):
        common = ["--device", "cpu"]
        cases = {"same/features.npy": ["embed", self.whole, self.pictures, "--out", "same", *common],
                 "figures.json": ["linear_probe", self.whole, "--json", "figures.json", "--epochs", "5", *common],
                 "sheet.png": ["nearest", self.whole, self.pictures / "00.png", self.pictures, "--sheet", "sheet.png",
                               *common],
                 "encoder.safetensors": ["torchvision_weights", "export", self.whole, "encoder.safetensors"],
                 "encoder.onnx": ["export_onnx", self.whole, "encoder.onnx"]}
        for name, command in cases.items():
            with self.subTest(name=name):
                done = self.together(*[command] * 3)
                self.assertEqual(sorted(code for _, code in done), [0, 1, 1])
                for (_, error), code in done:
                    self.assertRegex(error, rf"\A{command[0]}: [^\n]*{name}: [^\n]*exists already[^\n]+\n\Z" if code else r"\A\Z")
                self.assertEqual({code for _, code in self.together(*[[*command, "--overwrite"]] * 2)}, {0})


class ChangedData(Base):
    def test_moved_added_and_renamed(self):
        pictures, source = self.folder / "classes", random.Random(1)
        for label in range(3):
            (pictures / f"class{label}").mkdir(parents=True)
            for i in range(10):
                (pictures / f"class{label}/{label}-{i}.png").write_bytes(png(label, source, side=10 + i))
        options = ["--dataset", "folder", "--data", pictures, *self.run_options[4:-2], "--no-evaluation"]
        whole = self.folder / "run-of-classes"
        done = self.launch("train_cifar", *options, "--out", whole)
        self.assertEqual(done.returncode, 0, done.stderr)
        remove("model.safetensors")(whole)

        def resumed(change, *more):
            data, run = self.folder / "changed", self.folder / "run"
            for folder, origin in ((data, pictures), (run, whole)):
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(origin, folder)
            change(data)
            return self.launch("train_cifar", "--resume", "--out", run, "--data", data, *more)

        done = resumed(lambda data: [os.utime(path, (1, 1)) for path in data.rglob("*")])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = resumed(lambda data: [(data / f"class0/0-{i}.png").rename(data / f"class1/0-{i}.png") for i in range(4)])
        self.assertRegex(done.stderr, r"class0 10 -> 6 files, class1 10 -> 14 files; the same files in other folders")
        done = resumed(lambda data: (data / "class2").rename(data / "other"))
        self.assertRegex(done.stderr, r"class2 is gone \(10 files\), other is new \(10 files\)")
        done = resumed(lambda data: (data / "class1/1-3.png").rename(data / "class1/new.png"))
        self.assertRegex(done.stderr, r"\Awarning: the data differ from those that the run began with: "
                                      r"class1 has other names or sizes")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (0, 1), done.stderr)
        done = resumed(lambda data: [(data / f"class1/1-{i}.png").unlink() for i in range(5)])
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"training pictures, and now there are \d+ \(class1 10 -> 5 files; 30 -> 25 files in all\)")


if __name__ == "__main__":
    unittest.main()
