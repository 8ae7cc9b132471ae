"""Metrics by HTTP: what promtool and a strict parser say of them, and that the observer is as hard to bother as the
rest."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from control import result
from netsite import SERVER4, VIP6, wait_until
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from wire import read_header

PORT = 7000
METRICS = 9166
ROOT = Path(__file__).resolve().parent.parent.parent
DASHBOARD = ROOT / "gateway" / "sixgate-dashboard.json"
RULES = ROOT / "gateway" / "sixgate.rules.yml"
RULES_TEST = Path(__file__).with_name("sixgate.rules.test.yml")
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
CONNECTIONS_MAX, OF_ONE_CLIENT_MAX = 64, 48


def config(site, metrics="metrics {}", more=""):
    return f"""run-directory = "{site.dir}/run"
        workers = 2
        drain = 2s
        access-log = off
        {metrics}
        {more}
        listener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "web" connections {{ max = 1000 }} }}
        listener "udp" {{ bind = "[{VIP6}]:{PORT}" protocol = udp pool = "web" }}
        pool "web" {{ backend "{SERVER4}:{PORT}" {{}}  backend "192.0.2.99:{PORT}" {{ weight = 0 }} }}
        pool "down" {{ backend "192.0.2.99:{PORT}" {{}} check {{ type = tcp interval = 100ms rise = 1 fall = 1 }} }}
        listener "down" {{ bind = "[{VIP6}]:{PORT + 1}" pool = "down" }}
    """


def connect(site, host="::1", port=METRICS):
    """A connection from within the gateway's namespace."""
    return site.gateway.connect(host, port)


