"""UDP listeners: every datagram under its own client's header, every answer from where it was sent to."""

import ipaddress
import os
import random
import select
import signal
import socket
import struct

import pytest
from netsite import CLIENT4, CLIENT6, GATEWAY4, GATEWAY6, SERVER4, VIP4, VIP6, Site, wait_until
from wire import SIGNATURE, access_records

PORT = 5300
FRONT = 53
PREFIX6 = "2001:db8:81::/64"

NETWORK = f'network {{ interface = "front" address = {{ "{VIP6}/128", "{VIP4}" }} }}'
POOL = f'pool "udp" {{ backend "{SERVER4}:{PORT}" {{}} }}'


@pytest.fixture
def site():
    with Site(ipv4_client=True, bare=True) as made:
        yield made


@pytest.fixture
def start(site, gateway):
    def run(options="", bind=f'{{ "[{VIP6}]:{FRONT}", "{VIP4}:{FRONT}" }}', workers=2, extra="", **more):
        return gateway(config=f'run-directory = "{site.dir}/run"\nworkers = {workers}\ndrain = 2s\n{NETWORK}\n'
                              f'listener "udp" {{ protocol = udp bind = {bind} pool = "udp"\n{options} }}\n'
                              f'{POOL}\n{extra}\n', **more)
    return run


@pytest.fixture
def server(site):
    with bound(site.server, SERVER4, PORT) as made:
        yield made


def bound(namespace, host, port=0):
    made = namespace.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    made.bind((host, port))
    return made


def connected(namespace, host, port=FRONT, own=None, own_port=0):
    made = bound(namespace, own or (CLIENT6 if ":" in host else CLIENT4), own_port)
    made.connect((host, port))
    return made


def split(datagram):
    """((source, port), (destination, port), payload), decoded from section 2.2 of the specification."""
    assert datagram[:13] == SIGNATURE + b"\x21", datagram[:20]
    size = {0x12: 4, 0x22: 16}[datagram[13]]
    assert struct.unpack("!H", datagram[14:16])[0] == 2 * size + 4
    src, dst = datagram[16:16 + size], datagram[16 + size:16 + 2 * size]
    ports = struct.unpack("!HH", datagram[16 + 2 * size:20 + 2 * size])
    return ((str(ipaddress.ip_address(src)), ports[0]), (str(ipaddress.ip_address(dst)), ports[1]),
            datagram[20 + 2 * size:])


def receive(server):
    datagram, peer = server.recvfrom(65536)
    return *split(datagram), peer


def nothing_comes(*sockets):
    return not select.select(sockets, [], [], 0.3)[0]


def counters(daemon):
    """Of a gateway that has ended."""
    lines = [line.split() for line in daemon.errors().splitlines() if " counter " in f" {line} "]
    return {words[-2]: int(words[-1]) for words in lines}


@pytest.mark.parametrize("host", [VIP6, VIP4])
def test_every_datagram_has_its_header(site, start, server, host):
    daemon = start()
    with connected(site.client, host) as client:
        ours = client.getsockname()[:2]
        for payload in (b"one", b"", b"x" * 1200, b"last"):
            client.send(payload)
            src, dst, got, peer = receive(server)
            assert (src, dst, got) == (ours, (host, FRONT), payload)
            assert peer[0] == GATEWAY4
            server.sendto(b"answer to " + payload, peer)
            assert client.recv(65536) == b"answer to " + payload
    assert daemon.stop() == 0
    record, = access_records(daemon)
    assert (record["protocol"], record["datagrams_in"], record["datagrams_out"]) == ("udp", 4, 4)
    assert (record["bytes_in"], record["end"]) == (3 + 1200 + 4, "drained")
    seen = counters(daemon)
    assert (seen["datagrams_in"], seen["datagrams_out"], seen["headers"]) == (4, 4, 4)


