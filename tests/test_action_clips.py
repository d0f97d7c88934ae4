"""benchmarks/action_clips.py groups actions, parts sessions into folds, and replaces no list that is another."""
import csv
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "benchmarks" / "action_clips.py"
INDEX = "clip,label,session,frames\n" + "".join(
    f"{name},{label},{session},9\n" for name, label, session in (
        ("a", "walk", "s1"), ("b", "sit", "s1"), ("c", "falling", "s1"), ("d", "standup", "s2"), ("e", "active", "s2"),
        ("f", "walk", "s3"), ("g", "walk", "s3"), ("h", "walk", "s4"), ("i", "walk", "s5"), ("j", "walk", "s6")))


class ActionClips(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write_list(self):
        return subprocess.run([sys.executable, SCRIPT, self.folder], text=True, capture_output=True, timeout=60)

    def test_groups_and_folds(self):
        (self.folder / "rgb_index.csv").write_text(INDEX)
        done = self.write_list()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("9 clips of 6 sessions; 1 of other actions are left out; clips a fold: 3, 2, 2, 1, 1\n",
                      done.stdout)
        rows = [line.split(",") for line in (self.folder / "actions.csv").read_text().splitlines()]
        self.assertEqual(rows[:4], [["clip", "label", "session", "fold"], ["a", "walk", "s1", "1"],
                                    ["b", "still", "s1", "1"], ["c", "down", "s1", "1"]])
        self.assertEqual({row[2]: row[3] for row in rows[1:]},  # the last goes where one clip is
                         {"s1": "1", "s3": "2", "s2": "3", "s4": "4", "s5": "5", "s6": "3"})
        self.assertEqual(self.write_list().returncode, 0)

    def test_another_list_is_kept(self):
        (self.folder / "rgb_index.csv").write_text(INDEX)
        (self.folder / "actions.csv").write_text("mine\n")
        done = self.write_list()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is there with other content", done.stderr)
        self.assertEqual((self.folder / "actions.csv").read_text(), "mine\n")

    def test_names_with_commas(self):
        index = "\ufeff" + INDEX + '"a,b.mp4",walk,s7,9\n'
        (self.folder / "rgb_index.csv").write_text(index, encoding="utf-8")
        self.assertEqual(self.write_list().returncode, 0)
        with open(self.folder / "actions.csv", newline="") as file:
            rows = list(csv.reader(file))
        self.assertEqual(rows[-1], ["a,b.mp4", "walk", "s7", "4"])
        self.assertEqual({len(row) for row in rows}, {4})

    def test_what_is_no_index(self):
        for index, said in ((None, "No such file"), (b"clip,label\na,walk\n", "session"), (b"\xff", "utf-8"),
                            (INDEX.encode() + b"z,walk\n", "line 12: has no session"),
                            (INDEX.encode() + b"z,,s1,3\n", "line 12: has no label"),
                            (INDEX.encode() + b"x,y.mp4,walk,s2,9\n", "line 12: has more fields than the header"),
                            (b"clip,label,session\na,active,s1\n", "holds no clip of these actions"),
                            (b'clip,label,session\n"' + b"a" * 200_000 + b'",walk,s1\n', "field larger")):
            if index is not None:
                (self.folder / "rgb_index.csv").write_bytes(index)
            done = self.write_list()
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, r"\Aaction_clips: [^\n]+rgb_index.csv[^\n]+\n\Z")
            self.assertIn(said, done.stderr)
            self.assertFalse((self.folder / "actions.csv").exists())


if __name__ == "__main__":
    unittest.main()
