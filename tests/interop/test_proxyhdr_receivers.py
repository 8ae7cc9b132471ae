# SPDX-License-Identifier: MIT
"""The headers of proxyhdr(1) before real servers, and those of real senders before proxyhdr(1).

Everything happens on 127.0.0.1, with ports that were free a moment ago, and in a directory that
goes away afterwards. SIXGATE_BUILD names the directory of the programs (default: build).
"""
import contextlib
import json
import os
import shutil
import socket
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, os.environ.get("SIXGATE_BUILD", "build"), "proxyhdr")
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
TIMEOUT = 10

V4 = ("192.0.2.1", 50000, "198.51.100.80", 443)
V6 = ("2001:db8::1", 50001, "2001:db8::80", 8443)
TLVS = ["--tlv", "0xE0=0102", "--tlv", "4=", "--tlv", "0x05=6964"]

for program in "nginx", "haproxy":
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed", allow_module_level=True)


def text(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def encode(version, ends, *options):
    args = [TOOL, "encode", "--version", str(version), *options]
    if ends:
        args += ["--src", text(*ends[:2]), "--dst", text(*ends[2:])]
    return subprocess.run(args, check=True, capture_output=True, timeout=TIMEOUT).stdout


def decode(data):
    run = subprocess.run([TOOL, "decode"], input=data, capture_output=True, timeout=TIMEOUT)
    assert run.returncode == 0, run.stdout
    return json.loads(run.stdout)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


@contextlib.contextmanager
def running(args, port):
    """Runs a server in the foreground until the block ends; begins when it accepts connections."""
    proc = subprocess.Popen(args, stdin=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                connect(port).close()
                break
            except ConnectionRefusedError:
                # A pause that a server which gives up ends early.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    pytest.fail(f"{args[0]} ended with {proc.wait(0.02)}")
        else:
            pytest.fail(f"{args[0]} does not listen")
        yield
    finally:
        proc.kill()
        proc.wait()


def ask(port, header):
    """Sends a header and a request in one piece; returns what follows the answer's head."""
    with connect(port) as sock:
        sock.sendall(header + b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = b""
        try:
            while chunk := sock.recv(4096):
                answer += chunk
        except ConnectionResetError:
            pass
        name = sock.getsockname()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (body.decode() if head.split(b" ")[1:2] == [b"200"] else None), name


NGINX = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
{head}
events {{ worker_connections 64; }}
"""

NGINX_HTTP = """
http {{
    access_log off;
    client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
    uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        location / {{
            return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
        }}
    }}
}}
"""

NGINX_STREAM = """
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{to}; proxy_protocol on; }} }}
"""

HAPROXY = """
global
    maxconn 50
defaults
    timeout connect 10s
    timeout client 10s
    timeout server 10s
"""

HAPROXY_HTTP = """
frontend receiver
    mode http
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""

HAPROXY_RELAY = """
frontend sender
    mode tcp
    bind 127.0.0.1:{port} {bind}
    unique-id-format id-%[src_port]
    default_backend to
backend to
    mode tcp
    server one 127.0.0.1:{to} {server}
"""


@contextlib.contextmanager
def nginx(path, config, **values):
    port = free_port()
    conf = path / "nginx.conf"
    head = f"load_module {STREAM_MODULE};" if "stream {" in config else ""
    conf.write_text((NGINX + config).format(dir=path, port=port, head=head, **values))
    with running(["nginx", "-c", str(conf), "-p", str(path), "-e", str(path / "early.log")], port):
        yield port


