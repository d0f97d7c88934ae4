"""simclr.load: features to the bit those of the program embed, in scikit-learn's and torch's terms."""
import copy
import json
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import simclr

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))

from support.tiny_data import png, write_fashion_mnist, write_pictures, write_recordings, write_texts  # noqa: E402

PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", pathlib.Path(simclr.__file__).parents[2] / "examples"))
SMALL = ["--batch-size", "16", "--epochs", "1", "--knn-every", "0", "--no-evaluation", "--device", "cpu", "--threads", "1"]

if not hasattr(simclr._core, "Encoder"):
    pytest.skip("this build is without the programs", allow_module_level=True)


def launch(name, *arguments):
    if not (PROGRAMS / name).exists():
        pytest.skip(f"{PROGRAMS / name} is not there; PROGRAMS names the programs' folder")
    command = [PROGRAMS / name, *arguments]
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def embed(weights, place, out, *options):
    """(names, features) as the program writes them."""
    launch("embed", weights, place, "--out", out, "--device", "cpu", *options)
    return (out / "files.txt").read_text().splitlines(), np.load(out / "features.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """pictures/{train,test}/{a,b,c}, of 20 x 20 pixels, and one in grey and one larger of train/a."""
    images = pytest.importorskip("PIL.Image")
    made = tmp_path_factory.mktemp("encoder")
    for part, count in (("train", 20), ("test", 6)):
        for label, name in enumerate("abc"):
            write_pictures(made / "pictures" / part / name, count, 3 * label)
    train = made / "pictures/train/a"
    images.open(train / "00.png").convert("L").save(train / "grey.png")
    images.open(train / "01.png").resize((37, 23)).convert("RGBA").save(train / "alpha.png")
    return made


@pytest.fixture(scope="module")
def run(folder):
    out = folder / "run"
    launch("train_cifar", "--dataset", "folder", "--data", folder / "pictures", "--width", "4", "--size", "16", *SMALL,
           "--out", out)
    return out


@pytest.fixture(scope="module")
def encoder(run):
    return simclr.load(run)


@pytest.fixture(scope="module")
def embedded(folder, run):
    return embed(run, folder / "pictures/train", folder / "embedded")


def test_a_folder_s_features_are_those_of_embed(folder, run, encoder, embedded):
    names, features = embedded
    found = encoder.embed(folder / "pictures/train")
    assert found.files == names and len(names) == 62 and found.unreadable == 0 and found.left_out == ""
    assert found.features.dtype == np.float32 and found.features.tobytes() == features.tobytes()
    assert np.ptp(features, axis=0).mean() > 1e-3  # they tell pictures apart
    assert encoder.features == features.shape[1] == 32
    assert (encoder.sample, encoder.path) == ("picture", str(run / "model.safetensors"))
    assert (encoder.policy.size, encoder.policy) == (16, encoder.policy.evaluation())
    assert encoder.config["arch"] == "resnet18" and "resnet18, width 4" in repr(encoder)


def test_files_and_arrays_have_the_same_features(folder, encoder, embedded):
    images = pytest.importorskip("PIL.Image")
    names, features = embedded
    paths = [folder / "pictures/train" / name for name in names]
    for given in (paths, [str(path) for path in paths], [os.fsencode(path) for path in paths], tuple(paths)):
        assert encoder.transform(given).tobytes() == features.tobytes()
    pictures = [images.open(path) for path in paths]
    assert encoder(pictures).tobytes() == features.tobytes()
    arrays = [np.asarray(picture) for picture in pictures]
    assert {array.shape for array in arrays} == {(20, 20, 3), (20, 20), (23, 37, 4)}
    assert encoder(arrays).tobytes() == features.tobytes()
    assert encoder.transform(arrays).tobytes() == features.tobytes()
    same = [i for i, array in enumerate(arrays) if array.shape == (20, 20, 3)]
    whole = np.stack([arrays[i] for i in same])
    # Rows of another batch may round a product differently.
    np.testing.assert_allclose(encoder(whole), features[same], rtol=1e-5, atol=1e-6)
    floats = (whole.astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(encoder(floats), features[same], rtol=1e-4, atol=1e-5)
    assert encoder(whole[:0]).shape == (0, 32) and encoder.transform([]).shape == (0, 32)


def test_arrays_of_paths_are_paths(folder, encoder):
    paths = sorted((folder / "pictures/train/a").iterdir())
    wanted = encoder.transform(paths)
    for given in (np.array(paths, object), np.array([str(p) for p in paths]), np.array([bytes(p) for p in paths])):
        assert np.array_equal(encoder.transform(given), wanted)


def test_tensors_of_torch_are_taken(encoder):
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    assert np.array_equal(encoder(torch.from_numpy(images)), encoder(images))


def test_torch_has_the_same_network(folder, encoder, embedded):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    model = encoder.to_torch()
    assert isinstance(model, torch.nn.Module) and not model.training
    views = simclr.augment(torch.from_numpy(images), encoder.policy, seed=0, ids=range(5), epoch=0, view=0)
    with torch.no_grad():
        features = model(views.permute(0, 3, 1, 2)).numpy()
    wanted = encoder(images)
    assert np.ptp(wanted, axis=0).mean() > 1e-3
    np.testing.assert_allclose(features, wanted, rtol=0, atol=1e-5 * abs(wanted).max())  # f32 through 18 layers


@pytest.mark.parametrize("options, words", [
    ({}, []), ({"head": True}, ["--head"]), ({"preprocess": True, "fold": False}, ["--preprocess", "--no-fold"])])
def test_onnx_is_the_file_of_export_onnx(run, encoder, tmp_path, options, words):
    launch("export_onnx", run, tmp_path / "program.onnx", *words)
    encoder.to_onnx(tmp_path / "own.onnx", **options)
    written = (tmp_path / "own.onnx").read_bytes()
    assert written == (tmp_path / "program.onnx").read_bytes() and len(written) > 10_000
    with pytest.raises(simclr.InputError, match="own.onnx: exists already"):
        encoder.to_onnx(str(tmp_path / "own.onnx"))
    assert (tmp_path / "own.onnx").read_bytes() == written
    encoder.to_onnx(tmp_path / "own.onnx", overwrite=True)
    assert (tmp_path / "own.onnx").read_bytes() != written or not options


@pytest.mark.parametrize("path, message", [
    (3, "path must be a path, not int"), ("a\0b", "holds a NUL"), ("gone/encoder.onnx", "there is no folder gone"),
    (".", "is a folder")])
def test_an_onnx_file_that_cannot_be_written_is_refused(encoder, path, message):
    with pytest.raises(simclr.InputError, match=message):
        encoder.to_onnx(path)


@pytest.mark.parametrize("arch, stem, width", [("resnet34", "imagenet", 8), ("resnet50", "cifar", 4),
                                               ("resnet18", "imagenet", 64)])
def test_torch_has_every_network(folder, arch, stem, width, tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    launch("train_cifar", "--dataset", "folder", "--data", folder / "pictures", "--arch", arch, "--stem", stem,
           "--width", width, "--size", "32", *SMALL, "--out", tmp_path / "run")
    encoder = simclr.load(tmp_path / "run")
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    views = simclr.augment(images, encoder.policy, seed=0, ids=range(4), epoch=0, view=0)
    with torch.no_grad():
        features = encoder.to_torch()(torch.from_numpy(views).permute(0, 3, 1, 2)).numpy()
    wanted = encoder(images)
    assert wanted.shape == (4, encoder.features)
    np.testing.assert_allclose(features, wanted, rtol=0, atol=2e-5 * abs(wanted).max())  # f32 through up to 50 layers


def test_it_agrees_with_linear_probe(folder, run, encoder):
    launch("linear_probe", run, "--dataset", "folder", "--data", folder / "pictures", "--labels", "100", "--json",
           folder / "probe.json", "--device", "cpu")
    result = json.loads((folder / "probe.json").read_text())["results"][0]
    train, test = (encoder.embed(folder / "pictures" / part) for part in ("train", "test"))
    labels, asked = (np.array(["abc".index(name[0]) for name in part.files]) for part in (train, test))
    knn = simclr.metrics.classification(simclr.knn(train.features, labels, test.features, k=result["knn_k"]), asked)
    probe = simclr.metrics.classification(simclr.linear_probe(train.features, labels, test.features), asked)
    for mine, wanted in ((knn, result["knn"]), (probe, result["linear"])):
        assert (mine.top1, mine.macro_f1) == (wanted["top1"], wanted["macro_f1"])


def test_it_has_scikit_learn_s_conventions(folder, run, encoder, embedded):
    names, features = embedded
    paths = [str(folder / "pictures/train" / name) for name in names]
    labels = [name[0] for name in names]
    assert encoder.fit(paths, labels) is encoder
    assert encoder.get_params() == {"run_or_file": run, "side": "none", "device": "cpu", "batch_size": 64}
    assert np.array_equal(encoder.fit_transform(paths), features)
    assert encoder.get_feature_names_out()[31] == "encoder31"


def test_parameters_can_be_set_and_copies_made(run, encoder):
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    changed = copy.copy(encoder)
    assert changed.set_params(batch_size=1) is changed and changed.batch_size == 1 and encoder.batch_size == 64
    for wrong, message in (({"size": 3}, "there is no size"), ({"run_or_file": "gone"}, "gone"), ({"side": "left"}, "side")):
        with pytest.raises(simclr.InputError, match=message):
            changed.set_params(**wrong)
        assert (changed.batch_size, changed.run_or_file, changed.side) == (1, run, "none")
    again = pickle.loads(pickle.dumps(encoder))
    assert np.array_equal(again(images), encoder(images))


def test_threads_use_one_at_once(encoder):
    images = np.random.default_rng(0).integers(0, 256, (8, 20, 16, 16, 3), dtype=np.uint8)
    wanted = [encoder(some) for some in images]
    made = [None] * 8

    def work(i):
        for _ in range(5):
            made[i] = encoder(images[i])
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(made, wanted))


def test_a_run_of_texts(tmp_path):
    write_texts(tmp_path)
    launch("train_text", "--data", tmp_path / "sentences.txt", *SMALL, "--out", tmp_path / "run")
    encoder = simclr.load(tmp_path / "run")
    assert encoder.sample == "text" and encoder.policy is None
    lines = [line.decode() for line in (tmp_path / "sentences.txt").read_bytes().splitlines() if b"\xe9" not in line]
    (tmp_path / "asked.txt").write_text("\n".join(lines) + "\n")
    names, features = embed(tmp_path / "run", tmp_path / "asked.txt", tmp_path / "out")
    assert names == lines
    assert encoder(lines).tobytes() == features.tobytes() == encoder.transform(lines).tobytes()
    assert np.array_equal(encoder.embed(tmp_path / "asked.txt").features, features)
    (tmp_path / "one.txt").write_text(lines[4])
    np.testing.assert_allclose(encoder.transform([tmp_path / "one.txt"])[0], features[4], rtol=1e-4, atol=1e-6)
    for wrong, message in (("one", "list of str"), ([3], "list of str"), (None, "list of str"), (5, "list of str"),
                           ([" "], "sample 0"), ([lines[0], "\0"], "sample 1")):
        with pytest.raises(simclr.InputError, match=message) as caught:
            encoder(wrong)
        assert "skipped" not in str(caught.value)
    with pytest.raises(simclr.InputError, match="no ResNet"):
        encoder.to_torch()


def test_a_run_of_recordings(tmp_path):
    write_recordings(tmp_path / "words", takes=2)
    launch("train_speech", "--data", tmp_path / "words", "--pattern", "{label}_{speaker}_{take}.wav", "--rate", "8000",
           "--mels", "16", "--width", "4", "--warmup-epochs", "0", *SMALL, "--out", tmp_path / "run")
    encoder = simclr.load(tmp_path / "run")
    names, features = embed(tmp_path / "run", tmp_path / "words", tmp_path / "out")
    assert encoder.sample == "recording" and encoder.embed(tmp_path / "words").features.tobytes() == features.tobytes()
    tones = np.sin(np.arange(2 * 2400, dtype=np.float32).reshape(2, 2400) / 5)
    assert encoder(3 * tones - 1).shape == (2, encoder.features)  # of any range
    for dtype, mend in (("int16", r"samples\.astype\('float32'\) / 32768"), ("float64", r"samples\.astype\('float32'\)"),
                        ("uint8", r"\(samples\.astype\('float32'\) - 128\) / 128"), ("uint16", "-1 to 1$")):
        with pytest.raises(simclr.InputError, match=f"samples holds {dtype}, and recordings hold float32.*{mend}") as caught:
            encoder((100 * abs(tones)).astype(dtype))
        assert "picture" not in str(caught.value)
    with pytest.raises(simclr.InputError, match=r"samples\[1\] holds int16"):
        encoder([tones[0], tones[1].astype(np.int16)])


def test_a_run_of_clips(tmp_path):
    for i in range(24):
        write_pictures(tmp_path / f"clips/{'ab'[i % 2]}/s{i // 2}", 5, i % 2)  # frames
    launch("train_video", "--data", tmp_path / "clips", "--pattern", "{label}/{session}", "--size", "16", "--frames", "4",
           "--clips", "1", "--width", "4", *SMALL, "--out", tmp_path / "run")
    encoder = simclr.load(tmp_path / "run")
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3), dtype=np.uint8)
    features = encoder(clips)
    assert encoder.sample == "clip" and np.ptp(features, axis=0).max() > 1e-3
    floats = clips.astype(np.float32)
    np.testing.assert_allclose(encoder(floats / 255), features, rtol=1e-4, atol=1e-5)
    for wrong, message in ((floats, r"float32 clips hold 0 to 1, and samples\[0\] holds 255; divide by 255"),
                           ([clips[0], floats[1] / 127.5 - 1], r"samples\[1\] holds -1"),
                           (clips[0], r"clips are \[N,T,H,W,C\].*samples\[None\]"), (clips.astype(int), "samples holds int64")):
        with pytest.raises(simclr.InputError, match=message):
            encoder(wrong)


def test_one_channel_takes_grey_pictures(tmp_path):
    write_fashion_mnist(tmp_path / "grey")
    launch("train_cifar", "--dataset", "fashion-mnist", "--data", tmp_path / "grey", "--width", "4", *SMALL, "--out",
           tmp_path / "run")
    encoder = simclr.load(tmp_path / "run")
    assert encoder.policy.channels == 1
    assert np.array_equal(encoder(IMAGES[..., 0]), encoder(IMAGES[..., :1]))
    with pytest.raises(simclr.InputError, match=r"shape \[16, 16, 3\].*samples\[None\]"):
        encoder(IMAGES[0])


def test_what_is_unreadable_is_left_out_of_a_folder_and_refused_in_a_list(folder, encoder, tmp_path):
    write_pictures(tmp_path / "mixed", 3)
    (tmp_path / "mixed/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (tmp_path / "mixed/notes.txt").write_text("no picture")
    with pytest.warns(UserWarning, match="broken.png"):
        found = encoder.embed(tmp_path / "mixed")
    assert found.files == ["00.png", "01.png", "02.png"] and found.unreadable == 1 and ".txt" in found.left_out
    with pytest.raises(simclr.InputError, match="broken.png"):
        encoder.transform(sorted((tmp_path / "mixed").glob("*.png")))
    with pytest.raises(simclr.InputError, match="broken.png") as caught:
        encoder.transform([tmp_path / "mixed/broken.png"])
    assert "skipped" not in str(caught.value)


IMAGES = np.zeros((2, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("call, message", [
    (lambda e: e("photo.png"), r"samples is a str.*transform\(\)"),
    (lambda e: e(None), "samples is a NoneType"),
    (lambda e: e(["photo.png"]), r"samples\[0\] is a str"),
    (lambda e: e(IMAGES.astype(int)), "samples holds int64"),
    (lambda e: e(IMAGES[0, 0, 0]), r"samples has shape \[3\]"),
    (lambda e: e(IMAGES.transpose(0, 3, 1, 2)), r"shape \[3,16,16\]"),
    (lambda e: e(np.full((1, 4, 4, 3), np.nan, np.float32)), "the value nan"),
    (lambda e: e(np.full((2, 4, 4, 3), 255, np.float32)), r"samples\[0\] holds 255; divide by 255"),
    (lambda e: e([IMAGES[0], IMAGES[0] - np.float32(1)]), r"samples\[1\] holds -1"),
    (lambda e: e(IMAGES[0]), r"samples has shape \[16, 16, 3\], and pictures are \[N,H,W,C\].*samples\[None\]"),
    (lambda e: e(IMAGES[..., 0]), r"samples has shape \[2, 16, 16\].*samples\[..., None\]"),
    (lambda e: e([IMAGES[0], IMAGES]), r"samples\[1\] has shape \[2, 16, 16, 3\]"),
    (lambda e: e.transform("photo.png"), "X is one path"),
    (lambda e: e.transform(None), "X is a NoneType; give a list of paths"),
    (lambda e: e.transform(5), "X is a int; give a list of paths"),
    (lambda e: e.transform(["a\0b.png"]), r"encoder.transform: X\[0\] 'a\\x00b.png' holds a NUL"),
    (lambda e: e.embed("a\0b"), r"encoder.embed: place 'a\\x00b' holds a NUL"),
    (lambda e: e.embed("\ud800"), r"encoder.embed: place '\\ud800' cannot be"),
    (lambda e: e.transform(["gone.png"]), "gone.png"),
    (lambda e: e.transform(["gone.png", IMAGES[0]]), r"X\[1\] is no path"),
    (lambda e: e.embed("gone"), "gone"),
    (lambda e: e.embed(3), "place must be a path"),
    (lambda e: e.embed(".", dataset="books"), "dataset books: is not known; use one of auto"),
    (lambda e: simclr.load("gone"), "gone: there is no such file or folder"),
    (lambda e: simclr.load("rci\0far"), r"simclr.load: run_or_file 'rci\\x00far' holds a NUL"),
    (lambda e: simclr.load(3), "run_or_file must be a path, not int"),
    (lambda e: simclr.load(os.devnull), os.devnull),
    (lambda e: simclr.load(e.run_or_file, side="first"), "no first side"),
    (lambda e: simclr.load(e.run_or_file, side="left"), "side must be one of none, first, second"),
    (lambda e: simclr.load(e.run_or_file, device="tpu"), "tpu"),
    (lambda e: simclr.load(e.run_or_file, device=0), "device must be a str"),
    (lambda e: simclr.load(e.run_or_file, batch_size=-1), "batch_size is -1, it must be from 1"),
    (lambda e: simclr.load(e.run_or_file, batch_size=0), "batch_size is 0, it must be from 1"),
    (lambda e: simclr.load(e.run_or_file, batch_size="all"), "batch_size must be an int"),
])
def test_what_is_wrong_is_said(encoder, call, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(simclr.InputError, match=message) as caught:
            call(encoder)
    assert "\n" not in str(caught.value) and "skipped" not in str(caught.value)


def test_a_size_of_batches_that_was_changed_is_looked_at(run):
    encoder = simclr.load(run)
    for wrong, message in (("a", "batch_size must be an int, not 'a'"), (0, "batch_size is 0")):
        encoder.batch_size = wrong
        for call in (lambda: encoder(IMAGES), lambda: encoder.transform(["a.png"]), lambda: encoder.embed(".")):
            with pytest.raises(simclr.InputError, match=message):
                call()


def test_a_damaged_file_is_refused(run, tmp_path):
    whole = (run / "model.safetensors").read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:length])
        with pytest.raises(simclr.InputError, match="cut.safetensors"):
            simclr.load(tmp_path / "cut.safetensors")


def test_a_name_that_is_no_utf8_is_taken(encoder, tmp_path):
    import random
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    with open(name, "wb") as file:
        file.write(png(3, random.Random(0)))
    assert encoder.transform([name]).shape == (1, 32)
    assert os.fsencode(encoder.embed(tmp_path).files[0]) == b"caf\xe9.png"
