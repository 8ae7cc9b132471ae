"""The status page in Chromium: what is seen, by whom, and that nothing else is asked for."""
import contextlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

import pytest

import samples
from chrome import Chrome

BUILD = pathlib.Path(__file__).parents[2] / os.environ.get("SIXGATE_BUILD", "build")
RENDER = BUILD / "tests/render_page"


def render(steps, folder):
    file = folder / "steps.json"
    file.write_text(json.dumps(steps))
    done = subprocess.run([RENDER, file], capture_output=True, check=True, timeout=60)
    return done.stdout.decode()


@contextlib.contextmanager
def served(html):
    """The page as the gateway serves it: with its policy, and nothing else at any other address."""
    policy = subprocess.run([RENDER, "--csp"], capture_output=True, check=True, text=True).stdout
    asked = []
    # A test that takes long is not to find another page in the middle of it.
    assert '<meta http-equiv="refresh" content="10">' in html
    html = html.replace('content="10"', 'content="1000"')

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = html.encode() if self.path == "/" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Security-Policy", policy.strip())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    chrome = Chrome(tmp_path_factory.mktemp("chromium"))
    yield chrome
    chrome.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    hostile = (samples.HOSTILE, "d" * 200, "p<>&")
    return {
        "well": render(samples.hour(), folder),
        "backend down": render(samples.hour("backend"), folder),
        "pool down": render(samples.hour("pool"), folder),
        "hostile": render(samples.hour("pool", names=hostile), folder),
        "empty": render([[samples.NOW, {}]], folder),
    }


EVERY = ("well", "backend down", "pool down", "hostile", "empty")


@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_asked_for_but_the_page(chrome, pages, name):
    with served(pages[name]) as (url, asked):
        chrome.open(url)
        wanted = [params["request"]["url"] for params in chrome.of_kind("Network.requestWillBeSent")]
        assert [address for address in wanted if not address.startswith("data:")] == [url]
        assert set(asked) == {"/"}
        assert chrome.of_kind("Log.entryAdded") == []
        assert chrome.of_kind("Runtime.consoleAPICalled") == []
        assert chrome.of_kind("Runtime.exceptionThrown") == []
        # The policy lets the style sheet through.
        assert chrome.evaluate("getComputedStyle(document.querySelector('.card,.y')).display") != ""
        assert chrome.evaluate("getComputedStyle(document.querySelector('header')).display") == "grid"


def test_policy_forbids_scripts(chrome, pages):
    """Were a name to get out of its quotes, it could still do nothing."""
    script = "<script>document.title = 'ran'</script><img src='/picture'></body>"
    with served(pages["well"].replace("</body>", script)) as (url, asked):
        chrome.open(url)
        assert "ran" not in chrome.evaluate("document.title")
        assert set(asked) == {"/"}
        assert len(chrome.of_kind("Log.entryAdded")) > 0


@pytest.mark.parametrize("width", (320, 360, 768, 1280, 2560))
@pytest.mark.parametrize("name", EVERY)
def test_no_sideways_scrolling(chrome, pages, name, width):
    with served(pages[name]) as (url, _):
        chrome.open(url, width)
        assert chrome.evaluate("innerWidth") == width
        assert chrome.evaluate("document.documentElement.scrollWidth") <= width
        # Nor does anything hang out of its box.
        out = chrome.evaluate("""[...document.querySelectorAll('body *')].filter(element =>
            element.getBoundingClientRect().right > innerWidth + 0.5 && !element.closest('.wide, svg'))
            .map(element => element.outerHTML.slice(0, 80))""")
        assert out == []


def text_without_script(chrome, url):
    chrome.open(url, script=False)
    root = chrome.call("DOM.getDocument", depth=0)["root"]["nodeId"]
    body = chrome.call("DOM.querySelector", nodeId=root, selector="body")["nodeId"]
    html = chrome.call("DOM.getOuterHTML", nodeId=body)["outerHTML"]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_essentials_without_script(chrome, pages):
    with served(pages["pool down"]) as (url, _):
        text = text_without_script(chrome, url)
    for words in ("Partly down", "Pool web is down", "Live flows", "Connections per second",
                  "192.0.2.10:8080", "[2001:db8::80]:443", "pool down", "0 of 4 backends up", "Workers",
                  "turned away: no backend of the pool is up", "over a limit",
                  "too many of one client at once"):
        assert words in text, words
    assert "<script" not in pages["pool down"]


@pytest.mark.parametrize("name, word, health", (("well", "All is well", "well"),
                                                ("backend down", "Degraded", "degraded"),
                                                ("pool down", "Partly down", "down")))
