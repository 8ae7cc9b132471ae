"""Backends that are names: what DNS says of them reaches the clients, and its failures do not."""

import contextlib
import json
import os
import re
import signal
import socket

import pytest
from netsite import BACKENDS, CLIENT6, GATEWAY6, SERVER4, VIP4, VIP6, Site, build_dir, wait_until
from netsite.names import NAME, NXDOMAIN, REFUSED, SERVFAIL, ZONE, NamesUnbound, ScriptedDns, wait_asked
from netsite.told import read_all
from netsite.web import Clients, outcomes, parse, start_web
from test_checks import LOCAL, answering, descriptors, is_worker, kind
from test_pools import PORT, accept, check_served, counter, servers
from test_refusal import is_refusing
from wire import access_records, read_exactly, read_header

FRONT = 80
QUICK = "interval-min = 100ms interval-max = 200ms timeout = 700ms attempts = 1"
CHECK = "check { type = http  interval = 100ms  rise = 2  fall = 2 }"


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        yield made


@pytest.fixture
def dns(site):
    with ScriptedDns(site.server) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(pool=f'backend "{NAME}:{PORT}" {{}}', resolve=f'servers = "{SERVER4}" {QUICK}', listener="", workers=2,
            bind=f"*:{FRONT}", **options):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 2s
            resolve {{ {resolve} }}
            listener "l" {{ bind = "{bind}" pool = "p" {listener} }}
            pool "p" {{ {pool} }}
        """, **options)
    return run


def said(daemon, text):
    return text in daemon.errors()


def wait_said(daemon, text):
    wait_until(lambda: said(daemon, text), f"the words {text}")


def is_at(*hosts, name=NAME):
    return f"pool p: {name} is at {', '.join(hosts)}"


def wait_at(daemon, *hosts, name=NAME):
    """That these are the addresses, in the order of their slots, is the latest that was said."""
    def latest():
        found = re.findall(rf"pool p: {re.escape(name)} is at (.*)", daemon.errors())
        return found and set(found[-1].split(", ")) == set(hosts)
    # Changes in quick succession may be said up to 10 s late.
    wait_until(latest, f"{name} at {hosts}", 20)


def refused(site):
    """Nobody is tried for this client: it is reset at once."""
    try:
        with site.client.connect(GATEWAY6, FRONT) as client:
            return client.recv(1) == b""
    except (ConnectionResetError, ConnectionRefusedError):
        return True


def served_by(site, listeners, times=12):
    return {check_served(site, listeners) for _ in range(times)}


def shown(site):
    """What sixgatectl says of each address: (name, up, live)."""
    told = site.gateway.run([build_dir() / "sixgatectl", "--run-directory", site.dir / "run", "--json", "status"])
    return {one["address"].partition(":")[0]: (one.get("name"), one["up"], one["live"])
            for one in json.loads(told.stdout)["pools"][0]["backends"]}


@pytest.mark.parametrize("pool", ["", "balance = maglev hash = client-port"])
def test_records_change_under_load(site, start, pool):
    """unbound's records wander over four nginx, 300 clients a second: none is lost, and who is gone gets no more."""
    dns = NamesUnbound(site, BACKENDS[:2])
    for host in BACKENDS:
        start_web(site, host, PORT, f"web-{host}")
    daemon = start(f'backend "{NAME}:{PORT}" {{}} {pool} {CHECK}')
    wait_at(daemon, *BACKENDS[:2])
    wait_until(lambda: daemon.errors().count("is up") == 2, "the first two are up")
    with site.client.connect(VIP6, FRONT) as idle, Clients(site, VIP6, FRONT, rate=300) as clients:
        for hosts in (BACKENDS[1:3], BACKENDS[2:4], BACKENDS[3:4], BACKENDS, BACKENDS[:1]):
            dns.set(*hosts)
            wait_served(clients, hosts)
        # The longest of all was begun with one of the first two, and is served by it still.
        idle.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(idle).decode().splitlines()[-1].startswith(tuple(f"{host}:{PORT}|" for host in BACKENDS[:2]))
        came = clients.finish()
    wait_until(lambda: not any(live for _, _, live in shown(site).values()), "nothing is counted that has ended")
    assert daemon.stop() == 0
    assert outcomes(came) == {"ok": len(came)}
    assert {record["end"] for record in access_records(daemon)} == {"closed"}
    print(f"\n{len(came)} clients, {counter(daemon, 'addresses_changed')} changes of addresses, "
          f"{counter(daemon, 'retried')} tried a second server")
    assert counter(daemon, "checks_failed") == 0
    log_of_check = (site.dir / f"web-{BACKENDS[3]}" / "access.log").read_text()
    assert re.search(r"^-?\|192\.0\.2\.1\|", log_of_check, re.MULTILINE), "no check came to a new address"


