"""Runs that are repeated or changed by their config.json, as a user does it. TRAIN_CIFAR names the built program."""
import json
import os
import sys
import unittest

from support.runs import Base, PROGRAM


class Config(Base):
    def write(self, text):
        path = self.folder / (self.out.name + ".json")
        path.write_text(text if isinstance(text, str) else json.dumps(text))
        return path

    def refused(self, text, *words):
        self.bad("--config", self.write(text), "--out", self.out, words=words)
        self.assertFalse(self.out.exists())

    def test_a_run_repeats_from_its_config(self):
        self.good("--config", self.whole / "config.json", "--out", self.out)
        self.same_as_whole()
        self.assertEqual((self.out / "config.json").read_bytes(), (self.whole / "config.json").read_bytes())

    def test_every_recipe_survives_its_config(self):
        odd = ["--crop-min", "0.3", "--hue", "0.05", "--stem", "imagenet", "--no-evaluation", "--no-graph", "--workers",
               "2", "--rotation-degrees", "7", "--rotation-probability", "0.25"]
        for preset in ("quick", "reference", "lightly", "google", "solo-learn", "paper"):
            base = ["--preset", preset, *self.changed("--epochs", "1", "--seed", str(2**64 - 1)), *odd, "--arch",
                    "resnet18", "--head-hidden", "8", "--head-out", "8"]
            first, second = self.folder / f"{preset}-1", self.folder / f"{preset}-2"
            with self.subTest(preset=preset):
                self.good(*base, "--warmup-epochs", "0", "--out", first)
                self.good("--config", first / "config.json", "--out", second)
                self.assertEqual((first / "config.json").read_text(), (second / "config.json").read_text())
                self.assertEqual((first / "model.safetensors").read_bytes(),
                                 (second / "model.safetensors").read_bytes())

    def test_options_stand_on_top(self):
        self.good("--config", self.whole / "config.json", "--epochs", "1", "--no-evaluation", "--out", self.out)
        config = json.loads((self.out / "config.json").read_text())
        expected = json.loads((self.whole / "config.json").read_text())
        self.assertEqual(config, expected | {"epochs": 1, "evaluation": False})

    def test_what_follows_from_others(self):
        """The views' size and channels are written, but are no options: a file that says otherwise is refused, unless
        the command line changes what they follow from."""
        own = {"size": 8, "dataset": "cifar10", "data": str(self.data), "batch_size": 8, "width": 4, "epochs": 1}
        channels = '"augmentation.channels": 1: contradicts the 3 channels of cifar10'
        for augmentation, words in (({"size": 9}, '"augmentation.size": 9: contradicts '),
                                    ({"channels": 1}, channels)):
            path = self.write(own | {"augmentation": augmentation})
            self.bad("--config", path, "--out", self.out, words=(f"{path}: {words}", "leave it out"))
        self.assertFalse(self.out.exists())
        self.good("--config", self.whole / "config.json", "--size", "10", "--epochs", "1", "--no-evaluation", "--out", self.out)
        self.assertEqual(json.loads((self.out / "config.json").read_text())["augmentation"]["size"], 10)

    def test_a_short_config_is_a_changed_preset(self):
        path = self.write({"preset": "lightly", "epochs": 1})
        text = self.run_program("--config", path, "--help").stdout
        self.assertIn("--epochs INT=1 ", text)
        self.assertIn("--lr FLOAT=0.12", text)

    def test_bad_configs(self):
        self.refused({"epoch": 3}, '"epoch" is not known', 'did you mean "epochs"')
        self.refused({"augmentation": {"hew": 0.1}}, "augmentation", '"hew"', 'did you mean "hue"')
        self.refused({"out": "x"}, '"out" is not known\n')
        self.refused({"temprature": 0.1}, 'did you mean "temperature"')
        self.refused({"batch-size": 8}, 'did you mean "batch_size"?')
        self.refused({"hue": 0.1}, 'did you mean "augmentation.hue"?')
        self.refused({"crop_min": 0.1}, 'did you mean "augmentation.crop_area_min"?')
        self.refused({"augmentation": {"epochs": 3}}, 'did you mean "epochs" outside of this group?')
        self.refused({"frobnicate": 1}, '"frobnicate" is not known\n')
        self.refused({"epochs": "many"}, '"epochs"', "must be an integer")
        self.refused({"epochs": 1.5}, '"epochs"', "must be an integer")
        self.refused({"epochs": 1e30}, '"epochs"', "must be an integer")
        self.refused({"epochs": 2**40}, '"epochs"', "out of range")
        self.refused({"seed": -1}, '"seed"', "must be a whole number from 0 to 18446744073709551615")
        self.refused({"lr": True}, '"lr"', "must be a number")
        self.refused({"graph": 1}, '"graph"', "must be true or false")
        self.refused({"arch": 18}, '"arch"', "must be one of resnet18, resnet34, resnet50")
        self.refused({"data": 18}, '"data"', "must be a text")
        self.refused({"arch": "resnet19"}, '"arch": "resnet19"', "resnet18, resnet34, resnet50")
        self.refused({"stem": "big"}, '"stem"', "must be cifar or imagenet")
        self.refused({"augmentation": {"crop_aspect": [0.1]}}, '"augmentation.crop_aspect"', "must be 2 numbers")
        self.refused({"augmentation": {"mean": [0, 0, "x"]}}, '"augmentation.mean"', "must be a number")
        self.refused({"augmentation": 3}, '"augmentation"', "must be an object")
        self.refused({"temperature": 0}, '"temperature": 0', "must be at least 1e-05")
        self.refused({"augmentation": {"crop_area_min": 0.5, "crop_area_max": 0.4}}, '"augmentation.crop_area_min": 0.5')
        self.refused({"preset": "google", "epochs": 1}, '"epochs": 1', "preset google warms up")
        self.refused({"preset": "fast"}, '"fast"', "quick")
        self.refused('{"lr": 0.1, "lr": 0.2}', '"lr" occurs twice')
        self.refused('{"augmentation": {"hue": 0.1, "hue": 0.2}}', '"hue" occurs twice')
        self.refused('{"lr": 0.1', "not JSON at its byte")
        self.refused('{"lr": 1e999}', "out of range")
        self.refused("[1]", "a configuration is a JSON object")
        self.refused("", "not JSON")
        self.refused("[" * 100_000, "nested too deeply")
        self.refused(" " * (1 << 21), "over 1 MiB")
        self.bad("--config", self.folder / "none.json", words=("none.json", "No such file"))
        self.bad("--config", self.whole, words=(f"--config {self.whole}: this is a folder", self.whole / "config.json"))
        self.bad("--config", self.whole / "config.json", "--preset", "quick", words=("give one of them",))


if __name__ == "__main__":
    if not os.path.isfile(PROGRAM):
        sys.exit("set TRAIN_CIFAR to the built program")
    unittest.main()
