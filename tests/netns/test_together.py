"""Everything switched on at once, under load: features that work alone must not be in each other's way."""

import contextlib
import os
import signal
import time

import pytest
from control import result
from headers import connect_from, v2
from netsite import BACKENDS, CLIENT6, SERVER4, VIP6, Site, wait_until
from netsite.names import NAME, ScriptedDns
from netsite.web import Clients, outcomes, start_web
from test_pools import counter
from wire import reset

FRONT, HELD, PORT = 80, 81, 8000
HOSTS = BACKENDS[:3]
SPARE = BACKENDS[3]
UPSTREAM, FAR, FAR_VIP = "2001:db8:1::a1", "2001:db8:77:1::7", "2001:db8:99::80"
BANNED, DENIED = "2001:db8:1:0:b::1", "2001:db8:1:0:d::1"
PER_CLIENT = 40
CONFIG = f"""
workers = 2
drain = 2s
hold {{ max = 1000 }}
who {{ keep = 1m  entries = 10000 }}
resolve {{ servers = "{SERVER4}" interval-min = 100ms interval-max = 200ms }}
network {{ interface = "front" address = {{ "{VIP6}/128" }} }}
listener "web" {{
    bind = {{ "[{VIP6}]:{FRONT}", "[2001:db8:81::/64]:{FRONT}" }}
    pool = "web"
    refuse = reset
    clients {{ deny = "{DENIED}"  deny-file = "DIRECTORY/denied" }}
    accept-proxy {{ from = {{ "{UPSTREAM}", "2001:db8:ffff::/48" }} timeout = 2s }}
    tlv {{ crc32c = yes  unique-id = yes  pass = {{ "authority" }} }}
    connections {{
        max = 10000  per-client = {PER_CLIENT}  per-address = {PER_CLIENT}
        rate = 100000  rate-per-client = 50000  rate-per-address = 50000
    }}
    timeouts {{ connect = 300ms }}
}}
listener "held" {{
    bind = "[{VIP6}]:{HELD}"
    pool = "web"
    accept = after-backend
    clients {{ deny = "{DENIED}"  deny-file = "DIRECTORY/denied" }}
    tlv {{ crc32c = yes  unique-id = yes }}
    connections {{ max = 10000  per-client = {PER_CLIENT}  rate = 100000 }}
    timeouts {{ connect = 300ms }}
}}
pool "web" {{
    balance = least-connections
    header-max = 107
    slow-start = 1s
    circuit-time = 1s
    max-connections = 9000
    check {{ type = http  path = "/up"  interval = 100ms  rise = 2  fall = 2 }}
    {" ".join(f'backend "{host}:{PORT}" {{ max-connections = 4000 }}' for host in (*HOSTS[:2], NAME))}
    backend "{SPARE}:{PORT}" {{ backup = yes }}
}}
"""


@pytest.fixture
def site():
    with Site(bare=True) as made:
        made.client.ip(*(f"addr add {address}/64 dev eth0 nodad preferred_lft 0"
                         for address in (UPSTREAM, BANNED, DENIED)))
        yield made


@pytest.fixture
def web(site):
    """nginx by host."""
    return {host: start_web(site, host, PORT, f"web-{host}") for host in (*HOSTS, SPARE)}


@pytest.fixture
def dns(site):
    with ScriptedDns(site.server) as made:
        made.records[NAME] = [HOSTS[2]]
        yield made


@pytest.fixture
def daemon(site, gateway, web, dns):
    """What it sets up in the kernel must be gone when it has ended."""
    before = site.gateway.network()
    site.write("denied", "".join(f"2001:db8:dead:{i:x}::/64\n" for i in range(5000)))
    made = gateway(config=f'run-directory = "{site.dir}/run"\nstate-directory = "{site.dir}/state"\n'
                          + CONFIG.replace("DIRECTORY", str(site.dir)))
    yield made
    assert made.stop() == 0
    assert site.gateway.network() == before


