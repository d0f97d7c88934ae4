"""What people pass, looked at before the library sees it: each error says what is wrong and how to mend it."""
from __future__ import annotations

import math
import numbers
import operator
from typing import Optional, Sequence, Union

import torch

from simclr._errors import InputError

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_NARROW = (torch.int8, torch.uint8, torch.int16)  # whose numbers int32 has all; others are looked at


def _type(value: object) -> str:
    module = type(value).__module__.split(".")[0]
    return type(value).__name__ if module == "builtins" else f"{module}.{type(value).__name__}"


def tensor(value: object, name: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        mend = ": torch.from_numpy" if _type(value) == "numpy.ndarray" else ": torch.as_tensor"
        has_numbers = isinstance(value, (list, tuple, numbers.Number)) or hasattr(value, "__array__")
        raise InputError(f"{name} is a {_type(value)}; a torch tensor is wanted"
                         f"{mend + '(' + name + ')' if has_numbers else ''}")
    if value.layout is not torch.strided or (not _compiling() and getattr(value, "is_nested", False)):
        if not _compiling() and getattr(value, "is_nested", False):
            raise InputError(f"{name} is nested; pass its tensors one by one, or their rows by torch.cat({name}.unbind())")
        raise InputError(f"{name} is sparse ({value.layout}); pass {name}.to_dense()")
    if value.device.type not in ("cpu", "cuda"):
        raise InputError(f"{name} is on {value.device}; simclr works on the CPU and on CUDA: {name}.to('cpu')")
    if not _compiling():
        if value.is_neg():
            raise InputError(f"{name} is a view whose sign is not in its memory; pass {name}.resolve_neg()")
        if value.numel() > 0 and _address(value, name) == 0:
            raise InputError(f"{name} {list(value.shape)} has lost its memory, its storage was resized to 0")
    return value


def _address(value: torch.Tensor, name: str) -> int:
    try:
        return value.data_ptr()
    except RuntimeError:
        raise InputError(f"{name} has no memory of its own, as inside vmap, grad and jvp of torch.func; call simclr outside "
                         "of them, and torch.autograd.grad for gradients") from None


def contiguous(value: torch.Tensor, name: str) -> torch.Tensor:
    if not value.is_contiguous():
        raise InputError(f"{name} {list(value.shape)} is not contiguous; pass {name}.contiguous()")
    return value


def floats(value: object, name: str, dims: int, shape: str) -> torch.Tensor:
    """A contiguous tensor of floats with `dims` dimensions, which `shape` spells."""
    t = tensor(value, name)
    if t.dtype not in FLOATS:
        raise InputError(f"{name} is {t.dtype}; float32, float64, bfloat16 or float16 is wanted: {name}.float()")
    if t.dim() != dims:
        raise InputError(f"{name} has the shape {list(t.shape)}; {shape} is wanted")
    return contiguous(t, name)


def computed(t: torch.Tensor) -> torch.Tensor:
    """t in a dtype that the kernels take on its device: the CPU has none of half the width, a GPU bfloat16 alone.
    Autograd takes the gradient back to t's."""
    if t.dtype is torch.float16 or (t.dtype is torch.bfloat16 and t.device.type == "cpu"):
        return t.float()
    return t


def alike(value: torch.Tensor, name: str, other: torch.Tensor, other_name: str) -> torch.Tensor:
    """`value`, which must be of the dtype and on the device of `other`."""
    if value.device != other.device:
        raise InputError(f"{name} is on {value.device}, {other_name} on {other.device}; pass "
                         f"{name}.to('{other.device}')")
    if value.dtype != other.dtype:
        raise InputError(f"{name} is {value.dtype}, {other_name} {other.dtype}; pass {name}.to({other.dtype})")
    return value


def columns(value: torch.Tensor, name: str, other: torch.Tensor, other_name: str) -> None:
    if value.shape[1] != other.shape[1]:
        raise InputError(f"rows of {name} have {value.shape[1]} values, those of {other_name} {other.shape[1]}; both "
                         "must be embeddings of one size")


def rows(value: torch.Tensor, name: str) -> None:
    if value.numel() == 0:
        raise InputError(f"{name} {list(value.shape)} is empty; pass at least one row of at least one value")


def integers(value: object, name: str, count: int, other: torch.Tensor, what: str = "row",
             mend: str = "number the groups from 0") -> torch.Tensor:
    """int32 [count] on the device of `other`, from integers of any width; `mend` is said of those that are too large."""
    t = tensor(value, name)
    if t.dtype in FLOATS or t.dtype.is_complex or t.dtype is torch.bool:
        raise InputError(f"{name} is {t.dtype}; integers are wanted: {name}.long()")
    if tuple(t.shape) != (count,):
        raise InputError(f"{name} has the shape {list(t.shape)}; one number for each {what} is wanted, [{count}]")
    if t.device != other.device:
        raise InputError(f"{name} is on {t.device}, the embeddings on {other.device}; pass {name}.to('{other.device}')")
    if t.dtype is torch.int32:
        return t.contiguous()
    narrow = t.to(torch.int32).contiguous()
    if t.dtype not in _NARROW and t.device.type == "cpu" and not _compiling():
        wide = t.to(torch.int64)
        if not bool((narrow == wide).all()) or (t.dtype is not torch.int64 and bool((wide < 0).any())):
            raise InputError(f"{name} holds numbers that int32 cannot; {mend}")
    return narrow


def temperature(value: object, name: str = "temperature") -> float:
    if isinstance(value, torch.Tensor):
        if value.requires_grad:
            raise InputError(f"{name} requires a gradient; a temperature that is learned is passed as logit_scale, "
                             "the log of its inverse")
        if value.numel() != 1:
            raise InputError(f"{name} has the shape {list(value.shape)}; one number is wanted")
        if value.device.type == "meta":
            raise InputError(f"{name} is on meta, where tensors have no values; pass a number")
        value = value.item()
    made = number(value)
    if made is None:
        raise InputError(f"{name} is a {_type(value)}; a number is wanted")
    if not (made > 0 and math.isfinite(made)):
        raise InputError(f"{name} is {value}; it must be positive and finite, 0.1 to 1 is usual")
    return made


def number(value: object) -> Optional[float]:
    """The float of a number of Python or NumPy, an infinity where it has none; None for what is no number."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, numbers.Real)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def scale(value: object, z: torch.Tensor) -> torch.Tensor:
    """logit_scale beside embeddings z: one value, float64 beside float64, else float32."""
    t = tensor(value, "logit_scale")
    wanted = torch.float64 if z.dtype is torch.float64 else torch.float32
    if t.dtype is not wanted:
        raise InputError(f"logit_scale is {t.dtype}; beside {z.dtype} it must be {wanted}: logit_scale.to({wanted})")
    if t.numel() != 1:
        raise InputError(f"logit_scale has the shape {list(t.shape)}; one value is wanted, the log of 1/temperature")
    if t.device != z.device:
        raise InputError(f"logit_scale is on {t.device}, the embeddings on {z.device}; pass "
                         f"logit_scale.to('{z.device}')")
    return t


def integer(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, numbers.Integral)):
        raise InputError(f"{name} is a {_type(value)}; an int is wanted")
    if value < least:
        raise InputError(f"{name} is {value}; it must be at least {least}")
    return value if isinstance(value, int) else operator.index(value)


def pair_of_groups(groups: object) -> tuple:
    if not isinstance(groups, (tuple, list)) or len(groups) != 2:
        raise InputError("groups beside candidates are a pair, (those of z's rows [A], those of the candidates [M])")
    return tuple(groups)


def _compiling() -> bool:
    compiler = getattr(torch, "compiler", None)
    return compiler is not None and hasattr(compiler, "is_compiling") and compiler.is_compiling()


Floats = Union[float, int]
Groups = Optional[Union[torch.Tensor, Sequence[torch.Tensor]]]
