"""The reading room in a notebook: a real kernel, and its output in a real browser."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from browsers import TIMEOUT, chromium
from kernels import kernel
from rooms import make_store, serving

from imil.errors import SettingsError
from imil.notebook.kernel import notebook_page
from imil.notebook.reading_frame import Notebook, frame_html, reader_named
from imil.round_settings import check_rounds
from imil.settings import resolve
from imil.store import Store
from imil.store.invitations import LinkExpired, check_link
from imil.web.server import ServerConfig

SETUP = """
import sys
sys.path.insert(0, {tests!r})
import contract
from imil.cases import RoundSettings
from imil.notebook import Notebook
from imil.pytorch import IMIL
samples, net = contract.make_samples(), contract.make_net()
store = contract.Store("s.sqlite")
ask = Notebook(store, "Dr. <Lee>", through={through!r})
rounds = IMIL(samples, net, ask, store=store, imil_epoch=1, num_outliers=2)
"""


@contextmanager
def page_with(html):
    """The address of a page on a port of its own that has the output of a cell."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"<!doctype html><meta charset=utf-8><title>n</title><body>{html}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def begin(one, request, through="port"):
    tests = str(request.path.parent)
    assert one.run(SETUP.format(tests=tests, through=through)) is None


@pytest.mark.slow
@pytest.mark.process
def test_a_round_is_read_in_the_frame_that_a_cell_shows(tmp_path, request):
    with kernel(tmp_path) as one, chromium() as browser:
        begin(one, request)
        one.start("held = rounds.after_epoch(1); print(held.state, samples.corrected(0) is None)")
        one.wait_until(lambda: one.shown)
        (html,) = one.shown.values()
        assert "Dr. &lt;Lee&gt;" in html
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT)
        with page_with(html) as address:
            tab = context.new_page()
            tab.goto(f"http://{address}")
            room = tab.frame_locator("iframe")
            room.get_by_role("button", name="Open the reading room").click()
            room.get_by_role("button", name="Start reading").click()
            for number in (1, 2):
                case = f"imil-case[data-case='{number}'][data-state=painted][data-ready]"
                room.locator(case).wait_for()
                room.get_by_role("button", name="Label looks wrong").first.click()
            room.get_by_role("button", name="Finish the round").first.click()
            one.wait()
        context.close()
        assert one.error is None
        assert "applied" in one.text
        (html,) = one.shown.values()
        assert html == "<p>The round after epoch 1 is closed: 2 of 2 cases are read.</p>"


@pytest.mark.slow
@pytest.mark.process
def test_an_interrupted_kernel_keeps_what_is_read_and_goes_on(tmp_path, request):
    with kernel(tmp_path) as one:
        begin(one, request, "link")
        one.start("rounds.after_epoch(1)")
        one.wait_until(lambda: one.shown)
        (html,) = one.shown.values()
        assert "<iframe" not in html
        link = re.search(r'href="([^"]+/in/[^"]+)"', html)[1]
        one.interrupt()
        assert one.wait().startswith(
            "RoundPaused: the round after epoch 1 was interrupted with 0 of 2"
        )
        assert one.traceback == [one.error]  # a sentence
        (html,) = one.shown.values()
        assert "is open: 0 of 2" in html
        # the room is closed, and its link opens nothing any more
        store = Store(tmp_path / "s.sqlite")
        with pytest.raises(LinkExpired):
            check_link(store, link.rpartition("/")[2])
        store.close()
        one.start("rounds.after_epoch(1)")
        one.wait_until(lambda: len(one.shown) == 2)
        one.interrupt()
        assert one.wait().startswith("RoundPaused")


HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/lee/"}
LOCAL = {"hostname": "localhost", "port": 8888, "base_url": "/", "secure": False}
ORIGINS = ("http://localhost:8888", "http://127.0.0.1:8888")


