"""Clients that never rest, and the server that answers them, to see what a disturbance costs."""

import contextlib
import itertools
import select
import socket
import struct
import threading
import time

from netsite import wait_until
from wire import SIGNATURE


class EchoServer:
    """Sends back what comes, behind a header if there is one, on any number of connections."""

    def __init__(self, namespace, host, port):
        self.listener = namespace.listen(host, port, 4096)
        self.listener.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.connections, self.running = {}, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.thread.join(10)
        for connection, _ in self.connections.values():
            connection.close()
        self.listener.close()
        self.poll.close()

    def _run(self):
        while self.running:
            for fd, _ in self.poll.poll(0.05):
                if fd == self.listener.fileno():
                    connection, _ = self.listener.accept()
                    connection.setblocking(False)
                    self.connections[connection.fileno()] = [connection, None]
                    self.poll.register(connection, select.EPOLLIN)
                else:
                    self._serve(fd)

    def _serve(self, fd):
        connection, header = self.connections[fd]
        data = b""
        with contextlib.suppress(OSError):
            data = connection.recv(65536)
            if header is None and data:
                header = 16 + struct.unpack_from("!H", data, 14)[0] if data.startswith(SIGNATURE) else 0
            skipped = min(header or 0, len(data))
            self.connections[fd][1] = header - skipped if data else 0
            if data[skipped:]:
                connection.sendall(data[skipped:])
        if not data:
            self.poll.unregister(fd)
            self.connections.pop(fd)[0].close()


class Load:
    """Threads that keep opening connections, and streams that never pause. targets(): an endless choice of what
    to connect to, as (host, port). lost: (when begun, what) of connections that did not come about; slow: how
    many took long; broken: streams that ended or did not get back what they had sent."""

    def __init__(self, site, targets, n_streams=20):
        self.site, self.targets, self.stop = site, targets, threading.Event()
        self.done, self.slow, self.lost, self.broken = 0, 0, [], []
        self.streams = {}
        for host, port in itertools.islice(self.targets(), n_streams):
            connection = site.client.connect(host, port)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.streams[connection.fileno()] = [connection, 0, b"", (host, port)]
        self.threads = [threading.Thread(target=self._open, args=(start,), daemon=True) for start in range(3)]
        self.threads.append(threading.Thread(target=self._stream, daemon=True))
        for thread in self.threads:
            thread.start()

    def close(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(10)
        for connection, *_ in self.streams.values():
            connection.close()

    def _open(self, start):
        for host, port in itertools.islice(self.targets(), start, None, 3):
            if self.stop.is_set():
                return
            began = time.monotonic()
            try:
                with self.site.client.connect(host, port, 5) as client:
                    client.sendall(b"x")
                    if client.recv(1) != b"x":
                        raise ConnectionError("no echo")
                self.done += 1
                self.slow += time.monotonic() - began > 0.5
            except OSError as error:
                self.lost.append((began, f"{host}:{port}: {error}"))
                self.stop.wait(0.002)

    def _stream(self):
        poll = select.poll()
        for fd, stream in self.streams.items():
            poll.register(fd, select.POLLIN)
            self._say(stream)
        while not self.stop.is_set():
            for fd, _ in poll.poll(50):
                stream = self.streams[fd]
                try:
                    self._hear(stream)
                except OSError as error:
                    self.broken.append(f"{stream[3]}: {error}")
                    poll.unregister(fd)

    @staticmethod
    def _say(stream):
        stream[0].sendall(struct.pack("!Q", stream[1]) * 8)

    def _hear(self, stream):
        data = stream[0].recv(4096)
        if not data:
            raise ConnectionError("ended")
        stream[2] += data
        if len(stream[2]) >= 64:
            if stream[2] != struct.pack("!Q", stream[1]) * 8:
                raise ConnectionError("not what was sent")
            stream[1], stream[2] = stream[1] + 1, b""
            self._say(stream)

    def rounds(self):
        return [stream[1] for stream in self.streams.values()]

    def goes_on(self, count=30):
        """Every stream and new connections get further from here."""
        before, done = self.rounds(), self.done
        wait_until(lambda: self.broken or (self.done >= done + count and
                                           all(now > then + 2 for now, then in zip(self.rounds(), before))),
                   "load goes on")