def get(site, path, method="GET", headers=None, host="::1"):
    """Status, headers and body."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connect(site, host)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def families(site):
    """What a strict parser of OpenMetrics makes of it."""
    status, headers, body = get(site, "/metrics", headers=OPENMETRICS)
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def value(found, name, **labels):
    for family in found.values():
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    raise KeyError(name)


def observer_of(daemon, site):
    """Who of the children has the listening socket."""
    known = {worker["pid"] for worker in result(site, "status")["workers"]} | {daemon.pid}
    inode = next(line.split()[9] for line in site.gateway.run(["cat", "/proc/net/tcp6"]).stdout.splitlines()[1:]
                 if line.split()[1].endswith(f":{METRICS:04X}") and line.split()[3] == "0A")
    for pid in set(daemon.pids()) - known:
        with contextlib.suppress(OSError):
            if any(os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]" for fd in os.listdir(f"/proc/{pid}/fd")):
                return pid
    return None


def serve_one(site):
    with site.server.listen(SERVER4, PORT) as server, site.client.connect(VIP6, PORT) as client, \
            server.accept()[0] as peer:
        read_header(peer)
        client.sendall(b"hello")
        assert peer.recv(10) == b"hello"


# ---- what is answered -----------------------------------------------------------------------------

def test_promtool(site, gateway):
    """The text format has no fault that promtool knows of."""
    gateway(config=config(site))
    serve_one(site)
    status, headers, body = get(site, "/metrics")
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    print(checked.stdout.decode() + checked.stderr.decode(), len(body.splitlines()), "lines")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_openmetrics(site, gateway):
    """The same numbers as in status, under the names that the manual has."""
    daemon = gateway(config=config(site))
    serve_one(site)
    wait_until(lambda: value(families(site), "sixgate_ended_total", listener="web", reason="closed") == 1,
               "the flow has ended")
    wait_until(lambda: value(families(site), "sixgate_pool_up", pool="down") == 0, "the pool is down")
    found = families(site)
    assert value(found, "sixgate_accepted_total", listener="web") == 1
    assert value(found, "sixgate_accepted_total", listener="udp") == 0
    assert value(found, "sixgate_received_bytes_total", listener="web") == 5
    assert value(found, "sixgate_ended_total", listener="web", reason="closed") == 1
    assert value(found, "sixgate_live_flows", listener="web") == 0
    assert value(found, "sixgate_connect_duration_seconds_count", listener="web") == 1
    assert value(found, "sixgate_flow_duration_seconds_bucket", listener="web", le="+Inf") == 1
    assert value(found, "sixgate_pool_up", pool="web") == 1
    assert value(found, "sixgate_pool_up", pool="down") == 0
    assert value(found, "sixgate_backend_connects_total", pool="web", backend=f"{SERVER4}:{PORT}") == 1
    assert value(found, "sixgate_worker_up", worker="1") == 1
    assert value(found, "sixgate_build_info", version="0.1.0") == 1
    assert abs(value(found, "sixgate_start_time_seconds") - time.time()) < 60
    assert {"sixgate_limited", "sixgate_dropped_datagrams", "sixgate_paused", "sixgate_held"} <= found.keys()
    assert json.loads(get(site, "/status.json")[2])["pid"] == daemon.pid


def test_answers_and_headers(site, gateway):
    gateway(config=config(site))
    for accept, expected in [("application/openmetrics-text;q=0.2,text/plain;q=0.9", "text/plain"),
                             ("application/openmetrics-text;q=0", "text/plain"),
                             ("text/plain, application/openmetrics-text", "application/openmetrics-text")]:
        assert get(site, "/metrics", headers={"Accept": accept})[1]["Content-Type"].startswith(expected + ";")
    for path, method, expected in [("/metrics", "HEAD", 200), ("/status.json", "HEAD", 200), ("/nothing", "GET", 404),
                                   ("/metrics/", "GET", 404), ("/metrics", "POST", 405), ("/metrics", "PUT", 405),
                                   ("/../etc/passwd", "GET", 404)]:
        status, headers, body = get(site, path, method)
        assert status == expected, (path, method)
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert not (method == "HEAD" and body)
        if expected == 405:
            assert headers["Allow"] == "GET, HEAD"


def test_addresses(site, gateway):
    """Several, IPv4 too; one that cannot be had is said and does no harm; without the section there is none."""
    daemon = gateway(config=config(
        site, metrics='metrics { listen = { "127.0.0.1:9166", "[::1]:9166", "[2001:db8:dead::1]:9166" } }'))
    assert get(site, "/metrics", host="127.0.0.1")[0] == get(site, "/metrics")[0] == 200
    assert "metrics: cannot listen on [2001:db8:dead::1]:9166: Cannot assign requested address" in daemon.errors()
    with pytest.raises(OSError):
        connect(site, VIP6)
    daemon.stop()
    gateway(config=config(site, metrics=""))
    with pytest.raises(ConnectionRefusedError):
        connect(site)


# ---- what reads them ------------------------------------------------------------------------------

def expressions():
    """Of every panel of the dashboard, as Grafana would ask."""
    dashboard = json.loads(DASHBOARD.read_text())
    return [target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".+")
            for panel in dashboard["panels"] for target in panel.get("targets", [])]


def test_dashboard_and_rules_know_our_names(site, gateway):
    """Whatever they ask for is there."""
    gateway(config=config(site))
    there = {sample.name for family in families(site).values() for sample in family.samples}
    for text in ["\n".join(expressions()), RULES.read_text()]:
        asked = set(re.findall(r"\bsixgate_\w+", text))
        assert len(asked) > 8 and asked <= there, asked - there


def test_dashboard_and_rules_are_right(tmp_path):
    """Prometheus understands every expression; alerts come when they are due, and not when all is well."""
    rules = tmp_path / "dashboard.yml"
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(expressions())]}]}))
    for words in [["check", "rules", rules], ["check", "rules", RULES], ["test", "rules", RULES_TEST]]:
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr)
        assert done.returncode == 0 and "SUCCESS" in done.stdout


# ---- when processes come and go -------------------------------------------------------------------

def test_never_refused(site, gateway):
    """Scrapes while one image follows the other."""
    daemon = gateway(config=config(site))
    stop, failures, count = threading.Event(), [], [0]

    def scrape():
        while not stop.is_set():
            try:
                status = get(site, "/metrics")[0]
                if status != 200:
                    failures.append(status)
            except (OSError, http.client.HTTPException) as error:
                failures.append(repr(error))
            count[0] += 1

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        for _ in range(5):
            ready = daemon.errors().count("ready: ")
            daemon.kill(signal.SIGHUP)
            wait_until(lambda ready=ready: daemon.errors().count("ready: ") > ready, "a successor is ready", 20)
    finally:
        stop.set()
        thread.join()
    assert not failures and count[0] > 5, (failures, count)
    wait_until(lambda: len(daemon.pids()) == 5, "those of before have left", 20)


def test_address_becomes_wider(site, gateway):
    """From one address to all of them, on the same port, and back."""
    daemon = gateway(config=config(site))
    assert get(site, "/metrics")[0] == 200
    for n, (listen, host) in enumerate((("[::]", VIP6), ("[::1]", "::1"))):
        (site.dir / f"{daemon.name}.conf").write_text(config(site, f'metrics {{ listen = "{listen}:{METRICS}" }}'))
        daemon.kill(signal.SIGHUP)
        wait_until(lambda n=n: daemon.errors().count("ready: ") == n + 2, "a successor is ready", 20)
        wait_until(lambda: len(daemon.pids()) == 5, "those of before have left", 20)
        assert get(site, "/metrics", host=host)[0] == 200
    with pytest.raises(ConnectionRefusedError):
        connect(site, VIP6)


def test_observer_dies(site, gateway):
    """It is replaced, has no capability, and its end is no end for anybody else."""
    daemon = gateway(config=config(site))
    pid = wait_until(lambda: observer_of(daemon, site), "the observer is there")
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        status = dict(re.findall(r"(?m)^(\w+):\t(.*)$", file.read()))
    assert status["CapEff"] == status["CapPrm"] == status["CapInh"] == "0000000000000000"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: f"the observer (pid {pid}) was killed by signal 9" in daemon.errors(), "its death is said")
    assert get(site, "/metrics")[0] == 200
    serve_one(site)


def test_supervisor_that_does_not_answer(site, gateway):
    daemon = gateway(config=config(site))
    assert get(site, "/metrics")[0] == 200
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: get(site, "/metrics")[0] == 503, "what is known is too old")
        status, headers, body = get(site, "/metrics")
        assert (status, headers["Retry-After"]) == (503, "2") and b"does not answer" in body
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_until(lambda: get(site, "/metrics")[0] == 200, "it answers again")


# ---- those who would disturb ----------------------------------------------------------------------

def test_silent_clients(site, gateway):
    """As many as may come, and more, say nothing or next to nothing: for a while others wait, and then are served."""
    daemon = gateway(config=config(site, metrics='metrics { listen = { "127.0.0.1:9166", "[::1]:9166" } }'))
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connect(site)) for _ in range(OF_ONE_CLIENT_MAX + 10)]
        for one in crowd:
            with contextlib.suppress(OSError):
                one.sendall(b"GET /metrics HT")
        assert get(site, "/metrics", host="127.0.0.1")[0] == 200  # those of one client leave room for others
        begun = time.monotonic()
        wait_until(lambda: try_get(site), "a client is served", 40)
        print(f"after {time.monotonic() - begun:.1f} s")
        wait_until(lambda: value(families(site), "sixgate_observer_slow_total") >= OF_ONE_CLIENT_MAX - 1,
                   "the silent have been closed", 40)
        assert value(families(site), "sixgate_observer_refused_total") >= 10
    for line in ("client [::1]:", "connections as one may have", "it sent no whole request"):
        assert line in daemon.errors()


def test_full(site, gateway):
    """Who is one too many waits, and is served when there is room; the log says so."""
    daemon = gateway(config=config(site, metrics='metrics { listen = { "127.0.0.1:9166", "[::1]:9166" } }'))
    with contextlib.ExitStack() as stack:
        for number in range(CONNECTIONS_MAX):
            stack.enter_context(connect(site, "127.0.0.1" if number % 2 else "::1"))
        wait_until(lambda: "as many clients as may be are here" in daemon.errors(), "the log says so")
    wait_until(lambda: try_get(site), "a client is served")
    assert value(families(site), "sixgate_observer_crowded_total") >= 1


def test_no_descriptors(site, gateway):
    """The observer waits for some, looks ten times a second, and says so."""
    begun = time.monotonic()
    daemon = gateway(config=config(site, metrics='metrics { listen = { "127.0.0.1:9166", "[::1]:9166" } }'),
                     wrapper=["prlimit", "--nofile=64:64"])
    with contextlib.ExitStack() as stack:
        for number in range(CONNECTIONS_MAX):
            stack.enter_context(connect(site, "127.0.0.1" if number % 2 else "::1"))
        wait_until(lambda: "metrics: no descriptor or memory" in daemon.errors(), "the log says so")
        # More than there are clients: it has looked again.
        wait_until(lambda: daemon.errors().count("metrics: no descriptor or memory") > 3, "it looks again")
    wait_until(lambda: try_get(site), "a client is served")
    starved = value(families(site), "sixgate_observer_starved_total")
    assert 3 < starved <= 2 + (time.monotonic() - begun) * 10


def try_get(site):
    try:
        return get(site, "/metrics")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_broken_requests(site, gateway):
    """None of them ends the observer."""
    daemon = gateway(config=config(site))
    pid = wait_until(lambda: observer_of(daemon, site), "the observer is there")
    for request in [b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100000, os.urandom(5000),
                    b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 60000 + b"\r\n\r\n",
                    b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n" + b"z" * 1000,
                    b"GET /metrics?%00%ff&&==a HTTP/1.1\r\nHost: a\r\nAccept: \xff\xfe\r\n\r\n",
                    b"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"]:
        with connect(site) as client, contextlib.suppress(OSError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    assert get(site, "/metrics")[0] == 200
    assert observer_of(daemon, site) == pid
