"""What slow providers found last."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from moorage.discovery import KernelSpec, KernelType, Lack
from moorage.discovery.cache import Cache, NamedPlace
from moorage.errors import LaunchError

SPEC = KernelSpec(
    "box/ir",
    ("R", "{connection_file}"),
    "R on box",
    "r",
    env={"TOKEN": "secret"},
    interrupt_mode="message",
    metadata={"a": [1]},
    resource_dir=Path("/r"),
    protocol_version="5.6",
    provider="ssh",
)
BOX = KernelType(SPEC, where="box", lack=Lack("it is off", "Turn it on"))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "deep" / "folder")


def test_it_is_there_again_but_for_variables_and_marked_stale(cache):
    cache.save("ssh", [BOX], 12.5)
    kept = cache.load("ssh")
    assert kept.at == 12.5
    (only,) = kept.types
    assert (only.name, only.where, only.lack, only.stale) == ("ssh/box/ir", "box", BOX.lack, True)
    assert dict(only.spec.env) == {}
    assert (only.spec.argv, only.spec.metadata) == (SPEC.argv, SPEC.metadata)
    assert (only.spec.resource_dir, only.spec.interrupt_mode) == (SPEC.resource_dir, "message")
    assert b"secret" not in cache.path("ssh").read_bytes()


def test_what_runs_elsewhere_is_not_launched_here_from_what_was_kept(cache):
    cache.save("ssh", [KernelType(replace(SPEC, place=NamedPlace("the box")))], 0.0)
    (only,) = cache.load("ssh").types
    assert (only.runs_on, only.rendezvous()) == ("the box", None)
    for step in (lambda: only.spec.place.ways(only.spec, "auto"), only.spec.place.open):
        with pytest.raises(LaunchError, match=r"nothing can be launched on the box.*Launch .* by its name"):
            step()


def test_no_other_user_may_read_it(cache):
    cache.save("ssh", [BOX], 0.0)
    assert stat.S_IMODE(cache.path("ssh").stat().st_mode) == 0o600
    assert [path.name for path in cache.folder.iterdir()] == ["ssh.json"]


def test_nothing_is_known_of_a_provider_that_was_never_asked(cache):
    assert cache.load("ssh") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff",
        b"[" * 100_000,
        b'{"format": 0}',
        b'{"format": 1}',
        b'{"format": 1, "at": "x", "types": []}',
        b'{"format": 1, "at": 1, "types": [3]}',
        b'{"format": 1, "at": 1, "types": [{"name": 1}]}',
    ],
)
def test_what_makes_no_sense_counts_as_never_written(cache, content):
    cache.save("ssh", [BOX], 0.0)
    cache.path("ssh").write_bytes(content)
    assert cache.load("ssh") is None


@pytest.mark.parametrize("field", ["name", "argv", "display_name", "language", "where", "metadata", "lack"])
@pytest.mark.parametrize("value", [3, None, [3], {"a": 3}])
def test_fields_of_another_kind_never_raise(cache, field, value):
    cache.save("ssh", [BOX], 0.0)
    content = json.loads(cache.path("ssh").read_bytes())
    content["types"][0][field] = value
    cache.path("ssh").write_text(json.dumps(content))
    kept = cache.load("ssh")
    assert kept is None or all(isinstance(word, str) for word in kept.types[0].spec.argv)


def test_where_nothing_can_be_written_nothing_is(tmp_path):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "folder")
    cache.save("ssh", [BOX], 0.0)
    assert cache.load("ssh") is None


def test_what_is_no_json_is_not_kept(cache):
    odd = KernelType(KernelSpec("x", (), "", "", metadata={"a": object()}, provider="ssh"))
    cache.save("ssh", [odd], 0.0)
    assert cache.load("ssh") is None
    assert not cache.folder.exists() or not list(cache.folder.iterdir())


def test_the_users_cache_is_where_it_is_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Cache().folder == tmp_path / "moorage" / "discovery"
