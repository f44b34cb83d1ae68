"""Kernels that run already: found by their files, believed by their sockets."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from command import until
from foreign_user import STRANGER
from moorage.discovery import Around
from moorage.discovery import running as module
from moorage.discovery.running import find, look, running, runtime_directory, shortest_ids
from moorage.errors import KernelTypeNotFound
from moorage.process.warden.private_directory import PrivateDirectory
from moorage.process.warden.private_directory import make as make_berth

# What a client sees of a kernel's heartbeat: libzmq greets at once, and sends no more.
STAND_IN = """
import socket, sys
where, file = sys.argv[1:]
family = socket.AF_UNIX if where.startswith("/") else socket.AF_INET
listening = socket.socket(family)
listening.bind(where if where.startswith("/") else ("127.0.0.1", int(where)))
listening.listen()
print(listening.getsockname()[1] if family == socket.AF_INET else 0, flush=True)
while True:
    peer, _ = listening.accept()
    peer.send(b"\\xff" + bytes(8) + b"\\x7f")
    peer.close()
"""


class Machine:
    """A runtime directory of its own, and processes that stand in for kernels."""

    def __init__(self, root: Path) -> None:
        self.runtime = root / "runtime"
        self.runtime.mkdir()
        self.around = Around(root, {"JUPYTER_RUNTIME_DIR": str(self.runtime)})
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, path: Path, port: int = 1, **more) -> Path:
        content = dict.fromkeys(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), port)
        content |= {"ip": "127.0.0.1", "transport": "tcp", "key": "secret", "kernel_name": "python3", **more}
        path.write_text(json.dumps(content))
        return path

    def start(self, path: Path, where: str = "0", **more) -> subprocess.Popen[str]:
        """Start a stand-in, and write the connection file that leads to it."""
        command = [sys.executable, "-c", STAND_IN, where, str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        port = int(process.stdout.readline())
        self.write(path, port or 5, **more)
        return process

    def here(self) -> list[module.RunningKernel]:
        """What is found, but for what others run on this machine."""
        mine = {process.pid for process in self.processes}
        return [
            each
            for each in running(self.around)
            if each.connection_file.parent == self.runtime or each.pid in mine
        ]


@pytest.fixture
def machine(tmp_path):
    one = Machine(tmp_path)
    yield one
    for process in one.processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def berth():
    made: PrivateDirectory = make_berth()
    yield Path(made.path)
    made.remove()


def test_a_living_kernel_is_distinguished_from_a_file_that_was_left(machine):
    process = machine.start(machine.runtime / "kernel-alive.json")
    machine.write(machine.runtime / "kernel-stale.json", port=1)
    alive, stale = sorted(machine.here(), key=lambda each: each.connection_file)
    assert alive.id.endswith("alive")  # longer where others have one of that name
    assert (alive.alive, alive.pid, alive.owner) == (True, process.pid, "jupyter")
    assert alive.kernel_name == "python3"
    assert 0 <= alive.age < 60
    assert alive.memory > 1 << 20
    assert (stale.alive, stale.pid, stale.memory) == (False, None, None)
    process.kill()
    process.wait()
    assert not any(each.alive for each in machine.here())


def test_no_key_is_shown(machine):
    machine.start(machine.runtime / "kernel-a.json")
    assert "secret" not in repr(machine.here())


def test_a_kernel_of_moorage_lies_in_a_directory_of_its_own(machine, berth):
    folder = berth / secrets.token_hex(4)
    folder.mkdir()
    process = machine.start(folder / "kernel.json", f"{folder}/k-5", transport="ipc", ip=f"{folder}/k")
    (found,) = machine.here()
    assert (found.id, found.owner, found.alive, found.pid) == (folder.name, "moorage", True, process.pid)


def test_a_file_elsewhere_is_found_on_the_command_line(machine, tmp_path):
    process = machine.start(tmp_path / "odd.json")
    (found,) = machine.here()
    assert found.id.endswith("odd")
    assert (found.owner, found.pid) == ("other", process.pid)


def test_a_process_that_only_names_the_file_is_not_the_kernel(machine):
    path = machine.runtime / "kernel-a.json"
    editor = subprocess.Popen([sys.executable, "-c", "input()", str(path)], stdin=subprocess.PIPE)
    try:
        process = machine.start(path)
        (found,) = machine.here()
        assert found.pid == process.pid
    finally:
        editor.communicate(b"\n")


@contextmanager
def listening(speak: bytes | None, uid: int | None = None):
    """A foreign process at a port, perhaps another user's: it sends something, or nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    if uid is not None:
        os.fchown(server.fileno(), uid, -1)  # as /proc/net/tcp has it from then on

    def serve():
        try:
            while True:
                peer, _ = server.accept()
                if speak is not None:
                    peer.send(speak)
                    peer.close()
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the peer that is never spoken to
@pytest.mark.parametrize("speak", [b"HTTP/1.1 400 Bad Request\r\n", b"", None])
def test_a_process_that_got_the_port_since_is_no_kernel(machine, speak):
    with listening(speak) as port:
        machine.write(machine.runtime / "kernel-old.json", port)
        assert [each.alive for each in machine.here()] == [False]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can play another user")
