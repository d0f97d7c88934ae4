"""simclr.augment: SimCLR's random views of pictures."""
import math
import operator
import sys

import numpy as np

from simclr import _core
from simclr._errors import InputError, OutOfMemory

_DTYPES = (np.uint8, np.uint16, np.float32)
_MOST_U32 = 2**32 - 1
_SLACK = 0.5 / 255  # by which the rounding of a picture's floats, or of a resized one's, may leave 0 to 1
_PICTURES_HOLD = "pictures hold uint8 (of 255), uint16 (of 65535) or float32 (from 0 to 1)"


def shown(value):
    """Its repr() in one short line, for messages."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def is_tensor(value):
    """Whether this is a tensor of torch, which is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def check_memory(who, what, tensor):
    """Raises InputError for a tensor of torch whose memory was given back, which numpy would read."""
    if tensor.numel() > 0 and tensor.data_ptr() == 0:
        raise InputError(f"{who}: {what} {list(tensor.shape)} has lost its memory, its storage was resized to 0")


def pixels_of(who, what, value, dtypes=_DTYPES, hold=_PICTURES_HOLD):
    """The values of an array or a CPU tensor of pictures, uint8, uint16 or float32, contiguous: as they are, else a copy.

    Of other samples `dtypes` are theirs, and `hold` says so: a text, or a function of the name and the dtype. Raises
    InputError for anything else, a tensor that lies elsewhere, and one that wants a gradient."""
    if is_tensor(value):
        if value.device.type != "cpu":
            raise InputError(f"{who}: {what} lies on {value.device}; views are made on the CPU: give {what}.cpu()")
        if value.requires_grad:
            raise InputError(f"{who}: {what} requires a gradient, and none flows through a view; give {what}.detach()")
        try:
            check_memory(who, what, value)
            value = value.resolve_neg().numpy()
        except (TypeError, RuntimeError) as error:  # bfloat16, which NumPy has not, and sparse tensors
            if isinstance(error, InputError):
                raise
            raise InputError(f"{who}: {what} holds {value.dtype} in a layout or a dtype that NumPy has not; give "
                             f"{what}.to_dense() or {what}.float()") from None
    if not isinstance(value, np.ndarray):
        raise InputError(f"{who}: {what} must be a numpy array or a torch tensor, not {type(value).__name__}")
    value = value.astype(value.dtype.newbyteorder("="), copy=False)
    if value.dtype not in dtypes:
        said = hold if isinstance(hold, str) else hold(what, value.dtype)
        raise InputError(f"{who}: {what} holds {value.dtype}, and {said}")
    try:
        return np.ascontiguousarray(value)
    except MemoryError as error:
        raise OutOfMemory(f"{who}: {what} {list(value.shape)} is not contiguous, and there is no memory for a copy: {error}; "
                          "give fewer pictures at a time") from None


def check_range(who, what, pixels, kind="pictures"):
    """Raises InputError for float32 pixels that are not from 0 to 1: views would cut them off, a picture of 0 to 255 to
    white. NaN and infinities pass; the library names their place."""
    if pixels.dtype != np.float32 or pixels.size == 0:
        return
    least, most = float(pixels.min()), float(pixels.max())
    if not (math.isfinite(least) and math.isfinite(most)) or (least >= -_SLACK and most <= 1 + _SLACK):
        return
    wrong = least if least < -_SLACK else most
    mend = "bring them there" if least < -_SLACK else f"divide by {255 if most <= 256 else 'the value of white, as 65535'}"
    raise InputError(f"{who}: float32 {kind} hold 0 to 1, and {what} holds {wrong:g}; {mend}")


