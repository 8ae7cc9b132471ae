"""The system bus as far as a service needs it that asks systemd what becomes of it: one peer at a time, answers that
are given here. D-Bus Specification 0.43; org.freedesktop.systemd1(5)."""

import contextlib
import socket
import struct
import threading

RETURN, REPLY_SERIAL, MEMBER, SIGNATURE = 2, 5, 3, 8
UNIT, JOB = "/org/freedesktop/systemd1/unit/sixgate_2eservice", "/org/freedesktop/systemd1/job/7"


def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def signature(value):
    return bytes([len(value)]) + value.encode() + b"\0"


def pad(data, to=8):
    return data + b"\0" * (-len(data) % to)


def member_of(fields):
    """Of a method call's header fields: a struct of code and variant each, at a multiple of 8."""
    at = 0
    while at < len(fields):
        at += -at % 8
        code, kind = fields[at], fields[at + 2:at + 3]
        at += 4
        if kind == b"g":
            at += fields[at] + 2
            continue
        at += -at % 4
        size, = struct.unpack_from("<I", fields, at)
        at += 4
        if kind != b"u":
            if code == MEMBER:
                return fields[at:at + size].decode()
            at += size + 1
    return None


class Bus:
    """job: the type of the unit's job, or None: it has none. silent: nobody is ever greeted."""

    def __init__(self, path, job=None, silent=False):
        self.address, self.job, self.silent, self.asked = f"unix:path={path}", job, silent, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                with peer, peer.makefile("rb") as stream, contextlib.suppress(ConnectionError, struct.error):
                    if self.silent:
                        stream.read()
                        continue
                    self._greet(peer, stream)
                    while self._answer(peer, stream):
                        pass

    @staticmethod
    def _greet(peer, stream):
        said = {b"AUTH EXTERNAL": b"DATA", b"DATA": b"OK " + b"0123456789abcdef" * 2,
                b"NEGOTIATE_UNIX_FD": b"AGREE_UNIX_FD"}
        stream.read(1)
        while (line := stream.readline().strip()) != b"BEGIN":
            peer.sendall(said[line] + b"\r\n")

    def _answer(self, peer, stream):
        head = stream.read(16)
        if len(head) < 16:
            return False
        _, _, _, _, body_len, serial, fields_len = struct.unpack("<4B3I", head)
        member = member_of(stream.read(fields_len + -fields_len % 8)[:fields_len])
        asked = stream.read(body_len)
        self.asked.append(member)
        kind, body = self._reply(member, asked)
        fields = pad(bytes([REPLY_SERIAL]) + signature("u") + struct.pack("<I", serial))
        fields += bytes([SIGNATURE]) + signature("g") + signature(kind)
        peer.sendall(pad(struct.pack("<4B3I", ord("l"), RETURN, 0, 1, len(body), len(self.asked), len(fields)) + fields)
                     + body)
        return True

    def _reply(self, member, asked):
        if member == "Hello":
            return "s", text(":1.7")
        if member == "GetUnitByPID":
            return "o", text(UNIT)
        if b"JobType" in asked:
            return "v", pad(signature("s"), 4) + text(self.job)
        return "v", pad(signature("(uo)")) + struct.pack("<I", 7 if self.job else 0) + text(JOB if self.job else "/")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
