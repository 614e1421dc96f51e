"""Addresses of databases: the password is kept apart, and no message shows a piece of it."""

import json

import pytest

from imil.errors import SettingsError
from imil.run_folder import RunFolder
from imil.run_store import run_store
from imil.settings import load_config, resolve
from imil.store_address import DatabaseUrl, location

ADDRESS = "postgresql+psycopg://imil@db.example.org/studies"


@pytest.mark.parametrize(
    ("given", "text", "password"),
    [
        (ADDRESS, ADDRESS, None),
        ("postgresql://imil:pa%40ss%2F1@db.example.org/studies", ADDRESS, "pa@ss/1"),
        ("postgres://imil:pa@ss@db.example.org/studies", ADDRESS, "pa@ss"),
        ("postgresql://imil:@db.example.org/studies", ADDRESS, ""),
        (
            "postgresql://imil:x@[::1]:5433/studies",
            "postgresql+psycopg://imil@[::1]:5433/studies",
            "x",
        ),
        ("postgresql://db/s", "postgresql+psycopg://db/s", None),
        (
            "postgresql://imil:x@/s?host=/run/postgresql&sslmode=disable",
            "postgresql+psycopg://imil@/s?host=%2Frun%2Fpostgresql&sslmode=disable",
            "x",
        ),
    ],
)
def test_an_address_has_its_password_apart(given, text, password):
    url = DatabaseUrl.parse(given)
    assert (str(url), url.password) == (text, password)
    assert DatabaseUrl.parse(str(url)) == url
    assert "pa" not in repr(url).replace("passw", "").replace("psycopg", "")


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://imil:12/secret@db/studies",
        "postgresql://imil:secret/secret@db/studies",
        "postgresql://imil:12#secret@db/studies",
        "postgresql://imil:12?secret@db/studies",
        "postgresql://imil:secret@db",
        "postgresql://imil:secret@db:port/studies",
        "postgresql://imil@db/studies?password=secret",
        "postgresql://imil@db/studies?passfile=secret",
        "mysql://imil:secret@db/studies",
        "postgresql://imil:secret@[db/studies",
    ],
)
def test_an_invalid_address_is_one_sentence_without_any_part_of_it(given):
    with pytest.raises(SettingsError, match="expected") as caught:
        location(given)
    assert "secret" not in str(caught.value)
    assert "12" not in str(caught.value)


def test_settings_are_written_without_the_password(tmp_path):
    settings = resolve(
        {"data": "x.csv", "store": "postgresql://imil:secret@db.example.org/studies"}
    )
    assert settings.store.password == "secret"
    settings.write(tmp_path / "config.toml")
    assert "secret" not in (tmp_path / "config.toml").read_text()
    assert "secret" not in repr(settings) + json.dumps(settings.model_dump(mode="json"))
    assert resolve(load_config(tmp_path / "config.toml")) == settings


def test_a_run_s_folder_says_where_its_store_is_and_what_it_is_called_there(tmp_path):
    folder = RunFolder(tmp_path / "films")
    folder.path.mkdir()
    assert run_store(folder.path).place == folder.store
    folder.config.write_text(f'store = "{ADDRESS}"\n')
    assert run_store(str(folder.path)).place == DatabaseUrl(ADDRESS)
    assert run_store(folder.path).run == "films"
    folder.database_run.write_text('{"run": "earlier", "id": "1"}')
    assert run_store(folder.path).run == "earlier"
    folder.config.write_text('store = "run"\n')
    assert run_store(folder.path).place == folder.store
    assert run_store(ADDRESS).run is None
