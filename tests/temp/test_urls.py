"""Where servers are reached."""

from __future__ import annotations

import pytest

from moorage.errors import UsageError
from moorage.plan.visits import ServerId
from moorage.temp.urls import ServerUrls, host_name, port_of, urls_of

SERVER = ServerId("0123456789abcdef")


def test_below_a_path() -> None:
    urls = urls_of(None, ["course.example.org"])
    assert (urls.base(SERVER), urls.route(SERVER)) == (f"/user/{SERVER}/", f"/user/{SERVER}/")
    assert urls.url(SERVER, "x:80") == f"/user/{SERVER}/"
    assert urls.pages("x:80") == "x:80"
    assert urls.server(f"{SERVER}.x") is None
    assert not urls.is_below("a.x")
    assert urls.sources("x") == "'self'"


def test_at_a_host_each() -> None:
    urls = urls_of("*.Apps.example.org", ["Course.example.org", "other"])
    assert urls == ServerUrls("apps.example.org", "course.example.org")
    assert (urls.base(SERVER), urls.route(SERVER)) == ("/", f"/{SERVER}.apps.example.org")
    assert urls.url(SERVER, "course.example.org:8000") == f"//{SERVER}.apps.example.org:8000/"
    assert urls.url(SERVER, "course.example.org") == f"//{SERVER}.apps.example.org/"
    assert urls.pages(f"{SERVER}.apps.example.org:8000") == "course.example.org:8000"
    assert urls.server(f"{SERVER.upper()}.APPS.example.org:8000") == SERVER
    assert urls.is_below("x.y.apps.example.org:1")
    for other in ("apps.example.org", "course.example.org", "xapps.example.org", f"{SERVER}.example.org"):
        assert urls.server(other) is None
        assert not urls.is_below(other)


def test_pages_may_be_at_a_name_beside_the_servers() -> None:
    urls = urls_of("example.org", ["course.example.org"])
    assert urls.server("course.example.org") is None
    assert not urls.is_below("course.example.org:80")
    assert urls.is_below("www.example.org")


def test_without_a_name_pages_are_at_the_domain() -> None:
    assert urls_of("localhost", []).front == "localhost"


@pytest.mark.parametrize(
    "domain", ["", "com", "a b.org", "10.0.0.1", "x.org:80", "-a.org", "status", "é.org"]
)
def test_what_is_no_domain(domain: str) -> None:
    with pytest.raises(UsageError, match="--host-routing"):
        urls_of(domain, [])


def test_pages_have_no_name_of_a_server() -> None:
    with pytest.raises(UsageError, match="--name"):
        urls_of("example.org", [f"{SERVER}.example.org"])


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("LocalHost:80", "localhost", ":80"), ("a", "a", ""), ("[::1]:8", "::1", ":8"), ("a:", "a", "")],
)
def test_host_names(host: str, name: str, port: str) -> None:
    assert (host_name(host), port_of(host)) == (name, port)
