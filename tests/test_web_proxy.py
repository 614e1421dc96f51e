"""The reading room behind a proxy that takes a prefix off the path and ends TLS."""

import ssl
from contextlib import contextmanager

import httpx
import pytest
from browsers import TIMEOUT, chromium
from proxies import PREFIX, free_port, make_certificate, nginx_proxy, own_proxy
from rooms import link, make_store, serving
from slow_params import slow

from imil.web.server import ServerConfig

pytestmark = [
    pytest.mark.process,
    # a browser that is closed leaves connections of the small proxy to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PROXIES = pytest.mark.parametrize("proxy", [own_proxy, *slow(nginx_proxy)])


@pytest.fixture
def store(tmp_path):
    made = make_store(tmp_path)
    yield made
    made.close()


@contextmanager
def behind(proxy, store, folder):
    """The public address of the room."""
    port = free_port()
    public = f"https://127.0.0.1:{port}{PREFIX}"
    config = ServerConfig(port=0, behind_proxy="127.0.0.1", public_url=public).validated()
    make_certificate(folder)
    with serving(store.path, config) as upstream, proxy(folder, port, upstream):
        yield config.address(0)


@PROXIES
def test_a_link_and_every_address_of_the_page_stay_under_the_prefix(proxy, store, tmp_path):
    with behind(proxy, store, tmp_path) as public:
        trust = ssl.create_default_context(cafile=str(tmp_path / "room.pem"))
        with httpx.Client(verify=trust, follow_redirects=True, timeout=60) as browser:
            page = browser.post(f"{public}/in/{link(store)}")
            assert str(page.url) == f"{public}/"
            assert "Secure" in page.history[0].headers["set-cookie"]
            round_ = browser.get(f"{public}/api/rounds/70").json()
            image = httpx.URL(f"{public}/").join(round_["cases"][0]["image"]["url"])
            assert browser.get(image).status_code == 200
            root = public.removesuffix(PREFIX.rstrip("/"))
            # nginx has no such file, or may not look for it
            assert browser.get(f"{root}/api/rounds/70").status_code in (403, 404)


@PROXIES
def test_a_case_is_read_in_a_browser_behind_a_prefix(proxy, store, tmp_path):
    with behind(proxy, store, tmp_path) as public, chromium() as browser:
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(TIMEOUT)
        page = context.new_page()
        addresses, errors = [], []
        page.on("request", lambda request: addresses.append(request.url))
        page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
        page.goto(f"{public}/in/{link(store)}")
        page.get_by_role("button", name="Open the reading room").click()
        page.get_by_role("button", name="Start reading").click()
        page.wait_for_selector("imil-case[data-case='1'][data-state=painted]")
        box = page.locator("#square-6").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.get_by_role("button", name="Submit", exact=True).first.click()
        page.wait_for_selector("imil-case[data-case='2'][data-state=painted]")
        page.wait_for_selector(".state[data-state=good]")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="sign out").click()
        page.get_by_role("heading", name="Sign in with your link").wait_for()
        assert page.url == f"{public}/"
        context.close()
    assert [one.squares for one in store.readings("films@70")] == [(6,)]
    outside = {url for url in addresses if not url.startswith((public, "blob:", "data:"))}
    assert outside == set()
    # the browser reports the answer after the sign-out, and a request that the sign-out has cut off
    expected = ("401", "ERR_TOO_MANY_RETRIES")
    assert [text for text in errors if not any(one in text for one in expected)] == []
