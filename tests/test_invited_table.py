"""Links for many readers at once, from a table and into one."""

import csv
from contextlib import closing

import pytest
from rooms import make_store
from typer.testing import CliRunner

from imil.cli.main import app
from imil.store import Store
from imil.store.invitations import check_link, invitations


@pytest.fixture
def path(tmp_path):
    with closing(make_store(tmp_path)) as store:
        return store.path


def invite(path, text, *words):
    table = path.parent / "readers.csv"
    table.write_text(text, encoding="utf-8")
    words = [*words, "--url", "https://reading.example.org/"]
    return CliRunner().invoke(app, ["invite", str(path), "--csv", str(table), *words])


def test_everybody_in_a_table_gets_a_link_of_their_own(path):
    out = path.parent / "links.csv"
    text = "\ufeffmail,name\nlee@example.org, Dr. Lee \n=1+1,Größe\n"
    result = invite(path, text, "--out", str(out), "--days", "3")
    assert result.exit_code == 0, result.output
    assert out.stat().st_mode & 0o777 == 0o600
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mail"], row["name"]) for row in rows] == [
        ("lee@example.org", "Dr. Lee"),
        ("'=1+1", "Größe"),  # a spreadsheet would compute it
    ]
    with closing(Store(path)) as store:
        for row in rows:
            address, _, secret = row["link"].rpartition("/in/")
            assert address == "https://reading.example.org"
            invitation = check_link(store, secret)
            assert (invitation.name, invitation.expires[:10]) == (row["name"], row["expires"])
    assert "/in/" in invite(path, "name\nDr. Hope\n").output, "without --out it is printed"
    again = invite(path, "name\nDr. Yu\n", "--out", str(out))
    assert (again.exit_code, "exists: give the name of a new file" in again.output) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nDr. Lee\nall\n", "line 3"),
        ("name\nDr. Lee\nDr. Lee\n", "line 3: 'Dr. Lee' has a valid link, or is in the table"),
        ("reader\nDr. Lee\n", "has the columns reader: expected one called name"),
        ("name,link\nDr. Lee,x\n", "none called link"),
        ("name\n", "names nobody"),
        ("name\nDr. Lee,more\n", "line 2 has more or fewer cells"),
        ("", "has the columns none"),
        ("name\n\x1b[31m\n", "line 2"),
    ],
)
def test_a_table_with_an_error_makes_no_link_at_all(path, text, message):
    result = invite(path, text)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    with closing(Store(path)) as store:
        assert invitations(store, "films") == []
