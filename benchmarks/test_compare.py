"""Checks what compare.py makes of measurements, with programs that print made-up ones in place of both sides."""

import json
import pathlib
import subprocess
import sys
import tempfile

COMPARE = pathlib.Path(__file__).with_name("compare.py")

# A program that prints what its name, or that of the script it is told to run, has in `answers`.
STUB = """#!{python}
import json, pathlib, sys
answers = json.loads({answers!r})
told = " ".join([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])
for key, (lines, code) in answers.items():
    if all(word in told for word in key.split()):
        print("\\n".join(json.dumps(line) for line in lines))
        sys.exit(code)
sys.exit("no answer to: " + told)
"""


def compare(folder, device, what, answers):
    """The records of a run, and the Markdown."""
    bench = folder / "build" / "benchmarks"
    bench.mkdir(parents=True, exist_ok=True)
    for name in [*(f"bench_{op}" for op in ("train_step", "nt_xent", "batchnorm", "augment")), "python"]:
        (bench / name).write_text(STUB.format(python=sys.executable, answers=json.dumps(answers)))
        (bench / name).chmod(0o755)
    subprocess.run([sys.executable, COMPARE, "--device", device, "--what", *what, "--build", folder / "build", "--python",
                    bench / "python", "--rounds", "2", "--out", folder], check=True, stdout=subprocess.DEVNULL)
    (written,) = folder.glob(f"*-{device}.json")
    record = json.loads(written.read_text())
    for r in record["results"]:
        assert r["device"] == device and {"case", "ours", "peer", "unit", "ratio", "target", "met"} <= r.keys(), r
    return {r["case"]: r for r in record["results"]}, written.with_suffix(".md").read_text()


def test_gpu(folder):
    small, large = ("nt_xent forward + backward, M 1024, D 128, tau 0.5",
                    "nt_xent forward + backward, M 131072, D 128, tau 0.5")
    norm = "batchnorm + relu forward, 1024x32x32x64"

    def peer(case, name, **figures):
        return {"case": case, "peer": name, "torch": "2.0", **figures}

    records, markdown = compare(folder, "cuda", ["step", "nt_xent", "batchnorm"], {
        "bench_nt_xent 131072": ([{"case": "limit: gemm", "seconds": 1.0},
                                  {"case": small, "seconds": 1e-5, "share_of_limit": 0.5, "peak_bytes": 1 << 20},
                                  {"case": large, "seconds": 2e-2, "share_of_limit": 0.7, "peak_bytes": 1 << 28}], 0),
        "bench_nt_xent": ([{"case": "nt_xent forward, M 8192", "error": "no kernel"}], 1),
        "bench_batchnorm": ([{"case": norm, "seconds": 1e-4, "share_of_limit": 0.75}], 0),
        "bench_train_step": ([{"step_seconds": 0.002, "over_convolutions": 1.5}], 0),
        "kernels.py nt_xent 131072": ([peer(small, "PyTorch", seconds=4e-5, peak_bytes=5 << 20),
                                       peer(large, "PyTorch", error="out of memory"),
                                       peer(large, "compiled PyTorch", seconds=6e-2)], 0),
        "kernels.py": ([peer(norm, "PyTorch", seconds=3e-4)], 0),
        "train_step.py": ([{"torch": "2.0", "errors": {"graph": "failed"},
                            "seconds": {"eager": 0.008, "compile": 0.004, "reduce-overhead": 0.003}}], 0),
    })

    def expect(case, met, ratio, target):
        r = records[case]
        assert (r["met"], r["target"]) == (met, target), r
        assert ratio is None and r["ratio"] is None or abs(r["ratio"] - ratio) < 1e-9, r

    expect(f"{small}, against PyTorch", False, 4.0, ">= 5.0")
    expect(f"{small}, memory", None, 5.0, "")
    expect(f"{large}, against PyTorch", None, None, ">= 7.0")
    expect(f"{large}, against compiled PyTorch", True, 3.0, ">= 2.0")
    expect(f"{large}, memory", True, None, "libsimclr < 1024")
    expect(f"{norm}, against PyTorch", None, 3.0, "")
    expect(f"{norm}, share of the copy bandwidth", False, 0.75, ">= 0.8")
    expect("ResNet-18 step, 256 views, against compiled PyTorch", True, 1.5, ">= 1.5")
    expect("ResNet-18 step, 1024 views, against PyTorch", None, 4.0, "")
    expect("ResNet-18 step, 8192 views, over its convolutions alone", None, 1.5, "")
    assert "out of memory" in markdown and "limit: gemm" not in markdown, markdown
    assert f"| {small}, against PyTorch | 0.01 | 0.04 | ms | 4.00 | >= 5.0 | no | 0.50 |" in markdown, markdown


def test_cpu(folder):
    records, _ = compare(folder, "cpu", ["step"], {
        "bench_train_step --describe": ([{"width": 16, "size": 16, "head_hidden": 1024}], 0),
        "bench_train_step quick": ([{"views_per_second": 300.0, "over_convolutions": 1.2}], 0),
        "bench_train_step": ([{"views_per_second": 60.0, "over_convolutions": 1.4}], 0),
        "bench_augment quick": ([{"case": "limit: copy"}, {"case": "augment CIFAR", "views_per_second": 900.0}], 0),
        "train_step.py 512": ([{"views_per_second": 100.0, "torch": "1.13"}], 0),
        "train_step.py": ([{"views_per_second": 80.0, "torch": "1.13"}], 0),
    })
    found = {case: (round(r["ratio"], 9), r["met"]) for case, r in records.items()}
    quick = "quick's ResNet-18 (width 16, 16 pixels), 512 views"
    assert found == {"ResNet-18, 128 views, against PyTorch": (0.75, False),
                     "ResNet-18, 128 views, step over its convolutions alone": (1.4, False),
                     f"{quick}, against PyTorch": (3.0, True),
                     f"{quick}, step over its convolutions alone": (1.2, True),
                     "augmenting CIFAR views, against quick's step": (3.0, True)}, found


if __name__ == "__main__":
    for test in (test_gpu, test_cpu):
        with tempfile.TemporaryDirectory(prefix="simclr-compare-") as place:
            test(pathlib.Path(place))
