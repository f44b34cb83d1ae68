"""The table of routes: configurable-http-proxy's cases (test/trie_spec.js), and what it gets wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.routes import RouteTable, host_name, prefix_segments, request_segments, shown_prefix
from moorage.wire.http import RefusedHead

FULL = ["/1", "/2", "/a/b/c/d", "/a/b/d", "/a/b/e", "/b", "/b/c", "/b/c/d"]


def table(*paths: str) -> RouteTable[str]:
    made: RouteTable[str] = RouteTable()
    for path in paths:
        made.add(prefix_segments(path), path)
    return made


def found(made: RouteTable[str], path: str) -> str | None:
    """Both ways to look, which must agree."""
    plain = made.find_plain(path.encode())
    assert plain == made.find(request_segments(path.encode()))
    return plain


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/not/found", None),
        ("/1", "/1"),
        ("/1/etc/etc/", "/1"),
        ("/a", None),
        ("/a/b/c", None),
        ("/a/b/c/d/e/f", "/a/b/c/d"),
        ("/b/c/d/word", "/b/c/d"),
        ("/b/c/dword", "/b/c"),
        ("/", None),
        ("//1", None),
        ("/b//c", "/b"),
    ],
)
def test_the_longest_prefix_by_whole_segments(path: str, route: str | None) -> None:
    assert found(table(*FULL), path) == route


def test_the_root_takes_what_is_left() -> None:
    made = table("/", "/prefix/sub/tree")
    assert found(made, "/prefix/sub") == "/"
    assert found(made, "/prefix/sub/tree/x") == "/prefix/sub/tree"
    made.add(prefix_segments("/prefix"), "/prefix")
    assert found(made, "/prefix/sub") == "/prefix"
    assert made.remove(prefix_segments("/prefix/")) == "/prefix"
    assert found(made, "/prefix/sub") == "/"


def test_removing_keeps_what_is_below() -> None:
    made = table(*FULL)
    assert made.remove(prefix_segments("/b")) == "/b"
    assert found(made, "/b/just-b") is None
    assert found(made, "/b/c/sub-still-here") == "/b/c"
    assert made.remove(prefix_segments("/a/b/c/d")) == "/a/b/c/d"
    assert made.remove(prefix_segments("/a/b/c/d")) is None
    assert made.remove(prefix_segments("/a")) is None
    assert found(made, "/a/b/d") == "/a/b/d"
    assert len(made) == len(FULL) - 2


PATHS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(PATHS, max_size=8), st.lists(PATHS, max_size=4), PATHS)
def test_the_table_agrees_with_a_plain_search(added: list[str], removed: list[str], path: str) -> None:
    made = table(*added)
    left = dict.fromkeys(added)
    for each in removed:
        made.remove(prefix_segments(each))
        left.pop(each, None)
    fitting = [each for each in left if path == each or path.startswith(each.rstrip("/") + "/")]
    assert found(made, path) == max(fitting, key=len, default=None)
    assert {shown_prefix(prefix) for prefix, _ in made.items()} == set(left)


def test_an_encoded_slash_belongs_to_its_segment() -> None:
    made = table("/user/u1")
    assert made.find(request_segments(b"/user%2fu1/x")) is None
    assert made.find(request_segments(b"/user/u%31/x")) == "/user/u1"
    odd = table("/user/a%2Fb")
    assert odd.find(request_segments(b"/user/a%2fb/x")) == "/user/a%2Fb"
    assert [shown_prefix(prefix) for prefix, _ in odd.items()] == ["/user/a%2Fb"]


def test_escapes_and_letters_of_other_scripts() -> None:
    made = table("/b@r/b r", "/ü")
    for path in (b"/b%40r/b%20r/rest", b"/b@r/b%20r"):
        assert made.find(request_segments(path)) == "/b@r/b r"
    for path in (b"/%C3%BC", "/ü".encode()):
        assert made.find(request_segments(path)) == "/ü"
    assert shown_prefix(prefix_segments("/user/a%20b%40c")) == "/user/a b@c"


@pytest.mark.parametrize(
    "target",
    [b"/a/../b", b"/a/%2e%2E/b", b"/.%2e", b"/./a", b"/a/.", b"/%zz", b"/a%2", b"/%ff", b"/a\\b", b"/\xff"],
)
def test_what_servers_could_read_otherwise_is_refused(target: bytes) -> None:
    with pytest.raises(RefusedHead) as caught:
        request_segments(target)
    assert caught.value.status == 400


def test_a_query_may_hold_anything() -> None:
    assert request_segments(b"/a?../%zz\\") == (b"a",)
    assert request_segments(b"/...") == (b"...",)


@pytest.mark.parametrize(
    ("host", "name"),
    [(b"A.localhost:8000", b"a.localhost"), (b"a", b"a"), (b"[::1]:80", b"[::1]"), (b"[::1]", b"[::1]")],
)
def test_the_name_of_a_host(host: bytes, name: bytes) -> None:
    assert host_name(host) == name
