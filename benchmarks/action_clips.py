#!/usr/bin/env python3
"""Writes the list by which people's actions, seen from above, are learned: FOLDER/actions.csv, for train_video --data.

usage: benchmarks/action_clips.py FOLDER

FOLDER holds rgb_index.csv with columns clip, label and session. Actions become four groups: walk; standup; still (sit,
sleeping, falled); down (sitdown, lying, falling); clips of others are left out. The column fold, 1 to 5, parts them by
sessions, since clips of one session show the same people and light: each session, the largest first, goes into the fold
that has the fewest clips.
"""
import collections
import csv
import pathlib
import sys

GROUPS = {"walk": "walk", "standup": "standup"} | dict.fromkeys(("sit", "sleeping", "falled"), "still") | dict.fromkeys(
    ("sitdown", "lying", "falling"), "down")
FOLDS = 5


def folds_of(sessions):
    """Of each session its fold, from the sessions of all clips."""
    sizes, folds = [0] * FOLDS, {}
    for session, count in sorted(collections.Counter(sessions).items(), key=lambda item: (-item[1], item[0])):
        fold = sizes.index(min(sizes))
        folds[session] = fold + 1
        sizes[fold] += count
    return folds


def write_new(path, text):
    if path.exists() and path.read_text() != text:
        sys.exit(f"action_clips: {path} is there with other content; move it away first")
    path.write_text(text)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    try:
        with open(folder / "rgb_index.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        used = [(row["clip"], GROUPS[row["label"]], row["session"]) for row in rows if row["label"] in GROUPS]
    except (OSError, KeyError) as error:
        sys.exit(f"action_clips: {folder / 'rgb_index.csv'}: {error}; it needs columns clip, label and session")
    folds = folds_of(session for _, _, session in used)
    lines = [("clip", "label", "session", "fold")] + [(*row, str(folds[row[2]])) for row in used]
    write_new(folder / "actions.csv", "".join(",".join(line) + "\n" for line in lines))
    print(f"{folder / 'actions.csv'}: {len(used)} clips of {len(folds)} sessions; {len(rows) - len(used)} of other "
          "actions are left out")


if __name__ == "__main__":
    main()
