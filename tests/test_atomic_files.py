"""Folders that are locked against other processes."""

import errno

import pytest
from filelock import FileLock

from imil.atomic_files import is_locked, locked
from imil.errors import DataError


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOLCK, "No locks available"),
        NotImplementedError("FileSystem does not appear to support flock"),  # filelock's, of ENOSYS
    ],
)
def test_a_file_system_without_locks_is_named_in_a_sentence(tmp_path, monkeypatch, error):
    def refuse(*_args, **_more):
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(DataError, match="file system without file locks, as NFS may be: give"):
        with locked(tmp_path, "busy"):
            raise AssertionError("not locked")
    assert is_locked(tmp_path)  # as far as can be known
