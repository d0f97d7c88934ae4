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
import io
import pathlib
import sys

from new_list import write_new

COLUMNS = ("clip", "label", "session")
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


def read_index(path):
    """Rows (clip, label, session). Throws ValueError for what is no such list."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader, rows = csv.DictReader(file), []
        for row in reader:
            lacking = [name for name in COLUMNS if not row.get(name)]
            if lacking:
                raise ValueError(f"line {reader.line_num}: has no {' and no '.join(lacking)}")
            if None in row:
                raise ValueError(f"line {reader.line_num}: has more fields than the header; quote names with commas")
            rows.append(tuple(row[name] for name in COLUMNS))
    return rows


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    try:
        rows = read_index(folder / "rgb_index.csv")
    except (OSError, ValueError, csv.Error) as error:
        sys.exit(f"action_clips: {folder / 'rgb_index.csv'}: {error}; it needs columns {', '.join(COLUMNS)} in UTF-8")
    used = [(clip, GROUPS[label], session) for clip, label, session in rows if label in GROUPS]
    if not used:
        sys.exit(f"action_clips: {folder / 'rgb_index.csv'}: holds no clip of these actions: {', '.join(GROUPS)}")
    folds = folds_of(session for _, _, session in used)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([(*COLUMNS, "fold"), *((*row, folds[row[2]]) for row in used)])
    write_new(folder / "actions.csv", text.getvalue())
    sizes = collections.Counter(folds[session] for _, _, session in used)
    print(f"{folder / 'actions.csv'}: {len(used)} clips of {len(folds)} sessions; {len(rows) - len(used)} of other "
          f"actions are left out; clips a fold: {', '.join(str(sizes[fold + 1]) for fold in range(FOLDS))}")


if __name__ == "__main__":
    main()
