"""Weights to and from torchvision, and files that the safetensors package reads. PROGRAMS names the folder of the
built examples, WRITE_TENSORS the built support/write_tensors. Skipped where Python lacks the packages.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from support.peers import require

require("numpy", "safetensors", "torch", "torchvision")

import numpy
import safetensors
import safetensors.torch
import torch
import torchvision

from support.tiny_data import load_safetensors, write_cifar10, write_fashion_mnist

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "scripts/torchvision"
ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
torch.set_num_threads(1)


def network(name, seed):
    """torchvision's network with weights and statistics such that features are about as large as a trained one's."""
    torch.manual_seed(seed)
    model = getattr(torchvision.models, name)()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.1)
            module.bias.data.normal_(0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(77)
    return model.eval()


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)

    def launch(self, *command):
        return subprocess.run([os.fspath(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=300, cwd=self.folder, env=ENVIRONMENT)

    def run_program(self, name, *arguments):
        done = self.launch(PROGRAMS / name, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def refused(self, name, *arguments, words):
        done = self.launch(PROGRAMS / name, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, rf"\A{name}: [^\n]{{10,400}}\n\Z")
        for word in words:
            self.assertIn(word, done.stderr)

    def script(self, *arguments):
        done = self.launch(sys.executable, SCRIPT, *arguments, "--programs", PROGRAMS)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def train(self, out, *options, dataset=None):
        kind, data = dataset or ("cifar10", self.folder / "cifar10")
        if not data.exists():
            write_cifar10(data)
        self.run_program("train_cifar", "--dataset", kind, "--data", data, "--epochs", "1", "--knn-every", "0",
                         "--no-evaluation", "--device", "cpu", "--threads", "1", "--out", out, *options)

    def check_features(self, weights, model, size, mean, stddev):
        """embed's features against those of `model`."""
        pictures, out = self.folder / f"pictures-{size}", self.folder / "features"
        if not pictures.exists():
            source = numpy.random.default_rng(7)
            pixels = source.integers(0, 256, (3, size, size, 3), dtype=numpy.uint8)
            pixels[1] //= 4
            pixels[2, :, : size // 2] = 200
            pictures.mkdir()
            for i, picture in enumerate(pixels):
                torchvision.io.write_png(torch.from_numpy(picture).permute(2, 0, 1), f"{pictures}/{i}.png")
        self.run_program("embed", weights, pictures, "--out", out, "--overwrite", "--device", "cpu")
        ours = numpy.load(out / "features.npy")
        inputs = torch.stack([torchvision.io.read_image(f"{pictures}/{i}.png") / 255 for i in range(3)])
        with torch.no_grad():
            theirs = model(torchvision.transforms.functional.normalize(inputs, mean, stddev)).numpy()
        self.assertEqual((ours.dtype, ours.shape), (numpy.float32, theirs.shape))
        self.assertGreater(theirs.std(axis=0).mean(), 0.01)  # features that tell the pictures apart
        self.assertLess(abs(theirs).max(), 100)
        self.assertLess(abs(ours - theirs).max(), 1e-4)


class BothWays(Base):
    def check_both_ways(self, name, ending):
        """torchvision -> ours -> torchvision: the same features, and the same bits at the end."""
        original = network(name, 3)
        theirs, ours, back = (self.folder / f"{name}-{part}" for part in (f"theirs{ending}", "ours", f"back{ending}"))
        if ending == ".pth":
            torch.save(original.state_dict(), theirs)
        else:
            safetensors.torch.save_file(original.state_dict(), theirs)
        printed = self.script("import", theirs, ours, "--size", "64")
        self.assertIn(f"{name}, for pictures of 64x64 pixels", printed)
        self.assertRegex(printed, r"features of 4 pictures, up to [\d.]+: they differ by at most \d")
        original.fc = torch.nn.Identity()
        self.check_features(ours, original, 64, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])

        printed = self.script("export", ours, back)
        self.assertIn(f"torchvision.models.{name}()", printed)
        self.assertIn(f'torch.load("{back}")' if ending == ".pth" else f'load_file("{back}")', printed)
        self.assertRegex(printed, r"features of 4 pictures, up to [\d.]+: they differ by at most \d")
        state = torch.load(back) if ending == ".pth" else safetensors.torch.load_file(back)
        loaded = network(name, 4)
        loaded.fc = torch.nn.Identity()
        loaded.load_state_dict(dict(state), strict=True)
        for key, tensor in original.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                self.assertTrue(same_bits(loaded.state_dict()[key], tensor), key)

    def test_resnet18(self):
        self.check_both_ways("resnet18", ".safetensors")

    def test_resnet50(self):
        self.check_both_ways("resnet50", ".pth")


