"""Checks what compare.py makes of measurements, with programs that print made-up ones in place of both sides."""

import argparse
import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

os.environ["TZ"] = f"NOON{time.gmtime().tm_hour - 12:+d}"  # so that no day ends within a test

BENCHMARKS = pathlib.Path(__file__).resolve().parent
COMPARE = BENCHMARKS / "compare.py"
sys.path.insert(0, str(BENCHMARKS))
from comparison import programs, record, runs  # noqa: E402

# A program that prints what its name, or that of the script it is told to run, has in `answers`; the first that fits.
# Where its exit code is null, it and what it started never end.
STUB = """#!{python}
import json, os, pathlib, subprocess, sys, time
answers = json.loads({answers!r})
told = " ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])
if "train_cifar" in told:
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    key = next(key for key in answers if key.startswith("train_cifar") and all(word in told for word in key.split()))
    out.joinpath("log.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in answers[key][0]))
    time.sleep(0 if "--limit" in sys.argv else 60)
    sys.exit()
with open({log!r}, "a") as log:
    log.write(told + "\\n")
for key, (lines, code) in answers.items():
    if all(word in told for word in key.split()):
        print("\\n".join(json.dumps(line) for line in lines), flush=True)
        if code is None:
            subprocess.run(["sleep", "1000"])
        sys.exit(code)
sys.exit("no answer to: " + told)
"""
# Saves a record for which there is no room.
CUT_OFF = """
import pathlib, sys
from comparison import record
record.save({"date": "2026-01-02", "device": "cpu", "not_measured": ["a" * 99999]}, pathlib.Path(sys.argv[1]))
"""
VERSIONS = {"-c importlib.metadata": ([{"Python": "3.11", "torch": "2.9"}], 0)}  # and no pip that knows an index


def compare(folder, device, what, answers, *more, code=0, commit="abc"):
    """The records of a run that ends with `code`, the Markdown, and what was run. `what`: empty: everything."""
    ops = ("train_step", "nt_xent", "batchnorm", "augment", "optimizer_step", "similarity", "text_step", "clip_step",
           "attention")
    for name in [*(f"benchmarks/bench_{op}" for op in ops), "examples/train_cifar", "python", "nvidia-smi"]:
        program = folder / "build" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(STUB.format(python=sys.executable, answers=json.dumps(VERSIONS | answers),
                                       log=str(folder / "commands")))
        program.chmod(0o755)
    done = subprocess.run([sys.executable, COMPARE, "--device", device, *(["--what", *what] if what else []), "--build",
                           folder / "build", "--python", folder / "build" / "python", "--rounds", "2", "--out", folder,
                           "--commit", commit, *more], stdout=subprocess.PIPE, text=True,
                          env=os.environ | {"PATH": f"{folder / 'build'}:{os.environ['PATH']}"})
    assert done.returncode == code, done.stdout
    (written,) = folder.glob(f"*-{device}.json")
    found = json.loads(written.read_text())
    assert found["versions"]["torch"] == "2.9" and found["commit"] == commit and found["machine"], found
    for r in found["results"]:
        assert r["device"] == device and {"case", "ours", "peer", "unit", "ratio", "target", "met"} <= r.keys(), r
    return {r["case"]: r for r in found["results"]}, written.with_suffix(".md").read_text(), \
        (folder / "commands").read_text().splitlines()


def expect(records, case, met, ratio, target):
    r = records[case]
    assert (r["met"], r["target"]) == (met, target), r
    assert ratio is None and r["ratio"] is None or ratio is not None and abs(r["ratio"] - ratio) < 1e-9, r


def peer(case, name, **figures):
    return {"case": case, "peer": name, "torch": "2.9", **figures}


RECIPE = {"head_hidden": 1024, "epochs": 100, "batch_size": 512, "lr": 0.06, "momentum": 0.9, "weight_decay": 5e-4,
          "warmup_epochs": 0, "temperature": 0.5}
SHAPE = {**{f"bench_train_step --describe --views {views}": ([{"views": views}], 0)  # for the peer's step
            for views in (128, 256, 512, 1024, 8192)},
         "bench_train_step --describe quick": ([{**RECIPE, "width": 16, "size": 16}], 0),
         "bench_train_step --describe": ([{**RECIPE, "width": 64, "size": 32}], 0)}


