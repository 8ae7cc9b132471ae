"""Identity from upstream: who is believed, what becomes of good, bad and late headers, and that nobody else is.

The client's namespace has two kinds of addresses: some of proxies that the gateway believes, others of clients.
"""

import contextlib
import itertools
import select
import signal
import socket
import struct

import pytest
from headers import (AUTHORITY, NOOP, TCP4, TCP6, UDP6, UNIX, UNSPEC, connect_from, raw_v2, tlv, v1, v2, with_crc)
from netsite import BACKENDS, CLIENT4, CLIENT6, FRONT4, GATEWAY6, SERVER4, VIP4, VIP6, Site, wait_until
from netsite.told import PASSED_ON, parse, read_all, start_nginx
from wire import (SIGNATURE, access_records, background, ends_in_reset, read_exactly, read_header, receive_stream,
                  reset, send_stream)

PROXY6, PROXY4 = "2001:db8:1::a1", "198.51.100.20"
FAR6, FAR_VIP6 = "2001:db8:77::7", "2001:db8:99::80"   # the client and its destination, as the proxy has them
FAR4, FAR_VIP4 = "203.0.113.7", "203.0.113.99"
PORT, PLAIN, DUAL, EMBEDDED, BACK = 80, 81, 82, 83, 7000
UP = 9000  # where proxies in the client's namespace listen

CONFIG = f"""
workers = 1
drain = 2s
listener "told" {{
    bind = {{ "[{VIP6}]:{PORT}", "{VIP4}:{PORT}" }}
    pool = "web"
    accept-proxy {{ from = {{ "2001:db8:1::a0/124", "{PROXY4}" }} timeout = %s }}
}}
listener "plain" {{ bind = {{ "[{VIP6}]:{PLAIN}", "{VIP4}:{PLAIN}" }} pool = "web" }}
listener "dual" {{
    bind = "[::]:{DUAL}"
    v6only = no
    pool = "web"
    accept-proxy {{ from = "{PROXY4}" }}
}}
pool "web" {{ backend "{SERVER4}:{BACK}" {{}} }}
"""


def whole(site, timeout):
    return f'run-directory = "{site.dir}/run"\n' + CONFIG % timeout


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        made.client.ip(f"addr add {PROXY6}/64 dev eth0 nodad", f"addr add {PROXY4}/24 dev eth0")
        yield made


class Told:
    """A gateway with listeners that believe proxies, and a server that takes every byte for what it is."""

    def __init__(self, site, daemon, listener):
        self.site, self.daemon, self.listener = site, daemon, listener

    def connect(self, source=PROXY6, host=VIP6, port=PORT):
        return connect_from(self.site.client, source, host, port)

    def accept(self):
        server, _ = self.listener.accept()
        server.settimeout(10)
        return server

    @contextlib.contextmanager
    def pair(self, first, **where):
        """Sends `first` as one; gives both ends once the server has read its header."""
        with self.connect(**where) as client:
            client.sendall(first)
            with self.accept() as server:
                yield client, server, read_header(server)

    def records(self, count):
        return wait_until(lambda: len(access_records(self.daemon)) == count and access_records(self.daemon),
                          f"{count} access records")


@pytest.fixture
def told(site, gateway):
    with site.server.listen(SERVER4, BACK) as listener:
        listener.settimeout(10)
        yield Told(site, gateway(config=whole(site, "10s")), listener)


def ends(header):
    return header.src, header.sport, header.dst, header.dport


# ---- what is believed -----------------------------------------------------------------------------

GOOD = {
    "v1-6": (v1(FAR6, FAR_VIP6), (FAR6, 40000, FAR_VIP6, 443)),
    "v1-4": (v1(FAR4, FAR_VIP4), (FAR4, 40000, FAR_VIP4, 443)),
    "v2-6": (v2(FAR6, FAR_VIP6), (FAR6, 40000, FAR_VIP6, 443)),
    "v2-4": (v2(FAR4, FAR_VIP4), (FAR4, 40000, FAR_VIP4, 443)),
    "v2-port-0": (v2(FAR6, FAR_VIP6, 0, 0), (FAR6, 0, FAR_VIP6, 0)),
    "v2-mapped-pair": (v2(f"::ffff:{FAR4}", f"::ffff:{FAR_VIP4}"), (FAR4, 40000, FAR_VIP4, 443)),
    "v2-mapped-client": (v2(f"::ffff:{FAR4}", FAR_VIP6), ("::ffff:cb00:7107", 40000, FAR_VIP6, 443)),
    "v2-tlvs": (v2(FAR6, FAR_VIP6, tlvs=tlv(AUTHORITY, b"example.org") + tlv(NOOP, bytes(9)) + tlv(0xEE, b"")),
                (FAR6, 40000, FAR_VIP6, 443)),
    "v2-crc": (with_crc(v2(FAR6, FAR_VIP6, tlvs=tlv(AUTHORITY, b"a"))), (FAR6, 40000, FAR_VIP6, 443)),
    "v2-dgram": (v2(FAR6, FAR_VIP6, family=UDP6), (FAR6, 40000, FAR_VIP6, 443)),
    "v2-4096": (v2(FAR6, FAR_VIP6, tlvs=tlv(0xE1, bytes(4096 - 52 - 3))), (FAR6, 40000, FAR_VIP6, 443)),
}