@pytest.mark.parametrize("uid", [STRANGER, None])
def test_another_users_process_at_the_port_of_a_file_that_was_left_is_told(machine, uid):
    with listening(b"\xff", uid) as port:
        machine.write(machine.runtime / "kernel-old.json", port)
        (found,) = machine.here()
        assert (found.alive, found.foreign) == (True, uid is not None)


def test_a_kernel_whose_command_names_its_file_may_run_as_another_user(machine, monkeypatch):
    process = machine.start(machine.runtime / "kernel-a.json")
    assert [each.foreign for each in machine.here()] == [False]
    monkeypatch.setattr(module.processes.listening, "users_at", lambda *_: {STRANGER})
    path = machine.runtime / "kernel-a.json"
    told = [
        module.processes.is_another_users("tcp", "127.0.0.1", 1, path, pid) for pid in (process.pid, None)
    ]
    assert told == [False, True]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"{}",
        b"\xff\xff",
        b"[" * 20_000,
        b'{"shell_port": 0}',
        b'{"shell_port":1,"iopub_port":1,"stdin_port":1,"control_port":1,"hb_port":99999}',
        b'{"shell_port":1,"iopub_port":1,"stdin_port":1,"control_port":1,"hb_port":1,"transport":"x"}',
        b" " * 100_000,
    ],
)
def test_what_is_no_connection_file_is_passed_over(machine, content):
    (machine.runtime / "kernel-x.json").write_bytes(content)
    assert machine.here() == []


def test_addresses_that_lead_nowhere_are_no_error(machine):
    machine.write(machine.runtime / "kernel-a.json", ip="no.such.host.invalid")
    machine.write(machine.runtime / "kernel-b.json", ip="/x" * 200, transport="ipc")
    machine.write(machine.runtime / "kernel-c.json", ip="a\0b")
    (machine.runtime / "kernel-d.json").mkdir()
    (machine.runtime / "kernel-e.json").symlink_to("gone")
    assert [each.alive for each in machine.here()] == [False] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_other_users_are_none_of_ours(machine):
    path = machine.write(machine.runtime / "kernel-x.json")
    os.chown(path, 65534, 65534)
    assert machine.here() == []
    with pytest.raises(KernelTypeNotFound, match="belongs to another user"):
        find(path)


# -- by name ---------------------------------------------------------------------------------------


def test_one_is_found_by_whatever_it_is_called(machine):
    mark = secrets.token_hex(4)  # others on this machine may have kernels called abc
    path = machine.runtime / f"kernel-{mark}def.json"
    process = machine.start(path)
    machine.start(machine.runtime / f"kernel-{mark}xyz.json")
    for name in (f"{mark}def", f"{mark}d", f"running/{mark}def", str(process.pid), str(path), path):
        assert find(name, machine.around).connection_file == path


def test_a_name_of_several_is_reported(machine):
    mark = secrets.token_hex(4)
    machine.start(machine.runtime / f"kernel-{mark}c.json")
    machine.start(machine.runtime / f"kernel-{mark}d.json")
    with pytest.raises(KernelTypeNotFound, match=f"several kernels begin with {mark}") as caught:
        find(mark, machine.around)
    assert f"{mark}c" in caught.value.do


def test_the_living_come_before_the_dead(machine):
    mark = secrets.token_hex(4)
    machine.write(machine.runtime / f"kernel-{mark}c.json")
    machine.start(machine.runtime / f"kernel-{mark}d.json")
    assert find(mark, machine.around).id == f"{mark}d"
    assert find(f"{mark}c", machine.around).id == f"{mark}c"


