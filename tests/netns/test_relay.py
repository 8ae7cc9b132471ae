"""The relay over real sockets: who the server is told, and that bytes, ends and resets arrive as sent."""

import os
import select
import socket
import time

import pytest
from netsite import CLIENT6, GATEWAY4, SERVER4, VIP6, wait_until
from wire import (Pair, access_records, background, blocks, ends_in_reset, is_reset, read_exactly, read_header,
                  receive_stream, reset, send_stream)

PORT = 7000
MIB = 1 << 20

CONFIG = f"""
workers = 1
drain = 2s
listener "web" {{
    bind = "[{VIP6}]:{PORT}"
    pool = "web"
    timeouts {{ connect = 1s  dead-peer = 3s %s }}
}}
pool "web" {{ backend "{SERVER4}:{PORT}" {{}} }}
"""


@pytest.fixture
def relay(site, gateway):
    """Makes connections; a server that reads the header is at the other end of each."""
    listener = site.server.listen(SERVER4, PORT)
    daemon = gateway(config=CONFIG % "")
    pairs = []

    def connect(first=b""):
        client = site.client.connect(VIP6, PORT)
        if first:
            client.sendall(first)
        listener.settimeout(10)
        server, _ = listener.accept()
        server.settimeout(30)
        client.settimeout(30)
        pairs.append(Pair(client, server, read_header(server)))
        return pairs[-1]

    connect.daemon = daemon
    connect.listener = listener
    yield connect
    for pair in pairs:
        pair.close()
    listener.close()


def record_of(daemon):
    """The access record of the one flow that the test made."""
    return wait_until(lambda: access_records(daemon), "an access record")[0]


# ---- identity -------------------------------------------------------------------------------------

def test_server_is_told_before_the_client_says_anything(relay):
    pair = relay()
    assert (pair.header.family, pair.header.src, pair.header.dst) == ("INET6", CLIENT6, VIP6)
    assert pair.header.sport == pair.client.getsockname()[1]
    assert pair.header.dport == PORT
    pair.server.sendall(b"220 hello\r\n")
    assert read_exactly(pair.client, 11) == b"220 hello\r\n"
    assert pair.server.getpeername()[0] == GATEWAY4


def test_what_a_client_sends_first_never_is_an_identity(relay):
    forged = (b"PROXY TCP6 2001:db8:bad::1 2001:db8:bad::2 1 2\r\n",
              b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12))
    for first in forged:
        pair = relay(first)
        assert pair.header.src == CLIENT6
        assert read_exactly(pair.server, len(first)) == first


def test_wildcard_listener_tells_the_address_connected_to(site, gateway):
    with site.server.listen(SERVER4, PORT) as listener:
        gateway(args=["--listen", f"*:{PORT}", "--backend", f"{SERVER4}:{PORT}", "--workers", "1"])
        for address in (VIP6, "2001:db8:1::1"):
            with site.client.connect(address, PORT) as client:
                server, _ = listener.accept()
                with server:
                    header = read_header(server)
                    assert (header.dst, header.sport) == (address, client.getsockname()[1])
        with site.gateway.connect(GATEWAY4, PORT):
            server, _ = listener.accept()
            with server:
                header = read_header(server)
                assert (header.family, header.src, header.dst) == ("INET", GATEWAY4, GATEWAY4)


def test_mapped_peer_of_a_dual_stack_socket_is_inet(site, gateway):
    with site.server.listen(SERVER4, PORT) as listener:
        gateway(config=(CONFIG % "").replace(f"[{VIP6}]", "[::]").replace(
            "pool = ", "v6only = no  pool = "))
        with site.gateway.connect(GATEWAY4, PORT):
            server, _ = listener.accept()
            with server:
                header = read_header(server)
                assert (header.family, header.src, header.dst) == ("INET", GATEWAY4, GATEWAY4)


