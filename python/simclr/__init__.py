"""libsimclr for Python: SimCLR's loss, augmentation, training and evaluation.

Contiguous arrays of the library's types go in and out without a copy. Nothing but NumPy is needed; simclr.torch, which
holds differentiable functions for PyTorch, is imported by itself.
"""
from simclr._errors import Error, InputError, OutOfMemory, RunError  # isort: skip  (the compiled part looks for them)
from simclr import metrics
from simclr._augment import augment
from simclr._core import Policy, build_info, set_threads, threads
from simclr._encoder import Embedding, Encoder, load
from simclr._evaluate import knn, linear_probe
from simclr._fit import fit
from simclr._train import Report, report, train
from simclr._views import Views

__version__ = build_info()["version"]

__all__ = ["Embedding", "Encoder", "Error", "InputError", "OutOfMemory", "Policy", "Report", "RunError", "Views", "augment",
           "build_info", "fit", "knn", "linear_probe", "load", "metrics", "report", "set_threads", "threads", "train"]
