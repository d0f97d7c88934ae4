#!/usr/bin/env python3
"""Runs libsimclr's training step and PyTorch's in turn, and writes the ratios.

usage: benchmarks/compare.py [--build build/cpu] [--python /usr/bin/python3] [--rounds 3] [--out benchmarks/results]

Each round runs both sides one after the other, so that a change of the machine's speed meets both; a ratio is taken
within its round, and the median of the rounds counts. Writes <date>-cpu.json and <date>-cpu.md into --out. --python
is the interpreter that has torch and torchvision (Debian: python3-torch, python3-torchvision).
"""
import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def last_json(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"compare: {' '.join(map(str, command))} failed: {result.stderr.strip()[-300:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit():
    result = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return result.stdout.strip() or "unknown"


def cases(build, python, threads):
    """(name, our command, the peer's command)"""
    bench = build / "benchmarks" / "bench_train_step"
    peer = ROOT / "benchmarks" / "peers" / "train_step.py"
    yield ("ResNet-18, 128 views",
           [bench, "--preset", "reference", "--views", "128", "--rounds", "3", "--threads", threads],
           [python, peer, "--width", "64", "--head-hidden", "1024", "--views", "128", "--rounds", "2", "--threads", threads])
    quick = last_json([bench, "--preset", "quick", "--describe"])
    yield (f"quick's ResNet-18 (width {quick['width']}, {quick['size']} pixels), 512 views",
           [bench, "--preset", "quick", "--views", "512", "--rounds", "5", "--threads", threads],
           [python, peer, "--width", str(quick["width"]), "--size", str(quick["size"]), "--head-hidden",
            str(quick["head_hidden"]), "--views", "512", "--rounds", "3", "--threads", threads])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "cpu")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()

    records, torch_version = [], ""
    for name, ours, peers in cases(args.build, args.python, args.threads):
        ratios, own, other, over = [], [], [], []
        for i in range(args.rounds):
            a, b = last_json(ours), last_json(peers)
            own.append(a["views_per_second"])
            other.append(b["views_per_second"])
            over.append(a["over_convolutions"])
            ratios.append(own[-1] / other[-1])
            torch_version = b["torch"]
            print(f"{name}, round {i + 1}: {own[-1]:.0f} against {other[-1]:.0f} views/s, ratio {ratios[-1]:.2f}; "
                  f"{over[-1]:.2f} times its convolutions", flush=True)
        records.append({"case": name + ", against PyTorch", "device": "cpu", "ours": statistics.median(own),
                        "peer": statistics.median(other), "unit": "views/s", "ratio": statistics.median(ratios),
                        "target": ">= 1.0", "met": statistics.median(ratios) >= 1.0})
        records.append({"case": name + ", step over its convolutions alone", "device": "cpu",
                        "ours": statistics.median(over), "peer": 1.0, "unit": "x", "ratio": statistics.median(over),
                        "target": "<= 1.3", "met": statistics.median(over) <= 1.3})

    quick = records[2]  # the small ResNet's step
    views = last_json([args.build / "benchmarks" / "bench_augment", "--threads", args.threads])["views_per_second"]
    records.append({"case": "augmenting CIFAR views, against quick's step", "device": "cpu", "ours": views,
                    "peer": quick["ours"], "unit": "views/s", "ratio": views / quick["ours"], "target": ">= 1.0",
                    "met": views >= quick["ours"]})

    date = datetime.date.today().isoformat()
    record = {"date": date, "machine": processor(), "threads": int(args.threads), "commit": commit(),
              "torch": torch_version, "rounds": args.rounds, "results": records}
    lines = [f"# Training step on a CPU, {date}", "",
             f"{record['machine']}, {args.threads} threads, commit {record['commit']}, PyTorch {torch_version}; median of "
             f"{args.rounds} rounds, both sides in turn. Written by `benchmarks/compare.py`.", "",
             "| case | libsimclr | PyTorch | unit | ratio | target | met |", "| --- | --- | --- | --- | --- | --- | --- |"]
    for r in records:
        lines.append(f"| {r['case']} | {r['ours']:.4g} | {r['peer']:.4g} | {r['unit']} | {r['ratio']:.2f} | {r['target']} | "
                     f"{'yes' if r['met'] else 'no'} |")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f"{date}-cpu.json").write_text(json.dumps(record, indent=2) + "\n")
    (args.out / f"{date}-cpu.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