def test_gpu(folder):
    small, large = ("nt_xent forward + backward, M 1024, D 128, tau 0.5",
                    "nt_xent forward + backward, M 131072, D 128, tau 0.5")
    lost, norm = "nt_xent forward, M 8192, D 64, tau 0.5", "batchnorm + relu forward, 1024x32x32x64"
    records, markdown, _ = compare(folder, "cuda", ["step", "nt_xent", "batchnorm"], {
        **SHAPE,
        "nvidia-smi compute_cap": ([9.0], 0),
        "bench_nt_xent 256 --wgmma": ([], -9),  # no case, and killed
        "bench_nt_xent 131072 --wgmma": ([{"case": "limit: gemm", "seconds": 1.0},
                                               {"case": large, "seconds": 1e-2, "peak_bytes": 1 << 28}], 0),
        "bench_nt_xent 131072": ([{"case": "limit: gemm", "seconds": 1.0},
                                  {"case": small, "seconds": 1e-5, "share_of_limit": 0.5, "limit": "exp2",
                                   "peak_bytes": 1 << 20},
                                  {"case": large, "seconds": 2e-2, "share_of_limit": 0.7, "limit": "gemm",
                                   "peak_bytes": 1 << 28}], 0),
        "bench_nt_xent": ([{"case": lost, "error": "no kernel"}], 1),
        "bench_batchnorm": ([{"case": norm, "seconds": 1e-4, "share_of_limit": 0.75, "limit": "copy"}], 0),
        "bench_train_step --views 8192": ([{"step_seconds": 0.002, "over_convolutions": 1.5, "peak_bytes": 24e9}], 0),
        "bench_train_step": ([{"step_seconds": 0.002, "over_convolutions": 1.5, "peak_bytes": 2 << 30}], 0),
        "kernels.py nt_xent 131072 --memory": ([peer(small, "PyTorch", peak_bytes=5 << 20)], 0),
        "kernels.py nt_xent 131072": ([peer(small, "PyTorch", seconds=6e-5), peer(small, "lightly", seconds=4e-5),
                                       peer(small, "compiled PyTorch", seconds=1e-5),
                                       peer(large, "PyTorch", error="out of memory"),
                                       peer(large, "compiled PyTorch", seconds=6e-2)], 0),
        "kernels.py": ([peer(norm, "PyTorch", seconds=3e-4), peer(lost, "PyTorch", seconds=1e-3)], 0),
        "train_step.py": ([{"errors": {"graph": "failed"},
                            "seconds": {"eager": 0.008, "compile": 0.004, "reduce-overhead": 0.003},
                            "peak_bytes": {"eager": 6 << 30, "compile": 4 << 30, "reduce-overhead": 5 << 30}}], 0),
    })
    expect(records, f"{small}, against PyTorch", None, 6.0, "")
    expect(records, f"{small}, against lightly", False, 4.0, ">= 5")  # the strongest that is eager
    expect(records, f"{small}, against compiled PyTorch", None, 1.0, "")
    expect(records, f"{small}, memory, against PyTorch", None, 5.0, "")
    expect(records, f"{large}, against PyTorch", None, None, ">= 7")
    expect(records, f"{large}, against compiled PyTorch", True, 3.0, ">= 2")
    expect(records, f"{large}, against {runs.WARPGROUPS}", None, 0.5, "")  # the default took twice as long
    expect(records, f"{large}, memory", True, None, "libsimclr < 1024 MiB")
    expect(records, f"{norm}, against PyTorch", None, 3.0, "")
    expect(records, f"{norm}, share of the copy bandwidth", False, 0.75, "libsimclr >= 0.8 x")
    expect(records, "ResNet-18 step, 256 views, against compiled PyTorch", True, 1.5, ">= 1.5")
    expect(records, "ResNet-18 step, 1024 views, against compiled PyTorch", True, 1.5, ">= 1.15")
    expect(records, "ResNet-18 step, 1024 views, against PyTorch", None, 4.0, "")
    expect(records, "ResNet-18 step, 8192 views, over its convolutions alone", None, 1.5, "")
    expect(records, "ResNet-18 step, 1024 views, memory, against PyTorch", None, 3.0, "")
    expect(records, "ResNet-18 step, 1024 views, memory, against compiled PyTorch", None, 2.5, "")  # of the fastest
    whole = records["ResNet-18 step, 8192 views, memory, against compiled PyTorch"]
    assert (whole["met"], whole["target"]) == (False, "libsimclr < 22888 MiB"), whole
    expect(records, f"{lost}, against PyTorch", None, None, "")
    assert records[f"{lost}, against PyTorch"]["note"] == "libsimclr: no kernel", records
    assert "out of memory" in markdown and "limit: gemm" not in markdown, markdown
    row = f"| {small}, against lightly | 0.01 | 0.04 | ms | 4.00 | >= 5 | **no** | 0.50 of exp2 |"
    assert row in markdown, markdown


