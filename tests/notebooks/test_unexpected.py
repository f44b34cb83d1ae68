"""Sentences for unexpected exceptions."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from moorage.errors import UsageError
from moorage.notebooks.unexpected import unexpected


def caught(call) -> Exception:
    try:
        call()
    except (LookupError, OSError, UsageError) as error:
        return error
    raise AssertionError("nothing came up")


def test_an_error_of_moorage_stays_what_it_is():
    error = UsageError("no")
    assert unexpected(error) is error


def test_a_defect_says_what_and_where():
    text = str(unexpected(caught(lambda: {}["key"])))
    assert text.startswith(
        "Moorage failed where it should not (E-MOORAGE). KeyError: 'key' at test_unexpected.py:"
    )
    assert "report" in text


def test_an_error_of_the_system_is_no_defect_and_names_the_file():
    error = caught(lambda: Path("/nowhere/at/all").stat())
    text = str(unexpected(error))
    assert "No such file or directory: /nowhere/at/all" in text
    assert "report" not in text


def test_a_module_that_cannot_be_loaded_for_want_of_descriptors_is_no_defect():
    text = str(unexpected(ImportError(f"x.so: cannot open shared object file: {os.strerror(errno.EMFILE)}")))
    assert text.endswith("a module could not be loaded. Raise `ulimit -n`.")


def test_an_error_that_was_never_raised_has_no_place():
    assert str(unexpected(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))).endswith(
        "No space left on device."
    )