def test_header_first_when_the_first_is_not_passed_on(site, start, server):
    """The header comes with the first datagram that the server gets, also within one run of them."""
    site.gateway.ip("link set back mtu 1312")
    start("identity = proxy-v2-first oversize = too-big", workers=1)
    segment = 1300  # fits neither with a header in front, nor into an IPv6 packet that has a right to arrive
    with connected(site.client, VIP6) as client:
        client.setsockopt(socket.IPPROTO_IPV6, 23, 4)  # IPV6_MTU_DISCOVER, to "interface": deaf to what it is told
        client.sendmsg([b"f" * 2 * segment + b"tail"],
                       [(socket.IPPROTO_UDP, 103, struct.pack("=H", segment))])  # UDP_SEGMENT
        src, dst, got, _ = receive(server)
        assert (src, dst, got) == (client.getsockname()[:2], (VIP6, FRONT), b"tail")
        client.send(b"next")
        assert server.recv(100) == b"next"


def test_header_first_and_none(site, start, server):
    start("identity = proxy-v2-first")
    with connected(site.client, VIP6) as client:
        client.send(b"a")
        assert receive(server)[2] == b"a"
        client.send(b"b")
        assert server.recv(100) == b"b"


def test_none_is_bare(site, start, server):
    start("identity = none")
    with connected(site.client, VIP6) as client:
        client.send(b"a")
        assert server.recv(100) == b"a"


def test_wildcard_and_prefix_answer_from_the_address_that_was_asked(site, start, server):
    start(bind=f'{{ "*:{FRONT}", "[{PREFIX6}]:{FRONT + 1}" }}')
    site.client.ip(f"route add {PREFIX6} via 2001:db8:1::1")
    hosts = [(VIP6, FRONT), (VIP4, FRONT), ("2001:db8:1::1", FRONT)] + [
        (f"2001:db8:81::{i:x}", FRONT + 1) for i in range(1, 60)]
    for host, port in hosts:
        with connected(site.client, host, port) as client:
            client.send(host.encode())
            src, dst, got, peer = receive(server)
            assert (src, dst, got) == (client.getsockname()[:2], (host, port), host.encode())
            server.sendto(b"back", peer)
            assert client.recv(100) == b"back"


def test_dscp_and_ecn_both_ways(site, start, server):
    start()
    server.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    for host, level, option, receive_option in (
            (VIP6, socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS),
            (VIP4, socket.IPPROTO_IP, socket.IP_TOS, socket.IP_RECVTOS)):
        with connected(site.client, host) as client:
            client.setsockopt(level, receive_option, 1)
            for value in (0xb8 | 2, 0x28 | 1, 0, 3):
                client.setsockopt(level, option, value)
                client.send(b"x")
                _, control, _, peer = server.recvmsg(200, 100)
                assert control[0][2][0] == value
                server.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value ^ 0x50)
                server.sendto(b"y", peer)
                control = client.recvmsg(200, 100)[1]
                assert control[0][2][0] == value ^ 0x50


def test_a_run_of_equal_datagrams(site, start, server):
    """Sent and received as one by kernels and gateway, and still one by one at the server."""
    start(workers=1)
    with connected(site.client, VIP6) as client:
        client.setsockopt(socket.IPPROTO_UDP, 103, 700)  # UDP_SEGMENT
        payload = b"".join(bytes([i]) * 700 for i in range(40)) + b"tail"
        client.send(payload)
        got = [receive(server) for _ in range(41)]
        assert [entry[2] for entry in got] == [bytes([i]) * 700 for i in range(40)] + [b"tail"]
        assert {entry[0] for entry in got} == {client.getsockname()[:2]}
        server.setsockopt(socket.IPPROTO_UDP, 103, 700)
        server.sendto(payload, got[0][3])
        assert [client.recv(2000) for _ in range(41)] == [entry[2] for entry in got]


# ---- sizes ----------------------------------------------------------------------------------------

def raw_icmp6(site):
    with site.client.entered():
        made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    made.settimeout(5)
    return made


def read_icmp6(raw, kind):
    while True:
        message = raw.recv(2000)
        if message[0] == kind:
            return message