def test_pretraining(folder):
    case, told = "pretraining on CIFAR-10, ResNet-18, 100 epochs", "--batch 512 --epochs 100 --lr 0.06 --momentum 0.9"
    for own, seconds, near, soon in ((0.83, 240.0, True, True), (0.85, 240.5, False, False)):
        records, markdown, commands = compare(folder, "cuda", ["pretrain"], {
            **SHAPE,
            "train_cifar": ([{"event": "epoch", "seconds": 1.0}, {"event": "evaluation", "training_seconds": seconds,
                                                                  "trained": {"knn": {"top1": own}}}], 0),
            f"pretrain.py --device cuda {told} --weight-decay 0.0005 --temperature 0.5":
                ([{"seconds": 360.0, "knn_top1": 0.8395, "compiled": True}], 0),
        }, "--data", str(folder))
        expect(records, f"{case}, against compiled PyTorch", soon, 360 / seconds, "libsimclr <= 240 s")
        expect(records, f"{case}, kNN, against compiled PyTorch", near, None, "within 1 of the peer's")
        assert sum("pretrain.py" in line for line in commands) == 1, commands  # of two rounds
        assert f"| {100 * own:.4g} | 83.95 | % |" in markdown, markdown
        (folder / "commands").unlink()


def test_what_nobody_names():
    for device, tiny, left_out in (("cpu", False, {"pretrain"}), ("cuda", False, {"size", "ranks"}),
                                   ("cpu", True, set())):
        names = runs.default_names(argparse.Namespace(device=device, tiny=tiny))
        assert set(runs.NAMES) - set(names) == left_out, (device, names)


def test_cpu(folder):
    both, view = "nt_xent forward + backward, M 2048, D 128, tau 0.5", "augment CIFAR, reference, 2 x 4096"
    quick, whole = "quick's ResNet-18 (width 16, 16 pixels)", "ResNet-18 step, 128 views"
    records, markdown, commands = compare(folder, "cpu", ["nt_xent", "augment", "step", "start", "epoch"], {
        **SHAPE,
        "bench_nt_xent 2048": ([{"case": both, "seconds": 1.0, "peak_bytes": 1 << 20}], 0),
        "bench_nt_xent": ([{"case": "nt_xent forward, M 8192, D 64, tau 0.5", "seconds": 1.0}], 0),
        "bench_augment": ([{"case": view, "seconds": 0.5}], 0),
        "bench_train_step quick": ([{"step_seconds": 0.1, "over_convolutions": 1.2}], 0),
        "bench_train_step": ([{"step_seconds": 1.0, "over_convolutions": 1.14}], 0),
        "train_cifar --workers=1": ([{"event": "epoch", "seconds": 3.0}, {"event": "epoch", "seconds": 6.0}], 0),
        "train_cifar": ([{"event": "step"}, {"event": "epoch", "seconds": 3.0},
                         {"event": "epoch", "seconds": 5.0}], 0),
        "kernels.py nt_xent 2048 --memory": ([peer(both, "PyTorch", peak_bytes=200 << 20),
                                              peer(both, "compiled PyTorch", peak_bytes=50 << 20)], 0),
        "kernels.py nt_xent 2048": ([peer(both, "PyTorch", seconds=4.0),
                                     peer(both, "compiled PyTorch", seconds=1.5),
                                     peer(both, "pytorch-metric-learning", seconds=9.0)], 0),
        "kernels.py nt_xent": ([peer("other", "PyTorch", seconds=1.0)], 0),
        "kernels.py augment": ([peer(view, "PyTorch", seconds=0.1),
                                peer(view, "torchvision v2, per image", seconds=6.0, form="PIL, 2 processes")], 0),
        'train_step.py "views": 512': ([{"seconds": {"channels_last": 0.2},
                                "errors": {"compile, contiguous": "no compiler"}}], 0),
        "train_step.py --only channels_last": ([{"seconds": {"channels_last": 1.1}, "errors": {}}], 0),
        "train_step.py": ([{"seconds": {"contiguous": 1.4, "channels_last": 1.2}, "errors": {}}], 0),
        "first_step.py": ([{"loss": 6.0}], 0),
        "epoch.py": ([{"seconds": {"eager, per image": 9.0, "compiled, batched": 6.0, "eager, batched": 8.0},
                       "errors": {}}], 0),
    }, "--data", str(folder))
    expect(records, f"{both}, against PyTorch", None, 4.0, "")
    expect(records, f"{both}, against compiled PyTorch", False, 1.5, ">= 2")
    expect(records, f"{both}, memory, against PyTorch", None, 200.0, "")
    expect(records, f"{both}, memory, against compiled PyTorch", False, 50.0, ">= 100")
    expect(records, f"{view}, against PyTorch", None, 0.2, "")
    expect(records, f"{view}, against torchvision v2, per image", True, 12.0, ">= 10")
    expect(records, f"{whole}, against PyTorch", False, 1.15, ">= 1.2")  # of 1.2 and 1.1
    expect(records, f"{whole}, over its convolutions alone", True, 1.14, "libsimclr <= 1.15 x")
    expect(records, f"{quick} step, 512 views, against PyTorch", True, 2.0, ">= 1.5")
    expect(records, f"{quick} step, 512 views, over its convolutions alone", None, 1.2, "")
    assert records[f"{quick} step, 512 views, against compiled PyTorch"]["note"] == "no compiler", records
    expect(records, f"epoch of CIFAR-10, {quick}, 10000 pictures, against PyTorch", None, 4.0, "")  # 8 s to 5 - 3
    expect(records, f"epoch of CIFAR-10, {quick}, 10000 pictures, against compiled PyTorch", None, 3.0, "")
    expect(records, f"epoch of CIFAR-10, {quick}, 10000 pictures, against {runs.AHEAD}", None, 1.5, "")
    start = records["start to first step, quick, against PyTorch"]
    assert start["target"] == "libsimclr <= 300 ms" and start["met"] == (start["ours"] <= 300), start
    assert all("--device cpu" in line for line in commands if "first_step.py" in line), commands
    steps = [line for line in commands if "train_step.py" in line and '"views": 128' in line]
    assert ["--only" in line for line in steps] == [False, True], steps
    large = [line for line in commands if "1024" in line and "train_step" in line and "--describe" not in line]
    assert ["train_step.py" in line for line in large] == [False, True], large
    assert sum("--memory" in line for line in commands) == 3, commands  # the first round's
    assert markdown.count("\n## ") == 6 and "are met" in markdown, markdown


