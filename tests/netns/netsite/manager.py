"""What a service manager does for a service with a descriptor store, as sd_notify(3) and sd_listen_fds(3) have it."""

import os
import socket
import threading
import time

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
                if "FDSTORE" in said:
                    self.stored += [(said["FDNAME"], fd) for fd in fds]
                elif "FDSTOREREMOVE" in said:
                    for name, fd in [entry for entry in self.stored if entry[0] == said["FDNAME"]]:
                        os.close(fd)
                        self.stored.remove((name, fd))
                self.messages.append(said)
                if "FDSTORE" in said or "FDSTOREREMOVE" in said:
                    self.heard = time.monotonic()

    def names(self):
        with self.lock:
            return [name for name, _ in self.stored]

    def has_estate(self):
        """A whole one that is not about to be replaced: while it is, there is none for a moment."""
        with self.lock:
            return "estate" in [name for name, _ in self.stored] and time.monotonic() - self.heard > 0.3

    def start(self, config, name=None, more=(), variables=None):
        """more: (name, descriptor) of sockets that a socket unit has opened."""
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
