"""What is known of clients goes along from image to image: rates that are used up, connections that have ended."""

import time

import pytest
from control import result
from netload import EchoServer
from netsite import BACKENDS, GATEWAY6, wait_until
from test_succession import FRONT, PORT, alone, config, reload, write_config
from wire import read_exactly


@pytest.fixture
def server(site):
    made = EchoServer(site.server, BACKENDS[0], PORT)
    yield made
    made.close()


def is_let_in(site, port=FRONT):
    try:
        with site.client.connect(GATEWAY6, port, 5) as client:
            client.sendall(b"x")
            return client.recv(1) == b"x"
    except ConnectionError:
        return False


def use_up(site, port=FRONT):
    """How many are let in before one is not."""
    return next(n for n in range(1000) if not is_let_in(site, port))


@pytest.mark.parametrize("option", ["rate", "rate-per-client", "rate-per-address"])
def test_rates(site, gateway, server, option):
    """One a second is all the time one a second: nothing is forgiven by a reload, also if the listener has moved."""
    first = f'listener "first" {{ bind = "*:81" pool = "p" connections {{ {option} = 1 }} }}'
    limited = f"connections {{ {option} = 1 }}"
    daemon = gateway(config=config(site, listener=limited))
    begin, let_in = time.monotonic(), 0
    for text in (config(site, first, listener=limited), config(site, listener=limited)) * 4:
        let_in += use_up(site)
        write_config(site, daemon, text)
        reload(daemon)
        alone(daemon)
    let_in += use_up(site)
    seconds = time.monotonic() - begin
    print(f"{let_in} in {seconds:.1f} s, over 8 images")
    assert let_in <= seconds + 2
    assert "could not be read" not in daemon.errors()


def visit(site, server):
    """A connection that comes and goes: its source."""
    with site.client.connect(GATEWAY6, FRONT) as client:
        client.sendall(b"x")
        assert read_exactly(client, 1) == b"x"
        connection, = [one for one, _ in server.connections.values()]
        source = "{}:{}".format(*connection.getpeername())
        before, = result(site, "who", source=source)["answers"]
        assert before["live"]
    wait_until(lambda: not result(site, "who", source=source)["answers"][0]["live"], "it has ended")
    wait_until(lambda: not server.connections, "the server has seen it")
    return source


def test_who_has_ended(site, gateway, server):
    """Every entry of before, with all that it says; also if there are fewer workers, and another listener in front."""
    daemon = gateway(config=config(site, listener="tlv { unique-id = yes }"))
    sources = [visit(site, server) for _ in range(10)]
    before = [result(site, "who", source=source)["answers"] for source in sources]
    assert all(answer[0]["unique_id"] for answer in before)
    front = 'listener "a" { bind = "*:81" pool = "p" }'
    for text, workers in ((config(site, front, workers=1), 1), (config(site), 2)):
        write_config(site, daemon, text)
        reload(daemon)
        alone(daemon, workers)
        assert [result(site, "who", source=source)["answers"] for source in sources] == before
    # Whose listener is gone is gone.
    write_config(site, daemon, config(site).replace('listener "l"', 'listener "other"'))
    reload(daemon)
    assert result(site, "who", source=sources[0])["answers"] == []


def test_too_many_have_ended(site, gateway, server):
    """As many as there is room for; those that come later are known."""
    daemon = gateway(config=config(site, workers=1))
    sources = [visit(site, server) for _ in range(6)]
    write_config(site, daemon, config(site, "who { entries = 4 }", workers=1))
    reload(daemon)
    alone(daemon, 1)
    known = [source for source in sources if result(site, "who", source=source)["answers"]]
    assert len(known) == 4 and "raise 'entries'" in daemon.errors()
    assert result(site, "who", source=visit(site, server))["answers"]
