"""Headers of every kind that a client might send, to be taken for another; made here by hand, not by our library."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
SRC4, DST4 = "203.0.113.66", "203.0.113.67"
SRC6, DST6 = "2001:db8:bad::66", "2001:db8:bad::67"
PORTS = (6666, 80)
INET, INET6, UNIX = 0x10, 0x20, 0x30
STREAM, DGRAM = 1, 2
LOCAL, PROXY = 0x20, 0x21


def endpoints(src, dst):
    return ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed + struct.pack("!HH", *PORTS)


def v2(command, family, block=b"", tlvs=b""):
    return SIGNATURE + struct.pack("!BBH", command, family, len(block) + len(tlvs)) + block + tlvs


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_crc(block, flaw=0):
    """A header with its checksum, which may be a wrong one."""
    header = v2(PROXY, INET6 | STREAM, block, tlv(3, bytes(4)))
    return header[:-4] + struct.pack("!I", crc32c(header) ^ flaw)


BLOCK4, BLOCK6 = endpoints(SRC4, DST4), endpoints(SRC6, DST6)
TLVS = tlv(2, b"example.org") + tlv(4, bytes(7)) + tlv(5, b"id-66") + tlv(0xe0, b"custom")
MAPPED = endpoints("::ffff:" + SRC4, "::ffff:" + DST4)

# What each says if it is believed: the address of SRC, or None for "the connection's own".
BELIEVABLE = {
    "v1 TCP4": (f"PROXY TCP4 {SRC4} {DST4} 6666 80\r\n".encode(), SRC4),
    "v1 TCP6": (f"PROXY TCP6 {SRC6} {DST6} 6666 80\r\n".encode(), SRC6),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "v1 UNKNOWN with addresses": (f"PROXY UNKNOWN {SRC6} {DST6} 6666 80\r\n".encode(), None),
    "v1 UNKNOWN of 107 bytes": (b"PROXY UNKNOWN".ljust(105, b"x").replace(b"Nx", b"N ", 1) + b"\r\n", None),
    "v2 TCP4": (v2(PROXY, INET | STREAM, BLOCK4), SRC4),
    "v2 TCP6": (v2(PROXY, INET6 | STREAM, BLOCK6), SRC6),
    "v2 TCP6 with TLVs": (v2(PROXY, INET6 | STREAM, BLOCK6, TLVS), SRC6),
    "v2 TCP6 with its checksum": (with_crc(BLOCK6), SRC6),
    "v2 LOCAL": (v2(LOCAL, 0), None),
    "v2 LOCAL with addresses": (v2(LOCAL, INET6 | STREAM, BLOCK6), None),
    "v2 UNSPEC": (v2(PROXY, 0), None),
    "v2 UNSPEC with addresses": (v2(PROXY, 0, BLOCK6), None),
}

# Those that are wrong, or of a kind that no TCP connection can have.
UNBELIEVABLE = {
    "v1 in lower case": f"proxy tcp6 {SRC6} {DST6} 6666 80\r\n".encode(),
    "v1 with a bare line feed": f"PROXY TCP6 {SRC6} {DST6} 6666 80\n".encode(),
    "v1 with two spaces": f"PROXY TCP6  {SRC6} {DST6} 6666 80\r\n".encode(),
    "v1 with a wrong family": f"PROXY TCP4 {SRC6} {DST6} 6666 80\r\n".encode(),
    "v1 with a great port": f"PROXY TCP6 {SRC6} {DST6} 66666 80\r\n".encode(),
    "v1 without an end": f"PROXY TCP6 {SRC6} {DST6} 6666 80".encode() + bytes(200),
    "v1 UNKNOWN of 108 bytes": b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n",
    "v2 version 1": v2(0x11, INET6 | STREAM, BLOCK6),
    "v2 version 3": v2(0x31, INET6 | STREAM, BLOCK6),
    "v2 command 2": v2(0x22, INET6 | STREAM, BLOCK6),
    "v2 family 4": v2(PROXY, 0x41, BLOCK6),
    "v2 transport 3": v2(PROXY, INET6 | 3, BLOCK6),
    "v2 shorter than its addresses": v2(PROXY, INET6 | STREAM, BLOCK6[:-1]),
    "v2 with a wrong checksum": with_crc(BLOCK6, flaw=1),
    "v2 with a TLV past its end": v2(PROXY, INET6 | STREAM, BLOCK6, b"\x02\x00\x40abc"),
    "v2 with a stray byte": v2(PROXY, INET6 | STREAM, BLOCK6, b"\x04"),
}

# Right ones, of transports and families that a receiver on TCP may take either way.
STRANGE = {
    "v2 UDP4": v2(PROXY, INET | DGRAM, BLOCK4),
    "v2 UDP6": v2(PROXY, INET6 | DGRAM, BLOCK6),
    "v2 mapped": v2(PROXY, INET6 | STREAM, MAPPED),
    "v2 UNIX": v2(PROXY, UNIX | STREAM, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")),
    "v2 UNIX datagrams": v2(PROXY, UNIX | DGRAM, bytes(216)),
    "v2 of 64 KiB": v2(PROXY, INET6 | STREAM, BLOCK6, tlv(4, bytes(0xffff - 36 - 3))),
    "v2 twice": 2 * v2(PROXY, INET6 | STREAM, BLOCK6),
    "v1 behind v2": v2(LOCAL, 0) + f"PROXY TCP6 {SRC6} {DST6} 6666 80\r\n".encode(),
    "v2 behind v1": b"PROXY UNKNOWN\r\n" + v2(PROXY, INET6 | STREAM, BLOCK6),
    "half a signature": SIGNATURE[:7],
    "v1 in part": b"PROXY TCP6 2001:db8:bad::66",
}

ALL = {**{name: header for name, (header, _) in BELIEVABLE.items()}, **UNBELIEVABLE, **STRANGE}
FORGED = {SRC4, SRC6, "::ffff:" + SRC4}
