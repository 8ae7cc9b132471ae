"""Every kind of UDP listener that needs the network side, beside TCP listeners in the same places."""

import contextlib
import ipaddress
import json
import random
import select
import socket

import pytest
from netsite import BACKENDS, FRONT4, GATEWAY4, GATEWAY6, SERVER4, VIP4, VIP6, Site, build_dir, wait_until
from netsite.addresses import addr_of, embed
from test_udp import bound, connected, nothing_comes, receive
from wire import access_records, read_header

PORT = 5300
OTHER = 5301
FRONT = 53
PREFIX6 = "2001:db8:81::/64"
PREFIX4 = "203.0.114.0/24"
IN_PREFIX = ("2001:db8:81::7", "203.0.114.7")

NETWORK = f'network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }} %s }}\n'
POOL = f'pool "p" {{ backend "{SERVER4}:{PORT}" {{}} }}\n'
OTHER_POOL = f'pool "other" {{ backend "{SERVER4}:{OTHER}" {{}} }}\n'
PREFIXES = f'listener "u" {{ protocol = udp bind = {{ "[{PREFIX6}]:{FRONT}", "{PREFIX4}:{FRONT}" }} pool = "p" }}\n'
TCP_PREFIXES = f'listener "t" {{ bind = {{ "[{PREFIX6}]:{FRONT}", "{PREFIX4}:{FRONT}" }} pool = "p" }}\n'


@pytest.fixture
def site():
    with Site(ipv4_client=True, bare=True) as made:
        # Every refusal is to be seen, not six of them and then one a second.
        made.gateway.sysctl("net.ipv4.icmp_ratelimit", 0)
        made.gateway.sysctl("net.ipv6.icmp.ratelimit", 0)
        # The link-local addresses come by themselves, in their own time, and belong to every comparison.
        wait_until(lambda: made.gateway.network()["ip -d addr"].count("inet6 fe80::") == 2,
                   "link-local addresses")
        yield made


@pytest.fixture
def start(site, gateway):
    def run(config, workers=2, **options):
        return gateway(config=whole(site, config, workers), **options)
    return run


def whole(site, config, workers=2):
    return f'run-directory = "{site.dir}/run"\nworkers = {workers}\ndrain = 2s\n{config}'


@pytest.fixture
def server(site):
    with bound(site.server, SERVER4, PORT) as made:
        yield made


@pytest.fixture
def other(site):
    with bound(site.server, SERVER4, OTHER) as made:
        yield made


def check_told(site, server, host, port=FRONT, payload=b"", peer_host=GATEWAY4):
    """The server was told who we are and where we have sent to, and its answer comes from there."""
    payload = payload or f"{host} {port}".encode()
    with connected(site.client, host, port) as client:
        client.send(payload)
        src, dst, got, peer = receive(server)
        assert (src, dst, got) == (client.getsockname()[:2], (host, port), payload)
        assert peer[0] == peer_host
        server.sendto(b"to " + payload[:1000], peer)
        assert client.recv(65536) == b"to " + payload[:1000]


def check_refused(site, host, port=FRONT):
    with connected(site.client, host, port) as client:
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def check_told_tcp(site, listener, host, port=FRONT):
    with site.client.connect(host, port) as client, listener.accept()[0] as server:
        header = read_header(server)
        assert (header.src, header.sport) == client.getsockname()[:2]
        assert (header.dst, header.dport) == (host, port)


@pytest.fixture
def tcp_server(site):
    with site.server.listen(SERVER4, PORT) as made:
        made.settimeout(5)
        yield made


# ---- prefixes -------------------------------------------------------------------------------------

def test_prefix_tells_each_destination(site, start, server):
    """The first and the last address of a prefix are addresses like any other."""
    start(PREFIXES + POOL)
    generator = random.Random(1)
    hosts = ["2001:db8:81::", "2001:db8:81::1", "2001:db8:81:0:ffff:ffff:ffff:ffff"]
    hosts += [addr_of(PREFIX6, generator) for _ in range(300)]
    hosts += [str(host) for host in ipaddress.ip_network(PREFIX4)]
    for host in hosts:
        check_told(site, server, host)
    for host in hosts[:3] + hosts[-1:]:
        check_refused(site, host, FRONT - 1)
        check_refused(site, host, FRONT + 1)
    assert nothing_comes(server)