def test_version_1_and_none(site, gateway):
    with site.server.listen(SERVER4, PORT) as listener:
        for identity in ("proxy-v1", "none"):
            daemon = gateway(args=["--listen", f"[{VIP6}]:{PORT}", "--backend", f"{SERVER4}:{PORT}",
                                   "--identity", identity, "--workers", "1"])
            with site.client.connect(VIP6, PORT) as client:
                client.sendall(b"payload")
                server, _ = listener.accept()
                with server:
                    sport = client.getsockname()[1]
                    line = f"PROXY TCP6 {CLIENT6} {VIP6} {sport} {PORT}\r\n".encode()
                    expected = (line if identity == "proxy-v1" else b"") + b"payload"
                    assert read_exactly(server, len(expected)) == expected
            assert daemon.stop() == 0


def test_source_addresses_take_turns(site, gateway):
    site.gateway.ip("addr add 192.0.2.2/24 dev back", "addr add 192.0.2.3/24 dev back")
    with site.server.listen(SERVER4, PORT) as listener:
        gateway(config=(CONFIG % "").replace(
            'pool "web" {', 'pool "web" { source = { "192.0.2.2", "192.0.2.3" }'))
        seen = []
        for _ in range(4):
            with site.client.connect(VIP6, PORT):
                server, peer = listener.accept()
                server.close()
                seen.append(peer[0])
        assert sorted(seen) == ["192.0.2.2", "192.0.2.2", "192.0.2.3", "192.0.2.3"]


def test_source_ports_run_out(site, gateway):
    """Two addresses of ten ports each make twenty connections; the next one is reset, and the log says why."""
    site.gateway.ip("addr add 192.0.2.2/24 dev back", "addr add 192.0.2.3/24 dev back")
    site.gateway.sysctl("net.ipv4.ip_local_port_range", "20000 20009")
    with site.server.listen(SERVER4, PORT) as listener:
        daemon = gateway(config=(CONFIG % "").replace(
            'pool "web" {', 'pool "web" { source = { "192.0.2.2", "192.0.2.3" }'))
        clients, servers = [], []
        for _ in range(20):
            clients.append(site.client.connect(VIP6, PORT))
            servers.append(listener.accept()[0])
            assert read_header(servers[-1]).src == CLIENT6
        assert is_reset(site.client, VIP6, PORT)
        assert record_of(daemon)["end"] == "no-source-port"
        assert "no-source-port" in daemon.errors()
        for connection in clients + servers:
            connection.close()


# ---- bytes ----------------------------------------------------------------------------------------

def test_one_gibibyte_each_way_at_once(relay):
    pair = relay()
    with background(receive_stream, pair.server) as at_server, \
            background(receive_stream, pair.client) as at_client, \
            background(lambda: (send_stream(pair.server, "down", 1024 * MIB),
                                pair.server.shutdown(socket.SHUT_WR))[0]) as down:
        up = send_stream(pair.client, "up", 1024 * MIB)
        pair.client.shutdown(socket.SHUT_WR)
        assert at_server() == (up, 1024 * MIB)
        assert at_client() == (down(), 1024 * MIB)
    record = record_of(relay.daemon)
    assert (record["end"], record["bytes_in"], record["bytes_out"]) == ("closed", 1 << 30, 1 << 30)


def test_half_closed_with_100_mb_still_to_come(relay):
    pair = relay(b"request")
    pair.client.shutdown(socket.SHUT_WR)
    assert read_exactly(pair.server, 7) == b"request"
    assert pair.server.recv(1) == b""
    with background(receive_stream, pair.client) as at_client:
        down = send_stream(pair.server, "down", 100 * MIB)
        pair.server.close()
        assert at_client() == (down, 100 * MIB)
    assert record_of(relay.daemon)["by"] == "client"


def test_reader_that_stops_longer_than_the_dead_peer_limit(relay):
    """Its window is shut for 10 s with dead-peer = 3s: it is slow, and not dead. Nothing is lost."""
    pair = relay()
    with background(lambda: (send_stream(pair.server, "down", 200 * MIB), pair.server.close())[0]) as down:
        start = time.monotonic()
        read_exactly(pair.client, MIB)
        select.select([], [], [], 10)
        assert time.monotonic() - start > 10
        rest = receive_stream(pair.client)[1]
        down()
    assert rest == 199 * MIB
    pair.client.close()
    assert record_of(relay.daemon)["end"] == "closed"