def udp_sum(src, dst, datagram):
    data = src + dst + struct.pack("!II", len(datagram), 17) + datagram + b"\0" * (len(datagram) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def check_quote(message, client, host, payload):
    """The client's own packet, as long as the whole fits in 1280 bytes; its UDP checksum is right."""
    packet = message[8:]
    src, dst = (ipaddress.ip_address(text).packed for text in (CLIENT6, host))
    assert packet[0] >> 4 == 6 and packet[6] == 17
    assert struct.unpack("!H", packet[4:6])[0] == 8 + len(payload)
    assert (packet[8:24], packet[24:40]) == (src, dst)
    sport, dport, length, _ = struct.unpack("!4H", packet[40:48])
    assert (sport, dport, length) == (client.getsockname()[1], FRONT, 8 + len(payload))
    assert packet[48:] == payload[:1280 - 40 - 8 - 48]
    assert udp_sum(src, dst, packet[40:48] + payload) == 0xffff


@pytest.mark.parametrize("mtu", [1500, 1400, 1312])
def test_too_big_is_dropped_and_told(site, start, server, mtu):
    """The client hears the largest packet that fits; that one arrives, and one byte more does not."""
    site.gateway.ip(f"link set back mtu {mtu}")
    daemon = start("oversize = too-big")
    fits = mtu - 20 - 8 - 52
    with connected(site.client, VIP6) as client, raw_icmp6(site) as raw:
        client.send(b"f" * fits)
        assert receive(server)[2] == b"f" * fits
        if mtu < 1500:
            payload = bytes(i & 0xff for i in range(fits + 1))
            client.send(payload)
            message = read_icmp6(raw, 2)
            assert struct.unpack("!I", message[4:8])[0] == fits + 48
            check_quote(message, client, VIP6, payload)
            client.setsockopt(socket.IPPROTO_IPV6, 23, 2)  # IPV6_MTU_DISCOVER, to "do"
            with pytest.raises(OSError):
                client.send(payload)
                client.send(payload)
            assert nothing_comes(server)
    daemon.stop()
    assert counters(daemon).get("dropped_oversize", 0) == (mtu < 1500)


@pytest.mark.parametrize("options", ["", "oversize = too-big"])
def test_what_every_link_must_take_always_arrives(site, start, server, options):
    """1280 bytes of IPv6 do not fit behind a header into an MTU of 1280, and arrive in fragments."""
    site.gateway.ip("link set back mtu 1280")
    start(options)
    with connected(site.client, VIP6) as client:
        for size in (1199, 1200, 1201, 1231, 1232):
            client.send(b"q" * size)
            assert receive(server)[2] == b"q" * size


def test_fragments_carry_what_is_too_big(site, start, server):
    daemon = start()
    with connected(site.client, VIP6) as client:
        for size in (1419, 1420, 1421, 1452, 1453, 9000, 65507 - 52):
            client.send(b"q" * size)
            assert receive(server)[2] == b"q" * size
        client.send(b"q" * (65507 - 51))
        assert nothing_comes(server)
    daemon.stop()
    assert counters(daemon)["dropped_oversize"] == 1


def fragments_made(namespace):
    names, values = [line.split() for line in namespace.run(["cat", "/proc/net/snmp"]).stdout.splitlines()
                     if line.startswith("Ip:")]
    return int(values[names.index("FragCreates")])


@pytest.mark.parametrize("policy", ["fragment", "too-big"])
@pytest.mark.parametrize(("front", "back"), [(9000, 9000), (9000, 1500), (9000, 1280), (1500, 1500), (1500, 1280),
                                             (1280, 1280), (1280, 1500)])
def test_every_size_around_the_boundaries(site, start, server, front, back, policy):
    """Whole, in fragments, or not at all and told so: each size has just one right fate."""
    for namespace, link, mtu in ((site.client, "eth0", front), (site.gateway, "front", front),
                                 (site.gateway, "back", back), (site.server, "eth0", back)):
        namespace.ip(f"link set {link} mtu {mtu}")
    start(f"oversize = {policy}", workers=1)
    fits = back - 20 - 8 - 52
    largest = max(fits + 48, 1280)  # what the client may hear
    around = {0, 1, fits, front - 48, back - 28, 1280 - 48, 1500 - 48, 1500 - 80, 1280 - 80}
    sizes = sorted({size + step for size in around for step in range(-2, 3)} & set(range(front - 48 + 1)))
    with raw_icmp6(site) as raw:
        for size in sizes:
            # A new port each, since the client's kernel remembers for the socket what it was told.
            with connected(site.client, VIP6) as client:
                client.setsockopt(socket.IPPROTO_IPV6, 23, 3)  # IPV6_MTU_DISCOVER, to "probe"
                before = fragments_made(site.gateway)
                payload = random.randbytes(size)
                client.send(payload)
                if policy == "too-big" and size > fits and size + 48 > 1280:
                    message = read_icmp6(raw, 2)
                    assert struct.unpack("!I", message[4:8])[0] == largest
                    check_quote(message, client, VIP6, payload)
                    assert not select.select([server], [], [], 0)[0]
                    continue
                assert receive(server)[:3] == (client.getsockname()[:2], (VIP6, FRONT), payload)
                assert (fragments_made(site.gateway) > before) == (size > fits)


# ---- errors, sessions, limits ---------------------------------------------------------------------

def test_port_unreachable_is_passed_on(site, start):
    daemon = start()
    with connected(site.client, VIP6) as client, raw_icmp6(site) as raw:
        client.send(b"hello")
        message = read_icmp6(raw, 1)
        assert message[1] == 4
        check_quote(message, client, VIP6, b"hello")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
    wait_until(lambda: len(access_records(daemon)) == 1, "a record")
    assert access_records(daemon)[0]["end"] == "refused"


def test_session_expires_and_its_port_rests(site, start, server):
    """A late answer to an ended session reaches nobody."""
    daemon = start("timeouts { idle = 1s unanswered = 200ms }", workers=1)
    with connected(site.client, VIP6) as client:
        client.send(b"first")
        old = receive(server)[3]
        wait_until(lambda: len(access_records(daemon)) == 1, "the end of the session")
        assert access_records(daemon)[0]["end"] == "unanswered"
        others = [connected(site.client, VIP6) for _ in range(50)]
        ports = set()
        for other in others:
            other.send(b"x")
            ports.add(receive(server)[3])
        assert old not in ports and len(ports) == 50
        server.sendto(b"late", old)
        assert nothing_comes(client, *others)
        client.send(b"again")
        src, _, got, peer = receive(server)
        assert (src[1], got) == (client.getsockname()[1], b"again") and peer != old
        server.sendto(b"now", peer)
        assert client.recv(100) == b"now"
        for other in others:
            other.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_source_ports_run_out(site, start, server, workers):
    """Who finds no port free and rested gets nothing, and never an answer that is another's."""
    site.gateway.sysctl("net.ipv4.ip_local_port_range", "20000 20019")
    daemon = start("timeouts { idle = 1s }", workers=workers)
    clients = [connected(site.client, VIP6) for _ in range(40)]
    for client in clients:
        client.send(b"%d" % client.getsockname()[1])
    peers = {}
    while select.select([server], [], [], 0.5)[0]:
        src, _, payload, peer = receive(server)
        assert payload == b"%d" % src[1] and peer not in peers and 20000 <= peer[1] <= 20019
        peers[peer] = src[1]
    # A worker has its share of the ports; the clients may all have come to one.
    assert 20 // workers <= len(peers) <= 20
    for peer, port in peers.items():
        server.sendto(b"%d" % port, peer)
    served = set(peers.values())
    for client in clients:
        if client.getsockname()[1] in served:
            assert client.recv(100) == b"%d" % client.getsockname()[1]
    assert nothing_comes(*clients)
    wait_until(lambda: len([record for record in access_records(daemon) if record["end"] == "idle-timeout"])
               == len(peers), "the end of the sessions")
    for peer in peers:
        server.sendto(b"late", peer)
    waiting = [client for client in clients if client.getsockname()[1] not in served]
    again = set()

    def another_try():
        for client in waiting:
            client.send(b"%d" % client.getsockname()[1])
        while select.select([server], [], [], 0.05)[0]:
            src, _, payload, peer = receive(server)
            assert payload == b"%d" % src[1] and src[1] not in served
            again.add(src[1])
        return len(again) >= 20 // workers

    wait_until(another_try, "ports that have rested")
    assert nothing_comes(*clients)
    for client in clients:
        client.close()
    assert daemon.stop() == 0
    assert counters(daemon)["dropped_ports"] >= 20


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff or 0xffff


def forge(namespace, src, dst, payload=b"forged"):
    """A datagram that somebody else seems to have sent; the payload's length is even."""
    src, dst = ((socket.inet_pton(socket.AF_INET6, host), port) for host, port in (src, dst))
    size = 8 + len(payload)
    ends = src[0] + dst[0] + struct.pack("!II", size, socket.IPPROTO_UDP)
    header = struct.pack("!HHH", src[1], dst[1], size)
    packet = struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_UDP, 64) + src[0] + dst[0] + header
    packet += struct.pack("!H", checksum(ends + header + bytes(2) + payload)) + payload
    with namespace.entered(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (socket.inet_ntop(socket.AF_INET6, dst[0]), 0))


