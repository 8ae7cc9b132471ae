"""Nothing that a client sends can become an identity: headers of every kind as its first bytes, real servers."""

import contextlib
import re
import socket
import struct

import pytest
from forged import FORGED, KINDS, OWN, RESET, WORDS
from headers import connect_from, v2
from netsite import CLIENT4, CLIENT6, FRONT4, SERVER4, VIP4, VIP6, Site, wait_until
from netsite.site import nginx_http_paths
from wire import SIGNATURE, read_header

NGINX, HAPROXY, RAW = 8000, 8001, 8002
REQUEST = b"GET /after HTTP/1.0\r\n\r\n"
# Who the server takes its client to be, in words that no client can write into the log.
SEEN = re.compile(r"^seen (\S+) (\S+) (\S+) (\S+)$", re.M)
UPSTREAM6, UPSTREAM4 = "2001:db8:1::a1", "198.51.100.20"
BELIEVES = f'accept-proxy {{ from = {{ "{UPSTREAM6}", "{UPSTREAM4}/32" }} timeout = 10s }}'
TRUE6, TRUE_VIP6 = "2001:db8:77::7", "2001:db8:99::80"
LISTENERS = {
    "proxy-v2": (f'bind = "[{VIP6}]:%d" identity = proxy-v2', VIP6),
    "proxy-v1": (f'bind = "[{VIP6}]:%d" identity = proxy-v1', VIP6),
    "transparent": ('bind = "*:%d" identity = transparent identity-ipv6 = proxy-v2', VIP6),
    "prefix": ('bind = "[2001:db8:81::/64]:%d"', "2001:db8:81::7"),
    "IPv4": ('bind = "203.0.113.80:%d"', VIP4),
    "accept-proxy": (f'bind = "[{VIP6}]:%d" {BELIEVES}', VIP6),
    "accept-proxy and proxy-v1": (f'bind = "[{VIP6}]:%d" identity = proxy-v1 {BELIEVES}', VIP6),
    "accept-proxy from IPv4": (f'bind = "203.0.113.80:%d" {BELIEVES}', VIP4),
    "accept-proxy of a prefix": (f'bind = "[2001:db8:81::/64]:%d" {BELIEVES}', "2001:db8:81::7"),
    "IPv4-mapped": ('bind = "[::]:%d" v6only = no', FRONT4),
}


@pytest.fixture(scope="module")
def module_site():
    with Site(ipv4_client=True) as made:
        made.client.ip("route add 2001:db8:81::/64 via 2001:db8:1::1", f"addr add {UPSTREAM6}/64 dev eth0 nodad",
                       f"addr add {UPSTREAM4}/24 dev eth0")
        made.nginx(made.server, f"""
events {{ worker_connections 1024; }}
http {{
    {nginx_http_paths()}
    log_format seen 'seen $proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $remote_addr';
    access_log access.log seen;
    server {{ listen {SERVER4}:{NGINX} proxy_protocol; location / {{ return 200 ok; }} }}
}}
""", [NGINX])
        made.haproxy(made.server, f"""
global
    log stdout format raw local0
defaults
    mode http
    log global
    timeout client 10s
    timeout http-request 10s
frontend seen
    bind {SERVER4}:{HAPROXY} accept-proxy
    log-format "seen %ci %cp %[dst] %[src]"
    http-request return status 200
""", [HAPROXY])
        yield made


def inet6(address):
    return socket.inet_pton(socket.AF_INET6, address)


def seen_by(site, server):
    path = site.dir / ("nginx/access.log" if server == NGINX else "haproxy.out")
    return SEEN.findall(path.read_text())


@pytest.fixture
def start(module_site):
    """The listener's options by name; ports of the front are the servers' own."""
    with contextlib.ExitStack() as stack:
        def run(options):
            parts = "".join(f'listener "l{port}" {{ {options % port} pool = "p{port}" }}\n'
                            f'pool "p{port}" {{ backend "{SERVER4}:{port}" {{}} }}\n'
                            for port in (NGINX, HAPROXY, RAW))
            daemon = module_site.sixgated_config(f'run-directory = "{module_site.dir}/run"\nworkers = 2\ndrain = 1s\n'
                                                 f'access-log = off\n{parts}')
            stack.callback(daemon.stop)
            return daemon
        yield run


