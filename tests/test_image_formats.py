"""748 odd pictures beside the project, with what Pillow says of each: the reader says the same. READ_PICTURES names the
built program; without those pictures the test is skipped. FORMATS names another archive.

Pixels are Pillow's to the bit. Where a decoder may round otherwise, the means of the channels are compared instead: within
2 for JPEG. Lossy WebP is defined to the bit, but for how colours between their points are interpolated, for which libraries
have a fast and a fine way: within 0.5. Of 16-bit grey the reader keeps the upper 8 bits, where the archive divides by 257:
within 1."""
import csv
import fnmatch
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHIVE = pathlib.Path(os.environ.get("FORMATS") or ROOT.parent / "shared" / "images" / "image_formats.tar.gz")
SKIP_CODE = 77

# What is answered otherwise, and why.
REFUSED = {
    "no kind that is read": ["avif/*", "other/*"],
    "32 bits": ["tiff/pillow__16_bit_binary_pgm.tiff"],
    "Lab": ["tiff/pillow__hopper.Lab.tif", "tiff/pillow__lab*.tif"],
    "damaged; Pillow goes on": ["bad/pillow__crash-0da*.tif", "bad/pillow__crash-74d*.tif", "bad/pillow__hopper_bad_exif.jpg",
                                "bad/*ycbcr_lzw_broken.tif", "bad/*xcsn0g01.png"],
}
READ = {
    "a damaged text beside a whole picture": ["bad/pillow__png_decompression_dos.png",
                                              "bad/pillow__unknown_compression_method.png"],
    "all pixels are there": ["bad/pillow__truncated_end_chunk.png", "bad/pillow__truncated_jpeg.jpg",
                             "bad/pillow__tiff_overflow_rows_per_strip.tif", "bad/*pal8oversizepal.bmp"],
    "a mask of no bits": ["bad/*rgb16-880.bmp"],
    "a run beyond its row": ["bad/*rle_overflow.bmp"],
}
NEAR = {  # the means
    "runs beyond their rows": (1, ["bad/*badrle.bmp"]),
    "the file's own coefficients": (1, ["tiff/*ycbcr_lzw_bt709.tif"]),
    "12 bits, scaled": (0.1, ["tiff/pillow__12bit.cropped.tif"]),
}


def is_one(file, patterns):
    return any(fnmatch.fnmatch(file, pattern) for pattern in patterns)


def bound(row):
    for far, patterns in NEAR.values():
        if is_one(row["file"], patterns):
            return far
    if row["format"] in ("JPEG", "MPO") or row["format"] == "TIFF" and re.search("jpe?g", row["file"]):
        return 2
    if row["mode"].startswith("I"):
        return 1
    return 0.5 if row["format"] == "WEBP" and "lossless" not in row["file"] else None


class Formats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-formats-")
        cls.addClassCleanup(folder.cleanup)
        with tarfile.open(ARCHIVE) as tar:
            tar.extractall(folder.name)
        cls.folder = pathlib.Path(folder.name) / "image_formats"
        with open(cls.folder / "manifest.csv", newline="") as file:
            cls.rows = list(csv.DictReader(file))
        paths = "".join(f"{cls.folder / row['file']}\n" for row in cls.rows)
        done = subprocess.run([os.environ["READ_PICTURES"]], input=paths.encode(), capture_output=True)
        assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr.decode()[-3000:])
        output, at = done.stdout, 0
        for row in cls.rows:
            end = output.index(b"\n", at)
            height, width, channels, size = map(int, output[at:end].split())
            row["read"] = output[end + 1:end + 1 + size]
            row["shape"] = (height, width, channels)
            at = end + 1 + size
        assert at == len(output)

    def test_all(self):
        self.assertEqual(len(self.rows), 748)
        problems = [f"{row['file']}: {self.problem(row)}" for row in self.rows if self.problem(row)]
        self.assertFalse(problems, "\n" + "\n".join(problems))

    def test_exceptions(self):
        """Each pattern above is needed: without it a file that it stands for is a problem, or may be farther away."""
        same = float("inf")
        tables = [*((same, patterns) for table in (REFUSED, READ) for patterns in table.values()), *NEAR.values()]
        for far, patterns in tables:
            for i, pattern in enumerate(list(patterns)):
                files = [row for row in self.rows if fnmatch.fnmatch(row["file"], pattern)]
                del patterns[i]
                try:
                    self.assertTrue([row for row in files if self.problem(row) or (bound(row) or 0) > far], pattern)
                finally:
                    patterns.insert(i, pattern)

    def problem(self, row):
        read, (height, width, channels) = row["read"], row["shape"]
        refused = is_one(row["file"], sum(REFUSED.values(), []))
        if not channels:
            message = read.decode()
            if "\n" in message or row["file"] not in message:
                return f"not one line that names it: {message}"
            return "" if refused or not row["rgb_sha256"] else message
        if refused:
            return f"read, {width} x {height}; it was refused"
        if not row["rgb_sha256"]:  # Pillow has no answer
            hostile = row["file"].startswith("bad/") and not is_one(row["file"], sum(READ.values(), []))
            return f"read, {width} x {height}; Pillow: {row['error']}" if hostile else ""
        if (width, height) != (int(row["upright_width"]), int(row["upright_height"])):
            return f"{width} x {height}, not {row['upright_width']} x {row['upright_height']}"
        planes = [read[c::channels] for c in range(channels)]
        planes = planes[:3] if channels > 1 else planes * 3
        rgb = bytearray(3 * width * height)
        for c in range(3):
            rgb[c::3] = planes[c]
        if hashlib.sha256(rgb).hexdigest() == row["rgb_sha256"]:
            return ""
        far = max(abs(sum(planes[c]) / len(planes[c]) - float(row[f"mean_{'rgb'[c]}"])) for c in range(3))
        return "" if far <= (bound(row) or -1) else f"other pixels; the means differ by {far:.4f}"


if __name__ == "__main__":
    if not ARCHIVE.exists():
        print("skipped: no ../shared/images/image_formats.tar.gz beside the project")
        sys.exit(SKIP_CODE)
    unittest.main()
