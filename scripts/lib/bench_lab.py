"""The site under load: servers, gateways, and one function for each kind of measurement."""

import json
import re
import subprocess
import time
from pathlib import Path

from bench_peers import BULK_PORT, DIRECT_WEB_PORT, MAX_CONNECTIONS, WEB_PORT
from netsite import CLIENT4, CLIENT6, ROOT, SERVER4, Site, build_dir, cpu_ns, memory_bytes, wait_until
from netsite.site import nginx_http_paths

STATUS_PORT = 8081
BODY = "x" * 690  # with nginx's own header lines a response of about 850 bytes
WARM_UP = 0.3
IDLE_CONNECTIONS = 4000
MICRO, MILLI, MEGA, GIGA = 1e6, 1e3, 1e6, 1e9
WRK_SCRIPT = Path(__file__).with_name("wrk_report.lua")
WRK_ERRORS = ("connect", "read", "write", "status", "timeout")

SERVER_CONFIG = f"""
worker_processes 1;
events {{ worker_connections {2 * MAX_CONNECTIONS}; }}
http {{
    {nginx_http_paths()}
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 10m;
    server {{
        listen {SERVER4}:{WEB_PORT} proxy_protocol backlog=4096;
        listen {SERVER4}:{DIRECT_WEB_PORT} backlog=4096;
        location / {{ return 200 "{BODY}"; }}
        location /who {{ return 200 "$proxy_protocol_addr $remote_addr\\n"; }}
    }}
    server {{
        listen {SERVER4}:{STATUS_PORT};
        location / {{ stub_status; }}
    }}
}}
"""


class Invalid(Exception):
    """A measurement that must not be used, and why."""


class Lab:
    def __init__(self, peers, pin):
        self.site = Site(ipv4_client=True)
        self.gateway_wrapper = ["taskset", "-c", "0"] if pin else []
        self.load_wrapper = ["taskset", "-c", "1"] if pin else []
        self.daemons = {}
        try:
            self._start(peers)
        except BaseException:
            self.close()
            raise

    def close(self):
        self.site.close()

    def _start(self, peers):
        site = self.site
        site.nginx(site.server, SERVER_CONFIG, [WEB_PORT], name="server", wrapper=self.load_wrapper)
        site.daemon(site.server, [*self.load_wrapper, build_dir() / "tests/bulkload", "serve", SERVER4, BULK_PORT],
                    "bulk").wait_ready(lambda: site.server.is_listening(BULK_PORT))
        self.status = site.server.connect(SERVER4, STATUS_PORT)
        for peer in peers:
            peer.prepare(site)
            self.start_peer(peer)
            self.check_identity(peer)

    def start_peer(self, peer):
        if peer.is_gateway:
            self.daemons[peer.name] = peer.start(self.site, peer, self.gateway_wrapper)
        wait_until(lambda: self.who(peer), f"{peer.name} to serve")

    def restart_peer(self, peer):
        """The daemon of before has used its memory already."""
        self.daemons[peer.name].stop()
        self.start_peer(peer)

    def who(self, peer):
        """Whom the server takes its client for; nothing if it is not served, as before a check has passed."""
        try:
            return _get(self.site.client.connect(*peer.web), "/who").split()
        except ConnectionError:
            return []

    def check_identity(self, peer):
        """What is measured must be what was promised: the server knows its client."""
        who = self.who(peer)
        expected = [CLIENT6, "192.0.2.1"] if peer.is_gateway else [CLIENT4]
        if who != expected:
            raise Invalid(f"{peer.name}: the server took its client to be {who} and not {expected}")

    def pids(self, peer):
        return self.daemons[peer.name].pids() if peer.is_gateway else []

    def sample(self, pids):
        """(seconds, requests answered so far, CPU nanoseconds of the processes)"""
        text = _get_keepalive(self.status, "/")
        requests = int(re.search(r"\n (\d+) (\d+) (\d+)", text).group(3))
        return time.monotonic(), requests, cpu_ns(pids)


def _get(connection, path):
    with connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.partition(b"\r\n\r\n")[2].decode()


def _get_keepalive(connection, path):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: site\r\n\r\n".encode())
    answer = b""
    # stub_status ends with this line, in one small response.
    while b"Waiting:" not in answer:
        answer += connection.recv(65536)
    return answer.decode()


