"""PROXY headers as proxies in front of the gateway send them, and as servers behind it read them.

Made and taken apart by hand, from section 2 of the specification, and not with our library.
"""

import ipaddress
import socket
import struct
from collections import namedtuple

from wire import SIGNATURE, read_exactly

UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL, NETNS = 1, 2, 3, 4, 5, 0x20, 0x30
CRC_LEN = 7

Told = namedtuple("Told", "command family src sport dst dport tlvs raw")


def v1(src, dst, sport=40000, dport=443):
    return f"PROXY TCP{4 if ':' not in src else 6} {src} {dst} {sport} {dport}\r\n".encode()


def v2(src=None, dst=None, sport=40000, dport=443, tlvs=b"", command=0x21, family=None):
    """Without addresses: a header that names nobody."""
    block = b""
    if src:
        a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
        block = a.packed + b.packed + struct.pack("!HH", sport, dport)
        family = family or (TCP4 if a.version == 4 else TCP6)
    return raw_v2(command, family or UNSPEC, block + tlvs)


def raw_v2(command, family, block):
    return SIGNATURE + bytes((command, family)) + struct.pack("!H", len(block)) + block


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def crc32c(data):
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def with_crc(header, spoil=0):
    """The same header with a CRC32c TLV at its end; spoil: bits of it to turn over."""
    length = struct.unpack("!H", header[14:16])[0] + CRC_LEN
    whole = header[:14] + struct.pack("!H", length) + header[16:] + tlv(CRC32C, bytes(4))
    return whole[:-4] + struct.pack("!I", crc32c(whole) ^ spoil)


def split_tlvs(data):
    found = []
    while data:
        kind, length = struct.unpack("!BH", data[:3])
        assert len(data) >= 3 + length, data
        found.append((kind, data[3:3 + length]))
        data = data[3 + length:]
    return found


def check_crc(raw):
    """The header has one CRC32c TLV, at its end, and it is right."""
    assert raw[-CRC_LEN:-4] == tlv(CRC32C, bytes(4))[:3], raw
    assert struct.unpack("!I", raw[-4:])[0] == crc32c(raw[:-4] + bytes(4))


def read_told(connection):
    """Reads a version 2 header with its TLVs, and no byte more."""
    raw = read_exactly(connection, 16)
    assert raw[:12] == SIGNATURE, raw
    raw += read_exactly(connection, struct.unpack("!H", raw[14:16])[0])
    size = {TCP4: 4, TCP6: 16}[raw[13]]
    ends = 16 + 2 * size + 4
    sport, dport = struct.unpack("!HH", raw[ends - 4:ends])
    return Told(raw[12], raw[13], str(ipaddress.ip_address(raw[16:16 + size])), sport,
                str(ipaddress.ip_address(raw[16 + size:16 + 2 * size])), dport,
                split_tlvs(raw[ends:]), raw)


def connect_from(namespace, source, host, port, timeout=10):
    connection = namespace.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    connection.settimeout(timeout)
    try:
        connection.bind((source, 0))
        connection.connect((host, port))
    except OSError:
        connection.close()
        raise
    return connection
