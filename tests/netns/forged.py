"""Headers of every kind that a client might send, to be taken for another, and what each says to who believes it."""

from headers import (AUTHORITY, NOOP, TCP4, TCP6, UDP4, UDP6, UNIQUE_ID, UNIX, UNSPEC, raw_v2, tlv, v1, v2, with_crc)
from wire import SIGNATURE

SRC4, DST4 = "203.0.113.66", "203.0.113.67"
SRC6, DST6 = "2001:db8:bad::66", "2001:db8:bad::67"
FORGED = {SRC4, SRC6, "::ffff:" + SRC4}
LOCAL, PROXY = 0x20, 0x21

# What comes of it where it is believed: the client is SRC4 or SRC6; or still the connection's own end; or there is
# no connection.
OWN, RESET = "own", "reset"

TLVS = tlv(AUTHORITY, b"example.org") + tlv(NOOP, bytes(7)) + tlv(UNIQUE_ID, b"id-66") + tlv(0xE0, b"custom")
LINE6 = f"PROXY TCP6 {SRC6} {DST6} 6666 80"
BLOCK6 = v2(SRC6, DST6)[16:]

KINDS = {
    "v1 TCP4": (v1(SRC4, DST4), SRC4),
    "v1 TCP6": (v1(SRC6, DST6), SRC6),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", OWN),
    "v1 UNKNOWN with addresses": (f"PROXY UNKNOWN {SRC6} {DST6} 6666 80\r\n".encode(), OWN),
    "v1 UNKNOWN of 107 bytes": (b"PROXY UNKNOWN ".ljust(105, b"x") + b"\r\n", OWN),
    "v1 UNKNOWN of 108 bytes": (b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n", RESET),
    "v1 in lower case": (LINE6.lower().encode() + b"\r\n", RESET),
    "v1 with a bare line feed": (LINE6.encode() + b"\n", RESET),
    "v1 with two spaces": (LINE6.replace(" ", "  ", 1).encode() + b"\r\n", RESET),
    "v1 with a wrong family": (LINE6.replace("TCP6", "TCP4").encode() + b"\r\n", RESET),
    "v1 with a great port": (v1(SRC6, DST6, 66666), RESET),
    "v1 without an end": (LINE6.encode() + bytes(200), RESET),
    "v1 in part": (LINE6[:30].encode(), RESET),
    "v2 TCP4": (v2(SRC4, DST4), SRC4),
    "v2 TCP6": (v2(SRC6, DST6), SRC6),
    "v2 TCP6 with TLVs": (v2(SRC6, DST6, tlvs=TLVS), SRC6),
    "v2 TCP6 with its checksum": (with_crc(v2(SRC6, DST6, tlvs=TLVS)), SRC6),
    "v2 UDP4": (v2(SRC4, DST4, family=UDP4), SRC4),
    "v2 UDP6": (v2(SRC6, DST6, family=UDP6), SRC6),
    "v2 mapped": (v2("::ffff:" + SRC4, "::ffff:" + DST4), SRC4),
    "v2 LOCAL": (v2(command=LOCAL), OWN),
    "v2 LOCAL with addresses": (v2(SRC6, DST6, command=LOCAL), OWN),
    "v2 UNSPEC": (v2(), OWN),
    "v2 UNSPEC with addresses": (raw_v2(PROXY, UNSPEC, BLOCK6), OWN),
    "v2 UNIX": (raw_v2(PROXY, UNIX, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")), RESET),
    "v2 UNIX datagrams": (raw_v2(PROXY, 0x32, bytes(216)), RESET),
    "v2 of 64 KiB": (v2(SRC6, DST6, tlvs=tlv(NOOP, bytes(0xffff - 36 - 3))), RESET),
    "v2 version 1": (raw_v2(0x11, TCP6, BLOCK6), RESET),
    "v2 version 3": (raw_v2(0x31, TCP6, BLOCK6), RESET),
    "v2 command 2": (raw_v2(0x22, TCP6, BLOCK6), RESET),
    "v2 family 4": (raw_v2(PROXY, 0x41, BLOCK6), RESET),
    "v2 transport 3": (raw_v2(PROXY, 0x23, BLOCK6), RESET),
    "v2 shorter than its addresses": (raw_v2(PROXY, TCP6, BLOCK6[:-1]), RESET),
    "v2 TCP4 shorter than its addresses": (raw_v2(PROXY, TCP4, BLOCK6[:11]), RESET),
    "v2 with a wrong checksum": (with_crc(v2(SRC6, DST6), spoil=1), RESET),
    "v2 with a TLV past its end": (v2(SRC6, DST6, tlvs=b"\x02\x00\x40abc"), RESET),
    "v2 with a stray byte": (v2(SRC6, DST6, tlvs=b"\x04"), RESET),
    "v2 twice": (2 * v2(SRC6, DST6), SRC6),
    "v1 behind v2": (v2(command=LOCAL) + v1(SRC6, DST6), OWN),
    "v2 behind v1": (b"PROXY UNKNOWN\r\n" + v2(SRC6, DST6), OWN),
    "half a signature": (SIGNATURE[:7], RESET),
}
WORDS = [words for words, _ in KINDS.values()]
