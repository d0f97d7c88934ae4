"""The losses of NT-Xent's family in double, from their definitions in kernels/nt_xent.h: of each row its loss and its
derivatives by the similarities, over all columns at once.
"""

import dataclasses

import numpy as np
from launch import boolean, f64, u8


@dataclasses.dataclass(frozen=True)
class Form:
    decoupled: bool = False
    inside: bool = False
    sigma: float = 0
    class_prior: float = 0
    hardness: float = 0

    @property
    def plain(self):
        return self == Form()

    @property
    def names(self):
        """Of the loss kernel's Form and Term."""
        if self.plain:
            return "PlainForm, AnchorTerm<float>"
        return f"NtXentForm, {'HardTerm' if self.hardness else 'AnchorTerm'}<float>"

    @property
    def argument(self):
        if self.plain:
            return ()
        return (boolean(self.decoupled), boolean(self.inside), f64(self.sigma), f64(self.class_prior), f64(self.hardness))

    @property
    def rule(self):
        """PullRule."""
        return u8(1 if self.decoupled else 2 if self.inside else 0)

    @property
    def powers(self):
        """What s is multiplied by in the sums over negatives."""
        return (1 + self.hardness, self.hardness) if self.hardness else (1,)


@dataclasses.dataclass
class Rows:
    count: np.ndarray  # of positives
    log_sum: np.ndarray  # log(S+ + G)
    pull: np.ndarray  # what positives' weights are made of
    loss: np.ndarray
    positive_weights: np.ndarray  # d loss / d s of the positives, else 0
    divisors: list  # logs of what each power of a negative is divided by; infinite for no weight
    clamped: np.ndarray


def decoupled_rows(form, s, pairs, tau, log_negatives):
    count = pairs.positive.sum(axis=1)
    there = count > 0
    mean = np.where(pairs.positive, s, 0).sum(axis=1) / np.maximum(count, 1)
    weight = np.ones(len(s))
    if form.sigma:
        closeness = np.where(there, np.exp((mean * tau - 1) / form.sigma), 0)
        weight = 2 - there.sum() * closeness / closeness.sum()
    pull = np.where(there, weight, 0)
    weights = np.where(pairs.positive, -(pull / np.maximum(count, 1))[:, None], 0)
    loss = np.where(there, log_negatives - weight * mean, 0)
    return Rows(count, log_negatives, pull, loss, weights, [log_negatives], np.zeros(len(s), bool))


def inside_rows(s, pairs, log_negatives):
    count = pairs.positive.sum(axis=1)
    there, each = count > 0, np.maximum(count, 1)
    own = np.where(there, np.where(pairs.positive, np.exp(s), 0).sum(axis=1), 1)
    whole = np.where(there, own, 0) + np.exp(log_negatives)
    shares = np.where(pairs.positive, np.exp(s), 0) / own[:, None]
    pull = np.where(there, np.exp(log_negatives) / whole, 0)
    loss = np.where(there, np.log(whole * each / own), 0)
    log_sum = np.where(there, np.log(own), log_negatives)
    return Rows(count, log_sum, pull, loss, -shares * pull[:, None], [np.log(whole)], np.zeros(len(s), bool))


def rows_of(form, s, pairs, tau):
    """All of a form's Rows."""

    def sums(power):
        return np.where(pairs.negative, np.exp(power * s), 0).sum(axis=1)

    if form.decoupled:
        return decoupled_rows(form, s, pairs, tau, np.log(sums(1)))
    if form.inside:
        return inside_rows(s, pairs, np.log(sums(1)))
    beta, prior = form.hardness, form.class_prior
    count, among = pairs.positive.sum(axis=1), pairs.negative.sum(axis=1)
    there, each = count > 0, np.maximum(count, 1)
    positive = np.where(pairs.positive, np.exp(s), 0)
    whole = among * sums(1 + beta) / sums(beta) if beta else sums(1)
    rest = (whole - prior * among * positive.sum(axis=1) / each) / (1 - prior)
    least = among * np.exp(-1 / tau) if not form.plain else np.full(len(s), -np.inf)
    clamped = (rest <= least) & there
    # Where there is no positive, the row is NT-Xent's.
    all_of = np.where(there, positive.sum(axis=1) + np.maximum(rest, least), sums(1 + beta))
    mean = np.where(pairs.positive, s, 0).sum(axis=1) / each
    loss = np.where(there, np.log(all_of) - mean, 0)
    factor = np.where(clamped, 1, 1 - prior * among / ((1 - prior) * each))
    weights = np.where(pairs.positive, positive / all_of[:, None] * factor[:, None] - (1 / each)[:, None], 0)
    pull = np.where(there, np.where(count == 1, -weights.sum(axis=1), factor), 0)
    rate = 1 / ((1 - prior) * all_of)  # d loss / dL
    shares = [(1 + beta) * rate * whole / sums(1 + beta)]
    if beta:
        shares.append(beta * rate * whole / sums(beta))
    divisors = [np.where(clamped, np.inf, -np.log(share)) for share in shares]
    return Rows(count, np.log(all_of), pull, loss, weights, divisors, clamped)