# ---- requests -----------------------------------------------------------------------------------


def _start_wrk(lab, peer, connections, seconds, headers):
    host, port = peer.web
    url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    argv = [*lab.load_wrapper, "wrk", "--threads", 1, "--connections", connections, "--duration", f"{seconds}s",
            "--timeout", "10s", "--latency", "--script", WRK_SCRIPT]
    for header in headers:
        argv += ["--header", header]
    return lab.site.client.popen([*argv, url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wrk_result(output):
    report = json.loads(output.strip().splitlines()[-1])
    errors = {name: report[name] for name in WRK_ERRORS if report[name]}
    if errors:
        raise Invalid(f"wrk counted errors: {errors}")
    return report


def _wrk_window(lab, peer, connections, seconds, headers=()):
    """Runs wrk and looks at a window within its run, after the warm-up and before its end."""
    pids = lab.pids(peer)
    with _start_wrk(lab, peer, connections, seconds, headers) as wrk:
        time.sleep(WARM_UP)
        before = lab.sample(pids)
        time.sleep(seconds - WARM_UP - 0.1)
        after = lab.sample(pids)
        output = wrk.communicate(timeout=seconds + 30)[0]
    if wrk.returncode != 0:
        raise Invalid(f"wrk ended with {wrk.returncode}: {output}")
    elapsed, requests, cpu = (b - a for a, b in zip(before, after))
    return requests / elapsed, cpu / 1000 / requests, _wrk_result(output)


def keepalive(connections):
    def measure(lab, peer, seconds):
        rate, cpu_us, report = _wrk_window(lab, peer, connections, seconds)
        return {f"requests-{connections}": rate, f"p99-{connections}": report["p99"] / MILLI,
                f"cpu-{connections}": cpu_us}
    return measure


def short_connections(lab, peer, seconds):
    rate, cpu_us, _ = _wrk_window(lab, peer, 64, seconds, ["Connection: close"])
    return {"connections": rate, "cpu-connection": cpu_us}


# ---- bulk ---------------------------------------------------------------------------------------


def bulk(direction, count):
    def measure(lab, peer, seconds):
        host, port = peer.bulk
        pids = lab.pids(peer)
        before = cpu_ns(pids)
        done = lab.site.client.run([*lab.load_wrapper, build_dir() / "tests/bulkload", "run", host, port, direction,
                                    count, seconds / 3], check=False, timeout=seconds + 30)
        cpu = cpu_ns(pids) - before
        if done.returncode != 0:
            raise Invalid(f"{direction} failed: {done.stderr.strip()}")
        size, elapsed = map(float, done.stdout.split())
        return {f"{direction}-{count}": size / elapsed / MEGA,
                f"cpu-{direction}-{count}": cpu / GIGA / (size / GIGA)}
    return measure


# ---- memory -------------------------------------------------------------------------------------


def _idle_connection(lab, peer):
    """A connection after one exchange, as a keep-alive client leaves it."""
    connection = lab.site.client.connect(*peer.web)
    connection.sendall(b"GET /who HTTP/1.1\r\nHost: site\r\n\r\n")
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise Invalid("a connection was refused")
    return connection


def idle_memory(lab, peer, _seconds):
    lab.restart_peer(peer)
    _idle_connection(lab, peer).close()
    pids = lab.pids(peer)
    before = memory_bytes(pids)
    connections = []
    try:
        while len(connections) < IDLE_CONNECTIONS:
            connections.append(_idle_connection(lab, peer))
        after = memory_bytes(pids)
    finally:
        for connection in connections:
            connection.close()
    return {"memory": (after - before) / IDLE_CONNECTIONS}


MEASUREMENTS = {
    "keepalive-64": keepalive(64),
    "keepalive-1000": keepalive(1000),
    "connections": short_connections,
    "download-1": bulk("download", 1),
    "download-8": bulk("download", 8),
    "upload-1": bulk("upload", 1),
    "upload-8": bulk("upload", 8),
    "memory": idle_memory,
}


def host_facts(site):
    facts = {name: site.gateway.read_sysctl(f"net.ipv4.{name}")
             for name in ("tcp_congestion_control", "tcp_rmem", "tcp_wmem")}
    revision = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True,
                              text=True, check=False).stdout.strip()
    return {**facts, "revision": revision or "unknown"}
