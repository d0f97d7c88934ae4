"""simclr.metrics against the definitions in float64."""
import dataclasses

import numpy as np
import pytest

import simclr
from simclr import metrics


def scored(rows=200, classes=9, seed=0):
    """Scores with ties; class 8 never occurs, and class 7 is never predicted."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - 1, rows)
    scores = random.integers(0, 12, (rows, classes)).astype(np.float32)
    scores[np.arange(rows), labels] += 4
    scores[:, 7] = -1
    return scores, labels


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_classification_is_counted(dtype):
    scores, labels = scored()
    found = metrics.classification(scores.astype(dtype), labels)
    order = np.argsort(-scores, axis=1, kind="stable")  # of equals the lower class first
    predicted = order[:, 0]
    assert found.top1 == np.mean(predicted == labels) < 1
    assert found.top5 == np.mean((order[:, :5] == labels[:, None]).any(axis=1))
    confusion = np.zeros((9, 9), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    assert np.array_equal(found.confusion, confusion) and np.array_equal(found.support, np.bincount(labels, minlength=9))
    assert (found.count, found.classes) == (200, 9)
    right, taken, truly = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    assert taken[7] == 0 and truly[8] == 0
    wanted = {"precision": right / np.maximum(taken, 1), "recall": right / np.maximum(truly, 1),
              "f1": 2 * right / np.maximum(taken + truly, 1)}
    for name, values in wanted.items():
        np.testing.assert_array_equal(getattr(found, name), values)
        # A sum of eight shares in another order.
        assert getattr(found, "macro_" + name) == pytest.approx(values[truly > 0].mean(), rel=1e-14)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.top1 = 1


def test_many_classes_have_no_confusion_matrix():
    found = metrics.classification(np.eye(501, dtype=np.float32), np.arange(501))
    assert found.confusion is None and found.top1 == 1
    assert metrics.classification(np.eye(500), np.arange(500)).confusion.shape == (500, 500)


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_alignment_and_uniformity_are_those_of_wang_and_isola():
    random = np.random.default_rng(1)
    a = random.normal(size=(50, 8))
    b = a + random.normal(size=(50, 8))
    assert metrics.alignment(a, b) == pytest.approx(((unit(a) - unit(b)) ** 2).sum(axis=1).mean(), rel=1e-6)  # f32 input
    assert metrics.alignment(a, a) == 0 and metrics.alignment(a, -a) == pytest.approx(4, rel=1e-6)
    i, j = np.triu_indices(50, 1)
    wanted = np.log(np.exp(-2 * ((unit(a)[i] - unit(a)[j]) ** 2).sum(axis=1)).mean())
    assert metrics.uniformity(a) == pytest.approx(wanted, rel=1e-6)
    assert metrics.uniformity(np.ones((5, 3))) == pytest.approx(0, abs=1e-6)
    assert np.isnan(metrics.uniformity(np.full((3, 2), np.nan)))


def test_retrieval_counts_ranks():
    random = np.random.default_rng(2)
    candidates = random.normal(size=(60, 16))
    queries = candidates + 1.5 * random.normal(size=(60, 16))
    found = metrics.retrieval(queries, candidates)
    similarity = unit(queries) @ unit(candidates).T
    ranks = 1 + (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    wanted = [np.mean(ranks <= k) for k in (1, 5, 10)]
    assert [found.r1, found.r5, found.r10] == pytest.approx(wanted, rel=1e-14)  # a sum of shares
    assert found.median_rank == np.median(ranks) > 1
    assert (found.chance1, found.chance5) == pytest.approx((1 / 60, 5 / 60)) and (found.queries, found.candidates) == (60, 60)
    groups = np.arange(60) // 3
    grouped = metrics.retrieval(queries, candidates, groups, groups)
    best = np.where(groups[:, None] == groups, similarity, -2).max(axis=1)
    ranks = 1 + ((similarity > best[:, None]) & (groups[:, None] != groups)).sum(axis=1)
    assert grouped.r1 == pytest.approx(np.mean(ranks == 1), rel=1e-14) and grouped.r1 > found.r1


@pytest.mark.parametrize("rows", [1, 3, 10, 49, 1000])
def test_shares_are_no_more_than_one(rows):
    a = np.random.default_rng(rows).normal(size=(rows, 32))
    found = metrics.retrieval(a, a)
    assert (found.r1, found.r5, found.r10) == (1, 1, 1)
    assert found.chance1 == pytest.approx(1 / rows) and max(found.chance1, found.chance5, found.chance10) <= 1
    groups = np.zeros(rows, int)
    every = metrics.retrieval(a, a, groups, groups)
    assert (every.r1, every.chance1, every.chance10) == (1, 1, 1)


def test_collapse_is_seen():
    random = np.random.default_rng(3)
    spread = metrics.collapse(random.normal(size=(400, 16)))
    assert not spread.collapsed and 15 < spread.effective_rank <= 16 and spread.mean_std == pytest.approx(1, abs=0.05)
    point = metrics.collapse(np.ones((10, 16)) + 1e-6 * random.normal(size=(10, 16)))
    assert point.collapsed and point.mean_std < 1e-3 and point.message
    assert metrics.collapse(np.full((3, 4), np.nan)).collapsed


@pytest.mark.parametrize("call, message", [
    (lambda: metrics.classification(np.eye(3), [0, 1]), r"labels has shape \[2\], and there are 3 rows"),
    (lambda: metrics.classification(np.eye(3), [0, 1, 3]), "row 2 has label 3, outside 0..2"),
    (lambda: metrics.classification(np.eye(3), [0, 1, -1]), "label -1"),
    (lambda: metrics.classification(np.eye(3), [0, 1, 2.5]), "labels holds float64"),
    (lambda: metrics.classification(np.eye(3, dtype=int), [0, 1, 2]), "scores holds int64"),
    (lambda: metrics.classification(np.ones(3), [0]), r"scores has shape \[3\]"),
    (lambda: metrics.classification(np.full((1, 2), np.nan), [0]), "row 0 has a NaN score"),
    (lambda: metrics.classification(np.ones((0, 2)), []), "at least one row"),
    (lambda: metrics.classification(np.ones((2, 0)), [0, 0]), "at least one row and one class"),
    (lambda: metrics.alignment(np.ones((2, 3)), np.ones((3, 3))), "two views of the same inputs"),
    (lambda: metrics.alignment(np.ones((0, 3)), np.ones((0, 3))), "at least one"),
    (lambda: metrics.alignment(np.ones(3), np.ones(3)), r"a has shape \[3\]"),
    (lambda: metrics.uniformity(np.ones((1, 3))), "at least two rows"),
    (lambda: metrics.uniformity("far"), "features holds <U3"),
    (lambda: metrics.collapse(np.ones((1, 3))), "at least two rows"),
    (lambda: metrics.retrieval(np.ones((2, 3)), np.ones((3, 3))), "2 queries and 3 candidates"),
    (lambda: metrics.retrieval(np.ones((2, 3)), np.ones((2, 3)), [0, 1]), "give both query_groups and candidate_groups"),
    (lambda: metrics.retrieval(np.ones((2, 3)), np.ones((2, 3)), [0, 5], [0, 1]), "5"),
    (lambda: metrics.retrieval(np.ones((2, 3)), np.ones((2, 4))), "4"),
    (lambda: metrics.retrieval(np.full((2, 3), np.nan), np.ones((2, 3))), "NaN"),
])
def test_what_is_wrong_is_said(call, message):
    with pytest.raises(simclr.InputError, match=message):
        call()
