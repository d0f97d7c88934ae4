"""libsimclr for Python: SimCLR's loss, augmentation, evaluation and training programs.

Arrays go in and out without a copy. Nothing but NumPy is needed; simclr.torch, which holds differentiable functions for
PyTorch, is imported by itself.
"""
from simclr._errors import Error, InputError, OutOfMemory, RunError  # isort: skip  (the compiled part looks for them)
from simclr._core import build_info, set_threads, threads

__version__ = build_info()["version"]

__all__ = ["Error", "InputError", "OutOfMemory", "RunError", "build_info", "set_threads", "threads"]
