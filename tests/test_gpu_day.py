"""scripts/gpu_day, with stand-ins for the GPU, the compilers and the programs: what hangs is cut off, and the rest goes on."""
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

from support import toy_gpu

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from gpu import record, slots  # noqa: E402

MOST_FILES = 8  # that come home
FAULTS = """
seconds = 1000
[[slot]]
name = "hangs"
seconds = 1
[[slot.command]]
name = "gemm"
run = "{build}/tests/device_gemm"
[[slot]]
name = "tests"
seconds = 60
together = 2
reader = "test"
[[slot.command]]
items = ["conv2d", "knn", "pool"]
run = "{build}/tests/device_{item}"
[[slot]]
name = "on gemm"
seconds = 60
after = ["hangs/gemm"]
[[slot.command]]
run = "{build}/tests/device_pool"
[[slot]]
name = "without a tool"
seconds = 60
[[slot.command]]
name = "tool"
run = "nsys {build}/tests/device_pool"
[[slot.command]]
name = "program"
run = "{build}/tests/device_nothing"
[[slot.command]]
name = "peer"
run = "{build}/tests/device_pool"
packages = ["jax"]
[[slot]]
name = "last"
seconds = 60
after = ["tests/pool"]
[[slot.command]]
run = "{build}/tests/device_pool"
"""
HANGS = """
seconds = 69
[[slot]]
name = "hangs"
seconds = 1
each = 0.7
[[slot.command]]
items = ["1", "2", "3"]
run = "sleep 300"
[[slot]]
name = "next"
seconds = 60
[[slot.command]]
run = "true"
"""
LATE = """
seconds = 13
[[slot]]
name = "carried"
seconds = 2
[[slot.command]]
run = "false"
[[slot]]
name = "instead"
seconds = 60
unless = ["carried"]
[[slot.command]]
run = "sleep 300"
[[slot]]
name = "last"
seconds = 3
[[slot.command]]
run = "true"
"""
TRAINING = """
seconds = 20
[[slot]]
name = "training"
seconds = 6
reader = "training"
[[slot.command]]
run = "{python} {root}/scripts/gpu/train.py --epochs 100 --out {work}/run -- {build}/examples/train_cifar"
"""


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class GpuDay(toy_gpu.ToyDay):
    def day(self, *options, **environment):
        return self.run_day("gpu_day", *options, **environment)

    def table(self, text):
        path = self.folder / "slots.toml"
        path.write_text(text)
        return "--slots", str(path)

    def test_nothing_is_carried(self):
        code, output, found = self.day()
        self.assertEqual(code, 0, output)
        self.assertEqual(self.states(found), {"unpack": "missing"} | dict.fromkeys(
            ("build", "tests", "hopper", "kernels", "kernels_sm90", "step", "profile", "peers", "sanitizers", "counters"),
            "passed") | {"training": "missing"})
        code, output, found = self.day("--only", "unpack")
        self.assertEqual((code, self.states(found)["unpack"]), (1, "missing"), output)  # nothing was done

    def test_a_day_with_data(self):
        data = self.folder / "cifar-10-batches-bin"
        data.mkdir()
        (data / "test_batch.bin").touch()
        code, output, found = self.day("--data", str(self.folder))
        self.assertEqual(code, 0, output)
        self.assertEqual(self.states(found), {"unpack": "missing"} | dict.fromkeys(
            ("build", "tests", "hopper", "kernels", "kernels_sm90", "step", "profile", "training", "peers", "sanitizers",
             "counters"), "passed"))
        self.assertEqual(self.commands(found, "unpack")["programs"]["note"], "no programs here")
        self.assertEqual((found["gpu"]["name"], found["cuda"], found["cudnn"], found["torch"], found["commit"]),
                         ("NVIDIA Toy", "13.0.88", "9.19.0", "2.11", "abc"))
        self.assertEqual(self.slot(found, "training")["commands"][0]["training"]["knn"], 0.5)
        self.assertEqual(self.commands(found, "kernels")["nt_xent"]["figures"][0]["seconds"], 0.5)
        self.assertIn(4.0, {r["ratio"] for r in self.compared()})
        self.assertEqual({r["run"] for r in self.compared()}, {"nt_xent --m 8192", "ResNet-18 step, 1024 views"})
        self.assertIn("--only eager graph compile", (self.toys / "peers_of_steps").read_text())  # five take too long
        self.assertFalse((self.toys / "asked_pip").exists())  # which takes 20 s without a network
        files = [path for path in self.out.rglob("*") if path.is_file()]
        self.assertLessEqual(len(files), MOST_FILES, files)
        with tarfile.open(self.out / "logs.tar.gz") as archive:
            names = archive.getnames()
        for name in ("tests-gemm", "hopper-nt_xent_sm90", "training-training", "peers-peers", "build-configure"):
            self.assertIn(f"logs/{name}.log", names)
        text = next(self.out.glob("*-gpu.md")).read_text()
        self.assertIn("11 passed", text)
        self.assertIn("| kernels | toy | 500 |", text)

    def test_what_hangs_crashes_or_is_missing(self):
        self.build()
        code, output, found = self.day(*self.table(FAULTS), TEST_HANGS="device_gemm", TEST_CRASHES="device_conv2d",
                                       TEST_SKIPS="device_knn")
        self.assertEqual(code, 1, output)
        self.assertEqual({name: c["state"] for name, c in self.commands(found, "tests").items()},
                         {"conv2d": "failed", "knn": "failed", "pool": "passed"})
        self.assertEqual(self.commands(found, "tests")["conv2d"]["note"].partition(":")[0], "exit code -11")
        self.assertIn("skipped", self.commands(found, "tests")["knn"]["note"])
        self.assertEqual(self.states(found), {"hangs": "cut off", "tests": "failed", "on gemm": "left out", "without a tool": "missing",
                                              "last": "passed"})
        self.assertEqual([c["note"] for c in self.slot(found, "without a tool")["commands"]],
                         ["no nsys here", "no tests/device_nothing here", "python3 has no jax"])
        self.assertIn("missing: 1: without a tool", output)
        self.assertIn("left out: 1: on gemm", output)
        self.assertIn("cut off: 1: hangs", output)
        left = (self.toys / "left").read_text().split()  # deaf to the friendly signal, and in a session of its own
        self.assertEqual([is_running(pid) for pid in left], [False, False])
        with tarfile.open(self.out / "logs.tar.gz") as archive:
            self.assertEqual(len(archive.getnames()), 5)

    def test_a_slot_ends_whatever_hangs_in_it(self):
        code, output, found = self.day(*self.table(HANGS))
        self.assertEqual(code, 1, output)
        self.assertEqual([c["state"] for c in self.slot(found, "hangs")["commands"]], ["cut off"] * 3)
        self.assertEqual(self.slot(found, "hangs")["commands"][2]["note"], "no time was left")
        self.assertEqual(self.states(found)["next"], "passed")

    def test_the_last_slots_pay_for_what_was_not_planned(self):
        code, output, found = self.day(*self.table(LATE))
        self.assertEqual((code, self.states(found)),
                         (1, {"carried": "failed", "instead": "cut off", "last": "cut off"}), output)
        self.assertEqual(self.slot(found, "last")["note"], "no time was left")
        code, output, found = self.day(*self.table(LATE.replace('"false"', '"true"')), "--commit", "def")
        self.assertEqual((code, self.states(found)),
                         (0, {"carried": "passed", "instead": "not needed", "last": "passed"}), output)

    def test_interrupted(self):
        with subprocess.Popen(self.command("gpu_day", *self.table(HANGS), "--scale", "30"), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=self.environment) as process:
            log = self.folder / "build" / "logs" / "hangs-1.log"
            while not log.exists() and process.poll() is None:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertEqual(self.states(self.record()), {"hangs": "cut off"}, output)
        self.assertTrue((self.out / "logs.tar.gz").exists())
        self.assertNotIn("Traceback", output)

    def test_slow_epochs(self):
        data = self.folder / "cifar-10-batches-bin"
        data.mkdir()
        self.build()
        code, output, found = self.day("--only", "training", "--data", str(self.folder), TRAIN_SLOW="1")
        training = self.slot(found, "training")["commands"][0]
        self.assertEqual((code, training["training"]["planned"]), (0, 40), output)
        self.assertEqual([line.partition("--epochs ")[2].split()[0] for line in
                          (self.toys / "trained").read_text().splitlines()], ["100", "40"])
        code, output, found = self.day("--only", "training", "--data", str(self.folder), LOSS="6.0")
        self.assertEqual((code, self.states(found)["training"]), (1, "failed"), output)
        code, output, found = self.day("--only", "training", "--data", str(self.folder), TRAIN_SLOW="1",
                                       SECOND="12")  # 10 s an epoch, of which a dozen fit
        self.assertEqual(code, 0, output)
        self.assertLess(self.slot(found, "training")["commands"][0]["training"]["planned"], 15)
        code, output, found = self.day(*self.table(TRAINING), TRAIN_SLOW="1")  # it hangs after two epochs
        self.assertEqual((code, self.states(found)["training"]), (1, "cut off"), output)
        self.assertEqual(self.slot(found, "training")["commands"][0]["training"]["epochs"], 2)

    def test_several_runs_make_one_record(self):
        self.build()
        self.day("--only", "hopper")
        _, _, found = self.day("--only", "tests")
        self.assertEqual(list(self.states(found)), ["tests", "hopper"])
        _, _, found = self.day("--only", "step", "--commit", "def")
        self.assertEqual(list(self.states(found)), ["step"])
        self.assertEqual(len(list(self.out.glob("????-??-??-gpu.??????.json"))), 1)  # the other commit's

    def test_without_a_gpu(self):
        (self.folder / "bin" / "nvidia-smi").unlink()
        code, output, found = self.day()
        self.assertEqual((code, output), (1, "gpu_day: there is no nvidia-smi, so no NVIDIA driver\n"))
        self.assertFalse(self.out.exists() or (self.folder / "build").exists())

    def test_a_wrong_table_or_name(self):
        for text, said in ((HANGS.replace("seconds = 69", "seconds = 68"), "the slots take 69 s, with 8 s"),
                           (HANGS.replace('run = "true"', 'runs = "true"'), "a command knows no runs"),
                           (HANGS.replace("each", "every"), "slot hangs: knows no every"),
                           (HANGS + 'after = ["soon"]\n', "a command knows no after"),
                           (LATE.replace("carried", "next", 1), "slot instead: carried is no earlier slot"),
                           (HANGS + "[[slot]\n", "slots.toml: "), ("seconds = 1\n", "has no slot")):
            code, output, _ = self.day(*self.table(text))
            self.assertEqual((code, len(output.splitlines())), (1, 1), output)
            self.assertIn(said, output)
        for options, said in ((["--only", "test"], "test is not a slot; there are unpack, build"),
                              (["--set", "epoch=3"], "the table has no such value")):
            code, output, _ = self.day(*options)
            self.assertEqual((code, len(output.splitlines())), (1, 1), output)
            self.assertIn(said, output)
        self.assertFalse(self.out.exists())


