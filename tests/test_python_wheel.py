"""scripts/wheel: its wheel, installed in a fresh environment, is whole and works there.

usage: PYTHON=build/python/bin/python tests/test_python_wheel.py

Of the Pythons that a wheel may be built for, the one at hand is tested and the others are named.
"""
import email
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from support import python_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("train_cifar", "train_speech", "train_text", "train_video", "train_pairs")


def output(*command, **options):
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    assert run.returncode == 0, f"{command}: {run.stdout}{run.stderr}"
    return run.stdout


def build(python, folder):
    # with the flags of CI's builds, so that their objects serve; a warning ends it, as there
    text = output(ROOT / "scripts/wheel", "--out", folder, "--python", python, "-D", "SIMCLR_WERROR=ON")
    print(text, end="")
    wheel, = folder.glob("*.whl")
    assert "libgomp" not in text and "libdnnl" not in text, text
    return wheel


def check_files(wheel, version):
    tag = f"cp{version[0]}{version[1]}"
    tag = f"{tag}-{tag}" if version < (3, 12) else "cp312-abi3"
    assert f"-{tag}-linux_" in wheel.name, wheel.name
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
        metadata, = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(files.read(metadata))
    for name in ("__init__.py", "py.typed", "_core.pyi", "torch/__init__.py", *(f"bin/{p}" for p in PROGRAMS)):
        assert f"simclr/{name}" in names, f"no simclr/{name} in {names}"
    strange = [name for name in names if not name.startswith(("simclr/", "libsimclr-")) or "libgomp" in name
               or name.endswith((".h", ".a", ".cmake"))]
    assert not strange, strange
    wanted = [need for need in metadata.get_all("Requires-Dist") if "extra" not in need]
    assert wanted == ["numpy"], wanted


def main():
    python = os.environ.get("PYTHON", sys.executable)
    find = "import sys, pathlib, nanobind, scikit_build_core, pytest; print(*sys.version_info[:2]); " \
           "print(pathlib.Path(pytest.__file__).parents[1])"
    run = subprocess.run([python, "-c", find], capture_output=True, text=True)
    if run.returncode:
        print(f"skipped: {run.stderr.splitlines()[-1]}; scripts/install_deps --test installs it")
        return python_tests.SKIPPED
    version, packages = run.stdout.splitlines()
    version = tuple(map(int, version.split()))
    print("skipped: wheels of other Pythons than", ".".join(map(str, version)))
    with tempfile.TemporaryDirectory(prefix="simclr-wheel-") as name:
        folder = pathlib.Path(name)
        wheel = build(python, folder)
        check_files(wheel, version)
        fresh = folder / "fresh"
        output(python, "-m", "venv", "--system-site-packages", fresh)  # NumPy and PyTorch are the system's
        output(fresh / "bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", wheel)
        for program in PROGRAMS:
            assert program in output(fresh / "bin" / program, "--help", cwd=folder)
        where = output(fresh / "bin/python", "-c", "import simclr; print(simclr.__file__)", cwd=folder)
        assert where.startswith(str(fresh)), where
        code = python_tests.run(fresh / "bin/python", ["package", "nt_xent"], {"PYTHONPATH": packages})
        output(fresh / "bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "libsimclr")
        assert not (fresh / "bin/train_cifar").exists()
    return code


if __name__ == "__main__":
    sys.exit(main())
