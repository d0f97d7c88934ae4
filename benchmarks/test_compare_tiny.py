"""Runs compare.py on everything that it compares, at sizes that take no time, with the real programs of both sides, and
checks what comes out, but for the figures. PROGRAMS is the build folder, PYTHON an interpreter with torch and
torchvision: without them the exit code is 77."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

BENCHMARKS = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS.parent / "tests")]
from comparison import programs, runs  # noqa: E402
from support import tiny_data  # noqa: E402

PROGRAMS, PYTHON = pathlib.Path(os.environ["PROGRAMS"]), os.environ.get("PYTHON", "/usr/bin/python3")

# PyTorch's function that attention is compared with; before 2.0 there is none, and the record says so.
NEWER = "scaled_dot_product_attention"

# Three tensors of 64 MiB, at the same time and one after the other.
MEMORY = """
import sys
sys.path.insert(0, sys.argv[1])
import memory
memory.prepare()
import torch
print(memory.peak_bytes(lambda: [torch.empty(2**24).fill_(1) for _ in range(3)], "cpu"),
      memory.peak_bytes(lambda: [torch.empty(2**24).fill_(1).sum() for _ in range(3)], "cpu"))
"""


# One close neighbour of class 0, then two of class 1: their votes weigh exp(-10 (1 - similarity)), so that two outvote
# one at 0.99 and not at 0.9.
KNN = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
import pretrain
for similarity in (0.99, 0.9):
    train = torch.tensor([[1.0, 0.0]] + 2 * [[similarity, (1 - similarity**2) ** 0.5]])
    print(pretrain.knn_top1(train, torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0.0]]), torch.tensor([0])))
"""

# A rise over two epochs of three steps, then half a cosine over the other two.
SCHEDULE = """
import sys
sys.path.insert(0, sys.argv[1])
import argparse
import pretrain
args = argparse.Namespace(lr=0.06, batch=512, epochs=4, warmup_epochs=2)
print(*(pretrain.learning_rate(args, step, 3) for step in (0, 5, 6, 9, 11)))
"""

# Two ways of one peer, of which the second is faster forward and slower in all; a second peer, whose first way fails.
BEST = """
import sys
sys.path.insert(0, sys.argv[1])
import argparse
import harness
peers = harness.Peers(argparse.Namespace(device="cpu", seconds=0, cold=0, peers=None, memory=False, dtype="f32"))
def calls_of(function):
    return {"forward": function[0], "both": function[1]}
ways = [("a", (3, 8), False, False), ("a", (2, 9), False, False), ("b", (), False, False), ("b", (4, 5), False, False),
        ("b", (), False, False)]
best = peers.best(ways, calls_of, lambda calls, graph: {"seconds": calls})
print(*(best[peer][case]["seconds"] for peer in "ab" for case in ("forward", "both")))
"""

# The ways of a step: on a GPU a form alone, and all forms of texts; how --only is taken; f32 without TF32.
WAYS = """
import sys
sys.path.insert(0, sys.argv[1])
import argparse
import torch
import steps
gpu = steps.ways("cuda", {"padded": False, "packed": True})
assert gpu["graph, packed"] == (True, None, True) and gpu["eager, padded"] == (False, None, False), gpu
pictures = steps.ways("cuda", steps.memory_formats("cuda", torch.channels_last))
assert pictures["eager"] == (torch.channels_last, None, False), pictures
cpu = steps.ways("cpu", {"padded": False, "packed": True})
assert list(cpu)[:2] == ["padded", "packed"], cpu
args = argparse.Namespace(only=None, device="cpu", dtype="f32", threads=1, seconds=0.0)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
def fails(form, mode):
    raise ValueError("none")
steps.report(args, "a", 2, {"padded": cpu["padded"]}, fails)  # a way that fails is a result
assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32
args.only = ["pakced"]
steps.report(args, "a", 2, cpu, fails)
"""

