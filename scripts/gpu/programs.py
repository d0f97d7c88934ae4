#!/usr/bin/env python3
"""Carries built programs: bundle_deps packs them, and on the other machine this unpacks them and sees that they run.

usage: programs.py ARCHIVE BUILD_FOLDER COMMIT

Refuses programs of another commit than COMMIT, where both are known: they would be measured for what they are not.
"""
import lzma
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

COMMIT_FILE = "programs-of-commit"
# Each program has the library and its kernels: one dictionary that spans several is what makes their archive small.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 64 << 20}]


def pack(build, names, commit, target):
    """Packs programs of a build folder without symbols, and the commit that they are of."""
    with tempfile.TemporaryDirectory() as name, lzma.open(target, "wb", filters=FILTERS) as file, \
            tarfile.open(fileobj=file, mode="w") as archive:
        scratch = pathlib.Path(name)
        (scratch / COMMIT_FILE).write_text(commit + "\n")
        archive.add(scratch / COMMIT_FILE, COMMIT_FILE)
        for name in names:
            subprocess.run(["strip", "-o", scratch / "program", build / name], check=True)
            archive.add(scratch / "program", name)


def same(a, b):
    """Whether two commits are one; what is said of changed files does not count."""
    a, b = (commit.removesuffix("-dirty").rpartition("-g")[2] for commit in (a, b))
    return "unknown" in (a, b) or a.startswith(b) or b.startswith(a)


def main():
    archive, build, commit = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    with lzma.open(archive) as file, tarfile.open(fileobj=file) as tar:
        build.mkdir(parents=True, exist_ok=True)
        tar.extractall(build)
    carried = (build / COMMIT_FILE).read_text().strip()
    if not same(carried, commit):
        sys.exit(f"the carried programs are of commit {carried}, the sources of {commit}")
    program = build / "examples" / "train_cifar"
    said = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=60, env=os.environ)
    if said.returncode != 0:
        sys.exit(f"train_cifar does not run here: {(said.stderr.strip() or 'exit code ' + str(said.returncode))[-300:]}")
    print(f"programs of commit {carried} run here")


if __name__ == "__main__":
    main()
