"""Values of a parametrised test that `make test` leaves out and CI runs."""

import pytest


def slow(*values):
    """Each value as a parameter with the mark `slow`; a tuple is several arguments."""
    mark = pytest.mark.slow
    return [
        pytest.param(*value, marks=mark)
        if isinstance(value, tuple)
        else pytest.param(value, marks=mark)
        for value in values
    ]
