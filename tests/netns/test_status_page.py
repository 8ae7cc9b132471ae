"""The status page of a gateway that runs, looked at in Chromium (tests/browser), while its only server goes and comes."""

import contextlib
import http.client
import http.server
import signal
import sys
import threading
from pathlib import Path

import pytest
from netsite import SERVER4, VIP6, wait_until

sys.path.append(str(Path(__file__).parents[1] / "browser"))
from chrome import Chrome  # noqa: E402

PORT, METRICS = 7000, 9166


def config(site):
    return f"""run-directory = "{site.dir}/run"
        workers = 2
        drain = 2s
        access-log = off
        metrics {{}}
        listener "web" {{ bind = "[{VIP6}]:{PORT}" pool = "servers" }}
        pool "servers" {{
            backend "{SERVER4}:{PORT}" {{}}
            check {{ type = tcp interval = 100ms rise = 1 fall = 1 }}
        }}
    """


def ask(site, path):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = site.gateway.connect("::1", METRICS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@contextlib.contextmanager
def forwarded(site):
    """The gateway's HTTP server, as Chromium outside of the site can reach it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = ask(site, self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def serving(site):
    """A server that reads the header of every connection, and ends it."""
    with site.server.listen(SERVER4, PORT) as server:
        def accept():
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as peer:
                        peer.recv(100)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(2)
            thread.join()


@pytest.fixture
def chrome(tmp_path):
    chrome = Chrome(tmp_path / "chromium")
    yield chrome
    chrome.close()


def read_page(chrome, url):
    """Opened anew: the headline, and all text."""
    chrome.open(url)
    return chrome.evaluate("[document.querySelector('h1')?.innerText, document.body.innerText]")


def shows(chrome, url, headline, *words):
    def there():
        got, text = read_page(chrome, url)
        return got == headline and all(word in text for word in words)

    wait_until(there, f"the page says {headline} and {words}", 40)


def test_pool_goes_and_comes(site, gateway, chrome):
    daemon = gateway(config=config(site))
    with forwarded(site) as url:
        with serving(site):
            shows(chrome, url, "All is well", "web", f"{SERVER4}:{PORT}", "1 of 1 backends up")
            with site.client.connect(VIP6, PORT) as client:
                assert client.recv(1) == b""
            assert chrome.evaluate("document.querySelectorAll('.plot svg[role=img]').length") == 4
            assert chrome.of_kind("Log.entryAdded") == []
        shows(chrome, url, "Down", "pool down", "pool servers: down, no backend is left")
        with pytest.raises(ConnectionError), site.client.connect(VIP6, PORT) as client:
            assert client.recv(1) != b""
        # The next image remembers.
        ready = daemon.errors().count("ready: ")
        daemon.kill(signal.SIGHUP)
        wait_until(lambda: daemon.errors().count("ready: ") > ready, "a successor is ready", 20)
        shows(chrome, url, "Down", "pool servers: down, no backend is left")
        with serving(site):
            shows(chrome, url, "All is well", "pool servers: up again", "pool servers: down, no backend is left")


def test_headers(site, gateway):
    gateway(config=config(site))
    status, headers, body = ask(site, "/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert headers["Cache-Control"] == "no-store"
    assert body.startswith(b"<!DOCTYPE html>") and b"<script" not in body
    assert headers["Content-Length"] == str(len(body))
