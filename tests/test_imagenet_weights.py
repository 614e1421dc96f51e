"""ImageNet weights are of one revision, which is recorded; from a small hub made here."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import compatible_torchvision  # noqa: F401 - before timm
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save

from imil.errors import SettingsError
from imil.settings import is_weights_file
from imil.study.jobs.runner import _with_revision
from imil.study.plan import make_plan
from imil.training.imagenet_weights import with_revision
from imil.training.network import build

MODEL, REPOSITORY = "test_resnet", "timm/test_resnet.r160_in1k"
FIRST, SECOND = "1" * 40, "2" * 40


def weights(seed):
    torch.manual_seed(seed)
    return timm.create_model(MODEL).state_dict()


class Hub:
    """Two commits of a repository, `main` being the first until `move` is called."""

    def __init__(self):
        files = {
            commit: {"config.json": json.dumps({}).encode(), "model.safetensors": save(weights(n))}
            for n, commit in enumerate((FIRST, SECOND))
        }
        self.names = {"main": FIRST, FIRST: FIRST, SECOND: SECOND}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                parts = self.path.strip("/").split("/")  # OWNER/NAME/resolve/REVISION/FILE
                commit = hub.names.get(parts[3]) if parts[:2] == REPOSITORY.split("/") else None
                content = files.get(commit, {}).get(parts[-1])
                self.send_response(200 if content else 404)
                if content:
                    self.send_header("X-Repo-Commit", commit)
                    self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if body and content:
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def move(self):
        self.names["main"] = SECOND

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        yield self
        self.server.shutdown()
        self.server.server_close()
        thread.join()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with Hub().running() as hub:
        address = f"http://127.0.0.1:{hub.server.server_port}"
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield hub


def first_layer(text):
    return build(MODEL, classes=2, image_size=64, weights=text).state_dict()["conv1.0.weight"]


def test_the_revision_of_the_moment_is_named_and_taken_again_when_the_hub_has_another(hub):
    fixed = with_revision(MODEL, "imagenet")
    assert fixed == f"imagenet@{FIRST}"
    hub.move()
    assert torch.equal(first_layer(fixed), weights(0)["conv1.0.weight"])
    assert with_revision(MODEL, "imagenet") == f"imagenet@{SECOND}"
    assert torch.equal(first_layer(f"imagenet@{SECOND}"), weights(1)["conv1.0.weight"])


def test_a_branch_becomes_its_commit_and_a_commit_stays(hub):
    assert with_revision(MODEL, "imagenet@main") == f"imagenet@{FIRST}"
    assert with_revision(MODEL, f"imagenet@{SECOND}") == f"imagenet@{SECOND}"


@pytest.mark.parametrize("text", ["none", "a.safetensors", "imagenet.pt"])
def test_other_weights_are_as_given(text):
    assert with_revision(MODEL, text) == text
    assert is_weights_file(text) == (text != "none")


@pytest.mark.parametrize("text", ["imagenet@no-such-tag", f"imagenet@{'3' * 40}"])
def test_a_revision_that_the_hub_does_not_have_is_refused(hub, text):
    with pytest.raises(SettingsError, match="ImageNet weights of test_resnet could not be fetched"):
        first_layer(with_revision(MODEL, text))


def test_a_model_without_such_weights_is_refused():
    with pytest.raises(SettingsError, match="timm names no ImageNet weights of botnet50ts_256"):
        with_revision("botnet50ts_256", "imagenet")


def test_a_study_records_the_revision_and_keeps_it_when_it_is_continued(hub, tmp_path):
    training = {"model": MODEL, "weights": "imagenet", "image_size": 64}
    values = {"name": "A", "data": "films.csv", "arms": ["baseline"], "training": training}
    given = make_plan(values, base=tmp_path)
    first = _with_revision(given, None)
    assert first.training["weights"] == f"imagenet@{FIRST}"
    hub.move()
    assert _with_revision(given, first) == first
