"""The kernels as functions of PyTorch's automatic differentiation. Nothing is copied on the way in or out."""
from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

import torch
import torch.utils.dlpack

from simclr import _core
from simclr._errors import RunError

_to_dlpack = torch.utils.dlpack.to_dlpack
_streams: Dict[int, "torch.cuda.ExternalStream"] = {}


def on_stream(input: torch.Tensor, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), between what PyTorch has queued on the input's device and what it will. The library works in a
    stream of its own: both wait for each other on the device, and the host for neither."""
    if not input.is_cuda:
        return function(*args)
    device = input.device
    index = device.index if device.index is not None else torch.cuda.current_device()
    if index not in _streams:
        _streams[index] = torch.cuda.ExternalStream(_core.cuda_stream(index), device=device)
    current = torch.cuda.current_stream(device)
    _streams[index].wait_stream(current)
    try:
        return function(*args)
    finally:
        current.wait_stream(_streams[index])


def plain(t: Optional[torch.Tensor]) -> Any:
    """What the kernels read of t: its DLPack capsule, for one call. A tensor makes one itself when asked, in Python and
    ten times as slowly."""
    return None if t is None else _to_dlpack(t.detach())


class _Once(torch.autograd.Function):
    """A gradient that remembers whose it is, and says so when it is to be differentiated itself. PyTorch's own
    once_differentiable would let it pass as a constant where the backward pass began at a number."""

    @staticmethod
    def forward(ctx: Any, name: str, x: torch.Tensor, *gradients: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        ctx.name = name
        return tuple(g.view_as(g) for g in gradients)

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> None:
        raise RunError(f"{ctx.name} has no second derivative; write the penalty with PyTorch's own functions, or take "
                       "create_graph away")


def _once(name: str, inputs: Tuple[Optional[torch.Tensor], ...], gradients: Tuple[Optional[torch.Tensor], ...],
          ctx: Any) -> Tuple[Optional[torch.Tensor], ...]:
    """The gradients, of which PyTorch takes those that it wants."""
    if not torch.is_grad_enabled():  # as in every backward pass but those that create a graph
        return gradients
    x = next(x for x in inputs if x is not None and x.requires_grad)
    wanted = [g if need else None for g, need in zip(gradients, ctx.needs_input_grad)]
    refused = iter(_Once.apply(name, x, *(g for g in wanted if g is not None)))
    return tuple(None if g is None else next(refused) for g in wanted)


def groups(anchors: Optional[torch.Tensor], candidates: Optional[torch.Tensor]) -> Tuple[Any, Any]:
    """Both as plain() gives them; one where they are the same."""
    of_anchors = plain(anchors)
    return of_anchors, of_anchors if candidates is anchors else plain(candidates)


class NtXent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, candidates: Optional[torch.Tensor], logit_scale: Optional[torch.Tensor],
                temperature: float, self_offset: int, anchor_groups: Optional[torch.Tensor],
                candidate_groups: Optional[torch.Tensor]) -> torch.Tensor:
        loss, ctx.state = on_stream(z, _core.nt_xent_forward, plain(z), plain(candidates), plain(logit_scale),
                                    temperature, self_offset, *groups(anchor_groups, candidate_groups))
        ctx.save_for_backward(z, candidates, logit_scale)  # so that PyTorch sees what is changed before backward
        return loss

    @staticmethod
    def backward(ctx: Any, dloss: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        inputs = ctx.saved_tensors
        gradients = on_stream(inputs[0], _core.nt_xent_backward, ctx.state, plain(dloss))
        return (*_once("nt_xent", inputs, gradients, ctx), None, None, None, None)


class Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
        ctx.save_for_backward(a, b)
        ctx.temperature = temperature
        return on_stream(a, _core.similarity_forward, plain(a), plain(b), temperature)

    @staticmethod
    def backward(ctx: Any, ds: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        a, b = ctx.saved_tensors
        gradients = on_stream(a, _core.similarity_backward, plain(ds.contiguous()), plain(a), plain(b),
                              ctx.temperature)
        return (*_once("similarity", (a, b), gradients, ctx), None)


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int) -> torch.Tensor:
        y, log_sum = on_stream(qkv, _core.attention_forward, plain(qkv), plain(lengths), heads)
        ctx.save_for_backward(qkv, lengths, y, log_sum)
        ctx.heads = heads
        return y

    @staticmethod
    def backward(ctx: Any, dy: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        qkv, lengths, y, log_sum = ctx.saved_tensors
        dqkv = on_stream(qkv, _core.attention_backward, plain(dy.contiguous()), plain(qkv), plain(lengths), ctx.heads,
                         plain(y), plain(log_sum))
        return (*_once("attention", (qkv,), (dqkv,), ctx), None, None)
