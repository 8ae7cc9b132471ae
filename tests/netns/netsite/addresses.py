"""Addresses: what the kernel of a namespace knows of them, and how tests make them up."""

import ipaddress
import json
import socket
import struct


def show_addr(namespace, address):
    """What `ip` knows of the address: that of its link, and its own."""
    for link in json.loads(namespace.run(["ip", "-j", "-d", "addr"]).stdout):
        for info in link["addr_info"]:
            if info.get("local") == address:
                return link["ifname"], info
    return None


def addr_protocols(namespace):
    """Who has set each address (IFA_PROTO), which Debian 12's `ip` does not show."""
    getaddr, done, local, proto = 22, 3, {socket.AF_INET: 2, socket.AF_INET6: 1}, 11
    found = {}
    with namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW) as route:
        route.send(struct.pack("=IHHIIBxxxI", 24, getaddr, 0x301, 1, 0, 0, 0))
        while True:
            data = route.recv(1 << 16)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == done:
                    return found
                assert kind == 20
                attributes = dict(parse_attributes(data[24:length]))
                address = socket.inet_ntop(data[16], attributes[local[data[16]]])
                found[address] = attributes.get(proto, b"\0")[0]
                data = data[length + 3 & ~3:]


def parse_attributes(data):
    while data:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[length + 3 & ~3:]


def addr_of(prefix, generator):
    network = ipaddress.ip_network(prefix)
    return str(network[generator.randrange(network.num_addresses)])


def embed(prefix, address, suffix=0):
    """RFC 6052 section 2.2, by hand: the address follows the prefix and steps over bits 64 to 71."""
    network = ipaddress.ip_network(prefix)
    raw = bytearray(network.network_address.packed)
    at = network.prefixlen // 8
    for byte in ipaddress.ip_address(address).packed:
        if at == 8:
            at += 1
        raw[at] = byte
        at += 1
    raw[15] |= suffix
    return str(ipaddress.IPv6Address(bytes(raw)))
