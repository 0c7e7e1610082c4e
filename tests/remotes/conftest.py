"""Servers that the tests of remotes share; who kills one starts its own."""

import itertools

import pytest

from tests.remotes.servers import InfluxGate, InfluxServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def influx_server(tmp_path_factory):
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


@pytest.fixture(scope="session")
def influx_gate(tmp_path_factory, influx_server):
    with InfluxGate(tmp_path_factory.mktemp("gate"), influx_server) as gate:
        yield gate


@pytest.fixture
def database(influx_server):
    """A new database on the shared server."""
    name = f"test{next(_numbers)}"
    influx_server.create(name)
    yield name
    influx_server.ask(f'DROP DATABASE "{name}"')
