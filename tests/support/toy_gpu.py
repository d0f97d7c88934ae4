"""A machine with a GPU, of which only the names are real: what scripts/gpu_day asks and starts there, as shell scripts.
Variables of the environment, such as TEST_BAD, make them fail."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
TESTS = ROOT / "tests" / "device"

NVIDIA_SMI = 'echo "NVIDIA Toy, 580.1, 9.0, 81559 MiB"\n'
NVCC = 'echo "Cuda compilation tools, release 13.0, V13.0.88"\n'
# Configures, or "builds" the programs below into the folder that it is given.
CMAKE = """
for a in "$@"; do echo "arg $a"; done
if [ "$1" != --build ]; then echo "--   CUDA        13.0.88, cuDNN 9.19.0, for sm_90"; exit 0; fi
case " $* " in *" --target "*" bench_nt_xent "*" device_gemm "*" train_cifar "*) ;; *) exit 3;; esac
mkdir -p "$2/tests" "$2/benchmarks" "$2/examples"
cp "$TOYS"/device_* "$TOYS"/test_* "$2/tests/"; cp "$TOYS"/bench_* "$2/benchmarks/"; cp "$TOYS"/train_cifar "$2/examples/"
echo "x.cu(3): warning #177-D: unused"
exit ${BUILD_CODE:-0}
"""
# A device test, whose name is told by the caller's script.
TEST = """
name=$(basename "$0")
[ "$name" != "$TEST_BAD" ] || { echo "sums differ"; exit 1; }
[ "$name" != "$TEST_SKIPS" ] || { echo "there is no device"; exit 77; }
[ "$name" != "$TEST_CRASHES" ] || kill -SEGV $$
if [ "$name" = "$TEST_HANGS" ]; then  # with a child in a session of its own, and deaf to the friendly signal
  trap '' TERM
  setsid sleep 300 &
  echo $$ $! >"$TOYS/left"
  while :; do sleep 0.5; done
fi
[ "$SIMCLR_TEST_WGMMA" != 1 ] || echo "$name" >>"$TOYS/by_warpgroups"
echo "All tests passed"
"""
SANITIZER = """
if [ "$1" = --help ]; then echo "  --kernel-name arg   kernels to check"; exit 0; fi
echo "$@" >>"$TOYS/sanitized"
for program; do :; done
[ "$SIMCLR_TEST_WGMMA" != 1 ] || echo "$2 $(basename "$program")" >>"$TOYS/by_warpgroups"
[ "$2" = "$SANITIZER_HANGS" ] && sleep 60
[ "$2" = "$SANITIZER_BAD" ] && { echo "========= ERROR SUMMARY: 3 errors"; exit 99; }
if [ "$2" = racecheck ]; then echo "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)"
else echo "========= ERROR SUMMARY: 0 errors"; fi
"""
BENCH = """
case "$*" in
*--describe*) echo '{"width": 64, "size": 32, "head_hidden": 512, "epochs": 2, "batch_size": 512, "lr": 0.06,
  "momentum": 0.9, "weight_decay": 0.0005, "warmup_epochs": 0, "temperature": 0.5}' | tr -d '\\n'; echo ;;