def test_texts_clips_and_long_sequences(folder):
    gru, transformer = (f"text step of {name}, 1024 views of 64 tokens" for name in ("gru", "transformer"))
    clips = "clip step of small, R(2+1)D-18 of width 16, 32 views of 8 frames of 64 pixels"
    short, long = (f"attention forward + backward, 1x{steps}, 4 heads of 64" for steps in (512, 4096))
    growth = "attention, bytes a step, 4096 steps over 512"
    between = [{"case": f"attention forward + backward, 1x{steps}, 4 heads of 64", "seconds": 1.0,
                "peak_bytes": steps << 11} for steps in (1024, 2048)]
    for bytes_of_long, linear in ((8 << 20, True), (9 << 20, False)):
        records, markdown, commands = compare(folder, "cpu", ["text_step", "clip_step", "attention"], {
            "bench_text_step gru --describe": ([{"arch": "gru", "lengths": [3, 1]}], 0),
            "bench_text_step transformer --describe": ([{"arch": "transformer", "lengths": [3, 1]}], 0),
            "bench_text_step": ([{"step_seconds": 0.5, "peak_bytes": 1 << 30}], 0),
            "bench_clip_step --describe": ([{"width": 16}], 0),
            "bench_clip_step": ([{"step_seconds": 0.5, "peak_bytes": 1 << 30}], 0),
            "bench_attention --long": ([{"case": short, "seconds": 0.1, "peak_bytes": 1 << 20}, *between,
                                        {"case": long, "seconds": 6.4, "peak_bytes": bytes_of_long}], 0),
            'text_step.py "gru"': ([{"seconds": {"padded": 1.0, "compile, padded": 0.55}, "errors": {}}], 0),
            "text_step.py": ([{"seconds": {"padded": 0.9, "packed": 0.7, "compile, padded": 0.8,
                                           "compile, packed": 0.72}, "errors": {}}], 0),
            "clip_step.py": ([{"seconds": {"channels_last": 0.8}, "errors": {"compile, contiguous": "none"}}], 0),
            "kernels.py attention --memory": ([peer(long, "PyTorch", peak_bytes=16 << 20)], 0),
            "kernels.py attention": ([peer(short, "PyTorch", seconds=0.2)], 0),
        }, "--only", "^text step|of small|--long")
        for case in (gru, f"{gru} at most, {runs.REVIEWS}"):
            expect(records, f"{case}, against compiled PyTorch", False, 1.1, ">= 1.2")
            expect(records, f"{case}, against PyTorch", None, 2.0, "")
        expect(records, f"{transformer}, against PyTorch", True, 1.4, ">= 1")  # by its own tokens alone
        expect(records, f"{transformer} at most, {runs.REVIEWS}, against PyTorch", False, 1.4, ">= 1.5")
        expect(records, f"{transformer}, against compiled PyTorch", None, 1.44, "")
        expect(records, f"{clips}, against PyTorch", True, 1.6, ">= 1.2")
        assert records[f"{clips}, against compiled PyTorch"]["note"] == "none", records
        expect(records, f"{long}, memory, against PyTorch", None, (16 << 20) / bytes_of_long, "")
        r = records[growth]
        assert (r["met"], r["target"]) == (linear, "libsimclr <= 1.1 x"), r
        assert len([r for r in records.values() if r["what"] == "attention"]) == 9, records
        for line in commands:  # what --only leaves out is not even described
            assert "moving" not in line, line
            assert "attention" not in line or "--long" in line, line
        (folder / "commands").unlink()


