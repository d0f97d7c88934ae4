"""examples/train_cifar on another device than the CPU: TRAIN_DEVICE, emu or cuda. TRAIN_CIFAR names the built program.
Skipped where there is no such device."""
import json
import os
import re
import subprocess
import sys
import unittest
import unittest.mock

import test_train_cifar
from support.tiny_data import load_safetensors

PROGRAM = test_train_cifar.PROGRAM
GPU = os.environ.get("TRAIN_DEVICE", "emu")


class OnDevice(test_train_cifar.Base):
    small = ("--device", GPU, "--size", "8", "--limit", "16", "--seed", "7", "--epochs", "3")

    def losses(self, *options):
        out = self.train(*self.small, *options)
        self.assertIn(f"on {GPU}", out)
        return [entry["loss"] for entry in self.log() if entry["event"] == "step"]

    def test_bf16(self):
        losses = self.losses("--dtype", "bf16", "--knn-every", "1")
        self.assertEqual(len(losses), 6)
        self.assertTrue(all(0 < loss < 10 for loss in losses))
        events = [entry["event"] for entry in self.log()]
        self.assertEqual((events.count("knn"), events.count("evaluation")), (3, 1))
        _, tensors = load_safetensors(self.out / "model.safetensors")
        self.assertEqual({dtype for dtype, _, _ in tensors.values()}, {"F32"})

    @unittest.skipUnless(GPU == "emu", "a GPU may be none of sm_90")
    def test_tiles_for_hopper(self):
        quick = ("--dtype", "bf16", "--no-evaluation", "--knn-every", "0", "--overwrite")
        kernels = self.folder / "kernels"
        with unittest.mock.patch.dict(test_train_cifar.ENVIRONMENT, {"SIMCLR_EMU_EXECUTED": str(kernels)}):
            losses = {}
            for options in ((), ("--wgmma",)):
                losses[options] = self.losses(*quick, *options)
                asked = bool(options)
                self.assertEqual("nt_xent_weights_sm90_kernel" in kernels.read_text(), asked)
                self.assertIs(json.loads((self.out / "config.json").read_text())["wgmma"], asked)
                self.assertEqual([e["after_step"] for e in self.log() if e["event"] == "wgmma"], [0] if asked else [])
        self.assertAlmostEqual(losses[()][0], losses["--wgmma",][0], delta=2e-3)  # one product, added up in another order
        self.check_failed(self.run_on(self.cifar10, "cifar10", *self.small, "--dtype", "f32", "--wgmma", "--overwrite"),
                          "train_cifar: --wgmma: ", "this run computes in f32 on emu", "leave it out")

    def test_where_pictures_lie_and_graphs_change_nothing(self):
        quick = ("--dtype", "f32", "--no-evaluation", "--knn-every", "0", "--overwrite")
        on_device = self.losses(*quick)
        self.assertEqual(self.losses(*quick, "--no-graph"), on_device)
        host = self.losses(*quick, "--views-on", "host")
        self.assertAlmostEqual(on_device[0], host[0], delta=1e-4)  # views equal to 1e-5; later steps magnify it

    @unittest.skipUnless(GPU == "emu", "a GPU's memory cannot be made smaller")
    def test_out_of_memory_tells_the_micro_batch_that_fits(self):
        def run(megabytes, *options):
            with unittest.mock.patch.dict(test_train_cifar.ENVIRONMENT, {"SIMCLR_EMU_MEMORY": f"{megabytes}000000"}):
                return self.run_on(self.cifar10, "cifar10", *self.small, "--dtype", "f32", "--limit", "0", "--batch-size",
                                   "32", "--epochs", "1", "--no-evaluation", "--knn-every", "0", "--overwrite", *options)
        done = run(4)
        self.check_failed(done, "out of memory on emu: asked for ", "Try --micro-batch ", " (measured)")
        images = int(re.search(r"Try --micro-batch (\d+): a step of the whole batch fits so", done.stderr)[1])
        self.assertIn(images, (4, 8, 16))
        self.check_failed(run(4, "--micro-batch", f"{2 * images}"), f"Try --micro-batch {images}: ")
        done = run(4, "--micro-batch", f"{images}")
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.check_failed(run(3), "Try a smaller --size or --width: not even --micro-batch 2 fits")

    def test_divergence_ends_at_its_step(self):
        for minutes, saved in (("10", []), ("0", ["step-00000001.safetensors"])):
            with self.subTest(minutes=minutes):
                done = self.run_on(self.cifar10, "cifar10", *self.small, "--dtype", "f32", "--limit", "40", "--lr", "1e30",
                                   "--overwrite", "--checkpoint-minutes", minutes)
                self.check_failed(done, "NaN or Inf at epoch 1, step 2: encoder.", "outputs are NaN or Inf")
                self.assertEqual([entry["step"] for entry in self.log() if entry["event"] == "step"], [1])
                self.assertEqual([path.name for path in self.out.glob("checkpoints/*")], saved)


if __name__ == "__main__":
    asked = subprocess.run([PROGRAM, "--device", GPU, "--dataset", "cifar10", "--data", "/nonexistent"],
                           capture_output=True, text=True, timeout=60)
    if asked.stderr.startswith(f"train_cifar: {GPU}:"):
        print("skipped:", asked.stderr.strip())
        sys.exit(77)
    unittest.main()