@pytest.mark.parametrize("bind", [f'"[{VIP6}]:{FRONT}"', f'"*:{FRONT}"'])
def test_forged_as_a_listener(site, start, server, bind):
    """The answer would come to us as a question, whose answer would come again, and so for ever."""
    daemon = start(bind=bind, workers=1)
    forged = [(VIP6, FRONT), ("::", 4000)] + [(GATEWAY6, FRONT)] * (bind[1] == "*")
    for src in forged:
        forge(site.client, src, (VIP6, FRONT))
    with connected(site.client, VIP6, own_port=FRONT) as client:  # others may have that port
        client.send(b"real")
        src, _, payload, _ = receive(server)
        assert (src, payload) == ((CLIENT6, FRONT), b"real")
    assert daemon.stop() == 0
    assert counters(daemon)["dropped_invalid"] == len(forged)
    assert "where a listener of this gateway is" in daemon.errors()


def test_forged_as_another_listener(site, start, server):
    daemon = start(workers=1, extra=f'listener "other" {{ protocol = udp bind = "[{GATEWAY6}]:4000" pool = "udp" }}')
    forge(site.client, (GATEWAY6, 4000), (VIP6, FRONT))
    forge(site.client, (GATEWAY6, 4001), (VIP6, FRONT))
    assert receive(server)[0] == (GATEWAY6, 4001)
    assert daemon.stop() == 0
    assert counters(daemon)["dropped_invalid"] == 1


