"""A program on a terminal, and what can be seen there."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte


class Terminal:
    """Usable in a with statement. screen: pyte's; lines(): the text on it."""

    def __init__(self, namespace, argv, columns=80, rows=24, term="linux", env=None):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        self._set_size(columns, rows)
        env = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8", **(env or {})}
        # The size of its controlling terminal is what a program is told of.
        self.process = namespace.popen(["setsid", "-c", *map(str, argv)], stdin=slave, stdout=slave, stderr=slave,
                                       env=env, start_new_session=False)
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.master)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()

    def _set_size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        self._set_size(columns, rows)

    def type(self, text):
        os.write(self.master, text.encode())

    def look(self):
        """Takes in what has been written by now; False: nothing was."""
        if not select.select([self.master], [], [], 0.02)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            return False
        self.stream.feed(data)
        return bool(data)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def wait(self, condition, what, timeout=15):
        """Until condition(text) is true; returns that text."""
        deadline = time.monotonic() + timeout
        while not condition(self.text()):
            self.look()
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout} s: {what}; there is\n{self.text()}")
        return self.text()

    def wait_end(self, timeout=10):
        """Its exit status."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            self.look()
        while self.look():
            pass
        return self.process.poll()

    def html(self, title):
        """The screen as it looks, for a browser."""
        colours = {"default": "#d0d0d0", "green": "#4ec94e", "red": "#ff6060", "brown": "#e0c040"}
        rows = []
        for y in range(self.screen.lines):
            cells = []
            for x in range(self.screen.columns):
                cell = self.screen.buffer[y][x]
                fore, back = colours.get(cell.fg, "#d0d0d0"), "#101418"
                if cell.reverse:
                    fore, back = back, fore
                text = {"<": "&lt;", "&": "&amp;"}.get(cell.data, cell.data)
                cells.append(f'<span style="color:{fore};background:{back};'
                             f'font-weight:{"bold" if cell.bold else "normal"}">{text}</span>')
            rows.append("".join(cells))
        return (f'<meta charset="utf-8"><title>{title}</title><body style="margin:8px;background:#101418">'
                f'<pre style="font:14px/18px monospace;margin:0">' + "\n".join(rows) + "</pre>")
