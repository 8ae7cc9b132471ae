"""sixgatectl flows, kill-flow, pools, log-level: what is live now, and its end; what the log has."""

import contextlib
import grp
import json
import os
import re
import select
import signal
import socket
import subprocess

import pytest
from control import Control, as_user, control_path, ctl, result
from netsite import BACKENDS, CLIENT6, GATEWAY4, SERVER4, VIP6, build_dir, wait_until
from wire import access_records, read_header

PORT = 7000
PORT_UDP = 7001


@pytest.fixture
def start(site, gateway):
    def run(who="", extra="", workers=2, drain="2s", listener="", **options):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = {drain}
            who {{ {who} }}
            {extra}
            listener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "web" {listener} }}
            listener "dns" {{ protocol = udp bind = "[{VIP6}]:{PORT_UDP}" pool = "dns" }}
            pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}
            pool "dns" {{ backend "{SERVER4}:{PORT_UDP}" {{}} }}
        """, **options)
    return run


@contextlib.contextmanager
def connected(site, listener):
    """(client socket, server socket, the client's end as text, the gateway's source)"""
    with site.client.connect(VIP6, PORT) as client, listener.accept()[0] as server:
        header = read_header(server)
        yield client, server, f"[{header.src}]:{header.sport}", "{}:{}".format(*server.getpeername())


@contextlib.contextmanager
def session(site):
    """The same of a UDP session; the server's socket is not connected."""
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        server.bind((SERVER4, PORT_UDP))
        server.settimeout(5)
        client.settimeout(5)
        client.connect((VIP6, PORT_UDP))
        client.send(b"hello")
        source = server.recvfrom(2000)[1]
        server.sendto(b"welcome", source)
        assert client.recv(2000) == b"welcome"
        yield client, server, f"[{CLIENT6}]:{client.getsockname()[1]}", "{}:{}".format(*source)


def flows(site, **args):
    return result(site, "flows", **{name.replace("_", "-"): value for name, value in args.items()})["flows"]


def sources(site, **args):
    return {flow["source"] for flow in flows(site, **args)}


def test_list(site, start):
    """All that is live, TCP and UDP, as JSON and as lines, and nothing that has ended."""
    start()
    with site.server.listen(SERVER4, PORT) as listener:
        with connected(site, listener) as (_, _, client, source), session(site) as (_, _, udp_client, udp_source):
            udp, tcp = flows(site)
            assert tcp == {
                "client": client, "local": f"[{VIP6}]:{PORT}", "listener": "web", "protocol": "tcp",
                "source": source, "backend": f"{SERVER4}:{PORT}", "live": True, "began": tcp["began"],
                "ended": None, "unique_id": None, "age_s": tcp["age_s"], "worker": tcp["worker"]}
            assert (udp["client"], udp["source"], udp["protocol"]) == (udp_client, udp_source, "udp")
            assert 0 <= udp["age_s"] <= tcp["age_s"] < 60 and tcp["worker"] in (0, 1)
            lines = ctl(site, "flows").stdout.splitlines()
            assert lines[2:] == ["2 flows"]
            assert re.fullmatch(re.escape(f"{client} to [{VIP6}]:{PORT} (web, tcp), {source} to {SERVER4}:{PORT}, ")
                                + r"\d+\.\d s, worker [01]", lines[1])
            shown = json.loads(ctl(site, "--json", "flows", "--protocol", "udp").stdout)
            assert (shown["total"], shown["workers_before"]) == (1, 0)
            assert shown["flows"][0]["source"] == udp_source
        wait_until(lambda: sources(site) == {udp_source}, "the connection has ended")


def test_filters(site, start):
    start()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(site.server.listen(SERVER4, PORT))
        tcp = {stack.enter_context(connected(site, listener))[3] for _ in range(5)}
        udp = {stack.enter_context(session(site))[3]}
        assert sources(site) == tcp | udp
        assert sources(site, client=CLIENT6) == sources(site, client=f"{CLIENT6}/64") == tcp | udp
        assert sources(site, client="2001:db8:dead::/48") == sources(site, client="0.0.0.0/0") == set()
        assert sources(site, backend=SERVER4) == tcp | udp
        assert sources(site, backend=f"{SERVER4}:{PORT}") == sources(site, listener="web") == tcp
        assert sources(site, backend=BACKENDS[1]) == set()
        assert sources(site, listener="dns") == sources(site, protocol="udp") == udp
        assert sources(site, listener="dns", protocol="tcp") == set()
        assert sources(site, younger_than="1h") == tcp | udp
        assert sources(site, older_than="1h") == set()
        wait_until(lambda: sources(site, older_than="100ms") == tcp | udp, "they have grown older")
        latest = flows(site, limit=3)
        assert latest == [{**flow, "age_s": latest[i]["age_s"]} for i, flow in enumerate(flows(site)[:3])]
        assert result(site, "flows", limit=3)["total"] == 6
        assert ctl(site, "flows", "--limit", 3).stdout.endswith(
            "the latest 3 of 6 flows: narrow it down, or raise --limit\n")


