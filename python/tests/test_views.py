"""simclr.Views: the views of the C++ library's loader, and what a data set of Python may be."""
import multiprocessing
import os
import pickle
import signal
import threading

import numpy as np
import pytest
from test_augment import pictures, views_of_cpp

import simclr

IMAGES = pictures(10, 24, 20, 3)


class Pairs:
    """Pictures with labels."""

    def __init__(self, images=IMAGES):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], f"class {i % 3}"


def views(dataset=IMAGES, **options):
    return simclr.Views(dataset, simclr.Policy.simclr(16), **{"seed": 5, **options})


def test_items_are_the_loader_s_views_to_the_bit(tmp_path):
    wanted = views_of_cpp(tmp_path, "loader", IMAGES, "u8", "simclr", 16, 5, 7, 3, [])
    made = views(views=3)
    made.set_epoch(7)
    assert made.epoch == 7 and len(made) == 10
    for i in range(10):
        three, label = made[i]
        assert label == -1 and [view.shape for view in three] == [(16, 16, 3)] * 3
        assert np.stack(three).tobytes() == wanted[:, i].tobytes()
    batch = made.__getitems__([4, 9, -1])
    for (three, _), i in zip(batch, (4, 9, 9)):
        assert np.stack(three).tobytes() == wanted[:, i].tobytes()
    made.set_epoch(8)
    assert not np.array_equal(made[0][0][0], wanted[0, 0])


def test_a_loop_without_torch_ends():
    items = list(views(Pairs()))
    assert [label for _, label in items] == [f"class {i % 3}" for i in range(10)]
    assert len(items[0][0]) == 2 and not np.array_equal(*items[0][0])
    first = views(Pairs(), channels_first=True)[3][0]
    assert first[1].shape == (3, 16, 16) and first[1].flags.c_contiguous
    assert np.array_equal(first[1].transpose(1, 2, 0), items[3][0][1])


def test_samples_may_be_pillow_s():
    images = pytest.importorskip("PIL.Image")
    rgb = images.fromarray(IMAGES[0])
    grey16 = pictures(1, 24, 20, 1, "u16")[0, :, :, 0]
    palette = rgb.convert("P")
    transparent = palette.copy()
    transparent.info["transparency"] = palette.getpixel((3, 2))
    samples = [
        (rgb, IMAGES[0]),
        (rgb.convert("L"), np.asarray(rgb.convert("L"))[:, :, None]),
        (rgb.convert("L").convert("1"), np.asarray(rgb.convert("L").convert("1").convert("L"))[:, :, None]),
        (palette, np.asarray(palette.convert("RGB"))),
        (transparent, np.asarray(transparent.convert("RGBA"))),
        (rgb.convert("LA"), np.asarray(rgb.convert("LA").convert("RGBA"))),
        (rgb.convert("CMYK"), np.asarray(rgb.convert("CMYK").convert("RGB"))),
        (rgb.convert("RGBA"), np.asarray(rgb.convert("RGBA"))),
        (images.fromarray(grey16), grey16[:, :, None]),
    ]
    made = views([picture for picture, _ in samples])
    for i, (_, pixels) in enumerate(samples):
        wanted = simclr.augment(pixels[None], made.policy, seed=5, ids=[i], epoch=0, view=[0, 1])
        assert np.array_equal(np.stack(made[i][0]), wanted[:, 0]), samples[i][0].mode
    for mode in ("I", "F"):
        with pytest.raises(simclr.InputError, match=f"sample 0: a picture of mode {mode} has no largest value"):
            views([images.fromarray(IMAGES[0][:, :, 0].astype(np.int32 if mode == "I" else np.float32))])[0]


def test_a_transparent_colour_of_pillow_s_is_laid_over_white():
    """As PNG files may have one, which the library's reader makes alpha of, too."""
    images = pytest.importorskip("PIL.Image")
    red = images.new("RGB", (16, 16), (255, 0, 0))
    plain = np.asarray(red)
    red.info["transparency"] = (255, 0, 0)
    (made, _), _ = views([red])[0]
    (white, _), _ = views([np.full_like(plain, 255)])[0]
    (opaque, _), _ = views([plain])[0]
    assert np.array_equal(made, white) and not np.array_equal(made, opaque)


def test_samples_may_be_grey_arrays_and_tensors():
    torch = pytest.importorskip("torch")
    grey = IMAGES[0][:, :, 0]
    made = views([grey, grey[:, :, None], torch.from_numpy(grey)])
    made.policy.channels = 1
    wanted = simclr.augment([grey[:, :, None]] * 3, made.policy, seed=5, ids=range(3), epoch=0, view=0)
    assert all(np.array_equal(made[i][0][0], wanted[i]) for i in range(3))


