#!/usr/bin/env python3
"""Writes the registers, spills and shared memory of every CUDA kernel, as nvcc's assembler reports them.

usage: benchmarks/registers.py [OP ...] [--build build/cuda] [--arch sm_90] [--out benchmarks/results]

Needs nvcc and a configured build with CUDA (cmake --preset cuda), no GPU. Each .cu of kernels/ is compiled once more
with the build's own options; what the build compiles for sm_90a alone belongs to --arch sm_90. Writes
<date>-registers-<arch>.md and .json into --out.
"""
import argparse
import collections
import concurrent.futures
import datetime
import json
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENTRY = re.compile(r"Compiling entry function '(\w+)' for")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
SERIALIZED = re.compile(r"wgmma.mma_async instructions are serialized .* in the function '(\w+)'")
HOPPER = "sm_90a"


def target(entry, arch):
    """What a file is compiled for; None where it is not for `arch`."""
    if "compute_90a" not in entry["command"]:
        return arch
    return HOPPER if arch == "sm_90" else None


def assembling(entry, arch):
    """The command that has ptxas report on a compile command's file, for its target."""
    words = shlex.split(entry["command"])
    while words[0].endswith("ccache"):
        words.pop(0)
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MF", "-MT"):
            skip = word != "-c"
        elif word != "-MD" and not word.startswith("--generate-code"):
            kept.append(word)
    # As the build says it: -arch=sm_90a means other things to other releases of nvcc.
    number = target(entry, arch).removeprefix("sm_")
    return [*kept, f"-gencode=arch=compute_{number},code=sm_{number}", "-cubin", "-Xptxas", "-v", "-o", "/dev/null"]


def compiled(entry, arch):
    """What ptxas said of a compile command's file."""
    result = subprocess.run(assembling(entry, arch), cwd=entry["directory"], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"registers: {entry['file']}: {result.stderr.strip()[-300:]}")
    return result.stderr


def kernels(text):
    """(mangled name, its figures), for each kernel that ptxas reported."""
    serialized = set(SERIALIZED.findall(text))
    name, figures = None, {}
    for line in text.splitlines():
        if found := ENTRY.search(line):
            name, figures = found.group(1), {}
        elif found := SPILLS.search(line):
            figures.update(zip(("stack", "spill_stores", "spill_loads"), map(int, found.groups())))
        elif (found := USED.search(line)) and name:
            shared = SHARED.search(line)
            yield name, {"registers": int(found.group(1)), **figures, "shared": int(shared.group(1)) if shared else 0,
                         "serialized": name in serialized}
            name = None


def short(demangled):
    """A kernel's name and template arguments, without namespaces and parameters."""
    demangled = re.sub(r"\(anonymous namespace\)::|simclr::|kernels::|gpu::|cuda_target::", "", demangled)
    demangled = re.sub(r"^void ", "", demangled)
    depth = 0
    for i, c in enumerate(demangled):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return demangled[:i]
    return demangled


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ops", nargs="*", metavar="OP", help="of OP.cu in kernels/; as it is: all")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "cuda")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    commands = args.build / "compile_commands.json"
    if not commands.exists():
        sys.exit(f"registers: no {commands}; run cmake --preset cuda, or name the build by --build")
    files = [entry for entry in json.loads(commands.read_text())
             if entry["file"].endswith(".cu") and ROOT / "kernels" in pathlib.Path(entry["file"]).resolve().parents]
    if not files:
        sys.exit(f"registers: {args.build} compiles no kernels; it was configured without CUDA")
    known = {pathlib.Path(entry["file"]).stem for entry in files}
    if unknown := sorted(set(args.ops) - known):
        sys.exit(f"registers: no kernels are in {unknown[0]}.cu; there are {', '.join(sorted(known))}")
    files = [entry for entry in files
             if target(entry, args.arch) and (not args.ops or pathlib.Path(entry["file"]).stem in args.ops)]

    if not files:
        sys.exit(f"registers: nothing of {', '.join(args.ops)} is compiled for {args.arch}; name another --arch")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(lambda entry: compiled(entry, args.arch), files))
    found = collections.OrderedDict()
    for entry, text in sorted(zip(files, texts), key=lambda item: item[0]["file"]):
        for name, figures in kernels(text):
            found[name] = {"file": pathlib.Path(entry["file"]).name, **figures}
    names = subprocess.run(["c++filt"], input="\n".join(found), capture_output=True, text=True,
                           check=True).stdout.splitlines()
    rows = [{"kernel": short(name), **figures} for name, figures in zip(names, found.values())]

    date = datetime.date.today().isoformat()
    version = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True,
                             text=True).stdout.strip()
    nvcc = next(word for word in shlex.split(files[0]["command"]) if word.endswith("nvcc"))
    release = re.search(r"release ([\d.]+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout)
    spilling = [row for row in rows if row.get("spill_stores", 0) > 0]
    serialized = [row for row in rows if row["serialized"]]
    lines = [f"# Registers and spills on {args.arch}, {date}", "",
             f"nvcc {release.group(1)}, commit {version}: {len(rows)} kernels, {len(spilling)} of them spill; "
             f"the assembler serialises the products of {len(serialized)}. Written by `benchmarks/registers.py`.", "",
             "| file | kernel | registers | stack bytes | spilled bytes, stores | loads | static shared bytes |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {r['file']} | `{r['kernel']}` | {r['registers']} | {r.get('stack', 0)} | "
              f"{r.get('spill_stores', 0)} | {r.get('spill_loads', 0)} | {r['shared']} |" for r in rows]
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.out / f"{date}-registers-{args.arch}"
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n")
    record = {"date": date, "arch": args.arch, "nvcc": release.group(1), "commit": version, "kernels": rows}
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{stem}.md: {len(rows)} kernels, most registers {max(r['registers'] for r in rows)}, {len(spilling)} spill, "
          f"{len(serialized)} serialised")


if __name__ == "__main__":
    main()