@pytest.mark.parametrize("words, says", [
    (["--client", "somebody"], 'client "somebody"'),
    (["--listener", "mail"], 'listener "mail": there is none'),
    (["--older-than", "5"], 'older-than "5": write a time'),
    (["--limit", "0"], "limit: from 1 to 10000"),
    (["--limit", "10001"], "limit: from 1 to 10000"),
    (["10.0.0.5"], "one word too many"),
])
def test_mistakes(site, start, words, says):
    start()
    wrong = ctl(site, "flows", *words, check=False)
    assert wrong.returncode == 64 and says in wrong.stderr


def test_off(site, start):
    start(who="entries = 0")
    off = ctl(site, "flows", check=False)
    assert off.returncode == 1 and "who { entries = 0 }" in off.stderr


@contextlib.contextmanager
def followed(site, *words):
    """A function that gives the next line of sixgatectl flows --follow."""
    with site.gateway.popen([build_dir() / "sixgatectl", "--socket", control_path(site), *words],
                            stdout=subprocess.PIPE) as process:
        rest = b""

        def line():
            nonlocal rest
            while b"\n" not in rest:
                assert select.select([process.stdout], [], [], 20)[0], "no line within 20 s"
                more = os.read(process.stdout.fileno(), 65536)
                assert more, "it has ended"
                rest += more
            first, _, rest = rest.partition(b"\n")
            return first.decode()

        try:
            yield line
        finally:
            process.kill()


def test_follow(site, start):
    """What is there, what begins and what ends, as it happens; filters hold."""
    start()
    with site.server.listen(SERVER4, PORT) as listener:
        with connected(site, listener) as (_, _, client, _), session(site), \
                followed(site, "flows", "--follow", "--listener", "web") as line:
            assert line().startswith(f"live  {client} to ")
            with connected(site, listener) as (_, _, other, _):
                assert line().startswith(f"began {other} to ")
            assert line().startswith(f"ended {other} to ")


def test_follow_json_over_a_reload(site, start):
    """A flow that is handed over has neither ended nor begun."""
    start()
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (_, _, client, _), \
            followed(site, "--json", "flows", "--follow") as line:
        first = json.loads(line())
        assert (first["event"], first["flow"]["client"]) == ("live", client)
        ctl(site, "reload")
        with connected(site, listener) as (_, _, other, _):
            second = json.loads(line())
            assert (second["event"], second["flow"]["client"]) == ("began", other)


def test_kill(site, start):
    """Client and server get a reset; others live on; it is counted and recorded as what it is."""
    daemon = start()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(site.server.listen(SERVER4, PORT))
        others = [stack.enter_context(connected(site, listener)) for _ in range(8)]
        client, server, name, source = stack.enter_context(connected(site, listener))
        killed = ctl(site, "kill-flow", source).stdout
        assert killed.startswith(f"killed {name} to [{VIP6}]:{PORT} (web, tcp), {source} to {SERVER4}:{PORT}, ")
        for end in (client, server):
            end.settimeout(5)
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        assert sources(site) == {other[3] for other in others}
        for other, at_server, _, _ in others:
            other.sendall(b"x")
            assert at_server.recv(1) == b"x"
        assert result(site, "status")["counters"]["killed"] == 1
        wait_until(lambda: len(access_records(daemon)) == 1, "it is recorded")
        record, = access_records(daemon)
        assert (record["end"], record["by"]) == ("killed", "gateway")
        again = ctl(site, "kill-flow", source, check=False)
        assert again.returncode == 1 and f'no live flow has the source "{source}"' in again.stderr
        assert "control: kill-flow, asked for by user 0: done" in daemon.errors()