def test_prefix_ends_where_it_ends(site, start, server):
    start('listener "u" { protocol = udp pool = "p"'
          f' bind = {{ "[2001:db8:81::40/122]:{FRONT}", "203.0.114.64/26:{FRONT}" }} }}\n' + POOL)
    for host in ("2001:db8:81::40", "2001:db8:81::7f", "203.0.114.64", "203.0.114.127"):
        check_told(site, server, host)
    for host in ("2001:db8:81::3f", "2001:db8:81::80", "203.0.114.63", "203.0.114.128"):
        with connected(site.client, host) as client, contextlib.suppress(OSError):
            client.send(b"x")
            client.send(b"x")
    assert nothing_comes(server)


def test_one_client_talks_to_many_addresses(site, start, server):
    """From one socket: each of them is a session of its own, and answers for itself."""
    start(PREFIXES + POOL)
    hosts = [f"2001:db8:81::{i:x}" for i in range(1, 101)]
    with bound(site.client, "2001:db8:1::10") as client:
        peers = {}
        for host in hosts:
            client.sendto(host.encode(), (host, FRONT))
            src, dst, got, peer = receive(server)
            assert (src, dst, got) == (client.getsockname()[:2], (host, FRONT), host.encode())
            peers[host] = peer
        assert len(set(peers.values())) == len(hosts)
        random.Random(2).shuffle(hosts)
        for host in hosts:
            server.sendto(host.encode(), peers[host])
            answer, sender = client.recvfrom(100)
            assert (answer.decode(), sender[:2]) == (host, (host, FRONT))


@pytest.mark.parametrize("size", [1453, 3000, 20000, 65000])
def test_fragments_of_clients_are_put_together_first(site, start, server, size):
    """Only the first fragment has the ports by which they are told apart."""
    start(PREFIXES + POOL)
    for host in IN_PREFIX:
        check_told(site, server, host, payload=random.Random(size).randbytes(size))


def test_narrower_listeners_win(site, start, server, other):
    start(NETWORK % "" + f"""
listener "wide" {{ protocol = udp pool = "p"
                   bind = {{ "[{PREFIX6}]:{FRONT}", "{PREFIX4}:{FRONT}", "*:{FRONT}" }} }}
listener "narrow" {{ protocol = udp pool = "other"
                     bind = {{ "[2001:db8:81::42]:{FRONT}", "203.0.114.42:{FRONT}", "[{VIP6}]:{FRONT}",
                               "[2001:db8:81::8000/113]:{FRONT}", "203.0.114.128/25:{FRONT}" }} }}
""" + POOL + OTHER_POOL)
    for host in ("2001:db8:81::42", "203.0.114.42", VIP6, "2001:db8:81::8001", "2001:db8:81::ffff",
                 "203.0.114.128", "203.0.114.255"):
        check_told(site, other, host)
    for host in ("2001:db8:81::41", "203.0.114.43", VIP4, GATEWAY6, FRONT4, "2001:db8:81::7fff",
                 "2001:db8:81::1:8000", "203.0.114.127"):
        check_told(site, server, host)
    assert nothing_comes(server, other)


# ---- TCP and UDP ----------------------------------------------------------------------------------

def test_tcp_and_udp_of_the_same_prefixes(site, start, server, tcp_server):
    start(NETWORK % "notrack = yes" + PREFIXES + TCP_PREFIXES + f"""
listener "v" {{ protocol = udp bind = {{ "[{VIP6}]:{FRONT}", "{VIP4}:{FRONT}" }} pool = "p" }}
listener "w" {{ bind = {{ "[{VIP6}]:{FRONT}", "{VIP4}:{FRONT}" }} pool = "p" }}
""" + POOL)
    for host in (*IN_PREFIX, VIP6, VIP4, "2001:db8:81::", "203.0.114.0"):
        check_told(site, server, host)
        check_told_tcp(site, tcp_server, host)