def test_texts_and_clips_on_a_gpu(folder):
    full, reviews = (f"text step of gru, 1024 views of 64 tokens{more}" for more in ("", f" at most, {runs.REVIEWS}"))
    clips = "clip step of cvrl, R(2+1)D-18, 64 views of 16 frames of 112 pixels"
    other = full.replace("gru", "transformer")
    ways = {"eager, padded": (0.6, 6 << 30), "graph, padded": (0.4, 8 << 30), "compile, graph, padded": (0.3, 5 << 30)}
    records, markdown, commands = compare(folder, "cuda", ["text_step", "clip_step"], {
        "bench_text_step gru --describe": ([{"arch": "gru", "lengths": [3, 1]}], 0),
        "bench_text_step transformer --describe": ([], 3),
        "bench_clip_step --describe": ([{"width": 64}], 0),
        "bench_text_step --graph": ([{"step_seconds": 0.2, "peak_bytes": 2 << 30}], 0),
        "bench_clip_step --graph": ([{"step_seconds": 0.2, "peak_bytes": 4 << 30}], 0),
        "text_step.py": ([{"seconds": {way: seconds for way, (seconds, _) in ways.items()}, "errors": {},
                           "peak_bytes": {way: peak for way, (_, peak) in ways.items()}}], 0),
        "clip_step.py": ([{"seconds": {"eager": 0.5}, "errors": {"graph": "none"},
                           "peak_bytes": {"eager": 8 << 30}}], 0),
    }, code=1)
    for case in (full, reviews):
        for peer_name, ratio, memory in (("PyTorch", 3.0, 3.0), (runs.GRAPH, 2.0, 4.0), (runs.COMPILED, 1.5, 2.5)):
            expect(records, f"{case}, against {peer_name}", None, ratio, "")
            expect(records, f"{case}, memory, against {peer_name}", None, memory, "")
    expect(records, f"{clips}, against PyTorch", None, 2.5, "")
    expect(records, f"{clips}, memory, against PyTorch", None, 2.0, "")
    assert records[f"{clips}, against {runs.GRAPH}"]["note"] == "none", records
    # A program that cannot describe a step fails in that step alone.
    assert "failed" in records[other] and records[f"{other}, memory"]["ours"] == 2048, records
    later = [line for line in commands if "text_step.py" in line][1]  # of the second round
    assert "--only eager, padded graph, padded compile, graph, padded" in later, later


def test_memory_grows_by_no_other_length(folder):
    """Where the longest sequence has no memory to run in, nothing says how that of all grows."""
    cases = [f"attention forward + backward, 1x{steps}, 4 heads of 64" for steps in (512, 1024, 2048, 4096)]
    lines = [{"case": case, "seconds": 0.1, "peak_bytes": 1 << (20 + 2 * i)} for i, case in enumerate(cases[:-1])]
    records, markdown, _ = compare(folder, "cpu", ["attention"], {
        "bench_attention": ([*lines, {"case": cases[-1], "error": "out of memory"}], 1),
        "kernels.py": ([peer(cases[0], "PyTorch", seconds=0.2)], 0)}, "--only", "long")
    assert not [case for case in records if "bytes a step" in case], records
    assert f"{cases[-1]}: libsimclr: out of memory" in markdown, markdown


