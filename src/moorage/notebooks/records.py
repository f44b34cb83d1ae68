"""What records have in common."""

from __future__ import annotations

from msgspec import Struct


def repr_without(record: Struct, *hidden: str) -> str:
    """Return a record's repr without some of its fields: what may hold secrets, or is large.

    Args:
        record: any.
        hidden: names of the fields that are left out.
    """
    names = [name for name in record.__struct_fields__ if name not in hidden]
    return f"{type(record).__name__}({', '.join(f'{name}={getattr(record, name)!r}' for name in names)})"
