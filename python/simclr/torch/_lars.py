"""LARS for PyTorch, by the rule of libsimclr's own (kernels/optimizer_step.h)."""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

import torch

from simclr._augment import shown
from simclr._errors import InputError
from simclr.torch import _check

Parameters = Union[Iterable[torch.Tensor], Iterable[Dict[str, Any]]]


class Lars(torch.optim.Optimizer):
    """LARS (You et al., arXiv 1708.03888) as SimCLR uses it. For each parameter w with gradient g, d = g + weight_decay w:

    rule="simclr"  (google-research/simclr) ratio = trust_coefficient |w| / |d|, 1 where either norm is 0;
                   v = momentum v + lr ratio d;  w -= momentum v + lr ratio d with nesterov, else v
    rule="bolts"   (PyTorch Lightning Bolts, solo-learn) ratio = trust_coefficient |w| / (|g| + weight_decay |w| + 1e-8),
                   1, with d = g, where |w| or |g| is 0; v = momentum v + ratio d;
                   w -= lr (ratio d + momentum v) with nesterov, else lr v
    clip=True      the ratio becomes min(ratio / lr, 1)

    Biases and the parameters of norm layers, which is what has at most one dimension, take neither weight decay nor the
    ratio; a group of parameters says otherwise by "adapt": True, False or None (by the number of dimensions).

    params   tensors, or groups: dicts of "params" and of any of the options below. float32 or float64
    lr       0.3 for each 256 samples of a batch is the paper's; a torch.optim.lr_scheduler may move it
    options  lr and weight_decay are at least 0, momentum is at least 0 and below 1, trust_coefficient is above 0; numbers
             of NumPy and tensors of one value are taken, too. InputError for others, and for an option that there is not

    state_dict() holds "momentum_buffer" for each parameter.
    """

    def __init__(self, params: Parameters, lr: float, *, momentum: float = 0.9, weight_decay: float = 1e-6,
                 trust_coefficient: float = 0.001, nesterov: bool = False, clip: bool = False, rule: str = "simclr",
                 adapt: Optional[bool] = None) -> None:
        defaults = dict(lr=lr, momentum=momentum, weight_decay=weight_decay, trust_coefficient=trust_coefficient,
                        nesterov=nesterov, clip=clip, rule=rule, adapt=adapt)
        params = list(params) if hasattr(params, "__iter__") and not isinstance(params, torch.Tensor) else []
        if not params:
            raise InputError("Lars: there are no parameters; pass model.parameters(), or groups of them")
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Dict[str, Any]) -> None:
        """Another group of parameters with options of its own; the optimizer's for those that it lacks."""
        super().add_param_group(param_group)
        try:
            _check_group(self.param_groups[-1], self.defaults)
        except InputError:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure: Optional[Callable[[], float]] = None) -> Optional[float]:  # type: ignore[override]
        """One update of all parameters that have a gradient; the closure, if any, makes the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for adapts in (False, True):
                chosen = [p for p in group["params"] if p.grad is not None and _adapts(p, group) == adapts]
                if chosen:
                    self._update(chosen, group, adapts)
        return loss

    def _update(self, params: List[torch.Tensor], group: Dict[str, Any], adapts: bool) -> None:
        gradients = [_gradient(p) for p in params]
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            elif self.state[p]["momentum_buffer"].shape != p.shape:
                raise InputError(f"Lars: a momentum_buffer is {list(self.state[p]['momentum_buffer'].shape)} beside a parameter "
                                 f"{list(p.shape)}; load the state_dict of the same model")
        velocity = [self.state[p]["momentum_buffer"] for p in params]
        lr, momentum, bolts = float(group["lr"]), group["momentum"], group["rule"] == "bolts"
        decay = group["weight_decay"] if adapts else 0.0
        moves = [g + decay * p if decay != 0 else g.clone() for p, g in zip(params, gradients)]
        if adapts:
            moves = [move * factor for move, factor in zip(moves, _ratios(params, gradients, moves, group, decay, lr))]
            if bolts and decay != 0:  # a weight or gradient of 0 takes no decay
                moves = [torch.where(_either_zero(p, g), g, move) for p, g, move in zip(params, gradients, moves)]
        if not bolts:
            torch._foreach_mul_(moves, lr)
        torch._foreach_mul_(velocity, momentum)
        torch._foreach_add_(velocity, moves)
        if group["nesterov"]:
            torch._foreach_add_(moves, velocity, alpha=momentum)
        else:
            moves = velocity
        torch._foreach_add_(params, moves, alpha=-lr if bolts else -1.0)


def _ratios(params: List[torch.Tensor], gradients: List[torch.Tensor], decayed: List[torch.Tensor],
            group: Dict[str, Any], decay: float, lr: float) -> List[torch.Tensor]:
    """A factor for each parameter, on its device: no wait for a GPU."""
    trust = group["trust_coefficient"]
    factors = []
    for p, g, d in zip(params, gradients, decayed):
        w = torch.linalg.vector_norm(p)
        if group["rule"] == "bolts":
            norm = torch.linalg.vector_norm(g)
            ratio = trust * w / (norm + decay * w + 1e-8)
        else:
            norm = torch.linalg.vector_norm(d)
            ratio = trust * w / norm
        if group["clip"]:
            ratio = torch.where(ratio >= lr, torch.ones_like(ratio), ratio / lr)
        factors.append(torch.where((w == 0) | (norm == 0), torch.ones_like(ratio), ratio))
    return factors


def _either_zero(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return (torch.linalg.vector_norm(p) == 0) | (torch.linalg.vector_norm(g) == 0)


def _adapts(p: torch.Tensor, group: Dict[str, Any]) -> bool:
    return p.dim() > 1 if group["adapt"] is None else bool(group["adapt"])


def _gradient(p: torch.Tensor) -> torch.Tensor:
    assert p.grad is not None
    if p.grad.is_sparse:
        raise InputError("Lars: a gradient is sparse; make the embedding that gave it with sparse=False")
    for name, t in (("parameter", p), ("gradient", p.grad)):
        if t.numel() > 0 and not _check._compiling() and t.data_ptr() == 0:
            raise InputError(f"Lars: a {name} {list(t.shape)} has lost its memory, its storage was resized to 0")
    return p.grad


_RANGES: Dict[str, Tuple[Callable[[float], bool], str]] = {
    "lr": (lambda x: 0 <= x < math.inf, "a finite number of at least 0"),
    "momentum": (lambda x: 0 <= x < 1, "a number of at least 0 and below 1"),
    "weight_decay": (lambda x: 0 <= x < math.inf, "a finite number of at least 0"),
    "trust_coefficient": (lambda x: 0 < x < math.inf, "a finite number above 0"),
}
# What PyTorch's schedulers keep in a group, and what people call it.
_OTHERS = ("params", "param_names", "name", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")


def _check_group(group: Dict[str, Any], options: Dict[str, Any]) -> None:
    """Raises InputError; numbers other than Python's become floats."""
    for name in group:
        if name not in options and name not in _OTHERS:
            raise InputError(f"Lars: a group has {name!r}, which is no option; there are {', '.join(options)}")
    for name, (fits, wanted) in _RANGES.items():
        value = group[name]
        one = isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex()
        number = _check.number(value.item() if one else value)
        if number is None or not fits(number):
            raise InputError(f"Lars: {name} is {shown(value)}; {wanted} is wanted")
        if name != "lr" or not one:  # which PyTorch's schedulers change in place
            group[name] = value if isinstance(value, (int, float)) else number
    for name in ("nesterov", "clip"):
        if group[name] is not True and group[name] is not False:
            raise InputError(f"Lars: {name} is {shown(group[name])}; True or False is wanted")
    if group["nesterov"] and not group["momentum"] > 0:
        raise InputError("Lars: nesterov needs a momentum above 0")
    if not isinstance(group["rule"], str) or group["rule"] not in ("simclr", "bolts"):
        raise InputError(f"Lars: rule is {group['rule']!r}; 'simclr' and 'bolts' are known")
    if not any(group["adapt"] is choice for choice in (None, True, False)):
        raise InputError(f"Lars: adapt is {group['adapt']!r}; True, False or None is wanted")
    for p in group["params"]:
        if p.dtype not in (torch.float32, torch.float64):
            raise InputError(f"Lars: a parameter is {p.dtype}; float32 or float64 is wanted, and autocast for less")
