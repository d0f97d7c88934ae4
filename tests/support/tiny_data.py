"""Small data sets for tests of whole programs, and a reader for the weights that they leave."""
import gzip
import json
import math
import random
import struct
import zlib

FILES = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]


def pixels(label, count, source):
    """Noise around a grey that tells the class."""
    return bytes(min(255, 24 * (label % 10) + source.randrange(30)) for _ in range(count))


def records(count, label_bytes, name):
    source = random.Random(name)
    return b"".join(bytes([i % 10] * label_bytes) + pixels(i, 3072, source) for i in range(count))


def write_cifar10(folder, each=12):
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(records(each, 1, name))
    return folder


FASHION_BEGINS = (9, 0, 0, 3, 0, 2, 7, 2, 5, 5)  # its labels, by which it is told from MNIST


def write_fashion_mnist(folder, train=40, test=12, begins=FASHION_BEGINS):
    folder.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        source = random.Random(part)
        labels = [*(begins if part == "train" else ()), *(i % 10 for i in range(count))][:count]
        images = b"".join(pixels(label, 784, source) for label in labels)
        files = {"images-idx3": struct.pack(">IIII", 0x803, count, 28, 28) + images,
                 "labels-idx1": struct.pack(">II", 0x801, count) + bytes(labels)}
        for name, data in files.items():
            (folder / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(data))
    return folder


def write_stl10(folder, unlabelled=40, train=20, test=10):
    """STL-10's binary files: planes of columns, labels from 1."""
    folder.mkdir(parents=True)
    for part, count in (("unlabeled", unlabelled), ("train", train), ("test", test)):
        source = random.Random(part)
        noise = pixels(0, 27648, source)
        pictures = [bytes((value + 20 * (i % 10)) % 256 for value in noise) for i in range(count)]
        (folder / f"{part}_X.bin").write_bytes(b"".join(pictures))
        if part != "unlabeled":
            (folder / f"{part}_y.bin").write_bytes(bytes(1 + i % 10 for i in range(count)))
    return folder


def write_emnist(folder, name="letters", train=40, test=12):
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        source = random.Random(part)
        labels = [1 + i % 26 for i in range(count)]
        files = {"images-idx3": struct.pack(">IIII", 0x803, count, 28, 28) +
                                b"".join(pixels(label, 784, source) for label in labels),
                 "labels-idx1": struct.pack(">II", 0x801, count) + bytes(labels)}
        for kind, data in files.items():
            (folder / f"emnist-{name}-{part}-{kind}-ubyte").write_bytes(data)
    return folder


def write_tiny_imagenet(folder):
    for i, name in enumerate(("n01443537", "n07747607")):
        write_pictures(folder / "train" / name / "images", 16, 3 * i)
    images = write_pictures(folder / "val" / "images", 8)
    (folder / "val" / "val_annotations.txt").write_text(
        "".join(f"{path.name}\t{'n01443537' if i % 2 else 'n07747607'}\t0\t0\t9\t9\n"
                for i, path in enumerate(sorted(images.iterdir()))))
    (folder / "wnids.txt").write_text("n07747607\nn01443537\n")
    return folder


def png_file(height, width, bits, colour_type, rows):
    """Of rows that begin with their filter's number."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def png(label, source, side=20):
    """A colour PNG file."""
    return png_file(side, side, 8, 2, b"".join(b"\0" + pixels(label, 3 * side, source) for _ in range(side)))


def write_pictures(folder, count, label=0):
    folder.mkdir(parents=True)
    source = random.Random(str(folder.name))
    for i in range(count):
        (folder / f"{i:02}.png").write_bytes(png(label, source))
    return folder


def wav(samples, rate=8000):
    """A WAV file of 16 bits."""
    data = struct.pack(f"<{len(samples)}h", *(round(32767 * value) for value in samples))
    return (b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " +
            struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) + b"data" + struct.pack("<I", len(data)) + data)


def write_recordings(folder, labels=("go", "no", "yes"), speakers=("ann", "bob", "eve", "joe"), takes=4):
    """{label}_{speaker}_{take}.wav: tones that tell the label, at a pitch of the speaker's, in a little noise."""
    folder.mkdir(parents=True)
    source = random.Random(folder.name)
    for i, label in enumerate(labels):
        for j, speaker in enumerate(speakers):
            for take in range(takes):
                turn = 2 * math.pi * 300 * 1.8 ** i * (1 + 0.05 * j + 0.01 * take) / 8000
                (folder / f"{label}_{speaker}_{take}.wav").write_bytes(
                    wav([0.4 * math.sin(turn * t) + 0.02 * source.random() for t in range(2400 + 200 * take)]))
    return folder


WORDS = {"good": "fine moving warm clever funny bright lovely rich".split(),
         "bad": "dull flat cold silly tired loud empty poor".split(),
         "any": "the a film story scene actor and , with it is plot".split()}


def sentence(label, source):
    return " ".join(source.choice(WORDS[label if source.random() < 0.4 else "any"]) for _ in range(10)) + " ."


def write_texts(folder, labelled=80, unlabelled=60):
    """films.tsv, with a label and a text each, and sentences.txt, of which one line is no UTF-8."""
    source = random.Random("texts")
    rows = [(label, sentence(label, source)) for label in ("good", "bad") * (labelled // 2)]
    (folder / "films.tsv").write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows))
    lines = [sentence(source.choice(("good", "bad")), source).encode() for _ in range(unlabelled)]
    (folder / "sentences.txt").write_bytes(b"\n".join([*lines[:3], b"caf\xe9", *lines[3:], b""]))


def write_roles(path, count):
    """CoNLL-U Plus: sentences of three words, somebody moves something."""
    def line(number, word, sense, role):
        return "\t".join([str(number), word, *"_" * 8, sense, role]) + "\n"
    source = random.Random(path.name)
    path.write_text("".join(line(1, source.choice(("film", "actor", "story")), "_", "ARG0") + line(2, "moving", "move.01", "V") +
                            line(3, source.choice(("plot", "scene")), "_", "ARG1") + "\n" for _ in range(count)))


def load_safetensors(path):
    """Metadata and {name: (dtype, shape, bytes)}; checks that the tensors fill the file."""
    content = path.read_bytes()
    length, = struct.unpack_from("<Q", content)
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", {})
    body, end, tensors = content[8 + length:], 0, {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        assert begin == end and stop - begin == 4 * math.prod(entry["shape"]), name
        tensors[name] = (entry["dtype"], entry["shape"], body[begin:stop])
        end = stop
    assert end == len(body), "bytes are left over"
    return metadata, tensors