def test_udp_listener_in_the_midst_of_a_tcp_prefix(site, start, server, tcp_server):
    start(TCP_PREFIXES + 'listener "one" { protocol = udp pool = "p"'
          f' bind = {{ "[2001:db8:81::42]:{FRONT}", "203.0.114.42:{FRONT}" }} }}\n' + POOL)
    for host in ("2001:db8:81::42", "203.0.114.42"):
        check_told(site, server, host)
        check_told_tcp(site, tcp_server, host)
    for host in IN_PREFIX:
        check_told_tcp(site, tcp_server, host)
        check_refused(site, host)


def test_tcp_listener_in_the_midst_of_a_udp_prefix(site, start, server, tcp_server):
    start(PREFIXES + f'listener "one" {{ bind = {{ "[2001:db8:81::42]:{FRONT}", "203.0.114.42:{FRONT}" }}'
          ' pool = "p" }\n' + POOL)
    for host in ("2001:db8:81::42", "203.0.114.42"):
        check_told(site, server, host)
        check_told_tcp(site, tcp_server, host)
    for host in IN_PREFIX:
        check_told(site, server, host)
        with pytest.raises(ConnectionRefusedError):
            site.client.connect(host, FRONT).close()


# ---- embedded destinations ------------------------------------------------------------------------

@pytest.mark.parametrize("prefix", ["2001:db8:64::/96", "2001:db8:64::/64", "3fff:64::/32"])
def test_embedded_destination(site, start, prefix):
    daemon = start(f'listener "site" {{ protocol = udp bind = "[{prefix}]:{PORT}" backend = embedded'
                   ' allow = "192.0.2.8/30" }\n')
    with contextlib.ExitStack() as stack:
        servers = {address: stack.enter_context(bound(site.server, address, PORT)) for address in BACKENDS[:3]}
        trap = stack.enter_context(bound(site.gateway, "0.0.0.0", PORT))
        for _ in range(20):
            for address in BACKENDS[:2]:
                check_told(site, servers[address], embed(prefix, address), PORT)
        for address in (BACKENDS[2], GATEWAY4, "127.0.0.1", "0.0.0.0", "224.0.0.1"):
            check_refused(site, embed(prefix, address), PORT)
        assert nothing_comes(trap, *servers.values())
    assert daemon.stop() == 0
    ends = [record["end"] for record in access_records(daemon) if record["backend"] is None]
    assert ends == ["not-allowed"] * 5


def test_embedded_destination_is_not_the_gateway_itself(site, start):
    """Unless the list names it alone."""
    start("".join(f'listener "{name}" {{ protocol = udp bind = "[{prefix}]:{PORT}" backend = embedded'
                  f' allow = "{allow}" }}\n' for name, prefix, allow in (
                      ("net", "2001:db8:64::/96", "192.0.2.0/24"), ("named", "2001:db8:65::/96", GATEWAY4))))
    with bound(site.gateway, GATEWAY4, PORT) as trap:
        check_refused(site, embed("2001:db8:64::/96", GATEWAY4), PORT)
        assert nothing_comes(trap)
        check_told(site, trap, embed("2001:db8:65::/96", GATEWAY4), PORT)


# ---- what is left behind --------------------------------------------------------------------------

EVERYTHING = NETWORK + PREFIXES + TCP_PREFIXES + f"""
listener "v" {{ protocol = udp bind = {{ "[{VIP6}]:{FRONT}", "{VIP4}:{FRONT}" }} pool = "p" }}
listener "site" {{ protocol = udp bind = "[2001:db8:64::/96]:{PORT}" backend = embedded allow = "192.0.2.8/30" }}
""" + POOL


def use_everything(site, server):
    for host in (*IN_PREFIX, VIP6, VIP4):
        check_told(site, server, host)
    check_told(site, server, embed("2001:db8:64::/96", SERVER4), PORT)


def test_everything_is_gone_at_the_end(site, start, server):
    before = site.gateway.network()
    daemon = start(EVERYTHING % "notrack = yes")
    use_everything(site, server)
    assert site.gateway.network() != before
    assert daemon.stop() == 0
    assert site.gateway.network() == before


