"""Where a store is: a SQLite file, or a database of a PostgreSQL server, whose password is kept
apart from its address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from imil.errors import SettingsError

SCHEME = "postgresql+psycopg"
SCHEMES = (SCHEME, "postgresql", "postgres")
# of libpq; none of them may hold a secret
PARAMETERS = frozenset(
    {
        *("host", "port", "options", "connect_timeout", "application_name"),
        *("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"),
    }
)
FORM = "postgresql+psycopg://USER@HOST/DATABASE"
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class DatabaseUrl:
    """A database of a PostgreSQL server. As text it has no password.

    Args:
        text: the address without password.
        password: None where libpq finds one itself: PGPASSWORD, PGPASSFILE, ~/.pgpass.
    """

    text: str
    password: str | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> DatabaseUrl:
        """The address in a URL, with or without a password.

        Raises: SettingsError: it is no URL of a database; no part of it is in the message, for
            any part may be a piece of a password.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise _invalid() from error
        if parts.scheme not in SCHEMES:
            raise SettingsError(
                "unknown kind of store: expected a folder, a file, or a database as "
                f"{FORM}; no other server is supported"
            )
        database = parts.path.removeprefix("/")
        if not re.fullmatch(r"[^/@]+", database) or parts.fragment:
            raise _invalid()
        query = parse_qsl(parts.query, keep_blank_values=True)
        for name, _ in query:
            if name not in PARAMETERS:
                raise SettingsError(
                    "the address of the store has a parameter that cannot be used: expected "
                    f"{', '.join(sorted(PARAMETERS))} after the '?'"
                )
        user, _, host = parts.netloc.rpartition("@")
        name, colon, password = user.partition(":")
        host = host if port is None else host.rpartition(":")[0] + f":{port}"
        at = f"{quote(unquote(name), safe='')}@" if name else ""
        more = f"?{urlencode(query)}" if query else ""
        return cls(f"{SCHEME}://{at}{host}/{database}{more}", unquote(password) if colon else None)

    def environment(self) -> dict[str, str]:
        """Variables that give a child process the password, which its arguments must not show."""
        return {} if self.password is None else {"PGPASSWORD": self.password}


Location = Path | DatabaseUrl


def is_url(text: str) -> bool:
    """Whether the text is meant as a URL: two slashes after a scheme."""
    return bool(_URL.match(text))


def location(place: Location | str) -> Location:
    """The file or the database that a text names.

    Raises: SettingsError: a URL that is not one of a PostgreSQL database.
    """
    if isinstance(place, str):
        return DatabaseUrl.parse(place) if is_url(place) else Path(place)
    return place


def _invalid() -> SettingsError:
    return SettingsError(
        f"the address of the store is not valid: expected {FORM}, with %40 for @, %2F for / and "
        "%3A for : within a name or a password"
    )