def test_versions(folder):
    python = folder / "python"
    for said, newest in (("torch (2.9.1)\nAvailable versions: 2.9.1, 2.9", "2.9.1"), ("ERROR: no index", None)):
        python.write_text(f"#!/bin/sh\ncase $* in *pip*versions*torch) echo '{said}' ;; "
                          "*) echo '{\"torch\": \"2.9.1+cu1\"}' ;; esac\n")
        python.chmod(0o755)
        found = programs.versions(python)
        assert found == {"torch": "2.9.1+cu1"} | ({"newest torch": newest} if newest else {}), found
        assert programs.versions(python, ask=False) == {"torch": "2.9.1+cu1"}
    for newest, wanted in (({}, "2.9.1+cu1 (whether"), ({"newest torch": "2.9.1"}, "2.9.1+cu1 (the newest), lightly 1"),
                           ({"newest torch": "2.10.0"}, "2.9.1+cu1 (the newest release is 2.10.0)")):
        text = record.versions_text({"torch": "2.9.1+cu1", "lightly": "1"} | newest)
        assert f"torch {wanted}" in text and "newest torch" not in text, text


def test_what_fails(folder):
    sgd = "optimizer_step, sgd"
    norm, views, step = "batchnorm + relu forward", "augment CIFAR, reference, 2 x 4096", "ResNet-18 step, 256 views"
    answers = {
        "bench_batchnorm": ([{"case": norm, "seconds": 1e-4}], 0), "kernels.py batchnorm": ([], 3),
        "bench_augment": ([{"case": views, "seconds": 0.5}, {"case": "photographs", "seconds": 1.0}], 0),
        "kernels.py augment": ([peer(views, "PyTorch", seconds=1.5)], None), **SHAPE,
        "bench_train_step": ([{"step_seconds": 0.002, "over_convolutions": 1.5, "peak_bytes": 1 << 30}], 0),
        "train_step.py": ([{"errors": {}, "seconds": {"eager": 0.008}}], 0),
        "bench_optimizer_step": ([{"case": sgd, "seconds": 1e-3}], 0),
        "kernels.py optimizer_step": ([peer(sgd, "PyTorch", seconds=2e-3)], 0),
        "bench_similarity": ([{"name": "of no case"}], 0),
        "kernels.py similarity": ([peer("similarity", "PyTorch", seconds=1.0)], 0)}
    what = ["batchnorm", "augment", "step", "optimizer_step", "similarity"]
    records, markdown, _ = compare(folder, "cuda", what, answers, "--limit", "5", code=1)
    failed = [(r["what"], r["note"]) for r in records.values() if "failed" in r]
    assert [name for name, _ in failed] == ["batchnorm", "augment", "similarity"], records
    assert "KeyError" in failed[2][1], failed
    assert "python kernels.py batchnorm" in failed[0][1].replace(str(BENCHMARKS / "peers") + "/", ""), failed
    assert "exit code 3" in failed[0][1] and "ran past 5 s" in failed[1][1], failed
    expect(records, f"{views}, against PyTorch", None, 3.0, "")  # printed before it hung
    expect(records, f"{step}, against PyTorch", None, 4.0, "")
    assert "ran past 5 s" in markdown, markdown
    # What has failed is measured again, what has not is kept, of other parts too.
    (folder / "commands").unlink()
    answers["kernels.py augment"] = ([peer(views, "PyTorch", seconds=2.0)], 0)
    records, _, commands = compare(folder, "cuda", ["augment", "step", "optimizer_step"], answers, "--resume")
    expect(records, f"{sgd}, against PyTorch", None, 2.0, "")
    expect(records, f"{views}, against PyTorch", None, 4.0, "")
    expect(records, f"{step}, against PyTorch", None, 4.0, "")
    assert [r["what"] for r in records.values() if "failed" in r] == ["batchnorm", "similarity"], records
    assert not [line for line in commands if "train_step.py" in line or "batchnorm" in line], commands
    answers["kernels.py batchnorm"] = ([peer(norm, "PyTorch", seconds=2e-4)], 0)
    answers["bench_similarity"] = ([{"case": "similarity", "seconds": 1.0}], 0)
    compare(folder, "cuda", what, answers, "--resume", code=0)
    for path in folder.glob("*-cuda.*"):
        path.unlink()
    records, markdown, _ = compare(folder, "cuda", ["augment"], answers, "--budget", "0", code=1)
    assert not records and "Not measured for want of time: augment --pictures 4096" in markdown, markdown