def wait_served(clients, hosts):
    """Until each of these, and nobody else, has served the last hundred clients."""
    def latest():
        lines = clients.path.read_text().splitlines(keepends=True)[-101:-1]
        return {parse(line).at.rpartition(":")[0] for line in lines}
    wait_until(lambda: latest() == set(hosts), f"clients at {hosts} alone")


def test_start_does_not_wait(site, dns, start):
    """Silent DNS: the gateway is ready, clients are reset; as soon as there is an answer they are served."""
    dns.records[NAME] = None
    daemon = start()
    assert is_refusing(site) and refused(site)
    wait_said(daemon, f"pool p: {NAME} cannot be looked up: Timeout while contacting DNS servers")
    dns.records[NAME] = [BACKENDS[1]]
    wait_at(daemon, BACKENDS[1])
    assert said(daemon, f"pool p: {NAME} can be looked up again")
    with servers(site, *BACKENDS[1:2]) as listeners:
        check_served(site, listeners)
    assert daemon.stop() == 0
    assert counter(daemon, "names_unanswered") >= 1 and counter(daemon, "addresses_changed") == 1


# What a server may say that answers nothing; bytes follow the question's id.
NO_ANSWERS = {"silence": None, "servfail": SERVFAIL, "refused": REFUSED, "id alone": b"",
              "garbage": b"\x81\x80" + b"\xff" * 498, "answer without question": b"\x81\x80\0\1\0\1\0\0\0\0\xc0\x0c",
              "of another name": b"\x81\x80\0\1\0\1\0\0\0\0\5other\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\0\0\4\xc6\x33\x64\7"}


