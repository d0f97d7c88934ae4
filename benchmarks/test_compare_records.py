"""Checks what becomes of the records of compare.py: what a day's record keeps, and what performance.md shows."""

import contextlib
import io
import json
import re
import subprocess
import sys

from stand_in_programs import BENCHMARKS, COMPARE, compare, peer, run
from comparison import record

# Saves a record for which there is no room.
CUT_OFF = """
import pathlib, sys
from comparison import record
record.save({"date": "2026-01-02", "device": "cpu", "not_measured": ["a" * 99999]}, pathlib.Path(sys.argv[1]))
"""


def test_a_part_keeps_the_rest(folder):
    names = [f"{op}, a case" for op in ("batchnorm", "similarity", "optimizer_step")]

    def answers(seconds):
        return {f"{side}{op}": ([peer(case, "PyTorch", seconds=value)], 0) for case in names
                for op in [case.partition(",")[0]] for side, value in (("bench_", seconds), ("kernels.py ", 4.0))}

    def measured(what, seconds, *more, **options):
        records, markdown, _ = compare(folder, "cpu", what, answers(seconds), *more, **options)
        return [records[f"{case}, against PyTorch"]["ours"] for case in names if f"{case}, against PyTorch" in records]

    assert measured(["batchnorm", "similarity"], 1.0) == [1000, 1000]
    assert measured(["similarity", "optimizer_step"], 2.0) == [1000, 2000, 2000]
    both = ["similarity", "optimizer_step"]
    assert measured(both, 3.0, "--only", "^optim") == [1000, 2000, 3000]
    assert measured(both, 4.0, "--budget", "0", code=1) == [1000, 2000, 3000]  # what there is no time for stays
    assert measured(both, 4.0, "--only", "^optimiser", code=2) == [1000, 2000, 3000]
    (written,) = folder.glob("*-cpu.json")
    before = written.read_text()
    for more, said in ((["--what", *both, "--only", "^optimiser"],
                        "--only ^optimiser: finds none of the runs of --what similarity optimizer_step"),
                       (["--what", "epoch"], "nothing is left to measure; give --data, or a build with MPI")):
        failed = subprocess.run([sys.executable, COMPARE, "--build", folder / "build", "--python",
                                 folder / "build/python", "--out", folder, *more], stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)
        assert (failed.returncode, failed.stderr) == (2, f"compare: {said}\n"), failed
        assert written.read_text() == before
    # Of another commit the day's record begins anew; the other one stays, under another name.
    assert measured(["similarity"], 5.0, commit="def") == [5000]
    assert measured(["batchnorm"], 5.0, "--budget", "0", code=1, commit="def") == [5000]
    assert measured(["similarity"], 6.0, commit="def") == [6000]  # the exit code is that of its own runs
    (aside,) = folder.glob("*-cpu.*.json")
    assert aside.read_text() == before and aside.with_suffix(".md").exists(), aside


def test_a_record_is_never_lost(folder):
    case = "similarity, a case"
    answers = {"bench_similarity": ([peer(case, "PyTorch", seconds=1.0)], 0),
               "kernels.py similarity": ([peer(case, "PyTorch", seconds=4.0)], 0)}

    def lies_aside(*more, **options):
        """Whether what lay there before a run lies there after it, under another name."""
        (written,) = folder.glob("*-cpu.json")
        before = written.read_text()
        compare(folder, "cpu", *more, **options)
        return before in [path.read_text() for path in folder.glob("*-cpu.*.json")]

    part = (["similarity"], answers)
    compare(folder, "cpu", *part, commit="unknown")
    assert lies_aside(*part, commit="unknown")  # nobody knows whether it is of the same sources
    assert lies_aside(*part, "--resume", commit="unknown")
    assert lies_aside(*part)
    assert lies_aside([], answers, "--budget", "0", code=1)  # a whole run begins anew
    assert lies_aside(*part, "--seconds", "0.5")  # a part that is measured in another way
    names = [path.name for path in folder.glob("*-cpu.*.json")]
    assert len(names) == 5, names  # of which several were written in the same second


