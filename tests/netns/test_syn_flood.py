"""A flood of first segments from sources that do not exist, beside clients who mean it."""

import json

import pytest
from netsite import CLIENT6, SERVER4, VIP6, build_dir, wait_until
from netsite.web import Clients, outcomes, start_web

FRONT, PORT = 80, 8000
WORKERS, BACKLOG = 2, 1024
FLOOD = 10 * WORKERS * BACKLOG
FORGED = ("2001:db8:f000::", 36)
SECONDS = 4
FLOOD_TOOL = str(build_dir() / "tests" / "flood")


def flood(site):
    return json.loads(site.client.run([FLOOD_TOOL, "syn", *FORGED, VIP6, FRONT, FLOOD, FLOOD / SECONDS],
                                      timeout=120).stdout)


@pytest.mark.parametrize("bind", [f"[{VIP6}]:{FRONT}", f"[2001:db8:80::/64]:{FRONT}"])
def test_real_clients_get_through(site, gateway, bind):
    """Ten times what may wait at all: at least 99 of 100 real handshakes come about, and are served."""
    start_web(site, SERVER4, PORT, "web")
    site.gateway.ip(f"route add default via {CLIENT6}")  # answers to nobody go there, and end there
    daemon = gateway(config=f"""run-directory = "{site.dir}/run"
        workers = {WORKERS}
        access-log = off
        listener "l" {{ bind = "{bind}" pool = "p" backlog = {BACKLOG} }}
        pool "p" {{ backend "{SERVER4}:{PORT}" {{}} }}
    """)
    before = site.gateway.counters()
    with Clients(site, VIP6, FRONT, rate=300) as clients:
        sent = flood(site)
        after = site.gateway.counters()
        wait_until(lambda: len(clients.path.read_text().splitlines()) > 300, "clients")
        came = clients.finish()
    served = [one for one in came if one.outcome == "ok"]
    cookies = after["TcpExt.SyncookiesSent"] - before["TcpExt.SyncookiesSent"]
    print(f"\n{bind}: {sent['sent']} forged SYNs in {sent['seconds']} s at {WORKERS} times a backlog of {BACKLOG}, "
          f"{cookies} cookies; real clients: {outcomes(came)}, slowest {max(one.ms for one in came):.0f} ms")
    assert sent["sent"] == FLOOD and cookies > FLOOD / 2
    assert len(served) >= 0.99 * len(came) > 0
    assert {one.told for one in served} == {f"{CLIENT6}:{one.port}" for one in served}
    assert daemon.stop() == 0
