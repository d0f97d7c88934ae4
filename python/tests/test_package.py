"""The package as a whole: what it is, its errors, threads, forks, memory, and its programs."""
import importlib.resources
import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy
import pytest

import simclr


def python(code, *arguments, **options):
    """Runs code in a Python of its own, which finds this package."""
    root = str(pathlib.Path(simclr.__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run([sys.executable, "-c", code, *arguments], env={**os.environ, "PYTHONPATH": path},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **options)


def test_build_info():
    info = simclr.build_info()
    assert info["version"] == simclr.__version__
    assert info["devices"]["cpu"] == "" and isinstance(info["devices"]["cuda"], str)
    assert isinstance(info["native"], bool) and isinstance(info["features"], list)
    assert info["threads"] == simclr.threads() >= 1


def test_errors():
    assert issubclass(simclr.InputError, ValueError) and issubclass(simclr.InputError, simclr.Error)
    assert issubclass(simclr.RunError, RuntimeError) and issubclass(simclr.RunError, simclr.Error)
    assert issubclass(simclr.OutOfMemory, MemoryError) and issubclass(simclr.OutOfMemory, simclr.RunError)
    with pytest.raises(simclr.Error, match="threads: 0, at least 1 is needed"):
        simclr.set_threads(0)


def test_threads_that_cannot_be():
    before = simclr.threads()
    for wrong, message in ((1.5, "must be an int, not 1.5"), ("a", "must be an int, not 'a'"), (None, "must be an int"),
                           ([2], r"must be an int, not \[2\]"), (numpy.array([1, 2]), r"not array\(\[1, 2\]\)"),
                           (True, "must be an int, not True"), (2**40, "threads: 1099511627776, at most"),
                           (-2**70, "threads: -11805916.*at least 1"), (3000, "threads: 3000, at most 256")):
        with pytest.raises(simclr.InputError, match=message):
            simclr.set_threads(wrong)
        assert simclr.threads() == before
    simclr.set_threads(numpy.int64(256))
    assert simclr.threads() == 256
    simclr.set_threads(before)


def test_typed():
    package = importlib.resources.files("simclr")
    assert (package / "py.typed").is_file()
    stub = (package / "_core.pyi").read_text()
    assert "def build_info() -> dict" in stub


def test_torch_is_not_imported():
    run = python("import sys, simclr; sys.exit('torch' in sys.modules)")
    assert run.returncode == 0, run.stderr


def test_missing_torch_is_said():
    run = python("import sys; sys.modules['torch'] = None; import simclr.torch")
    assert "ImportError: simclr.torch needs PyTorch: pip install torch" in run.stderr


def uses_libgomp_of_torch():
    return bool(list(pathlib.Path(pytest.importorskip("torch").__file__).parent.rglob("libgomp*")) or list(
        pathlib.Path(pytest.importorskip("torch").__file__).parent.parent.glob("torch.libs/libgomp*")))


@pytest.mark.parametrize("order", ["import simclr, torch", "import torch, simclr"])
def test_one_libgomp(order):
    if uses_libgomp_of_torch() and "onednn" in simclr.build_info()["features"]:
        pytest.skip("this build has oneDNN, whose libgomp is the system's, and this PyTorch brings its own")
    run = python(order + "\n"
                 "import simclr.torch\n"
                 "simclr.torch.nt_xent(torch.randn(512, 64, requires_grad=True)).backward()\n"
                 "torch.randn(512, 512) @ torch.randn(512, 512)\n"
                 "maps = [line.split()[-1] for line in open('/proc/self/maps') if 'libgomp' in line]\n"
                 "print(len(set(maps)))")
    assert run.stdout == "1\n", run.stderr


def test_a_capsule_that_was_taken(torch):
    """What simclr.torch hands to the kernels, twice."""
    capsule = torch.utils.dlpack.to_dlpack(torch.randn(4, 4))
    simclr._core.similarity_forward(capsule, torch.randn(4, 4), 1.0)
    with pytest.raises(simclr.InputError, match="a is a PyCapsule that has no array, or had one that was taken already"):
        simclr._core.similarity_forward(capsule, torch.randn(4, 4), 1.0)


@pytest.fixture
def nt_xent():
    pytest.importorskip("torch")
    from simclr.torch import nt_xent
    return nt_xent


def value_and_gradient(torch, nt_xent, seed, rows=256):
    z = torch.randn(rows, 32, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    loss = nt_xent(z)
    loss.backward()
    return loss.item(), z.grad


def test_eight_threads_at_once(torch, nt_xent):
    expected = [value_and_gradient(torch, nt_xent, seed) for seed in range(8)]
    wrong = []

    def work(seed):
        for _ in range(20):
            loss, gradient = value_and_gradient(torch, nt_xent, seed)
            if loss != expected[seed][0] or not torch.equal(gradient, expected[seed][1]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that they meet everywhere
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


def test_other_threads_run_meanwhile(torch, nt_xent):
    """With the interpreter's lock held, the other thread gets on once before the call and once behind it."""
    z = torch.randn(8192, 128)
    ticks, during, done = [0], [], threading.Event()

    def work():
        before = ticks[0]
        nt_xent(z)
        during.append(ticks[0] - before)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        time.sleep(0.001)
        ticks[0] += 1
    thread.join()
    assert during[0] >= 4


def in_child(function):
    """The exit code of a forked child that runs the function: what it returns, 9 where it raises."""
    child = os.fork()
    if child == 0:
        try:
            code = function()
        except BaseException:
            code = 9
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_fork_after_use_computes(torch, nt_xent):
    expected = value_and_gradient(torch, nt_xent, 3)
    z = torch.randn(256, 32, generator=torch.Generator().manual_seed(3))

    def compute():
        return 0 if nt_xent(z).item() == expected[0] else 1

    assert in_child(compute) == 0


def test_a_fork_amid_a_call_is_refused(torch, nt_xent):
    z = torch.randn(4096, 64)
    expected = nt_xent(z[:64]).item()
    stop = threading.Event()

    def work():
        while not stop.is_set():
            nt_xent(z)

    def compute():
        try:
            return 0 if nt_xent(z[:64]).item() == expected else 1
        except simclr.RunError as error:
            return 3 if "forked while another thread was in a call of simclr" in str(error) else 4

    thread = threading.Thread(target=work)
    thread.start()
    codes = []
    while 3 not in codes and len(codes) < 50:
        time.sleep(0.002)
        codes.append(in_child(compute))
    stop.set()
    thread.join()
    assert set(codes) <= {0, 3} and 3 in codes


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_flat(torch, nt_xent):
    """10,000 calls, among them some that fail. One embedding kept of each would be 40 MB."""
    z = torch.randn(16, 64).requires_grad_()

    def call(i):
        z.grad = None
        nt_xent(z).backward()
        if i % 10 == 0:
            with pytest.raises(simclr.InputError):
                nt_xent(z, groups=torch.arange(16))
            nt_xent(z)  # without its backward pass

    for i in range(1000):
        call(i)
    before = resident_bytes()
    for i in range(10000):
        call(i)
    assert resident_bytes() - before < 2 << 20


PROGRAMS = ["train_cifar", "train_speech", "train_text", "train_video", "train_pairs"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs(program):
    run = python(f"from simclr._programs import {program}; {program}()", "--help")
    assert run.returncode == 0, run.stderr
    assert program in run.stdout and "--temperature" in run.stdout


def test_a_missing_program_is_said():
    run = python("import simclr._programs as p; p._program('nothing')()")
    assert run.returncode == 1 and "No such file or directory; install simclr again" in run.stderr
