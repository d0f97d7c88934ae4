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


if __name__ == "__main__":
    unittest.main()