def test_kill_udp(site, start):
    """The session is over; the client's next datagram begins another."""
    start()
    with session(site) as (client, server, name, source):
        shown = json.loads(ctl(site, "--json", "kill-flow", source, "--protocol", "udp").stdout)
        assert shown["flow"]["client"] == name
        assert flows(site) == [] and result(site, "status")["counters"]["killed"] == 1
        client.send(b"again")
        assert "{}:{}".format(*server.recvfrom(2000)[1]) != source
        assert ctl(site, "kill-flow", source, "--protocol", "tcp", check=False).returncode == 1


def test_kill_after_a_reload(site, start):
    """A flow that was handed over is its new worker's to end."""
    start()
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (client, _, _, source):
        ctl(site, "reload")
        wait_until(lambda: sources(site) == {source}, "it is handed over")
        ctl(site, "kill-flow", source)
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_kill_which(site, gateway):
    """Two flows with one source: none is ended before it is said which."""
    site.gateway.sysctl("net.ipv4.ip_local_port_range", "20000 20000")
    gateway(config=f"""run-directory = "{site.dir}/run"
        listener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "web" }}
        pool "web" {{ backend "{BACKENDS[0]}:{PORT}" {{}} backend "{BACKENDS[1]}:{PORT}" {{}} source = "{GATEWAY4}" }}
    """)
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(site.server.listen(host, PORT)) for host in BACKENDS[:2]]
        ends = [stack.enter_context(site.client.connect(VIP6, PORT)) for _ in listeners]
        servers = [stack.enter_context(listener.accept()[0]) for listener in listeners]
        assert sources(site) == {f"{GATEWAY4}:20000"}
        unclear = ctl(site, "kill-flow", f"{GATEWAY4}:20000", check=False)
        assert unclear.returncode == 64 and "2 flows have it: say which" in unclear.stderr
        told = read_header(servers[1]).sport
        ctl(site, "kill-flow", f"{GATEWAY4}:20000", "--backend", BACKENDS[1])
        killed, = [end for end in ends if end.getsockname()[1] == told]
        killed.settimeout(5)
        with pytest.raises(ConnectionResetError):
            killed.recv(1)
        flow, = flows(site)
        assert flow["backend"] == f"{BACKENDS[0]}:{PORT}"


def test_kill_held(site, gateway):
    """A client that was let in after its server had answered."""
    gateway(config=f"""run-directory = "{site.dir}/run"
        listener "web" {{ bind = "[{VIP6}]:{PORT}" accept = after-backend pool = "web" }}
        pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}
    """)
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (client, _, _, source):
        ctl(site, "kill-flow", source)
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with connected(site, listener) as (_, _, name, _):
            assert [flow["client"] for flow in flows(site)] == [name]


@pytest.mark.parametrize("words, says", [
    ([], "kill-flow needs a word: source"),
    (["10.0.0.5"], 'source "10.0.0.5"'),
    (["10.0.0.5:80", "--protocol", "sctp"], "write tcp or udp"),
    (["10.0.0.5:80", "--backend", "server"], 'backend "server"'),
])
def test_kill_mistakes(site, start, words, says):
    start()
    wrong = ctl(site, "kill-flow", *words, check=False)
    assert wrong.returncode == 64 and says in wrong.stderr


def test_pools(site, start):
    """Every pool and server with its state; one pool; one that is not there."""
    start(extra=f"""pool "more" {{
        backend "{BACKENDS[1]}:80" {{ weight = 7 }}
        backend "{BACKENDS[2]}:80" {{ backup = yes }} }}""")
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener):
        assert [pool["name"] for pool in result(site, "pools")["pools"]] == ["more", "web", "dns"]
        assert result(site, "pools", pool="web")["pools"] == result(site, "status")["pools"][1:2]
        assert result(site, "pools", pool="web")["pools"][0]["backends"][0]["live"] == 1
        lines = ctl(site, "pools", "more").stdout.splitlines()
        assert lines[0] == "pool more: up (not checked)" and len(lines) == 4
        assert re.match(rf"  {re.escape(BACKENDS[1])}:80 +up +7 +0 ", lines[2])
        assert lines[3].endswith("  backup")
        assert "pool web: " in ctl(site, "pools").stdout
    nobody = ctl(site, "pools", "none", check=False)
    assert nobody.returncode == 1 and 'no pool has the name "none"' in nobody.stderr