def test_every_good_header_is_passed_on(told):
    for name, (header, expected) in GOOD.items():
        for source, host in ((PROXY6, VIP6), (PROXY4, VIP4)):
            with told.pair(header + b"payload", source=source, host=host) as (client, server, seen):
                assert ends(seen) == expected, name
                assert read_exactly(server, 7) == b"payload", name
                server.sendall(b"answer")
                assert read_exactly(client, 6) == b"answer"
    records = told.records(2 * len(GOOD))
    by_peer = {record["client"] for record in records if record["peer"].startswith(f"[{PROXY6}]:")}
    assert by_peer >= {f"[{FAR6}]:40000", f"{FAR4}:40000", f"[{FAR6}]:0"}
    assert {record["local"] for record in records} >= {f"[{FAR_VIP6}]:443", f"{FAR_VIP4}:443"}
    assert {record["end"] for record in records} == {"closed"}


NOBODY = {
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v1-unknown-more": f"PROXY UNKNOWN {FAR6} {FAR_VIP6} 1 2\r\n".encode(),
    "v2-local": v2(command=0x20),
    "v2-local-addresses": v2(FAR6, FAR_VIP6, command=0x20),
    "v2-local-any-family": raw_v2(0x20, 0xFF, b"whatever"),
    "v2-unspec": v2(),
    "v2-unspec-block": raw_v2(0x21, UNSPEC, bytes(60)),
}


def test_header_that_names_nobody_leaves_the_connections_own_ends(told):
    for name, header in NOBODY.items():
        with told.pair(header + b"x") as (client, server, seen):
            assert ends(seen) == (PROXY6, client.getsockname()[1], VIP6, PORT), name
            assert read_exactly(server, 1) == b"x"
    for record in told.records(len(NOBODY)):
        assert record["peer"] == record["client"]


def test_one_byte_at_a_time(told):
    for header in (v1(FAR6, FAR_VIP6), v2(FAR6, FAR_VIP6, tlvs=tlv(AUTHORITY, b"example.org"))):
        data = header + b"payload"
        with told.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)):
                client.send(data[i:i + 1])
                assert unacknowledged_is_none(client)
            with told.accept() as server:
                assert ends(read_header(server)) == (FAR6, 40000, FAR_VIP6, 443)
                assert read_exactly(server, 7) == b"payload"


def unacknowledged_is_none(connection):
    """Each byte has reached the gateway before the next one is sent."""
    import array
    import fcntl
    count = array.array("i", [0])

    def none():
        fcntl.ioctl(connection.fileno(), 0x5411, count)  # SIOCOUTQ
        return count[0] == 0
    return wait_until(none, "the byte to arrive")


def test_header_together_with_much_payload(told):
    with told.pair(v2(FAR6, FAR_VIP6)) as (client, server, seen):
        assert seen.src == FAR6
        with background(receive_stream, server) as at_server:
            up = send_stream(client, "up", 64 << 20)
            client.shutdown(socket.SHUT_WR)
            assert at_server() == (up, 64 << 20)


def test_first_words_look_like_a_second_header(told):
    """Only the first one is read; the client's own words are words."""
    for second in (v2("2001:db8:bad::1", "2001:db8:bad::2"), v1("192.0.2.66", "192.0.2.67"), SIGNATURE):
        with told.pair(v2(FAR6, FAR_VIP6) + second) as (_, server, seen):
            assert seen.src == FAR6
            assert read_exactly(server, len(second)) == second


