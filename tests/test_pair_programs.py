"""What takes weights takes those of pictures and captions: a text finds pictures, a picture finds texts; a changed list is
noticed. PROGRAMS names the folder of the built examples; WITH_SHARDS=1 says that they read tar shards.
"""
import io
import json
import os
import pathlib
import subprocess
import tarfile
import tempfile
import unittest

from support.tiny_data import write_pictures

PROGRAMS = pathlib.Path(os.environ["PROGRAMS"])
THINGS = 20


class PairPrograms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="simclr-pairs-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        write_pictures(cls.folder / "drawings", THINGS, 0)
        cls.names = sorted(path.name for path in (cls.folder / "drawings").iterdir())
        rows = [f"drawings/{name},{words} of number{i}" for i, name in enumerate(cls.names) for words in ("a drawing", "a view")]
        (cls.folder / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n")
        said = cls.train("captions.csv", "run")
        assert "32 pairs of image and caption in captions.csv" in said, said
        assert "image -> caption, 4 among 8" in said, said

    @classmethod
    def call(cls, program, *arguments, code=0):
        done = subprocess.run([PROGRAMS / program, *arguments, "--threads", "1", "--device", "cpu"], cwd=cls.folder,
                              capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @classmethod
    def train(cls, data, out, *more):
        return cls.call("train_pairs", "--data", data, "--out", out, "--epochs", "1", "--warmup-epochs", "0", "--size", "8",
                        "--width", "4", "--text-width", "8", "--batch-size", "4", "--knn-every", "0", *more)

    def test_a_text_finds_pictures(self):
        said = self.call("nearest", "run", "a drawing of number3", "drawings", "--from", "second", "--k", "3")
        found = [line.split()[1] for line in said.splitlines() if line.endswith(".png")]
        self.assertEqual(len(set(found) & set(self.names)), 3)
        said = self.call("nearest", "run", "a drawing", "drawings", "--from", "second", "--sheet", "found.png", code=1)
        self.assertIn("a drawing is no picture, and cannot be drawn", said)

    def test_a_picture_finds_texts(self):
        said = self.call("nearest", "run", f"drawings/{self.names[3]}", "captions.csv", "--from", "first", "--k", "40")
        self.assertEqual(said.count(" of number"), 2 * THINGS)
        said = self.call("nearest", "run", f"drawings/{self.names[3]}", "captions.csv", "--from", "first", "--sheet", "found.png",
                         code=1)
        self.assertIn("these weights are of texts", said)

    def test_other_pairs_in_a_list_of_the_same_size_are_noticed(self):
        rows = [f"drawings/{name},drawings/{other}" for name, other in zip(self.names, self.names[1:] + self.names[:1])]
        half = THINGS // 2
        parts = [f"{row},{part}" for row, part in zip(rows, ["train"] * half + ["test"] * half)]
        (self.folder / "list.csv").write_text("\n".join(["a,b,split", *parts]) + "\n")
        self.call("train_pairs", "--data", "list.csv", "--out", "going-on", "--epochs", "1", "--warmup-epochs", "0", "--size",
                  "8", "--width", "4", "--batch-size", "4", "--knn-every", "0", "--no-evaluation")
        (self.folder / "going-on" / "model.safetensors").unlink()  # with it, the run is finished
        parts = [f"{row},{part}" for row, part in zip(rows, ["test"] * half + ["train"] * half)]
        (self.folder / "list.csv").write_text("\n".join(["a,b,split", *parts]) + "\n")
        said = self.call("train_pairs", "--resume", "--out", "going-on")
        self.assertIn("the data differ from those that the run began with: other pairs in the list; it may have been "
                      "trained on pairs that are tested on now", said)

    def test_both_sides_are_embedded(self):
        said = self.call("embed", "run", "captions.csv", "--side", "second", "--out", "texts")
        self.assertIn("features of 40 texts, 128 each, in texts", said)
        said = self.call("embed", "run", "drawings", "--side", "first", "--out", "pictures")
        self.assertIn("features of 20 pictures, 128 each, in pictures", said)

    def test_a_list_of_the_runs_columns_gives_the_sides_own(self):
        (self.folder / "two.csv").write_text("title,dark,bright\n" + "".join(
            f"no {i},drawings/{a},drawings/{b}\n" for i, (a, b) in enumerate(zip(self.names[:10], self.names[10:]))))
        self.train("two.csv", "two-run")
        for side, names in (("first", self.names[:10]), ("second", self.names[10:])):
            with self.subTest(side=side):
                self.call("embed", "two-run", "two.csv", "--side", side, "--out", f"embedded-{side}")
                self.assertEqual((self.folder / f"embedded-{side}" / "files.txt").read_text().split(),
                                 [f"drawings/{name}" for name in names])
        said = self.call("nearest", "two-run", f"drawings/{self.names[0]}", "two.csv", "--from", "first", "--k", "20")
        self.assertEqual({line.split()[1] for line in said.splitlines() if line.endswith(".png")},
                         {f"drawings/{name}" for name in self.names[10:]})
        # A column of texts under any name, and its header is none.
        (self.folder / "legends.csv").write_text("title,legende,dark\n" + "".join(
            f"a long title of number {i},un dessin {i},drawings/{name}\n" for i, name in enumerate(self.names)))
        self.train("legends.csv", "legends-run", "--columns", "dark,legende")
        self.call("embed", "legends-run", "legends.csv", "--side", "second", "--out", "legends")
        self.assertEqual((self.folder / "legends" / "files.txt").read_text().splitlines(),
                         [f"un dessin {i}" for i in range(THINGS)])
        # File names are no texts.
        (self.folder / "files.csv").write_text("a,b\n" + "".join(f"drawings/{name},x\n" for name in self.names))
        said = self.call("embed", "legends-run", "files.csv", "--side", "second", "--out", "no-texts", code=1)
        self.assertIn("the column 1 has the names of files, and no texts", said)

    @unittest.skipUnless(os.environ.get("WITH_SHARDS") == "1", "this build reads no tar shards")
    def test_texts_in_shards_are_found(self):
        with tarfile.open(self.folder / "captions.tar", "w") as shard:
            for i, name in enumerate(self.names):
                shard.add(self.folder / "drawings" / name, f"{i}.png")
                text = f"a drawing of number{i // 2}\n".encode()
                member = tarfile.TarInfo(f"{i}.txt")
                member.size = len(text)
                shard.addfile(member, io.BytesIO(text))
        self.call("embed", "run", "captions.tar", "--side", "second", "--out", "shard-texts")
        self.assertEqual((self.folder / "shard-texts" / "files.txt").read_text().splitlines(),
                         [f"a drawing of number{i}" for i in range(THINGS // 2)])
        with tarfile.open(self.folder / "pictures.tar", "w") as shard:
            shard.add(self.folder / "drawings" / self.names[0], "0.png")
        said = self.call("embed", "run", "pictures.tar", "--side", "second", "--out", "none", code=1)
        self.assertIn("has no member that ends in .txt", said)
        # The run's own ending of this side.
        with tarfile.open(self.folder / "two.tar", "w") as shard:
            for i, name in enumerate(self.names[:10]):
                shard.add(self.folder / "drawings" / name, f"{i}.left.png")
                shard.add(self.folder / "drawings" / self.names[10 + i], f"{i}.right.png")
        said = self.train("two.tar", "shards-run")
        self.assertIn("(to choose them, name shards train-... and test-...)", said)
        self.assertNotIn("column", said)
        self.call("embed", "shards-run", "two.tar", "--side", "second", "--out", "right")
        names = (self.folder / "right" / "files.txt").read_text().splitlines()
        self.assertEqual([name.split()[-1] for name in names], [f"{i}.right.png" for i in range(10)])

    def test_a_picture_is_no_text_to_ask_with(self):
        said = self.call("nearest", "run", f"drawings/{self.names[0]}", "drawings", "--from", "second", code=1)
        self.assertIn("is a picture, and the second side of these pairs is of texts; give a text, or name the first side", said)

    def test_words_without_their_side_are_told_where_they_belong(self):
        for more in ((), ("--from", "first")):
            said = self.call("nearest", "run", "a drawing of number3", "drawings", *more, code=1)
            self.assertIn("nearest: a drawing of number3: is no picture file; if these are words, they are of the second side: add "
                          "--from second\n", said)
        self.assertNotIn("--from", self.call("nearest", "run", "missing.png", "drawings", code=1))

    def test_a_query_that_is_not_in_utf8(self):
        (self.folder / "latin1.txt").write_bytes(b"caf\xe9\n")
        for query, message in ((b"caf\xe9", "the text asked for is not in UTF-8; give it in UTF-8"),
                               ("latin1.txt", r"latin1.txt: holds no text \(left out: 1 line not in UTF-8\)")):
            said = self.call("nearest", "run", query, "drawings", "--from", "second", code=1)
            self.assertRegex(said, rf"\Anearest: {message}[^\n]*\n\Z")

    def test_the_report_is_of_both_sides(self):
        html = (self.folder / "run" / "report.html").read_text()
        self.assertIn("<h1>SimCLR run \u00b7 picture and text</h1>", html)
        self.assertRegex(html, '<div class="name">R@1</div><div class="value">[0-9.]+ ?%</div><div class="note">image -(>|&gt;) caption; untrained')
        self.assertIn("have no labels, so neighbours cannot vote", html)

    def test_words_that_are_not_known_are_told_of(self):
        unknown = "no word of it is known to the encoder"
        self.assertIn("zzz qqq: " + unknown, self.call("nearest", "run", "zzz qqq", "drawings", "--from", "second"))
        self.assertNotIn(unknown, self.call("nearest", "run", "zzz drawing", "drawings", "--from", "second"))

    def test_prompts_are_told_of(self):
        rows = [f"drawings/{name},a drawing of number{i},{'abc'[i % 3]}" for i, name in enumerate(self.names)]
        (self.folder / "three.csv").write_text("\n".join(["image,caption,label", *rows]) + "\n")

        def train(prompts, code=0):
            (self.folder / "prompts.csv").write_text("label,caption\n" + prompts)
            return self.call("train_pairs", "--data", "three.csv", "--prompts", "prompts.csv", "--out", "prompted", "--overwrite",
                             "--epochs", "1", "--warmup-epochs", "0", "--size", "8", "--width", "4", "--text-width", "8",
                             "--batch-size", "4", "--knn-every", "0", code=code)

        self.assertIn("--prompts: all are of the class a; what is classified needs prompts of two or more",
                      train("a,a drawing\na,drawing of\n", code=1))
        self.assertIn("no prompt is left of 1 row; line 2: is of A, which is no class of the pairs; they are a, b, c",
                      train("A,a drawing\n", code=1))
        self.assertIn("no prompt is left of 2 rows; line 2: has no label\n", train(",a drawing\na,\n", code=1))
        self.assertIn("prompts.csv, line 2: has no caption (prompt left out)", train("a,\na,a drawing\nb,drawing of\n"))
        said = train("a,a drawing\nb,zzz qqq\n")
        self.assertIn("no word of 1 prompt is known to the encoder", said)
        self.assertIn("zzz qqq", said)
        self.assertRegex(said, r"left out of their figure: [12] test hal(f|ves) of classes without one")  # of 2, 7, 12, 17
        self.assertRegex(said, r"image, [23] of 2 classes by 2 prompts, without [12] of classes without a prompt")

    def test_what_is_no_place_of_pairs_is_refused_with_advice(self):
        (self.folder / "tars").mkdir()
        (self.folder / "tars" / "train-0.tar").write_bytes(b"")
        for words, advice in ((("--data", "tars"), "name it, as in --data tars/train-0.tar"),
                              (("--data", "captions.csv::two.csv"), "put the rows of all into one"),
                              (("--data", "captions.csv", "--temperature", "0.005"), "add --fixed-temperature")):
            with self.subTest(words=words):
                self.assertIn(advice, self.call("train_pairs", *words, "--out", "none", code=1))

    def test_the_runs_own_parts_are_measured(self):
        write_pictures(self.folder / "own", THINGS, 0)
        names = sorted(path.name for path in (self.folder / "own").iterdir())
        rows = [f"own/{name},words{i},{'odd' if i % 3 else 'even'}" for i, name in enumerate(names)]
        (self.folder / "classes.csv").write_text("\n".join(["image,caption,label", *rows]) + "\n")
        said = self.train("classes.csv", "classes-run")
        self.assertIn("on 4 test pairs", said)
        (self.folder / "own" / names[2]).write_bytes(b"broken")  # one that the run tests with: 2, 7, 12 and 17
        for program, more in (("linear_probe", ()), ("finetune", ("--out", "classes-finetuned", "--epochs", "1", "--batch-size", "8"))):
            with self.subTest(program=program):
                said = self.call(program, "classes-run", "--data", "classes.csv", "--labels", "100", *more)
                self.assertRegex(said, "every fifth pair is kept for the evaluation.*: 4 pairs")
                self.assertIn(" 3 of 4 test pictures", said)
        said = self.call("linear_probe", "classes-run", "--side", "second", "--data", "classes.csv", "--labels", "100")
        self.assertRegex(said, "labels +texts +kNN %")

    def test_prompts_that_are_missing_are_named_first(self):
        """Before the pairs, which have no classes, are read."""
        said = self.call("train_pairs", "--data", "captions.csv", "--prompts", "no-prompts.csv", "--out", "none", code=1)
        self.assertRegex(said, r"\Atrain_pairs: --prompts no-prompts.csv: no such file\n\Z")

    def test_why_the_classes_are_of_no_use_is_said(self):
        rows = [f"drawings/{name},words{i},{'new' if i >= 12 else 'odd' if i % 2 else 'even'},"
                f"{'train' if i < 12 else 'test'}"
                for i, name in enumerate(self.names)]
        (self.folder / "new.csv").write_text("\n".join(["image,caption,label,split", *rows]) + "\n")
        self.assertIn("new.csv: no kNN and no linear probe: no test pair has a class of the train part; this program "
                      "needs two classes or more", self.call("linear_probe", "run", "--data", "new.csv", code=1))

    def test_what_several_pairs_share_is_measured_once(self):
        rows = [f"drawings/{name},{words} {i},{'odd' if i % 2 and words != 'else' else 'even'},"
                f"{'train' if i < 12 else 'test'}"
                for i, name in enumerate(self.names)
                for words in ("one", "two", "three", *(["else"] if i in (1, 13) else []))]
        (self.folder / "several.csv").write_text("\n".join(["image,caption,label,split", *rows]) + "\n")
        said = self.call("linear_probe", "run", "--data", "several.csv", "--labels", "100", "--epochs", "1", "--json",
                         "several.json")
        self.assertIn("12 pictures of 37 pairs of several.csv, 2 classes", said)
        self.assertIn("left out: 2 pictures whose pairs are of several classes", said)
        self.assertNotIn("no label", said)  # they have several
        figures = json.loads((self.folder / "several.json").read_text())
        self.assertEqual((figures["results"][0]["samples"], figures["test_samples"]), (11, 7))

    def test_classes_that_no_half_is_of_alone_are_named(self):
        """Of the second side's texts, which pictures of several classes share."""
        def probe(texts, code=0):
            rows = [f"drawings/{name},{text},{label},{part}" for name, (text, label, part) in zip(self.names, texts)]
            (self.folder / "shared.csv").write_text("\n".join(["image,caption,label,split", *rows]) + "\n")
            return self.call("linear_probe", "run", "--side", "second", "--data", "shared.csv", "--labels", "100",
                             "--epochs", "1", code=code)

        tested = [("my cat", "cat", "test"), ("my dog", "dog", "test")]
        advice = "this program needs two classes or more"
        self.assertIn("--data shared.csv: the train part has no text whose pairs are of one class; " + advice,
                      probe([("photo", "cat", "train"), ("photo", "dog", "train"), *tested], code=1))
        self.assertIn("no text whose pairs are of one class, but for those of cat; " + advice,
                      probe([("photo", "cat", "train"), ("photo", "dog", "train"), ("tabby", "cat", "train"), *tested],
                            code=1))
        said = probe([("photo", "cat", "train"), ("photo", "dog", "train"), ("a cat", "cat", "train"),
                      ("a cow", "cow", "train"), ("a bat", "", "train"), *tested])
        self.assertIn("left out: 1 text whose pairs are of several classes", said)
        self.assertIn("left out: 1 text of the train part whose pairs have no label", said)
        self.assertIn("the train part has no text whose pairs are of one class for dog; left out: 1 test text of such a "
                      "class", said)

    def test_a_run_may_have_been_trained_on_what_is_tested_on(self):
        """Where its own list was changed since."""
        def write(first, second):
            rows = [f"drawings/{name},words{i},{'odd' if i % 3 else 'even'},{first if i < THINGS // 2 else second}"
                    for i, name in enumerate(self.names)]
            (self.folder / "parts.csv").write_text("\n".join(["image,caption,label,split", *rows]) + "\n")

        write("train", "test")
        self.train("parts.csv", "parts-run", "--no-evaluation")
        for n, (program, *more) in enumerate((["linear_probe"], ["linear_probe", "--side", "second"],
                                              ["finetune", "--batch-size", "8"])):
            for parts in (("train", "test"), ("test", "train")):
                with self.subTest(program=program, parts=parts):
                    write(*parts)
                    out = ("--out", f"parts-{n}-{parts[0]}") if program == "finetune" else ()
                    said = self.call(program, "parts-run", "--data", "parts.csv", "--labels", "100", "--epochs", "1", *more,
                                     *out)
                    (self.assertNotIn if parts[0] == "train" else self.assertIn)(
                        "which may have been samples that are tested on here: other pairs in the list", said)

    def test_either_side_is_measured_and_finetuned(self):
        for label in (1, 8):
            write_pictures(self.folder / "labelled" / f"class{label}", 10, label)
        (self.folder / "sentences.csv").write_text("text,label\n" + "".join(
            f"a {kind} of number{i},{kind}\n" for i in range(10) for kind in ("drawing", "view")))
        self.assertIn("name labelled pictures by --data", self.call("linear_probe", "run", code=1))
        self.assertIn("name labelled texts by --data", self.call("linear_probe", "run", "--side", "second", code=1))
        pictures, texts = ("--data", "labelled", "--dataset", "folder"), ("--data", "sentences.csv")
        for side, data, sample in (("none", pictures, "picture"), ("first", pictures, "picture"), ("second", texts, "text")):
            with self.subTest(side=side):
                asked = ("run", "--side", side, *data, "--labels", "100", "--epochs", "1")
                self.assertRegex(self.call("linear_probe", *asked), rf"labels +{sample}s +kNN %")
                said = self.call("finetune", *asked, "--out", f"finetuned-{side}", "--batch-size", "8")
                self.assertRegex(said, rf"labels +{sample}s +pre-trained %\n  100 % +1[67] ")
                # What it leaves is that side's encoder, and says so.
                said = self.call("linear_probe", f"finetuned-{side}/labels-100.safetensors", *asked[3:])
                self.assertRegex(said, rf"labels +{sample}s +kNN %")
        self.assertIn("holds the encoder of the second side alone",
                      self.call("linear_probe", "finetuned-second/labels-100.safetensors", "--side", "first", *asked[3:], code=1))


if __name__ == "__main__":
    unittest.main()
