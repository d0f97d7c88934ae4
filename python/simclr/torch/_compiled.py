"""The same functions as operators of torch.library, which torch.compile puts into its graph whole. A call takes longer than
an eager one: torch.compile alone takes them."""
from typing import Any, Optional, Tuple

import torch

from simclr import _core
from simclr._errors import RunError
from simclr.torch._eager import groups, on_stream, plain


def _refuse_twice(*gradients: torch.Tensor) -> None:
    if torch.is_grad_enabled() and any(g.requires_grad for g in gradients):
        raise RunError("simclr's functions have no second derivative: call backward without create_graph")


def _scalar_dtype(z: torch.Tensor) -> torch.dtype:
    return torch.float64 if z.dtype is torch.float64 else torch.float32


@torch.library.custom_op("simclr::nt_xent", mutates_args=())
def _nt_xent(z: torch.Tensor, candidates: Optional[torch.Tensor], logit_scale: Optional[torch.Tensor],
             temperature: float, self_offset: int, anchor_groups: Optional[torch.Tensor],
             candidate_groups: Optional[torch.Tensor], gradient: bool
             ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loss, and where `gradient` says so at once its gradients: what the backward pass reads of the forward one is
    not all tensors. Empty ones stand for what is not there."""
    loss, state = on_stream(z, _core.nt_xent_forward, plain(z), plain(candidates), plain(logit_scale),
                            temperature, self_offset, *groups(anchor_groups, candidate_groups))
    gradients = (None, None, None)
    if gradient:
        gradients = on_stream(z, _core.nt_xent_backward, state, plain(torch.ones_like(loss)))
    dz, dcandidates, dscale = (z.new_empty(0) if g is None else g for g in gradients)
    return loss, dz, dcandidates, dscale


@_nt_xent.register_fake
def _(z: torch.Tensor, candidates: Optional[torch.Tensor], logit_scale: Optional[torch.Tensor], temperature: float,
      self_offset: int, anchor_groups: Optional[torch.Tensor], candidate_groups: Optional[torch.Tensor],
      gradient: bool) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    def like(t: Optional[torch.Tensor]) -> torch.Tensor:
        return z.new_empty(0) if t is None or not gradient else torch.empty_like(t)

    return z.new_empty((), dtype=_scalar_dtype(z)), like(z), like(candidates), like(logit_scale)


def _keep_gradients(ctx: Any, inputs: Tuple[Any, ...], output: Tuple[torch.Tensor, ...]) -> None:
    _, candidates, logit_scale, *_ = inputs
    ctx.save_for_backward(*output[1:])
    ctx.there = (True, candidates is not None, logit_scale is not None)
    ctx.has_gradient = inputs[-1]


def _nt_xent_backward(ctx: Any, dloss: torch.Tensor, *_: Any) -> Tuple[Optional[torch.Tensor], ...]:
    _refuse_twice(dloss)
    if not ctx.has_gradient:
        raise RunError("simclr::nt_xent was called without its gradient")
    gradients = [g * dloss.to(g.dtype) if there else None for g, there in zip(ctx.saved_tensors, ctx.there)]
    return (*gradients, None, None, None, None, None)


_nt_xent.register_autograd(_nt_xent_backward, setup_context=_keep_gradients)


def nt_xent(z: torch.Tensor, candidates: Optional[torch.Tensor], logit_scale: Optional[torch.Tensor],
            temperature: float, self_offset: int, anchor_groups: Optional[torch.Tensor],
            candidate_groups: Optional[torch.Tensor]) -> torch.Tensor:
    gradient = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (z, candidates, logit_scale))
    return _nt_xent(z, candidates, logit_scale, temperature, self_offset, anchor_groups, candidate_groups, gradient)[0]


@torch.library.custom_op("simclr::similarity", mutates_args=())
def similarity(a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
    return on_stream(a, _core.similarity_forward, plain(a), plain(b), temperature)


@similarity.register_fake
def _(a: torch.Tensor, b: torch.Tensor, temperature: float) -> torch.Tensor:
    return a.new_empty((a.shape[0], b.shape[0]), dtype=_scalar_dtype(a))


@torch.library.custom_op("simclr::similarity_backward", mutates_args=())
def _similarity_backward(ds: torch.Tensor, a: torch.Tensor, b: torch.Tensor,
                         temperature: float) -> Tuple[torch.Tensor, torch.Tensor]:
    return on_stream(a, _core.similarity_backward, plain(ds.contiguous()), plain(a), plain(b), temperature)


@_similarity_backward.register_fake
def _(ds: torch.Tensor, a: torch.Tensor, b: torch.Tensor, temperature: float) -> Tuple[torch.Tensor, torch.Tensor]:
    return torch.empty_like(a), torch.empty_like(b)


def _keep_rows(ctx: Any, inputs: Tuple[Any, ...], output: torch.Tensor) -> None:
    a, b, ctx.temperature = inputs
    ctx.save_for_backward(a, b)


def _similarity_gradient(ctx: Any, ds: torch.Tensor) -> Tuple[Optional[torch.Tensor], ...]:
    _refuse_twice(ds)
    da, db = _similarity_backward(ds, *ctx.saved_tensors, ctx.temperature)
    return da, db, None


similarity.register_autograd(_similarity_gradient, setup_context=_keep_rows)


@torch.library.custom_op("simclr::attention", mutates_args=())
def _attention(qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int) -> Tuple[torch.Tensor, torch.Tensor]:
    return on_stream(qkv, _core.attention_forward, plain(qkv), plain(lengths), heads)


@_attention.register_fake
def _(qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int) -> Tuple[torch.Tensor, torch.Tensor]:
    n, steps, width = qkv.shape
    return qkv.new_empty((n, steps, width // 3)), qkv.new_empty((n, heads, steps), dtype=_scalar_dtype(qkv))


@torch.library.custom_op("simclr::attention_backward", mutates_args=())
def _attention_backward(dy: torch.Tensor, qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int,
                        y: torch.Tensor, log_sum: torch.Tensor) -> torch.Tensor:
    return on_stream(qkv, _core.attention_backward, plain(dy.contiguous()), plain(qkv), plain(lengths), heads, plain(y),
                     plain(log_sum))


@_attention_backward.register_fake
def _(dy: torch.Tensor, qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int, y: torch.Tensor,
      log_sum: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(qkv)


def _keep_attention(ctx: Any, inputs: Tuple[Any, ...], output: Tuple[torch.Tensor, torch.Tensor]) -> None:
    qkv, lengths, ctx.heads = inputs
    ctx.save_for_backward(qkv, lengths, *output)


def _attention_gradient(ctx: Any, dy: torch.Tensor, _: Any) -> Tuple[Optional[torch.Tensor], ...]:
    _refuse_twice(dy)
    qkv, lengths, y, log_sum = ctx.saved_tensors
    return _attention_backward(dy, qkv, lengths, ctx.heads, y, log_sum), None, None


_attention.register_autograd(_attention_gradient, setup_context=_keep_attention)


def attention(qkv: torch.Tensor, lengths: Optional[torch.Tensor], heads: int) -> torch.Tensor:
    return _attention(qkv, lengths, heads)[0]
