"""libsimclr's fused functions and its optimizer for PyTorch.

    loss = simclr.torch.nt_xent(model(torch.cat([view_a, view_b])), temperature=0.5)
    loss.backward()

Tensors are read where they lie, by DLPack: on the CPU and, where the build has CUDA, on a GPU (which has not been run
yet). float32, float64 (CPU) and bfloat16; on the CPU bfloat16, and everywhere float16, is computed in float32, and the
gradient is of the tensor's own dtype. Under torch.compile each function is one operator of the graph. None can be
differentiated twice.
"""
from __future__ import annotations

from typing import Optional

try:
    import torch
except ImportError as error:
    raise ImportError("simclr.torch needs PyTorch: pip install torch") from error

from simclr._errors import InputError
from simclr.torch import _check, _eager
from simclr.torch._lars import Lars

__all__ = ["Lars", "attention", "clip", "nt_xent", "similarity", "sup_con"]

if hasattr(torch.library, "custom_op") and hasattr(torch, "compiler") and hasattr(torch.compiler, "is_compiling"):
    from simclr.torch import _compiled
    _is_compiling = torch.compiler.is_compiling
else:  # before PyTorch 2.4 nothing can be compiled

    def _is_compiling() -> bool:
        return False


def nt_xent(z: torch.Tensor, temperature: _check.Floats = 0.5, *, candidates: Optional[torch.Tensor] = None,
            groups: _check.Groups = None, self_offset: Optional[int] = None,
            logit_scale: Optional[torch.Tensor] = None) -> torch.Tensor:
    """NT-Xent, SimCLR's loss (arXiv 2002.05709, equation 1): the mean over the rows i of z of

        -log( exp(s_ip / temperature) / sum over k != i of exp(s_ik / temperature) )

    with s the cosine similarity and p the positive of i (with several, the mean over them). No matrix of similarities is
    ever stored, in either pass.

    z            [2N,D], both views of sample n in rows n and n + N; with `groups` any number of rows
    candidates   [M,D]: what the rows of z are compared with, instead of each other; gets its gradient too
    groups       integers, equal where rows are positives of each other, -1 for rows that have none: [rows of z]; beside
                 candidates a pair ([rows of z], [M]). Left out beside candidates: candidate i is row i's positive, all
                 others are negatives
    self_offset  beside candidates: row i of z is itself candidate self_offset + i, and is left out of its own sum; left
                 out, the rows of z are not among the candidates. Without groups the candidates must then be two views,
                 as z is without candidates
    logit_scale  a tensor of one value, log(1/temperature), which gets its gradient; taken instead of temperature. The
                 scale counts as 100 at most

    A scalar, float64 for float64, else float32. Raises InputError.
    """
    z = _check.floats(z, "z", 2, "rows of embeddings, [2N,D],")
    _check.rows(z, "z")
    tau = _check.temperature(temperature)
    if logit_scale is not None:
        logit_scale = _check.scale(logit_scale, z)
    if candidates is None:
        if self_offset is not None:
            raise InputError("self_offset says where z's rows are among the candidates; without candidates leave it "
                             "out")
        return _square(z, tau, groups, logit_scale)
    candidates = _check.floats(candidates, "candidates", 2, "rows of embeddings, [M,D],")
    _check.rows(candidates, "candidates")
    _check.alike(candidates, "candidates", z, "z")
    _check.columns(candidates, "candidates", z, "z")
    offset = -1 if self_offset is None else _check.integer(self_offset, "self_offset", 0)
    if offset >= 0 and offset + z.shape[0] > candidates.shape[0]:
        raise InputError(f"self_offset is {offset}: {z.shape[0]} rows of z do not fit among {candidates.shape[0]} "
                         f"candidates from row {offset}; leave it out where the rows of z are no candidates")
    if groups is not None:
        of_z, of_candidates = _check.pair_of_groups(groups)
        of_z = _check.integers(of_z, "groups[0]", z.shape[0], z, "row of z")
        of_candidates = _check.integers(of_candidates, "groups[1]", candidates.shape[0], z, "candidate")
    elif offset < 0:
        if candidates.shape[0] < z.shape[0]:
            raise InputError(f"{candidates.shape[0]} candidates for {z.shape[0]} rows of z: without groups candidate i "
                             "is row i's positive, so there must be as many; pass groups")
        of_candidates = torch.arange(candidates.shape[0], dtype=torch.int32, device=z.device)
        of_z = of_candidates[:z.shape[0]]
    else:
        of_z = of_candidates = None
    return _apply(_check.computed(z), _check.computed(candidates), logit_scale, tau, offset, of_z, of_candidates)


def _square(z: torch.Tensor, tau: float, groups: _check.Groups, scale: Optional[torch.Tensor]) -> torch.Tensor:
    if groups is None and z.shape[0] % 2 != 0:
        raise InputError(f"z has {z.shape[0]} rows, which are not two views of each sample; give an even number, or "
                         "groups for other views")
    if groups is not None:
        groups = _check.integers(groups, "groups", z.shape[0], z, "row of z")
    return _apply(_check.computed(z), None, scale, tau, 0, groups, groups)