class Others(Base):
    """State dicts that are not torchvision's to the letter: parts of something, and halves."""

    def test_prefixes(self):
        model = network("resnet18", 5)
        for prefix in ("module.", "backbone.", "module.encoder_q."):
            with self.subTest(prefix=prefix):
                path, out = self.folder / f"{prefix}safetensors", self.folder / "out"
                state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
                state |= {f"other.{name}": tensor + 1 for name, tensor in model.state_dict().items()}
                state["queue_ptr"] = torch.zeros(1, dtype=torch.int64)
                safetensors.torch.save_file(state, path)
                printed = self.run_program("torchvision_weights", "import", path, out, "--size", "64", "--prefix", prefix,
                                           "--overwrite")
                self.assertIn(f"123 tensors outside {prefix} left out\n", printed)
                model.fc = torch.nn.Identity()
                self.check_features(out, model, 64, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
                model = network("resnet18", 5)

    def test_half_precision(self):
        model, path, out = network("resnet18", 6), self.folder / "half.safetensors", self.folder / "half"
        state = model.half().state_dict()
        state["layer1.0.conv1.weight"].view(-1)[:3] = torch.tensor([6e-8, -3e-6, 0.0])  # subnormal halves
        safetensors.torch.save_file(state, path)
        self.run_program("torchvision_weights", "import", path, out, "--size", "64")
        model = model.float()
        model.fc = torch.nn.Identity()
        self.check_features(out, model, 64, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        with safetensors.safe_open(out, "pt") as file:
            ours = file.get_tensor("encoder.layer1.0.conv1.weight")
        self.assertTrue(same_bits(ours, state["layer1.0.conv1.weight"].float().permute(0, 2, 3, 1).contiguous()))

    def test_script(self):
        """A checkpoint's own state_dict, its prefix, in half precision."""
        state = {"module.encoder_q." + name: tensor.half() for name, tensor in network("resnet18", 7).state_dict().items()}
        path, out = self.folder / "checkpoint.pth.tar", self.folder / "ours"
        torch.save({"epoch": 3, "state_dict": state}, path)
        printed = self.script("import", path, out, "--size", "64", "--prefix", "module.encoder_q.")
        self.assertRegex(printed, r"features of 4 pictures, up to [\d.]+: they differ by at most \d")


class Trained(Base):
    def test_imagenet_stem(self):
        """What train_cifar made, exported by the program alone, in torchvision's own network."""
        run, out = self.folder / "run", self.folder / "resnet18.safetensors"
        self.train(run, "--width", "64", "--stem", "imagenet", "--size", "32", "--batch-size", "4", "--limit", "8")
        self.run_program("torchvision_weights", "export", run, out)
        model = torchvision.models.resnet18()
        model.fc = torch.nn.Identity()
        model.load_state_dict(safetensors.torch.load_file(out), strict=True)
        self.check_features(run, model.eval(), 32, [0, 0, 0], [1, 1, 1])

    def test_cifar_stem(self):
        """The lines that the program prints make the network that takes the weights."""
        run, out = self.folder / "cifar-run", self.folder / "cifar.safetensors"
        self.train(run, "--width", "64", "--size", "16", "--batch-size", "4", "--limit", "8")
        printed = self.run_program("torchvision_weights", "export", run, out)
        lines = [line[2:] for line in printed.split("in Python:\n\n")[1].splitlines()]
        self.assertEqual(len(lines), 5, lines)
        names = {"torch": torch, "torchvision": torchvision, "safetensors": safetensors}
        exec("\n".join(lines), names)
        self.check_features(run, names["model"].eval(), 16, [0, 0, 0], [1, 1, 1])
        self.script("export", run, out, "--overwrite")  # which compares the features itself
        self.refused("torchvision_weights", "import", run / "model.safetensors", self.folder / "no",
                     words=("these are weights of libsimclr",))


    def test_any_width(self):
        """The printed lines make torchvision's network in this width, and it loads every tensor."""
        for arch, width, stem, size in (("resnet18", "4", "imagenet", "32"), ("resnet34", "20", "cifar", "8"),
                                        ("resnet50", "8", "imagenet", "32"), ("resnet50", "72", "cifar", "8")):
            with self.subTest(arch=arch, width=width, stem=stem):
                run, out = self.folder / f"{arch}-{width}", self.folder / f"{arch}-{width}.safetensors"
                self.train(run, "--arch", arch, "--width", width, "--stem", stem, "--size", size, "--batch-size", "4",
                           "--limit", "8")
                printed = self.run_program("torchvision_weights", "export", run, out)
                names = {"torch": torch, "torchvision": torchvision, "safetensors": safetensors}
                exec("\n".join(line[2:] for line in printed.split("in Python:\n\n")[1].splitlines()), names)
                self.check_features(run, names["model"].eval(), int(size), [0, 0, 0], [1, 1, 1])
                self.assertEqual(sum(t.numel() for t in names["model"].state_dict().values() if t.dim()),
                                 sum(t.numel() for t in safetensors.torch.load_file(out).values()))
                back = self.folder / f"{arch}-{width}-back"
                self.run_program("torchvision_weights", "import", out, back, "--size", size)
                self.script("export", run, out, "--overwrite")

    def test_grey_pictures(self):
        for stem, size in (("cifar", "8"), ("imagenet", "32")):
            with self.subTest(stem=stem):
                run, out, data = (self.folder / f"{stem}-{part}" for part in ("grey", "grey.pth", "data"))
                write_fashion_mnist(data)
                self.train(run, "--width", "64", "--stem", stem, "--size", size, "--batch-size", "4", "--limit", "8",
                           dataset=("fashion-mnist", data))
                self.assertIn("torch.nn.Conv2d(1, 64, ", self.script("export", run, out))
                self.assertEqual(torch.load(out)["conv1.weight"].shape[1], 1)


class Refused(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.state = network("resnet18", 1).state_dict()

    def check_import(self, change, *words, size="64", options=()):
        state = {name: tensor.clone() for name, tensor in self.state.items()}
        change(state)
        path, out = self.folder / "changed.safetensors", self.folder / "out"
        safetensors.torch.save_file(state, path)
        self.refused("torchvision_weights", "import", path, out, "--size", size, *options, words=words)
        self.assertFalse(out.exists())

    def test_other_networks(self):
        self.check_import(lambda s: s.clear(), "changed.safetensors", "no conv1.weight")
        self.check_import(lambda s: s.pop("layer2.0.downsample.1.running_var"), "layer2.0.downsample.1.running_var",
                          "missing")
        self.check_import(lambda s: s.update({"layer1.0.conv2.weight": torch.zeros(64, 32, 3, 3)}),
                          "layer1.0.conv2.weight is [64,3,3,32]")
        self.check_import(lambda s: s.update({"head.weight": torch.zeros(1)}), "has no head.weight")
        self.check_import(lambda s: s.update({"layer3.2.conv1.weight": torch.zeros(1)}), "stages of 2, 2, 3 and 2")
        self.check_import(lambda s: s.update({"conv1.weight": torch.zeros(64, 3, 5, 5)}), "[64,5,5,3]")
        self.check_import(lambda s: None, "size", size="0")

    def test_nan(self):
        for name, value, what in (("layer2.0.conv1.weight", math.nan, "NaN or Inf"), ("bn1.running_var", math.inf, "NaN or Inf"),
                                  ("bn1.running_var", -0.1, "variances are below 0")):
            self.check_import(lambda s: s[name].view(-1)[5].fill_(value), "changed.safetensors", f"{name}: 1 of", what)

    def test_prefix(self):
        def under(*prefixes):
            def change(state):
                whole = dict(state)
                state.clear()
                state.update({prefix + name: t.clone() for prefix in prefixes for name, t in whole.items()})
                state["module.queue_ptr"] = torch.zeros(1, dtype=torch.int64)
            return change
        for prefix in ("module.", "backbone.", "module.encoder_q."):
            self.check_import(under(prefix), f"there is no conv1.weight; found {prefix}conv1.weight: --prefix {prefix}\n")
        self.check_import(under("m.encoder_k.", "m.encoder_q."), "found m.encoder_k.conv1.weight: --prefix m.encoder_k., "
                          "or m.encoder_q.conv1.weight: --prefix m.encoder_q.\n")
        self.check_import(under("a."), "there is no b.conv1.weight; found a.conv1.weight: --prefix a.\n",
                          options=("--prefix", "b."))
        self.check_import(lambda s: None, "found conv1.weight: no --prefix", options=("--prefix", "b"))
        self.check_import(under("0."), "there is no conv1.weight; found 0.conv1.weight")
        self.check_import(lambda s: [s.pop(name) for name in list(s) if "conv1" in name],
                          "there is no conv1.weight; the first of its 113 tensors is")

    def test_torchvision_file_as_encoder(self):
        path = self.folder / "theirs.safetensors"
        safetensors.torch.save_file(self.state, path)
        self.refused("embed", path, self.folder, words=(str(path), "torchvision_weights import"))

    def test_script(self):
        listed, theirs, programs = self.folder / "list.pth", self.folder / "theirs.pth", self.folder / "programs"
        torch.save([1, 2], listed)
        torch.save(self.state, theirs)
        programs.mkdir()
        (programs / "torchvision_weights").symlink_to(PROGRAMS / "torchvision_weights")
        (programs / "embed").write_text(f"#!{sys.executable}\nimport numpy, sys\n"
                                        "numpy.save(sys.argv[sys.argv.index('--out') + 1] + '/features.npy', "
                                        "numpy.zeros((4, 512), numpy.float32))\n")
        (programs / "embed").chmod(0o755)
        for arguments, words in ((("import", SCRIPT, "out", "--programs", PROGRAMS), "cannot be read"),
                                 (("import", listed, "out", "--programs", PROGRAMS), "not a state_dict"),
                                 (("import", theirs, "out", "--size", "32", "--programs", programs), "features differ"),
                                 (("export", "run", "other", "--programs", self.folder), "--programs"),
                                 (("export", "run", listed, "--programs", programs), "exists already")):
            done = self.launch(sys.executable, SCRIPT, *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"\Atorchvision: [^\n]+\n\Z")
            self.assertIn(words, done.stderr)


class FilesOfOurs(Base):
    def read(self, path):
        with safetensors.safe_open(path, "pt") as file:
            return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}

    def test_every_kind_of_tensor(self):
        path = self.folder / "every.safetensors"
        subprocess.run([os.environ["WRITE_TENSORS"], path], check=True)
        metadata, tensors = self.read(path)
        self.assertEqual(metadata["format"], "simclr")
        self.assertEqual(json.loads(metadata["config"]), {"a": [1, "b"]})
        self.assertEqual(metadata["ключ"], "line\nbreak\t\"\\")
        self.assertRegex(metadata["digest"], r"\Acrc64xz:[0-9a-f]{16}\Z")
        numbers = torch.tensor([[0.0, -1.5, 3.25], [1e30, -0.0, 7.0]])
        expected = {"u8": torch.tensor([0, 1, 127, 255], dtype=torch.uint8), "bf16": numbers.to(torch.bfloat16),
                    "f32": numbers, "i32": torch.tensor([[-2147483647], [0], [2147483647]], dtype=torch.int32),
                    "f64": numbers.double(), "scalar": torch.tensor(2.5), "empty": torch.empty(0, 5),
                    "empty in the middle": torch.empty(2, 0, 3, dtype=torch.uint8),
                    "six dimensions": torch.full((1, 2, 1, 3, 1, 2), 4.0), 'größe "quoted" / \\': torch.ones(1)}
        self.assertEqual(set(tensors), set(expected))
        for name, tensor in expected.items():
            wide = (lambda t: t.float()) if name == "bf16" else (lambda t: t)
            self.assertEqual(tensors[name].dtype, tensor.dtype, name)
            self.assertTrue(same_bits(wide(tensors[name]), wide(tensor)), name)

    def test_files_of_a_run(self):
        run, tuned = self.folder / "run", self.folder / "tuned"
        small = ("--width", "4", "--size", "8", "--batch-size", "8")
        self.train(run, *small, "--checkpoint-minutes", "0")
        self.run_program("finetune", run, "--dataset", "cifar10", "--data", self.folder / "cifar10", "--labels", "50",
                         "--epochs", "1", "--device", "cpu", "--out", tuned)
        self.assertGreaterEqual(len(list(run.glob("checkpoints/step-*"))), 2)
        found = sorted([*run.rglob("*.safetensors"), *tuned.rglob("*.safetensors")])
        self.assertGreaterEqual(len(found), 4, found)  # weights, two checkpoints, what was finetuned
        for path in found:
            metadata, tensors = self.read(path)
            _, raw = load_safetensors(path)
            self.assertEqual(json.loads(metadata["config"])["width"], 4)
            self.assertEqual(set(tensors), set(raw))
            for name, (_, shape, data) in raw.items():
                self.assertEqual((list(tensors[name].shape), tensors[name].numpy().tobytes()), (shape, data), name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
