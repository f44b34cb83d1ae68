"""Where there is no /proc, the same functions return nothing."""

from __future__ import annotations

import inspect

from moorage.discovery import processes
from moorage.discovery import processes_elsewhere as elsewhere


def test_it_has_the_same_functions():
    def functions(module):
        own = inspect.getmembers(module, inspect.isfunction)
        return {
            name: len(inspect.signature(f).parameters)
            for name, f in own
            if f.__module__ == module.__name__ and name[0] != "_"
        }

    assert functions(elsewhere) == functions(processes)


def test_it_knows_nothing(tmp_path):
    assert list(elsewhere.private_files()) == []
    assert not elsewhere.is_private(tmp_path)
    assert elsewhere.named_files() == {}
    assert elsewhere.listener("tcp", "127.0.0.1", 1, 2) is None
    assert elsewhere.began(1) is None
    assert elsewhere.memory(1) is None
