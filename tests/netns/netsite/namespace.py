"""One network namespace, held by a file descriptor, so that it ends with its last user."""

import contextlib
import ctypes
import os
import socket
import subprocess
import time

CLONE_NEWNET = 0x40000000
TCP_LISTEN = "0A"
NETWORK_DUMPS = ("ip -d addr", "ip -4 -d route show table all", "ip -6 -d route show table all", "ip -4 rule",
                 "ip -6 rule", "nft -a list ruleset")

_libc = ctypes.CDLL(None, use_errno=True)


def wait_until(condition, what, timeout=10.0):
    """Returns the condition's first true value; raises TimeoutError naming what was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        time.sleep(0.005)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _current():
    """The calling thread's own namespace; /proc/self would be the main thread's."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def _returning():
    before = _current()
    try:
        yield
    finally:
        _check(_libc.setns(before, CLONE_NEWNET), "setns")
        os.close(before)


def _new():
    with _returning():
        _check(_libc.unshare(CLONE_NEWNET), "unshare (root is needed)")
        return _current()


class Namespace:
    def __init__(self, name):
        self.name = name
        self.fd = _new()
        self.inode = os.fstat(self.fd).st_ino

    def close(self):
        os.close(self.fd)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in this namespace; sockets and processes made meanwhile stay in it."""
        with _returning():
            _check(_libc.setns(self.fd, CLONE_NEWNET), "setns")
            yield self

    # ---- sockets --------------------------------------------------------------------------------

    def socket(self, family=socket.AF_INET6, kind=socket.SOCK_STREAM):
        with self.entered():
            return socket.socket(family, kind)

    def connect(self, host, port, timeout=10.0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        connection = self.socket(family)
        connection.settimeout(timeout)
        try:
            connection.connect((host, port))
        except OSError:
            connection.close()
            raise
        return connection

    def listen(self, host, port, backlog=128):
        listener = self.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
        return listener

    def is_listening(self, port):
        suffix = f":{port:04X}"
        return any(fields[1].endswith(suffix) and fields[3] == TCP_LISTEN
                   for table in ("tcp", "tcp6") for fields in self._net_table(table))

    def wait_listening(self, port, timeout=10.0):
        wait_until(lambda: self.is_listening(port), f"port {port} open in {self.name}", timeout)

    # ---- programs -------------------------------------------------------------------------------

    def popen(self, argv, **options):
        """A new session of its own keeps a Ctrl-C for us from reaching the program first."""
        options.setdefault("start_new_session", True)
        with self.entered():
            return subprocess.Popen([str(word) for word in argv], **options)

    def run(self, argv, timeout=60.0, check=True, stdin=None):
        """Runs to the end and returns the CompletedProcess with text output."""
        with self.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        text=True) as process:
            try:
                out, err = process.communicate(stdin, timeout)
            except BaseException:
                process.kill()
                raise
        if check and process.returncode != 0:
            raise RuntimeError(f"{argv[0]} in {self.name} ended with {process.returncode}: {err or out}")
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def ip(self, *commands):
        """Each command is a line as one would type it after `ip`."""
        self.run(["ip", "-batch", "-"], stdin="".join(f"{command}\n" for command in commands))

    # ---- what is known of it --------------------------------------------------------------------

    def sysctl(self, name, value):
        with self.entered(), open("/proc/sys/" + name.replace(".", "/"), "w", encoding="ascii") as file:
            file.write(str(value))

    def read_sysctl(self, name):
        return self._read("/proc/sys/" + name.replace(".", "/")).strip()

    def counters(self):
        """Kernel counters by name: 'Tcp.RetransSegs', 'TcpExt.ListenOverflows', 'Ip6InReceives'."""
        found = {}
        for table in ("snmp", "netstat"):
            lines = self._read(f"/proc/thread-self/net/{table}").splitlines()
            for names, values in zip(lines[0::2], lines[1::2]):
                group = names.split(":")[0]
                for name, value in zip(names.split()[1:], values.split()[1:]):
                    found[f"{group}.{name}"] = int(value)
        # This table does not exist where IPv6 is compiled out; elsewhere it does, even when switched off.
        for line in self._read("/proc/thread-self/net/snmp6").splitlines():
            name, value = line.split()
            found[name] = int(value)
        return found

    def addresses(self):
        """Addresses with prefix lengths, those of the loopback and link-local ones left out."""
        lines = self.run(["ip", "-o", "addr", "show", "scope", "global"]).stdout.splitlines()
        return [line.split()[3] for line in lines]

    def network(self):
        """All addresses, routes, rules and packet filters, in words, by the command that lists them."""
        return {command: self.run(command.split()).stdout for command in NETWORK_DUMPS}

    def pids(self):
        """Processes in this namespace, except our own."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if pid != os.getpid() and self._holds(pid)]

    def _holds(self, pid):
        try:
            return os.stat(f"/proc/{pid}/ns/net").st_ino == self.inode
        except OSError:
            return False

    def _read(self, path):
        with self.entered(), open(path, encoding="ascii") as file:
            return file.read()

    def _net_table(self, name):
        return [line.split() for line in self._read(f"/proc/thread-self/net/{name}").splitlines()[1:]]