def test_header_then_fin(told):
    with told.connect() as client:
        client.sendall(v2(FAR6, FAR_VIP6) + b"bye")
        client.shutdown(socket.SHUT_WR)
        with told.accept() as server:
            assert read_header(server).src == FAR6
            assert read_exactly(server, 3) == b"bye" and server.recv(1) == b""
            server.sendall(b"farewell")
            server.close()
            assert read_exactly(client, 8) == b"farewell" and client.recv(1) == b""
    assert told.records(1)[0]["end"] == "closed"


def test_header_then_nothing_and_the_server_speaks_first(told):
    with told.pair(v1(FAR6, FAR_VIP6)) as (client, server, seen):
        assert seen.src == FAR6
        server.sendall(b"220 hello\r\n")
        assert read_exactly(client, 11) == b"220 hello\r\n"


def test_mapped_peer_of_a_dual_stack_socket(told):
    with told.pair(v2(FAR6, FAR_VIP6), source=PROXY4, host=VIP4, port=DUAL) as (_, _, seen):
        assert ends(seen) == (FAR6, 40000, FAR_VIP6, 443)
    with told.pair(v2(FAR6, FAR_VIP6), source=CLIENT4, host=VIP4, port=DUAL) as (client, server, seen):
        assert ends(seen) == (CLIENT4, client.getsockname()[1], VIP4, DUAL)
        assert read_exactly(server, 16)[:12] == SIGNATURE


# ---- what is not ----------------------------------------------------------------------------------

BAD = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "one-wrong-byte": b"X",
    "v1-lower-case": b"proxy TCP6 ::1 ::2 1 2\r\n",
    "v1-mixed": f"PROXY TCP6 {FAR4} {FAR_VIP6} 1 2\r\n".encode(),
    "v1-two-blanks": f"PROXY  TCP6 {FAR6} {FAR_VIP6} 1 2\r\n".encode(),
    "v1-zero-in-front": f"PROXY TCP4 {FAR4} {FAR_VIP4} 01 2\r\n".encode(),
    "v1-large-port": f"PROXY TCP4 {FAR4} {FAR_VIP4} 65536 2\r\n".encode(),
    "v1-lone-lf": f"PROXY TCP4 {FAR4} {FAR_VIP4} 1 2\n".encode(),
    "v1-too-long": b"PROXY UNKNOWN " + b"x" * 94,
    "v2-version-3": raw_v2(0x31, TCP6, bytes(36)),
    "v2-command": raw_v2(0x22, TCP6, bytes(36)),
    "v2-family": raw_v2(0x21, 0x41, bytes(36)),
    "v2-half-family": raw_v2(0x21, 0x20, bytes(36)),
    "v2-short": raw_v2(0x21, TCP6, bytes(35)),
    "v2-inet-short": raw_v2(0x21, TCP4, bytes(11)),
    "v2-unix": raw_v2(0x21, UNIX, bytes(216)),
    "v2-stray-byte": v2(FAR6, FAR_VIP6, tlvs=b"\x02"),
    "v2-overrun": v2(FAR6, FAR_VIP6, tlvs=b"\x02\x00\x05abcd"),
    "v2-crc": with_crc(v2(FAR6, FAR_VIP6), spoil=1),
    "v2-too-long": v2(FAR6, FAR_VIP6, tlvs=tlv(0xE1, bytes(4096 - 52 - 3 + 1))),
    "v2-longest": SIGNATURE + b"\x21\x21\xff\xff",
}


def test_bad_headers_are_reset_at_once(told):
    """The server never hears of them. The limit of 10 s plays no part."""
    for name, header in BAD.items():
        with told.connect() as client:
            client.settimeout(5)
            client.sendall(header)
            assert ends_in_reset(client) == (True, 0), name
    records = told.records(len(BAD))
    assert {(record["end"], record["by"], record["backend"]) for record in records} == \
        {("bad-header", "gateway", None)}
    assert {record["client"].rpartition(":")[0] for record in records} == {f"[{PROXY6}]"}
    assert f"proxy [{PROXY6}]:" in told.daemon.errors()
    told.listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        told.listener.accept()


def test_end_in_the_middle_of_a_header(told):
    header = v2(FAR6, FAR_VIP6)
    for cut in (1, 12, 16, 51):
        with told.connect() as client:
            client.sendall(header[:cut])
            client.shutdown(socket.SHUT_WR)
            assert ends_in_reset(client) == (True, 0)
    assert {record["end"] for record in told.records(4)} == {"bad-header"}


