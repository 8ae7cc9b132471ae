"""Fixtures for tests of whole sites; netsite/__init__.py says how they are used."""

import os
import re

import pytest

from netsite import Site, build_dir
from netsite.manager import Manager

SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:")


@pytest.fixture
def site():
    with Site() as made:
        yield made


@pytest.fixture
def manager(site):
    made = Manager(site)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_site():
    with Site() as made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def needs_root():
    if os.geteuid() != 0:
        pytest.exit("network namespaces need root: run with sudo", returncode=1)


@pytest.fixture
def gateway(site):
    if not (build_dir() / "sixgated").exists():
        pytest.fail(f"{build_dir()}/sixgated is missing: run make first")
    started = []

    def start(config=None, args=None, **options):
        options.setdefault("name", f"sixgated{len(started)}")
        daemon = site.sixgated(args, **options) if config is None else site.sixgated_config(config, **options)
        started.append(daemon)
        return daemon

    yield start
    for daemon in started:
        check_end(daemon)


def check_end(daemon):
    ended_by_test = not daemon.alive()
    status = daemon.stop()
    report = SANITIZER_REPORT.search(daemon.errors())
    assert not report, daemon.errors()
    assert ended_by_test or status == 0, f"exit status {status} on SIGTERM:\n{daemon.errors()}"