@pytest.mark.parametrize(
    ("through", "environment", "server", "framed_by", "prefix"),
    [
        ("auto", {}, LOCAL, ORIGINS, None),
        ("auto", HUB, {}, ("'self'",), "/user/lee/"),
        ("auto", {"VSCODE_PID": "1"}, LOCAL, (), None),
        ("auto", {}, {}, (), None),
        ("auto", {}, LOCAL | {"hostname": "gpu7"}, (), None),  # without jupyter-server-proxy
        ("auto", {}, LOCAL | {"secure": True}, (), None),
        ("proxy", {}, LOCAL | {"base_url": "/lab/"}, ("'self'",), "/lab/"),
        ("proxy", {}, LOCAL, ("'self'",), "/"),
        ("port", HUB, LOCAL, ORIGINS, None),
        ("port", {}, {}, ("http://localhost:*", "http://127.0.0.1:*"), None),
        ("link", HUB, LOCAL, (), None),
    ],
)
def test_only_the_page_of_the_notebook_may_frame_the_room(
    through, environment, server, framed_by, prefix, monkeypatch
):
    monkeypatch.setattr("imil.notebook.kernel.find_spec", lambda _name: None)
    page = notebook_page(through, environment=environment, server=server)
    assert (page.framed_by, page.prefix) == (framed_by, prefix)
    ServerConfig(framed_by=" ".join(framed_by) or None).validated()


def test_another_way_to_the_page_is_refused():
    with pytest.raises(SettingsError, match="invalid through 'ssh': give auto, port, proxy or"):
        notebook_page("ssh")


def test_outside_a_notebook_the_reader_is_refused_in_a_sentence(tmp_path):
    store = Store(tmp_path / "s.sqlite")
    for make in (lambda: Notebook(store), lambda: reader_named("notebook", store)):
        with pytest.raises(SettingsError, match="is not the kernel of one: give another reader"):
            make()
    with pytest.raises(SettingsError, match="is not the kernel of one: give --reader web"):
        check_rounds(resolve({"data": "films.csv", "reader": "notebook"}))
    store.close()


@pytest.mark.parametrize("ask", ["web", "", 7, None])
def test_what_is_no_reader_is_refused_before_training(ask, tmp_path):
    store = Store(tmp_path / "s.sqlite")
    with pytest.raises(SettingsError, match="give 'notebook', or a reader such as"):
        reader_named(ask, store)
    store.close()


@pytest.mark.parametrize("source", ["*", "https:", "http://a.org; script-src *", "http://a b", ""])
def test_a_source_that_would_let_others_frame_the_room_is_refused(source):
    with pytest.raises(SettingsError, match="invalid framed_by"):
        ServerConfig(framed_by=source).validated()


def test_a_host_name_is_made_known_once_by_the_secret_alone(tmp_path):
    make_store(tmp_path).close()
    config = ServerConfig(port=0, framed_by="'self'", introduction="abc")
    with serving(tmp_path / "imil.sqlite", config) as address:

        def asked(host, query=""):
            return httpx.get(f"{address}/{query}", headers={"Host": host})

        assert asked("evil.org").status_code == 421
        assert asked("evil.org", "?host=abd").status_code == 421
        first = asked("hub.org", "?host=abc")
        assert first.status_code == 200
        assert "frame-ancestors 'self'" in first.headers["content-security-policy"]
        assert asked("hub.org").status_code == 200
        assert asked("evil.org", "?host=abc").status_code == 421
    with serving(tmp_path / "imil.sqlite") as address:
        answer = httpx.get(f"{address}/?host=", headers={"Host": "evil.org"})
        assert (answer.status_code, answer.headers["x-frame-options"]) == (421, "DENY")


def test_what_a_server_calls_itself_cannot_end_the_script(tmp_path):
    store = make_store(tmp_path)
    (round_,) = store.rounds("films")
    page = notebook_page("proxy", environment={}, server={"base_url": "/</script><b>/"})
    html = frame_html(round_, "<i>", 8090, "in/x", page, 800)
    assert "<b>" not in html
    assert "<i>" not in html
    assert html.count("</script>") == 1
    store.close()
