"""A key of this user on this machine: what carries its mark was made here.

Links, sessions and addresses in a store that came from elsewhere do not carry it, and open
nothing. The key never leaves its file.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from imil.errors import StoreError

BYTES = 32
TAG = 16  # hexadecimal digits of a mark; it can only be guessed against a running server
VARIABLE = "IMIL_KEY_FILE"


def digest(secret: str) -> str:
    """What is stored in place of a secret: 64 hexadecimal digits that mean nothing elsewhere."""
    return hmac.new(_key(), secret.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def tag(*parts: str, digits: int = TAG) -> str:
    """The mark of these texts, in that order: hexadecimal digits."""
    text = "".join(f"{len(part)}:{part}" for part in parts)  # no two lists give the same text
    return digest(text)[:digits]


def has_tag(found: str, *parts: str) -> bool:
    """Whether it is the mark of these texts."""
    return bool(found) and hmac.compare_digest(
        found.encode("utf-8", "replace"), tag(*parts, digits=len(found)).encode()
    )


def key_file() -> Path:
    """Where the key lies: IMIL_KEY_FILE, or the user's folder of states."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return folder / "imil" / "key"


def _key() -> bytes:
    try:
        path = key_file()
    except RuntimeError as error:
        raise StoreError(
            f"there is no home folder for the key of this machine: name a file with {VARIABLE}"
        ) from error
    return _read_key(path)


@lru_cache(maxsize=4)
def _read_key(path: Path) -> bytes:
    try:
        with suppress(FileExistsError):
            _write_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"the key of this machine, {path}, cannot be used ({error}): name a file that can be "
            f"written with {VARIABLE}"
        ) from error
    if len(key) != BYTES:
        raise StoreError(f"the key of this machine, {path}, is damaged: delete it, and invite anew")
    return key


def _write_key(path: Path) -> None:
    """Raises: FileExistsError: there is one."""
    if path.exists():
        raise FileExistsError
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
        try:
            os.link(half, path)  # whole, and only where no other process was faster
        except FileExistsError:
            raise
        except OSError:  # this file system has no hard links
            half.replace(path)
    finally:
        half.unlink(missing_ok=True)
