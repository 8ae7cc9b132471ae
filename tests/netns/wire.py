"""The far ends of a relayed connection, for tests: a header reader and checksummed streams.

The header is decoded here by hand, from section 2 of the specification, and not with our library.
"""

import contextlib
import hashlib
import ipaddress
import json
import socket
import struct
import threading
from collections import namedtuple

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
Header = namedtuple("Header", "version command family src sport dst dport raw")
CHUNK = 1 << 16


def read_exactly(connection, count):
    data = bytearray()
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError(f"{len(data)} of {count} bytes, then the end of the stream")
        data += more
    return bytes(data)


def echoes(client, word):
    """Whether an echo server behind it is reached and says just the same."""
    client.sendall(word)
    return read_exactly(client, len(word)) == word


def read_header(connection):
    """Reads a version 2 header and no byte more."""
    raw = read_exactly(connection, 16)
    assert raw[:12] == SIGNATURE, raw
    command, family, length = raw[12], raw[13], struct.unpack("!H", raw[14:16])[0]
    raw += read_exactly(connection, length)
    assert command == 0x21
    size = {0x11: 4, 0x21: 16}[family]
    assert length == 2 * size + 4
    src = ipaddress.ip_address(raw[16:16 + size])
    dst = ipaddress.ip_address(raw[16 + size:16 + 2 * size])
    sport, dport = struct.unpack("!HH", raw[-4:])
    return Header(2, "PROXY", "INET" if size == 4 else "INET6", str(src), sport, str(dst), dport, raw)


def blocks(seed, total):
    """A stream of bytes that depends on its seed and never repeats within a test."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 20)
    sent = 0
    while sent < total:
        shift = (sent >> 20) * 8191 % len(block)
        part = (block[shift:] + block[:shift])[:min(len(block), total - sent)]
        yield part
        sent += len(part)


def send_stream(connection, seed, total):
    """Sends it and returns its checksum."""
    digest = hashlib.sha1()
    for part in blocks(seed, total):
        digest.update(part)
        connection.sendall(part)
    return digest.hexdigest()


def receive_stream(connection):
    """Reads to the end of the stream; returns (checksum, bytes)."""
    digest, total = hashlib.sha1(), 0
    while True:
        part = connection.recv(1 << 18)
        if not part:
            return digest.hexdigest(), total
        digest.update(part)
        total += len(part)


def reset(connection):
    """Closes it with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def ends_in_reset(connection):
    """Reads until the connection ends: (True, bytes) if it was reset, (False, bytes) if it was closed."""
    total = 0
    while True:
        try:
            part = connection.recv(CHUNK)
        except ConnectionResetError:
            return True, total
        if not part:
            return False, total
        total += len(part)


def is_reset(namespace, host, port):
    """Connects and waits for the end; the reset may come before connect() has returned."""
    try:
        with namespace.connect(host, port) as connection:
            return ends_in_reset(connection)[0]
    except ConnectionResetError:
        return True


class Pair:
    """One connection through the gateway: both ends and what the server was told."""

    def __init__(self, client, server, header):
        self.client, self.server, self.header = client, server, header

    def close(self):
        self.client.close()
        self.server.close()


@contextlib.contextmanager
def background(function, *args):
    """Runs it beside the block; the block gets a function that waits for its result."""
    result = {}

    def run():
        try:
            result["value"] = function(*args)
        except BaseException as error:  # handed on to the test
            result["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def value(timeout=120):
        thread.join(timeout)
        assert not thread.is_alive(), f"{function.__name__} takes more than {timeout} s"
        if "error" in result:
            raise result["error"]
        return result["value"]

    yield value
    thread.join(1)


def access_records(daemon):
    """The records that are whole: the last line may be in the middle of being written."""
    return [json.loads(line) for line in daemon.output().splitlines(keepends=True) if line.endswith("\n")]