def test_what_is_kept_refuses_until_the_gateway_is_back(site, start, server):
    """Nor does a service of the gateway's own on that port get what is meant for its clients."""
    first = start(EVERYTHING % "keep = yes notrack = yes")
    use_everything(site, server)
    during = site.gateway.network()
    assert first.stop() == 0
    assert site.gateway.network() == during
    with bound(site.gateway, "::", FRONT) as trap:  # of both families
        for host in (*IN_PREFIX, *(addr_of(PREFIX6, random.Random(3)) for _ in range(20))):
            check_refused(site, host)
            with pytest.raises(ConnectionRefusedError):
                site.client.connect(host, FRONT).close()
        check_refused(site, embed("2001:db8:64::/96", SERVER4), PORT)
        assert nothing_comes(trap, server)
        with connected(site.client, VIP6) as client:  # just what nobody is in front of
            client.send(b"x")
            assert trap.recv(100) == b"x"
    second = start(EVERYTHING % "keep = yes notrack = yes")
    assert site.gateway.network() == during  # not even replaced
    use_everything(site, server)
    assert second.stop() == 0


# ---- conntrack ------------------------------------------------------------------------------------

CONNTRACK = f"""
table {{family}} probe {{{{
    chain input {{{{
        type filter hook input priority 0;
        iif front udp dport {FRONT} ct state untracked counter name "untracked"
        iif front udp dport {FRONT} ct state new,established counter name "tracked"
    }}}}
    chain output {{{{
        type filter hook output priority 0;
        oif front udp sport {FRONT} ct state untracked counter name "untracked"
        oif front udp sport {FRONT} ct state new,established counter name "tracked"
    }}}}
    counter untracked {{{{ }}}}
    counter tracked {{{{ }}}}
}}}}
"""


@pytest.mark.parametrize("notrack", ["yes", "no"])
@pytest.mark.parametrize("family", ["ip6", "ip"])
def test_notrack(site, start, server, family, notrack):
    site.gateway.run(["nft", "-f", "-"], stdin=CONNTRACK.format(family=family))
    start(EVERYTHING % f"notrack = {notrack}")
    for host in (VIP6, IN_PREFIX[0]) if family == "ip6" else (VIP4, IN_PREFIX[1]):
        for _ in range(3):
            check_told(site, server, host)
    shown = json.loads(site.gateway.run(["nft", "-j", "list", "counters", "table", family, "probe"]).stdout)
    counts = {entry["counter"]["name"]: entry["counter"]["packets"]
              for entry in shown["nftables"] if "counter" in entry}
    assert counts == {"tracked": 12 * (notrack == "no"), "untracked": 12 * (notrack == "yes")}


# ---- doctor ---------------------------------------------------------------------------------------

def doctor(site, config):
    ended = site.gateway.run([build_dir() / "sixgatectl", "--config", config, "--json", "doctor"], check=False)
    report = json.loads(ended.stdout)
    assert ended.returncode == (not report["ok"]), ended.stderr
    return {(one["check"], one["subject"]): one for one in report["checks"]}


def test_doctor_looks_for_udp_sockets(site, start, server):
    """Not for those of TCP at the same place; nor does it connect to servers, whose TCP port is closed here."""
    config = site.write("doctor.conf", whole(site, NETWORK % "keep = yes" + PREFIXES + POOL))
    daemon = start(NETWORK % "keep = yes" + PREFIXES + POOL)
    check_told(site, server, IN_PREFIX[0])
    found = doctor(site, config)
    assert {one["status"] for one in found.values()} <= {"ok", "warn"}, found
    subjects = [f"[{PREFIX6}]:{FRONT}/udp", f"{PREFIX4}:{FRONT}/udp"]
    assert [subject for check, subject in found if check == "listener"] == subjects
    assert [subject for check, subject in found if check == "ports"] == ["p/udp"]
    assert "up to 1420 bytes" in found["mtu", SERVER4]["text"]
    assert "connect" not in {check for check, _ in found}
    assert not select.select([server], [], [], 0)[0]
    assert daemon.stop() == 0
    with site.gateway.socket(socket.AF_INET6) as trap:
        trap.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND
        trap.bind(("2001:db8:81::", FRONT))
        trap.listen()
        wrong = {key: one for key, one in doctor(site, config).items() if one["status"] == "wrong"}
    assert list(wrong) == [("listener", subject) for subject in subjects]
    assert all("no UDP socket is bound" in one["text"] for one in wrong.values())
