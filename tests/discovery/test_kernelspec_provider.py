"""The provider of kernelspecs: what can be launched, and what cannot with the reason."""

from __future__ import annotations

import json
import sys

import pytest

from moorage.discovery import kernelspec
from moorage.discovery.base import Around
from moorage.discovery.kernelspec_provider import look, provider


@pytest.fixture
def around(tmp_path, monkeypatch):
    """A machine with the kernelspecs of the test and no others."""
    monkeypatch.setattr(kernelspec, "native", lambda: None)
    monkeypatch.setattr(kernelspec, "data_directories", lambda _: [tmp_path])
    return Around(tmp_path, environ={})


def install(folder, name, text='{"argv": ["x", "{connection_file}"]}'):
    (folder / "kernels" / name).mkdir(parents=True)
    (folder / "kernels" / name / "kernel.json").write_text(text)


def test_what_cannot_be_read_has_the_reason(around):
    install(around.directory, "whole")
    install(around.directory, "broken", "{")
    shown = {one.name: one.lack for one in look(around)}
    assert shown["spec/whole"] is None
    assert str(around.directory / "kernels/broken/kernel.json") in shown["spec/broken"].why


def test_one_whose_folder_jupyter_does_not_take_has_the_reason(around):
    install(around.directory, "My Kernel")
    (only,) = look(around)
    assert "'My Kernel' is none that Jupyter takes" in only.lack.why
    assert "rename it to my-kernel" in only.lack.do


def test_this_interpreter_is_one_where_no_kernelspec_has_its_name(around, monkeypatch):
    monkeypatch.setattr(kernelspec, "native", lambda: kernelspec.KernelSpec("python3", ("x",), "", ""))
    assert [one.where for one in look(around)] == [sys.prefix]
    install(around.directory, "python3", json.dumps({"argv": ["y"]}))
    assert [one.spec.argv for one in look(around)] == [("y",)]


def test_its_kernel_types_are_called_spec():
    assert provider().name == "spec"