@contextlib.contextmanager
def haproxy(path, config, **values):
    port = free_port()
    conf = path / "haproxy.cfg"
    conf.write_text((HAPROXY + config).format(port=port, **values))
    with running(["haproxy", "-db", "-q", "-f", str(conf)], port):
        yield port


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def receiver(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    start = nginx(path, NGINX_HTTP) if request.param == "nginx" else haproxy(path, HAPROXY_HTTP)
    with start as port:
        yield request.param, port


@pytest.mark.parametrize("ends", [V4, V6], ids=["INET", "INET6"])
@pytest.mark.parametrize(
    "version,options",
    [(1, []), (2, []), (2, ["--crc32c"]), (2, TLVS), (2, TLVS + ["--crc32c"])],
    ids=["v1", "v2", "v2-crc32c", "v2-tlvs", "v2-tlvs-crc32c"],
)
def test_receiver_sees_the_client(receiver, ends, version, options):
    body, _ = ask(receiver[1], encode(version, ends, *options))
    assert body == " ".join(map(str, ends))


@pytest.mark.parametrize("options", [[], ["--crc32c"]], ids=["short", "crc32c"])
def test_receiver_takes_local(receiver, options):
    name, port = receiver
    body, (host, source) = ask(port, encode(2, None, "--local", *options))
    # nginx tells what the header said, which is nothing; HAProxy what it goes by.
    assert body.split() == ([] if name == "nginx" else [host, str(source), "127.0.0.1", str(port)])


def test_receiver_takes_unknown(receiver):
    body, _ = ask(receiver[1], encode(1, None, "--local"))
    assert body is not None


def test_receivers_refuse_a_broken_header(receiver):
    header = bytearray(encode(2, V6))
    header[12] = 0x31
    assert ask(receiver[1], bytes(header))[0] is None


def test_haproxy_checks_the_crc32c(tmp_path):
    with haproxy(tmp_path, HAPROXY_HTTP) as port:
        header = bytearray(encode(2, V6, "--crc32c"))
        header[20] ^= 1
        assert ask(port, bytes(header))[0] is None


@contextlib.contextmanager
def backend():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(TIMEOUT)
        yield sock, sock.getsockname()[1]


def relayed(port, server, data):
    """Sends data through a relay and closes; returns what came out of it, and the client's port.

    What came of the connection that only asked whether the relay listens is passed over.
    """
    with connect(port) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        while True:
            with server.accept()[0] as conn:
                conn.settimeout(TIMEOUT)
                out = b""
                with contextlib.suppress(ConnectionResetError):  # the end of one that only asked
                    while chunk := conn.recv(4096):
                        out += chunk
            if out.endswith(b"payload"):
                return out, client.getsockname()[1]


def check(out, version, src, sport, dst, dport):
    seen = decode(out)
    assert (seen["version"], seen["command"], seen["transport"]) == (version, "PROXY", "STREAM")
    assert (seen["src"], seen["sport"], seen["dst"], seen["dport"]) == (src, sport, dst, dport)
    assert out[seen["consumed"]:] == b"payload"
    return {tlv["type"]: tlv["hex"] for tlv in seen["tlvs"]}


SENDERS = {
    "v1": (1, "send-proxy", set()),
    "v2": (2, "send-proxy-v2", set()),
    "v2-tlvs": (2, "send-proxy-v2 proxy-v2-options crc32c,unique-id", {3, 5}),
}


@pytest.mark.parametrize("kind", SENDERS)
def test_haproxy_sends(tmp_path, kind):
    version, option, types = SENDERS[kind]
    with backend() as (server, to):
        with haproxy(tmp_path, HAPROXY_RELAY, bind="", to=to, server=option) as port:
            out, source = relayed(port, server, b"payload")
    tlvs = check(out, version, "127.0.0.1", source, "127.0.0.1", port)
    assert set(tlvs) == types
    if 5 in types:
        assert bytes.fromhex(tlvs[5]).decode() == f"id-{source}"


@pytest.mark.parametrize("ends", [V4, V6], ids=["INET", "INET6"])
@pytest.mark.parametrize("kind", SENDERS)
def test_haproxy_passes_on(tmp_path, kind, ends):
    version, option, types = SENDERS[kind]
    with backend() as (server, to):
        with haproxy(tmp_path, HAPROXY_RELAY, bind="accept-proxy", to=to, server=option) as port:
            out, _ = relayed(port, server, encode(2, ends, "--crc32c") + b"payload")
    assert set(check(out, version, *ends)) == types


@pytest.mark.skipif(not os.path.exists(STREAM_MODULE), reason="nginx has no stream module")
def test_nginx_sends(tmp_path):
    with backend() as (server, to):
        with nginx(tmp_path, NGINX_STREAM, to=to) as port:
            out, source = relayed(port, server, b"payload")
    check(out, 1, "127.0.0.1", source, "127.0.0.1", port)
