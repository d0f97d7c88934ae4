#!/usr/bin/env python3
"""train_cifar on three hosts, with addresses of their own and a network between them: what one process trains, and a
clear end where a link is cut.

usage: test_hosts.py

TRAIN_CIFAR is the built program, beside whose library libsimclr_mpi.so lies. The hosts are network namespaces, which
root alone may make: elsewhere the exit code is 77.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from support.engine import Done, below, limited, ranks_below, runs
from support.hosts import Hosts, Unavailable
from support.runs import ENVIRONMENT, PROGRAM, Base, entries

TIMEOUT = 10  # seconds that a rank waits for the others; ten times that while rank 0 saves


def losses(out):
    return [entry["loss"] for entry in entries(out) if entry["event"] == "step"]


class ThreeHosts(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hosts = Hosts(cls.folder, 3)
        cls.addClassCleanup(cls.hosts.end)
        cls.options = [*cls.changed("--batch-size", "12", "--knn-every", "0"), "--lr", "0.001", "--no-evaluation",
                       "--world-timeout", str(TIMEOUT), "--checkpoint-minutes", "0"]

    def command(self, hosts, *options):
        return [*self.hosts.engine(*hosts), PROGRAM, *options]

    def check_losses(self, out, options):
        whole = self.folder / f"{out.name}-whole"
        self.good(*options, "--out", whole)
        mine, right = losses(out), losses(whole)
        self.assertEqual(len(mine), len(right))
        self.assertLess(max(abs(a - b) for a, b in zip(mine, right)), 1e-4)

    def test_they_train_what_one_process_does(self):
        before = [self.hosts.received(number) for number in (1, 2, 3)]
        done = Done(self.command((1, 2, 3), *self.options, "--out", self.out))
        self.assertEqual(done.code, 0, done.out + done.err)
        self.assertRegex(done.out, r"\n3 processes, each on the CPU, 1 thread\n")
        self.check_losses(self.out, self.options)
        for number, bytes_before in zip((1, 2, 3), before):
            self.assertGreater(self.hosts.received(number) - bytes_before, 1_000_000, "this host has sent no gradients")

    def cut(self, command):
        """Runs it and cuts the link to host 2 behind some steps: the process, its ranks and the file of what it says."""
        said = self.out.with_suffix(".said")
        with said.open("w") as output:
            process = subprocess.Popen(limited(command, 300), env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output)
        self.addCleanup(self.end, process)
        ranks = {}
        while len(ranks) < 3 and process.poll() is None:
            time.sleep(0.01)
            ranks = ranks_below(process.pid)
        self.addCleanup(self.end, process, below(process.pid))  # mpirun's own may outlive it
        while self.steps() < 3 and process.poll() is None:
            time.sleep(0.002)
        self.hosts.link(2, "down")
        self.addCleanup(self.hosts.link, 2, "up")
        self.assertEqual(sorted(ranks), [0, 1, 2], said.read_text())
        return process, ranks, said

    @staticmethod
    def end(process, others=()):
        for each in (*others, *below(process.pid)):
            if runs(each):
                os.kill(each, signal.SIGKILL)
        process.wait()

    def seconds_until(self, what):
        begin = time.monotonic()
        while not what() and time.monotonic() - begin < 120:
            time.sleep(0.1)
        return time.monotonic() - begin

    def test_a_cut_link_ends_all_ranks_and_the_other_hosts_go_on(self):
        options = self.changed("--epochs", "6")
        process, ranks, said = self.cut(self.command((1, 2, 3), *options, "--out", self.out))
        line = re.compile(rf"rank [02] of 3: \w+ has waited {TIMEOUT} s for the other ranks; one of them hangs or is cut off. "
                          "The run ends. ")
        self.assertLess(self.seconds_until(lambda: line.search(said.read_text())), TIMEOUT + 10, said.read_text())
        seconds = self.seconds_until(lambda: not any(map(runs, ranks.values())))
        self.end(process)  # mpirun has told host 2 to end, and waits for a quarter of an hour for its answer
        self.assertLess(seconds, 10 * TIMEOUT + 10, said.read_text())
        done = Done(self.command((1, 3), "--resume", "--out", self.out))
        self.assertEqual(done.code, 0, done.out + done.err)
        self.assertRegex(done.out, r"going on after \d+ of 30 steps\n")
        self.check_losses(self.out, options)

    def test_mpirun_ends_by_itself_where_its_probes_are_faster_than_the_timeout(self):
        probes = {"oob_tcp_keepalive_time": 2, "oob_tcp_keepalive_intvl": 1, "oob_tcp_keepalive_probes": 2}
        options = self.changed("--epochs", "600", "--world-timeout", "50")
        command = [*self.hosts.engine(1, 2, 3, **probes), PROGRAM, *options, "--out", self.out]
        process, ranks, said = self.cut(command)
        seconds = self.seconds_until(lambda: process.poll() is not None)
        self.assertLess(seconds, 40, said.read_text())
        self.assertNotEqual(process.returncode, 0)
        self.assertFalse(runs(ranks[0]) or runs(ranks[2]), said.read_text())
        self.assertLess(self.seconds_until(lambda: not runs(ranks[1])), 60, said.read_text())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        try:
            Hosts(pathlib.Path(name), 2).end()
        except Unavailable as error:
            print(f"skipped: no hosts can be made here: {error}")
            sys.exit(77)
    if not shutil.which("mpirun"):
        print("skipped: there is no mpirun here (Debian: openmpi-bin)")
        sys.exit(77)
    unittest.main(verbosity=2)
