"""Hosts of one machine: network namespaces with names and addresses of their own, on one switch whose links can be cut.
A process that waits for its input to end, as it does with the test, is the host, and what ends it ends the host."""
import json
import shlex
import subprocess
import sys

PREFIX = "10.77.0."
# What mpirun starts in place of ssh, with a host's address and a command.
AGENT = """#!/bin/sh
case $1 in
{cases}
*) echo "no host $1" >&2; exit 1 ;;
esac
shift
exec nsenter -t "$host" -n -u sh -c "$*"
"""
# Ends when a host answers that nobody listens at that port; where its link is not up yet there is no answer.
ANSWERS = """
import errno, socket, sys, time
begin = time.monotonic()
while socket.socket().connect_ex((sys.argv[1], 9)) not in (0, errno.ECONNREFUSED):
    if time.monotonic() - begin > 30:
        sys.exit(sys.argv[1] + " does not answer")
    time.sleep(0.1)
"""


class Unavailable(Exception):
    """This process may not make them."""


class Hosts:
    def __init__(self, folder, count):
        self.processes = []
        self.agent = folder / "agent"
        try:
            self.switch = self.start()
            self.hosts = [self.start() for _ in range(count)]
            self.inside(self.switch, "ip link add switch type bridge", "ip link set switch up")
            for i, host in enumerate(self.hosts, 1):
                self.inside(self.switch, f"ip link add port{i} type veth peer name eth0 netns {host.pid}",
                            f"ip link set port{i} master switch up")
                self.inside(host, f"hostname node{i}", "ip link set lo up",
                            f"ip address add {self.address(i)}/24 dev eth0", "ip link set eth0 up")
        except (OSError, subprocess.SubprocessError) as error:
            self.end()
            raise Unavailable(getattr(error, "stderr", "") or error) from error
        cases = [f"{self.address(i)}) host={host.pid} ;;" for i, host in enumerate(self.hosts, 1)]
        self.agent.write_text(AGENT.format(cases="\n".join(cases)))
        self.agent.chmod(0o755)

    def start(self):
        process = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", "echo; exec cat"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        if not process.stdout.readline():
            raise subprocess.SubprocessError(process.communicate()[1].strip())
        return process

    def end(self):
        for process in self.processes:
            process.kill()
            process.communicate()

    @staticmethod
    def address(number):
        return f"{PREFIX}{number}"

    @staticmethod
    def inside(host, *commands):
        """What they print."""
        enter = ["nsenter", "-t", str(host.pid), "-n", "-u", "sh", "-ec", "\n".join(commands)]
        return subprocess.run(enter, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60).stdout

    def link(self, number, state):
        """Cuts the link to a host ("down") or mends it ("up"), which takes a moment."""
        self.inside(self.switch, f"ip link set port{number} {state}")
        if state == "up":
            command = shlex.join([sys.executable, "-c", ANSWERS, self.address(2 if number == 1 else 1)])
            self.inside(self.hosts[number - 1], command)

    def received(self, number):
        """Bytes that have come from a host."""
        found, = json.loads(self.inside(self.switch, f"ip -s -j link show port{number}"))
        return found["stats64"]["rx"]["bytes"]

    def engine(self, *numbers, **more):
        """mpirun on the first of these hosts, for a rank on each; `more` of its settings."""
        first = self.hosts[numbers[0] - 1]
        settings = {"plm_rsh_agent": self.agent, "btl": "tcp,self", "mpi_yield_when_idle": 1, **more}  # no shared memory
        return ["nsenter", "-t", first.pid, "-n", "-u", "mpirun", "--allow-run-as-root", "--host",
                ",".join(map(self.address, numbers)), "--map-by", "node", "--bind-to", "none",
                *(word for name, value in settings.items() for word in ("--mca", name, value))]
