from __future__ import annotations

from msgspec import Struct

from moorage.notebooks.records import repr_without


class Record(Struct):
    name: str
    env: dict[str, str]
    count: int = 0

    def __repr__(self) -> str:
        return repr_without(self, "env")


def test_what_is_hidden_is_not_shown():
    assert repr(Record("a", {"TOKEN": "secret"})) == "Record(name='a', count=0)"
