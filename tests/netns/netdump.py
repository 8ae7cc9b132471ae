"""All that a namespace's kernel has been told of its network, in words that can be compared.

  read(namespace)             a Dump: {what: [line, ...]}, with nothing in it that changes by itself
  differences(wanted, got)    "" or what differs, as a unified diff
  without(dump, word)         the dump without the lines that have this word
  wait_equal(namespace, dump) waits until it is so; returns the seconds that it took
  add_address(namespace, ...) an address with any protocol number, which older ip(8) cannot set
  addresses(namespace)        of the kernel's own dump, with their protocol numbers

Tables of nftables that are not ours come with their handles: to delete and make one again shows.
"""

import difflib
import ipaddress
import json
import re
import socket
import struct
import time
from collections import namedtuple

OURS = "table inet sixgate {"
ROUTES = {f"{name} routes": f"ip -N -d -{family} route show table all"
          for name, family in (("IPv4", 4), ("IPv6", 6))}
RULES = {f"{name} rules": f"ip -N -d -{family} rule" for name, family in (("IPv4", 4), ("IPv6", 6))}

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x300, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWADDR, RTM_GETADDR = 20, 22
IFA_ADDRESS, IFA_LOCAL, IFA_CACHEINFO, IFA_FLAGS, IFA_PROTO = 1, 2, 6, 8, 11
IFA_F_NODAD = 0x02
FOREVER = 0xffffffff

Address = namedtuple("Address", "link address protocol scope flags preferred")


# ---- addresses, by netlink -------------------------------------------------------------------------

def _messages(data):
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[(length + 3) & ~3:]


def _attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def _attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _request(namespace, kind, flags, body):
    """Returns the bodies of the answer; raises OSError with the kernel's error."""
    with namespace.entered(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as channel:
        channel.settimeout(10)
        channel.send(struct.pack("=IHHII", 16 + len(body), kind, NLM_F_REQUEST | flags, 1, 0) + body)
        found = []
        while True:
            for answer, content in _messages(channel.recv(1 << 20)):
                if answer == NLMSG_ERROR and struct.unpack_from("=i", content)[0]:
                    raise OSError(-struct.unpack_from("=i", content)[0], "netlink")
                if answer in (NLMSG_ERROR, NLMSG_DONE):
                    return found
                found.append(content)


def _address(content, links):
    _, length, flags, scope, index = struct.unpack_from("=BBBBI", content)
    values = _attributes(content[8:])
    address = ipaddress.ip_address(values.get(IFA_LOCAL, values[IFA_ADDRESS]))
    if IFA_FLAGS in values:
        flags = struct.unpack("=I", values[IFA_FLAGS])[0]
    preferred = struct.unpack_from("=I", values[IFA_CACHEINFO])[0] if IFA_CACHEINFO in values else FOREVER
    return Address(links.get(index, str(index)), f"{address}/{length}", values.get(IFA_PROTO, b"\0")[0], scope,
                   flags, preferred)


def addresses(namespace):
    links = {link["ifindex"]: link["ifname"] for link in _links(namespace)}
    return [_address(content, links)
            for content in _request(namespace, RTM_GETADDR, NLM_F_DUMP, struct.pack("=BBBBI", 0, 0, 0, 0, 0))]


def add_address(namespace, address, link, protocol):
    """address: "2001:db8::1/64"."""
    host = ipaddress.ip_interface(address)
    index = next(each["ifindex"] for each in _links(namespace) if each["ifname"] == link)
    family = socket.AF_INET6 if host.version == 6 else socket.AF_INET
    flags = IFA_F_NODAD if host.version == 6 else 0
    body = struct.pack("=BBBBI", family, host.network.prefixlen, flags, 0, index)
    body += _attribute(IFA_LOCAL, host.packed) + _attribute(IFA_ADDRESS, host.packed)
    body += _attribute(IFA_PROTO, bytes([protocol]))
    _request(namespace, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body)


# ---- the whole -------------------------------------------------------------------------------------

def _run(namespace, command):
    result = namespace.run(command.split(), check=False)
    if result.returncode != 0 and "FIB table does not exist" not in result.stderr:
        raise RuntimeError(f"{command}: {result.stderr}")
    return result.stdout


def _links(namespace):
    return json.loads(_run(namespace, "ip -j link") or "[]")


def _link_line(link):
    up = "up" if "UP" in link["flags"] else "down"
    return f"{link['ifindex']} {link['ifname']} {link.get('address', '')} mtu {link['mtu']} {up}"


def _nft(namespace):
    """Our table by what is in it, others with their handles; the order of tables says nothing."""
    tables = re.split(r"^(?=table )", _run(namespace, "nft -s -n -a list ruleset"), flags=re.MULTILINE)
    lines = []
    for table in sorted(filter(None, tables)):
        if table.startswith(OURS):
            table = re.sub(r" # handle \d+", "", table)
        lines += table.splitlines()
    return lines


def read(namespace):
    links = _links(namespace)
    names = {link["ifindex"]: link["ifname"] for link in links}
    found = _request(namespace, RTM_GETADDR, NLM_F_DUMP, struct.pack("=BBBBI", 0, 0, 0, 0, 0))
    dump = {
        "links": sorted(map(_link_line, links)),
        "addresses": sorted(" ".join(map(str, _address(content, names))) for content in found),
        "nftables": _nft(namespace),
    }
    for what, command in {**ROUTES, **RULES}.items():
        dump[what] = sorted(line.strip() for line in _run(namespace, command).splitlines())
    return dump


def without(dump, word):
    return {what: [line for line in lines if word not in line] for what, lines in dump.items()}


def differences(wanted, got):
    return "\n".join(line for what in wanted
                     for line in difflib.unified_diff(wanted[what], got[what], f"{what} wanted", f"{what} there",
                                                      n=0, lineterm=""))


def wait_equal(namespace, dump, timeout=10.0, select=lambda dump: dump):
    """select: what of the dump is looked at."""
    start = time.monotonic()
    while True:
        last = differences(select(dump), select(read(namespace)))
        took = time.monotonic() - start
        if not last:
            return took
        assert took < timeout, f"after {took:.1f} s:\n{last}"