def test_a_part_keeps_the_rest(folder):
    names = [f"{op}, a case" for op in ("batchnorm", "similarity", "optimizer_step")]

    def answers(seconds):
        return {f"{side}{op}": ([peer(case, "PyTorch", seconds=value)], 0) for case in names
                for op in [case.partition(",")[0]] for side, value in (("bench_", seconds), ("kernels.py ", 4.0))}

    def measured(what, seconds, *more, **options):
        records, markdown, _ = compare(folder, "cpu", what, answers(seconds), *more, **options)
        return [records[f"{case}, against PyTorch"]["ours"] for case in names if f"{case}, against PyTorch" in records]

    assert measured(["batchnorm", "similarity"], 1.0) == [1000, 1000]
    assert measured(["similarity", "optimizer_step"], 2.0) == [1000, 2000, 2000]
    both = ["similarity", "optimizer_step"]
    assert measured(both, 3.0, "--only", "^optim") == [1000, 2000, 3000]
    assert measured(both, 4.0, "--budget", "0", code=1) == [1000, 2000, 3000]  # what there is no time for stays
    assert measured(both, 4.0, "--only", "^optimiser", code=2) == [1000, 2000, 3000]
    (written,) = folder.glob("*-cpu.json")
    before = written.read_text()
    for more, said in ((["--what", *both, "--only", "^optimiser"],
                        "--only ^optimiser: finds none of the runs of --what similarity optimizer_step"),
                       (["--what", "epoch"], "nothing is left to measure; give --data, or a build with MPI")):
        failed = subprocess.run([sys.executable, COMPARE, "--build", folder / "build", "--python",
                                 folder / "build/python", "--out", folder, *more], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)
        assert (failed.returncode, failed.stderr) == (2, f"compare: {said}\n"), failed
        assert written.read_text() == before
    # Of another commit the day's record begins anew; the other one stays, under another name.
    assert measured(["similarity"], 5.0, commit="def") == [5000]
    assert measured(["batchnorm"], 5.0, "--budget", "0", code=1, commit="def") == [5000]
    assert measured(["similarity"], 6.0, commit="def") == [6000]  # the exit code is that of its own runs
    (aside,) = folder.glob("*-cpu.*.json")
    assert aside.read_text() == before and aside.with_suffix(".md").exists(), aside


def test_a_record_is_never_lost(folder):
    case = "similarity, a case"
    answers = {"bench_similarity": ([peer(case, "PyTorch", seconds=1.0)], 0),
               "kernels.py similarity": ([peer(case, "PyTorch", seconds=4.0)], 0)}

    def lies_aside(*more, **options):
        """Whether what lay there before a run lies there after it, under another name."""
        (written,) = folder.glob("*-cpu.json")
        before = written.read_text()
        compare(folder, "cpu", *more, **options)
        return before in [path.read_text() for path in folder.glob("*-cpu.*.json")]

    part = (["similarity"], answers)
    compare(folder, "cpu", *part, commit="unknown")
    assert lies_aside(*part, commit="unknown")  # nobody knows whether it is of the same sources
    assert lies_aside(*part, "--resume", commit="unknown")
    assert lies_aside(*part)
    assert lies_aside([], answers, "--budget", "0", code=1)  # a whole run begins anew
    assert lies_aside(*part, "--seconds", "0.5")  # a part that is measured in another way
    names = [path.name for path in folder.glob("*-cpu.*.json")]
    assert len(names) == 5, names  # of which several were written in the same second


