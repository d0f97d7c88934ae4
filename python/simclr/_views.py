"""simclr.Views: a data set of pictures as one of their random views."""
import multiprocessing
import multiprocessing.context
import operator
import sys

import numpy as np

from simclr._augment import check_range, is_tensor, make_views, number_of, pixels_of, policy_of, shown
from simclr._errors import InputError

_PLAIN_MODES = ("L", "RGB", "RGBA")
_MOST_U32 = 2**32 - 1


def _pixels_of_pil(image):
    """uint8 or uint16 [H,W,C] of a picture of Pillow's."""
    if image.mode in ("I", "F"):
        raise InputError(f"a picture of mode {image.mode} has no largest value; give an array of uint8, uint16, or float32 "
                        "from 0 to 1")
    if image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode not in _PLAIN_MODES or "transparency" in image.info:
        transparent = image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "L" if image.mode == "1" else "RGB")
    return np.asarray(image)


def picture_of(who, what, value):
    """uint8, uint16 or float32 [H,W,C] of an array or a tensor [H,W,C] or [H,W], or a picture of Pillow's."""
    if hasattr(value, "convert") and hasattr(value, "mode"):
        try:
            value = _pixels_of_pil(value)
        except InputError as error:
            raise InputError(f"{who}: {what}: {error}") from None
    if not isinstance(value, np.ndarray) and not is_tensor(value):
        raise InputError(f"{who}: {what} is a {type(value).__name__}; a sample is an array [H,W,C], a PIL picture, or one of "
                        "these with its label")
    pixels = pixels_of(who, what, value)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise InputError(f"{who}: {what} has shape {list(pixels.shape)}, and a picture is [H,W,C], channels last")
    check_range(who, what, pixels)
    return pixels


class Views:
    """Random views of a data set of pictures, a map-style data set for torch's DataLoader, or for loops of your own.

        views = simclr.Views(dataset, simclr.Policy.simclr_cifar(), seed=1)
        loader = torch.utils.data.DataLoader(views, batch_size=256, shuffle=True, num_workers=2)
        for epoch in range(epochs):
            views.set_epoch(epoch)
            for (a, b), labels in loader: ...

    Item i is (views, label): `views` a list of float32 arrays [S,S,C], or [C,S,S] with channels_first, normalised, which
    DataLoader makes tensors [B,...] of; `label` what the data set says, -1 where it has none. Views are those of the C++
    library's loader, to the bit: a function of (seed, i, epoch, number of the view).

    dataset: has __len__ and __getitem__, which gives a picture or (picture, label); a picture is an array or a CPU tensor
        [H,W,C] or [H,W] of uint8, uint16 or float32 from 0 to 1, or a picture of Pillow's. A transform of its own must be off.
    policy: simclr.Policy.
    views: how many of each picture.
    seed: int from 0 to 2^64-1.
    channels_first: [C,S,S], as torch's layers take them.

    A batch is made on all cores in the process that asks; DataLoader's workers use one each. Raises InputError
    for samples and options that cannot be used, IndexError for an index outside.
    """

    def __init__(self, dataset, policy, *, views=2, seed=0, channels_first=False):
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(f"Views: dataset is a {type(dataset).__name__}, which lacks __len__ or __getitem__")
        if len(dataset) > _MOST_U32 + 1:
            raise InputError(f"Views: dataset has {len(dataset)} samples, at most 2^32 have numbers")
        self.dataset = dataset
        self.policy = policy_of("Views", policy)
        self.views = number_of("Views", "views", views, 2**24, least=1)
        self.seed = number_of("Views", "seed", seed, 2**64 - 1)
        self.channels_first = bool(channels_first)
        # Workers that live longer than an epoch see it change: it is shared with them.
        self._epoch = multiprocessing.RawValue("Q", 0)

    def set_epoch(self, epoch):
        """Views of another epoch are others. Call it before an epoch, as DistributedSampler's; workers see it, too."""
        self._epoch.value = number_of("Views", "epoch", epoch, _MOST_U32)

    @property
    def epoch(self):
        """What set_epoch() said; 0 before."""
        return self._epoch.value

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        return self.__getitems__([i])[0]

    def __getitems__(self, indices):
        """Several items at once: what DataLoader asks for."""
        size = len(self.dataset)
        ids, pictures, labels = [], [], []
        for i in indices:
            try:
                number = operator.index(i)
            except TypeError:
                raise InputError(f"Views: index must be an int, not {shown(i)}") from None
            number += size if number < 0 else 0
            if not 0 <= number < size:
                raise IndexError(f"Views: index {i}, and there are {size} samples")
            picture, label = self._sample(number)
            ids.append(number)
            pictures.append(picture)
            labels.append(label)
        torch = sys.modules.get("torch")
        worker = torch is not None and torch.utils.data.get_worker_info() is not None
        made = make_views("Views", pictures, self.policy, self.seed, ids, self.epoch, range(self.views), worker)
        if self.channels_first:
            made = np.ascontiguousarray(made.transpose(0, 1, 4, 2, 3))
        return [(list(made[:, row]), label) for row, label in enumerate(labels)]

    def _sample(self, i):
        sample, label = self.dataset[i], -1
        if isinstance(sample, (tuple, list)):
            if len(sample) != 2:
                raise InputError(f"Views: sample {i} has {len(sample)} parts; give a picture or (picture, label)")
            sample, label = sample
        return picture_of("Views", f"sample {i}", sample), label

    def __getstate__(self):
        state = self.__dict__.copy()
        if multiprocessing.context.get_spawning_popen() is None:  # else the process that begins shares it
            state["_epoch"] = self.epoch
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        if isinstance(self._epoch, int):
            self._epoch = multiprocessing.RawValue("Q", self._epoch)
