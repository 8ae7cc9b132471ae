"""Who is measured: how each is started, with one worker, and how a client reaches the servers through it."""

import subprocess
from dataclasses import dataclass
from typing import Callable, Optional

from netsite import BACKENDS, SERVER4, VIP6, build_dir
from netsite.names import NAME, NamesUnbound

WEB_PORT = 80
DIRECT_WEB_PORT = 8080
BULK_PORT = 9000
MAX_CONNECTIONS = 5000
DENIED = 50000
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

# Not splice-auto: its guess when to splice is wrong here, and it moves no more than without.
SPLICE = "option splice-request\n    option splice-response"


@dataclass
class Peer:
    name: str
    what: str
    port: int
    start: Optional[Callable]
    version: Callable
    prepare: Callable = lambda site: None  # once, before it is started

    @property
    def is_gateway(self):
        """Kernel routing has no process that could be measured."""
        return self.start is not None

    @property
    def web(self):
        return (VIP6, self.port) if self.is_gateway else (SERVER4, DIRECT_WEB_PORT)

    @property
    def bulk(self):
        return (VIP6, self.port + 1) if self.is_gateway else (SERVER4, BULK_PORT)


@dataclass(frozen=True)
class Features:
    """What is written into the parts of a configuration beside what every gateway needs."""
    host: str = SERVER4
    top: str = ""
    listener: str = ""
    pool: str = ""
    backend: str = ""
    bans: tuple = ()


# Everything that a site may switch on together. What is measured has one server behind each listener, so a second
# one stands by.
# Either trusted proxies, or clients that wait for a server: the two do not go together.
TRUSTED = 'accept-proxy { from = { "2001:db8:ffff::/48", "203.0.113.7" } }'
HELD = "accept = after-backend"
ALL_FEATURES = Features(
    host=NAME,
    top=f"""
resolve {{ servers = "{SERVER4}" }}
who {{ keep = 10m  entries = 1000000 }}
""",
    bans=("2001:db8:bad::/48", "2001:db8:1:bad::/64", "2001:db8:1::bad", "198.18.0.0/15"),
    listener="""
    clients { deny = "2001:db8:dead::/48"  deny-file = "%(dir)s/denied" }
    tlv { crc32c = yes  unique-id = yes  custom 0xE0 { value = bench } }
    connections {
        max = 100000  per-client = 100000  per-address = 100000
        rate = 1000000  rate-per-client = 1000000  rate-per-address = 1000000
    }""",
    pool=f"""
    header-max = 107
    balance = least-connections  slow-start = 10s  attempts = 3  max-connections = 100000
    check {{ type = tcp  interval = 1s }}
    backend "{BACKENDS[1]}:{WEB_PORT}" {{ backup = yes }}""",
    backend="max-connections = 100000",
)


def _sixgate(features=Features(), more="", build=None):
    def start(site, peer, wrapper):
        parts = "".join(f"""
listener "{name}" {{
    bind = "[{VIP6}]:{port}"  pool = "{name}"  identity = proxy-v2 {more}
    {features.listener % {"dir": site.dir}}
}}
pool "{name}" {{
    backend "{features.host}:{server_port}" {{ {features.backend} }} {features.pool}
}}
""" for name, port, server_port in (("web", peer.port, WEB_PORT), ("bulk", peer.port + 1, BULK_PORT)))
        run = site.dir / f"{peer.name}-run"
        daemon = site.sixgated_config(f"""
run-directory = "{run}"
workers = 1
access-log = "off"
{"" if build else f'state-directory = "{run}-state"'}
{features.top}{parts}""", name=peer.name, wrapper=wrapper, build=build)
        for prefix in features.bans:
            site.gateway.run([build_dir() / "sixgatectl", "--run-directory", run, "ban", prefix, "--for", "1d"])
        return daemon
    return start


def _prepare_features(site):
    NamesUnbound(site, [SERVER4])
    site.write("denied", "".join(f"2001:db8:{i >> 8:x}:{i & 0xff:x}00::/56\n" for i in range(0x1000, 0x1000 + DENIED)))


def _sixgate_version():
    return _first_line(build_dir() / "sixgated", "--version")


def sixgate_of(build):
    """Another build, to be measured beside this one."""
    return Peer("sixgate-before", f"{build}/sixgated", 8170, _sixgate(build=build),
                lambda: _first_line(build / "sixgated", "--version"))


def _haproxy(options="", global_options=""):
    def start(site, peer, wrapper):
        return site.haproxy(site.gateway, f"""
global
    nbthread 1
    maxconn {MAX_CONNECTIONS}
    {global_options}
defaults
    mode tcp
    {options}
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen web
    bind [{VIP6}]:{peer.port}
    server s {SERVER4}:{WEB_PORT} send-proxy-v2
listen bulk
    bind [{VIP6}]:{peer.port + 1}
    server s {SERVER4}:{BULK_PORT} send-proxy-v2
""", [peer.port, peer.port + 1], name=peer.name, wrapper=wrapper)
    return start


def _nginx(site, peer, wrapper):
    def server(port, backend):
        return f"""
    server {{
        listen [{VIP6}]:{port} backlog=4096;
        proxy_pass {SERVER4}:{backend};
        proxy_protocol on;
        proxy_half_close on;
    }}"""
    return site.nginx(site.gateway, f"""
load_module {STREAM_MODULE};
worker_processes 1;
events {{ worker_connections {2 * MAX_CONNECTIONS}; }}
stream {{{server(peer.port, WEB_PORT)}{server(peer.port + 1, BULK_PORT)}
}}
""", [peer.port, peer.port + 1], name=peer.name, wrapper=wrapper)


def _first_line(*argv):
    """Programs disagree on where the version is written and on the exit status."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().split("\n")[0]


def _haproxy_version():
    return _first_line("haproxy", "-v")


PEERS = {peer.name: peer for peer in (
    Peer("sixgate", "PROXY v2", 8100, _sixgate(), _sixgate_version),
    Peer("haproxy", "mode tcp, PROXY v2", 8110, _haproxy(), _haproxy_version),
    Peer("haproxy-splice", "mode tcp, splice-request, splice-response, PROXY v2", 8120, _haproxy(SPLICE),
         _haproxy_version),
    Peer("haproxy-splice-1m", "the same with tune.pipesize 1048576", 8140,
         _haproxy(SPLICE, "tune.pipesize 1048576"), _haproxy_version),
    Peer("nginx", "stream, PROXY v1 (it has no v2)", 8130, _nginx, lambda: _first_line("nginx", "-v")),
    Peer("sixgate-again", "the same, to see what chance makes of equals", 8150, _sixgate(), _sixgate_version),
    Peer("sixgate-all", "everything switched on", 8160, _sixgate(ALL_FEATURES, TRUSTED),
         _sixgate_version, _prepare_features),
    Peer("sixgate-held", "the same, clients wait for the server", 8180, _sixgate(ALL_FEATURES, HELD),
         _sixgate_version, _prepare_features),
    Peer("kernel", "IPv4 routing through the gateway, no proxy, no header: the limit", 0, None,
         lambda: _first_line("uname", "-sr")),
)}

FEATURE_PEERS = ["sixgate", "sixgate-again", "sixgate-all", "sixgate-held"]
DEFAULT_PEERS = [name for name in PEERS if name not in FEATURE_PEERS[1:]]
