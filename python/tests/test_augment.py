"""simclr.augment and simclr.Policy: the bits of the C++ library, and one clear error for every wrong input."""
import copy
import functools
import math
import os
import pathlib
import pickle
import signal
import subprocess
import threading

import numpy as np
import pytest

import simclr

TOOL = pathlib.Path(simclr.__file__).parent.parent / "view_tool"
DTYPES = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}


def pictures(count, height, width, channels, kind="u8", seed=0):
    random = np.random.default_rng(seed)
    shape = (count, height, width, channels)
    if kind == "f32":
        return random.random(shape, dtype=np.float32)
    return random.integers(0, np.iinfo(DTYPES[kind]).max, shape, dtype=DTYPES[kind], endpoint=True)


def views_of_cpp(folder, how, images, kind, policy, size, seed, epoch, views, ids):
    """float32 [V,N,S,S,C] as the C++ library makes them."""
    if not TOOL.exists():
        pytest.skip(f"{TOOL} is not there: the package is not one of a build tree with tests")
    file = folder / "pictures.bin"
    file.write_bytes(images.tobytes())
    command = [TOOL, how, file, kind, *images.shape, policy, size, seed, epoch, views, *ids]
    made = subprocess.run([str(part) for part in command], capture_output=True, check=True).stdout
    return np.frombuffer(made, np.float32).reshape(views, len(images), size, size, -1)


@pytest.mark.parametrize("kind, height, width, channels, policy, size, seed", [
    ("u8", 32, 32, 3, "simclr_cifar", 32, 1),
    ("u8", 61, 47, 3, "simclr", 40, 2**64 - 1),
    ("u8", 20, 30, 1, "simclr", 24, 3),
    ("u8", 33, 21, 4, "simclr", 16, 4),
    ("u16", 28, 28, 3, "simclr", 28, 5),
    ("f32", 40, 24, 3, "simclr", 33, 6),
    ("u8", 19, 23, 7, "channels", 20, 7),
])
def test_bits_are_those_of_cpp(tmp_path, kind, height, width, channels, policy, size, seed):
    images = pictures(9, height, width, channels, kind)
    ids = [0, 1, 2, 7, 7, 1000, 2**31 - 1, 2**31, 2**32 - 1]
    made = {"simclr": lambda: simclr.Policy.simclr(size), "simclr_cifar": simclr.Policy.simclr_cifar,
            "channels": lambda: simclr.Policy.simclr(size).replace(channels=channels, mean=0, stddev=1)}[policy]()
    wanted = views_of_cpp(tmp_path, "kernel", images, kind, policy, size, seed, 3, 4, ids)
    views = simclr.augment(images, made, seed=seed, ids=ids, epoch=3, view=range(4))
    assert views.dtype == np.float32
    assert views.shape == (4, 9, size, size, made.channels)
    assert views.tobytes() == wanted.tobytes()  # every bit
    assert len({view.tobytes() for view in views.reshape(36, -1)}) == 36  # and they are views, no two the same


def test_a_view_does_not_depend_on_its_batch_and_the_threads():
    images = pictures(20, 24, 24, 3)
    policy = simclr.Policy.simclr(16)
    every = simclr.augment(images, policy, seed=1, ids=range(20), epoch=2, view=[0, 1])
    one = simclr.augment(images[7:8], policy, seed=1, ids=[7], epoch=2, view=1)
    assert np.array_equal(one[0], every[1, 7])
    listed = simclr.augment([images[3], images[7, :, :20]], policy, seed=1, ids=[3, 7], epoch=2, view=0)
    assert np.array_equal(listed[0], every[0, 3]) and not np.array_equal(listed[1], every[0, 7])
    before = simclr.threads()
    try:
        for count in (1, 3, 8):
            simclr.set_threads(count)
            assert np.array_equal(simclr.augment(images, policy, seed=1, ids=range(20), epoch=2, view=[0, 1]), every)
    finally:
        simclr.set_threads(before)
    for other in ({"seed": 2}, {"epoch": 1}, {"ids": range(1, 21)}, {"view": [2, 3]}):
        keys = {"seed": 1, "ids": range(20), "epoch": 2, "view": [0, 1], **other}
        assert not np.array_equal(simclr.augment(images, policy, **keys), every)


