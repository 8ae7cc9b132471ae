"""What a service manager does for a service with a descriptor store, as sd_notify(3) and sd_listen_fds(3) have it."""

import ctypes
import json
import os
import socket
import stat
import threading
import time

from .namespace import wait_until

# Puts the descriptors of $GIVEN at 3 and up, in that order, and becomes the program.
LAUNCHER = """
import fcntl, os, sys
given = [int(fd) for fd in os.environ.pop("GIVEN").split(",") if fd]
copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200) for fd in given]
for fd in given:
    os.close(fd)
for i, fd in enumerate(copies):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


def is_same(a, b):
    """Whether both lead to one open file, as kcmp(2) has it; where it is not to be had, to one inode."""
    number = {"x86_64": 312, "aarch64": 272}.get(os.uname().machine)
    if number:
        order = ctypes.CDLL(None, use_errno=True).syscall(number, os.getpid(), os.getpid(), 0, a, b)
        if order >= 0:
            return order == 0
    return os.path.sameopenfile(a, b)


def port_of(fd):
    """Of a socket to which clients come, or None."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    with socket.socket(fileno=os.dup(fd)) as found:
        inet = found.family in (socket.AF_INET, socket.AF_INET6)
        listens = found.type == socket.SOCK_DGRAM or found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return found.getsockname()[1] if inet and listens else None


class Manager:
    """Keeps what a gateway of the site asks it to, and gives that to the next one. messages: all that was said."""

    def __init__(self, site):
        self.site, self.stored, self.messages, self.started = site, [], [], 0
        self.heard = 0.0
        self.path = str(site.dir / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.lock = threading.Lock()
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 65536, 64)
            except OSError:
                return
            said = dict(line.partition("=")[::2] for line in data.decode().splitlines())
            with self.lock:
                if {"FDSTORE", "FDSTOREREMOVE"} & said.keys():
                    self._store(said, fds)
                    self.heard = time.monotonic()
                self.messages.append(said)

    def _store(self, said, fds):
        if "FDSTORE" in said:
            gone = [(None, fd) for fd in fds if any(is_same(fd, kept) for _, kept in self.stored)]
            self.stored += [(said["FDNAME"], fd) for fd in fds if (None, fd) not in gone]
        else:
            gone = [entry for entry in self.stored if entry[0] == said["FDNAME"]]
            self.stored = [entry for entry in self.stored if entry not in gone]
        for _, fd in gone:
            os.close(fd)

    def hear_all(self):
        """All that was said until now has been heard."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as talker:
            talker.sendto(f"MARK={(mark := os.urandom(8).hex())}".encode(), self.path)
        wait_until(lambda: any(said.get("MARK") == mark for said in self.messages), "the manager hears")
        with self.lock:
            self.messages = [said for said in self.messages if "MARK" not in said]

    def names(self):
        with self.lock:
            return [name for name, _ in self.stored]

    def estate(self):
        """What is in the store if that is one estate and all that it names, and nothing else; else None."""
        with self.lock:
            texts = [os.pread(fd, 1 << 24, 0) for name, fd in self.stored if name == "estate"]
            names = sorted(name for name, _ in self.stored)
        if len(texts) != 1:
            return None
        estate = json.loads(texts[0])
        wanted = {f"fd{number}" for number in estate["descriptors"].values()}
        return estate if names == sorted({"estate", *wanted}) else None

    def sockets(self, ports):
        """The inodes of those that are in the store for these ports."""
        with self.lock:
            return {os.fstat(fd).st_ino for _, fd in self.stored if port_of(fd) in ports}

    def has_estate(self):
        """One that is not about to be replaced."""
        with self.lock:
            quiet = time.monotonic() - self.heard > 0.3
        return quiet and self.estate() is not None

    def start(self, config, name=None, more=(), variables=None):
        """more: (name, descriptor) of sockets that a socket unit has opened."""
        self.hear_all()
        with self.lock:
            given = [*self.stored, *more]
        self.started += 1
        fds = [fd for _, fd in given]
        env = {"NOTIFY_SOCKET": self.path, "GIVEN": ",".join(map(str, fds)), **(variables or {})}
        if given:
            env |= {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(name for name, _ in given)}
        path = self.site.write("sixgated.conf", config)
        for fd in fds:
            os.set_inheritable(fd, True)
        return self.site.sixgated(["--config", path], name=name or f"managed{self.started}", env=env,
                                  wrapper=["/usr/bin/python3", "-c", LAUNCHER], pass_fds=fds)

    def close(self):
        self.socket.close()
        for _, fd in self.stored:
            os.close(fd)
