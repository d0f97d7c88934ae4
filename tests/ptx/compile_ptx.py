"""PTX of the kernels' sources, as the build's own commands make it.

usage: compile_ptx.py COMPILE_COMMANDS FOLDER [NAME...]
Reads nvcc's commands for kernels/*.cu from the build's compile_commands.json and writes FOLDER/NAME.ptx, for
compute_90a where the source is of sm_90's kernels, else for compute_80. A file is left as it is where command, source
and headers are those that made it: FOLDER/NAME.made holds their digest.
"""

import hashlib
import json
import pathlib
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def ptx_command(command, source, target):
    """nvcc's command that makes an object, made to write PTX for one architecture."""
    words = shlex.split(command)
    words = words[next(i for i, word in enumerate(words) if pathlib.Path(word).name == "nvcc") :]
    end = words.index("-c")
    kept = [
        word for word in words[:end] if not word.startswith(("--generate-code", "-gencode")) and word != "-lineinfo"
    ]
    architecture = "compute_90a" if "sm90" in source.name else "compute_80"
    return [*kept, "--ptx", f"-arch={architecture}", str(source), "-o", str(target)]


def digest_of(command, dependencies):
    """Of the command and of all files that nvcc said it read; none where that is not known."""
    if not dependencies.exists():
        return ""
    words = dependencies.read_text().replace("\\\n", " ").partition(" : ")[2].split()
    digest = hashlib.sha256(shlex.join(command).encode())
    for path in map(pathlib.Path, words):
        if not path.exists():
            return ""
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compile_one(entry, folder):
    source = pathlib.Path(entry["file"])
    target = folder / f"{source.stem}.ptx"
    made, dependencies = target.with_suffix(".made"), target.with_suffix(".d")
    command = ptx_command(entry["command"], source, target)
    if target.exists() and made.exists() and made.read_text() == digest_of(command, dependencies) != "":
        return
    made.unlink(missing_ok=True)
    done = subprocess.run(
        [*command, "-MD", "-MF", str(dependencies)],
        cwd=entry["directory"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{source.name}: nvcc gave no PTX\n{done.stderr}")
    made.write_text(digest_of(command, dependencies))


def compile_all(commands, folder, names=()):
    """{stem: path of the PTX} of the kernels' sources, or of those named."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    root = pathlib.Path(__file__).resolve().parents[2]
    entries = [
        entry
        for entry in json.loads(commands.read_text())
        if entry["file"].endswith(".cu")
        and (root / "kernels") in pathlib.Path(entry["file"]).parents
        and (not names or pathlib.Path(entry["file"]).stem in names)
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda entry: compile_one(entry, folder), entries))
    return {pathlib.Path(e["file"]).stem: folder / f"{pathlib.Path(e['file']).stem}.ptx" for e in entries}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    compile_all(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:])
