"""train_cifar on a machine without a usable GPU: one clear line, and no hang. Skipped where there is a GPU.

usage: test_no_gpu.py TRAIN_CIFAR
"""

import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import tiny_data

REASONS = ("no NVIDIA driver is loaded", "the NVIDIA driver is too old", "no CUDA device", "CUDA does not start")


def run(train_cifar, *arguments, **environment):
    return subprocess.run([train_cifar, *arguments], capture_output=True, text=True, timeout=300,
                          env=dict(os.environ, **environment))


def main():
    train_cifar = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        tiny_data.write_cifar10(data)
        common = ["--dataset", "cifar10", "--data", str(data), "--limit", "16", "--batch-size", "8", "--epochs", "1"]
        common += ["--width", "4", "--size", "8", "--knn-every", "0", "--no-evaluation"]

        asked = run(train_cifar, *common, "--device", "cuda", "--out", f"{folder}/asked")
        if asked.returncode == 0:
            print("skipped: there is a GPU")
            sys.exit(77)
        assert asked.returncode == 1, asked
        assert asked.stderr.count("\n") == 1, asked.stderr
        assert asked.stderr.startswith("train_cifar: cuda:0: "), asked.stderr
        assert any(reason in asked.stderr for reason in REASONS), asked.stderr
        assert not pathlib.Path(folder, "asked").exists()
        one_of_two = run(train_cifar, *common, "--device", "cuda", "--out", f"{folder}/asked", OMPI_COMM_WORLD_SIZE="2")
        assert (one_of_two.returncode, one_of_two.stderr) == (1, asked.stderr), one_of_two

        found = run(train_cifar, *common, "--out", f"{folder}/found")
        assert found.returncode == 0, found
        lines = [line for line in found.stdout.splitlines() if line.startswith("training on the CPU: ")]
        assert len(lines) == 1 and any(reason in lines[0] for reason in REASONS), found.stdout
        assert "use cpu" not in lines[0], lines[0]  # as it does
        assert pathlib.Path(folder, "found", "model.safetensors").exists()
        print(lines[0])


if __name__ == "__main__":
    main()