def kill(site, web, host):
    for pid in web[host].pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    web[host].process.wait()
    wait_until(lambda: not site.server.run(["ss", "-Htlp", "src", f"{host}:{PORT}"]).stdout, "it is gone")


def said(daemon, words, times=1):
    wait_until(lambda: daemon.errors().count(words) >= times, words)
    return time.monotonic()


def ask(connection):
    """(server, whom it was told) in the words of nginx."""
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    assert answer.startswith("HTTP/1.1 200"), answer
    return answer.splitlines()[-1].split("|")


def held(site, number, host=VIP6):
    """Connections of a client that a proxy names, which say nothing yet: those that are let in."""
    kept = []
    for port in range(20000, 20000 + number):
        connection = connect_from(site.client, UPSTREAM, host, FRONT)
        connection.sendall(v2(FAR, FAR_VIP, port) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            answer = connection.recv(4096)
        except ConnectionResetError:
            answer = b""
        if answer:
            assert f"|{FAR}:{port}".encode() in answer, answer
            kept.append(connection)
        else:
            connection.close()
    return kept


def check_named_client(site):
    """Its limit is its own: not the proxy's, nor that of others who come through the proxy."""
    kept = held(site, PER_CLIENT + 5)
    assert len(kept) == PER_CLIENT
    with connect_from(site.client, UPSTREAM, VIP6, FRONT) as other:
        other.sendall(v2("2001:db8:77:2::1", FAR_VIP, 1234))
        assert ask(other)[1] == "2001:db8:77:2::1:1234"
    with site.client.connect("2001:db8:81::9", FRONT) as own:
        assert ask(own)[1] == f"{CLIENT6}:{own.getsockname()[1]}"
    for connection in kept:
        reset(connection)


def check_who(site):
    """A server that reads no header knows its client by a port of the gateway's."""
    with connect_from(site.client, UPSTREAM, VIP6, FRONT) as client:
        client.sendall(v2(FAR, FAR_VIP, 30000) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096)
        source = wait_until(lambda: [record for record in lines_at(site) if is_of(site, record, FAR)], "its source")[0]
        answer = result(site, "who", source=source)["answers"][0]
        assert (answer["client"], answer["live"]) == (f"[{FAR}]:30000", True)


def lines_at(site):
    """Sources of connections that nginx has now."""
    lines = site.server.run(["ss", "-Htn", "state", "established", f"sport = :{PORT}"]).stdout.splitlines()
    return [line.split()[3] for line in lines]


def is_of(site, source, client):
    return any(answer["client"].startswith(f"[{client}]") for answer in result(site, "who", source=source)["answers"]
               if answer["live"])


def check_bans(site):
    """Who is banned does not get through, in the midst of others who do."""
    before = len(result(site, "bans")["bans"])
    assert result(site, "ban", prefix="2001:db8:1:0:b::/80", reason="test", **{"for": "1h"})["enforced"]
    with pytest.raises(TimeoutError):
        connect_from(site.client, BANNED, VIP6, FRONT, 0.5)
    with connect_from(site.client, CLIENT6, VIP6, FRONT) as other:
        assert ask(other)[1].startswith(CLIENT6)
    with pytest.raises(TimeoutError):
        connect_from(site.client, BANNED, VIP6, HELD, 0.5)
    assert result(site, "unban", prefix="2001:db8:1:0:b::/80")["enforced"]
    assert not is_reset(site, UPSTREAM, v2("2001:db8:77:4::1", FAR_VIP))
    result(site, "ban", prefix="2001:db8:77:4::/64")
    wait_until(lambda: is_reset(site, UPSTREAM, v2("2001:db8:77:4::1", FAR_VIP)), "the ban of a named client")
    result(site, "unban", prefix="2001:db8:77:4::/64")
    assert not is_reset(site, UPSTREAM, v2("2001:db8:77:4::1", FAR_VIP))
    with connect_from(site.client, BANNED, VIP6, FRONT) as client:
        assert ask(client)[1].startswith(BANNED)
    assert len(result(site, "bans")["bans"]) == before


def check_lists(site):
    """As they are in the configuration, and in a file that changes."""
    assert is_reset(site, DENIED)
    assert is_reset(site, UPSTREAM, v2("2001:db8:dead:1387::1", FAR_VIP))
    site.write("denied.new", "2001:db8:dead:1387::/64\n2001:db8:77:3::/64\n").rename(site.dir / "denied")
    wait_until(lambda: is_reset(site, UPSTREAM, v2("2001:db8:77:3::1", FAR_VIP)), "the new list")
    assert not is_reset(site, UPSTREAM, v2("2001:db8:dead:1386::1", FAR_VIP))


def is_reset(site, source, header=b""):
    """Whether that is what the client gets, or else just its own name."""
    with contextlib.suppress(ConnectionResetError), connect_from(site.client, source, VIP6, FRONT) as client:
        client.sendall(header)
        ask(client)
        return False
    return True


def check_held(site):
    """A listener whose clients wait for a server has all the rest as well."""
    kept = []
    for _ in range(PER_CLIENT + 5):
        with contextlib.suppress(ConnectionResetError):
            client = connect_from(site.client, CLIENT6, VIP6, HELD)
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = client.recv(4096)
            assert f"|{CLIENT6}:{client.getsockname()[1]}".encode() in answer, answer
            kept.append(client)
    assert len(kept) == PER_CLIENT
    for client in kept:
        reset(client)
    with pytest.raises((ConnectionResetError, ConnectionRefusedError)):
        ask(connect_from(site.client, DENIED, VIP6, HELD))


def kill_worker(site, daemon):
    os.kill(result(site, "status")["workers"][0]["pid"], signal.SIGKILL)
    said(daemon, "all 2 workers are up again")


def test_all_at_once(site, daemon, web):
    with Clients(site, VIP6, FRONT, rate=200, limit_ms=3000) as clients:
        wait_until(lambda: clients.path.stat().st_size > 10000, "load")
        check_named_client(site)
        wait_until(lambda: len(held(site, 1)) == 1, "places are free again")
        kill_worker(site, daemon)
        check_named_client(site)
        check_who(site)
        check_bans(site)
        check_lists(site)
        check_held(site)
        kill(site, web, HOSTS[0])
        said(daemon, f"{HOSTS[0]}:{PORT} is down")
        check_named_client(site)
        web[HOSTS[0]] = start_web(site, HOSTS[0], PORT, f"web-{HOSTS[0]}")
        said(daemon, f"{HOSTS[0]}:{PORT} is up")
        came = clients.finish()
    assert {one.told for one in came if one.outcome == "ok"} == {
        f"{CLIENT6}:{one.port}" for one in came if one.outcome == "ok"}
    print(f"\n{len(came)} clients, {outcomes(came)}")
    # Those whom the worker or the server that was killed had just then.
    assert outcomes(came).get("ok", 0) >= len(came) - 5
    for host in HOSTS:
        kill(site, web, host)
        said(daemon, f"{host}:{PORT} is down", 2 if host == HOSTS[0] else 1)
    with site.client.connect(VIP6, FRONT) as client:
        assert ask(client)[0] == f"{SPARE}:{PORT}"
    kill(site, web, SPARE)
    said(daemon, "new clients are refused")
    for port in (FRONT, HELD):
        with pytest.raises(ConnectionRefusedError):
            site.client.connect(VIP6, port)
    web[SPARE] = start_web(site, SPARE, PORT, f"web-{SPARE}")
    said(daemon, "new clients are let in again")
    with site.client.connect(VIP6, FRONT) as client:
        assert ask(client)[0] == f"{SPARE}:{PORT}"
    assert result(site, "status")["state"] == "running"
    assert daemon.stop() == 0
    assert counter(daemon, "limit_client_full") + counter(daemon, "limit_address_full") == 20
