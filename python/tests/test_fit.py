"""simclr.fit: data sets of Python trained on as the programs train on the same samples in files, to the digit."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import wave

import numpy as np
import pytest

import simclr

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))

from support.tiny_data import write_pictures, write_recordings, write_texts  # noqa: E402

PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", pathlib.Path(simclr.__file__).parents[2] / "examples"))
RUN = {"batch_size": 16, "epochs": 2, "knn_every": 1, "probe_epochs": 2, "device": "cpu", "threads": 1}
PICTURES = {"width": 4, "size": 0, **RUN}
TIMES = {"time", "seconds", "samples_per_second", "training_seconds"}

if not hasattr(simclr._core, "train"):
    pytest.skip("this build is without the programs", allow_module_level=True)


class Listed:
    """The least that a data set is."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        item = self.items[i]
        if isinstance(item, Exception):
            raise item
        return item


def launch(name, out, **options):
    if not (PROGRAMS / name).exists():
        pytest.skip(f"{PROGRAMS / name} is not there; PROGRAMS names the programs' folder")
    command = [PROGRAMS / name, *(f"--{key.replace('_', '-')}={value}" for key, value in options.items()), f"--out={out}"]
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def entries(out):
    """A run's log without what a clock says."""
    lines = [json.loads(line) for line in (pathlib.Path(out) / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def weights(out):
    """The values of the final weights, without the metadata, which name the data."""
    whole = (pathlib.Path(out) / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8:8 + length])
    header.pop("__metadata__")
    return header, whole[8 + length:]


def same_runs(one, other):
    assert entries(one) == entries(other) and {"step", "evaluation"} <= {entry["event"] for entry in entries(one)}
    assert weights(one) == weights(other)


def pictures(count=60, channels=3, side=16):
    """Of three colours, in the order of their classes, and which class each is of."""
    source = np.random.default_rng(0)
    labels = np.sort(np.arange(count) % 3)
    noise = source.integers(0, 60, (count, side, side, channels))
    return (noise + 60 * labels[:, None, None, None]).astype(np.uint8), labels


@pytest.mark.parametrize("channels", [3, 1, 5])
def test_arrays_are_trained_on_as_in_an_array_file(tmp_path, channels):
    images, labels = pictures(channels=channels, side=20)
    np.savez(tmp_path / "set.npz", images=images, labels=labels)
    launch("train_cifar", tmp_path / "program", dataset="arrays", data=tmp_path / "set.npz", **PICTURES)
    result = simclr.fit(Listed(list(zip(images, labels))), **PICTURES, out=tmp_path / "own", quiet=True)
    same_runs(tmp_path / "own", tmp_path / "program")
    assert (result["steps"], result["skipped_samples"]) == (6, 0)
    encoder = simclr.load(result["out"])
    assert encoder.policy.size == 20 and encoder.policy.channels == channels
    assert (tmp_path / "own/report.html").exists()


def test_a_test_set_is_what_is_evaluated_on(tmp_path):
    images, labels = pictures()
    tested, wanted = pictures(12)
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=tested, y_test=wanted)
    launch("train_cifar", tmp_path / "program", dataset="arrays", data=tmp_path / "set.npz", **PICTURES)
    simclr.fit(Listed(list(zip(images, labels))), test=Listed(list(zip(tested, wanted))), **PICTURES, out=tmp_path / "own",
               quiet=True)
    same_runs(tmp_path / "own", tmp_path / "program")


def test_files_bytes_are_trained_on_as_in_a_folder(tmp_path):
    for label, name in enumerate("abc"):
        write_pictures(tmp_path / "pictures" / name, 20, 3 * label)
    paths = sorted((tmp_path / "pictures").glob("*/*.png"))
    launch("train_cifar", tmp_path / "program", dataset="folder", data=tmp_path / "pictures", **PICTURES)
    simclr.fit(Listed([(path.read_bytes(), path.parent.name) for path in paths]), **PICTURES, out=tmp_path / "own",
               quiet=True, workers=2)
    same_runs(tmp_path / "own", tmp_path / "program")


