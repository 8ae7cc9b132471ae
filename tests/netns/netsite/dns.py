"""Debian's DNS servers that take PROXY headers on UDP, each on the server and told to believe the gateway.

All know NAME and the TXT records BIG by their lengths, refuse OUTCAST by its IPv6 address where they can, and log
the address and port of whoever sends the query TELL.
"""

import re
import shutil
from collections import namedtuple

from .site import GATEWAY4, SERVER4

PORT = 53
ZONE = "dns.example"
NAME = f"www.{ZONE}"
ANSWER = "192.0.2.80"
WHO = f"who.{ZONE}"
BIG = {length: f"big{length}.{ZONE}" for length in (1000, 3000)}
CLIENTS = "2001:db8:1::/64"
OUTCAST = "2001:db8:1::bad"
LARGEST = 4096

Asker = namedtuple("Asker", "addr port")


def txt(length):
    return " ".join([f'"{"x" * 250}"'] * (length // 250))


ZONE_FILE = f"""$ORIGIN {ZONE}.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A {SERVER4}
www A {ANSWER}
""" + "".join(f"{name}. TXT {txt(length)}\n" for length, name in BIG.items())


class DnsServer:
    """TELL are dig's words for a query that makes the server log who asked; LOGGED is how it says so. ECHO are
    those for a query that it answers with the client's address, or address and port."""
    TCP = True  # whether it takes headers on TCP as well
    REFUSES = "status: REFUSED"  # what dig shows to whom it does not serve; empty if it serves everybody
    TELL = (NAME, "A")
    LOGGED = ""
    ECHO = ()
    BIG = tuple(BIG)

    def __init__(self, site, argv):
        self.daemon = site.daemon(site.server, argv, type(self).__name__.lower())
        self.daemon.wait_ready(lambda: is_bound(site.server))

    def log(self):
        return self.daemon.errors()

    def askers(self):
        """Everybody whom the log names, in order."""
        return [Asker(addr, int(port)) for addr, port in re.findall(self.LOGGED, self.log(), re.MULTILINE)]


def is_bound(namespace):
    """They all take both; datagrams that come from here on are not lost."""
    udp = namespace.run(["ss", "-Hlnu", f"sport = :{PORT}"]).stdout
    return udp and namespace.is_listening(PORT)


class Unbound(DnsServer):
    LOGGED = rf" info: {re.escape(ZONE)}\. static (\S+)@(\d+) {re.escape(NAME)}\. A IN$"

    def __init__(self, site):
        # The gateway itself must be allowed, too: it is looked up before the address in the header.
        config = site.write("unbound.conf", f"""
server:
    interface: {SERVER4}@{PORT}
    proxy-protocol-port: {PORT}
    access-control: {GATEWAY4}/32 allow
    access-control: {CLIENTS} allow
    access-control: {OUTCAST}/128 refuse
    log-queries: yes
    log-local-actions: yes
    max-udp-size: {LARGEST}
    edns-buffer-size: {LARGEST}
    module-config: "iterator"
    do-daemonize: no
    use-syslog: no
    chroot: ""
    username: ""
    pidfile: ""
    directory: "{site.dir}"
    local-zone: "{ZONE}." static
    local-data: "{NAME}. A {ANSWER}"
""" + "".join(f"    local-data: '{name}. TXT {txt(length)}'\n" for length, name in BIG.items()))
        # Debian's AppArmor profile goes by the program's path, and lets it read /etc/unbound only.
        program = shutil.copy("/usr/sbin/unbound", site.dir / "unbound")
        super().__init__(site, [program, "-d", "-p", "-c", config])


class Dnsdist(DnsServer):
    LOGGED = rf"^Packet from \[(\S+)\]:(\d+) for {re.escape(NAME)}\. A with id \d+$"
    ECHO = (WHO, "TXT", '"[{addr}]:{port}"')
    BIG = (1000,)
    REFUSES = "timed out"

    def __init__(self, site):
        self.queries = site.dir / "dnsdist.queries"
        raw = "".join("\\250" + "x" * 250 for _ in range(4))
        config = site.write("dnsdist.conf", f"""
setLocal("{SERVER4}:{PORT}")
setProxyProtocolACL({{"{GATEWAY4}/32"}})
setProxyProtocolApplyACLToProxiedClients(true)
setACL({{"{GATEWAY4}/32", "{CLIENTS}", "!{OUTCAST}/128"}})
setSecurityPollSuffix("")
function who(query)
    local text = query.remoteaddr:toStringWithPort()
    query:spoof({{string.char(#text) .. text}})
    return DNSAction.Spoof
end
addAction(AllRule(), LogAction("{self.queries}", false, false, false, false, false))
addAction("{WHO}.", LuaAction(who))
addAction("{BIG[1000]}.", SpoofRawAction("{raw}"))
addAction("{NAME}.", SpoofAction("{ANSWER}"))
""")
        super().__init__(site, ["dnsdist", "--supervised", "--disable-syslog", "-C", config])

    def log(self):
        return self.queries.read_text(encoding="ascii")


class Pdns(DnsServer):
    """Its own log of queries has the client's address; the port is written by a record that is a program."""
    REFUSES = ""
    TELL = (WHO, "TXT")
    LOGGED = r" who is \[(\S+)\]:(\d+)\n"
    ECHO = (WHO, "TXT", '"[{addr}]:{port}"')

    def __init__(self, site):
        zone = site.write("pdns.zone", ZONE_FILE + 'who LUA TXT ";pdnslog(\'who is \' .. who:toStringWithPort()) '
                          'return who:toStringWithPort()"\n')
        named = site.write("pdns.named", f'zone "{ZONE}" {{ type master; file "{zone}"; }};\n')
        site.write("pdns.conf", f"""
local-address={SERVER4}
local-port={PORT}
proxy-protocol-from={GATEWAY4}
launch=bind
bind-config={named}
enable-lua-records=yes
log-dns-queries=yes
loglevel=6
udp-truncation-threshold={LARGEST}
cache-ttl=0
security-poll-suffix=
socket-dir={site.dir}
write-pid=no
""")
        super().__init__(site, ["pdns_server", f"--config-dir={site.dir}", "--daemon=no", "--guardian=no",
                                "--disable-syslog"])

    def logged_addresses(self):
        """As the queries' log names them, behind the address that the query came from."""
        return re.findall(rf" Remote {re.escape(GATEWAY4)}\((\S+)\) wants ", self.log())


class Knot(DnsServer):
    """Does not log queries, but whom it did not let notify it."""
    TCP = False
    REFUSES = "status: NOTAUTH"
    TELL = ("+opcode=notify", ZONE, "SOA")
    LOGGED = r" ACL, denied, action notify, remote (\S+)@(\d+), "
    ECHO = (WHO, "AAAA", "{addr}")

    def __init__(self, site):
        run = site.dir / "knot"
        run.mkdir()
        zone = site.write("knot.zone", ZONE_FILE)
        who = site.write("knot.who", f"@ 60 SOA ns.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 60\n"
                         f"@ 60 NS ns.{ZONE}.\n")
        config = site.write("knot.conf", f"""
server:
    listen: {SERVER4}@{PORT}
    proxy-allowlist: [ {GATEWAY4} ]
    udp-max-payload: {LARGEST}
    rundir: "{run}"
    user: root:root
database:
    storage: "{run}"
log:
  - target: stderr
    any: debug
mod-queryacl:
  - id: clients
    address: [ 2001:db8:1::-2001:db8:1::bac, 2001:db8:1::bae-2001:db8:1::ffff:ffff ]
template:
  - id: default
    global-module: mod-queryacl/clients
zone:
  - domain: {ZONE}
    file: "{zone}"
  - domain: {WHO}
    file: "{who}"
    module: mod-whoami
""")
        super().__init__(site, ["knotd", "-c", config])


DNS_SERVERS = (Unbound, Dnsdist, Pdns, Knot)