class Tables(unittest.TestCase):
    """The tables that are shipped name what there is."""

    def test_programs(self):
        there = {*(f"tests/{path.stem.replace('test_', 'device_', 1)}" for path in (ROOT / "tests/device").glob("test_*.cpp")),
                 *(f"benchmarks/{path.stem}" for path in (ROOT / "benchmarks").glob("bench_*.cpp")),
                 "tests/test_convolution_plan", "examples/train_cifar"}
        named = {name: set(slots.read(ROOT / "scripts" / "gpu" / f"{name}.toml").programs()) for name in ("day", "check")}
        self.assertEqual(named["day"] - there, set())
        self.assertEqual({name for name in there if name.startswith("tests/")} - named["check"], set())
        self.assertEqual(named["check"] - there, set())
        self.assertEqual(named["day"] - named["check"], set())

    def test_the_day_runs_every_device_test(self):
        words = [command.words[0] for slot in slots.read(ROOT / "scripts" / "gpu" / "day.toml").slots if slot.name == "tests"
                 for command in slot.commands]
        self.assertEqual(sorted(words), sorted("{build}/tests/" + path.stem.replace("test_", "device_", 1)
                                               for path in (ROOT / "tests" / "device").glob("test_*.cpp")))

    def test_the_day_fits_its_lease(self):
        self.assertLessEqual(slots.read(ROOT / "scripts" / "gpu" / "day.toml").seconds, 590)


class Logs(unittest.TestCase):
    def test_the_ends_of_too_large_ones(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "logs").mkdir()
            (folder / "logs" / "large.log").write_bytes(os.urandom(record.LARGEST) + b"the end")
            (folder / "logs" / "small.log").write_bytes(b"all of it")
            record.save_logs(folder / "logs", folder / "logs.tar.gz")
            self.assertLessEqual((folder / "logs.tar.gz").stat().st_size, record.LARGEST)
            with tarfile.open(folder / "logs.tar.gz") as archive:
                self.assertTrue(archive.extractfile("logs/large.log").read().endswith(b"the end"))
                self.assertEqual(archive.extractfile("logs/small.log").read(), b"all of it")


if __name__ == "__main__":
    unittest.main()
