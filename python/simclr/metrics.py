"""What scores and features are worth, by the library's own measures."""
import dataclasses

import numpy as np

from simclr import _core
from simclr._errors import InputError
from simclr._evaluate import array_of, features_of, labels_of

__all__ = ["Classification", "Collapse", "Retrieval", "alignment", "classification", "collapse", "retrieval", "uniformity"]


@dataclasses.dataclass(frozen=True, eq=False)
class Classification:
    """What a classifier's scores are worth. Shares are from 0 to 1."""

    top1: float  #: the true class has the highest score
    top5: float  #: it is among the 5 highest, or among all where there are fewer classes
    macro_precision: float  #: plain means over the classes that occur among the labels
    macro_recall: float
    macro_f1: float
    precision: np.ndarray  #: float64 [classes]; 0 where the class is never predicted
    recall: np.ndarray  #: float64 [classes]; 0 where it never occurs
    f1: np.ndarray  #: float64 [classes]: 2 TP / (2 TP + FP + FN), 0 where that is 0 / 0
    support: np.ndarray  #: int64 [classes]: rows of each class
    confusion: np.ndarray | None  #: int64 [classes,classes], row = true, column = predicted; None above 500 classes
    count: int  #: rows
    classes: int


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """How often the right one is among the first k of all candidates: recall at 1, 5 and 10, from 0 to 1. Chance is that
    of candidates in a random order."""

    r1: float
    r5: float
    r10: float
    chance1: float
    chance5: float
    chance10: float
    median_rank: float  #: of the first right one, from 1
    queries: int
    candidates: int


@dataclasses.dataclass(frozen=True)
class Collapse:
    """Whether features still tell inputs apart. All figures are of features over their norms."""

    effective_rank: float  #: as many equal directions would hold the variance (after Roy & Vetterli, EUSIPCO 2007)
    mean_std: float  #: near 1: spread over the sphere; 0: one point
    collapsed: bool
    message: str  #: one line: the finding, the figures, and what to do


def classification(scores, labels):
    """Top-1, top-5 and per-class figures of scores, as those of knn() and linear_probe(), in a Classification.

    scores: floats [N,classes], higher is likelier; of equal scores the lower class ranks first.
    labels: N ints from 0 to classes-1.

    Raises InputError, a ValueError, for another type, dtype or shape, no rows, labels outside, and a score that is NaN.
    """
    who = "classification"
    values = array_of(who, "scores", scores)
    if values.dtype.kind != "f":
        raise InputError(f"{who}: scores holds {values.dtype}, and scores are floats")
    if values.ndim != 2:
        raise InputError(f"{who}: scores has shape {list(values.shape)}, and scores are [N,classes]")
    values = np.ascontiguousarray(values, dtype=np.float32 if values.dtype.itemsize <= 4 else np.float64)
    figures = _core.metrics(values, labels_of(who, "labels", labels, len(values)))
    classes = figures["classes"]
    figures["support"] = np.array(figures["support"], dtype=np.int64)
    confusion = np.array(figures["confusion"], dtype=np.int64)
    figures["confusion"] = confusion.reshape(classes, classes) if confusion.size else None
    return Classification(**figures)


def alignment(a, b):
    """Mean squared distance of positive pairs (Wang & Isola, arXiv 2005.10242, alpha 2), over unit spheres.

    a, b: floats [N,F], features of two views of the same N >= 1 inputs; rows are taken over their norms.

    Returns a float from 0, views agree, to 4; independent directions give 2; NaN where a value is NaN or infinite.
    Raises InputError, a ValueError, for another type, dtype or shape.
    """
    return _core.alignment(features_of("alignment", "a", a), features_of("alignment", "b", b))


def uniformity(features):
    """Log of the mean of exp(-2 d^2) over all pairs of different rows, d their distance (ibid., t 2), over unit spheres.

    features: floats [N,F], N >= 2; at most 2,000 rows are looked at, spread evenly.

    Returns a float from 0, all in one point, down to about -4, spread over the sphere; NaN where one of the values is NaN
    or infinite. Raises InputError, a ValueError, for another type, dtype or shape.
    """
    return _core.uniformity(features_of("uniformity", "features", features))


def retrieval(queries, candidates, query_groups=None, candidate_groups=None):
    """Recall at 1, 5 and 10 of queries among candidates, by cosine, in a Retrieval.

    queries: floats [N,F]. candidates: floats [M,F].
    query_groups, candidate_groups: N and M ints; right is a candidate of the query's group, and several may be. None:
        candidate i is query i's.

    A wrong candidate that is as similar as the best right one counts as before it. Raises InputError, a ValueError, for
    another type, dtype or shape, NaN and infinities, and a query of whose group there is no candidate.
    """
    who = "retrieval"
    asked, offered = features_of(who, "queries", queries), features_of(who, "candidates", candidates)
    if query_groups is None and candidate_groups is None:
        if len(asked) != len(offered):
            raise InputError(f"{who}: {len(asked)} queries and {len(offered)} candidates; without groups they are pairs")
        query_groups = candidate_groups = np.arange(len(asked))
    if query_groups is None or candidate_groups is None:
        raise InputError(f"{who}: give both query_groups and candidate_groups, or neither")
    return Retrieval(**_core.retrieval(asked, offered, labels_of(who, "query_groups", query_groups, len(asked)),
                                       labels_of(who, "candidate_groups", candidate_groups, len(offered))))


def collapse(features):
    """Whether features still tell inputs apart, in a Collapse.

    features: floats [N,F], N >= 2; at most 2,000 rows are looked at, 512 where F is above 512. NaN and infinities are
    reported, not refused. Raises InputError, a ValueError, for another type, dtype or shape.
    """
    return Collapse(**_core.collapse(features_of("collapse", "features", features)))