@pytest.mark.parametrize("sample, message", [
    ("photo.png", "sample 0 is a str; a sample is an array"),
    (None, "sample 0 is a NoneType"),
    ((IMAGES[0],), "sample 0 has 1 parts"),
    ((IMAGES[0], 1, 2), "sample 0 has 3 parts"),
    (IMAGES, r"sample 0 has shape \[10, 24, 20, 3\]"),
    (IMAGES[0].astype(int), "sample 0 holds int64"),
    (IMAGES[0].astype(np.float32), r"float32 pictures hold 0 to 1, and sample 0 holds 255; divide by 255"),
    (IMAGES[0].transpose(2, 0, 1), r"sample 0 has shape \[3,24,20\].*1, 3 or 4 channels"),
    (IMAGES[0][:0], r"sample 0 has shape \[0,20,3\]"),
])
def test_a_wrong_sample_is_said(sample, message):
    with pytest.raises(simclr.InputError, match=message):
        views([sample])[0]


@pytest.mark.parametrize("arguments, message", [
    ({"dataset": iter([])}, "list_iterator, which lacks __len__ or __getitem__"),
    ({"dataset": None}, "NoneType, which lacks"),
    ({"policy": None}, "policy must be a simclr.Policy"),
    ({"views": 0}, "views is 0"),
    ({"views": 1.5}, "views must be an int"),
    ({"seed": -1}, "seed is -1"),
])
def test_wrong_options_are_said(arguments, message):
    with pytest.raises(simclr.InputError, match=message):
        given = {"dataset": IMAGES, "policy": simclr.Policy(), **arguments}
        simclr.Views(given.pop("dataset"), given.pop("policy"), **given)


def test_indices_outside_and_wrong_epochs_are_said():
    made = views()
    for index in (10, -11, 2**40):
        with pytest.raises(IndexError, match="there are 10 samples"):
            made[index]
    with pytest.raises(simclr.InputError, match=r"index must be an int, not array\(\[0, 1\]\)"):
        made[np.array([0, 1])]
    with pytest.raises(simclr.InputError, match="index must be an int"):
        made[0.5]
    for epoch in (-1, 2**32, 0.5):
        with pytest.raises(simclr.InputError, match="epoch"):
            made.set_epoch(epoch)
    assert made.epoch == 0


def test_what_a_data_set_raises_passes():
    class Broken(Pairs):
        def __getitem__(self, i):
            raise OSError("cannot be read")
    with pytest.raises(OSError, match="cannot be read"):
        views(Broken())[0]


def test_a_copy_keeps_its_epoch():
    made = views(Pairs())
    made.set_epoch(3)
    again = pickle.loads(pickle.dumps(made))
    assert again.epoch == 3 and np.array_equal(again[2][0][0], made[2][0][0])
    again.set_epoch(4)
    assert made.epoch == 3


@pytest.mark.parametrize("method, persistent", [("fork", False), ("fork", True), ("spawn", True)])
def test_workers_of_a_loader_make_the_same_views(method, persistent):
    torch = pytest.importorskip("torch")
    made = views(Pairs(), channels_first=True)
    made[0]  # the library's threads are there before workers are forked
    loader = torch.utils.data.DataLoader(made, batch_size=4, num_workers=2, multiprocessing_context=method, timeout=120,
                                         persistent_workers=persistent)
    for epoch in (0, 5):
        made.set_epoch(epoch)
        wanted = simclr.augment(IMAGES, made.policy, seed=5, ids=range(10), epoch=epoch, view=[0, 1])
        first, second, labels = [], [], []
        for (a, b), label in loader:
            assert a.dtype == torch.float32
            first.append(a.numpy().transpose(0, 2, 3, 1))
            second.append(b.numpy().transpose(0, 2, 3, 1))
            labels += label
        assert np.array_equal(np.concatenate(first), wanted[0])
        assert np.array_equal(np.concatenate(second), wanted[1])
        assert labels == [f"class {i % 3}" for i in range(10)]


def test_a_loader_without_workers_shuffles_them():
    torch = pytest.importorskip("torch")
    labels = list(range(10))
    loader = torch.utils.data.DataLoader(views(list(zip(IMAGES, labels))), batch_size=10, shuffle=True)
    wanted = simclr.augment(IMAGES, simclr.Policy.simclr(16), seed=5, ids=range(10), epoch=0, view=[0, 1])
    (a, b), label = next(iter(loader))
    assert sorted(label.tolist()) == labels
    assert np.array_equal(a.numpy(), wanted[0][label]) and np.array_equal(b.numpy(), wanted[1][label])


def test_a_process_that_is_forked_amid_a_call_says_so():
    """Or works, where the fork came between two calls."""
    made = views(np.concatenate([IMAGES] * 20))
    wanted = made.__getitems__(range(8))[3][0][0]
    context = multiprocessing.get_context("fork")
    busy = context.Value("i", 1)
    def work():
        while busy.value:
            made.__getitems__(range(200))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        ends = set()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                signal.alarm(60)  # ends a child that hangs
                try:
                    os._exit(0 if np.array_equal(made.__getitems__(range(8))[3][0][0], wanted) else 1)
                except simclr.RunError as error:
                    os._exit(2 if "forked" in str(error) else 3)
            ends.add(os.waitpid(child, 0)[1])
        assert ends <= {0, 2 << 8}
    finally:
        busy.value = 0
        thread.join()