def test_proxy_that_only_knocks(told):
    """Many proxies ask whether we are there by a connection without a word: that is no mistake."""
    with told.connect() as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    record = told.records(1)[0]
    assert (record["end"], record["by"], record["backend"]) == ("closed", "client", None)
    reset(told.connect())
    record = told.records(2)[1]
    assert (record["end"], record["by"], record["backend"]) == ("reset", "client", None)
    assert "proxy [" not in told.daemon.errors()


def test_late_header(site, gateway):
    with site.server.listen(SERVER4, BACK) as listener:
        told = Told(site, gateway(config=whole(site, "300ms")), listener)
        for first in (b"", v2(FAR6, FAR_VIP6)[:-1]):
            with told.connect() as client:
                client.sendall(first)
                assert ends_in_reset(client) == (True, 0)
        assert {(record["end"], record["by"]) for record in told.records(2)} == {("header-timeout", "gateway")}
        assert "in time" in told.daemon.errors()
        with told.pair(v2(FAR6, FAR_VIP6)) as (_, _, seen):
            assert seen.src == FAR6


def test_drip_does_not_win_time(site, gateway):
    """The limit is for the whole header, however often a byte of it comes."""
    with site.server.listen(SERVER4, BACK) as listener:
        told = Told(site, gateway(config=whole(site, "300ms")), listener)
        header = v2(FAR6, FAR_VIP6, tlvs=tlv(0xE1, bytes(3000)))
        with told.connect() as client:
            client.settimeout(0.01)
            for i in range(len(header)):
                try:
                    client.send(header[i:i + 1])
                    assert client.recv(1) == b"never"
                except TimeoutError:
                    continue
                except (ConnectionResetError, BrokenPipeError):
                    break
            else:
                pytest.fail("a header was taken that took seconds")
        assert told.records(1)[0]["end"] == "header-timeout"


def test_gateway_ends_while_it_waits_for_headers(told):
    with told.connect() as client:
        with told.pair(v2(FAR6, FAR_VIP6)):
            assert told.daemon.stop() == 0
        assert ends_in_reset(client) == (True, 0)
    assert {record["end"] for record in told.records(2)} == {"drained"}


def test_counters(told):
    for data in (v2(FAR6, FAR_VIP6), v1(FAR6, FAR_VIP6)):
        with told.pair(data):
            pass
    with told.connect() as client:
        client.sendall(b"HELO\r\n")
        assert ends_in_reset(client)[0]
    told.records(3)
    told.daemon.kill(signal.SIGUSR1)
    wait_until(lambda: "counter headers_read 2" in told.daemon.errors() and
               "counter bad_header 1" in told.daemon.errors(), "the counters")


# ---- nobody else is believed ----------------------------------------------------------------------

def test_bytes_of_others_are_never_a_header(told):
    """Every kind of header, from sources that are not trusted or at a listener that asks nobody: bytes."""
    everything = [header for header, _ in GOOD.values()] + [*NOBODY.values(), *BAD.values()]
    ways = ((CLIENT6, VIP6, PORT), (CLIENT4, VIP4, PORT), (PROXY6, VIP6, PLAIN), (PROXY4, VIP4, PLAIN),
            (CLIENT6, VIP6, PLAIN), (CLIENT6, VIP6, DUAL))
    for data, (source, host, port) in itertools.product(everything, ways):
        with told.pair(data, source=source, host=host, port=port) as (client, server, seen):
            assert ends(seen) == (source, client.getsockname()[1], host, port)
            client.shutdown(socket.SHUT_WR)
            assert read_exactly(server, len(data)) == data and server.recv(1) == b""
    records = told.records(len(everything) * len(ways))
    assert not any("peer" in record for record in records)


def test_embedded_destination_is_the_connections_own(site, gateway):
    """A header may say where the client wanted to go; the server is the one that the connection names."""
    site.gateway.ip("route add local 2001:db8:64::/96 dev lo")
    with site.server.listen(SERVER4, EMBEDDED) as listener:
        listener.settimeout(10)
        daemon = gateway(config=f"""run-directory = "{site.dir}/run"
            workers = 1
            listener "site" {{
                bind = "[2001:db8:64::/96]:{EMBEDDED}"
                backend = embedded
                allow = "192.0.2.0/24"
                accept-proxy {{ from = "{PROXY6}" }}
            }}
        """)
        told = Told(site, daemon, listener)
        with told.pair(v2(FAR6, "2001:db8:64::c000:20b", 40000, 22), host=f"2001:db8:64::{SERVER4}",
                       port=EMBEDDED) as (_, _, seen):
            assert ends(seen) == (FAR6, 40000, "2001:db8:64::c000:20b", 22)
        assert told.records(1)[0]["backend"] == f"{SERVER4}:{EMBEDDED}"


