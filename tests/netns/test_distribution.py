"""How clients spread over servers: the figures of gateways as they run, nginx behind them (pytest -s prints)."""

from collections import Counter

import pytest
from netsite import CLIENT6, VIP6, Site, build_dir, wait_until
from netsite.site import nginx_http_paths
from netsite.web import ANSWER, Clients, outcomes

PORT = 8000
TEN = [f"192.0.2.{number}" for number in range(101, 111)]
SOURCES = "2001:db8:c::/48"
SANITIZED = "asan" in str(build_dir())
CLIENTS = 20_000 if SANITIZED else 100_000
FEWER = CLIENTS // 5
WEIGHTS = (40, 20, 10, 0)


@pytest.fixture
def site():
    """Any address of SOURCES may be a client's; one nginx is ten servers."""
    with Site() as made:
        made.server.ip(*(f"addr add {host}/24 dev eth0" for host in TEN))
        made.client.ip(f"route add local {SOURCES} dev lo")
        made.client.sysctl("net.ipv6.ip_nonlocal_bind", 1)
        made.gateway.ip(f"route add {SOURCES} via {CLIENT6}")
        servers = "".join(f'server {{ listen {host}:{PORT} proxy_protocol backlog=4096;'
                          f' location / {{ return 200 "{ANSWER}"; }} }}\n' for host in TEN)
        made.nginx(made.server, f"""
worker_processes 1;
events {{ worker_connections 16384; }}
http {{ {nginx_http_paths()} access_log off; {servers} }}
""", [PORT])
        yield made


@pytest.fixture
def start(site, gateway):
    def run(hosts, front, options, workers=1, weights=()):
        weights = weights or [100] * len(hosts)
        servers = " ".join(f'backend "{host}:{PORT}" {{ weight = {weight} }}' for host, weight in zip(hosts, weights))
        return gateway(config=f"""run-directory = "{site.dir}/run{front}"
            workers = {workers}
            access-log = off
            drain = 1s
            listener "l" {{ bind = "[{VIP6}]:{front}" pool = "p" }}
            pool "p" {{ {servers} {options} }}
        """)
    return run


def choices(site, front, count, at_once=64):
    """The server of each client; client i has address i of SOURCES."""
    prefix = SOURCES.partition("/")[0]
    with Clients(site, VIP6, front, count=count, rate=0, at_once=at_once, limit_ms=30000, prefix=[prefix]) as clients:
        came = clients.wait(300)
    assert outcomes(came) == {"ok": count}
    return [one.at.partition(":")[0] for one in sorted(came)]


def shares(hosts):
    return {host: f"{count} ({100 * count / len(hosts):.2f} %)" for host, count in sorted(Counter(hosts).items())}


def test_two_gateways_agree(site, start):
    """Two processes, the servers in another order, another number of workers: the same server for each client."""
    start(TEN, 81, "balance = maglev")
    start(TEN[5:] + TEN[4::-1], 82, "balance = maglev", workers=2)
    first, second = (choices(site, front, CLIENTS) for front in (81, 82))
    same = sum(a == b for a, b in zip(first, second))
    print(f"\ntwo gateways agree on {same} of {CLIENTS} clients; {shares(first)}")
    assert same == CLIENTS
    assert all(abs(count - CLIENTS / 10) < CLIENTS / 100 for count in Counter(first).values())


def test_one_of_ten_goes(site, start):
    """Removed from the configuration it moves at most 2 % of the others' clients; refusing them, none."""
    gone = TEN[3]
    start(TEN, 81, "balance = maglev")
    start([host for host in TEN if host != gone], 82, "balance = maglev")
    before, removed = (choices(site, front, FEWER) for front in (81, 82))
    site.server.run(["nft", "-f", "-"], stdin=f"""table ip gone {{ chain input {{
        type filter hook input priority 0
        ip daddr {gone} tcp dport {PORT} reject with tcp reset
    }}
    }}""")
    refusing = choices(site, 81, FEWER)
    for what, after, most in (("removed", removed, 0.02), ("refusing", refusing, 0)):
        others = [(a, b) for a, b in zip(before, after) if a != gone]
        moved = sum(a != b for a, b in others)
        own = [b for a, b in zip(before, after) if a == gone]
        print(f"\none of ten {what}: {moved} of {len(others)} others' clients move "
              f"({100 * moved / len(others):.2f} %); its own: {shares(own)}")
        assert moved <= most * len(others)
        assert gone not in after and len(set(after)) == 9


@pytest.mark.parametrize(("options", "tolerance"), [
    ("balance = round-robin", 1), ("balance = maglev", 200),
    ("balance = maglev hash = client-64", None), ("balance = maglev hash = client-port", 200),
])
def test_weighted_shares(site, start, options, tolerance):
    """Clients that come and go; chance has its part where it is a hash that decides."""
    start(TEN[:4], 81, options, weights=WEIGHTS)
    chosen = Counter(choices(site, 81, 7000))
    print(f"\n{options}, weights {WEIGHTS}: {shares(list(chosen.elements()))}")
    if tolerance is None:  # all of them are in one /64
        assert len(chosen) == 1
    else:
        assert all(abs(chosen[host] - 100 * weight) <= tolerance for host, weight in zip(TEN, WEIGHTS))


@pytest.mark.parametrize("workers", [1, 2])
def test_weighted_shares_of_least_connections(site, start, workers):
    """Clients that stay: workers that look at the same moment may be one off each time."""
    start(TEN[:4], 81, "balance = least-connections", workers, WEIGHTS)
    held = [site.client.connect(VIP6, 81) for _ in range(700)]

    def at_servers():
        lines = site.server.run(["ss", "-Htn", "state", "established", f"sport = :{PORT}"]).stdout.splitlines()
        return [line.split()[2].partition(":")[0] for line in lines]

    wait_until(lambda: len(at_servers()) == len(held), "all to have a server")
    chosen = Counter(at_servers())
    print(f"\nleast-connections, {workers} workers, weights {WEIGHTS}: {shares(list(chosen.elements()))}")
    for client in held:
        client.close()
    assert all(abs(chosen[host] - 10 * weight) <= 2 * workers for host, weight in zip(TEN, WEIGHTS))
