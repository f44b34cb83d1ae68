"""Where a crowd may be sent."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.load.target import checked_url, is_loopback


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("localhost:8000/spawn/lab/tree/a.ipynb", "http://localhost:8000/spawn/lab/tree/a.ipynb"),
        ("http://course.localhost:1/?offer=a#x", "http://course.localhost:1/?offer=a"),
        ("https://[::1]:8/", "https://[::1]:8/"),
    ],
)
def test_this_machine_is_visited(text: str, url: str) -> None:
    assert checked_url(text, own=False) == url


@pytest.mark.parametrize(
    "host", ["example.org", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "0.0.0.0"]
)
def test_another_machine_is_visited_by_its_owner_alone(host: str) -> None:
    with pytest.raises(UsageError, match="an attack") as caught:
        checked_url(f"http://{host}/", own=False)
    assert "--yes-it-is-mine" in str(caught.value)
    assert checked_url(f"http://{host}/", own=True) == f"http://{host}/"


@pytest.mark.parametrize("text", ["ftp://localhost/", "http://", "http://localhost:x/", "http://[::1/"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be visited"):
        checked_url(text, own=True)


def test_loopback() -> None:
    assert is_loopback("127.8.9.1")
    assert not is_loopback("128.0.0.1")
