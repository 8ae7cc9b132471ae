"""A client of the gateway's control socket, without our own library or tool."""

import json
import os
import socket

from netsite import build_dir


class Control:
    """One connection; usable in a with statement."""

    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next answer; EOFError if the connection ends before."""
        while b"\n" not in self.rest:
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError(self.rest)
            self.rest += more
        line, _, self.rest = self.rest.partition(b"\n")
        answer = json.loads(line)
        assert answer["version"] == 1
        return answer

    def ask(self, command, **args):
        self.send(request(command, **args))
        return self.receive()


def request(command, **args):
    return json.dumps({"version": 1, "command": command, **({"args": args} if args else {})}).encode() + b"\n"


def control_path(site):
    """Of a gateway whose configuration says run-directory = "{site.dir}/run"."""
    return site.dir / "run" / "control.sock"


def result(site, command, **args):
    with Control(control_path(site)) as control:
        answer = control.ask(command, **args)
    assert answer["ok"], answer
    return answer["result"]


def ctl(site, *words, check=True):
    """sixgatectl, asking the gateway of control_path()."""
    return site.gateway.run([build_dir() / "sixgatectl", "--socket", control_path(site), *map(str, words)],
                            check=check)


def as_user(uid, gids, function):
    """Calls it in a process of that user and those groups: what it returns, or the name of what it raises, as
    text."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "the child failed"
        try:
            os.setgroups(gids)
            os.setresgid(65534, 65534, 65534)
            os.setresuid(uid, uid, uid)
            said = str(function())
        except BaseException as error:  # all that a child may hand on
            said = type(error).__name__
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said