def test_texts_are_trained_on_as_in_a_table(tmp_path):
    write_texts(tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "films.tsv").read_text().splitlines()[1:]]
    options = {"width": 8, **RUN}
    launch("train_text", tmp_path / "program", data=tmp_path / "films.tsv", **options)
    simclr.fit(Listed([(text, label) for label, text in rows]), modality="text", **options, out=tmp_path / "own", quiet=True)
    same_runs(tmp_path / "own", tmp_path / "program")


def test_sounds_are_trained_on_as_in_a_folder(tmp_path):
    write_recordings(tmp_path / "flat")
    items = []
    for path in sorted((tmp_path / "flat").iterdir(), key=lambda path: (path.name.split("_")[0], path.name)):
        label = path.name.split("_")[0]
        (tmp_path / "words" / label).mkdir(parents=True, exist_ok=True)
        path = path.rename(tmp_path / "words" / label / path.name)
        with wave.open(str(path)) as sound:
            items.append((np.frombuffer(sound.readframes(sound.getnframes()), np.int16), label))
    options = {"rate": 8000, "mels": 16, "width": 4, "warmup_epochs": 0, **RUN}
    launch("train_speech", tmp_path / "program", data=tmp_path / "words", **options)
    simclr.fit(Listed(items), modality="sound", **options, out=tmp_path / "own", quiet=True)
    same_runs(tmp_path / "own", tmp_path / "program")
    floats = [(values.astype(np.float32) / 32768, label) for values, label in items]
    simclr.fit(Listed(floats), modality="sound", **options, out=tmp_path / "floats", quiet=True)
    assert weights(tmp_path / "floats") == weights(tmp_path / "own")


def test_what_cannot_be_used_is_named_and_counted_and_the_run_goes_on(tmp_path):
    images, labels = pictures()
    items = list(zip(images, labels))
    items[3] = OSError("the disk\nis gone")
    items[25] = (images[25].astype(int), labels[25])
    items[47] = (b"\x89PNG\r\n\x1a\n" + bytes(50), labels[47])
    items[50] = ValueError("a name \udcff that is no UTF-8")
    with pytest.warns(UserWarning) as caught:
        result = simclr.fit(Listed(items), **{**PICTURES, "epochs": 4}, out=tmp_path / "run", quiet=True)
    said = [str(each.message) for each in caught]
    assert any(line.startswith("sample 3 of the data set: OSError: the disk is gone") for line in said)
    assert any(line.startswith("sample 25 of the data set: it holds int64") for line in said)
    assert any(line.startswith("sample 47 of the data set:") for line in said)
    assert all("\n" not in line for line in said) and caught[0].filename == __file__
    assert any(line.startswith("sample 50 of the data set: ValueError: a name \\udcff") for line in said)
    assert (result["skipped_samples"], result["epochs"]) == (4, 4)
    texts = [f"{word} and {number}" for word in ("one", "two", "three", "four") for number in range(6)]
    with pytest.warns(UserWarning) as caught:
        simclr.fit(Listed([*texts, 7, "", "\ud800"]), modality="text", width=8, **RUN, out=tmp_path / "texts", quiet=True)
    said = [str(each.message) for each in caught]
    assert [line.split(":")[0] for line in said] == [f"sample {i} of the data set" for i in (24, 25, 26)]
    assert "it is a int, and a text is a str" in said[0] and "is empty" in said[1] and "UTF-8" in said[2]
    with pytest.warns(UserWarning), pytest.raises(simclr.RunError, match="more than half"):
        simclr.fit(Listed([ValueError("no")] * 40), **PICTURES, out=tmp_path / "none", quiet=True)