def test_what_a_record_goes_on_with(folder):
    found = {"date": "2026-01-02", "device": "cpu", "machine": "one", "threads": 2, "commit": "abc", "rounds": 2,
             "versions": {"torch": "2.9", "newest torch": "2.10"}, "not_measured": ["a"], "results": []}
    record.save(found, folder)
    for versions, goes_on in (({"torch": "2.9"}, True), ({"torch": "2.9", "newest torch": "2.11"}, True),
                              ({"torch": "2.10"}, False)):  # an index does not always answer
        later = found | {"versions": versions, "not_measured": []}
        assert record.go_on(later, folder) == goes_on, versions
        assert not goes_on or later == found | {"versions": found["versions"] | versions}, later
    for content in ('{"date": "20', "[]", '{"results": {}}', "\xff"):  # what cannot be read is kept, too
        (folder / "2026-01-02-cpu.json").write_text(content, encoding="latin-1")
        assert not record.go_on(dict(found), folder), content
        record.set_aside(found, folder)
        assert [path for path in folder.glob("2026-01-02-cpu.*.json")
                if path.read_text(encoding="latin-1") == content], content
    (folder / "2026-01-02-cpu.json").write_text("whole")
    command = f"ulimit -f 1; exec {sys.executable} -c '{CUT_OFF}' {folder}"  # of 512 or 1024 bytes
    done = subprocess.run(["sh", "-c", command], cwd=BENCHMARKS, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and (folder / "2026-01-02-cpu.json").read_text() == "whole", done
    assert not list(folder.glob("*.part")), done


def write_record(folder, name, *names, **more):
    """A record of runs, each with one case; the first word of a run's name is its kind, `failed` its last."""
    results = [{"what": run.split()[0], "run": run.removesuffix(" failed"), "failed": run.endswith(" failed"),
                "case": f"{run} of {name}", "ours": 1, "peer": 2, "unit": "ms", "ratio": 2, "target": None, "met": None}
               for run in names]
    (folder / f"{name}.json").write_text(json.dumps(
        {"date": name[:10], "device": "cpu", "machine": "one", "threads": 2, "commit": "abc", "rounds": 2,
         "versions": {"torch": "2.9"}, "not_measured": [], "results": [*results, {"case": "of another form"}]} | more))


def test_document(folder):
    document = folder / "performance.md"
    text = "# Performance\n\n<!-- record: cpu -->\nold\n<!-- end -->\n\n<!-- record: cuda -->\nnot yet\n<!-- end -->\n"
    document.write_text(text)
    record.update_document(folder, document)
    assert document.read_text() == text  # there is no record
    write_record(folder, "2026-01-01-cpu", "size", "nt_xent", "step of 1024", "step of 128")
    write_record(folder, "2026-01-02-cpu", "nt_xent", "step of 128 failed", not_measured=["size"])
    write_record(folder, "2026-01-02-cpu.101500", "nt_xent", "step of 256", "step of 128", not_measured=["nt_xent"])
    write_record(folder, "2026-01-02-cpu.101600", "gru", tiny=True)
    write_record(folder, "2026-01-02-registers-cpu", "gru")
    for number, content in enumerate(('{"date": "20', "[]", '{"results": {}}', "{}", "\xff")):
        (folder / f"2026-01-02-cpu.10170{number}.json").write_text(content, encoding="latin-1")
    for _ in range(2):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            record.update_document(folder, document)
        shown = document.read_text()
        cases = re.findall(r"^\| (\w.* of 2026\S+) \|", shown, flags=re.MULTILINE)
        # A part that newer records lack is of an older one, as is one that failed.
        assert cases == ["nt_xent of 2026-01-02-cpu", "step of 128 failed of 2026-01-02-cpu",
                         "step of 256 of 2026-01-02-cpu.101500", "step of 128 of 2026-01-02-cpu.101500",
                         "step of 1024 of 2026-01-01-cpu", "size of 2026-01-01-cpu"], shown
        links = re.findall(r"results/([^)]+)\)", shown)
        assert links == ["2026-01-02-cpu.json", "2026-01-02-cpu.101500.json", "2026-01-01-cpu.json"], shown
        assert "old" not in shown and "\nnot yet\n" in shown, shown
        assert re.findall("Not measured for want of time: (.*)", shown) == ["size."], shown
        names = re.findall(rf"^{folder}/2026-01-02-cpu\.(\d+)\.json: .*, and so is not shown$", said.getvalue(),
                           flags=re.MULTILINE)
        assert sorted(names) == ["101600", *(f"10170{number}" for number in range(5))], said.getvalue()


def test_the_document_shows_the_newest_records(folder):
    copy = folder / "performance.md"
    copy.write_text(record.DOCUMENT.read_text())
    record.update_document(BENCHMARKS / "results", copy)
    assert copy.read_text() == record.DOCUMENT.read_text(), "run benchmarks/compare.py --update-docs"


if __name__ == "__main__":
    test_what_nobody_names()
    for test in (test_gpu, test_pretraining, test_cpu, test_texts_clips_and_long_sequences,
                 test_texts_and_clips_on_a_gpu, test_memory_grows_by_no_other_length, test_versions, test_what_fails,
                 test_a_part_keeps_the_rest, test_a_record_is_never_lost,
                 test_what_a_record_goes_on_with, test_document, test_the_document_shows_the_newest_records):
        with tempfile.TemporaryDirectory(prefix="simclr-compare-") as place:
            test(pathlib.Path(place))