def test_port_that_a_header_names_does_not_choose_the_servers_port(site, gateway):
    with site.server.listen(SERVER4, PORT) as listener:
        listener.settimeout(10)
        told = Told(site, gateway(config=whole(site, "10s").replace(f"{SERVER4}:{BACK}", f"{SERVER4}:*")), listener)
        with told.pair(v2(FAR6, FAR_VIP6, 40000, 22)) as (_, _, seen):
            assert ends(seen) == (FAR6, 40000, FAR_VIP6, 22)


def test_client_that_is_named_gets_its_server(site, gateway):
    """As maglev has it for a client that comes by itself: whichever proxy names it."""
    hosts = BACKENDS[:3]
    backends = " ".join(f'backend "{host}:{BACK}" {{}}' for host in hosts)
    gateway(config=whole(site, "10s").replace(f'backend "{SERVER4}:{BACK}" {{}}', f"balance = maglev {backends}"))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(site.server.listen(host, BACK)) for host in hosts]

        def served(header, source, host):
            with connect_from(site.client, source, host, PORT) as client:
                client.sendall(header)
                ready = select.select(servers, [], [], 10)[0]
                ready[0].accept()[0].close()
                return servers.index(ready[0])

        chosen = [served(v2(f"2001:db8:77::{n:x}", FAR_VIP6), PROXY6, VIP6) for n in range(30)]
        assert set(chosen) == {0, 1, 2}
        assert chosen == [served(v1(f"2001:db8:77::{n:x}", FAR_VIP6, 1), PROXY4, VIP4) for n in range(30)]


@contextlib.contextmanager
def limited(site, gateway, section):
    """The same with something more in the listener."""
    config = whole(site, "10s").replace('pool = "web"', f'pool = "web" {section}', 1)
    with site.server.listen(SERVER4, BACK) as listener:
        listener.settimeout(10)
        yield Told(site, gateway(config=config), listener)


def is_turned_away(told, header, **where):
    with told.connect(**where) as client:
        client.sendall(header)
        return ends_in_reset(client) == (True, 0)


def test_limits_are_those_of_the_client_that_is_named(site, gateway):
    """Not of the proxy, through which they all come; and a client has one place, by whatever way."""
    with limited(site, gateway, "connections { per-client = 1 }") as told, contextlib.ExitStack() as stack:
        for n in range(5):
            stack.enter_context(told.pair(v2(f"2001:db8:77:{n}::7", FAR_VIP6)))
        stack.enter_context(told.pair(v1(FAR4, FAR_VIP4)))
        for first in (v2("2001:db8:77:3::8", FAR_VIP6), v1("2001:db8:77:4::9", FAR_VIP6), v2(FAR4, FAR_VIP4),
                      v2(f"::ffff:{FAR4}", FAR_VIP6)):
            for source, host in ((PROXY6, VIP6), (PROXY4, VIP4)):
                assert is_turned_away(told, first, source=source, host=host)
        assert {(record["end"], record["by"]) for record in told.records(8)} == {("over-limit", "gateway")}


def test_lists_judge_the_client_that_is_named(site, gateway):
    """And not the proxy, unless its header names nobody."""
    lists = f'clients {{ deny = {{ "2001:db8:77::/48", "{FAR4}", "{PROXY6}" }} }}'
    with limited(site, gateway, lists) as told:
        for header in (v2(FAR6, FAR_VIP6), v1(FAR4, FAR_VIP4), v2(f"::ffff:{FAR4}", FAR_VIP6), v2(command=0x20)):
            assert is_turned_away(told, header)
        assert {record["end"] for record in told.records(4)} == {"denied"}
        with told.pair(v2("2001:db8:78::7", FAR_VIP6)) as (_, _, seen):
            assert seen.src == "2001:db8:78::7"


# ---- real proxies and servers ---------------------------------------------------------------------

HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""


def start_haproxy(site, option, address=PROXY6):
    """A proxy in the client's namespace, whose own clients come from there too."""
    site.haproxy(site.client, HAPROXY + f"""
listen up
    bind [{PROXY6}]:{UP}
    bind {PROXY4}:{UP}
    server gateway [{VIP6}]:{PORT} {option} source [{address}]:0 check inter 100ms
""", [UP])


