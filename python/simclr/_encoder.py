"""simclr.load and simclr.Encoder: trained encoders."""
import dataclasses
import json
import os
import warnings

import numpy as np

from simclr import _core
from simclr._augment import check_range, is_tensor, number_of, pixels_of
from simclr._errors import InputError, RunError
from simclr._views import picture_of

_SIDES = ("none", "first", "second")
_PARAMETERS = ("run_or_file", "side", "device", "batch_size")


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding:
    """The features of what lies in a folder, a list or another place."""

    files: list  #: N names, str: the samples' paths from the place
    features: np.ndarray  #: float32 [N,F]
    unreadable: int  #: samples that could not be read and are left out
    left_out: str  #: what else lies there, in words


def _is_path(value):
    return isinstance(value, (str, bytes, os.PathLike))


def _encoded(who, what, path):
    """The bytes of a path. Raises InputError where no file can be called so."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        raise InputError(f"{who}: {what} {path!r} cannot be a path: it holds a lone surrogate") from None
    if b"\0" in name:
        raise InputError(f"{who}: {what} {path!r} holds a NUL, which no path does")
    return name


def _recordings_hold(what, dtype):
    """What is said of a recording of another dtype."""
    mends = {"int16": f"{what}.astype('float32') / 32768", "int32": f"{what}.astype('float32') / 2147483648",
             "uint8": f"({what}.astype('float32') - 128) / 128"}
    mend = mends.get(str(dtype), f"{what}.astype('float32')" if dtype.kind == "f" else "")
    return "recordings hold float32, of full scale from -1 to 1" + (f"; give {mend}" if mend else "")


def _is_one_array(value):
    return isinstance(value, np.ndarray) or is_tensor(value)


def _resnet(torch, torchvision, kind):
    """torchvision's network of our kind, its weights drawn at random."""
    model = getattr(torchvision.models, kind["name"])()
    width, cifar, padding = kind["width"], kind["cifar_stem"], kind["stem_padding"]
    model.fc = torch.nn.Identity()
    model.conv1 = torch.nn.Conv2d(kind["channels"], width, 3 if cifar else 7, 1 if cifar else 2,
                                  padding if padding >= 0 else 1 if cifar else 3, bias=False)
    if cifar:
        model.maxpool = torch.nn.Identity()
    if width != model.inplanes // 8 // type(model.layer1[0]).expansion:  # its constructor knows 64 alone
        model.bn1, model.inplanes = torch.nn.BatchNorm2d(width), width
        for i in range(4):
            layer = f"layer{i + 1}"
            old = getattr(model, layer)
            setattr(model, layer, model._make_layer(type(old[0]), width << i, len(old), 1 if i == 0 else 2))
    return model


