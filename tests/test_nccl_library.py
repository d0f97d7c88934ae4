#!/usr/bin/env python3
"""What libsimclr_nccl.so needs, and that what loads it does not; and what is said where it is missing or broken.

usage: test_nccl_library.py

TOOL is the program of tests/test_nccl.cpp, WITH_NCCL whether the build has libsimclr_nccl.so beside it. No GPU is used.
"""
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(os.environ["TOOL"])
LIBRARY = TOOL.parent.parent / "lib" / "libsimclr_nccl.so"


def needed_by(file):
    listing = subprocess.run(["readelf", "-d", file], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", listing)


class Nccl(unittest.TestCase):
    def test_the_library_needs_nccl_and_the_program_does_not(self):
        self.assertIn("libnccl.so.2", needed_by(LIBRARY))
        self.assertFalse([name for name in needed_by(LIBRARY) if "mpi" in name or "simclr" in name])
        self.assertFalse([name for name in needed_by(TOOL) if "nccl" in name])

    def test_it_exports_one_function_and_leaves_no_symbol_undefined(self):
        symbols = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True, check=True).stdout
        strong = [line.split()[2] for line in symbols.splitlines() if line.split()[1] in "TDBR"]
        self.assertEqual(strong, ["simclr_nccl_functions"])
        unresolved = subprocess.run(["ldd", "-r", LIBRARY], capture_output=True, text=True, check=True)
        self.assertNotRegex(unresolved.stdout + unresolved.stderr, r"undefined symbol|not found")
        table = ctypes.CDLL(str(LIBRARY), mode=os.RTLD_NOW).simclr_nccl_functions
        table.restype = ctypes.POINTER(ctypes.c_char_p)
        self.assertRegex(table()[0].decode(), r"^\d+\.\d+\.\d+$")

    def loads(self, folder, library=None):
        """What a copy of the program in `folder` says of this library beside it; none: of the one that is not there."""
        alone = shutil.copy(TOOL, folder)
        if library is not None:
            (pathlib.Path(folder) / "libsimclr_nccl.so").write_bytes(library)
        done = subprocess.run([alone, "libsimclr_nccl*"], capture_output=True, text=True, timeout=60)
        return done.returncode, " ".join(done.stdout.split())

    def test_where_it_is_missing_or_broken_a_line_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            code, said = self.loads(folder)
            self.assertNotEqual(code, 0)
            self.assertIn("nccl: several processes on GPUs need libsimclr_nccl.so (not in ", said)
            self.assertIn("); build libsimclr with NCCL (NVIDIA: libnccl-dev, PyPI: nvidia-nccl-cu13), or train on the CPU "
                          "(--device cpu)", said)
            code, said = self.loads(folder, b"")
            self.assertNotEqual(code, 0)
            self.assertIn("is there, but cannot be loaded: ", said)
            self.assertIn("file too short; install the NCCL that it was built with, or train on the CPU (--device cpu)", said)
            self.assertEqual(self.loads(folder, LIBRARY.read_bytes())[0], 0)

    def test_where_nccl_itself_is_missing_its_name_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            code, said = self.loads(folder, LIBRARY.read_bytes().replace(b"libnccl.so.2\0", b"libnccl.so.0\0"))
        self.assertNotEqual(code, 0)
        self.assertIn("is there, but cannot be loaded: libnccl.so.0: cannot open shared object file", said)


if __name__ == "__main__":
    if os.environ["WITH_NCCL"] != "1":
        print("skipped: no NCCL in this build")
        sys.exit(77)
    result = unittest.main(verbosity=2, exit=False).result
    sys.exit(0 if result.wasSuccessful() else 1)
