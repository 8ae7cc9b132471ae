"""A whole IPv6-to-IPv4 site in three network namespaces, for tests, the demo and the bench.

    client (IPv6 only)        gateway (both)                server (IPv4 only)
    2001:db8:1::10  ───────── 2001:db8:1::1
                              2001:db8:80::1  (VIP)
                              192.0.2.1  ────────────────── 192.0.2.10 to 192.0.2.13

Fixtures (conftest.py):
  site            a fresh Site for the test; module_site: one for all tests of the module
  gateway(config=TEXT) or gateway(args=[...])
                  starts $SIXGATE_BUILD/sixgated (build/ if unset) in site.gateway, waits until it is
                  ready and returns its Daemon. At the end it must exit with 0 on SIGTERM, unless the test
                  ended it, and must not have printed a sanitizer's report.

Site(ipv4_client=True) also gives the client 198.51.100.10 and the gateway a VIP 203.0.113.80, and lets the
gateway route IPv4. Site(bare=True) leaves VIPs and routing out: the gateway has the addresses of its links only,
and is to set up the rest itself. Site methods: nginx(), haproxy(), sixgated() start servers; dir is a directory
of its own.

Each of site.client, site.gateway, site.server is a Namespace:
  socket(), connect(host, port), listen(host, port)   ordinary Python sockets that live in there
  popen(argv), run(argv), ip(arguments)                programs in there
  daemon(argv, dir, name)                              a program with logs, see Daemon: stop(), pids(), errors()
  entered()                                            anything else: with site.client.entered(): ...
  wait_listening(port), counters(), sysctl(), pids()
  network()                                            all that the kernel was told, to compare

web.py has servers that can be ended one by one, and clients that come at a steady pace.

Nothing is ever left behind: a guardian process ends what runs in the namespaces when the Site is closed or
its owner dies, however it dies. Wait with wait_until(condition, what), never for a time.
"""

from .daemon import Daemon, cpu_ns, memory_bytes, process_tree
from .namespace import Namespace, wait_until
from .site import (BACKENDS, CLIENT4, CLIENT6, FRONT4, GATEWAY4, GATEWAY6, ROOT, SERVER4, VIP4, VIP6, Site,
                   build_dir)

__all__ = ["BACKENDS", "CLIENT4", "CLIENT6", "Daemon", "FRONT4", "GATEWAY4", "GATEWAY6", "Namespace", "ROOT",
           "SERVER4", "Site", "VIP4", "VIP6", "build_dir", "cpu_ns", "memory_bytes", "process_tree",
           "wait_until"]