def test_one_that_is_not_there(machine, tmp_path):
    with pytest.raises(KernelTypeNotFound, match="no running kernel is called zzz"):
        find("zzz", machine.around)
    with pytest.raises(KernelTypeNotFound, match="There is no such file"):
        find(tmp_path / "gone.json", machine.around)
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(KernelTypeNotFound, match="no connection file"):
        find(str(tmp_path / "odd.json"), machine.around)


def test_an_empty_name_is_none(machine):
    machine.start(machine.runtime / "kernel-abc.json")
    with pytest.raises(KernelTypeNotFound):
        find("", machine.around)


# -- as a provider ---------------------------------------------------------------------------------


def test_as_kernel_types_the_living_can_be_attached_to(machine):
    machine.write(machine.runtime / "kernel-stale.json")
    machine.start(path := machine.runtime / "kernel-alive.json")
    (found,) = [
        each for each in look(machine.around) if each.attach and each.attach.parent == machine.runtime
    ]
    assert found.name.startswith("running/")
    assert found.attach == path
    assert str(path) in found.lack.do


def test_where_jupyter_keeps_them():
    assert runtime_directory({"JUPYTER_RUNTIME_DIR": "/r", "JUPYTER_DATA_DIR": "/d"}) == Path("/r")
    assert runtime_directory({"JUPYTER_DATA_DIR": "/d"}) == Path("/d/runtime")
    gone = Around(Path("/"), {"JUPYTER_RUNTIME_DIR": "/gone"})
    assert not any(each.connection_file.is_relative_to("/gone") for each in running(gone))


def test_files_of_one_name_are_kept_apart_by_their_folders(machine, tmp_path):
    mark = secrets.token_hex(4)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        machine.start(tmp_path / name / f"{mark}.json")
    ids = {each.id for each in machine.here()}
    assert len(ids) == 2
    assert {each.rpartition("-")[0].rpartition("-")[2] for each in ids} == {"one", "two"}
    for each in ids:
        assert find(each, machine.around).id == each
    with pytest.raises(KernelTypeNotFound, match=f"several kernels begin with {mark}"):
        find(mark, machine.around)


def test_the_oldest_comes_first(machine):
    machine.start(machine.runtime / "kernel-b.json")
    began = time.monotonic()
    assert until(lambda: time.monotonic() - began > 0.05)  # the process table counts in hundredths
    machine.start(machine.runtime / "kernel-a.json")
    assert [each.connection_file.stem for each in machine.here()] == ["kernel-b", "kernel-a"]


def test_a_file_whose_port_another_kernel_has_got_is_one_that_has_ended(machine):
    process = machine.start(machine.runtime / "kernel-new.json")
    port = json.loads((machine.runtime / "kernel-new.json").read_bytes())["hb_port"]
    machine.write(machine.runtime / "kernel-old.json", port, key="another")
    assert {each.id: (each.alive, each.pid) for each in machine.here()} == {
        "new": (True, process.pid),
        "old": (False, None),
    }
    assert find(str(process.pid), machine.around).id == "new"
    # With the same key it is the same kernel: the file it was given, and the one that its launcher wrote.
    machine.write(machine.runtime / "kernel-old.json", port)
    assert [each.pid for each in machine.here()] == [process.pid]


def test_a_file_that_several_names_lead_to_is_one_kernel(machine):
    machine.start(machine.runtime / "kernel-a.json")
    (machine.runtime / "kernel-b.json").symlink_to("kernel-a.json")
    assert len(machine.here()) == 1


def test_a_kernel_with_a_file_of_jupyter_and_one_of_moorage_is_shown_once(machine, berth):
    machine.start(berth / "kernel.json", str(berth / "ipc-5"), transport="ipc", ip=str(berth / "ipc"))
    shown = (berth / "kernel.json").read_text()
    (machine.runtime / "kernel-abc.json").write_text(shown)
    (found,) = machine.here()
    assert (found.id, found.owner, found.pid) == ("abc", "jupyter", machine.processes[0].pid)


def test_pipes_and_links_of_others_in_jupyters_folder_are_passed_over(machine):
    os.mkfifo(machine.runtime / "kernel-pipe.json")
    machine.start(machine.runtime / "kernel-a.json")
    (machine.runtime / "kernel-0.json").symlink_to("nowhere")
    assert [each.id for each in machine.here()] == ["a"]


def test_ids_are_as_long_as_they_must_be():
    assert shortest_ids(["abcdefghij", "abcdefghik", "x", "12345678901"]) == [
        "abcdefghij",
        "abcdefghik",
        "x",
        "12345678",
    ]