# A GRU packs texts that are sorted, and pools each by its own tokens.
SORTED = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
import text_step
batch = text_step.Batch([2, 5, 3], 8, "cpu")
told = []
pack = text_step.pack_padded_sequence
text_step.pack_padded_sequence = lambda *args, **options: told.append(pack(*args, **options)) or told[0]
y = text_step.Gru({"width": 4, "layers": 1}, batch)(torch.ones(3, batch.longest, 4))
print(*batch.lengths.tolist(), int(told[0].sorted_indices is None), *batch.own.sum(1).tolist(), y.shape[1])
"""


def run(text):
    """A script that imports what the peers run."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(text)
        script.flush()
        return subprocess.run([PYTHON, script.name, BENCHMARKS / "peers"], text=True, capture_output=True)


def printed(text):
    """The numbers that it prints."""
    done = run(text)
    assert done.returncode == 0, done.stderr
    return [float(part) for part in done.stdout.split()]


def check_ways():
    done = run(WAYS)
    line = json.loads(done.stdout)
    assert line["seconds"] == {} and "none" in line["errors"]["padded"], line
    assert done.returncode == 1 and done.stderr.startswith("a: --only pakced: no such way; there are padded; packed"), \
        done.stderr


def check_sorted():
    assert printed(SORTED) == [5, 3, 2, 1, 5, 3, 2, 8], printed(SORTED)


def check_memory():
    together, in_turn = (count / 2**20 for count in printed(MEMORY))
    assert abs(together - 192) < 4 and abs(in_turn - 64) < 4, (together, in_turn)


def check_knn():
    assert printed(KNN) == [0.0, 1.0], printed(KNN)


def check_best():
    assert printed(BEST) == [3, 8, 4, 5], printed(BEST)


def check_schedule():
    wanted = [0.02, 0.12, 0.12, 0.06, 0.06 * (1 + math.cos(5 * math.pi / 6))]
    rates = printed(SCHEDULE)
    assert all(abs(a - b) < 1e-12 for a, b in zip(rates, wanted, strict=True)), rates


def check_records(folder):
    tiny_data.write_cifar10(folder / "data")
    subprocess.run([sys.executable, BENCHMARKS / "compare.py", "--tiny", "--rounds", "1", "--seconds", "0.01",
                    "--threads", "1", "--build", PROGRAMS, "--python", PYTHON, "--data", folder / "data", "--out",
                    folder], check=True)
    (written,) = folder.glob("*-cpu.json")
    results = json.loads(written.read_text())["results"]
    names = set(runs.NAMES) - runs.LEFT_OUT["tiny"] - ({"ranks"} if not programs.has_ranks(PROGRAMS) else set())
    assert {r["what"] for r in results} == names, results
    compared = {what: 0 for what in names}
    lacking = subprocess.run([PYTHON, "-c", f"from torch.nn.functional import {NEWER}"],
                             stderr=subprocess.DEVNULL).returncode != 0
    for r in results:
        assert r["device"] == "cpu" and r["unit"] in ("ms", "s", "MiB", "%", "x"), r
        lacks = lacking and r["what"] in ("attention", "text_step") and NEWER in r.get("note", "")
        assert "note" not in r or "noise" in r["note"] or lacks, r
        assert r["ours"] > 0 and math.isfinite(r["ours"]), r
        compared[r["what"]] += r["ratio"] is not None or lacks
        if r["ratio"] is not None:
            assert r["ratio"] > 0 and r["peer"] > 0, r
        if r["unit"] == "%":
            assert 0 < r["ours"] <= 100 and 0 < r["peer"] <= 100, r
    assert all(compared.values()), compared
    memory = [r for r in results if "memory" in r["case"]]
    assert memory and all(r["unit"] == "MiB" for r in memory), memory
    markdown = written.with_suffix(".md").read_text()
    assert markdown.count("\n## ") >= len(names), markdown
    for r in results:
        assert f"| {r['case']} |" in markdown, r


if __name__ == "__main__":
    if subprocess.run([PYTHON, "-c", "import torch, torchvision"], stderr=subprocess.DEVNULL).returncode != 0:
        print(f"{PYTHON} has no torch or no torchvision")
        sys.exit(77)
    check_memory()
    check_best()
    check_ways()
    check_sorted()
    check_knn()
    check_schedule()
    with tempfile.TemporaryDirectory(prefix="simclr-compare-") as place:
        check_records(pathlib.Path(place))