def test_a_stranger_is_not_the_server(site, start, server):
    """What others send to a session's port does not reach the client."""
    start()
    with connected(site.client, VIP6) as client, bound(site.server, "192.0.2.11") as stranger:
        client.send(b"x")
        peer = receive(server)[3]
        stranger.sendto(b"forged", peer)
        with bound(site.server, SERVER4) as other_port:
            other_port.sendto(b"forged", peer)
        server.sendto(b"true", peer)
        assert client.recv(100) == b"true"
        assert nothing_comes(client)


@pytest.mark.parametrize("workers", [1, 2])
def test_limit_of_sessions_refuses(site, start, server, workers):
    daemon = start("sessions { max = 10 when-full = refuse }", workers=workers)
    clients = [connected(site.client, VIP6) for _ in range(14)]
    for client in clients:
        client.send(b"x")
    got = [receive(server) for _ in range(10)]
    assert nothing_comes(server)
    assert len({entry[0] for entry in got}) == 10
    for client in clients:
        client.close()
    daemon.stop()
    assert counters(daemon)["dropped_full"] == 4


def test_the_longest_idle_makes_room(site, start, server):
    """But not those who talk: they go last."""
    daemon = start("sessions { max = 4 }", workers=1)
    talker = connected(site.client, VIP6)
    for _ in range(2):
        talker.send(b"talk")
        peer = receive(server)[3]
        server.sendto(b"yes", peer)
        assert talker.recv(100) == b"yes"
    clients = [connected(site.client, VIP6) for _ in range(20)]
    for client in clients:
        client.send(b"x")
        receive(server)
    talker.send(b"talk")
    assert receive(server)[3] == peer
    wait_until(lambda: len(access_records(daemon)) == 17, "17 records")
    assert {record["end"] for record in access_records(daemon)} == {"evicted"}
    for client in (talker, *clients):
        client.close()