def test_what_a_record_goes_on_with(folder):
    found = {"date": "2026-01-02", "device": "cpu", "machine": "one", "threads": 2, "commit": "abc", "rounds": 2,
             "versions": {"torch": "2.9", "newest torch": "2.10"}, "not_measured": ["a"], "results": []}
    record.save(found, folder)
    for versions, goes_on in (({"torch": "2.9"}, True), ({"torch": "2.9", "newest torch": "2.11"}, True),
                              ({"torch": "2.10"}, False)):  # an index does not always answer
        later = found | {"versions": versions, "not_measured": []}
        assert record.go_on(later, folder) == goes_on, versions
        assert not goes_on or later == found | {"versions": found["versions"] | versions}, later
    for content in ('{"date": "20', "[]", '{"results": {}}', "\xff"):  # what cannot be read is kept, too
        (folder / "2026-01-02-cpu.json").write_text(content, encoding="latin-1")
        assert not record.go_on(dict(found), folder), content
        record.set_aside(found, folder)
        assert [path for path in folder.glob("2026-01-02-cpu.*.json")
                if path.read_text(encoding="latin-1") == content], content
    (folder / "2026-01-02-cpu.json").write_text("whole")
    command = f"ulimit -f 1; exec {sys.executable} -c '{CUT_OFF}' {folder}"  # of 512 or 1024 bytes
    done = subprocess.run(["sh", "-c", command], cwd=BENCHMARKS, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and (folder / "2026-01-02-cpu.json").read_text() == "whole", done
    assert not list(folder.glob("*.part")), done


def write_record(folder, name, *names, **more):
    """A record of runs, each with one case; the first word of a run's name is its kind, `failed` its last."""
    results = [{"what": run.split()[0], "run": run.removesuffix(" failed"), "failed": run.endswith(" failed"),
                "case": f"{run} of {name}", "ours": 1, "peer": 2, "unit": "ms", "ratio": 2, "target": None, "met": None}
               for run in names]
    (folder / f"{name}.json").write_text(json.dumps(
        {"date": name[:10], "device": "cpu", "machine": "one", "threads": 2, "commit": "abc", "rounds": 2,
         "versions": {"torch": "2.9"}, "not_measured": [], "results": [*results, {"case": "of another form"}]} | more))


def test_document(folder):
    document = folder / "performance.md"
    text = "# Performance\n\n<!-- record: cpu -->\nold\n<!-- end -->\n\n<!-- record: cuda -->\nnot yet\n<!-- end -->\n"
    document.write_text(text)
    record.update_document(folder, document)
    assert document.read_text() == text  # there is no record
    write_record(folder, "2026-01-01-cpu", "size", "nt_xent", "step of 1024", "step of 128")
    write_record(folder, "2026-01-02-cpu", "nt_xent", "step of 128 failed", not_measured=["size"])
    write_record(folder, "2026-01-02-cpu.101500", "nt_xent", "step of 256", "step of 128", not_measured=["nt_xent"])
    write_record(folder, "2026-01-02-cpu.101600", "gru", tiny=True)
    write_record(folder, "2026-01-02-registers-cpu", "gru")
    for number, content in enumerate(('{"date": "20', "[]", '{"results": {}}', "{}", "\xff")):
        (folder / f"2026-01-02-cpu.10170{number}.json").write_text(content, encoding="latin-1")
    for _ in range(2):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            record.update_document(folder, document)
        shown = document.read_text()
        cases = re.findall(r"^\| (\w.* of 2026\S+) \|", shown, flags=re.MULTILINE)
        # A part that newer records lack is of an older one, as is one that failed.
        assert cases == ["nt_xent of 2026-01-02-cpu", "step of 128 failed of 2026-01-02-cpu",
                         "step of 256 of 2026-01-02-cpu.101500", "step of 128 of 2026-01-02-cpu.101500",
                         "step of 1024 of 2026-01-01-cpu", "size of 2026-01-01-cpu"], shown
        links = re.findall(r"results/([^)]+)\)", shown)
        assert links == ["2026-01-02-cpu.json", "2026-01-02-cpu.101500.json", "2026-01-01-cpu.json"], shown
        assert "old" not in shown and "\nnot yet\n" in shown, shown
        assert re.findall("Not measured for want of time: (.*)", shown) == ["size."], shown
        names = re.findall(rf"^{folder}/2026-01-02-cpu\.(\d+)\.json: .*, and so is not shown$", said.getvalue(),
                           flags=re.MULTILINE)
        assert sorted(names) == ["101600", *(f"10170{number}" for number in range(5))], said.getvalue()


def test_the_document_shows_the_newest_records(folder):
    copy = folder / "performance.md"
    copy.write_text(record.DOCUMENT.read_text())
    record.update_document(BENCHMARKS / "results", copy)
    assert copy.read_text() == record.DOCUMENT.read_text(), "run benchmarks/compare.py --update-docs"


if __name__ == "__main__":
    run(test_a_part_keeps_the_rest, test_a_record_is_never_lost, test_what_a_record_goes_on_with, test_document,
        test_the_document_shows_the_newest_records)
