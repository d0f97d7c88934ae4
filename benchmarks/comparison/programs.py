"""Runs the programs of both sides, and finds out about the machine."""
import contextlib
import json
import os
import pathlib
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = ROOT / "benchmarks" / "peers"
ENGINE = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]  # also in a small container
POLL_SECONDS = 0.0005
START_LIMIT = 120  # seconds
INDEX_LIMIT = 20  # seconds
LEAST_SECONDS = 5  # that a program is given, whatever is left

VERSIONS = """
import importlib.metadata, json, platform
found = {"Python": platform.python_version()}
for name in ("torch", "torchaudio", "torchvision", "lightly", "pytorch-metric-learning"):
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""

TORCH_FOLDER = """
import importlib.util, json
print(json.dumps({"path": importlib.util.find_spec("torch").submodule_search_locations[0]}))
"""


class Failed(Exception):
    """A program that failed or ran past its limit; says which, and why."""

    def __init__(self, command, problem):
        told = " ".join(" ".join([pathlib.Path(command[0]).name, *map(str, command[1:])]).split())
        super().__init__(f"{told[:200]} failed: {' '.join(problem.split())}")


class Limits:
    """How long a program may run, and all of them together."""
    program, deadline = 900.0, float("inf")

    def left(self):
        return self.deadline - time.monotonic()

    def next(self):
        return min(self.program, max(LEAST_SECONDS, self.left()))


limits = Limits()


@contextlib.contextmanager
def running(command):
    """A program that has started; at the end it is killed, with all that it started."""
    try:
        with subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            try:
                yield process
            finally:
                kill(process)
    except OSError as error:
        raise Failed(command, str(error)) from error


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def finish(command):
    """What a program printed, its exit code (None: it ran past its limit), and what it said of an error."""
    limit = limits.next()
    with running(command) as process:
        try:
            printed, problem = process.communicate(timeout=limit)
            return printed, process.returncode, problem.strip()[-300:]
        except subprocess.TimeoutExpired:
            kill(process)
            return process.communicate()[0], None, f"it ran past {limit:.0f} s"


def lines(command, may_fail=False):
    """Gives what a program printed, and then raises Failed where it failed. One that may fail says itself which cases
    did; it may not crash, though."""
    printed, code, problem = finish(command)
    found = [line for line in printed.splitlines(keepends=True) if line.startswith("{") and line.endswith("}\n")]
    yield from map(json.loads, found)
    if not found or code is None or code < 0 or code > 0 and not may_fail:
        raise Failed(command, problem or f"exit code {code}")


def last(command):
    return list(lines(command))[-1]


def output(*command):
    """What a program of the system prints, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def gpu():
    return output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").split("\n")[0] or "a GPU"


def gpu_capability():
    """Of the first GPU: "9.0"."""
    return output("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader").split("\n")[0]


def commit():
    return output("git", "-C", ROOT, "describe", "--always", "--dirty") or "unknown"


def newest(python, package):
    """The newest version that the interpreter's pip would install; nothing where no index can be asked."""
    try:
        said = subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "--timeout", "3", "--retries", "0",
                               "index", "versions", package], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=INDEX_LIMIT).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(rf"{package} \(([^)]+)\)", said)
    return found and found[1]


def versions(python, ask=True):
    """Of the interpreter and the peers that it has; with `ask` what the newest PyTorch is, where that can be known."""
    found = last([python, "-c", VERSIONS])
    if "torch" not in found:
        raise Failed([python], "it has no torch; scripts/install_deps --peers makes build/peers, or name another "
                     "interpreter by --python")
    latest = newest(python, "torch") if ask else None
    return found | ({"newest torch": latest} if latest else {})


def has_ranks(build):
    """Whether several processes can be one run here."""
    return shutil.which(ENGINE[0]) is not None and (build / "lib" / "libsimclr_mpi.so").exists()


def default_python():
    own = ROOT / "build" / "peers" / "bin" / "python"
    return own if own.exists() else pathlib.Path(shutil.which("python3") or sys.executable)


