"""No file of another user runs in the place of a module."""

from __future__ import annotations

import sys

import pytest

from foreign_user import give_away
from moorage.errors import LaunchError
from moorage.process.base import LaunchSpec
from moorage.process.local import LocalLauncher, Warden
from moorage.process.shadow import check_shadow

ARGV = (sys.executable, "-m", "ipykernel_launcher", "-f", "x.json")


@pytest.fixture
def shared(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def spec(folder, argv=ARGV, **env):
    return LaunchSpec(argv, str(folder), env)


@pytest.mark.parametrize("name", ["ipykernel_launcher.py", "ipykernel_launcher", "runpy.abi3.so"])
def test_a_file_of_another_user_is_not_run(shared, name):
    (shared / name).mkdir() if "." not in name else (shared / name).touch()
    check_shadow(spec(shared))
    give_away(shared / name)
    with pytest.raises(LaunchError, match="belongs to another user"):
        check_shadow(spec(shared))


def test_where_python_does_not_look_there_all_is_well(shared, monkeypatch):
    (shared / "ipykernel_launcher.py").touch()
    give_away(shared / "ipykernel_launcher.py")
    check_shadow(spec(shared, (sys.executable, "-IS", *ARGV[1:])))
    check_shadow(spec(shared, (sys.executable, "-P", *ARGV[1:])))
    check_shadow(spec(shared, (sys.executable, "/x/ipykernel_launcher.py", "-f", "x.json")))
    check_shadow(spec(shared, ("R", "-m", "ipykernel_launcher")))
    check_shadow(spec(shared, PYTHONSAFEPATH="1"))
    check_shadow(spec(shared / "nowhere"))
    monkeypatch.setenv("MOORAGE_TRUST", str(shared))
    check_shadow(spec(shared))


def test_a_folder_that_nobody_else_writes_to_is_not_looked_through(shared):
    (shared / "ipykernel_launcher.py").touch()
    give_away(shared / "ipykernel_launcher.py")
    shared.chmod(0o755)
    check_shadow(spec(shared))


@pytest.mark.anyio
async def test_a_launch_is_refused(shared):
    (shared / "ipykernel_launcher.py").write_text("open('ran', 'w')")
    give_away(shared / "ipykernel_launcher.py")
    async with Warden.open() as warden:
        with pytest.raises(LaunchError, match="instead of ipykernel_launcher"):
            async with LocalLauncher(warden).launch(spec(shared)):
                pass
    assert not (shared / "ran").exists()
