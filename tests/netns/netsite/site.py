"""The three namespaces, their wires and addresses, and the servers that tests put there."""

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from .daemon import Daemon
from .namespace import Namespace, wait_until

ROOT = Path(__file__).resolve().parents[3]

CLIENT6 = "2001:db8:1::10"
GATEWAY6 = "2001:db8:1::1"
VIP6 = "2001:db8:80::1"
FRONT4 = "198.51.100.1"
GATEWAY4 = "192.0.2.1"
BACKENDS = ["192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13"]
SERVER4 = BACKENDS[0]
CLIENT4 = "198.51.100.10"
VIP4 = "203.0.113.80"
NO_SERVICE = 9

# The values of Debian's kernel, so that a machine tuned otherwise gives the same results; room for many
# short connections comes on top of it.
CONGESTION_CONTROL = "cubic"
SYSCTLS = {
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "net.ipv4.ip_local_port_range": "10000 65535",
    "net.ipv4.tcp_tw_reuse": 1,
    "net.ipv4.tcp_max_syn_backlog": 4096,
    "net.core.somaxconn": 4096,
    "net.ipv6.conf.default.accept_dad": 0,
}


def build_dir():
    return ROOT / os.environ.get("SIXGATE_BUILD", "build")


ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")


def use_congestion_control(namespaces):
    """A namespace may only take what the machine allows to all, so it is allowed for just that moment.
    Where that is not ours to decide, as in a container, the machine's own default stays."""
    with ALLOWED.open(encoding="ascii") as lock, contextlib.suppress(PermissionError):
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = ALLOWED.read_text(encoding="ascii").strip()
        missing = CONGESTION_CONTROL not in before.split()
        if missing:
            ALLOWED.write_text(f"{before} {CONGESTION_CONTROL}", encoding="ascii")
        try:
            for namespace in namespaces:
                namespace.sysctl("net.ipv4.tcp_congestion_control", CONGESTION_CONTROL)
        finally:
            if missing:
                ALLOWED.write_text(before, encoding="ascii")


