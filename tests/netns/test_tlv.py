"""What stands in a header beside the addresses: checksum, unique id, fixed TLVs, and those of a proxy in front."""

import contextlib
import re
import signal
import socket
import struct

import pytest
from control import result
from headers import (ALPN, AUTHORITY, CRC32C, NETNS, NOOP, SSL, UDP6, UNIQUE_ID, check_crc, connect_from,
                     read_told, split_tlvs, tlv, v1, v2, with_crc)
from netsite import CLIENT4, CLIENT6, SERVER4, VIP4, VIP6, Site, build_dir, wait_until
from netsite.dns import ANSWER, NAME, Dnsdist, Pdns, Unbound
from netsite.told import PASSED_ON, parse, read_all, start_nginx
from wire import access_records, ends_in_reset, read_exactly

PROXY6 = "2001:db8:1::a1"
FAR6, FAR_VIP6, FAR4, FAR_VIP4 = "2001:db8:77::7", "2001:db8:99::80", "203.0.113.7", "203.0.113.99"
PORT, BACK, UP = 80, 7000, 9000
FROM = f'accept-proxy {{ from = "{PROXY6}" }}'
OURS = re.compile(rb"[0-9a-f]{32}")
AUTH, SSL_TLV, VENDOR = tlv(AUTHORITY, b"www.example.org"), tlv(SSL, b"\x01" + bytes(4)), tlv(0xEA, b"\x01vpce-1")


@pytest.fixture
def site():
    with Site(ipv4_client=True) as made:
        made.client.ip(f"addr add {PROXY6}/64 dev eth0 nodad")
        yield made


@pytest.fixture
def start(site, gateway):
    def run(listener, pool="", port=BACK, workers=1, extra=""):
        return gateway(config=f"""run-directory = "{site.dir}/run"
            workers = {workers}
            drain = 2s
            listener "l" {{ bind = {{ "[{VIP6}]:{PORT}", "{VIP4}:{PORT}" }} pool = "p"
            {listener} }}
            pool "p" {{ {pool} backend "{SERVER4}:{port}" {{}} }}
            {extra}
        """)
    return run


@pytest.fixture
def server(site):
    with site.server.listen(SERVER4, BACK) as made:
        made.settimeout(10)
        yield made


@contextlib.contextmanager
def told(site, server, first=b"", source=PROXY6, host=VIP6):
    """What the server is told of a client that begins so; that the rest is payload is checked here."""
    with connect_from(site.client, source, host, PORT) as client:
        client.sendall(first + b"payload")
        connection, _ = server.accept()
        with connection:
            connection.settimeout(10)
            seen = read_told(connection)
            rest = first[:0] if source == PROXY6 else first
            assert read_exactly(connection, len(rest) + 7) == rest + b"payload"
            yield seen


def tlvs_of(site, server, *args, **where):
    with told(site, server, *args, **where) as seen:
        return seen.tlvs


def records(daemon, count):
    return wait_until(lambda: len(access_records(daemon)) == count and access_records(daemon), f"{count} records")


def ends_of(header):
    return header.src, header.sport, header.dst, header.dport


# ---- our own --------------------------------------------------------------------------------------

def test_checksum_unique_id_and_fixed_ones(site, start, server):
    daemon = start('tlv { crc32c = yes unique-id = yes custom 0xE0 { value = "site-1" } '
                   'custom "0xF7" { value = "%00%ff" } }')
    ids = []
    for source, host, length in ((CLIENT6, VIP6, 52), (CLIENT4, VIP4, 28), (CLIENT6, VIP6, 52)):
        with told(site, server, source=source, host=host) as seen:
            assert seen.src == source and seen.dst == host
            assert [kind for kind, _ in seen.tlvs] == [0xE0, 0xF7, UNIQUE_ID, CRC32C]
            assert [seen.tlvs[0][1], seen.tlvs[1][1]] == [b"site-1", b"\x00\xff"]
            assert OURS.fullmatch(seen.tlvs[2][1])
            check_crc(seen.raw)
            assert len(seen.raw) == length + 9 + 5 + 35 + 7
            ids.append(seen.tlvs[2][1].decode())
    assert len(set(ids)) == 3
    assert [record["unique_id"] for record in records(daemon, 3)] == ids


def test_checksum_alone(site, start, server):
    daemon = start("tlv { crc32c = yes }")
    with told(site, server, source=CLIENT6) as seen:
        check_crc(seen.raw)
        assert len(seen.raw) == 59
    assert "unique_id" not in records(daemon, 1)[0]


