"""Requests: flags, configuration and working directory, settled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from moorage.errors import KernelTypeNotFound, UsageError
from moorage.notebooks.planning.request import RenderRequest, check_settings, requested
from moorage.notebooks.planning.settings import Configuration, RenderSettings


def request(folder: Path, *typed: str, **settings) -> RenderRequest:
    return RenderRequest(
        sources=("a.py",),
        cwd=folder,
        configuration=Configuration(folder / "moorage.toml", folder),
        settings=RenderSettings(**settings),
        typed=frozenset(typed),
    )


def test_flags_are_merged_with_the_configuration_of_the_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text("[render]\njobs = 3\ntimeout = 5")
    made = requested(["."], {"jobs": 2, "kernel": None})
    assert (made.cwd, made.configuration.root) == (tmp_path, tmp_path)
    assert (made.settings.jobs, made.settings.timeout) == (2, 5)
    assert made.typed == {"jobs"}


def test_what_the_configuration_says_counts_below_its_folder_only(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path.parent)
    configured = request(tmp_path, overwrite=True)
    assert configured.overwrites(tmp_path / "site")
    assert not configured.overwrites(tmp_path.parent / "x")
    assert not configured.overwrites(tmp_path / "link/x")
    assert request(tmp_path, "overwrite", overwrite=True).overwrites(Path("/x"))
    assert not request(tmp_path).overwrites(tmp_path)


def test_a_page_named_by_its_file_means_its_format(tmp_path):
    assert request(tmp_path).written_to(None) == request(tmp_path)
    assert request(tmp_path).written_to(tmp_path / "a.html").settings.to == ("html",)
    both = request(tmp_path, "to", to=("md", "html"))
    assert both.written_to(tmp_path / "a.html") == both


@pytest.mark.parametrize(
    ("name", "typed", "says"), [("a.pdf", (), "cannot write pdf"), ("a.md", ("to",), "agree")]
)
def test_a_file_that_would_not_be_written_is_wrong_usage(tmp_path, name, typed, says):
    with pytest.raises(UsageError, match=says):
        request(tmp_path, *typed).written_to(tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"to": ("pdf",)}, "cannot write pdf"),
        ({"to": ()}, "cannot write nothing"),
        ({"out": Path("x.py")}, "cannot write py"),
        ({"bundle": Path("x.rar")}, "suffix"),
        ({"out": Path("-"), "to": ("ipynb", "html")}, "Choose one format"),
        ({"out": Path("-"), "artifacts": ("*.gif",)}, "--artifacts needs files that stay"),
        ({"out": Path("-"), "json": Path("-")}, "both be written to stdout"),
        ({"kernel": "no-such-kernel"}, "no-such-kernel"),
        ({"cluster": "slurm"}, "this machine only"),
    ],
)
def test_what_cannot_be_done_is_refused(settings, says):
    with pytest.raises((UsageError, KernelTypeNotFound), match=says):
        check_settings(RenderSettings(**settings))


@pytest.mark.parametrize("rendezvous", ["auto", "ipc", "hold", "self-bind", "handshake"])
def test_every_rendezvous_that_ipykernel_knows_can_be_asked_for(rendezvous):
    check_settings(RenderSettings(rendezvous=rendezvous))
