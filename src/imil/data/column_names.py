"""Which column of a table is meant by a name; a near miss is a question, never ignored."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from imil.data.cell_text import clean
from imil.errors import DataError

NONE = "none"  # as the name of an optional column: the table's is not used
SEPARATORS = re.compile(r"[\s._-]+")
# what is put before or after the name of a column without changing what the column means;
# not "age" or "sex": `patient_age` is another property
AFFIXES = {
    *("s", "es", "id", "ids", "identifier", "uid", "uuid", "no", "nr", "num", "number"),
    *("code", "key", "name", "names", "index", "hash", "pseudonym", "col", "column", "field"),
    *("data", "dataset", "set", "official", "type", "traintest", "trainvaltest"),
    *("file", "files", "filename", "path", "paths", "image", "images", "img", "png"),
    *("left", "right", "manual"),
}


def normalise(name: str) -> str:
    """The name without case, spaces, dots, underscores and hyphens.

    >>> normalise("Patient ID") == normalise("patient_id") == "patientid"
    True
    """
    return SEPARATORS.sub("", clean(name)).casefold()


def find_column(names: Sequence[str], wanted: str) -> str | None:
    """The column that is called `wanted`: exactly, or else after `normalise`; or None.

    Raises: DataError: several columns are equal to it after `normalise`, and none exactly.
    """
    if wanted in names:
        return wanted
    equal = [name for name in names if normalise(name) == normalise(wanted)]
    if len(equal) > 1:
        raise DataError(
            f"the columns '{equal[0]}' and '{equal[1]}' are both read as '{wanted}': "
            "rename the one that is not meant"
        )
    return equal[0] if equal else None


def find_near_miss(names: Sequence[str], wanted: str, used: Collection[str]) -> str | None:
    """The first column that is near to `wanted` but not equal, and not used for something else.

    Near is: one letter is wrong, missing, added or exchanged with the next; or the two differ
    only in `AFFIXES` at one end; or by the order of the words.

    >>> find_near_miss(["image", "Patient ID", "age"], "patient", ["image"])
    'Patient ID'
    >>> find_near_miss(["patient_age", "lesion"], "patient", [])
    """
    return next((name for name in names if name not in used and _is_near(name, wanted)), None)


def _is_near(name: str, wanted: str) -> bool:
    one, other = normalise(name), normalise(wanted)
    shorter, longer = sorted((one, other), key=len)
    return bool(one) and (
        one in _one_edit(other)
        or any(rest in AFFIXES for rest in _remainders(shorter, longer))
        or _words(name) == _words(wanted)
    )


def _remainders(shorter: str, longer: str) -> Iterator[str]:
    """What is left of the longer one without the shorter one at its start or end; no digits."""
    for rest in (longer.removeprefix(shorter), longer.removesuffix(shorter)):
        if rest != longer:
            yield rest.strip("0123456789") or "number"


def _words(name: str) -> list[str]:
    return sorted(SEPARATORS.split(name.casefold()))


def _one_edit(text: str) -> set[str]:
    """The texts with one letter wrong, missing, added or exchanged with the next."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    parts = [(text[:i], text[i:]) for i in range(len(text) + 1)]
    return {
        *(a + b[1:] for a, b in parts if b),
        *(a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1),
        *(a + letter + b for a, b in parts for letter in letters),
        *(a + letter + b[1:] for a, b in parts if b for letter in letters),
    }
