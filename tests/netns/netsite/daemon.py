"""A program that stays, with its output in files, and what its processes cost."""

import os
import signal
import subprocess
from pathlib import Path

from .namespace import wait_until


class Daemon:
    def __init__(self, namespace, argv, directory, name, env=None, pass_fds=()):
        self.name = name
        self.out = Path(directory) / f"{name}.out"
        self.err = Path(directory) / f"{name}.err"
        # The machine's own /var/lib/sixgate is nobody's here, and one test's bans are not another's.
        env = {**os.environ, "STATE_DIRECTORY": str(Path(directory) / "state"), **(env or {})}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = namespace.popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                           env=env, pass_fds=pass_fds)
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def errors(self):
        """What it has written to stderr so far."""
        return self.err.read_text(errors="replace")

    def output(self):
        return self.out.read_text(errors="replace")

    def pids(self):
        return process_tree(self.pid)

    def wait_ready(self, condition, timeout=10.0):
        def ready():
            if not self.alive():
                raise RuntimeError(f"{self.name} ended with {self.process.returncode} before it was "
                                   f"ready:\n{self.errors()}{self.output()}")
            return condition()
        wait_until(ready, f"{self.name} is ready; it said:\n{self.errors()}", timeout)
        return self

    def kill(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout=15.0):
        """Asks it to end and returns its exit status; kills it and raises if it does not end."""
        if self.alive():
            self.kill(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def process_tree(root):
    """The process and all its descendants."""
    children = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        children.setdefault(_parent(pid), []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def _parent(pid):
    try:
        # The name in parentheses may hold anything, so what follows the last one is taken.
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def cpu_ns(pids):
    """CPU time of the processes in nanoseconds: utime + stime, but not rounded to clock ticks."""
    return sum(int(path.read_text().split()[0])
               for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def memory_bytes(pids):
    """Anonymous and shared memory of the processes, each page counted once among them."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total
