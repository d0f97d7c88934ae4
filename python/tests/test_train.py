"""simclr.train: the files and figures of the training programs, to the digit, within this process."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

import simclr

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests"))

from support.tiny_data import write_pictures, write_texts  # noqa: E402

PROGRAMS = pathlib.Path(os.environ.get("PROGRAMS", pathlib.Path(simclr.__file__).parents[2] / "examples"))
SMALL = {"width": 4, "size": 16, "batch_size": 16, "epochs": 2, "knn_every": 1, "probe_epochs": 2, "device": "cpu",
         "threads": 1}
TIMES = {"time", "seconds", "samples_per_second", "training_seconds"}

if not hasattr(simclr._core, "train"):
    pytest.skip("this build is without the programs", allow_module_level=True)


def launch(name, *arguments):
    if not (PROGRAMS / name).exists():
        pytest.skip(f"{PROGRAMS / name} is not there; PROGRAMS names the programs' folder")
    return subprocess.run([str(part) for part in (PROGRAMS / name, *arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)


def words(options):
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def entries(out):
    """A run's log without what a clock says."""
    lines = [json.loads(line) for line in (pathlib.Path(out) / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("train")
    for part, count in (("train", 20), ("test", 6)):
        for label, name in enumerate("abc"):
            write_pictures(made / "pictures" / part / name, count, 3 * label)
    return made


@pytest.fixture(scope="module")
def program(folder):
    """The folder of the program's own run with the options of pictures()."""
    done = launch("train_cifar", "--dataset=folder", f"--data={folder / 'pictures'}", *words(SMALL), "--head-batchnorm",
                  "--no-graph", f"--out={folder / 'program'}")
    assert done.returncode == 0, done.stderr
    return folder / "program"


@pytest.fixture
def pictures(folder):
    return {"dataset": "folder", "data": folder / "pictures", "head_batchnorm": True, "graph": False, **SMALL}


def test_it_is_the_program_s_run(folder, program, pictures, capsys):
    told = []
    result = simclr.train(**pictures, out=folder / "own", callback=told.append)
    wanted = entries(program)
    assert entries(folder / "own") == wanted
    assert [{key: value for key, value in entry.items() if key not in TIMES} for entry in told] == wanted
    for name in ("model.safetensors", "config.json"):
        assert (folder / "own" / name).read_bytes() == (program / name).read_bytes()
    assert (folder / "own/report.html").exists()
    last = {entry["event"]: entry for entry in wanted}
    assert (result["out"], result["epochs"], result["steps"]) == (str(folder / "own"), 2, 6)
    assert result["loss"] == last["epoch"]["loss"] and result["skipped_samples"] == 0 and result["seconds"] > 0
    assert result["knn"]["top1"] == last["knn"]["top1"]
    assert result["evaluation"]["trained"] == last["evaluation"]["trained"]
    printed = capsys.readouterr().out
    assert "60 pictures" in printed and "trained 2 epochs" in printed and f"report: {folder / 'own'}" in printed
    assert simclr.load(result["out"]).features == 32


def test_quiet_prints_nothing_and_none_leaves_an_option_out(folder, pictures, capfd):
    result = simclr.train(**{**pictures, "epochs": 1}, evaluation=False, overwrite=False, resume=None, quiet=True,
                          out=folder / "quiet")
    assert capfd.readouterr() == ("", "")
    assert (result["epochs"], result["evaluation"]) == (1, None)


def test_what_the_program_refuses_is_refused_in_its_words(tmp_path):
    gone = {"dataset": "folder", "data": tmp_path / "gone", "quiet": True}  # what is not refused trains nothing either
    for wrong, option in ((({"bach_size": 16}), "--bach-size=16"), ({"batch_size": "many"}, "--batch-size=many"),
                          ({"epochs": -1}, "--epochs=-1"), ({"preset": "quik"}, "--preset=quik")):
        told = launch("train_cifar", option)
        with pytest.raises(simclr.InputError) as caught:
            simclr.train(**wrong, **gone)
        assert told.stderr == f"train_cifar: {caught.value}\n" and told.returncode == 1
    with pytest.raises(simclr.InputError, match=r"did you mean --batch-size\?"):
        simclr.train(bach_size=16, **gone)
    with pytest.raises(simclr.InputError, match="gone"):
        simclr.train(**gone)
    with pytest.raises(simclr.InputError, match="modality must be one of picture"):
        simclr.train(modality="smell", **gone)
    with pytest.raises(simclr.InputError, match="overwrite must be True or False, not 1"):
        simclr.train(overwrite=1, **gone)
    with pytest.raises(simclr.InputError, match="holds a NUL"):
        simclr.train(out="a\0b", **gone)
    with pytest.raises(simclr.InputError, match="width must be a number"):
        simclr.train(width={}, **gone)
    with pytest.raises(simclr.InputError, match="callback must be callable"):
        simclr.train(callback=3, **gone)


def test_a_run_that_holds_one_is_refused_and_the_next_goes_well(folder, program, pictures):
    before = {path.name: path.read_bytes() for path in program.iterdir() if path.is_file()}
    with pytest.raises(simclr.InputError, match="already holds a run"):
        simclr.train(**pictures, out=program, quiet=True)
    assert {path.name: path.read_bytes() for path in program.iterdir() if path.is_file()} == before
    simclr.train(**pictures, out=folder / "behind an error", quiet=True)
    assert entries(folder / "behind an error") == entries(program)


def test_signals_and_threads_are_as_before(folder, pictures, tmp_path):
    simclr.set_threads(2)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
    before = [signal.getsignal(each) for each in signals]
    status = pathlib.Path("/proc/self/status")
    masks = [line for line in status.read_text().splitlines() if line.startswith("Sig")]
    during = []
    simclr.train(**{**pictures, "epochs": 1}, evaluation=False, out=tmp_path / "run", quiet=True,
                 callback=lambda _: during.append(simclr.threads()))
    assert set(during) == {1} and simclr.threads() == 2  # threads=1 is of the run
    with pytest.raises(simclr.InputError):
        simclr.train(**pictures, arch="none", quiet=True)
    assert simclr.threads() == 2
    assert [signal.getsignal(each) for each in signals] == before
    assert [line for line in status.read_text().splitlines() if line.startswith("Sig")] == masks


class Enough(Exception):
    pass


def stop_at(step):
    def callback(entry):
        if entry["event"] == "step" and (entry["epoch"], entry["step"]) == step:
            raise Enough("that was enough")
    return callback


def test_an_exception_of_the_callback_stops_with_a_checkpoint_and_the_run_goes_on(folder, program, pictures, tmp_path,
                                                                                  capsys):
    with pytest.raises(Enough, match="that was enough"):
        simclr.train(**pictures, out=tmp_path / "run", callback=stop_at((2, 1)))
    assert "stopped; 5 of 6 steps are done" in capsys.readouterr().out
    assert list((tmp_path / "run/checkpoints").glob("*.safetensors")) and (tmp_path / "run/report.html").exists()
    assert not (tmp_path / "run/model.safetensors").exists()
    result = simclr.train(**pictures, out=tmp_path / "run", resume=True, quiet=True)
    assert [entry for entry in entries(tmp_path / "run") if entry["event"] != "resume"] == entries(program)
    assert (tmp_path / "run/model.safetensors").read_bytes() == (program / "model.safetensors").read_bytes()
    assert (result["epochs"], result["steps"]) == (2, 6)
    again = simclr.train(**pictures, out=tmp_path / "run", resume=True, quiet=True)  # it is finished
    assert again == result


def test_ctrl_c_stops_with_a_checkpoint(folder, pictures, tmp_path):
    run = tmp_path / "run"

    def interrupt():  # once it trains; no code of Python runs there
        while not (run / "log.jsonl").exists() or (run / "log.jsonl").read_text().count("\n") < 5:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        simclr.train(**{**pictures, "epochs": 100_000, "knn_every": 0}, out=run, quiet=True)
    other.join()
    assert list((run / "checkpoints").glob("*.safetensors")) and "steps are done" in (run / "report.html").read_text()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_run_and_a_second_training_is_refused(folder, pictures, tmp_path):
    at_work, ended, refused, counted = threading.Event(), threading.Event(), [], [0]

    def count():
        at_work.wait(60)
        try:
            simclr.train(**pictures, out=tmp_path / "second", quiet=True)
        except simclr.RunError as error:
            refused.append(str(error))
        while not ended.is_set():
            counted[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    simclr.train(**pictures, out=tmp_path / "first", quiet=True, callback=lambda _: at_work.set())
    ended.set()
    other.join()
    assert len(refused) == 1 and "a run is under way" in refused[0] and counted[0] > 10
    assert not (tmp_path / "second").exists()


def test_warnings_are_python_s_and_an_error_of_one_stops_the_run(folder, tmp_path):
    write_pictures(tmp_path / "mixed/a", 20, 0)
    (tmp_path / "mixed/a/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    options = {**SMALL, "dataset": "folder", "data": tmp_path / "mixed", "quiet": True, "epochs": 8, "knn_every": 0}
    with pytest.warns(UserWarning, match=r"broken\.png") as caught:
        result = simclr.train(**options, out=tmp_path / "run")
    assert result["skipped_samples"] == 1 and caught[0].filename == __file__
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"broken\.png"):
            simclr.train(**options, out=tmp_path / "other")


def test_an_error_amid_the_run_is_a_run_error(folder, pictures, tmp_path):
    # The learning rate is not refused, but what comes of it is no number.
    with pytest.raises(simclr.RunError, match="NaN|Inf|infinite"):
        simclr.train(**pictures, out=tmp_path / "run", optimizer="sgd", lr=1e30, quiet=True)


def test_a_run_of_texts_and_help(tmp_path, capsys):
    write_texts(tmp_path)
    options = {"width": 8, "batch_size": 16, "epochs": 1, "knn_every": 0, "device": "cpu", "threads": 1, "probe_epochs": 2}
    done = launch("train_text", f"--data={tmp_path / 'films.tsv'}::{tmp_path / 'sentences.txt'}", *words(options),
                  f"--out={tmp_path / 'program'}")
    assert done.returncode == 0, done.stderr
    with pytest.warns(UserWarning, match="sentences.txt"):  # of the line that is no UTF-8
        simclr.train(modality="text", data=[tmp_path / "films.tsv", tmp_path / "sentences.txt"], **options,
                     out=tmp_path / "own", help=False)
    assert entries(tmp_path / "own") == entries(tmp_path / "program")
    assert (tmp_path / "own/model.safetensors").read_bytes() == (tmp_path / "program/model.safetensors").read_bytes()
    capsys.readouterr()
    assert simclr.train(modality="text", help=True) == {}
    assert capsys.readouterr().out == launch("train_text", "--help").stdout


def test_a_check_says_what_the_program_says(folder, pictures, tmp_path, capsys):
    done = launch("train_cifar", "--check", "--dataset=folder", f"--data={folder / 'pictures'}", *words(SMALL),
                  "--head-batchnorm", f"--out={tmp_path / 'program'}")
    assert simclr.train(**pictures, check=True, out=tmp_path / "own") == {"fine": False}
    told = [[line for line in text.splitlines() if line.startswith(("checking ", "- batch size"))]
            for text in (capsys.readouterr().out, done.stdout)]
    assert told[0] == told[1] and len(told[0]) == 2 and done.returncode == 1
    sheet = "check-views.png"
    assert (tmp_path / "own" / sheet).read_bytes() == (tmp_path / "program" / sheet).read_bytes()

    def interrupt(_):
        raise Enough

    class Stdout:
        write = staticmethod(interrupt)

        def flush(self):
            pass

    import contextlib
    with contextlib.redirect_stdout(Stdout()), pytest.raises(Enough):  # what takes the output has gone
        simclr.train(**pictures, check=True, out=tmp_path / "gone")
    assert simclr.train(**pictures, out=tmp_path / "next", quiet=True)["epochs"] == 2


def test_the_report_is_shown_in_a_notebook(folder, program, tmp_path):
    report = simclr.report(program)
    assert str(report) == os.fspath(report) == str(program / "report.html")
    page = report._repr_html_()
    assert page.startswith('<iframe srcdoc="') and page.count('"') == 4  # the page's own are escaped
    import html
    assert html.unescape(page.split('"')[1]) == (program / "report.html").read_text()
    assert str(simclr.report({"out": str(program)})) == str(report)
    for wrong, message in ((tmp_path, "there is no such file"), (3, "must be a run's folder"), ({}, "must be a run's folder")):
        with pytest.raises(simclr.InputError, match=message):
            simclr.report(wrong)
