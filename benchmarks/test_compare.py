"""Checks what compare.py makes of measurements, with programs that print made-up ones in place of both sides."""

import argparse

from stand_in_programs import BENCHMARKS, compare, peer, run
from comparison import programs, record, runs


def expect(records, case, met, ratio, target):
    r = records[case]
    assert (r["met"], r["target"]) == (met, target), r
    assert ratio is None and r["ratio"] is None or ratio is not None and abs(r["ratio"] - ratio) < 1e-9, r


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
    for device, tiny, left_out in (("cpu", False, {"pretrain", "python"}), ("cuda", False, {"size", "ranks", "python"}),
                                   ("cpu", True, {"python"})):
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


if __name__ == "__main__":
    test_what_nobody_names()
    run(test_gpu, test_pretraining, test_cpu, test_texts_clips_and_long_sequences, test_texts_and_clips_on_a_gpu,
        test_memory_grows_by_no_other_length, test_versions, test_what_fails)
