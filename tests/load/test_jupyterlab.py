"""What JupyterLab asks."""

from __future__ import annotations

from moorage.load.forms import Html
from moorage.load.jupyterlab import Site


def test_the_files_of_a_page_and_of_its_extensions() -> None:
    site = Site("/user/7/lab/tree/a.ipynb")
    config = '{"federated_extensions": [{"name": "@a/b", "load": "static/r.js"}]}'
    page = Html(files=["/user/7/static/m.js"], config=config)
    assert site.files(page) == ["/user/7/static/m.js", "/user/7/lab/extensions/@a/b/static/r.js"]
    for foreign in ("", "[]", "{", '{"federated_extensions": [3]}'):
        assert site.files(Html(files=["m.js"], config=foreign)) == ["/user/7/lab/tree/m.js"]
    assert site.files(Html(files=["https://cdn.example.org/m.js", "//cdn.example.org/m.js"])) == []


def test_a_server_with_a_host_of_its_own() -> None:
    site = Site("//id.localhost:8000/lab/tree/a.ipynb")
    assert site.has_events
    assert site.files(Html(files=["/static/m.js", "n.js", "//localhost:8000/x.js"])) == [
        "//id.localhost:8000/static/m.js",
        "//id.localhost:8000/lab/tree/n.js",
    ]
    assert site.under("api/kernels") == "//id.localhost:8000/api/kernels"
    assert "//id.localhost:8000/.moorage/time-left?server=" in site.polled(6)


def test_what_is_polled() -> None:
    site = Site("/user/7/lab")
    often = site.polled(1)
    assert "/user/7/api/kernels" in often
    assert "/user/7/lab/api/workspaces" in often
    assert {"/time-left?server=7", "/user/7/api/me"} <= set(site.polled(6)) - set(often)


def test_other_servers_have_nothing_of_jupyterlab() -> None:
    for landing in ("/user/7/tree", "/user/7"):
        site = Site(landing)
        assert not site.has_events
        assert not any("/lab/" in path for path in [*site.at_start(), *site.polled(6)])
        assert site.under("api") == "/user/7/api"
