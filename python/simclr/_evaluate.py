"""simclr.knn and simclr.linear_probe: classifiers on frozen features."""
import numpy as np

from simclr import _core
from simclr._augment import check_memory, is_tensor, number_of, shown
from simclr._errors import InputError

_DEFAULTS = _core.evaluation_defaults()
_MOST_I32 = 2**31 - 1


def array_of(who, what, value):
    """A numpy array of what has numbers: an array, a CPU tensor, a list. Raises InputError for anything else."""
    if is_tensor(value):
        if value.device.type != "cpu":
            raise InputError(f"{who}: {what} lies on {value.device}; give {what}.cpu()")
        if value.requires_grad:
            raise InputError(f"{who}: {what} requires a gradient, and none is given; give {what}.detach()")
        if str(value.layout) != "torch.strided" or value.is_quantized:
            how = "dequantize" if value.is_quantized else "to_dense"
            raise InputError(f"{who}: {what} holds {value.dtype} in a layout that NumPy has not; give {what}.{how}()")
        check_memory(who, what, value)
        value = value.resolve_neg()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()  # which NumPy has not
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{who}: {what} is a masked array, and no value is left out; give {what}.filled(), or the rows that "
                         "are whole")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # also of a list of tensors that require gradients
        raise InputError(f"{who}: {what} is no array: {error}") from None


def features_of(who, what, value):
    """float32 [N,F], contiguous: as it is, else a copy. Raises InputError for what holds no floats or has another shape."""
    array = array_of(who, what, value)
    if array.dtype.kind != "f":
        raise InputError(f"{who}: {what} holds {array.dtype}, and features are floats; give {what}.astype('float32')")
    if array.ndim != 2:
        raise InputError(f"{who}: {what} has shape {list(array.shape)}, and features are [N,F]")
    with np.errstate(over="ignore"):  # is an infinity, which is told
        return np.ascontiguousarray(array, dtype=np.float32)


def labels_of(who, what, value, rows):
    """`rows` ints. Raises InputError for anything else."""
    array = array_of(who, what, value)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InputError(f"{who}: {what} holds {array.dtype}, and labels are integers from 0 on; "
                         f"numpy.unique({what}, return_inverse=True) numbers names")
    if array.ndim != 1 or len(array) != rows:
        raise InputError(f"{who}: {what} has shape {list(array.shape)}, and there are {rows} rows; give one each")
    if array.size and (array.min() < -_MOST_I32 or array.max() > _MOST_I32):
        raise InputError(f"{who}: {what} goes to {max(array.max(), -int(array.min()))}, and labels are numbers of classes")
    return array.tolist()


def _count(who, what, value):
    return number_of(who, what, value, _MOST_I32, least=1)


def _number(who, what, value):
    if isinstance(value, bool) or not hasattr(value, "__float__") or getattr(value, "ndim", 0) != 0:
        raise InputError(f"{who}: {what} must be a number, not {shown(value)}")
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        raise InputError(f"{who}: {what} must be a number that float64 holds, not {shown(value)}") from None


def _check_finite(who, what, features):
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise InputError(f"{who}: row {finite.argmin()} of {what} holds NaN or an infinity in float32; leave such rows out, or "
                         "look at what made them")


def _problem(who, train_features, train_labels, test_features, classes):
    """The arguments that both classifiers begin with."""
    train = features_of(who, "train_features", train_features)
    labels = labels_of(who, "train_labels", train_labels, len(train))
    test = features_of(who, "test_features", test_features)
    _check_finite(who, "train_features", train)
    _check_finite(who, "test_features", test)
    if classes is None:
        classes = max(labels, default=-1) + 1
        if classes < 1:
            raise InputError(f"{who}: no training row has a label of 0 or more")
    classes = _count(who, "classes", classes)
    if max(len(test), train.shape[1] + 1) * classes > _MOST_I32:
        raise InputError(f"{who}: {classes} classes of {len(test)} rows to score and {train.shape[1]} features are more than "
                         f"{_MOST_I32} values; number the classes from 0 on")
    return train, labels, test, classes


def knn(train_features, train_labels, test_features, *, classes=None, k=_DEFAULTS["k"],
        temperature=_DEFAULTS["temperature"]):
    """Scores of a weighted k-nearest-neighbour classifier (Wu et al., arXiv 1805.01978, section 3.4), on all cores.

    The k training rows of the highest cosine similarity s vote for their class with weight exp(s / temperature).

    train_features: floats [N,F], computed in float32; another type of float or a layout that is not contiguous is copied.
    train_labels: N ints from 0 to classes-1.
    test_features: floats [M,F].
    classes: int; None: the largest training label and 1.
    k: int; above N it is N. Of equally similar rows the lower index counts first.
    temperature: float above 0.

    Returns float32 [M,classes], each row's votes over their sum: simclr.metrics.classification(scores, test_labels) tells
    what they are worth. The bits do not depend on the number of threads.

    Raises InputError, a ValueError, for another type, dtype or shape, for labels outside, and for NaN and infinities.
    """
    train, labels, test, classes = _problem("knn", train_features, train_labels, test_features, classes)
    return _core.knn(train, labels, test, classes, _count("knn", "k", k), _number("knn", "temperature", temperature))


def linear_probe(train_features, train_labels, test_features, *, classes=None, epochs=_DEFAULTS["epochs"],
                 learning_rate=_DEFAULTS["learning_rate"], batch_size=_DEFAULTS["batch_size"],
                 momentum=_DEFAULTS["momentum"], weight_decay=_DEFAULTS["weight_decay"], seed=_DEFAULTS["seed"]):
    """Scores of a linear classifier on frozen features (SimCLR, arXiv 2002.05709, appendix B.6).

    Softmax regression by SGD with Nesterov momentum from zero weights, on features that are standardised by the training
    rows; the learning rate falls to 0 along a half cosine. One thread does the work.

    train_features: floats [N,F], computed in float32; another type of float or a layout that is not contiguous is copied.
    train_labels: N ints from 0 to classes-1.
    test_features: floats [M,F].
    classes: int; None: the largest training label and 1.
    epochs, batch_size: ints of at least 1.
    learning_rate: float, for each 256 rows of a batch. momentum, weight_decay: floats.
    seed: int from 0 to 2^64-1, of the order of the rows.

    Returns float32 [M,classes], logits: simclr.metrics.classification(scores, test_labels) tells what they are worth.

    Raises InputError, a ValueError, for another type, dtype or shape, for labels outside, for NaN and infinities, and
    where the probe diverges.
    """
    who = "linear_probe"
    train, labels, test, classes = _problem(who, train_features, train_labels, test_features, classes)
    seed = number_of(who, "seed", seed, 2**64 - 1)
    return _core.linear_probe(train, labels, test, classes, _count(who, "epochs", epochs),
                              _number(who, "learning_rate", learning_rate), _count(who, "batch_size", batch_size),
                              _number(who, "momentum", momentum), _number(who, "weight_decay", weight_decay),
                              seed)