def say(site, host, port, words, in_pieces=False, source=None):
    """Says them and waits for the end, whatever it is like; returns our port."""
    with connect_from(site.client, source or (CLIENT6 if ":" in host else CLIENT4), host, port) as client:
        own = client.getsockname()[1]
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            for piece in ([words[i:i + 1] for i in range(len(words))] if in_pieces else [words]):
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        return own


@pytest.mark.parametrize("name", LISTENERS)
def test_servers_are_told_the_truth(module_site, start, name):
    options, host = LISTENERS[name]
    client = CLIENT6 if ":" in host else CLIENT4
    daemon = start(options)
    for server in (NGINX, HAPROXY):
        before = len(seen_by(module_site, server))
        ports = [say(module_site, host, server, words + REQUEST, len(words) < 200 and in_pieces)
                 for words in WORDS for in_pieces in (False, True)]
        wait_until(lambda: len(seen_by(module_site, server)) >= before + len(ports), "all to be in the log")
        seen = seen_by(module_site, server)[before:]
        assert {addr for addr, *_ in seen} == {client}
        assert sorted(int(port) for _, port, *_ in seen) == sorted(ports)
        assert {at for *_, at, _ in seen} == {host}
        assert not FORGED & {word for line in seen for word in line}
    print(f"\n{name}: {len(WORDS)} kinds of header, at once and in pieces, to nginx and haproxy: all from {client}")
    assert daemon.stop() == 0


@pytest.mark.parametrize(("source", "host"), [(UPSTREAM6, VIP6), (UPSTREAM4, VIP4)])
def test_who_is_believed_is_believed_once(module_site, start, source, host):
    """From a trusted source just the first header counts, if it is a good one; without one there is no connection."""
    daemon = start(f'bind = "{f"[{host}]" if ":" in host else host}:%d" {BELIEVES}')
    for server in (NGINX, HAPROXY):
        before = len(seen_by(module_site, server))
        expected = []
        for words, verdict in KINDS.values():
            port = say(module_site, host, server, words + REQUEST, source=source)
            if verdict != RESET:
                expected.append((source, str(port)) if verdict == OWN else (verdict, "40000"))
        for words in WORDS:  # of a client that comes through the proxy
            say(module_site, host, server, v2(TRUE6, TRUE_VIP6, 7777) + words + REQUEST, source=source)
            expected.append((TRUE6, "7777"))
        wait_until(lambda: len(seen_by(module_site, server)) >= before + len(expected), "all to be in the log")
        assert sorted(line[:2] for line in seen_by(module_site, server)[before:]) == sorted(expected)
    assert daemon.stop() == 0


def test_bytes_stay_what_they_were(module_site, start):
    """They follow the header that is ours as they came."""
    daemon = start(LISTENERS["proxy-v2"][0])
    with module_site.server.listen(SERVER4, RAW) as listener:
        for words in WORDS:
            with module_site.client.connect(VIP6, RAW) as client:
                client.sendall(words)
                server = listener.accept()[0]
                with server:
                    header = read_header(server)
                    assert (header.src, header.sport) == client.getsockname()[:2]
                    client.shutdown(socket.SHUT_WR)
                    assert b"".join(iter(lambda: server.recv(65536), b"")) == words
    assert daemon.stop() == 0


def test_datagrams_stay_what_they_were(module_site, start):
    """Each behind its own client's header, what it begins with notwithstanding."""
    daemon = start(f'protocol = udp bind = "[{VIP6}]:%d"')
    with module_site.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
            module_site.client.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        server.settimeout(5)
        server.bind((SERVER4, RAW))
        client.bind((CLIENT6, 0))
        client.connect((VIP6, RAW))
        ours = SIGNATURE + b"\x21\x22\0\x24" + b"".join(map(inet6, (CLIENT6, VIP6))) + struct.pack(
            "!HH", client.getsockname()[1], RAW)
        for words in WORDS:
            words = words[:60000]
            client.send(words)
            assert server.recv(65536) == ours + words
    assert daemon.stop() == 0