def test_layouts_that_are_not_contiguous_are_copied():
    images = pictures(6, 20, 22, 3)
    policy = simclr.Policy.simclr(16)
    keys = {"seed": 1, "ids": range(6), "epoch": 0, "view": 0}
    wanted = simclr.augment(images, policy, **keys)
    backwards = np.ascontiguousarray(images[:, :, ::-1])[:, :, ::-1]
    fortran = np.asfortranarray(images)
    assert not backwards.flags.c_contiguous and not fortran.flags.c_contiguous
    swapped = pictures(6, 20, 22, 3, "u16").astype(">u2")
    read_only = images.copy()
    read_only.flags.writeable = False
    for given in (backwards, fortran, read_only):
        assert np.array_equal(simclr.augment(given, policy, **keys), wanted)
    assert np.array_equal(simclr.augment(swapped, policy, **keys), simclr.augment(swapped.astype("u2"), policy, **keys))
    assert np.array_equal(read_only, images)


def test_evaluation_changes_nothing_of_a_picture_of_its_size():
    images = pictures(3, 32, 32, 3)
    policy = simclr.Policy.simclr_cifar().replace(mean=(0.5, 0.25, 0), stddev=(0.5, 1, 2))
    plain = simclr.augment(images, policy.evaluation(), seed=9, ids=[0, 0, 0], epoch=5, view=3)
    wanted = (images.astype(np.float64) / 255 - (0.5, 0.25, 0)) / (0.5, 1, 2)
    np.testing.assert_allclose(plain, wanted, rtol=0, atol=3e-7)  # f32's rounding of values up to 1


def test_tensors_of_torch_come_back_as_such():
    torch = pytest.importorskip("torch")
    images = pictures(4, 20, 20, 3)
    keys = {"seed": 1, "ids": torch.arange(4), "epoch": 0, "view": [0, 1]}
    policy = simclr.Policy.simclr(16)
    wanted = simclr.augment(images, policy, **keys)
    made = simclr.augment(torch.from_numpy(images), policy, **keys)
    assert isinstance(made, torch.Tensor) and made.dtype == torch.float32
    assert np.array_equal(made.numpy(), wanted)
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    assert np.array_equal(simclr.augment(channels_first.permute(0, 2, 3, 1), policy, **keys).numpy(), wanted)
    assert isinstance(simclr.augment([torch.from_numpy(image) for image in images], policy, **keys), torch.Tensor)
    with pytest.raises(simclr.InputError, match=r"detach\(\)"):
        simclr.augment(torch.rand(4, 20, 20, 3, requires_grad=True), policy, **keys)
    with pytest.raises(simclr.InputError, match=r"images holds torch.bfloat16.*\.float\(\)"):
        simclr.augment(torch.rand(4, 20, 20, 3).bfloat16(), policy, **keys)
    with pytest.raises(simclr.InputError, match="images.*has lost its memory"):
        lost = torch.rand(4, 20, 20, 3)
        (lost.untyped_storage() if hasattr(lost, "untyped_storage") else lost.storage()).resize_(0)
        simclr.augment(lost, policy, **keys)
    with pytest.raises(simclr.InputError, match="ids must be integers"):
        simclr.augment(images, policy, **{**keys, "ids": torch.rand(4, requires_grad=True)})
    with pytest.raises(simclr.InputError, match=r"meta.*\.cpu\(\)"):
        simclr.augment(torch.empty(4, 20, 20, 3, dtype=torch.uint8, device="meta"), policy, **keys)


NAN = pictures(4, 20, 20, 3, "f32")
NAN[2, 3, 4, 1] = math.nan
WHITE = pictures(4, 20, 20, 3).astype(np.float32)
WHITE[:, 0, 0] = (0, 255, 255)
GOOD = {"images": pictures(4, 20, 20, 3), "policy": simclr.Policy.simclr(16), "seed": 1, "ids": range(4), "epoch": 0,
        "view": 0}