def training_command(args, setup, out, more, evaluate=False):
    """train_cifar, without the evaluation so that it ends soon after its last step."""
    command = [args.build / "examples" / "train_cifar", "--preset", setup["preset"], "--dataset", "cifar10", "--data",
               args.data, "--batch-size", setup["batch"], "--device", args.device, "--threads", args.threads,
               "--out", out, "--overwrite", *([] if evaluate else ["--no-evaluation"]), *more]
    return [str(part) for part in command]


def has_step(log):
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    return any(json.loads(line)["event"] == "step" for line in whole.splitlines())


def seconds_to_first_step(args, setup):
    """From the start of train_cifar until its log has the first step."""
    with tempfile.TemporaryDirectory(prefix="simclr-start-") as out:
        command = training_command(args, setup, out, ["--epochs", "1"])
        log, start = pathlib.Path(out) / "log.jsonl", time.perf_counter()
        with running(command) as program:
            while not has_step(log):
                if program.poll() is not None:
                    raise Failed(command, f"it ended before its first step: {program.stderr.read()[-300:]}")
                if time.perf_counter() - start > START_LIMIT:
                    raise Failed(command, f"it did no step in {START_LIMIT} s")
                time.sleep(POLL_SECONDS)
            return time.perf_counter() - start


def seconds_to_first_step_of_peers(args, setup):
    """From the start of the interpreter until it prints that the first step is done."""
    command = [args.python, PEERS / "first_step.py", "--data", args.data, "--width", setup["width"], "--size",
               setup["size"], "--head-hidden", setup["head_hidden"], "--batch", setup["batch"], "--device",
               args.device, "--threads", args.threads]
    start = time.perf_counter()
    with running(command) as program:
        line = program.stdout.readline() if select.select([program.stdout], [], [], START_LIMIT)[0] else ""
        seconds = time.perf_counter() - start
        if not line.startswith("{"):
            kill(program)
            raise Failed(command, program.communicate()[1].strip()[-300:] or f"it did no step in {START_LIMIT} s")
    return seconds


def epoch_seconds(args, setup, more=()):
    """The second of two epochs: what is made once is made in the first."""
    with tempfile.TemporaryDirectory(prefix="simclr-epoch-") as out:
        command = training_command(args, setup, out, ["--epochs", "2", "--limit", setup["limit"], *more])
        _, code, problem = finish(command)
        if code != 0:
            raise Failed(command, problem)
        log = [json.loads(line) for line in (pathlib.Path(out) / "log.jsonl").read_text().splitlines()]
    first, second = (event["seconds"] for event in log if event["event"] == "epoch")
    return second - first


def pretraining(args, setup):
    """What train_cifar's log says of a whole run: the seconds of training and the kNN's top-1 of the encoder."""
    with tempfile.TemporaryDirectory(prefix="simclr-pretrain-") as out:
        more = ["--epochs", setup["epochs"], "--limit", setup["limit"], "--knn-every", "0", "--probe-epochs", "1"]
        command = training_command(args, setup, out, more, evaluate=True)
        _, code, problem = finish(command)
        if code != 0:
            raise Failed(command, problem)
        log = [json.loads(line) for line in (pathlib.Path(out) / "log.jsonl").read_text().splitlines()]
    (found,) = (event for event in log if event["event"] == "evaluation")
    return found["training_seconds"], found["trained"]["knn"]["top1"]


def program_bytes(args):
    """train_cifar without symbols, and the libraries that it is linked with."""
    with tempfile.TemporaryDirectory(prefix="simclr-size-") as folder:
        program = shutil.copy(args.build / "examples" / "train_cifar", folder)
        _, code, problem = finish(["strip", program])
        if code != 0:
            raise Failed(["strip", program], problem)
        linked = re.findall(r"(/\S+) \(0x", output("ldd", program))
        return sum(os.path.getsize(os.path.realpath(path)) for path in [program, *linked])


def torch_bytes(python):
    """PyTorch's folder, as it is installed."""
    found = pathlib.Path(last([python, "-c", TORCH_FOLDER])["path"])
    return sum(path.stat().st_size for path in found.rglob("*") if path.is_file() and not path.is_symlink())
