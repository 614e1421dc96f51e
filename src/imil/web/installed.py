"""Whether the reading room can be served."""

from __future__ import annotations

from imil.errors import SettingsError


def check_web_installed(reader: str = "--reader web") -> None:
    """Fail before training starts if no page could be served at the round.

    Args:
        reader: how the message calls the reader that needs it.
    Raises: SettingsError: the web part is not installed.
    """
    try:
        import imil.web.child_server  # noqa: F401
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{reader} needs {error.name}: pip install 'imil[web]', or use another reader"
        ) from error
