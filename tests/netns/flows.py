"""Live flows and new connections in numbers (flowload.c), what became of them, and who is to blame for it."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict, namedtuple
from pathlib import Path

from netsite import GATEWAY6, SERVER4, Daemon, build_dir, wait_until

FRONT, DATAGRAMS, BEHIND, DATAGRAMS_BEHIND = 80, 53, 8000, 8053
KINDS = ("bulk", "small", "half", "udp")
# A kill takes its flows at once; what was written to them may show later, and so may those that hear nothing more.
BLAME_S = 1.0

Error = namedtuple("Error", "what kind port at begun")


def config(site, workers=2, more=""):
    """For a gateway in front of the server of these flows."""
    return f"""run-directory = "{site.dir}/run"
        workers = {workers}
        drain = 30s
        listener "l" {{ bind = "*:{FRONT}" pool = "p" }}
        listener "d" {{ protocol = udp bind = "[{GATEWAY6}]:{DATAGRAMS}" pool = "d" }}
        pool "p" {{ backend "{SERVER4}:{BEHIND}" {{}} }}
        pool "d" {{ backend "{SERVER4}:{DATAGRAMS_BEHIND}" {{}} }}
        {more}
    """


def start_server(site):
    argv = [str(build_dir() / "tests" / "flowserve"), SERVER4, str(BEHIND), str(DATAGRAMS_BEHIND)]
    server = site.daemon(site.server, argv, "flowserve")
    return server.wait_ready(lambda: "ready" in server.output())


class Flows:
    """flows: how many of each of KINDS. seconds: what the client said each second; errors: all there were.
    blame() says whose fault the next errors are."""

    def __init__(self, site, flows, rate, late_ms=10000, bulk_kbps=100, every_ms=200):
        self.seconds, self.errors, self.victims, self.kills = [], [], defaultdict(list), []
        self.n = sum(flows)
        argv = [build_dir() / "tests" / "flowload", GATEWAY6, FRONT, DATAGRAMS, *flows, rate, late_ms, bulk_kbps, every_ms]
        self.process = site.client.popen([str(word) for word in argv], stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._hear, daemon=True)
        self.thread.start()

    def _hear(self):
        for line in self.process.stdout:
            said = json.loads(line)
            if "error" in said:
                self.errors.append(Error(said["error"], said["kind"], said["port"], said["at"], said["begun"]))
            else:
                self.seconds.append(said)

    def wait_live(self, timeout=60):
        wait_until(lambda: self.seconds and self.seconds[-1]["live"] == self.n, f"{self.n} flows", timeout)

    def wait_second(self, n=2):
        """As many whole seconds from now."""
        before = len(self.seconds)
        wait_until(lambda: len(self.seconds) >= before + n, "the client says something", 30)

    def blame(self, ports):
        """These clients' connections are about to be killed."""
        now = time.monotonic()
        self.kills.append(now)
        for port in ports:
            self.victims[port].append(now)

    def is_expected(self, error):
        # In an hour another client may have had that port when another process was killed.
        return any(error.begun <= killed <= error.at for killed in self.victims.get(error.port, ()))

    def unexpected(self, since=0):
        return [error for error in self.errors[since:] if not self.is_expected(error)]

    def counts(self, since=0):
        """By what happened; those of killed processes are "expected"."""
        return Counter("expected" if self.is_expected(error) else error.what for error in self.errors[since:])

    def longest_pause(self, since=0.0):
        """(milliseconds, kind, when) of what was said since then."""
        return max(((said["pauses"][kind], kind, said["at"]) for said in self.seconds for kind in KINDS
                    if said["at"] >= since), default=(0, "-", 0))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.thread.join(10)
        self.process.stdout.close()


def socket_inodes(pid):
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def client_ports(pid, but=()):
    """Ports of the clients whose accepted connections no process of `but` has: with no others, those that pid has or
    that are on their way to it. Whoever still waits to be accepted is not among them."""
    others = set().union(*map(socket_inodes, but))
    ports = set()
    for line in Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()[1:]:
        fields = line.split()
        inode, (_, own), (_, port) = int(fields[9]), fields[1].split(":"), fields[2].split(":")
        if int(own, 16) == FRONT and inode and inode not in others:
            ports.add(int(port, 16))
    return ports


def kill_worker(flows, daemon, pid):
    """kill -9, so that the flows it has are known; returns how many these were."""
    os.kill(pid, signal.SIGSTOP)
    ports = client_ports(pid, but=[other for other in daemon.pids() if other != pid])
    flows.blame(ports)
    os.kill(pid, signal.SIGKILL)
    return len(ports)


def usage(daemon: Daemon):
    """Of all processes: how many, proportional and resident memory in bytes, descriptors."""
    pss = rss = descriptors = processes = 0
    for pid in daemon.pids():
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                pss += int(line.split()[1]) << 10 if line.startswith("Pss:") else 0
                rss += int(line.split()[1]) << 10 if line.startswith("Rss:") else 0
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            processes += 1
    return processes, pss, rss, descriptors
