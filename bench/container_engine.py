"""A Docker engine of its own, and an image with JupyterLab, made of Debian packages and PyPI's.

Both take a minute and a half, for no registry of images need be reachable.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IMAGE = "moorage-test:lab"
GIVEN = "MOORAGE_TEST_ENGINE"
"""Variable with the socket of an engine that has the image already."""
_PROGRAMS = ("dockerd", "docker", "debootstrap", "tar")
_QUIET = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none")
_DOCKERFILE = """\
FROM moorage-test:base
RUN python3 -m venv /opt/j && /opt/j/bin/pip install -q --disable-pip-version-check jupyterlab
ENV PATH=/opt/j/bin:/usr/bin:/bin LANG=C.UTF-8
"""


@dataclass(frozen=True)
class OwnEngine:
    """One engine that runs."""

    socket: Path

    def docker(self, *words: str) -> str:
        """Return what the command says."""
        return _run("docker", "-H", f"unix://{self.socket}", *words)

    def containers(self, state: Path) -> list[str]:
        """Return the ids of all containers of a service, those among them that have ended."""
        label = f"label=moorage.temp.state={state}"
        return self.docker("ps", "-aq", "--no-trunc", "--filter", label).split()

    def pid(self, container: str) -> int:
        """Return the process id of the first process in a container."""
        return int(self.docker("inspect", "-f", "{{.State.Pid}}", container))


def why_none() -> str:
    """Return why there can be no engine here; empty where there can."""
    if os.environ.get(GIVEN):
        return ""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Docker's engine needs root on Linux"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Yield an engine with the image; nothing of it is left afterwards."""
    if given := os.environ.get(GIVEN):
        yield OwnEngine(Path(given))
        return
    folder = Path(tempfile.mkdtemp(prefix="moorage-engine-", dir="/tmp"))
    with (folder / "log").open("wb") as log:
        roots = ["--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
        words = ["dockerd", *roots, "--pidfile", str(folder / "pid"), "-H", f"unix://{folder / 's'}", *_QUIET]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        found = OwnEngine(folder / "s")
        deadline = time.monotonic() + 60
        while not found.socket.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        _make_image(found, folder)
        yield found
        for each in found.docker("ps", "-aq").split():
            found.docker("rm", "-f", each)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        namespace = folder / "exec" / "netns" / "default"  # which the engine leaves mounted
        subprocess.run(["umount", str(namespace)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _make_image(engine: OwnEngine, folder: Path) -> None:
    root, build = folder / "root", folder / "build"
    packages = "--include=python3,python3-venv,ca-certificates"
    _run("debootstrap", "--variant=minbase", packages, "bookworm", str(root), *_mirror())
    own = Path("/etc/ssl/certs/ca-certificates.crt")  # may have a certificate that PyPI is reached by
    shutil.copy(own, root / own.relative_to("/"))
    left_out = [f"--exclude=./{each}" for each in ("var/cache/apt/archives", "proc", "sys", "dev")]
    archive = folder / "root.tar"
    _run("tar", "-C", str(root), *left_out, "-cf", str(archive), ".")
    engine.docker("import", str(archive), "moorage-test:base")
    build.mkdir()
    (build / "Dockerfile").write_text(_DOCKERFILE)
    engine.docker("build", "-q", "--network=host", "-t", IMAGE, str(build))
    archive.unlink()
    shutil.rmtree(root)


def _mirror() -> list[str]:
    """Return where this machine has its packages from, so that one behind a mirror uses that."""
    for file in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        for line in file.read_text().splitlines() if file.exists() else ():
            words = line.split()
            if words[:1] == ["URIs:"]:
                return words[1:2]
            if words[:1] == ["deb"]:
                return [word for word in words if "://" in word][:1]
    return []


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout.strip()