@pytest.mark.parametrize(("option", "counter"), [("per-client = 5", "dropped_client_full"),
                                                 ("rate-per-client = 5", "dropped_client_rate"),
                                                 ("rate = 5", "dropped_rate")])
def test_a_client_is_its_64(site, start, server, option, counter):
    """Twelve addresses of one /64 share the limit, over all workers; another /64 has its own."""
    site.client.ip("addr add 2001:db8:9::1/128 dev eth0 nodad",
                   *(f"addr add 2001:db8:1::1:{i:x}/128 dev eth0 nodad" for i in range(12)))
    site.gateway.ip(f"route add 2001:db8:9::1/128 via {CLIENT6}")
    daemon = start(f"sessions {{ {option} }}")
    clients = [connected(site.client, VIP6, own=f"2001:db8:1::1:{i:x}") for i in range(12)]
    for client in clients:
        client.send(b"x")
    got = 0
    while select.select([server], [], [], 0.3)[0]:
        receive(server)
        got += 1
    assert 5 <= got <= 6  # one more may come in a fifth of a second
    with connected(site.client, VIP6, own="2001:db8:9::1") as other:
        other.send(b"other")
        if counter != "dropped_rate":
            assert receive(server)[2] == b"other"
    for client in clients:
        client.close()
    daemon.stop()
    assert counters(daemon)[counter] >= 6


def test_one_port_for_tcp_and_udp(site, start, server):
    start(extra=f'listener "tcp" {{ bind = "[{VIP6}]:{FRONT}" pool = "udp" }}')
    with site.server.listen(SERVER4, PORT) as listener, site.client.connect(VIP6, FRONT), \
            connected(site.client, VIP6) as client:
        listener.settimeout(5)
        listener.accept()[0].close()
        client.send(b"x")
        assert receive(server)[2] == b"x"


def test_prefix_refuses_when_the_gateway_is_gone(site, start, server):
    """Killed, it leaves its packet filter behind, which tells the clients."""
    bind = f'"[{PREFIX6}]:{FRONT}"'
    daemon = start(bind=bind, extra="")
    site.client.ip(f"route add {PREFIX6} via 2001:db8:1::1")
    with connected(site.client, "2001:db8:81::7") as client:
        client.send(b"x")
        receive(server)
        pids = daemon.pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not daemon.alive() and all(has_ended(pid) for pid in pids), "the end")
    with connected(site.client, "2001:db8:81::8") as client:
        client.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)


def has_ended(pid):
    """Its files are closed, too: that comes after its program is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_worker_dies_and_its_clients_go_on(site, start, server):
    """With a new session each; the old ports rest."""
    daemon = start(workers=1)
    with connected(site.client, VIP6) as client:
        client.send(b"one")
        old = receive(server)[3]
        worker = next(pid for pid in daemon.pids()[1:] if is_worker(pid))
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in daemon.pids() and "all 1 workers are up again" in daemon.errors(),
                   "its successor")
        client.send(b"two")
        src, _, got, peer = receive(server)
        assert (src[1], got) == (client.getsockname()[1], b"two") and peer != old
        server.sendto(b"late", old)
        server.sendto(b"right", peer)
        assert client.recv(100) == b"right"


def is_worker(pid):
    return any(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("anon_inode:[eventpoll]")
               for fd in os.listdir(f"/proc/{pid}/fd"))
