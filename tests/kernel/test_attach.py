"""What can be attached to, and what is said of the rest."""

from __future__ import annotations

import json

import pytest

from moorage.errors import KernelDied, KernelTypeNotFound, UsageError
from moorage.kernel.attach import attach

pytestmark = pytest.mark.anyio

WHOLE = {
    "transport": "tcp",
    "ip": "127.0.0.1",
    "key": "k",
    "kernel_name": "python3",
    **{f"{name}_port": 1 for name in ("shell", "iopub", "stdin", "control", "hb")},
}


async def refused(where, error):
    with pytest.raises(error) as caught:
        async with attach(where, timeout=20):
            pass
    return str(caught.value)


@pytest.mark.parametrize("where", ["http://localhost:8890/api/kernels/1", "https://h/api/kernels/1"])
async def test_a_url_is_for_later(where):
    assert "behind a URL" in await refused(where, UsageError)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no connection file"),
        ("[]", "holds no object"),
        (json.dumps({**WHOLE, "shell_port": 0}), "shell_port"),
        (json.dumps({**WHOLE, "transport": "pigeon"}), "transport"),
    ],
)
async def test_a_file_that_is_none_says_what_is_odd(tmp_path, content, why):
    path = tmp_path / "kernel-1.json"
    path.write_text(content)
    assert why in await refused(path, KernelTypeNotFound)


async def test_a_name_nothing_has(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    assert "no running kernel" in await refused("no-such-kernel-anywhere", KernelTypeNotFound)
    assert "there is no connection file" in await refused(tmp_path / "none.json", KernelTypeNotFound)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_a_file_left_behind_is_told_at_once(tmp_path, transport):
    path = tmp_path / "kernel-1.json"
    ip = "127.0.0.1" if transport == "tcp" else str(tmp_path / "kernel")
    path.write_text(json.dumps({**WHOLE, "transport": transport, "ip": ip}))
    said = await refused(path, KernelDied)
    assert "is gone" in said
    assert "delete it" in said
