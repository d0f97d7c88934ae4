"""simclr.knn and simclr.linear_probe against references in float64."""
import functools
import os
import signal
import threading

import numpy as np
import pytest

import simclr


def problem(rows=300, asked=70, features=12, classes=5, seed=0):
    """Features that tell their classes, some of the time."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows + asked)
    values = random.normal(size=(classes, features))[labels] + random.normal(size=(rows + asked, features))
    values = values.astype(np.float32)
    return values[:rows], labels[:rows], values[rows:], labels[rows:]


def knn_reference(train, labels, test, classes, k, temperature):
    train, test = ((x / np.linalg.norm(x, axis=1, keepdims=True)) for x in (train.astype(float), test.astype(float)))
    similarity = test @ train.T
    scores = np.zeros((len(test), classes))
    for row, values in enumerate(similarity):
        for i in np.argsort(-values, kind="stable")[:k]:
            scores[row, labels[i]] += np.exp(values[i] / temperature)
    return scores / scores.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("k, temperature", [(200, 0.1), (1, 0.1), (7, 0.5), (10**6, 0.07)])
def test_knn_is_the_weighted_vote(k, temperature):
    train, labels, test, _ = problem()
    scores = simclr.knn(train, labels, test, k=k, temperature=temperature)
    assert scores.shape == (70, 5) and scores.dtype == np.float32
    wanted = knn_reference(train, labels, test, 5, k, temperature)
    # f32 similarities, off by some 2e-7, in an exponent over the temperature.
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-6 / temperature)


def test_knn_has_the_library_s_defaults_and_takes_classes():
    train, labels, test, _ = problem()
    scores = simclr.knn(train, labels, test)
    np.testing.assert_allclose(scores, knn_reference(train, labels, test, 5, 200, 0.1), rtol=0, atol=1e-5)
    more = simclr.knn(train, labels, test, classes=8)
    assert np.array_equal(more[:, :5], scores) and not more[:, 5:].any()


def probe_reference(train, labels, test, classes, epochs, learning_rate, momentum, weight_decay):
    """Whole batches: the order of the rows has no say."""
    mean, deviation = train.mean(axis=0, dtype=float), train.std(axis=0, dtype=float)
    train, test = (np.column_stack([(x - mean) / deviation, np.ones(len(x))]) for x in (train, test))
    weights, velocity = np.zeros((train.shape[1], classes)), np.zeros((train.shape[1], classes))
    decay = np.full((train.shape[1], 1), weight_decay)
    decay[-1] = 0  # of the bias
    for epoch in range(epochs):
        rate = learning_rate * len(train) / 256 * (1 + np.cos(np.pi * epoch / epochs)) / 2
        odds = np.exp(train @ weights)
        gradient = train.T @ (odds / odds.sum(axis=1, keepdims=True) - np.eye(classes)[labels]) / len(train)
        gradient += decay * weights
        velocity = momentum * velocity + gradient
        weights -= rate * (gradient + momentum * velocity)
    return test @ weights


@pytest.mark.parametrize("options", [{}, {"epochs": 20, "learning_rate": 0.02, "momentum": 0.5, "weight_decay": 1}])
def test_a_probe_of_whole_batches_is_softmax_regression(options):
    train, labels, test, _ = problem()
    every = {"epochs": 100, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0, **options}
    wanted = probe_reference(train, labels, test, 5, **every)
    scores = simclr.linear_probe(train, labels, test, **options)  # of at most 512 rows a batch
    assert scores.shape == (70, 5) and scores.dtype == np.float32
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=2e-5 * abs(wanted).max())  # a hundred steps in f32


def test_a_probe_repeats_itself_and_has_a_seed():
    train, labels, test, asked = problem()
    one = simclr.linear_probe(train, labels, test, batch_size=64, seed=1)
    assert np.array_equal(one, simclr.linear_probe(train, labels, test, batch_size=64, seed=1))
    assert not np.array_equal(one, simclr.linear_probe(train, labels, test, batch_size=64, seed=2))
    assert simclr.metrics.classification(one, asked).top1 > 0.5


@pytest.mark.parametrize("classify", [simclr.knn, simclr.linear_probe])
def test_layouts_and_floats_are_converted(classify):
    train, labels, test, _ = problem()
    wanted = classify(train, labels, test)
    for given in (train.astype(np.float64), np.asfortranarray(train), train[::-1][::-1], train.astype(">f4")):
        assert np.array_equal(classify(given, labels.tolist(), test), wanted)
    half = train.astype(np.float16)
    assert np.array_equal(classify(half, labels, test), classify(half.astype(np.float32), labels, test))
    assert np.array_equal(classify(train, labels.astype(np.uint8), test), wanted)
    assert classify(train, labels, test[:0]).shape == (0, 5)


@pytest.mark.parametrize("classify", [simclr.knn, simclr.linear_probe])
def test_tensors_of_torch_are_taken(classify):
    torch = pytest.importorskip("torch")
    train, labels, test, _ = problem()
    tensors = [torch.from_numpy(array) for array in (train, labels, test)]
    assert np.array_equal(classify(*tensors), classify(train, labels, test))
    assert classify(tensors[0].bfloat16(), *tensors[1:]).shape == (70, 5)
    with pytest.raises(simclr.InputError, match="requires a gradient"):
        classify(tensors[0].clone().requires_grad_(), *tensors[1:])


def test_float64_of_a_tensor_stays_float64(torch):
    scores = np.array([[1.0, 1.0 + 1e-12]])
    for given in (scores, torch.from_numpy(scores)):
        assert simclr.metrics.classification(given, [1]).top1 == 1


def test_what_the_compiled_part_cannot_read_is_said():
    features = np.zeros((4, 4), np.float16)
    with pytest.raises(simclr.InputError, match="is float16; convert it to float32"):
        simclr._core.knn(features, [0] * 4, features, 1, 1, 0.1)
    unaligned = np.frombuffer(bytes(65), np.float32, offset=1, count=16).reshape(4, 4)
    with pytest.raises(simclr.InputError, match="begins at an address"):
        simclr._core.knn(unaligned, [0] * 4, unaligned, 1, 1, 0.1)


def test_bits_do_not_depend_on_threads():
    train, labels, test, _ = problem(3000, 500)
    wanted = simclr.knn(train, labels, test)
    before = simclr.threads()
    try:
        for count in (1, 3, 8):
            simclr.set_threads(count)
            assert np.array_equal(simclr.knn(train, labels, test), wanted)
    finally:
        simclr.set_threads(before)


NAN = problem()[0].copy()
NAN[7, 3] = np.nan


@pytest.mark.parametrize("classify", [simclr.knn, simclr.linear_probe])
@pytest.mark.parametrize("place, value, message", [
    (0, problem()[0].astype(int), "train_features holds int64"),
    (0, problem()[0][0], r"train_features has shape \[12\]"),
    (0, problem()[0][:0], r"train_labels has shape \[300\], and there are 0 rows"),
    (0, [[1.0, 2.0], [1.0]], "train_features is no array|train_features holds object"),
    (0, None, "train_features holds object"),
    (0, NAN, "row 7 of train_features holds NaN or an infinity"),
    (0, np.full((300, 12), 1e300), "row 0 of train_features holds NaN or an infinity in float32"),
    (1, problem()[1][:5], r"train_labels has shape \[5\], and there are 300 rows"),
    (1, problem()[1].astype(float), "train_labels holds float64, and labels are integers"),
    (1, ["cat"] * 300, "train_labels holds <U3.*unique"),
    (1, problem()[1] - 1, "label -1, outside"),
    (1, np.full(300, 2**40), "train_labels goes to 1099511627776"),
    (1, np.full(300, -1), "no training row has a label"),
    (2, problem()[2][:, :5], "test features have 5 columns, training features 12"),
    (2, np.full((3, 12), np.inf, np.float32), "row 0 of test_features holds NaN or an infinity"),
    ("classes", 4, "label 4, outside 0..3"),
    ("classes", 0, "classes is 0"),
    ("classes", 2**31 - 1, "number the classes from 0 on"),
    ("classes", 2.5, "classes must be an int"),
])
def test_what_is_wrong_is_said(classify, place, value, message):
    given, options = list(problem()[:3]), {}
    if isinstance(place, str):
        options[place] = value
    else:
        given[place] = value
    with pytest.raises(simclr.InputError, match=message) as caught:
        classify(*given, **options)
    assert "train it again" not in str(caught.value)


@pytest.mark.parametrize("classify, options, message", [
    (simclr.knn, {"k": 0}, "k is 0"),
    (simclr.knn, {"k": 2**31}, "k is 2147483648"),
    (simclr.knn, {"k": "all"}, "k must be an int"),
    (simclr.knn, {"temperature": 0}, "temperature 0; both must be positive"),
    (simclr.knn, {"temperature": "warm"}, "temperature must be a number"),
    (simclr.knn, {"temperature": np.array([1.0, 2.0])}, r"temperature must be a number, not array\(\[1., 2.\]\)"),
    (simclr.knn, {"temperature": 10**400}, "temperature must be a number that float64 holds"),
    (simclr.knn, {"k": np.array([1, 2])}, r"k must be an int, not array\(\[1, 2\]\)"),
    (simclr.linear_probe, {"seed": np.array([1, 2])}, r"seed must be an int"),
    (simclr.linear_probe, {"epochs": 0}, "epochs is 0"),
    (simclr.linear_probe, {"batch_size": -1}, "batch_size is -1"),
    (simclr.linear_probe, {"momentum": 1}, "momentum 1"),
    (simclr.linear_probe, {"learning_rate": float("nan")}, "learning rate nan"),
    (simclr.linear_probe, {"learning_rate": 1e38}, "diverged; lower its learning rate"),
    (simclr.linear_probe, {"seed": -1}, "seed is -1, it must be from 0"),
])
def test_wrong_options_are_said(classify, options, message):
    with pytest.raises(simclr.InputError, match=message):
        classify(*problem()[:3], **options)


def test_ctrl_c_ends_a_long_call():
    """Which another thread of Python sends, for the call does not keep the lock."""
    train, labels, test, _ = problem()
    probe = functools.partial(simclr._core.linear_probe, train, labels.tolist(), test, 5, 3 * 10**4, 0.1, 64, 0.9, 0.0)
    ended = []
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        ended.extend(map(probe, [0]))  # no step of Python between a call that came to its end and the list
    assert not ended


def test_arrays_that_hide_values(torch):
    labels = np.arange(4) % 2
    x = torch.randn(4, 3)
    for wrong, message in ((np.ma.masked_array(x.numpy(), mask=True), r"is a masked array, .*\.filled\(\)"),
                           (x.to_sparse(), r"in a layout that NumPy has not; give train_features\.to_dense\(\)"),
                           (torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), r"give train_features\.dequantize\(\)")):
        with pytest.raises(simclr.InputError, match=message):
            simclr.knn(wrong, labels, x)
    assert np.array_equal(simclr.knn(torch._neg_view(x), labels, x), simclr.knn(-x, labels, x))