def test_unique_over_workers_and_restarts(site, start, server):
    seen = set()
    for run in range(2):
        daemon = start("tlv { unique-id = yes }", workers=2)
        for _ in range(100):
            (kind, value), = tlvs_of(site, server, source=CLIENT6)
            assert kind == UNIQUE_ID
            seen.add(value)
        assert {record["worker"] for record in records(daemon, 100)} == {0, 1}
        assert daemon.stop() == 0
        assert len(seen) == 100 * (run + 1)
    assert len({value[:16] for value in seen}) == 4  # two processes, twice


def test_what_a_client_says_is_no_tlv(site, start, server):
    """Neither from others than proxies, nor behind a header of one."""
    start(f"{FROM} tlv {{ crc32c = yes pass = {{ authority, unique-id, 0xEA }} }}")
    forged = v2(FAR6, FAR_VIP6, tlvs=AUTH + tlv(UNIQUE_ID, b"forged") + VENDOR)
    with told(site, server, forged, source=CLIENT6) as seen:
        assert seen.src == CLIENT6 and [kind for kind, _ in seen.tlvs] == [CRC32C]
    with connect_from(site.client, PROXY6, VIP6, PORT) as client:
        client.sendall(v2(FAR6, FAR_VIP6) + forged)
        connection, _ = server.accept()
        with connection:
            seen = read_told(connection)
            assert seen.src == FAR6 and [kind for kind, _ in seen.tlvs] == [CRC32C]
            assert read_exactly(connection, len(forged)) == forged


# ---- passed on ------------------------------------------------------------------------------------

def test_passed_on_as_they_are_and_in_order(site, start, server):
    start(f"{FROM} tlv {{ pass = {{ ssl, authority, 0xEA, netns }} custom 0xE0 {{ value = x }} crc32c = yes }}")
    sent = tlv(ALPN, b"h2") + tlv(NOOP, bytes(5)) + SSL_TLV + tlv(0xE0, b"forged") + VENDOR + VENDOR + \
        tlv(NETNS, b"") + tlv(UNIQUE_ID, b"theirs") + AUTH
    with told(site, server, with_crc(v2(FAR6, FAR_VIP6, tlvs=sent))) as seen:
        assert ends_of(seen) == (FAR6, 40000, FAR_VIP6, 443)
        assert b"".join(tlv(*each) for each in seen.tlvs[:-1]) == \
            tlv(0xE0, b"x") + SSL_TLV + VENDOR + VENDOR + tlv(NETNS, b"") + AUTH
        check_crc(seen.raw)


def test_checksum_of_upstream_is_not_passed_on(site, start, server):
    start(f"{FROM} tlv {{ pass = authority }}")
    assert tlvs_of(site, server, with_crc(v2(FAR6, FAR_VIP6, tlvs=AUTH))) == split_tlvs(AUTH)


def test_headers_without_tlvs_to_pass_on(site, start, server):
    start(f"{FROM} tlv {{ pass = authority custom 0xE0 {{ value = x }} }}")
    for header in (v1(FAR6, FAR_VIP6), b"PROXY UNKNOWN\r\n", v2(), v2(FAR6, FAR_VIP6),
                   v2(FAR6, FAR_VIP6, tlvs=AUTH, command=0x20), v2(FAR6, FAR_VIP6, tlvs=VENDOR)):
        assert tlvs_of(site, server, header) == [(0xE0, b"x")]


def test_unique_id_of_upstream_wins(site, start, server):
    daemon = start(f"{FROM} tlv {{ unique-id = yes pass = unique-id }}")
    binary = bytes(range(128))
    for value in (b"theirs-1", binary):
        assert tlvs_of(site, server, v2(FAR6, FAR_VIP6, tlvs=tlv(UNIQUE_ID, value))) == [(UNIQUE_ID, value)]
    (kind, ours), = tlvs_of(site, server, v2(FAR6, FAR_VIP6))
    assert kind == UNIQUE_ID and OURS.fullmatch(ours)
    (_, other), = tlvs_of(site, server, source=CLIENT6)
    assert OURS.fullmatch(other) and other != ours
    assert [record["unique_id"] for record in records(daemon, 4)] == \
        ["theirs-1", "0x" + binary.hex(), ours.decode(), other.decode()]