def _apply(z: torch.Tensor, candidates: Optional[torch.Tensor], scale: Optional[torch.Tensor], tau: float, offset: int,
           of_z: Optional[torch.Tensor], of_candidates: Optional[torch.Tensor]) -> torch.Tensor:
    if _is_compiling():
        return _compiled.nt_xent(z, candidates, scale, tau, offset, of_z, of_candidates)
    return _eager.NtXent.apply(z, candidates, scale, tau, offset, of_z, of_candidates)


def sup_con(z: torch.Tensor, labels: torch.Tensor, temperature: _check.Floats = 0.1, *,
            logit_scale: Optional[torch.Tensor] = None) -> torch.Tensor:
    """SupCon (arXiv 2004.11362, equation 2, L_out): NT-Xent where every other row of the same label is a positive, and
    the mean over them is taken outside of the log.

    z            [R,D]: all views of all samples, in any order
    labels       integers [R]; -1: a row without a label, a negative of all others
    logit_scale  as nt_xent takes it

    A scalar. Rows whose label nobody else has are left out of the mean. Raises InputError, also where no two rows share a
    label.
    """
    z = _check.floats(z, "z", 2, "rows of embeddings, [R,D],")
    _check.rows(z, "z")
    labels = _check.integers(labels, "labels", z.shape[0], z, "row of z")
    scale = None if logit_scale is None else _check.scale(logit_scale, z)
    return _square(z, _check.temperature(temperature), labels, scale)


def clip(a: torch.Tensor, b: torch.Tensor, logit_scale: Optional[torch.Tensor] = None, *,
         temperature: _check.Floats = 0.07) -> torch.Tensor:
    """CLIP's loss of two towers (arXiv 2103.00020, figure 3): the mean of NT-Xent of a against b and of b against a.

    a, b         [N,D]: row n of each is of pair n. They need not be normalised
    logit_scale  a tensor of one value, log(1/temperature), learned with the rest: torch.nn.Parameter(torch.tensor(2.66)).
                 Its gradient is of the scale that is used, 100 at most. Left out: `temperature` stays as it is

    A scalar. Raises InputError.
    """
    a = _check.floats(a, "a", 2, "rows of embeddings, [N,D],")
    b = _check.floats(b, "b", 2, "rows of embeddings, [N,D],")
    if a.shape != b.shape:
        raise InputError(f"a is {list(a.shape)}, b {list(b.shape)}; both towers must give one row a pair, of one size")
    _check.rows(a, "a")
    _check.alike(b, "b", a, "a")
    loss = nt_xent(a, temperature, candidates=b, logit_scale=logit_scale)
    return (loss + nt_xent(b, temperature, candidates=a, logit_scale=logit_scale)) * 0.5


def similarity(a: torch.Tensor, b: torch.Tensor, temperature: _check.Floats = 1.0) -> torch.Tensor:
    """Cosine similarities over the temperature, s_ij = a_i.b_j / (|a_i| |b_j| temperature), in one pass.

    a [A,D], b [M,D] -> s [A,M], float64 for float64, else float32. A row of zeros is similar to nothing: 0. Raises
    InputError.
    """
    a = _check.floats(a, "a", 2, "rows, [A,D],")
    b = _check.floats(b, "b", 2, "rows, [M,D],")
    _check.rows(a, "a")
    _check.rows(b, "b")
    _check.alike(b, "b", a, "a")
    _check.columns(b, "b", a, "a")
    function = _compiled.similarity if _is_compiling() else _eager.Similarity.apply
    return function(_check.computed(a), _check.computed(b), _check.temperature(temperature))


def attention(qkv: torch.Tensor, heads: int, lengths: Optional[torch.Tensor] = None) -> torch.Tensor:
    """Scaled dot-product self-attention of several heads (arXiv 1706.03762, section 3.2), without its T x T scores.

    qkv      [N,T,3C]: q, k and v of each step behind one another, each C = heads D values, head 0's first: what one
             linear layer gives. D is at most 256
    lengths  integers [N], 0 to T: the steps of each sequence; what lies behind is not looked at, and 0 in the result
             and in the gradient. Left out: all T

    y [N,T,C] of qkv's dtype. Raises InputError.
    """
    qkv = _check.floats(qkv, "qkv", 3, "[N,T,3C]")
    heads = _check.integer(heads, "heads", 1)
    if qkv.shape[2] % (3 * heads) != 0 or qkv.numel() == 0:
        raise InputError(f"qkv is {list(qkv.shape)}; its rows must be q, k and v of {heads} heads, a multiple of "
                         f"{3 * heads} values, and not empty")
    if lengths is not None:
        lengths = _check.integers(lengths, "lengths", qkv.shape[0], qkv, "sequence",
                                  f"lengths are from 0 to {qkv.shape[1]}")
    function = _compiled.attention if _is_compiling() else _eager.Attention.apply
    return function(_check.computed(qkv), lengths, heads).to(qkv.dtype)