def test_ctrl_c_in_a_sample_s_code_ends_the_run_and_it_goes_on(tmp_path):
    images, labels = pictures()
    items = list(zip(images, labels))
    simclr.fit(Listed(items), **PICTURES, out=tmp_path / "whole", quiet=True)

    class Interrupted(Listed):
        asked = 0

        def __getitem__(self, i):
            self.asked += 1
            if self.asked == 90:  # behind the first look, amid the training
                raise KeyboardInterrupt
            return super().__getitem__(i)

    with pytest.raises(KeyboardInterrupt):
        simclr.fit(Interrupted(items), **PICTURES, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run/model.safetensors").exists()
    with pytest.raises(simclr.InputError, match="the data"):  # of another
        simclr.fit(Listed(items[:50]), **PICTURES, out=tmp_path / "run", resume=True, quiet=True)
    simclr.fit(Listed(items), **PICTURES, out=tmp_path / "run", resume=True, quiet=True)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_sample_that_asks_to_exit_ends_the_run(tmp_path):
    class Leaving(Listed):
        asked = 0

        def __getitem__(self, i):
            self.asked += 1
            if self.asked > 90:  # each time
                sys.exit("enough")
            return super().__getitem__(i)

    with pytest.warns(UserWarning, match="its code asked to end the run"), pytest.raises(SystemExit, match="enough"):
        simclr.fit(Leaving(list(zip(*pictures()))), **PICTURES, out=tmp_path / "run", quiet=True)


def test_labels_are_numbered_alike_and_may_be_names_of_files(tmp_path):
    images, _ = pictures()
    for label in ("1", "01", "a\udcff"):
        items = list(zip(images, ["1", "2", label] * 20))
        result = simclr.fit(Listed(items), **{**PICTURES, "epochs": 1, "knn_every": 0}, out=tmp_path / label[0:2], quiet=True)
        assert len(result["evaluation"]["trained"]["knn"]["recall"]) == (2 if label == "1" else 3)


def test_pictures_of_pillow_and_tensors_and_labels_of_any_kind(tmp_path):
    options = {**PICTURES, "epochs": 1, "knn_every": 0, "quiet": True}
    images, labels = pictures()
    simclr.fit(Listed(list(zip(images, labels))), **options, out=tmp_path / "arrays")
    pil = pytest.importorskip("PIL.Image")
    simclr.fit(Listed([(pil.fromarray(image), int(label)) for image, label in zip(images, labels)]), **options,
               out=tmp_path / "pillow")
    assert weights(tmp_path / "pillow") == weights(tmp_path / "arrays")
    torch = pytest.importorskip("torch")
    simclr.fit(Listed(list(zip(torch.from_numpy(images), torch.from_numpy(labels)))), **options, out=tmp_path / "tensors")
    assert weights(tmp_path / "tensors") == weights(tmp_path / "arrays")
    result = simclr.fit(images, **options, out=tmp_path / "bare")  # an array is a data set without labels
    assert result["evaluation"] is None and result["steps"] == 3
    for name, none in (("minus", -1), ("none", None), ("nan", float("nan"))):
        simclr.fit(Listed(list(zip(images, [0, 1, none] * 20))), **options, out=tmp_path / name)
        assert entries(tmp_path / name) == entries(tmp_path / "minus")
    assert len(entries(tmp_path / "minus")[-1]["trained"]["knn"]["recall"]) == 2


@pytest.mark.parametrize("dataset, options, message", [
    (3, {}, "the data set is a int, which lacks __len__"),
    ([], {}, "the data set has 0 samples"),
    (np.zeros((20, 8, 8, 3), np.uint8), {"data": "x"}, "data names files"),
    (np.zeros((20, 8, 8, 3), np.uint8), {"modality": "clip"}, "clips and pairs are trained from files"),
    (np.zeros((20, 8, 8, 3), np.uint8), {"test": 3}, "the test set is a int"),
    (np.zeros((20, 8, 8, 3), np.uint8), {"batch_size": 64}, "--batch-size 64 is more than the 20 training pictures"),
    (np.zeros((20, 8, 8, 3), np.uint8), {"bach_size": 4}, r"did you mean --batch-size\?"),
    ([(np.zeros((8, 8, 3), np.uint8), {})] * 20, {}, "the label of sample 0 of the data set must be an int"),
    ([(np.zeros((8, 8, 3), np.uint8), np.array([0, 1]))] * 20, {}, "the label of sample 0 of the data set must be an int"),
])
def test_what_is_wrong_is_said(tmp_path, dataset, options, message):
    with pytest.raises(simclr.InputError, match=message) as caught:
        simclr.fit(dataset, **options, out=tmp_path / "run", quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run/model.safetensors").exists()