def test_state_in_words_shape_and_colour(chrome, pages, name, word, health):
    with served(pages[name]) as (url, _):
        chrome.open(url)
        assert chrome.evaluate("document.querySelector('h1').innerText") == word
        assert chrome.evaluate("document.title").startswith(word)
        assert chrome.evaluate("document.querySelector('header').className") == health
        shapes = {"well": "circle", "degraded": ".body", "down": "rect"}
        assert chrome.evaluate(f"!!document.querySelector('header > svg {shapes[health]}')")
        red, green, _ = chrome.evaluate(
            "getComputedStyle(document.querySelector('h1')).color.match(/\\d+/g).map(Number)")
        assert (green > red) if health == "well" else (red > green)
        # Seen without scrolling, on a phone too.
        assert chrome.evaluate("document.querySelector('h1').getBoundingClientRect().bottom") < 300


def test_pool_down_in_the_diagram(chrome, pages):
    with served(pages["pool down"]) as (url, _):
        chrome.open(url)
        pools = chrome.evaluate("""[...document.querySelectorAll('.pool')].map(pool =>
            [pool.className, pool.innerText, getComputedStyle(pool).borderLeftStyle])""")
        assert [("down" in name, "pool down" in text, style) for name, text, style in pools] == [
            (True, True, "dashed"), (False, False, "solid")]
        links = chrome.evaluate("""[...document.querySelector('.route').querySelectorAll('.link')]
            .map(link => [link.classList[1], getComputedStyle(link).strokeDasharray])""")
        assert len(links) == 6
        assert all(name == "down" and dashes != "none" for name, dashes in links)


def test_lines_are_as_thick_as_their_share(chrome, pages):
    with served(pages["well"]) as (url, _):
        chrome.open(url)
        widths = chrome.evaluate("""[...document.querySelector('.route').querySelectorAll('.pool + .links .link')]
            .map(link => parseFloat(getComputedStyle(link).strokeWidth))""")
        assert widths == sorted(widths, reverse=True) and widths[0] > 2 * widths[-1]


def test_hostile_names_are_text(chrome, pages):
    with served(pages["hostile"]) as (url, _):
        chrome.open(url)
        assert chrome.evaluate("document.querySelectorAll('script, img, bdi b').length") == 0
        names = chrome.evaluate("[...document.querySelectorAll('h4 bdi')].map(e => e.textContent)")
        assert samples.HOSTILE in names and "p<>&" in names and "d" * 200 in names


@pytest.mark.parametrize("name", EVERY)
def test_pictures_are_xml_with_titles(pages, name):
    pictures = re.findall(r"<svg.*?</svg>", pages[name], re.S)
    assert len(pictures) >= 5
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        if root.get("aria-hidden") != "true":
            assert root.get("role") == "img"
            assert root.find("title").text
        for path in root.iter("path"):
            assert not re.search(r"nan|inf", path.get("d"))
    plots = [root for root in map(ElementTree.fromstring, pictures) if root.find("desc") is not None]
    assert len(plots) == (4 if name == "empty" else 5)
    assert all("Highest: " in plot.find("desc").text for plot in plots)


def test_plots_show_what_happened(chrome, pages):
    with served(pages["pool down"]) as (url, _):
        chrome.open(url)
        lines = chrome.evaluate("""[...document.querySelectorAll('.plot')].map(plot =>
            [...plot.querySelectorAll('.axes .line')].map(line => line.getBBox().width))""")
        assert all(width > 550 for widths in lines for width in widths), lines
        # What was not served is there, above what was.
        assert chrome.evaluate("document.querySelector('.plot .area.bad').getBBox().height") > 30


CONTRAST = """
(() => {
    const parse = colour => colour.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const colour = parse(getComputedStyle(element).backgroundColor);
            if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const bad = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || element.closest('svg')) continue;
        const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))]
            .sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        seen++;
        if (ratio < 4.5) bad.push([walker.currentNode.data, ratio]);
    }
    return [seen, bad];
})()
"""


@pytest.mark.parametrize("dark", (False, True))
@pytest.mark.parametrize("name", EVERY)
def test_contrast(chrome, pages, name, dark):
    with served(pages[name]) as (url, _):
        chrome.open(url, dark=dark)
        background = chrome.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(re.search(r"\d+", background)[0]) < 128) == dark
        seen, bad = chrome.evaluate(CONTRAST)
        assert seen > 20 and bad == []


def test_text_is_readable_on_a_phone(chrome, pages):
    with served(pages["pool down"]) as (url, _):
        chrome.open(url, 360, 740)
        sizes = chrome.evaluate("""[...document.querySelectorAll('p, li, td, th, dt, dd, span, h4')]
            .map(element => parseFloat(getComputedStyle(element).fontSize))""")
        assert min(sizes) >= 11
        # The lines give way to a tree: every box is below the one before.
        assert chrome.evaluate("getComputedStyle(document.querySelector('.links')).display") == "none"


def test_size(pages):
    assert max(len(page) for page in pages.values()) < 400_000