def test_what_a_stopped_reader_holds_up_is_bounded(relay):
    pair = relay()
    worker = max(relay.daemon.pids())
    before = anonymous_bytes(worker)
    pair.server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        for part in blocks("down", 512 * MIB):
            pair.server.sendall(part)
    assert anonymous_bytes(worker) - before <= 128 * 1024


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Anonymous:"))


def test_one_byte_writes(relay):
    pair = relay()
    pair.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = os.urandom(20000)
    with background(read_exactly, pair.server, len(data)) as at_server:
        for i in range(len(data)):
            pair.client.send(data[i:i + 1])
        assert at_server() == data


def test_ping_pong(relay):
    pair = relay()
    for i in range(5000):
        message = b"%d" % i
        pair.client.sendall(message)
        assert read_exactly(pair.server, len(message)) == message
        pair.server.sendall(message * 3)
        assert read_exactly(pair.client, 3 * len(message)) == message * 3


def test_urgent_byte_stays_in_its_place(relay):
    pair = relay()
    for _ in range(50):
        pair.client.sendall(b"abc")
        pair.client.send(b"U", socket.MSG_OOB)
        pair.client.sendall(b"def")
        assert read_exactly(pair.server, 7) == b"abcUdef"


# ---- ends -----------------------------------------------------------------------------------------

def test_client_resets_in_mid_upload(relay):
    pair = relay()
    send_stream(pair.client, "up", MIB)
    reset(pair.client)
    was_reset, count = ends_in_reset(pair.server)
    assert was_reset and count <= MIB
    record = record_of(relay.daemon)
    assert (record["end"], record["by"]) == ("reset", "client")


def test_server_resets_in_mid_download(relay):
    pair = relay()
    send_stream(pair.server, "down", MIB)
    reset(pair.server)
    was_reset, count = ends_in_reset(pair.client)
    assert was_reset and count <= MIB
    record = record_of(relay.daemon)
    assert (record["end"], record["by"]) == ("reset", "backend")


def test_answer_before_a_reset_is_not_lost(relay):
    """A server that answers and closes with unread input resets; its answer has left it before."""
    for _ in range(20):
        pair = relay()
        pair.client.sendall(b"x" * 1000)
        wait_until(lambda: select.select([pair.server], [], [], 0)[0], "input at the server")
        pair.server.sendall(b"y" * 50000)
        wait_until(lambda: unacknowledged(pair.server) == 0, "the answer to have left the server")
        pair.server.close()
        was_reset, count = ends_in_reset(pair.client)
        assert (was_reset, count) == (True, 50000)


def unacknowledged(connection):
    import array
    import fcntl
    count = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), 0x5411, count)  # SIOCOUTQ
    return count[0]


def test_idle_clients_reset_reaches_the_server_at_once(relay):
    pair = relay()
    reset(pair.client)
    pair.server.settimeout(1)
    assert ends_in_reset(pair.server) == (True, 0)


def test_refused(site, gateway):
    daemon = gateway(config=CONFIG % "")
    assert is_reset(site.client, VIP6, PORT)
    record = record_of(daemon)
    assert (record["end"], record["by"], record["connect_ms"]) == ("refused", "backend", None)
    assert record["backend"] == f"{SERVER4}:{PORT}"
    assert "refused" in daemon.errors() and CLIENT6 in daemon.errors()