@pytest.mark.parametrize("trouble", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_no_answer_changes_nothing(site, dns, start, trouble):
    dns.records[NAME] = BACKENDS[:2]
    daemon = start(resolve=f'servers = "{SERVER4}" {QUICK} hold = 0s')
    wait_at(daemon, *BACKENDS[:2])
    dns.records[NAME] = trouble
    wait_said(daemon, f"pool p: {NAME} cannot be looked up")
    wait_asked(dns, NAME, 2)
    with servers(site, *BACKENDS[:2]) as listeners:
        assert served_by(site, listeners) == {0, 1}
    dns.records[NAME] = BACKENDS[1:3]
    wait_at(daemon, *BACKENDS[1:3])
    assert daemon.errors().count("cannot be looked up") == 1
    assert daemon.stop() == 0
    assert counter(daemon, "names_empty") == 0


@pytest.mark.parametrize("nothing", [NXDOMAIN, []])
def test_nothing_is_down_and_comes_back(site, dns, start, nothing):
    """hold = 0s: at once, and clients are refused before they are accepted. Connections that there are go on."""
    dns.records[NAME] = BACKENDS[:1]
    daemon = start(resolve=f'servers = "{SERVER4}" {QUICK} hold = 0s')
    wait_at(daemon, BACKENDS[0])
    with servers(site, BACKENDS[0]) as listeners:
        with site.client.connect(GATEWAY6, FRONT) as client:
            server = accept(listeners)[1]
            read_header(server)
            dns.records[NAME] = nothing
            wait_said(daemon, f"pool p: {NAME} has no address any more")
            with pytest.raises(ConnectionRefusedError):
                site.client.connect(GATEWAY6, FRONT)
            client.sendall(b"still here")
            assert read_exactly(server, 10) == b"still here"
            server.close()
        dns.records[NAME] = BACKENDS[:1]
        wait_said(daemon, f"pool p: {NAME} has addresses again")
        wait_until(lambda: not is_refusing(site), "clients are let in")
        check_served(site, listeners)
    assert daemon.stop() == 0
    assert counter(daemon, "names_empty") >= 1 and counter(daemon, "addresses_changed") == 3


def test_hold(site, dns, start):
    """Kept for so long; an answer meanwhile begins it anew, silence does not."""
    dns.records[NAME] = BACKENDS[:1]
    daemon = start(resolve=f'servers = "{SERVER4}" {QUICK} hold = 3s')
    wait_at(daemon, BACKENDS[0])
    with servers(site, BACKENDS[0]) as listeners:
        for _ in range(5):
            dns.records[NAME] = NXDOMAIN
            wait_asked(dns, NAME, 3)
            check_served(site, listeners)
            dns.records[NAME] = BACKENDS[:1]
            wait_asked(dns, NAME, 2)
        assert not said(daemon, "has no address any more")
        dns.records[NAME] = NXDOMAIN
        wait_said(daemon, f"pool p: {NAME} has no address any more")
    assert daemon.stop() == 0


def test_hold_forever(site, dns, start):
    dns.records[NAME] = BACKENDS[:1]
    daemon = start(resolve=f'servers = "{SERVER4}" {QUICK} hold = forever')
    wait_at(daemon, BACKENDS[0])
    dns.records[NAME] = NXDOMAIN
    wait_said(daemon, f"pool p: {NAME} has no address: Domain name not found; those that it had are kept")
    wait_asked(dns, NAME, 5)
    with servers(site, BACKENDS[0]) as listeners:
        check_served(site, listeners)
    assert daemon.stop() == 0


def test_unfit_addresses_are_left_out(site, dns, start):
    """No server's address, one of another backend, the listener's own; if no other is left it is as none."""
    dns.records[NAME] = ["224.0.0.1", "0.0.0.0", BACKENDS[1], VIP4, BACKENDS[2], "255.255.255.255"]
    daemon = start(f'backend "{NAME}:*" {{}} backend "{BACKENDS[1]}:*" {{ weight = 0 }}',
                   resolve=f'servers = "{SERVER4}" {QUICK} hold = 0s', bind=f"*:{PORT}")
    wait_at(daemon, BACKENDS[2])
    for text in ("224.0.0.1 is left out: no server can have it", "0.0.0.0 is left out: no server can have it",
                 f"{BACKENDS[1]} is left out: the pool has it already",
                 f"{VIP4} is left out: the gateway itself is there"):
        assert said(daemon, f"pool p: {NAME}: the address {text}")
    dns.records[NAME] = [VIP4, "127.0.0.1"]
    wait_said(daemon, f"pool p: {NAME} has no address: none that it names will do")
    wait_said(daemon, f"pool p: {NAME} has no address any more")
    assert daemon.stop() == 0
    assert counter(daemon, "addresses_refused") >= 7


def test_more_addresses_than_fit(site, dns, start):
    """The least of 60, which come by TCP as UDP has no room for them."""
    hosts = [f"192.0.2.{n}" for n in (*range(10, 14), *range(100, 156))]
    dns.records[NAME] = hosts[::-1]
    daemon = start(f'backend "{NAME}:{PORT}" {{ addresses = 3 }}')
    wait_at(daemon, *BACKENDS[:3])
    wait_said(daemon, f"pool p: {NAME} has 60 addresses, of which 57 are left out: write addresses = 60, up to 64")
    with servers(site, *BACKENDS) as listeners:
        assert served_by(site, listeners, 20) == {0, 1, 2}
    assert daemon.stop() == 0


def test_a_new_address_waits_for_its_check(site, dns, start):
    """It gets nobody before it has passed; what has left is checked no more."""
    dns.records[NAME] = BACKENDS[:1]
    checks = []

    def handle(connection):
        header = read_exactly(connection, 16)
        if header == LOCAL:
            checks.append(connection.getsockname()[0])
        else:
            read_exactly(connection, header[15])
        connection.sendall(b"fine")

    with contextlib.ExitStack() as stack:
        listeners = stack.enter_context(servers(site, *BACKENDS[:1]))
        stack.enter_context(answering(listeners[0], handle))
        daemon = start(f'backend "{NAME}:{PORT}" {{}} check {{ type = send-expect expect = "fine" interval = 100ms '
                       "rise = 2 fall = 2 }")
        wait_said(daemon, f"backend {BACKENDS[0]}:{PORT} is up")
        dns.records[NAME] = BACKENDS[:2]
        wait_said(daemon, f"backend {BACKENDS[1]}:{PORT} is down: Connection refused")
        for _ in range(10):
            with site.client.connect(GATEWAY6, FRONT) as client:
                assert client.recv(10) == b"fine"
        listeners.append(stack.enter_context(site.server.listen(BACKENDS[1], PORT)))
        stack.enter_context(answering(listeners[1], handle))
        wait_said(daemon, f"backend {BACKENDS[1]}:{PORT} is up")
        dns.records[NAME] = BACKENDS[1:2]
        wait_at(daemon, BACKENDS[1])
        checks.clear()
        wait_until(lambda: checks.count(BACKENDS[1]) >= 4, "checks of the one that is left")
        assert set(checks) == {BACKENDS[1]}
        assert daemon.stop() == 0
    assert counter(daemon, "retried") == 0


def test_udp_sessions_follow(site, dns, start):
    dns.records[NAME] = BACKENDS[:1]
    daemon = start(listener="protocol = udp")
    wait_at(daemon, BACKENDS[0])
    with contextlib.ExitStack() as stack:
        udp = {}
        for host in BACKENDS[:2]:
            udp[host] = stack.enter_context(site.server.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp[host].bind((host, PORT))
            udp[host].settimeout(5)

        def client():
            made = stack.enter_context(site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            made.settimeout(5)
            made.connect((GATEWAY6, FRONT))
            return made

        def talk(one, host):
            one.send(b"word")
            data, peer = udp[host].recvfrom(2000)
            assert data.endswith(b"word")
            udp[host].sendto(b"answer", peer)
            assert one.recv(100) == b"answer"

        old = client()
        talk(old, BACKENDS[0])
        dns.records[NAME] = BACKENDS[1:2]
        wait_at(daemon, BACKENDS[1])
        talk(client(), BACKENDS[1])
        talk(old, BACKENDS[0])
    assert daemon.stop() == 0


def test_servers_of_the_system(site, start):
    """resolv.conf with a search list, hosts; and resolv.conf again when it has changed."""
    resolv = site.write("resolv.conf", f"nameserver {BACKENDS[0]}\nsearch other.example {ZONE}\noptions timeout:1\n")
    hosts = site.write("hosts", f"{BACKENDS[2]} local.example\n")
    wrapper = ["unshare", "-m", "sh", "-c", f"mount --bind {resolv} /etc/resolv.conf && mount --bind {hosts} /etc/hosts"
               ' && exec "$@"', "sh"]
    with ScriptedDns(site.server, BACKENDS[0]) as first, ScriptedDns(site.server, BACKENDS[1]) as second:
        first.records[NAME] = BACKENDS[:1]
        second.records[NAME] = BACKENDS[1:2]
        first.records[f"whole.{ZONE}"] = BACKENDS[2:3]
        daemon = start(f'backend "db:{PORT}" {{}} backend "local.example:{PORT}" {{}} backend "whole.:{PORT}" {{}}',
                       QUICK, wrapper=wrapper)
        wait_at(daemon, BACKENDS[0], name="db")
        wait_at(daemon, BACKENDS[2], name="local.example")
        wait_said(daemon, "pool p: whole. has no address: Domain name not found")
        assert first.asked["whole"] and not first.asked[f"whole.{ZONE}"]
        resolv.write_text(f"nameserver {BACKENDS[1]}\nsearch {ZONE}\n")
        wait_at(daemon, BACKENDS[1], name="db")
        before = first.asked[NAME]
        wait_asked(second, NAME, 3)
        assert first.asked[NAME] == before
        assert daemon.stop() == 0


def test_a_server_that_is_silent_is_passed_over(site, dns, start):
    dns.records[NAME] = BACKENDS[:1]
    with ScriptedDns(site.server, BACKENDS[1]) as silent:
        silent.records[NAME] = None
        daemon = start(resolve=f'servers = {{ "{BACKENDS[1]}", "{SERVER4}:53" }} {QUICK}')
        wait_at(daemon, BACKENDS[0])
        assert silent.asked[NAME] > 0
        assert daemon.stop() == 0
    assert counter(daemon, "names_unanswered") == 0


def test_server_that_is_not_there(site, start):
    daemon = start()
    wait_said(daemon, f"pool p: {NAME} cannot be looked up: Could not contact DNS servers")
    with ScriptedDns(site.server) as dns:
        dns.records[NAME] = BACKENDS[:1]
        wait_at(daemon, BACKENDS[0])
    assert daemon.stop() == 0


def test_server_with_an_ipv6_address(site, start):
    hosts = [f"192.0.2.{n}" for n in range(10, 70)]
    with ScriptedDns(site.client, CLIENT6) as dns:
        dns.records[NAME] = hosts
        daemon = start(f'backend "{NAME}:{PORT}" {{ addresses = 64 }}', f'servers = "{CLIENT6}"')
        wait_said(daemon, f"pool p: {NAME} is at {hosts[0]}, {hosts[1]}")
        assert daemon.stop() == 0
    assert counter(daemon, "addresses_changed") == 60


def test_time_to_live_within_bounds(site, start):
    """300 s are asked for, at most 200 ms are waited; 0 s, but not less than 100 ms."""
    with ScriptedDns(site.server, ttl=300) as dns:
        dns.records[NAME] = BACKENDS[:1]
        daemon = start()
        wait_asked(dns, NAME, 4)
        assert daemon.stop() == 0
    with ScriptedDns(site.server, ttl=300) as dns:
        dns.records[NAME] = BACKENDS[:1]
        dns.records["other." + ZONE] = BACKENDS[1:2]
        daemon = start(f'backend "{NAME}:{PORT}" {{}}', f'servers = "{SERVER4}" interval-min = 100ms', name="slow")
        wait_at(daemon, BACKENDS[0])
        assert daemon.stop() == 0
        assert dns.asked[NAME] == 1


def test_many_names(site, dns, start):
    """200 of them, in one pool and another; each is known within the time that one takes."""
    names = [f"n{n}.{ZONE}" for n in range(200)]
    for n, name in enumerate(names):
        dns.records[name] = [f"192.0.2.{n + 20}"]
    daemon = start(" ".join(f'backend "{name}:{PORT}" {{ addresses = 2 }}' for name in names),
                   f'servers = "{SERVER4}"')
    wait_until(lambda: daemon.errors().count(" is at ") == 200, "all names")
    assert daemon.stop() == 0
    assert counter(daemon, "names_answered") >= 200 and counter(daemon, "names_unanswered") == 0


def test_two_gateways_agree(site, dns, start):
    """After different histories, and with other words in the configuration: the same server for each client."""
    for number in range(40):
        site.client.ip(f"addr add 2001:db8:1::{number + 256:x}/64 dev eth0 nodad")

    def choices(histories, pool):
        dns.records[NAME] = histories[0]
        daemon = start(pool)
        for hosts in histories:
            dns.records[NAME] = hosts
            wait_at(daemon, *hosts)
        with servers(site, *BACKENDS) as listeners:
            chosen = []
            for number in range(40):
                with site.client.socket() as client:
                    client.bind((f"2001:db8:1::{number + 256:x}", 0))
                    client.connect((GATEWAY6, FRONT))
                    index, server = accept(listeners)
                    server.close()
                    chosen.append(index)
        assert daemon.stop() == 0
        return chosen

    pool = f'backend "{NAME}:{PORT}" {{ addresses = 4 }} balance = maglev'
    first = choices([BACKENDS], pool)
    assert set(first) == {0, 1, 2, 3}
    wandering = [BACKENDS[3:], BACKENDS[1:3], ["192.0.2.9", BACKENDS[0]], BACKENDS[::-1]]
    assert choices(wandering, pool) == first
    # What is written as addresses here is a name there.
    assert choices([BACKENDS[:2]], f'backend "{BACKENDS[3]}:{PORT}" {{}} backend "{NAME}:{PORT}" {{}} '
                   f'backend "{BACKENDS[2]}:{PORT}" {{}} balance = maglev') == first


@pytest.mark.parametrize("balance", ["round-robin", "maglev"])
def test_a_new_worker_knows_where_a_name_is(site, dns, start, balance):
    """Though nobody looks it up for its sake."""
    dns.records[NAME] = BACKENDS[1:3]
    daemon = start(f'backend "{NAME}:{PORT}" {{}} balance = {balance}',
                   f'servers = "{SERVER4}" interval-min = 1h interval-max = 1h', workers=1)
    wait_at(daemon, *BACKENDS[1:3])
    with servers(site, *BACKENDS) as listeners:
        check_served(site, listeners)
        worker = [pid for pid in site.gateway.pids() if is_worker(pid)][0]
        os.kill(worker, signal.SIGKILL)
        wait_said(daemon, "all 1 workers are up again")
        assert served_by(site, listeners) <= {1, 2}
    assert daemon.stop() == 0
    assert dns.asked[NAME] == 1


def test_no_socket_of_dns_is_left_to_a_worker(site, dns, start):
    """A worker that starts while questions are under way does not keep their sockets open."""
    dns.records[NAME] = None
    daemon = start(resolve=f'servers = "{SERVER4}" timeout = 60s attempts = 1', workers=1)
    worker = wait_until(lambda: [pid for pid in site.gateway.pids() if is_worker(pid)], "a worker")[0]
    before = sorted(map(kind, descriptors(worker)))
    wait_until(lambda: dns.asked[NAME], "a question under way")
    os.kill(worker, signal.SIGKILL)
    new = wait_until(lambda: [pid for pid in site.gateway.pids() if is_worker(pid) and pid != worker], "another")[0]
    wait_until(lambda: sorted(map(kind, descriptors(new))) == before, "the same descriptors, no more")
    assert daemon.stop() == 0


def test_name_on_the_command_line(site, gateway):
    hosts = site.write("hosts", f"{BACKENDS[0]} {NAME}\n")
    wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    daemon = gateway(args=["--listen", f"[::]:{FRONT}", "--backend", f"{NAME}:{PORT}"], wrapper=wrapper)
    wait_said(daemon, f"pool backends: {NAME} is at {BACKENDS[0]}")
    with servers(site, BACKENDS[0]) as listeners:
        check_served(site, listeners)
    assert daemon.stop() == 0


def test_status_shows_where_a_name_is(site, dns, start):
    """Its addresses, and one that it has lost until its last connection has ended."""
    dns.records[NAME] = BACKENDS[:2]
    daemon = start(f'backend "{NAME}:{PORT}" {{}} backend "{BACKENDS[3]}:{PORT}" {{ weight = 0 }}')
    wait_at(daemon, *BACKENDS[:2])
    assert shown(site) == {BACKENDS[0]: (NAME, True, 0), BACKENDS[1]: (NAME, True, 0), BACKENDS[3]: (None, True, 0)}
    with servers(site, *BACKENDS[:2]) as listeners, site.client.connect(GATEWAY6, FRONT):
        index, server = accept(listeners)
        with server:
            stays, goes = BACKENDS[1 - index], BACKENDS[index]
            dns.records[NAME] = [stays]
            wait_at(daemon, stays)
            assert shown(site) == {goes: (NAME, False, 1), stays: (NAME, True, 0), BACKENDS[3]: (None, True, 0)}
    wait_until(lambda: set(shown(site)) == {stays, BACKENDS[3]}, "the last connection has ended")
    assert daemon.stop() == 0


def test_doctor_looks_names_up(site, dns):
    """What is wrong with a name is said, and where it is right its servers are looked at like others."""
    site.gateway.ip("route add blackhole 203.0.113.7/32")
    dns.records.update({"good.example": ["203.0.113.7", BACKENDS[0]], "silent.example": None, "many.example": BACKENDS,
                        "odd.example": ["224.0.0.1"]})
    hosts = {"good": 8, "silent": 8, "many": 3, "gone": 8, "odd": 8}
    pool = " ".join(f'backend "{host}.example:{PORT}" {{ addresses = {n} }}' for host, n in hosts.items())
    config = site.write("doctor.conf", f'''run-directory = "{site.dir}/run"
        resolve {{ servers = "{SERVER4}" {QUICK} }}
        listener "l" {{ bind = "[{VIP6}]:{FRONT}" pool = "p" }}
        pool "p" {{ {pool} }}''')
    told = site.gateway.run([build_dir() / "sixgatectl", "--config", config, "--json", "doctor"], check=False).stdout
    found = {(one["check"], one["subject"]): (one["status"], one["text"]) for one in json.loads(told)["checks"]}
    names = {subject.partition(".")[0]: what for (check, subject), what in found.items() if check == "name"}
    assert names == {
        "good": ("ok", f"good.example of p is at {BACKENDS[0]}, 203.0.113.7"),
        "silent": ("wrong", "silent.example of p cannot be looked up: Timeout while contacting DNS servers"),
        "many": ("warn", "many.example of p has 4 addresses, of which 1 are left out: write addresses = 4, up to 64"),
        "gone": ("wrong", "gone.example of p has no address: Domain name not found"),
        "odd": ("wrong", "odd.example of p has no address: no server can have those that it names"),
    }
    assert found["backend", "203.0.113.7"][0] == "wrong" and found["backend", BACKENDS[0]][0] == "ok"


def test_addresses_survive_a_reload(site, dns, start):
    """DNS is silent: who was found before is served all the same."""
    dns.records[NAME] = BACKENDS[:2]
    daemon = start()
    wait_at(daemon, *BACKENDS[:2])
    dns.records[NAME] = None
    with servers(site, *BACKENDS[:2]) as listeners:
        for images in range(2, 4):
            daemon.kill(signal.SIGHUP)
            wait_until(lambda: daemon.errors().count("ready: 2 workers") == images, "a successor")
            assert served_by(site, listeners) == {0, 1}
        dns.records[NAME] = BACKENDS[:1]
        wait_at(daemon, BACKENDS[0])
        check_served(site, listeners)


def test_health_of_addresses_survives_a_reload(site, dns, start):
    """Who was up is so at once, who was down stays so: checks are too rare to have found it again."""
    dns.records[NAME] = BACKENDS[:2]
    ups = {BACKENDS[0]: True, BACKENDS[1]: False}
    with servers(site, BACKENDS[0]):
        daemon = start(f'backend "{NAME}:{PORT}" {{}} check {{ type = tcp  interval = 1h  fall = 1 }}')
        wait_until(lambda: {host: up for host, (_, up, _) in shown(site).items()} == ups, "one of two is up")
        dns.records[NAME] = None
        daemon.kill(signal.SIGHUP)
        wait_until(lambda: daemon.errors().count("ready: 2 workers") == 2, "a successor")
        assert {host: up for host, (_, up, _) in shown(site).items()} == ups


def test_addresses_of_a_reload_are_no_doubles(site, dns, start):
    """One that the configuration has by itself now is not the name's any more."""
    dns.records[NAME] = BACKENDS[:2]
    daemon = start()
    wait_at(daemon, *BACKENDS[:2])
    dns.records[NAME] = None
    path = site.dir / f"{daemon.name}.conf"
    path.write_text(path.read_text().replace('pool "p" {', f'pool "p" {{ backend "{BACKENDS[1]}:{PORT}" {{}}'))
    daemon.kill(signal.SIGHUP)
    wait_until(lambda: daemon.errors().count("ready: 2 workers") == 2, "a successor")
    assert shown(site) == {BACKENDS[0]: (NAME, True, 0), BACKENDS[1]: (None, True, 0)}