class Encoder:
    """A trained encoder: samples to features, the same bits as the program embed writes.

        encoder = simclr.load("runs/first")
        features = encoder(images)                     # arrays, uint8 [N,H,W,C]
        features = encoder.transform(paths)            # files
        found = encoder.embed("photos")                # a folder: found.files, found.features

    run_or_file: a run's folder (its final weights, else its newest checkpoint), a checkpoint or a weights file.
    side: of weights of pairs "first" or "second", whose samples go through its encoder and head; "none": the encoder of
        pictures, or the first side's where none is of these, without a head. Of other weights "none".
    device: "cpu", or "cuda" and "cuda:1" in builds with CUDA.
    batch_size: samples at once, at most; as it may round a product differently, features of another one may differ in
        their last bits.

    It has fit(), transform(), get_params() and set_params(), as scikit-learn's transformers have: it can be a step of a
    pipeline, and be cloned and pickled, where the file is at hand. It may be used by several threads at once. Raises
    InputError, a ValueError, where the file is missing or no encoder's, and RunError in a build without the programs.
    """

    def __init__(self, run_or_file, *, side="none", device="cpu", batch_size=64):
        self.run_or_file, self.side, self.device, self.batch_size = run_or_file, side, device, batch_size
        self._load()

    def _load(self):
        if not hasattr(_core, "Encoder"):
            raise RunError("simclr.load: this build is without the programs, which read encoders; build with "
                           "SIMCLR_EXAMPLES=ON")
        if not _is_path(self.run_or_file):
            raise InputError(f"simclr.load: run_or_file must be a path, not {type(self.run_or_file).__name__}")
        if self.side not in _SIDES:
            raise InputError(f"simclr.load: side must be one of {', '.join(_SIDES)}, not {self.side!r}")
        if not isinstance(self.device, str):
            raise InputError(f"simclr.load: device must be a str as 'cpu', not {self.device!r}")
        number_of("simclr.load", "batch_size", self.batch_size, 2**31 - 1, least=1)
        file = _encoded("simclr.load", "run_or_file", self.run_or_file)
        self._core = _core.Encoder(file, self.side, self.device)

    @property
    def path(self):
        """The file that was read."""
        return os.fsdecode(self._core.path)

    @property
    def config(self):
        """The configuration of the run that made it, a dict."""
        return json.loads(self._core.config)

    @property
    def sample(self):
        """What a sample of its kind of data is called: "picture", "recording", "clip" or "text"."""
        return self._core.sample

    @property
    def features(self):
        """F: how many features a sample has."""
        return self._core.features

    @property
    def policy(self):
        """The simclr.Policy without randomness that makes pictures what the network sees; None for other kinds of data."""
        return self._core.policy()

    def __repr__(self):
        return f"Encoder({os.fsdecode(self._core.description)})"

    def __call__(self, samples):
        """float32 [N,F] of samples in memory.

        samples: of pictures an array [N,H,W,C], or a list of arrays [H,W,C] or [H,W] and pictures of Pillow's: uint8,
            uint16, or float32 from 0 to 1, of any size; one picture is images[None]. An array [N,H,W] is grey pictures for
            encoders of one channel alone. Of clips [N,T,H,W,C] of the same dtypes, or a list of [T,H,W,C]; of recordings
            float32 [N,samples], or a list of [samples], at the encoder's rate; of texts a list of str. What is not
            contiguous is copied; torch's tensors on the CPU are taken, too.

        Raises InputError, a ValueError, for the first sample that cannot be used.
        """
        if self.sample == "text":
            if _is_path(samples) or not hasattr(samples, "__iter__"):
                raise InputError(f"encoder: samples is a {type(samples).__name__} and must be a list of str, for this is an "
                                 "encoder of texts")
            samples = list(samples)
            if not all(isinstance(text, str) for text in samples):
                raise InputError("encoder: samples must be a list of str, for this is an encoder of texts")
            texts = [text.encode("utf-8", "replace") for text in samples]
            return self._checked(self._core.texts(texts, self._at_once()))
        if not _is_one_array(samples) and (_is_path(samples) or not hasattr(samples, "__iter__")):
            raise InputError(f"encoder: samples is a {type(samples).__name__}; give an array or a list of arrays, and to "
                             "transform() a list of paths")
        if _is_one_array(samples):
            samples = self._values_of("samples", samples)
            self._check_shape(samples.shape)
        read = picture_of if self.sample == "picture" else lambda _, what, sample: self._values_of(what, sample)
        arrays = [read("encoder", f"samples[{i}]", sample) for i, sample in enumerate(samples)]
        if self.sample == "clip":
            for i, clip in enumerate(arrays):
                check_range("encoder", f"samples[{i}]", clip, "clips")
        return self._checked(self._core.arrays(arrays, self._at_once()))

    def _values_of(self, what, sample):
        if self.sample == "recording":
            return pixels_of("encoder", what, sample, (np.float32,), _recordings_hold)
        return pixels_of("encoder", what, sample)

    def _check_shape(self, shape):
        """Raises InputError for an array that is one sample."""
        if len(shape) < 2:
            raise InputError(f"encoder: samples has shape {list(shape)}, and its first dimension is samples")
        if self.sample == "clip" and len(shape) == 4:
            raise InputError(f"encoder: samples has shape {list(shape)}, and clips are [N,T,H,W,C], channels last; give "
                             "samples[None] where it is one clip")
        if self.sample != "picture" or len(shape) != 3:
            return
        if self.policy.channels != 1 or shape[2] in (1, 3, 4):
            raise InputError(f"encoder: samples has shape {list(shape)}, and pictures are [N,H,W,C], channels last; give "
                             "samples[None] where it is one picture, samples[..., None] where they are grey")

    def _at_once(self):
        """batch_size, which people may have set."""
        return number_of("encoder", "batch_size", self.batch_size, 2**31 - 1, least=1)

    def _checked(self, made):
        values, told = made
        for message in told:
            warnings.warn(os.fsdecode(message), stacklevel=3)
        return values

    def transform(self, X):
        """float32 [N,F] of N paths of files, a row each in their order, or of samples in memory, as __call__ takes them.

        Of an encoder of texts str are texts, not paths: give pathlib.Path for files that hold one. Raises InputError, a
        ValueError, for the first file that cannot be read.
        """
        if _is_path(X):
            raise InputError("encoder.transform: X is one path; give a list of paths, and a folder to embed()")
        if _is_one_array(X) and getattr(X.dtype, "kind", "f") not in "USOT":  # texts, bytes, objects
            return self(X)
        if not hasattr(X, "__iter__"):
            raise InputError(f"encoder.transform: X is a {type(X).__name__}; give a list of paths or of samples")
        samples = list(X)
        file = os.PathLike if self.sample == "text" else (str, bytes, os.PathLike)
        paths = [isinstance(sample, file) for sample in samples]
        if not any(paths):
            return self(samples)
        if not all(paths):
            raise InputError(f"encoder.transform: X[{paths.index(False)}] is no path, and others are; give one kind")
        names = [_encoded("encoder.transform", f"X[{i}]", path) for i, path in enumerate(samples)]
        return self._checked(self._core.files(names, self._at_once()))

    def embed(self, place, *, dataset="auto"):
        """The features of all samples in a place, in an Embedding, as the program embed writes them.

        place: a folder, searched with its sub-folders, a list, an array file, tar shards, or of texts a file of them.
        dataset: what the place is, one of embed's --dataset; "auto" tells by its name.

        What cannot be read is left out, with a warning. Raises InputError, a ValueError, where there is nothing, or it
        does not fit the encoder.
        """
        if not _is_path(place):
            raise InputError(f"encoder.embed: place must be a path, not {type(place).__name__}")
        if not isinstance(dataset, str):
            raise InputError(f"encoder.embed: dataset must be a str, not {dataset!r}")
        made = self._core.embed(_encoded("encoder.embed", "place", place), dataset, self._at_once())
        for message in made["warnings"]:
            warnings.warn(os.fsdecode(message), stacklevel=2)
        return Embedding([os.fsdecode(name) for name in made["files"]], made["features"], made["unreadable"],
                         os.fsdecode(made["left_out"]))

    def to_torch(self):
        """torchvision's network with the encoder's weights, in evaluation mode: a torch.nn.Module from float32 [N,C,S,S],
        normalised pictures, to [N,F].

        What it takes are the views that simclr.augment(images, encoder.policy, ...) makes, with channels first. Raises
        InputError, a ValueError, for an encoder that is no ResNet, and RunError without torch and torchvision.
        """
        kind = self._core.resnet()
        if kind is None:
            raise InputError(f"encoder.to_torch: {os.fsdecode(self._core.description)}: is no ResNet alone, and torchvision "
                             "has no other of our networks")
        try:
            import torch
            import torchvision
        except ImportError as error:
            raise RunError(f"encoder.to_torch: {error}; install torch and torchvision") from None
        with torch.random.fork_rng(devices=[]):  # which draws initial weights
            model = _resnet(torch, torchvision, kind)
        state = {name: torch.from_numpy(value) for name, value in self._core.torchvision_state().items()}
        counters = {name for name, _ in model.named_buffers() if name.endswith("num_batches_tracked")}
        missing, unexpected = model.load_state_dict(state, strict=False)
        if unexpected or not set(missing) <= counters:
            raise RunError(f"encoder.to_torch: torchvision's {kind['name']} does not fit: {missing} {unexpected}")
        return model.eval()

    def to_onnx(self, path, *, head=False, preprocess=False, fold=True, overwrite=False):
        """Writes the encoder as an ONNX file (opset 17) for any runtime, as the program export_onnx does, to the byte.

        path: the file to write. It is whole or not there at all.
        head: with the projection head: the output is z, what the loss saw. Of pairs it needs load()'s side.
        preprocess: of pictures: the input is uint8 [N,H,W,C] of any size; the graph crops, resizes and normalises.
            Else it is what the network sees, of pictures float32 [N,S,S,C].
        fold: makes batch normalisation a part of the layers before it.
        overwrite: a file that is there is replaced; else it is an error.

        The weights are read again from encoder.path. Raises InputError, a ValueError, where that is gone or has no such
        encoder, and where the file cannot be written.
        """
        if not _is_path(path):
            raise InputError(f"encoder.to_onnx: path must be a path, not {type(path).__name__}")
        self._core.to_onnx(_encoded("encoder.to_onnx", "path", path), self.side, bool(head), bool(preprocess), bool(fold),
                           bool(overwrite))

    # scikit-learn's conventions.

    def fit(self, X=None, y=None):
        """Itself: it is trained already."""
        return self

    def fit_transform(self, X, y=None):
        """transform(X)."""
        return self.transform(X)

    def get_params(self, deep=True):
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **parameters):
        """Changes arguments of the constructor, reads the encoder again, and returns itself. Raises InputError for an
        unknown one, and as the constructor does; then nothing is changed."""
        unknown = set(parameters) - set(_PARAMETERS)
        if unknown:
            raise InputError(f"encoder.set_params: there is no {', '.join(sorted(unknown))}; there are {', '.join(_PARAMETERS)}")
        again = type(self)(**{**self.get_params(), **parameters})
        self.__dict__.update(again.__dict__)
        return self

    def get_feature_names_out(self, input_features=None):
        """encoder0, encoder1 and so on, an array of F."""
        return np.array([f"encoder{i}" for i in range(self.features)], dtype=object)

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_tags__(self):
        from sklearn.utils import InputTags, Tags, TargetTags, TransformerTags
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), transformer_tags=TransformerTags(),
                    input_tags=InputTags(two_d_array=False, string=True), requires_fit=False)

    def __getstate__(self):
        return self.get_params()

    def __setstate__(self, parameters):
        self.__dict__.update(parameters)
        self._load()


def load(run_or_file, *, side="none", device="cpu", batch_size=64):
    """A trained encoder, an Encoder: simclr.load("runs/first")(images).

    Arguments and errors are Encoder's.
    """
    return Encoder(run_or_file, side=side, device=device, batch_size=batch_size)