def number_of(who, what, value, most, least=0):
    """An int from `least` to `most`. Raises InputError for anything else."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:  # also of an array, which has __index__ whatever it holds
        raise InputError(f"{who}: {what} must be an int, not {shown(value)}") from None
    if not least <= number <= most:
        raise InputError(f"{who}: {what} is {number}, it must be from {least} to {most}")
    return number


def _is_sequence(value):
    if isinstance(value, np.ndarray) or is_tensor(value):
        return value.ndim > 0
    return hasattr(value, "__iter__")


def ids_of(who, ids, count):
    """`count` ints. Raises InputError for what are no integers, for fewer or more, and for those out of range."""
    try:
        if is_tensor(ids):
            ids = ids.detach().cpu().numpy()
        array = np.asarray(ids if hasattr(ids, "__len__") else list(ids))
    except (TypeError, ValueError):  # None, a list of lists of several lengths
        raise InputError(f"{who}: ids must be integers, one a picture, not {shown(ids)}") from None
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InputError(f"{who}: ids must be integers, one a picture, not {array.dtype}")
    if array.ndim != 1 or len(array) != count:
        raise InputError(f"{who}: ids has shape {list(array.shape)}, and there are {count} pictures; give one each")
    if array.size and (array.min() < 0 or array.max() > _MOST_U32):
        raise InputError(f"{who}: ids must be from 0 to {_MOST_U32}, and there are {array.min()} to {array.max()}")
    return array.tolist()


def policy_of(who, policy):
    """A simclr.Policy that asks for nothing impossible."""
    if not isinstance(policy, _core.Policy):
        raise InputError(f"{who}: policy must be a simclr.Policy, not {type(policy).__name__}")
    policy.check()
    return policy


def make_views(who, images, policy, seed, ids, epoch, views, one_thread=False):
    """float32 [V,N,S,S,C] of an array [N,H,W,C] or a list of arrays [H,W,C], which pixels_of() has made; the rest is
    checked here."""
    policy = policy_of(who, policy)
    seed = number_of(who, "seed", seed, 2**64 - 1)
    epoch = number_of(who, "epoch", epoch, _MOST_U32)
    if not views:
        raise InputError(f"{who}: view is empty; give a number or several")
    views = [number_of(who, "view", view, 2**24 - 1) for view in views]
    return _core.augment(images, policy, seed, ids_of(who, ids, len(images)), epoch, views, one_thread)


def augment(images, policy, *, seed, ids, epoch, view):
    """Random views of pictures: crop, resize, flip, jitter and so on, as `policy` says, on all cores.

    Every random number is a function of (seed, id, epoch, view), whatever the batch and the number of threads: the
    same bits as the C++ library's.

    images: uint8, uint16 or float32 [N,H,W,C], channels last, a numpy array or a CPU tensor; or a list of [H,W,C], each
        of its own size. Values are 255ths, 65535ths, or of float32 from 0 to 1. For policies of 1 or 3 channels C is 1
        (grey), 3 (RGB) or 4 (RGB with alpha, laid over white), else the policy's. What is not contiguous is copied.
    policy: simclr.Policy.
    seed: int, from 0 to 2^64-1, of the run.
    ids: N ints from 0 to 2^32-1, the pictures' numbers in their data set.
    epoch: int from 0 to 2^32-1.
    view: int from 0 to 2^24-1, the number of the view; or a sequence, or an array [V], of V such.

    Returns float32 [N,S,S,C], of a sequence [V,N,S,S,C], normalised by the policy's mean and stddev: a tensor where
    `images` is one, or a list that begins with one, else a numpy array.

    Raises InputError, a ValueError, for another type, dtype, shape or device, for values that are NaN, infinite or, of
    float32, not from 0 to 1, for numbers out of their range and an impossible policy.
    """
    several = _is_sequence(view)
    views = list(view) if several else [view]
    if isinstance(images, (list, tuple)):
        given_tensor = len(images) > 0 and is_tensor(images[0])
        pixels = [pixels_of("augment", f"images[{i}]", image) for i, image in enumerate(images)]
        for i, image in enumerate(pixels):
            check_range("augment", f"images[{i}]", image)
    else:
        given_tensor = is_tensor(images)
        pixels = pixels_of("augment", "images", images)
        if pixels.ndim != 4:
            raise InputError(f"augment: images has shape {list(pixels.shape)}, and pictures are [N,H,W,C], channels last; "
                             "give images[None] where it is one picture")
        check_range("augment", "images", pixels)
    out = make_views("augment", pixels, policy, seed, ids, epoch, views)
    out = out if several else out[0]
    return sys.modules["torch"].from_numpy(out) if given_tensor else out
