"""What cases share: buffers of either dtype, launches by name, and the comparison with references in double.

A result may be off by `tolerance` (1e-6) of the largest value of its reference; one in bf16 must be what rounding a
number that close to the reference gives.
"""

import dataclasses

import numpy as np
from arithmetic import from_bf16, to_bf16
from launch import Device
from parser import PtxError

TOLERANCE = 1e-6
CASES = {}  # name: function of a Run


@dataclasses.dataclass
class DType:
    name: str  # in readable names of kernels
    width: int  # values in 16 bytes
    bits: type

    def round(self, x):
        """What of doubles is kept, as doubles."""
        x = np.asarray(x, np.float32)
        return (from_bf16(to_bf16(x)) if self is BF16 else x).astype(np.float64)

    def store(self, x):
        x = np.asarray(x, np.float32)
        return to_bf16(x) if self is BF16 else x

    def widen(self, stored):
        return (from_bf16(stored) if self is BF16 else stored).astype(np.float64)


F32, BF16 = DType("float", 4, np.float32), DType("BFloat16", 8, np.uint16)
FLOATS = (F32, BF16)


def case(function):
    """Registers case_X as X."""
    CASES[function.__name__.removeprefix("case_")] = function
    return function


def blocks_for(n, each):
    return -(-n // each)


class Run:
    """One case: its launches, and how far off its results were."""

    def __init__(self, library, name, random=None):
        self.library, self.name, self.device = library, name, Device(library, random)
        self.source, self.error, self.failures = "", 0.0, []
        self.random = np.random.default_rng(len(name) + 7)

    def normal(self, *shape):
        return self.random.standard_normal(shape)

    def tensor(self, values, dtype=F32):
        """(Buffer, the values it holds as doubles)"""
        return self.device.buffer(dtype.store(values)), dtype.round(values)

    def buffer(self, values, kind):
        return self.device.buffer(np.asarray(values, kind))

    def empty(self, *shape, kind=np.float32):
        return self.device.empty(shape, kind.bits if isinstance(kind, DType) else kind)

    def launch(self, words, grid, block, *arguments, shared=0):
        words = (words,) if isinstance(words, str) else words
        self.device.launch(self.library.find(self.source, *words), grid, block, *arguments, shared=shared)

    def check(self, what, buffer, reference, dtype=F32, tolerance=TOLERANCE):
        """Compares; `dtype` None is for whole numbers and f64."""
        self.compare(what, buffer.array(), reference, dtype, tolerance)

    def compare(self, what, got, reference, dtype=None, tolerance=TOLERANCE):
        want = np.asarray(reference, np.float64).reshape(got.shape)
        finite = np.isfinite(want)
        largest = np.abs(want[finite]).max(initial=0.0) or 1.0
        if dtype is BF16:
            slack = tolerance * largest
            low, high = (from_bf16(to_bf16(want + side)).astype(np.float64) for side in (-slack, slack))
            value = from_bf16(got).astype(np.float64)
            with np.errstate(invalid="ignore"):
                off = np.maximum(low - value, value - high)
                off = np.where(off <= 0, 0, np.abs(value - want))
        else:
            value = got.astype(np.float64)
            with np.errstate(invalid="ignore"):
                off = np.abs(value - want)
        same = np.where(finite, True, (value == want) | (np.isnan(value) & np.isnan(want)))
        off = np.where(finite, off, np.where(same, 0, np.inf))
        error = float(np.where(np.isnan(off), np.inf, off).max(initial=0.0)) / largest
        if np.isfinite(error):
            self.error = max(self.error, error if dtype is not BF16 else 0.0)
        if not error <= tolerance:
            worst = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
            self.failures.append(
                f"{self.name}: {what} is {value[worst]:.9g} at {worst}, not {want[worst]:.9g}, off by {error:.1e}"
            )


def run_case(library, name, random=None):
    run = Run(library, name, random)
    try:
        CASES[name](run)
    except PtxError as error:
        run.failures.append(f"{name}: {error}")
    return run
