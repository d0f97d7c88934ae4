"""The folder in which a document's commands run: it looks like the project's, with the built programs and small data."""
import os
import pathlib
import sys

from support import toy_cluster
from support.tiny_data import write_cifar10, write_fashion_mnist, write_pictures, write_recordings, write_roles, write_texts

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / "build" / "python" / "bin"  # scripts/install_deps --test

# What makes a run short. These take the place of the documents' own values, but for a run that goes on or is repeated.
SMALL = {
    "train_cifar": {"--width": "4", "--size": "8", "--batch-size": "8", "--epochs": "2", "--probe-epochs": "2",
                    "--knn-every": "1", "--knn-samples": "40", "--threads": "1", "--device": "cpu"},
    "train_video": {"--width": "2", "--size": "8", "--batch-size": "8", "--epochs": "1", "--probe-epochs": "2",
                    "--knn-every": "1", "--clips": "1", "--threads": "1", "--device": "cpu"},
    "train_speech": {"--width": "4", "--mels": "16", "--epochs": "2", "--warmup-epochs": "0", "--probe-epochs": "2",
                     "--knn-every": "1", "--knn-samples": "40", "--threads": "1", "--device": "cpu"},
    "train_text": {"--width": "8", "--batch-size": "16", "--epochs": "2", "--warmup-epochs": "0", "--probe-epochs": "2",
                   "--knn-every": "1", "--head-hidden": "16", "--threads": "1", "--device": "cpu"},
    "train_pairs": {"--width": "4", "--size": "8", "--text-width": "8", "--batch-size": "8", "--epochs": "2",
                    "--warmup-epochs": "0", "--knn-every": "1", "--threads": "1", "--device": "cpu"},
    "embed": {"--threads": "1", "--device": "cpu"},
    "finetune": {"--epochs": "2", "--threads": "1", "--device": "cpu"},
    "linear_probe": {"--epochs": "5", "--threads": "1", "--device": "cpu"},
    "token_probe": {"--epochs": "5", "--threads": "1", "--device": "cpu"},
    "nearest": {"--threads": "1", "--device": "cpu"},
    "bench_ranks": {"--width": "4", "--size": "4", "--views": "8", "--samples": "2", "--seconds": "0.1"},
    "bench_open": {"--n": "1000", "--shards": "4"},
}

WRAPPER = """#!{python}
import os, shlex, sys
arguments, small = sys.argv[1:], {small!r}
if not {{"--help", "-h", "--version"}} & set(arguments):
    if {{"--resume", "--config"}} & set(arguments):
        small = {{}}
    if "SIMCLR_DOCS_OWN" in os.environ:
        small = {{name: value for name, value in small.items() if name not in arguments}}
    if "folder" in arguments:  # the pictures are as many as the reader has, so the batch is the document's
        small = {{name: value for name, value in small.items() if name != "--batch-size"}}
    more = shlex.split(os.environ.get("SIMCLR_DOCS_WITH", ""))
    small |= dict(zip(more[::2], more[1::2]))
    if "fashion-mnist" in arguments and "--data" not in arguments:
        small["--data"] = "data-cache/fashion-mnist"
    for name, value in small.items():
        while name in arguments:
            at = arguments.index(name)
            del arguments[at:at + 2]
        arguments += [name, value]
os.execv({program!r}, [{program!r}] + arguments)
"""


def place(program, folder):
    """Puts a built program there, shortened where it is one of SMALL."""
    path = folder / program.name
    if program.name in SMALL:
        path.write_text(WRAPPER.format(python=sys.executable, small=SMALL[program.name], program=str(program)))
        path.chmod(0o755)
    else:
        path.symlink_to(program)


def make(folder, programs, snippets, benches=None):
    """Fills an empty folder; returns the environment for its commands. `programs` holds the built examples, `benches` the
    benchmarks, `snippets` the programs snippet_NAME that were made from the documents."""
    for entry in ROOT.iterdir():
        if entry.name not in {"build", "runs", "data-cache", ".git"}:
            (folder / entry.name).symlink_to(entry)
    release, tests, benchmarks = (folder / "build" / name for name in ("release/examples", "cpu/tests", "cpu/benchmarks"))
    for each in (release, tests, benchmarks):
        each.mkdir(parents=True)
    for program in programs.iterdir():
        if program.is_file() and os.access(program, os.X_OK):
            place(program, release)
    for program in benches.glob("bench_*") if benches else ():
        if program.is_file() and os.access(program, os.X_OK):
            place(program, benchmarks)
    for program in snippets.glob("snippet_*"):
        name = program.name.removeprefix("snippet_")
        ((benchmarks if name.startswith("bench_") else tests) / name).symlink_to(program)
    write_cifar10(folder / "data-cache" / "cifar-10-batches-bin", 30)
    write_fashion_mnist(folder / "data-cache" / "fashion-mnist", 150)
    for label, name in enumerate(("cats", "dogs")):
        write_pictures(folder / "photos" / name, 20, 5 * label)
    write_recordings(folder / "words")
    write_texts(folder)
    write_roles(folder / "roles.conllu", 12)
    write_roles(folder / "roles-to-test.conllu", 6)
    for label, name in enumerate(("pencil", "ink")):
        write_pictures(folder / "drawings" / name, 20, 5 * label)
    toys = folder / "toy-cluster"
    engine = toy_cluster.make(toys)
    package = [str(programs.parent / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    path = [str(release), str(toys), *([str(PYTHON)] if PYTHON.is_dir() else []), os.environ["PATH"]]
    return os.environ | engine | {"PATH": ":".join(path), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONDONTWRITEBYTECODE": "1",
                         "PYTHONUNBUFFERED": "1", "PYTHONPATH": ":".join(package),
                         "TORCH_HOME": str(folder / "torch"),
                         "XDG_CACHE_HOME": str(folder / "cache")}
