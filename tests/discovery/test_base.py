"""What a provider says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moorage.discovery import Around, KernelSpec, KernelType, from_blocking
from moorage.discovery.base import in_thread, named

SPEC = KernelSpec("box", ("x", "{connection_file}"), "Box", "box", provider="my")
BOX = KernelType(SPEC)
HERE = Around(Path("/"), {"HOME": "/h", "TOKEN": "secret"})


def test_a_kernel_type_is_called_by_provider_and_name():
    assert BOX.name == "my/box"
    assert named("box", [BOX]) is BOX
    assert named("my/box", [BOX]) is None


def test_logos_are_found_by_their_names(tmp_path):
    for name in ("logo-64x64.png", "logo-svg.svg", "kernel.json"):
        (tmp_path / name).touch()
    found = KernelType(KernelSpec("n", (), "", "", resource_dir=tmp_path)).logos()
    assert found == {"logo-64x64": tmp_path / "logo-64x64.png", "logo-svg": tmp_path / "logo-svg.svg"}
    assert KernelType(KernelSpec("n", (), "", "", resource_dir=tmp_path / "gone")).logos() == {}
    assert BOX.logos() == {}


def test_no_variable_is_shown():
    assert "secret" not in repr(HERE)
    assert HERE.home == Path("/h")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ä"])
def test_names_of_providers(name):
    with pytest.raises(ValueError, match="no name for a provider"):
        from_blocking(name, lambda _: [])


@pytest.mark.anyio
async def test_plain_functions_become_a_provider_that_leaves_the_loop_alone():
    threads = []

    def look(around):
        threads.append(threading.current_thread())
        return [BOX]

    provider = from_blocking("my", look, slow=True)
    assert (provider.name, provider.slow) == ("my", True)
    assert await provider.find(HERE) == [BOX]
    assert await provider.get("box", HERE) is BOX
    assert await provider.get("bix", HERE) is None
    assert threading.main_thread() not in threads


@pytest.mark.anyio
async def test_what_a_thread_raises_is_raised_here():
    with pytest.raises(SystemExit):
        await in_thread(lambda: sys.exit(3), name="x")


@pytest.mark.anyio
async def test_cancelling_abandons_the_thread():
    release = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(release.wait, name="x")
    release.set()


def test_a_thread_that_hangs_does_not_keep_the_program_alive():
    program = """if True:
        import asyncio, threading
        from moorage.discovery.base import in_thread
        async def main():
            try:
                async with asyncio.timeout(0.05):
                    await in_thread(threading.Event().wait, name="for ever")
            except TimeoutError:
                print("left")
        asyncio.run(main())
    """
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_the_package_has_the_names_that_a_provider_is_written_with():
    import moorage.discovery as offered

    assert all(getattr(offered, name) is not None for name in offered.__all__)
    with pytest.raises(AttributeError):
        offered.nothing  # noqa: B018 - the access is what raises