@pytest.mark.parametrize("wrong, message", [
    ({"images": GOOD["images"].astype(np.int64)}, "images holds int64.*uint8"),
    ({"images": GOOD["images"].astype(np.float64)}, "images holds float64"),
    ({"images": np.array([["a"]])}, "images holds <U1"),
    ({"images": np.array([object()])}, "images holds object"),
    ({"images": "photo.png"}, "numpy array or a torch tensor, not str"),
    ({"images": None}, "not NoneType"),
    ({"images": [GOOD["images"][0], 3, 4, 5]}, r"images\[1\] must be a numpy array"),
    ({"images": GOOD["images"][0]}, r"images has shape \[20, 20, 3\].*images\[None\]"),
    ({"images": GOOD["images"][..., 0]}, r"images has shape \[4, 20, 20\]"),
    ({"images": GOOD["images"].transpose(0, 3, 1, 2)}, r"shape \[3,20,20\].*1, 3 or 4 channels"),
    ({"images": GOOD["images"][:, :0]}, r"shape \[0,20,3\]"),
    ({"images": [GOOD["images"]] * 4}, r"shape \[4,20,20,3\]"),
    ({"images": NAN}, "sample 2 has the value nan"),
    ({"images": np.where(np.isnan(NAN), np.float32(np.inf), NAN)}, "sample 2 has the value inf"),
    ({"images": WHITE}, "float32 pictures hold 0 to 1, and images holds 255; divide by 255"),
    ({"images": WHITE * 257}, "images holds 65535; divide by the value of white, as 65535"),
    ({"images": WHITE / np.float32(127.5) - 1}, r"float32 pictures hold 0 to 1, and images holds -1; bring them there"),
    ({"images": [GOOD["images"][0], *WHITE[1:]]}, r"images\[1\] holds 255"),
    ({"images": GOOD["images"][:3]}, r"ids has shape \[4\], and there are 3 pictures"),
    ({"ids": range(5)}, r"ids has shape \[5\], and there are 4 pictures"),
    ({"ids": np.arange(4).reshape(2, 2)}, r"ids has shape \[2, 2\]"),
    ({"ids": [0, 1, 2, -1]}, "ids must be from 0 to 4294967295, and there are -1 to 2"),
    ({"ids": [0, 1, 2, 2**32]}, "ids must be from 0 to 4294967295"),
    ({"ids": [0, 1, 2, 0.5]}, "ids must be integers"),
    ({"ids": None}, "ids must be integers"),
    ({"seed": -1}, "seed is -1"),
    ({"seed": 2**64}, "seed is 18446744073709551616, it must be from 0"),
    ({"seed": 1.5}, "seed must be an int, not 1.5"),
    ({"epoch": 2**32}, "epoch is 4294967296"),
    ({"view": -1}, "view is -1"),
    ({"view": 2**24}, "view is 16777216"),
    ({"view": []}, "view is empty"),
    ({"view": [0.5]}, "view must be an int, not 0.5"),
    ({"view": np.array(0.5)}, r"view must be an int, not array\(0.5\)"),
    ({"view": np.zeros((2, 2), int)}, r"view must be an int, not array\(\[0, 0\]\)"),
    ({"epoch": np.array([0, 1])}, r"epoch must be an int, not array\(\[0, 1\]\)"),
    ({"view": [0, None]}, "view must be an int, not None"),
    ({"view": None}, "view must be an int, not None"),
    ({"policy": {"size": 16}}, "policy must be a simclr.Policy, not dict"),
])
def test_what_is_wrong_is_said(wrong, message):
    with pytest.raises(simclr.InputError, match=message) as caught:
        given = {**GOOD, **wrong}
        simclr.augment(given.pop("images"), given.pop("policy"), **given)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


def test_rounding_leaves_the_range_a_little():
    images = pictures(4, 20, 20, 3, "f32")
    images[0, 0, 0], images[0, 0, 1] = -1e-4, 1 + 1e-4
    wanted = simclr.augment(images.clip(0, 1), GOOD["policy"].evaluation(), seed=1, ids=range(4), epoch=0, view=0)
    made = simclr.augment(images, GOOD["policy"].evaluation(), seed=1, ids=range(4), epoch=0, view=0)
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-4)  # an average with what was cut off


