"""simclr.fit: a training program's run on a data set of Python."""
import collections
import operator
import threading

import numpy as np

from simclr._augment import is_tensor, pixels_of, shown
from simclr._errors import Error, InputError
from simclr._train import program_of, run, words_of
from simclr._views import picture_of

_MOST = 2**31 - 1
_FULL_SCALE = {"int16": (0, 32768), "int32": (0, 2147483648), "uint8": (128, 128)}  # zero, and what 1 is


def _recording_of(what, value):
    """float32 [samples] of an array or a tensor of one channel."""
    if not isinstance(value, np.ndarray) and not is_tensor(value):
        raise InputError(f"simclr.fit: {what} is a {type(value).__name__}; a recording is an array [samples], or the bytes "
                         "of a file")
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype in _FULL_SCALE:
        zero, full = _FULL_SCALE[dtype]
        value = (np.asarray(value).astype(np.float32) - np.float32(zero)) / np.float32(full)
    elif dtype == "float64":
        value = np.asarray(value).astype(np.float32)
    values = pixels_of("simclr.fit", what, value, (np.float32,), lambda *_: "recordings hold float32 or int16")
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"simclr.fit: {what} has shape {list(values.shape)}; a recording is [samples], of one channel")
    if not np.isfinite(values).all():
        raise InputError(f"simclr.fit: {what} holds NaN or infinite values")
    return values


class _Samples:
    """What C++ asks for: labels and classes, and the samples, each when it is needed."""

    def __init__(self, dataset, sample, name, test=None, classes=None):
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(f"simclr.fit: {name} is a {type(dataset).__name__}, which lacks __len__ or __getitem__")
        if not 0 < len(dataset) <= _MOST:
            raise InputError(f"simclr.fit: {name} has {len(dataset)} samples")
        self.name, self.test, self._dataset, self._sample = name, test, dataset, sample
        self.texts = []
        self._shapes = collections.Counter()
        self._lock = threading.RLock()
        names = [self._look_at(i) for i in range(len(dataset))]
        self.classes = classes or self._in_order({label for label in names if label is not None})
        numbers = {label: number for number, label in enumerate(self.classes)}
        self.labels = [numbers.get(label, -1) for label in names]

    def _look_at(self, i):
        """Sample i's label, a str, or None. A sample that cannot be used has none: it is named when it is needed."""
        try:
            value, label = self._item(i)
            value = self._checked(value)
        except Exception as error:
            self.texts.append((b"", _why(error)))
            return None
        self.texts.append((value, "") if self._sample == "text" else None)
        if self._sample == "picture" and not isinstance(value, bytes):
            self._shapes[value.shape] += 1
        return self._label_of(i, label)

    def _item(self, i):
        with self._lock:  # a data set of Python need not bear several threads
            value, label = self._dataset[i], None
        if isinstance(value, (tuple, list)):
            if len(value) != 2:
                raise InputError(f"it has {len(value)} parts; give a sample or (sample, label)")
            value, label = value
        return value, label

    def _checked(self, value):
        if self._sample == "text":
            if not isinstance(value, str):
                raise InputError(f"it is a {type(value).__name__}, and a text is a str")
            return value.encode("utf-8", "surrogatepass")  # a lone surrogate is named as no UTF-8
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        return picture_of("simclr.fit", "it", value) if self._sample == "picture" else _recording_of("it", value)

    def _label_of(self, i, label):
        if label is None or isinstance(label, str):
            return _utf8(label) if label else None
        if isinstance(label, float) and label != label:
            return None
        try:
            number = operator.index(label.item() if hasattr(label, "item") else label)
        except (TypeError, ValueError, RuntimeError):  # of a tensor of several values
            raise InputError(f"simclr.fit: the label of sample {i} of {self.name} must be an int, a str or None, not "
                             f"{shown(label)}") from None
        return None if number == -1 else str(number)

    @staticmethod
    def _in_order(labels):
        whole = all(label.removeprefix("-").isdecimal() for label in labels)
        return sorted(labels, key=(lambda label: (int(label), label)) if whole else None)

    def read(self, i):
        """Sample i, an array or bytes. Raises Error, one line that names it."""
        try:
            return self._checked(self._item(i)[0])
        except Exception as error:
            raise InputError(f"sample {i} of {self.name}: {_why(error)}") from None

    @property
    def size(self):
        """The side of views: that of arrays which all have one shape."""
        shapes = list(self._shapes)
        return min(max(min(shapes[0][:2]), 8), 1024) if len(shapes) == 1 else 32

    @property
    def channels(self):
        """Of views: 3 of grey pictures, RGB and RGB with alpha, 1 where all are arrays of grey, and else the commonest."""
        counts = collections.Counter()
        for shape, count in self._shapes.items():
            counts[shape[2]] += count
        if not counts or set(counts) <= {1, 3, 4}:
            return 1 if set(counts) == {1} and sum(counts.values()) == len(self.labels) else 3
        return counts.most_common(1)[0][0]


def _utf8(text):
    """A str whose lone surrogates, as names of files may have them, are written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _why(error):
    text = _utf8(" ".join(str(error).split())) or "no reason was given"
    return text.removeprefix("simclr.fit: ") if isinstance(error, Error) else f"{type(error).__name__}: {text}"


def fit(dataset, *, modality="picture", test=None, preset=None, out=None, callback=None, quiet=False, **options):
    """Trains an encoder on a data set of Python, as simclr.train() does on files.

        result = simclr.fit(torchvision.datasets.CIFAR10("data"), preset="quick", out="runs/second")
        encoder = simclr.load(result["out"])

    dataset: has __len__ and __getitem__, which gives a sample or (sample, label). Samples are
        of modality "picture" arrays or CPU tensors [H,W,C] or [H,W] of uint8, uint16 or float32 from 0 to 1, pictures of
            Pillow's, or the bytes of a picture's file, grey or RGB. Where all are arrays of one shape, views have its size,
            else 32, unless size says another;
        of "sound" arrays [samples] of float32 with full scale from -1 to 1, float64 or int16, at the rate that the option
            rate says, or the bytes of a sound file of any rate;
        of "text" str.
        Labels are int or str; None and -1 are none. They are for the evaluation, and for method="supcon" and "supervised", which
        train on them. A transform of its own must be off:
        the same index must give the same sample each time.
    test: another such data set, which is evaluated on. Without it a fifth of the labelled samples is kept for that.
    preset, out, callback, quiet, all further options, what is returned and raised: as simclr.train() has them.

    Nothing is copied to disk: each sample is asked for whenever it is needed, after one pass over all for their labels; of
    texts the words are kept in memory. Whatever workers says, one sample is asked for at a time; what is returned must not
    be changed afterwards. A sample that cannot be used, or whose
    code raises, is left out with a warning and counted, and the run goes on. resume=True needs the same data set again.
    Clips and pairs are trained from files, by simclr.train().
    """
    program = program_of("simclr.fit", modality)
    for name in ("dataset", "data"):
        if name in options:
            raise InputError(f"simclr.fit: {name} names files, and the data set is the first argument; leave it out, or take "
                             "simclr.train()")
    words = words_of("simclr.fit", program, {"preset": preset, "out": out, **options})
    sample = {"train_cifar": "picture", "train_speech": "recording", "train_text": "text"}.get(program)
    if sample is None:
        raise InputError(f"simclr.fit: modality {modality!r}: clips and pairs are trained from files; take simclr.train()")
    samples = _Samples(dataset, sample, "the data set")
    if test is not None:
        samples.test = _Samples(test, sample, "the test set", classes=samples.classes)
    return run("simclr.fit", program, words, callback, quiet, options, samples)
