"""The install line for each way in which moorage can have been installed."""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from moorage.installed import install_line


class Distribution:
    def __init__(self, text):
        self.text = text

    def read_text(self, name):
        assert name == "direct_url.json"
        return self.text


@pytest.mark.parametrize(
    ("recorded", "line"),
    [
        (None, "pip install 'moorage[render]'"),
        ("no JSON", "pip install 'moorage[render]'"),
        ("[]", "pip install 'moorage[render]'"),
        ({"url": 7}, "pip install 'moorage[render]'"),
        (
            {"url": "file:///home/u/my%20code/moorage", "dir_info": {"editable": True}},
            "pip install -e '/home/u/my code/moorage[render]'",
        ),
        ({"url": "file:///home/u/moorage", "dir_info": {}}, "pip install '/home/u/moorage[render]'"),
        (
            {"url": "file:///d/moorage-0.1-py3-none-any.whl", "archive_info": {}},
            "pip install 'moorage[render] @ file:///d/moorage-0.1-py3-none-any.whl'",
        ),
        (
            {"url": "https://host/u/moorage", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'moorage[render] @ git+https://host/u/moorage@abc'",
        ),
    ],
)
def test_the_extra_comes_from_where_moorage_came_from(monkeypatch, recorded, line):
    text = recorded if isinstance(recorded, str | None) else json.dumps(recorded)
    monkeypatch.setattr(metadata, "distribution", lambda _: Distribution(text))
    assert install_line("render") == line


def test_without_an_extra(monkeypatch):
    monkeypatch.setattr(metadata, "distribution", lambda _: Distribution(None))
    assert install_line() == "pip install moorage"


def test_a_moorage_that_is_not_installed(monkeypatch):
    def none(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", none)
    assert install_line("all") == "pip install 'moorage[all]'"