class Site:
    def __init__(self, ipv4_client=False, bare=False):
        self.id = secrets.token_hex(4)
        self.dir = Path(tempfile.gettempdir()) / f"sixgate-{self.id}"
        self.client = Namespace("client")
        self.gateway = Namespace("gateway")
        self.server = Namespace("server")
        self.namespaces = (self.client, self.gateway, self.server)
        self.daemons = []
        self._guardian = self._start_guardian()
        try:
            self._configure(ipv4_client, bare)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """The guardian does the work, so that there is one way of clearing away, which every test tries."""
        self._guardian.stdin.close()
        self._guardian.wait()
        self._guardian.stdout.close()
        for daemon in self.daemons:
            daemon.process.wait()
        for namespace in self.namespaces:
            namespace.close()

    def keep(self):
        """Names the namespaces and lets them outlive us; returns the process to end when they should go."""
        names = [self.netns_name(namespace) for namespace in self.namespaces]
        self._guardian.stdin.write(" ".join(names) + "\n")
        self._guardian.stdin.flush()
        for namespace, name in zip(self.namespaces, names):
            namespace.run(["sh", "-c", 'exec ip netns attach "$1" $$', "sh", name])
        return self._guardian.pid

    def netns_name(self, namespace):
        return f"sixgate-{self.id}-{namespace.name}"

    # ---- making it ------------------------------------------------------------------------------

    def _start_guardian(self):
        inodes = [str(namespace.inode) for namespace in self.namespaces]
        guardian = subprocess.Popen(
            [sys.executable, "-I", Path(__file__).with_name("guardian.py"), self.dir, *inodes],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd="/",
            pass_fds=[namespace.fd for namespace in self.namespaces])
        if not guardian.stdout.readline():
            raise RuntimeError(f"the guardian could not make {self.dir}")
        return guardian

    def _configure(self, ipv4_client, bare):
        for namespace in self.namespaces:
            for name, value in SYSCTLS.items():
                namespace.sysctl(name, value)
        use_congestion_control(self.namespaces)
        for scope in ("all", "default", "lo"):
            self.server.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 1)
        self._wire()
        if ipv4_client:
            self._add_ipv4_client()
        else:
            self.client.ip("addr del 127.0.0.1/8 dev lo")
        if not bare:
            self._add_vips(ipv4_client)
        self._wait_reachable(self.client, GATEWAY6 if bare else VIP6)
        self._wait_reachable(self.gateway, SERVER4)

    def _wire(self):
        # Each pair is made from the gateway's side; the far end is put into place as it is created.
        with self.gateway.entered():
            for near, far in (("front", self.client), ("back", self.server)):
                subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", "eth0",
                                "netns", f"/proc/self/fd/{far.fd}"], check=True, pass_fds=[far.fd])
        self.gateway.ip(
            "link set lo up", "link set front up", "link set back up",
            f"addr add {GATEWAY6}/64 dev front nodad", f"addr add {GATEWAY4}/24 dev back")
        self.client.ip(
            "link set lo up", "link set eth0 up",
            f"addr add {CLIENT6}/64 dev eth0 nodad", f"route add default via {GATEWAY6}")
        self.server.ip(
            "link set lo up", "link set eth0 up",
            *(f"addr add {address}/24 dev eth0" for address in BACKENDS))

    def _add_ipv4_client(self):
        self.client.ip(f"addr add {CLIENT4}/24 dev eth0", f"route add default via {FRONT4}")
        self.gateway.ip(f"addr add {FRONT4}/24 dev front")
        self.server.ip(f"route add default via {GATEWAY4}")

    def _add_vips(self, ipv4_client):
        self.gateway.ip(f"addr add {VIP6}/128 dev lo nodad")
        if ipv4_client:
            self.gateway.ip(f"addr add {VIP4}/32 dev lo")
            self.gateway.sysctl("net.ipv4.ip_forward", 1)

    def _wait_reachable(self, namespace, address):
        """A refusal shows that packets go there and back; a fresh link may take a moment until then."""
        def refused():
            try:
                namespace.connect(address, NO_SERVICE, 0.5).close()
            except ConnectionRefusedError:
                return True
            except OSError:
                return False
            return False
        wait_until(refused, f"{address} reachable from {namespace.name}")

    # ---- servers --------------------------------------------------------------------------------

    def daemon(self, namespace, argv, name, env=None, pass_fds=()):
        daemon = Daemon(namespace, argv, self.dir, name, env, pass_fds)
        self.daemons.append(daemon)
        return daemon

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def nginx(self, namespace, config, ports, name="nginx", wrapper=()):
        """config is what follows the global settings: events, http or stream. Paths in it are relative to
        site.dir/NAME; an http block needs nginx_http_paths()."""
        prefix = self.dir / name
        prefix.mkdir(exist_ok=True)
        path = self.write(f"{name}.conf", "daemon off;\nuser root;\npid nginx.pid;\n"
                          "error_log stderr;\n" + config)
        argv = [*wrapper, "nginx", "-p", f"{prefix}/", "-c", path, "-e", "stderr"]
        return self._wait_ports(self.daemon(namespace, argv, name), namespace, ports)

    def haproxy(self, namespace, config, ports, name="haproxy", wrapper=()):
        argv = [*wrapper, "haproxy", "-db", "-f", self.write(f"{name}.conf", config)]
        return self._wait_ports(self.daemon(namespace, argv, name), namespace, ports)

    def sixgated(self, args, name="sixgated", env=None, wrapper=(), build=None, pass_fds=()):
        """Starts the gateway and waits until it says that it is ready. build: where it is, if not in build_dir()."""
        argv = [*wrapper, (build or build_dir()) / "sixgated", *args]
        daemon = self.daemon(self.gateway, argv, name, env, pass_fds)
        # Not the "ready" of "Address already in use".
        return daemon.wait_ready(lambda: "ready: " in daemon.errors())

    def sixgated_config(self, config, **options):
        path = self.write(f"{options.get('name', 'sixgated')}.conf", config)
        return self.sixgated(["--config", path], **options)

    @staticmethod
    def _wait_ports(daemon, namespace, ports):
        return daemon.wait_ready(lambda: all(namespace.is_listening(port) for port in ports))


def nginx_http_paths():
    """Keeps nginx's temporary files in its prefix instead of /var/lib."""
    return "".join(f"{kind}_temp_path {kind};\n"
                   for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


@contextlib.contextmanager
def terminated_as_exit():
    """SIGTERM becomes SystemExit, so that a script clears away before it ends and not just after."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
