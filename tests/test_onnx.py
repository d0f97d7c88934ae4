"""Encoders as ONNX files: what the packages onnx and onnxruntime say of them. ONNX_TOOL names the built
support/onnx_tool. Skipped where Python lacks the packages.
"""
import os
import pathlib
import subprocess
import tempfile
import unittest

from support.peers import require

require("numpy", "safetensors", "onnx", "onnxruntime")

import numpy
import onnx
import onnxruntime
import safetensors.numpy

TOOL = os.environ["ONNX_TOOL"]
# Of the largest feature: both compute in f32, in other orders. The largest measured was 8e-7.
TOLERANCE = 4e-6


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def difference(a, b):
    """The largest, over the largest value."""
    return float(abs(a - b).max() / max(abs(b).max(), 1e-6))


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        done = subprocess.run([TOOL, cls.folder], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        cls.names = sorted(path.stem for path in cls.folder.glob("*.safetensors"))
        cls.files = sorted(cls.folder.glob("*.onnx"))

    def data(self, path):
        return safetensors.numpy.load_file(self.folder / (path.stem.removesuffix("-plain") + ".safetensors"))

    def test_the_checker_takes_them(self):
        self.assertEqual(len(self.files), 2 * len(self.names))
        for path in self.files:
            with self.subTest(path.name):
                model = onnx.load(path)
                onnx.checker.check_model(model, full_check=True)
                onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
                self.assertEqual((model.ir_version, [(each.domain, each.version) for each in model.opset_import]),
                                 (8, [("", 17)]))

    def test_features_are_the_librarys(self):
        worst = {}
        for path in self.files:
            with self.subTest(path.name):
                data, run = self.data(path), session(path)
                features = data.pop("features")
                self.assertGreater(features.std(axis=0).mean(), 1e-3)  # which tell the rows apart
                for rows in (slice(0, 3), slice(0, 1), slice(1, 2)):
                    result, = run.run(None, {name: values[rows] for name, values in data.items()})
                    self.assertEqual((result.dtype, result.shape), (numpy.float32, features[rows].shape))
                    worst[path.stem] = max(worst.get(path.stem, 0), difference(result, features[rows]))
                self.assertLess(worst[path.stem], TOLERANCE)
        if "SHOW" in os.environ:
            print("\n".join(f"{value:.1e} {name}" for name, value in sorted(worst.items(), key=lambda item: item[1])))

    def test_padding_changes_nothing(self):
        """Whatever stands behind the lengths, and however many steps of it there are."""
        padded = [path for path in self.files if "lengths" in self.data(path)]
        self.assertGreaterEqual(len({path.stem for path in padded}), 14)
        for path in padded:
            with self.subTest(path.name):
                data, run = self.data(path), session(path)
                features, x, lengths = data["features"], data["input"].copy(), data["lengths"]
                paddings = [10**6] if x.dtype == numpy.int32 else [1000, 1e30, numpy.inf, numpy.nan]  # no word's number
                for padding in paddings:
                    for row, length in zip(x, lengths):
                        row[length:] = padding
                    result, = run.run(None, {"input": x, "lengths": lengths})
                    self.assertLess(difference(result, features), TOLERANCE, padding)
                    self.assertEqual(abs(result[lengths == 0]).max(), 0)
                shorter = lengths < x.shape[1]
                if run.get_inputs()[0].shape[1] == "T":
                    result, = run.run(None, {"input": x[shorter, :lengths[shorter].max()], "lengths": lengths[shorter]})
                    self.assertLess(difference(result, features[shorter]), TOLERANCE)

    def test_lengths_are_looked_at(self):
        for name in ("gru", "transformer", "tokens-bag"):
            data, run = self.data(pathlib.Path(name)), session(self.folder / f"{name}.onnx")
            features = data.pop("features")
            data["lengths"] = data["lengths"] - (data["lengths"] > 1).astype(numpy.int32)
            self.assertGreater(difference(*run.run(None, data), features), 1e-3)

    def test_names(self):
        def names(file):
            graph = onnx.load(self.folder / f"{file}.onnx").graph
            return {each.name for each in graph.initializer if not each.name.startswith("constants/")}
        directions = {f"gru.{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih") for layer in (0, 1)}
        self.assertEqual(names("gru"), directions)
        self.assertLessEqual({"stem.0.weight", "layer1.0.conv1.0.0.weight", "layer2.0.downsample.0.bias"}, names("video"))
        self.assertLessEqual({"conv1.weight", "conv1.bias", "layer2.0.downsample.0.bias"}, names("resnet18-cifar"))
        self.assertFalse([name for name in names("resnet50-imagenet") if ".bn" in name])
        self.assertLessEqual({"bn1.running_mean", "layer4.2.bn3.weight"}, names("resnet50-imagenet-plain"))
        self.assertLessEqual({"network.positions", "network.layers.1.self_attn.in_proj_weight", "embedding.weight"},
                             names("tokens-transformer"))
        self.assertLessEqual({"encoder.layer1.0.conv1.weight", "head.linear1.weight"}, names("simclr"))

    def test_metadata(self):
        for path in self.files:
            model = onnx.load(path)
            self.assertEqual({each.key: each.value for each in model.metadata_props},
                             {} if path.stem.startswith("u8-") else {"name": path.stem.removesuffix("-plain")})
            self.assertEqual(model.producer_name, "libsimclr")
            self.assertRegex(model.producer_version, r"\A\d+\.\d+\.\d+\Z")
            self.assertEqual(model.graph.output[0].type.tensor_type.shape.dim[0].dim_param, "N")


if __name__ == "__main__":
    unittest.main()