def test_log_level(site, start):
    """Lines come and go, of supervisor and workers, also of one that was replaced; a reload forgets it."""
    daemon = start()

    def said(word):
        return f" {word}" in daemon.errors()

    with site.server.listen(SERVER4, PORT) as listener:
        with connected(site, listener) as (_, _, quiet, _):
            assert ctl(site, "log-level").stdout == "info\n"
        wait_until(lambda: flows(site) == [], "it has ended")
        assert ctl(site, "log-level", "debug").stdout == \
            "debug, was info; until the next reload or start: the configuration says info\n"
        assert "control: log-level, asked for by user 0: done" in daemon.errors()
        for worker in result(site, "status")["workers"]:
            os.kill(worker["pid"], signal.SIGKILL)
        wait_until(lambda: all(worker["ready"] and worker["replaced"] for worker in result(site, "status")["workers"]),
                   "other workers are ready")
        assert "control: status, asked for by user 0\n" in daemon.errors()
        with connected(site, listener) as (_, _, client, source):
            wait_until(lambda: said(f"client {client} at [{VIP6}]:{PORT} goes from {source} to {SERVER4}:{PORT}"),
                       "a worker says more")
        wait_until(lambda: said(f"client {client} has ended: closed by backend"), "and of the end")
        assert not said(f"client {quiet}")
        assert result(site, "log-level") == {"level": "debug", "before": "debug", "configured": "info"}
        ctl(site, "reload")
        wait_until(lambda: result(site, "flows")["workers_before"] == 0, "the workers of before have left")
        assert result(site, "log-level")["level"] == "info"
        ctl(site, "log-level", "error")
        with connected(site, listener) as (_, _, later, _):
            pass
        assert not said(f"client {later}")
    assert ctl(site, "log-level").stdout.startswith("error; until the next reload")
    wrong = ctl(site, "log-level", "loud", check=False)
    assert wrong.returncode == 64 and 'level "loud": log-level is error, warning, info or debug' in wrong.stderr


def reload(daemon):
    ready = daemon.errors().count("ready: ")
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: daemon.errors().count("ready: ") > ready, "the next image serves", 60)


def test_flows_of_before(site, start):
    """What a worker of before a reload has kept is in no list, but counted, over reloads, and until it has ended."""
    text = f'accept-proxy {{ from = {{ "{CLIENT6}" }} timeout = 1m }}'
    daemon = start(listener=text, drain="10m")

    def counted():
        found = result(site, "flows")
        return found["flows"] == [] and found["flows_before"]

    with site.client.connect(VIP6, PORT), site.client.connect(VIP6, PORT):
        wait_until(lambda: result(site, "status")["counters"]["live_flows"] == 2, "two that have said nothing yet")
        assert result(site, "flows")["flows_before"] == 0
        for _ in range(2):
            reload(daemon)
            wait_until(lambda: counted() == 2, "they are counted", 60)
            assert ctl(site, "flows").stdout == "0 flows\nand 2 more, not shown, with workers of before a reload\n"
    wait_until(lambda: result(site, "flows")["workers_before"] == 0, "the workers of before have left", 60)
    assert result(site, "flows")["flows_before"] == 0
    assert ctl(site, "flows").stdout == "0 flows\n"


def test_reader(site, start):
    """Who may only look may look at this, and end nothing."""
    start(extra="control-group = adm")
    os.chmod(site.dir, 0o755)
    adm = grp.getgrnam("adm").gr_gid
    for command in ("flows", "pools"):
        assert as_user(65534, [adm], lambda command=command: "flows" in result(site, command)
                       or "pools" in result(site, command)) == "True"

    def set_level():
        with Control(control_path(site)) as control:
            return control.ask("log-level", level="debug")["code"]

    def kill():
        with Control(control_path(site)) as control:
            return control.ask("kill-flow", source=source)["code"]
    with site.server.listen(SERVER4, PORT) as listener, connected(site, listener) as (_, _, _, source):
        assert as_user(65534, [adm], kill) == "not-permitted"
        assert as_user(65534, [adm], lambda: result(site, "log-level")["level"]) == "info"
        assert as_user(65534, [adm], set_level) == "not-permitted"
        assert result(site, "log-level")["level"] == "info"
        assert sources(site) == {source}
