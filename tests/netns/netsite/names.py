"""DNS servers for names of backends: a real one, whose records change, and one that misbehaves as told."""

import select
import shutil
import socket
import struct
import threading
from collections import Counter

from .namespace import wait_until
from .site import SERVER4

ZONE = "names.example"
NAME = f"db.{ZONE}"
PORT = 53
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5


class NamesUnbound:
    """unbound, told by unbound-control."""

    def __init__(self, site, addresses=(), ttl=1):
        self.site, self.ttl = site, ttl
        self.config = site.write("names-unbound.conf", f"""
server:
    interface: {SERVER4}@{PORT}
    access-control: 0.0.0.0/0 allow
    module-config: "iterator"
    do-daemonize: no
    use-syslog: no
    chroot: ""
    username: ""
    pidfile: ""
    directory: "{site.dir}"
    local-zone: "{ZONE}." static
remote-control:
    control-enable: yes
    control-interface: "{site.dir}/unbound.ctl"
    control-use-cert: no
""" + "".join(f'server:\n    local-data: "{self.record(address)}"\n' for address in addresses))
        # Debian's AppArmor profile goes by the program's path, and lets it read /etc/unbound only.
        program = shutil.copy("/usr/sbin/unbound", site.dir / "names-unbound")
        self.daemon = site.daemon(site.server, [program, "-d", "-p", "-c", self.config], "names-unbound")
        self.daemon.wait_ready(lambda: "is running" in self.control("status", check=False))

    def record(self, address):
        return f"{NAME}. {self.ttl} A {address}"

    def control(self, *words, check=True, stdin=None):
        return self.site.server.run(["unbound-control", "-c", self.config, *words], check=check, stdin=stdin).stdout

    def set(self, *addresses):
        """For a moment there is none."""
        self.control("local_data_remove", f"{NAME}.")
        if addresses:
            self.control("local_datas", stdin="".join(f"{self.record(address)}\n" for address in addresses))


class ScriptedDns:
    """Answers A queries from `records`: a name's value is a list of addresses, an RCODE, None for silence, or bytes
    that follow the query's id. TCP has all of an answer, UDP 512 bytes of it. `asked` counts the queries of each
    name."""

    def __init__(self, namespace, host=SERVER4, ttl=0):
        self.records, self.ttl, self.asked = {}, ttl, Counter()
        self.stop = threading.Event()
        self.udp = namespace.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((host, PORT))
        self.tcp = namespace.listen(host, PORT)
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.udp.close()
        self.tcp.close()

    def run(self):
        while not self.stop.is_set():
            ready = select.select([self.udp, self.tcp], [], [], 0.02)[0]
            if self.udp in ready:
                query, peer = self.udp.recvfrom(4096)
                answer = self.answer(query)
                if answer and len(answer) > 512:
                    answer = self.answer(query, cut=True)
                if answer:
                    self.udp.sendto(answer, peer)
            if self.tcp in ready:
                with self.tcp.accept()[0] as connection:
                    connection.settimeout(5)
                    query = connection.recv(4096)[2:]
                    answer = self.answer(query)
                    if answer:
                        connection.sendall(struct.pack("!H", len(answer)) + answer)

    def answer(self, query, cut=False):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        name = ".".join(labels).lower()
        if not cut:
            self.asked[name] += 1
        value = self.records.get(name, NXDOMAIN)
        if value is None:
            return None
        if isinstance(value, bytes):
            return query[:2] + value
        code, addresses = (value, []) if isinstance(value, int) else (NOERROR, value)
        if cut:
            addresses = []
        flags = 0x8180 | code | (0x0200 if cut else 0)
        records = b"".join(struct.pack("!HHHIH", 0xc00c, 1, 1, self.ttl, 4) + socket.inet_aton(address)
                           for address in addresses)
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0) + question + records


def wait_asked(dns, name, more=1):
    """Until it was asked so many times from now on."""
    before = dns.asked[name]
    wait_until(lambda: dns.asked[name] >= before + more, f"{more} queries of {name}")