def test_who_knows_the_named_client_and_its_id(site, start, server):
    start(f"{FROM} tlv {{ unique-id = yes pass = unique-id }}")
    for header, client, value in ((v2(FAR6, FAR_VIP6, tlvs=tlv(UNIQUE_ID, b"theirs")), f"[{FAR6}]:40000", "theirs"),
                                  (v1(FAR4, FAR_VIP4), f"{FAR4}:40000", None)):
        with connect_from(site.client, PROXY6, VIP6, PORT) as connection:
            connection.sendall(header)
            behind, peer = server.accept()
            with behind:
                (_, told_id), = read_told(behind).tlvs
                answer, = result(site, "who", source="{}:{}".format(*peer))["answers"]
                assert (answer["client"], answer["unique_id"]) == (client, value or told_id.decode())


def test_unique_id_of_upstream_that_is_not_passed_on(site, start, server):
    daemon = start(f"{FROM} tlv {{ unique-id = yes pass = authority }}")
    (_, ours), = tlvs_of(site, server, v2(FAR6, FAR_VIP6, tlvs=tlv(UNIQUE_ID, b"theirs")))
    assert OURS.fullmatch(ours)
    assert records(daemon, 1)[0]["unique_id"] == ours.decode()


def test_bad_checksum_from_upstream(site, start, server):
    daemon = start(f"{FROM} tlv {{ crc32c = yes pass = authority }}")
    with connect_from(site.client, PROXY6, VIP6, PORT) as client:
        client.sendall(with_crc(v2(FAR6, FAR_VIP6, tlvs=AUTH), spoil=1 << 31))
        assert ends_in_reset(client) == (True, 0)
    assert records(daemon, 1)[0]["end"] == "bad-header"


# ---- the budget -----------------------------------------------------------------------------------

def test_what_does_not_fit_is_left_out_counted_and_said(site, start, server):
    """52 + 7 of checksum leave 48 of 107."""
    daemon = start(f"{FROM} tlv {{ crc32c = yes pass = {{ authority, ssl, 0xEA }} }}", "header-max = 107")
    fits, exactly = tlv(AUTHORITY, b"a" * 20), tlv(AUTHORITY, b"a" * 45)
    for sent, expected in ((exactly, exactly), (tlv(AUTHORITY, b"a" * 46), b""),
                           (fits + tlv(0xEA, bytes(23)) + SSL_TLV, fits + SSL_TLV),
                           (tlv(0xEA, bytes(3000)) + SSL_TLV + AUTH, SSL_TLV + AUTH)):
        with told(site, server, v2(FAR6, FAR_VIP6, tlvs=sent)) as seen:
            assert b"".join(tlv(*each) for each in seen.tlvs[:-1]) == expected
            check_crc(seen.raw)
            assert len(seen.raw) <= 107
    # IPv4 addresses leave 24 bytes more.
    longer = tlv(AUTHORITY, b"a" * 69)
    with told(site, server, v2(FAR4, FAR_VIP4, tlvs=longer)) as seen:
        assert tlv(*seen.tlvs[0]) == longer and len(seen.raw) == 107
    wait_until(lambda: "header-max = 107" in daemon.errors(), "the line in the log")
    daemon.kill(signal.SIGUSR1)
    wait_until(lambda: "counter tlvs_left_out 3" in daemon.errors(), "the counter")


def test_unique_id_that_is_too_long_gives_way_to_ours(site, start, server):
    start(f"{FROM} tlv {{ unique-id = yes pass = unique-id }}", "header-max = 100")
    for length, passed in ((45, True), (46, False)):
        (_, value), = tlvs_of(site, server, v2(FAR6, FAR_VIP6, tlvs=tlv(UNIQUE_ID, b"i" * length)))
        assert value == b"i" * length if passed else OURS.fullmatch(value)


def test_longest_header(site, start, server):
    start(f"{FROM} tlv {{ crc32c = yes pass = 0xEA }}")
    value = bytes(4096 - 52 - 7 - 3)
    with told(site, server, v2(FAR6, FAR_VIP6, tlvs=tlv(0xEA, value))) as seen:
        assert seen.tlvs[0] == (0xEA, value) and len(seen.raw) == 4096
        check_crc(seen.raw)


@pytest.mark.parametrize("limit", [107, 232, 256, 512, 536, 1024, 1500])
def test_receivers_that_take_little(site, start, server, limit):
    """The whole header is in what one read of so many bytes gives, as these servers have it, and full of TLVs."""
    start(f"{FROM} tlv {{ unique-id = yes crc32c = yes pass = {{ authority, 0xEA, 0xEB }} }}", f"header-max = {limit}")
    room = limit - 52 - 35 - 7
    for sent in (tlv(0xEA, bytes(room - 3)), tlv(0xEA, bytes(room - 2)) + tlv(0xEB, bytes(room - 3)),
                 AUTH + tlv(0xEA, bytes(limit))):
        with connect_from(site.client, PROXY6, VIP6, PORT) as client:
            client.sendall(v2(FAR6, FAR_VIP6, tlvs=sent))
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                data = connection.recv(limit)
                assert len(data) == 16 + struct.unpack("!H", data[14:16])[0] <= limit
                assert sent.startswith(AUTH) or len(data) == limit
                check_crc(data)


