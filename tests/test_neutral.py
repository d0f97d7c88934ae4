"""What serves every kind of sample names none: what knows pictures lies in data/pictures and examples/modalities.

usage: test_neutral.py ROOT
"""
import pathlib
import re
import sys

# What is to know no kind of data, and the words that would say that it does: pictures' own options among them.
FOLDERS = ["data"] + [f"examples/{folder}" for folder in ("run", "report", "train", "check", "program")]
NEUTRAL = [f"{folder}/*.{end}" for folder in FOLDERS for end in ("h", "cpp")] + ["examples/recipes/recipe.*"]
WORDS = re.compile(r"picture|image|pixel|augment|such as colour|resnet|train_cifar|--(size|width)\b", re.IGNORECASE)


def findings(root):
    files = {pattern: sorted(root.glob(pattern)) for pattern in NEUTRAL}
    none = [pattern for pattern in NEUTRAL if not files[pattern]]
    if none:
        sys.exit(f"no files {', '.join(none)}: a folder has moved, and this test must follow it")
    for path in sorted(path for found in files.values() for path in found):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if WORDS.search(line.replace('"image/"', "")):  # as the web names it
                yield f"{path.relative_to(root)}:{number}: {line.strip()}"


def main():
    found = list(findings(pathlib.Path(sys.argv[1])))
    print("\n".join(found))
    sys.exit(f"{len(found)} lines of neutral files speak of pictures" if found else 0)


if __name__ == "__main__":
    main()
