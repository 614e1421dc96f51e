"""Requests that nobody thought of, made from the OpenAPI description: never a 5xx."""

from contextlib import suppress

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from rooms import APPS, link, make_store, serving
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

EXAMPLES = 5  # for each operation and each of both modes
CHECKS = [not_a_server_error, response_schema_conformance]
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Address and store of a room with a round in it."""
    store = make_store(tmp_path_factory.mktemp("room"))
    with serving(store.path) as address:
        yield address, store
    store.close()


def operations(address):
    """Every operation of the description; signing out comes last."""
    schema = schemathesis.openapi.from_dict(APPS[address].openapi())
    found = [result.ok() for result in schema.get_all_operations()]
    return sorted(found, key=lambda one: (one.path == "/api/sign-out", one.path))


def test_the_description_names_every_path_of_the_api(room):
    address, _ = room
    paths = {operation.path for operation in operations(address)}
    assert {"/api/session", "/api/lobby", "/api/images/{sha256}"} <= paths
    assert len(paths) == 18


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("kind", ["reader", "owner"])
def test_no_request_brings_the_server_down(room, kind, mode):
    address, store = room
    with requests.Session() as browser:
        browser.get(f"{address}/in/{link(store, kind=kind)}")
        for operation in operations(address):
            with suppress(Unsatisfiable):  # nothing to send can be wrong
                hammer(browser, address, operation, mode)
    stored = store.readings("films@70")
    assert len({one.id for one in stored}) == len(stored)


def hammer(browser, address, operation, mode):
    """Send the server what the description allows, or what it does not."""
    headers = {"Origin": address, "Cookie": f"imil_session={browser.cookies['imil_session']}"}

    @seed(7)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=SLOW,
    )
    @given(case=operation.as_strategy(generation_mode=mode), ours=st.booleans())
    def send(case, ours):
        # numbers at random would hardly ever meet the one round that there is
        known = {"epoch": 70, "number": 2} if ours else {}
        given_ = case.path_parameters or {}
        case.path_parameters = {k: known.get(k, v) for k, v in given_.items()}
        # uvicorn itself refuses an address longer than 64 KiB, before any of our code runs
        assume(len(str(case.query)) < 10_000)
        answer = case.call(base_url=address, session=browser, headers=headers, timeout=600)
        case.validate_response(answer, checks=CHECKS)

    send()
