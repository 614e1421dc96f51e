"""Generated requests from the OpenAPI description never cause a server error."""

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
    """Address and store of a reading room with a round."""
    store = make_store(tmp_path_factory.mktemp("room"))
    with serving(store.path) as address:
        yield address, store
    store.close()


def operations(address):
    """Every operation of the description, with sign-out last."""
    schema = schemathesis.openapi.from_dict(APPS[address].openapi())
    all_operations = [result.ok() for result in schema.get_all_operations()]
    last = ("/api/lock", "/api/sign-out")
    return sorted(all_operations, key=lambda one: (one.path in last, one.path))


def test_the_description_has_every_path_of_the_api(room):
    address, _ = room
    paths = {operation.path for operation in operations(address)}
    assert {"/api/session", "/api/lobby", "/api/images/{sha256}"} <= paths
    assert len(paths) == 25


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("kind", ["reader", "owner"])
def test_no_generated_request_causes_a_server_error(room, kind, mode):
    address, store = room
    with requests.Session() as browser:
        browser.post(f"{address}/in/{link(store, kind=kind)}")
        for operation in operations(address):
            with suppress(Unsatisfiable):  # every request is valid
                send_generated(browser, address, operation, mode)
    stored = store.readings("films@70")
    assert len({one.id for one in stored}) == len(stored)


def send_generated(browser, address, operation, mode):
    """Send valid or invalid requests of an operation."""
    (session,) = browser.cookies
    headers = {"Origin": address, "Cookie": f"{session.name}={session.value}"}

    @seed(7)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=SLOW,
    )
    @given(case=operation.as_strategy(generation_mode=mode), existing=st.booleans())
    def send(case, existing):
        # random numbers would hardly ever match the only round
        known = {"epoch": 70, "number": 2} if existing else {}
        given_ = case.path_parameters or {}
        case.path_parameters = {k: known.get(k, v) for k, v in given_.items()}
        # uvicorn itself rejects a URL longer than 64 KiB
        assume(len(str(case.query)) < 10_000)
        answer = case.call(base_url=address, session=browser, headers=headers, timeout=120)
        case.validate_response(answer, checks=CHECKS)

    send()
