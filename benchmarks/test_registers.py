"""Checks what registers.py asks nvcc for, without nvcc: the target of each file, and nothing of the build's own
targets."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import registers  # noqa: E402


def entry(*targets):
    words = [*(f"--generate-code=arch={target}" for target in targets), "-O3 -MD -MT a.o -MF a.d -x cu -c a.cu -o a.o"]
    return {"file": "a.cu", "directory": "/", "command": f"ccache nvcc {' '.join(words)}"}


PLAIN = entry("compute_80,code=[compute_80,sm_80]", "compute_90,code=[compute_90,sm_90]")
HOPPER = entry("compute_90a,code=[sm_90a]")


class Targets(unittest.TestCase):
    def targets(self, compiled, arch):
        words = registers.assembling(compiled, arch)
        self.assertEqual(words[0], "nvcc")
        self.assertEqual(words[-2:], ["-o", "/dev/null"])
        for word in ("-c", "-MD", "-MT", "-MF", "a.o", "a.d"):
            self.assertNotIn(word, words)
        return [word for word in words if "arch" in word or "gencode" in word or "generate-code" in word]

    def test_hopper_alone(self):
        self.assertEqual(self.targets(HOPPER, "sm_90"), ["-gencode=arch=compute_90a,code=sm_90a"])
        self.assertIsNone(registers.target(HOPPER, "sm_80"))

    def test_any_gpu(self):
        self.assertEqual(self.targets(PLAIN, "sm_80"), ["-gencode=arch=compute_80,code=sm_80"])
        self.assertEqual(self.targets(PLAIN, "sm_90"), ["-gencode=arch=compute_90,code=sm_90"])


if __name__ == "__main__":
    unittest.main()
