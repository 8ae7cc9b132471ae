"""Web servers that each can be ended alone, and clients that come to them at a steady pace."""

import subprocess
from collections import Counter, namedtuple

from .site import build_dir, nginx_http_paths

# What became of one client: `began` is a time of time.monotonic(), `ms` how long it took; `at` the server's address
# and port, and `told` the client's address and port as the server was told them, of those that are ok.
Came = namedtuple("Came", "number began ms outcome port at told")
CONNLOAD = str(build_dir() / "tests" / "connload")
# A check has no `told`; of a client all is logged, by which a server's log tells the two apart.
LOG = "$proxy_protocol_addr|$remote_addr|$server_addr|$request|$status"
ANSWER = "$server_addr:$server_port|$proxy_protocol_addr:$proxy_protocol_port\\n"


def start_web(site, address, port, name):
    """One nginx, which expects a header; it answers any path with who it is, and whom it was told."""
    return site.nginx(site.server, f"""
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    {nginx_http_paths()}
    log_format seen '{LOG}';
    access_log access.log seen;
    server {{ listen {address}:{port} proxy_protocol backlog=4096; location / {{ return 200 "{ANSWER}"; }} }}
}}
""", [], name=name).wait_ready(lambda: answers(site, address, port))


def answers(site, address, port):
    """From the gateway, by which clients come as well."""
    try:
        with site.gateway.connect(address, port, 1):
            return True
    except OSError:
        return False


class Clients:
    """Begin at once; finish() lets those under way end, and returns all that came. At the end of a `with` none is
    left in any case."""

    def __init__(self, site, host, port, count=1_000_000, rate=500.0, at_once=5000, limit_ms=2000, prefix=()):
        self.path = site.dir / "clients.out"
        with self.path.open("wb") as out:
            self.process = site.client.popen(
                [CONNLOAD, host, port, count, rate, at_once, limit_ms, *prefix], stdout=out)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def finish(self, timeout=60):
        self.process.terminate()
        return self.wait(timeout)

    def wait(self, timeout):
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            raise TimeoutError(f"clients still not served after {timeout} s") from late
        assert status == 0, f"connload ended with {status}"
        return [parse(line) for line in self.path.read_text().splitlines()]


def parse(line):
    number, began, ms, outcome, port, answer = line.split(" ", 5)
    at, _, told = answer.partition("|")
    return Came(int(number), float(began), float(ms), outcome, int(port), at, told)


def outcomes(came):
    return dict(Counter(one.outcome for one in came))