*) echo '{"case": "toy", "seconds": 0.5, "step_seconds": 0.5, "over_convolutions": 1.1, "peak_bytes": 1000}' ;;
esac
"""
# python3 on a machine that has PyTorch: its packages, and the peers of benchmarks/compare.py.
PYTHON = """
case "$*" in
*importlib.util*nvidia*) echo '{"torch": "2.11", "pillow": "12.0", "cudnn": "9.18.0", "folders": []}' ;;
*" pip "*) echo "$*" >>"$TOYS/asked_pip" ;;
*importlib.metadata*) echo '{"Python": "3.12", "torch": "2.11"}' ;;
*/peers/kernels.py*) [ -z "$PEER_HANGS" ] || sleep 60; echo '{"case": "toy", "peer": "PyTorch", "seconds": 2.0}' ;;
*/peers/pretrain.py*) echo '{"seconds": 8.0, "knn_top1": 0.5, "compiled": false}' ;;
*/peers/*) echo "$*" >>"$TOYS/peers_of_steps"; echo '{"seconds": {"eager": 2.0}, "errors": {}}' ;;
*) exec /usr/bin/python3 "$@" ;;
esac
"""
NCU = """
[ -z "$NCU_FORBIDDEN" ] || { echo "==ERROR== ERR_NVGPUCTRPERM - no permission" >"$2"; exit 1; }
echo "$*" >>"$TOYS/counted"
case " $* " in *" --wgmma "*) echo "$*" | grep -o 'regex:[^ ]*' >>"$TOYS/by_warpgroups" ;; esac
printf '==PROF== x\n"ID","Kernel Name","Metric Value"\n"0","toy_kernel","1"\n"0","toy_kernel","2"\n"1","toy_kernel","3"\n' >"$2"
"""
TRAIN = """
[ "$1" = --help ] && exit 0
echo "$*" >>"$TOYS/trained"
case " $* " in *" --epochs 100 "*) slow=$TRAIN_SLOW ;; esac
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
echo '{"event": "step", "step": 1, "loss": 6.0}' >"$2/log.jsonl"
echo '{"event": "epoch", "epoch": 1, "loss": 5.0, "seconds": 2, "samples_per_second": 100}' >>"$2/log.jsonl"
echo '{"event": "epoch", "epoch": 2, "loss": '${LOSS:-4.5}', "seconds": '${SECOND:-4}', "samples_per_second": 200}' >>"$2/log.jsonl"
echo '{"event": "knn", "epoch": 2, "top1": 0.5}' >>"$2/log.jsonl"
echo '{"event": "evaluation", "training_seconds": 4, "trained": {"knn": {"top1": 0.5}}}' >>"$2/log.jsonl"
[ -z "$slow" ] || exec sleep 300
sleep 0.1  # the first step is looked for while it runs
"""


MAKE_PICTURES = """
import io, sys, tarfile
from PIL import Image
with tarfile.open(sys.argv[1], "w:gz") as archive:
    for name, colour in (("train/airplane/0.jpg", (0, 0, 0)), ("train/truck/0.jpg", (255, 255, 255)),
                         ("train/truck/1.jpg", (255, 255, 255)), ("test/cat/0.jpg", (255, 255, 255)), ("readme.txt", None)):
        file = io.BytesIO()
        if colour:
            Image.new("RGB", (32, 32), colour).save(file, "JPEG")
        info = tarfile.TarInfo(name)
        info.size = len(file.getvalue())
        archive.addfile(info, io.BytesIO(file.getvalue()))
"""
PEER = "/usr/bin/python3"  # which the toy's python3 is
STRIP = 'cp "$3" "$2"\n'


def script(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)


def make(folder):
    """Fills `folder`; the environment in which these programs are found."""
    programs = folder / "bin"
    for name, body in (("nvidia-smi", NVIDIA_SMI), ("nvcc", NVCC), ("cmake", CMAKE),
                       ("compute-sanitizer", SANITIZER), ("ncu", NCU), ("strip", STRIP),
                       ("python3", PYTHON)):
        script(programs / name, body)
    toys = folder / "toys"
    tests = [path.stem.replace("test_", "device_", 1) for path in TESTS.glob("test_*.cpp")]
    for name, body in (*((test, TEST) for test in [*tests, "test_convolution_plan"]), ("train_cifar", TRAIN),
                       *((path.stem, BENCH) for path in BENCHMARKS.glob("bench_*.cpp"))):
        script(toys / name, body)
    return os.environ | {"PATH": f"{programs}:/usr/bin:/bin", "CUDA_HOME": str(folder), "TOYS": str(toys)}


def has_pillow():
    return subprocess.run([PEER, "-c", "import PIL"], capture_output=True).returncode == 0


def make_pictures(path):
    """An archive of CIFAR-10's pictures: one black and two white to train on, and a white one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([PEER, "-c", MAKE_PICTURES, path], check=True)


class ToyDay(unittest.TestCase):
    """A day on such a machine."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.toys, self.out = self.folder / "toys", self.folder / "out"
        self.environment = make(self.folder)

    def command(self, program, *options):
        return [sys.executable, ROOT / "scripts" / program, "--build", self.folder / "build", "--out", self.out,
                "--deps", self.folder / "deps", "--commit", "abc", *options]

    def run_day(self, program, *options, **environment):
        """The exit code, what was printed, and the record."""
        result = subprocess.run(self.command(program, *options), capture_output=True, text=True,
                                env=self.environment | environment, timeout=120)
        return result.returncode, result.stdout + result.stderr, self.record()

    def record(self):
        found = list(self.out.glob("????-??-??-gpu.json"))
        if not found:
            return None
        self.assertTrue(found[0].with_suffix(".md").read_text().startswith("# GPU check, "))
        return json.loads(found[0].read_text())

    def build(self):
        """What a build leaves."""
        for folder, pattern in (("tests", "device_*"), ("tests", "test_*"), ("benchmarks", "bench_*"),
                                ("examples", "train_cifar")):
            (self.folder / "build" / folder).mkdir(parents=True, exist_ok=True)
            for path in self.toys.glob(pattern):
                shutil.copy(path, self.folder / "build" / folder)

    def states(self, record):  # in their order
        return {slot["name"]: slot["state"] for slot in record["slots"]}

    def slot(self, record, name):
        return next(slot for slot in record["slots"] if slot["name"] == name)

    def commands(self, record, name):
        return {command["name"]: command for command in self.slot(record, name)["commands"]}

    def compared(self):
        (path,) = self.out.glob("*-cuda.json")
        return json.loads(path.read_text())["results"]
