"""The recordings beside the project: every sample is what Python's reader of WAV says, and the sets are split as they are
published. READ_SOUNDS names the built program; without those recordings the test is skipped. SOUNDS names another place.
"""
import array
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import unittest
import wave

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("SOUNDS") or ROOT.parent / "shared")
ARCHIVES = ["speech/free-spoken-digit-dataset.tar.gz", "sound/google_commands_3words.tar.gz", "sound/esc10_8k.tar.gz",
            "sound/noise_16k.tar.gz"]
SKIP_CODE = 77


class Sounds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-sounds-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        for archive in ARCHIVES:
            with tarfile.open(SHARED / archive) as tar:
                tar.extractall(cls.folder)
        cls.files = sorted(cls.folder.rglob("*.wav"))

    def call(self, *arguments, stdin=b""):
        done = subprocess.run([os.environ["READ_SOUNDS"], *map(str, arguments)], input=stdin, capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def read(self, files, rate):
        """(rate, samples) of each."""
        output, at, found = self.call(rate, stdin="".join(f"{file}\n" for file in files).encode()), 0, []
        for file in files:
            end = output.index(b"\n", at)
            hertz, count = map(int, output[at:end].split())
            self.assertTrue(hertz, output[end + 1:end + 1 + count])
            samples = array.array("f")
            samples.frombytes(output[end + 1:end + 1 + 4 * count])
            found.append((hertz, samples))
            at = end + 1 + 4 * count
        self.assertEqual(at, len(output))
        return found

    def test_every_sample(self):
        self.assertEqual(len(self.files), 3000 + 600 + 400 + 6)
        for file, (rate, samples) in zip(self.files, self.read(self.files, 0)):
            with wave.open(str(file)) as recording:
                self.assertEqual((recording.getsampwidth(), recording.getnchannels()), (2, 1), file)
                self.assertEqual(rate, recording.getframerate(), file)
                wanted = array.array("h", recording.readframes(recording.getnframes()))
            self.assertEqual(samples, array.array("f", (value / 32768 for value in wanted)), file)

    @unittest.skipUnless(os.environ.get("RESAMPLES", "1") == "1", "this build does not resample")
    def test_other_rates(self):
        some = self.files[::40]
        for (own, samples), (rate, resampled) in zip(self.read(some, 0), self.read(some, 11025)):
            self.assertEqual(rate, 11025)
            self.assertEqual(len(resampled), -(-len(samples) * rate // own))
            power, other = (sum(value * value for value in part) / len(part) for part in (samples, resampled))
            self.assertLess(other, power * 1.01 + 1e-12)

    def test_splits(self):
        digits = "recordings", "{label}_{speaker}_{take}.wav"
        self.assertEqual(self.split("folder", *digits, "take", "0-4"), ["2700", "300", "6", "6", "10 classes"])
        self.assertEqual(self.split("folder", *digits, "speaker", "theo"), ["2500", "500", "0", "1", "10 classes"])
        self.assertEqual(self.split("table", "google_commands_3words/index.csv", "split", "test"),
                         ["480", "120", "0", "40", "3 classes"])
        self.assertEqual(self.split("table", "esc10_8k/index.csv", "fold", "5"), ["320", "80", "0", "1", "10 classes"])

    def split(self, kind, data, *rest):
        numbers, described = self.call(8000, kind, self.folder / data, *rest).decode().splitlines()
        self.assertIn("at 8000 Hz", described)
        return [*numbers.split(), described.split(", ")[1]]


if __name__ == "__main__":
    missing = [archive for archive in ARCHIVES if not (SHARED / archive).exists()]
    if missing:
        print(f"skipped: no ../shared/{missing[0]} beside the project")
        sys.exit(SKIP_CODE)
    unittest.main()