def ask_by(site, source, host):
    """What nginx, the server, answers to a client of the proxy; and the client's port."""
    with connect_from(site.client, source, host, UP) as connection:
        return connection.getsockname()[1], parse(read_all(connection).decode())


@pytest.fixture
def behind_nginx(site, gateway):
    start_nginx(site)
    return gateway(config=whole(site, "3s").replace(f":{BACK}", f":{PASSED_ON}"))


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_nginx_behind(site, behind_nginx, option):
    """Its health checks, which name nobody, come in between."""
    start_haproxy(site, option)
    for source, host in ((CLIENT6, PROXY6), (CLIENT4, PROXY4)):
        for _ in range(5):
            port, seen = ask_by(site, source, host)
            assert (seen.addr, seen.port, seen.server_addr, seen.server_port) == (source, port, host, UP)

    def named():
        return [record["peer"].rpartition(":")[0] for record in access_records(behind_nginx)
                if record["client"].rpartition(":")[0].strip("[]") in (CLIENT6, CLIENT4)]
    wait_until(lambda: len(named()) == 10, "all access records")
    assert set(named()) == {f"[{PROXY6}]"}


def test_haproxy_that_is_not_trusted(site, behind_nginx):
    """From another address its header is payload, and it is the client itself."""
    site.client.ip("addr add 2001:db8:1::bad/64 dev eth0 nodad")
    start_haproxy(site, "send-proxy-v2", "2001:db8:1::bad")
    for _ in range(5):
        _, seen = ask_by(site, CLIENT6, PROXY6)
        assert (seen.addr, seen.server_addr) == ("2001:db8:1::bad", VIP6)


def test_nginx_in_front_haproxy_behind(site, gateway):
    gateway(config=whole(site, "3s"))
    site.nginx(site.client, f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{}}
stream {{
    server {{
        listen [{PROXY6}]:{UP};
        proxy_bind {PROXY6};
        proxy_protocol on;
        proxy_pass [{VIP6}]:{PORT};
    }}
}}
""", [UP])
    site.haproxy(site.server, HAPROXY + f"""
frontend told
    bind {SERVER4}:{BACK} accept-proxy
    mode http
    http-request return status 200 content-type text/plain lf-string "%ci %cp %[dst] %[dst_port]"
""", [BACK])
    for _ in range(5):
        with connect_from(site.client, CLIENT6, PROXY6, UP) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            body = read_all(client).partition(b"\r\n\r\n")[2].decode()
            assert body.split() == [CLIENT6, str(client.getsockname()[1]), PROXY6, str(UP)]


def test_two_gateways_in_a_row(site, gateway):
    """The second believes the first, whose clients come to a listener of their own on the same machine."""
    start_nginx(site)
    gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 1
        listener "first" {{ bind = {{ "[{GATEWAY6}]:{UP}", "{FRONT4}:{UP}" }} pool = "second" identity = %s }}
        pool "second" {{ source = "127.0.0.2" backend "127.0.0.1:{PORT}" {{}} }}
        listener "second" {{
            bind = "127.0.0.1:{PORT}"
            pool = "web"
            accept-proxy {{ from = "127.0.0.0/8" }}
        }}
        pool "web" {{ backend "{SERVER4}:{PASSED_ON}" {{}} }}
    """.replace("%s", "proxy-v1"))
    for source, host in ((CLIENT6, GATEWAY6), (CLIENT4, FRONT4)):
        port, seen = ask_by(site, source, host)
        assert (seen.addr, seen.port, seen.server_addr, seen.server_port) == (source, port, host, UP)


# ---- what else goes on while headers are awaited ----------------------------------------------------

def test_silent_proxies_hold_up_nobody(told):
    """Several hundred connections without a word, and one that goes on."""
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(told.connect())
        with told.pair(v2(FAR6, FAR_VIP6)) as (_, _, seen):
            assert seen.src == FAR6


def test_header_cut_into_two_segments_at_every_place(told):
    header = v2(FAR4, FAR_VIP4, tlvs=tlv(AUTHORITY, b"a.example"))
    for cut in range(1, len(header)):
        with told.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(header[:cut])
            assert unacknowledged_is_none(client)
            client.sendall(header[cut:] + struct.pack("!H", cut))
            with told.accept() as server:
                assert ends(read_header(server)) == (FAR4, 40000, FAR_VIP4, 443)
                assert read_exactly(server, 2) == struct.pack("!H", cut)