def test_link_local_client_whose_backend_refuses(site, gateway):
    """Its address has a scope, which must be logged without a call that a worker may not make."""
    daemon = gateway(args=["--listen", f"*:{PORT}", "--backend", f"{SERVER4}:{PORT}", "--workers", "1"])
    shown = site.gateway.run(["ip", "-6", "-o", "addr", "show", "dev", "front", "scope", "link"]).stdout
    address = shown.split()[3].partition("/")[0]
    with site.client.entered():
        scope = socket.if_nametoindex("eth0")
    for count in (1, 2):
        with site.client.socket() as client:
            client.settimeout(5)
            try:
                client.connect((address, PORT, 0, scope))
                assert ends_in_reset(client)[0]
            except ConnectionResetError:
                pass
        wait_until(lambda count=count: len(access_records(daemon)) == count, "the record")
    assert access_records(daemon)[0]["client"].startswith("[fe80::")
    assert "killed" not in daemon.errors()


def test_silent_backend(site, gateway):
    daemon = gateway(config=CONFIG % "")
    site.server.ip(f"route add blackhole {GATEWAY4}/32")
    with site.client.connect(VIP6, PORT) as client:
        start = time.monotonic()
        assert ends_in_reset(client)[0]
        assert 0.9 < time.monotonic() - start < 5
    record = record_of(daemon)
    assert (record["end"], record["by"]) == ("connect-timeout", "gateway")
    assert "connect-timeout" in daemon.errors()


def test_client_that_leaves_while_connecting(site, gateway):
    daemon = gateway(config=CONFIG % "")
    site.server.ip(f"route add blackhole {GATEWAY4}/32")
    reset(site.client.connect(VIP6, PORT))
    record = record_of(daemon)
    assert (record["end"], record["by"], record["connect_ms"]) == ("reset", "client", None)


@pytest.mark.parametrize("dead_peer", ["3s", "1m"])
@pytest.mark.parametrize("half_closed", [False, True])
def test_idle_and_half_closed_timeouts(site, gateway, half_closed, dead_peer):
    """Neither may look like an orderly end to the side that had not closed; no other limit delays them."""
    with site.server.listen(SERVER4, PORT) as listener:
        limit = "half-closed = 1s" if half_closed else "idle = 1s"
        daemon = gateway(config=(CONFIG % limit).replace("connect = 1s  dead-peer = 3s",
                                                         f"dead-peer = {dead_peer}"))
        with site.client.connect(VIP6, PORT) as client:
            server, _ = listener.accept()
            with server:
                read_header(server)
                if half_closed:
                    server.shutdown(socket.SHUT_WR)
                    assert client.recv(1) == b""
                assert ends_in_reset(server)[0]
                if not half_closed:
                    assert ends_in_reset(client)[0]
        record = record_of(daemon)
        assert record["end"] == ("half-closed-timeout" if half_closed else "idle-timeout")
        assert record["by"] == "gateway"
        assert 1000 <= record["duration_ms"] < 3000


@pytest.mark.parametrize("with_data", [False, True])
def test_dead_peer(site, relay, with_data):
    """The client vanishes without a word; with dead-peer = 3s the server must hear of it soon."""
    pair = relay()
    site.client.ip("link set eth0 down")
    if with_data:
        pair.server.sendall(b"are you there?")
    start = time.monotonic()
    assert ends_in_reset(pair.server)[0]
    assert time.monotonic() - start < 9
    record = record_of(relay.daemon)
    assert (record["end"], record["by"]) == ("dead-peer", "client")


def test_access_record(relay):
    pair = relay(b"x" * 10)
    read_exactly(pair.server, 10)
    source = "%s:%d" % pair.server.getpeername()
    client = "[%s]:%d" % pair.client.getsockname()[:2]
    pair.server.sendall(b"y" * 20)
    pair.server.close()
    assert receive_stream(pair.client)[1] == 20
    pair.client.close()
    record = record_of(relay.daemon)
    assert record["client"] == client
    assert record["source"] == source
    assert record["local"] == f"[{VIP6}]:{PORT}"
    assert record["backend"] == f"{SERVER4}:{PORT}"
    assert record["listener"] == "web"
    assert (record["identity"], record["protocol"]) == ("proxy-v2", "tcp")
    assert (record["bytes_in"], record["bytes_out"]) == (10, 20)
    assert (record["end"], record["by"]) == ("closed", "backend")
    assert 0 < record["connect_ms"] <= record["duration_ms"]
