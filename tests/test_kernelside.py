"""What authors of kernels call, against launchers that stand here for xeus's and for kallichore."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign import Kallichore, XeusLauncher
from moorage import kernelside
from moorage.errors import DeadlineExceeded, MoorageError, ProtocolError, UsageError
from moorage.wire.connection import PORTS

NUMBERS = dict(zip(PORTS, range(5001, 5006), strict=True))


@pytest.fixture(params=[XeusLauncher, Kallichore])
def launcher(request):
    with request.param() as launcher:
        yield launcher


@pytest.fixture
def file(tmp_path):
    return tmp_path / "kernel.json"


def test_a_foreign_launcher_acknowledges(launcher, file):
    file.write_text(json.dumps({**launcher.file(), "kernel_name": "mine"}))
    with ThreadPoolExecutor(1) as pool:
        registering = pool.submit(kernelside.register, file, NUMBERS)
        assert launcher.registered() == NUMBERS
        info = registering.result(20)
    assert (info.shell_port, info.key, info.ip) == (5001, launcher.key, "127.0.0.1")
    written = json.loads(file.read_bytes())
    assert {name: written[name] for name in PORTS} == NUMBERS
    assert (written["key"], written["kernel_name"]) == (launcher.key.decode(), "mine")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kernelside.terms(file) is None, "it has become a connection file"


def test_no_acknowledgement_comes(launcher, file):
    file.write_text(json.dumps(launcher.file()))
    with pytest.raises(DeadlineExceeded, match="no acknowledgement"):
        kernelside.register(file, NUMBERS, timeout=0.2)
    assert kernelside.terms(file) is not None


def test_nothing_listens(file):
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
    file.write_text(json.dumps({"key": "k", "registration_port": port}))
    with pytest.raises(DeadlineExceeded):
        kernelside.register(file, NUMBERS, timeout=0.2)


@pytest.mark.parametrize("answer", ["wrong key", "error", "rubbish"])
def test_an_answer_that_is_no_acknowledgement(launcher, file, answer):
    if answer == "error" and isinstance(launcher, XeusLauncher):
        pytest.skip("the docs dialect has no word for no")
    file.write_text(json.dumps(launcher.file()))
    with ThreadPoolExecutor(1) as pool:
        registering = pool.submit(kernelside.register, file, NUMBERS, timeout=20)
        launcher.registered(answer=answer)
        with pytest.raises(ProtocolError):
            registering.result(20)


def test_ports_that_make_no_sense_are_refused_before_they_are_sent(launcher, file):
    file.write_text(json.dumps(launcher.file()))
    for odd in ({}, {**NUMBERS, "hb_port": 0}, {**NUMBERS, "hb_port": 65536}):
        with pytest.raises(ProtocolError):
            kernelside.register(file, odd)
    assert not launcher.heard()


def test_an_ordinary_connection_file(file):
    file.write_text(json.dumps({**NUMBERS, "key": "k"}))
    assert kernelside.terms(file) is None
    with pytest.raises(UsageError, match="no registration file"):
        kernelside.register(file, NUMBERS)


def test_a_file_that_cannot_be_written_is_the_kernels_least_trouble(launcher, file, monkeypatch):
    file.write_text(json.dumps(launcher.file()))

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(kernelside, "_write", full)
    with ThreadPoolExecutor(1) as pool:
        registering = pool.submit(kernelside.register, file, NUMBERS)
        launcher.registered()
        assert registering.result(20).hb_port == 5005


@settings(deadline=None)
@given(st.binary(max_size=200) | st.just(b"[" * 100_000) | st.just(b"[]") | st.just(b'"x"'))
def test_whatever_stands_in_the_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("k") / "kernel.json"
    path.write_bytes(data)
    with pytest.raises(MoorageError):
        kernelside.register(path, NUMBERS)


def test_a_file_that_is_not_there(file):
    with pytest.raises(FileNotFoundError):
        kernelside.terms(file)


@pytest.mark.timeout(60)
def test_a_pipe_and_a_device_are_reported_and_not_waited_for(file, tmp_path):
    os.mkfifo(file)
    (tmp_path / "endless.json").symlink_to("/dev/zero")
    for path, kind in ((file, "a pipe"), (tmp_path / "endless.json", "a device")):
        with pytest.raises(OSError, match=kind):
            kernelside.terms(path)
        with pytest.raises(OSError, match=kind):
            kernelside.register(path, NUMBERS)


def test_it_imports_nothing_but_pyzmq_and_the_standard_library():
    code = (
        "import sys; before = {*sys.modules}; import moorage.kernelside\n"
        "known = sys.stdlib_module_names | {'zmq', 'moorage', 'cython_runtime'}\n"
        "found = {name.partition('.')[0] for name in {*sys.modules} - before}\n"
        "print(*found - known, 'asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)
    *strangers, has_asyncio = done.stdout.split()
    assert [name for name in strangers if not name.startswith("_")] == []
    assert has_asyncio == "False"