@pytest.mark.parametrize("number", [np.int64, np.uint8, np.array])
def test_numbers_of_numpy_are_taken(number):
    keys = {"seed": number(1), "ids": range(4), "epoch": number(2), "view": number(3)}
    wanted = simclr.augment(GOOD["images"], GOOD["policy"], seed=1, ids=range(4), epoch=2, view=3)
    assert np.array_equal(simclr.augment(GOOD["images"], GOOD["policy"], **keys), wanted)


def test_several_views_are_any_sequence():
    keys = {"seed": 1, "ids": range(4), "epoch": 0}
    wanted = simclr.augment(GOOD["images"], GOOD["policy"], view=[0, 1], **keys)
    for view in (np.array([0, 1]), (np.int64(0), 1), range(2), iter([0, 1])):
        assert np.array_equal(simclr.augment(GOOD["images"], GOOD["policy"], view=view, **keys), wanted)
    torch = pytest.importorskip("torch")
    assert np.array_equal(simclr.augment(GOOD["images"], GOOD["policy"], view=torch.tensor([0, 1]), **keys), wanted)
    one = simclr.augment(GOOD["images"], GOOD["policy"], view=torch.tensor([1]), **keys)
    assert np.array_equal(one, wanted[1:])


def test_ctrl_c_ends_a_long_call():
    """Which another thread of Python sends, for the call does not keep the lock."""
    large = np.zeros((1, 1500, 1500, 3), np.uint8)  # half a minute of views, where the signal does not end them
    make = functools.partial(simclr._core.augment, large, simclr.Policy.simclr(8), 1, [0], 0)
    ended = []
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        ended.extend(map(make, [list(range(20000))], [False]))  # no step of Python between its end and the list
    assert not ended


def test_no_pictures_are_no_views():
    views = simclr.augment(GOOD["images"][:0], GOOD["policy"], seed=1, ids=[], epoch=0, view=[0, 1])
    assert views.shape == (2, 0, 16, 16, 3)
    assert simclr.augment([], GOOD["policy"], seed=1, ids=[], epoch=0, view=0).shape == (0, 16, 16, 3)


