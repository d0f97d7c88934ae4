"""The kernels as functions of PyTorch's automatic differentiation. Nothing is copied on the way in or out."""
from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Tuple

import torch
from torch.autograd.function import once_differentiable

from simclr import _core

_streams: Dict[int, "torch.cuda.ExternalStream"] = {}


def on_stream(device: torch.device, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), between what PyTorch has queued on the device and what it will. The library works in a stream of
    its own: both wait for each other on the device, and the host for neither."""
    if device.type != "cuda":
        return function(*args)
    index = device.index if device.index is not None else torch.cuda.current_device()
    if index not in _streams:
        _streams[index] = torch.cuda.ExternalStream(_core.cuda_stream(index), device=device)
    current = torch.cuda.current_stream(device)
    _streams[index].wait_stream(current)
    try:
        return function(*args)
    finally:
        current.wait_stream(_streams[index])


def plain(t: Optional[torch.Tensor]) -> Optional[torch.Tensor]:
    """t as DLPack takes it: outside the graph."""
    return None if t is None else t.detach()


class NtXent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, candidates: Optional[torch.Tensor], logit_scale: Optional[torch.Tensor],
                temperature: float, self_offset: int, anchor_groups: Optional[torch.Tensor],
                candidate_groups: Optional[torch.Tensor]) -> torch.Tensor:
        loss, ctx.state = on_stream(z.device, _core.nt_xent_forward, plain(z), plain(candidates), plain(logit_scale),
                                    temperature, self_offset, anchor_groups, candidate_groups)
        ctx.save_for_backward(z, candidates, logit_scale)  # so that PyTorch sees what is changed before backward
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dloss: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        z, _, _ = ctx.saved_tensors
        gradients = on_stream(z.device, _core.nt_xent_backward, ctx.state, dloss.contiguous())
        wanted = [g if need else None for g, need in zip(gradients, ctx.needs_input_grad)]
        return (*wanted, None, None, None, None)


class Similarity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
        ctx.save_for_backward(a, b)
        ctx.temperature = temperature
        return on_stream(a.device, _core.similarity_forward, plain(a), plain(b), temperature)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, ds: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        a, b = ctx.saved_tensors
        da, db = on_stream(a.device, _core.similarity_backward, ds.contiguous(), plain(a), plain(b), ctx.temperature)
        return da, db, None


class Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int) -> torch.Tensor:
        y, log_sum = on_stream(qkv.device, _core.attention_forward, plain(qkv), lengths, heads)
        ctx.save_for_backward(qkv, lengths, y, log_sum)
        ctx.heads = heads
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
        qkv, lengths, y, log_sum = ctx.saved_tensors
        dqkv = on_stream(qkv.device, _core.attention_backward, dy.contiguous(), plain(qkv), lengths, ctx.heads,
                         plain(y), log_sum)
        return dqkv, None, None
