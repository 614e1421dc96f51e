"""Names that readers cannot have, since the program writes them itself."""

from __future__ import annotations

from imil.errors import SettingsError

OWNER = "owner"  # of the link that the server prints, and of what the command line does
NOBODY = "nobody"  # of a case that a replay has no reading of
EVERYBODY = "all"  # `--reader-name all`: every reader of a file that is replayed
AUTOMATIC = "reader"  # of the link that a run without invitations gets
RESERVED = (OWNER, NOBODY, EVERYBODY)


def check_reader_name(name: str, what: str = "a reader's name") -> str:
    """The name itself, if a reader can have it.

    Args:
        name: compared without case and surrounding spaces.
        what: how the message calls it, such as a flag.
    Raises: SettingsError: the name is reserved.
    """
    if name.strip().casefold() in RESERVED:
        raise SettingsError(
            f"{what} is {name!r}, which is reserved ({', '.join(RESERVED)}): give the person's name"
        )
    return name
