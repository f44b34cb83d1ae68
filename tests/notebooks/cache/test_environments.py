"""When one look at an environment counts for several notebooks, and when each looks for itself."""

from __future__ import annotations

import sys

import msgspec
import pytest

from moorage.notebooks.cache import environments
from moorage.notebooks.cache.distributions import Distributions
from moorage.notebooks.cache.environment import RunEnvironment, built
from moorage.notebooks.cache.environments import Environments
from moorage.notebooks.cache.names import Names
from moorage.notebooks.cache.store import FileStates, Store


class Looked(Environments):
    """One environment with one file."""

    def __init__(self, folder, *, still: bool) -> None:
        self.file = folder / "helper.py"
        self.file.write_text("1")
        files, store = FileStates(), Store(folder / "cache", key=b"k")
        environment = RunEnvironment(
            executable=sys.executable,
            built=built(sys.executable),
            version="3",
            sites=(),
            packages={},
            files={"helper.py": files.state(self.file)},
        )
        self.digest = store.add(msgspec.json.encode(environment))
        super().__init__(store, folder, files, Names(), Distributions(), still=still)

    def now(self) -> str:
        return self.changed(self.digest)


def test_without_a_word_each_lookup_looks(tmp_path):
    looked = Looked(tmp_path, still=False)
    assert looked.now() == ""
    looked.file.write_text("other")
    assert looked.now() == "helper.py changed"


def test_a_look_counts_until_something_is_written_or_a_kernel_started(tmp_path):
    looked = Looked(tmp_path, still=True)
    assert looked.now() == ""
    looked.file.write_text("other")
    assert looked.now() == ""
    looked.forget_looks()
    assert looked.now() == "helper.py changed"
    looked.file.write_text("1")
    assert looked.now() == ""
    looked.look_anew()
    looked.file.write_text("other")
    assert looked.now() == "helper.py changed"
    looked.file.write_text("1")
    assert looked.now() == ""
    looked.file.write_text("other")
    assert looked.now() == "helper.py changed"


def test_a_look_counts_for_a_moment_only(tmp_path, monkeypatch):
    looked = Looked(tmp_path, still=True)
    assert looked.now() == ""
    looked.file.write_text("other")
    monkeypatch.setattr(environments, "LOOK_COUNTS", -1.0)
    assert looked.now() == "helper.py changed"


def test_what_was_found_changed_is_looked_at_again(tmp_path):
    looked = Looked(tmp_path, still=True)
    looked.file.unlink()
    assert looked.now() == "helper.py changed"
    looked.file.write_text("1")
    assert looked.now() == ""


@pytest.mark.parametrize("data", [b"", b"[]"])
def test_one_that_is_gone_or_damaged_is_not_known(tmp_path, data):
    looked = Looked(tmp_path, still=True)
    blob = tmp_path / "cache" / "blobs" / looked.digest[:2] / looked.digest
    blob.write_bytes(data)
    assert looked.now() == "its environment is not known any more"