def test_a_policy_has_the_library_s_fields_and_recipes():
    policy = simclr.Policy()
    fields = policy.to_dict()
    assert (policy.size, policy.channels, policy.crop_area_min) == (32, 3, 0.08)
    assert policy.mean == (0, 0, 0) and policy.stddev == (1, 1, 1)
    for name, value in fields.items():
        assert getattr(policy, name) == value and f"\n{name} = {value!r}\n" in simclr.Policy.__doc__
    photos = simclr.Policy.simclr(224)
    assert (photos.size, photos.interpolation, photos.brightness, photos.hue) == (224, "bicubic", 0.8, 0.2)
    assert simclr.Policy.simclr_cifar() == simclr.Policy(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    changed = photos.replace(size=64, stddev=(1, 2, 3), mean=0.5, channels=3)
    assert (changed.size, changed.stddev, changed.mean) == (64, (1, 2, 3), (0.5, 0.5, 0.5)) and photos.size == 224
    assert simclr.Policy(**changed.to_dict()) == changed != photos
    assert eval(repr(changed), {"Policy": simclr.Policy}) == changed
    for again in (pickle.loads(pickle.dumps(changed)), copy.copy(changed), copy.deepcopy(changed)):
        assert again == changed
        again.size = 8
        assert again != changed
    plain = changed.evaluation()
    assert (plain.random_crop, plain.flip_probability, plain.size, plain.mean) == (False, 0, 64, changed.mean)
    assert policy != 3 and simclr.Policy(channels=2, stddev=[1, 2]).stddev == (1, 2)


@pytest.mark.parametrize("fields, message", [
    ({"sise": 3}, "there is no field sise"),
    ({"size": "32"}, "size must be an int, not '32'"),
    ({"size": 32.5}, "size must be an int"),
    ({"size": 2**40}, "size is 1099511627776, which int32 cannot hold"),
    ({"size": None}, "size must be an int, not None"),
    ({"size": 0}, "size is 0"),
    ({"channels": 17}, "channels is 17"),
    ({"channels": -1}, "channels is -1"),
    ({"hue": 0.6}, "hue is 0.6"),
    ({"hue": math.nan}, "hue is nan"),
    ({"hue": None}, "hue must be a number"),
    ({"flip_probability": 1.5}, "flip_probability is 1.5"),
    ({"random_crop": 1}, "random_crop must be True or False"),
    ({"interpolation": "nearest"}, "interpolation must be 'bilinear' or 'bicubic'"),
    ({"interpolation": 1}, "interpolation must be"),
    ({"crop_area_min": 0.5, "crop_area_max": 0.2}, "crop_area_min and crop_area_max"),
    ({"blur_kernel": 4}, "blur_kernel is 4"),
    ({"mean": (0, 1)}, "mean has 2 numbers, views have 3 channels"),
    ({"mean": "abc"}, "mean must be a number or a sequence"),
    ({"stddev": (1, 1, 0)}, r"stddev\[2\] is 0"),
    ({"stddev": [1] * 40}, "stddev has 40 numbers"),
])
def test_a_policy_that_cannot_be_is_refused(fields, message):
    with pytest.raises(simclr.InputError, match=message):
        simclr.Policy(**fields)
    policy = simclr.Policy()
    with pytest.raises(simclr.InputError, match=message):
        policy.replace(**fields)
    assert policy == simclr.Policy()


def test_fields_are_given_by_name():
    for wrong in (lambda: simclr.Policy(32), lambda: simclr.Policy(32, channels=3), lambda: simclr.Policy().replace(32)):
        with pytest.raises(simclr.InputError, match=r"Policy: fields are given by name, as in Policy\(size=32\)"):
            wrong()
    with pytest.raises(simclr.InputError, match="Policy: size must be an int, not 'small'"):
        simclr.Policy.simclr("small")


def test_a_policy_that_was_changed_into_one_that_cannot_be_is_refused_when_used():
    policy = simclr.Policy()
    policy.size = -5  # fields are checked together, so that they can be set one by one
    with pytest.raises(simclr.InputError, match="size is -5"):
        simclr.augment(GOOD["images"], policy, seed=1, ids=range(4), epoch=0, view=0)
    policy.size, policy.channels = 8, 10**9
    assert len(policy.mean) == 16
    with pytest.raises(simclr.InputError, match="channels is 1000000000"):
        simclr.augment(GOOD["images"], policy, seed=1, ids=range(4), epoch=0, view=0)


def test_threads_of_python_make_views_at_once():
    images = pictures(64, 24, 24, 3)
    policy = simclr.Policy.simclr(16)
    wanted = [simclr.augment(images, policy, seed=seed, ids=range(64), epoch=0, view=0) for seed in range(8)]
    made = [None] * 8

    def work(seed):
        for _ in range(20):
            made[seed] = simclr.augment(images, policy, seed=seed, ids=range(64), epoch=0, view=0)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(made, wanted))


def test_a_forked_process_makes_the_same_views():
    images = pictures(64, 24, 24, 3)

    def views():
        return simclr.augment(images, simclr.Policy.simclr(16), seed=1, ids=range(64), epoch=0, view=0)
    wanted = views()  # so that the threads are there, which a child does not have
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a child that hangs
        os._exit(0 if np.array_equal(views(), wanted) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_memory_stays_flat():
    images = pictures(4, 16, 16, 3)
    policy = simclr.Policy.simclr(8)

    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    for count in (200, 10000):
        before = resident()
        for _ in range(count):
            simclr.augment(images, policy, seed=1, ids=range(4), epoch=0, view=0)
            with pytest.raises(simclr.InputError):
                simclr.augment(images, policy, seed=1, ids=range(3), epoch=0, view=0)
    assert resident() - before < 2**20  # of 10,000 calls: the least that could leak, a picture each, is 12 MiB
