"""What changes in the network of the gateway while a test looks on."""

import contextlib

from .namespace import wait_until


@contextlib.contextmanager
def watched(site):
    """The block gets a function that returns what `ip monitor` and `nft monitor` have said."""
    marker = "203.0.116.1"
    monitors = [site.daemon(site.gateway, argv, name) for name, argv in (
        ("ip-monitor", ["ip", "-o", "monitor", "address", "route", "rule"]),
        ("nft-monitor", ["nft", "monitor"]))]

    def changes():
        return [line for monitor in monitors for line in monitor.output().splitlines() if marker not in line]

    def shows_marker():
        site.gateway.ip(f"addr add {marker}/32 dev lo", f"addr del {marker}/32 dev lo")
        return marker in monitors[0].output()

    wait_until(shows_marker, "ip monitor to work")
    yield changes
    for monitor in monitors:
        monitor.stop()