# ---- real servers behind, real proxies in front ------------------------------------------------------

HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""
ECHO = "%ci|%cp|%[dst]|%[fc_pp_unique_id]|%[fc_pp_authority]"


def start_haproxy_server(site):
    site.haproxy(site.server, HAPROXY + f"""
frontend told
    bind {SERVER4}:{BACK} accept-proxy
    mode http
    http-request return status 200 content-type text/plain lf-string "{ECHO}"
""", [BACK], name="haproxy-server")


def ask_haproxy(site, first=b"", source=PROXY6, host=VIP6, port=PORT):
    with connect_from(site.client, source, host, port) as client:
        client.sendall(first + b"GET / HTTP/1.0\r\n\r\n")
        return read_all(client).partition(b"\r\n\r\n")[2].decode().split("|")


def test_haproxy_reads_unique_id_and_authority_and_checks_the_sum(site, start):
    start_haproxy_server(site)
    daemon = start(f"{FROM} tlv {{ crc32c = yes unique-id = yes pass = {{ authority, unique-id }} }}")
    header = v2(FAR6, FAR_VIP6, tlvs=AUTH)
    addr, port, dst, unique_id, authority = ask_haproxy(site, header)
    assert (addr, port, dst, authority) == (FAR6, "40000", FAR_VIP6, "www.example.org")
    assert OURS.fullmatch(unique_id.encode())
    assert ask_haproxy(site, v2(FAR6, FAR_VIP6, tlvs=tlv(UNIQUE_ID, b"theirs") + AUTH))[3:] == \
        ["theirs", "www.example.org"]
    addr, _, dst, other, authority = ask_haproxy(site, source=CLIENT6)
    assert (addr, dst, authority) == (CLIENT6, VIP6, "") and OURS.fullmatch(other.encode())
    assert [record["unique_id"] for record in records(daemon, 3)] == [unique_id, "theirs", other]
    # It does check: from the gateway's own address, but with a bit turned over.
    with site.gateway.connect(SERVER4, BACK) as direct:
        direct.sendall(with_crc(header, spoil=4) + b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert direct.recv(100) == b""


def test_haproxy_in_front_names_the_connection(site, start):
    site.haproxy(site.client, HAPROXY + f"""
listen up
    bind [{PROXY6}]:{UP}
    unique-id-format id-%[src_port]
    server gateway [{VIP6}]:{PORT} send-proxy-v2 proxy-v2-options crc32c,unique-id source [{PROXY6}]:0
""", [UP], name="haproxy-up")
    start_haproxy_server(site)
    daemon = start(f"{FROM} tlv {{ crc32c = yes pass = unique-id }}")
    addr, port, dst, unique_id, _ = ask_haproxy(site, source=CLIENT6, host=PROXY6, port=UP)
    assert (addr, dst, unique_id) == (CLIENT6, PROXY6, f"id-{port}")
    record = records(daemon, 1)[0]
    assert (record["client"], record["unique_id"]) == (f"[{CLIENT6}]:{port}", unique_id)
    assert record["peer"].startswith(f"[{PROXY6}]:")


def test_two_gateways_in_a_row_and_one_name(site, gateway, server):
    """The first names the connection, the second passes the name on and makes a checksum of its own."""
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 1
        listener "first" {{
            bind = {{ "[{VIP6}]:{PORT}", "{VIP4}:{PORT}" }}
            pool = "second"
            tlv {{ unique-id = yes crc32c = yes custom 0xE0 {{ value = first }} }}
        }}
        pool "second" {{ backend "127.0.0.1:{PORT}" {{}} }}
        listener "second" {{
            bind = "127.0.0.1:{PORT}"
            pool = "web"
            accept-proxy {{ from = "127.0.0.1" }}
            tlv {{ unique-id = yes crc32c = yes pass = {{ unique-id, 0xE0 }} custom 0xE1 {{ value = second }} }}
        }}
        pool "web" {{ backend "{SERVER4}:{BACK}" {{}} }}
    """)
    for source, host in ((CLIENT6, VIP6), (CLIENT4, VIP4)):
        with told(site, server, source=source, host=host) as seen:
            assert (seen.src, seen.dst, seen.dport) == (source, host, PORT)
            assert [kind for kind, _ in seen.tlvs] == [0xE1, UNIQUE_ID, 0xE0, CRC32C]
            assert (seen.tlvs[0][1], seen.tlvs[2][1]) == (b"second", b"first")
            check_crc(seen.raw)
            name = seen.tlvs[1][1].decode()
        wait_until(lambda name=name: [record["unique_id"] for record in access_records(daemon)].count(name) == 2,
                   "both gateways' records under one name")


def test_nginx_with_its_107_bytes(site, start):
    """For its streams, Debian 12's nginx takes no longer header, and one of that length."""
    start_nginx(site)
    start(f"{FROM} tlv {{ crc32c = yes unique-id = yes pass = {{ authority, 0xEA }} }}", "header-max = 107",
          port=PASSED_ON)
    for sent in (b"", tlv(0xEA, bytes(10)), tlv(0xEA, bytes(200)) + tlv(AUTHORITY, b"a.example"), tlv(0xEA, bytes(11))):
        with connect_from(site.client, PROXY6, VIP6, PORT) as client:
            client.sendall(v2(FAR6, FAR_VIP6, tlvs=sent))
            seen = parse(read_all(client).decode())
            assert (seen.addr, seen.port, seen.server_addr) == (FAR6, 40000, FAR_VIP6)


@pytest.mark.parametrize("kind", [Dnsdist, Pdns, Unbound])
def test_dns_servers_take_tlvs(site, gateway, kind):
    """By TCP and in every datagram: a checksum, a name, and one of our own."""
    kind(site)
    tlvs = "tlv { crc32c = yes unique-id = yes custom 0xE0 { value = site-1 } }"
    gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 1
        listener "u" {{ protocol = udp bind = "[{VIP6}]:53" pool = "dns" {tlvs} }}
        listener "t" {{ bind = "[{VIP6}]:53" pool = "dns" {tlvs} }}
        pool "dns" {{ header-max = 512 backend "{SERVER4}:53" {{}} }}
    """)
    for way in ("+notcp", "+tcp"):
        answer = site.client.run(["dig", f"@{VIP6}", "-b", CLIENT6, way, "+tries=1", "+time=10", "+short", NAME, "A"])
        assert answer.stdout == f"{ANSWER}\n"


# ---- datagrams --------------------------------------------------------------------------------------

def test_every_datagram_of_a_session_has_the_same(site, gateway):
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = 2
        drain = 0s
        listener "u" {{ protocol = udp bind = "[{VIP6}]:53" pool = "u"
            tlv {{ crc32c = yes unique-id = yes custom 0xE0 {{ value = site-1 }} }} }}
        pool "u" {{ backend "{SERVER4}:{BACK}" {{}} }}
    """)
    with site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((SERVER4, BACK))
        server.settimeout(10)
        ids = []
        for _ in range(5):
            with site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
                client.bind((CLIENT6, 0))
                client.connect((VIP6, 53))
                client.settimeout(10)
                headers = set()
                for payload in (b"one", b"", b"x" * 1100, b"last"):
                    client.send(payload)
                    datagram, peer = server.recvfrom(65536)
                    header = datagram[:16 + struct.unpack("!H", datagram[14:16])[0]]
                    assert header[13] == UDP6 and datagram[len(header):] == payload
                    headers.add(header)
                    server.sendto(b"answer", peer)
                    assert client.recv(100) == b"answer"
                header, = headers
                check_crc(header)
                kinds = dict(split_tlvs(header[52:]))
                assert list(kinds) == [0xE0, UNIQUE_ID, CRC32C]
                ids.append(kinds[UNIQUE_ID].decode())
    assert len(set(ids)) == 5
    assert daemon.stop() == 0
    assert sorted(record["unique_id"] for record in access_records(daemon)) == sorted(ids)


# ---- the configuration ------------------------------------------------------------------------------

def test_budget_is_checked_when_the_configuration_is_loaded(site):
    path = site.write("small.conf", f"""listener "l" {{
    bind = "[{VIP6}]:{PORT}"
    pool = "p"
    tlv {{ crc32c = yes unique-id = yes custom 0xE0 {{ value = "0123456789" }} }}
}}
pool "p" {{
    header-max = 106
    backend "{SERVER4}:{BACK}" {{}}
}}
""")
    result = site.gateway.run([build_dir() / "sixgated", "--check", path], check=False)
    assert result.returncode != 0
    assert (f'{path}:7: header-max "106": the header of listener "l" takes up to 107 bytes; write 107 if'
            in result.stderr)
