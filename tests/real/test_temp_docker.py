"""``moorage temp --place docker`` with a real engine, and JupyterLab in an image."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.container_engine import IMAGE, OwnEngine, own_engine, why_none

from cli.test_temp_run import Temp, running
from command import DEADLINE, Command, typed_in, until
from real.test_temp import Open, Visit, open_notebook
from real.test_temp_template import Visitor

pytestmark = [
    pytest.mark.far,
    pytest.mark.skipif(bool(why_none()), reason=f"no Docker engine: {why_none()}"),
]


@pytest.fixture(scope="module")
def docker() -> Iterator[OwnEngine]:
    with own_engine() as found:
        yield found


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with typed_in(tmp_path) as made:
        yield made
        shutil.rmtree(made.runtime / "state", ignore_errors=True)


@contextmanager
def contained(command: Command, docker: OwnEngine, *words: object) -> Iterator[Temp]:
    place = ["--place", "docker", "--docker-socket", docker.socket, "--image", IMAGE]
    with running(command, *place, *words) as temp:
        yield temp


def containers(command: Command, docker: OwnEngine) -> list[str]:
    return docker.containers(command.runtime / "state")


def nothing_is_left(command: Command, docker: OwnEngine) -> None:
    assert containers(command, docker) == []
    assert until(lambda: not any(each.startswith("process") for each in command.left()), DEADLINE)
    assert [*(command.runtime / "state" / "servers").iterdir()] == []


def gone(temp: Temp) -> str:
    """Return the page that tells a visitor how its server ended."""
    found: list[str] = []

    def told() -> bool:
        found.append(temp.ask("GET", "/")[2])
        return "its container ended" in found[-1] or "used up" in found[-1]

    assert until(told, DEADLINE), found[-1]
    return found[-1]


def test_a_visitor_runs_a_cell_in_a_container_and_nothing_is_left(
    command: Command, docker: OwnEngine, tmp_path: Path
) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "a.txt").write_text("of the content")
    with contained(command, docker, "--content", content) as temp:
        visit = Visit(temp)
        (container,) = containers(command, docker)
        with open_notebook(visit) as notebook:
            assert notebook.run("print(6 * 7)") == "42"
            assert notebook.run("print(open('a.txt').read())") == "of the content"
            assert notebook.run("import os; print(os.listdir('/sys/class/net'))") == "['lo']"
            assert notebook.run("import socket; print(socket.gethostname())") == "moorage"
            assert notebook.run("import getpass; print(getpass.getuser(), os.getuid() > 0)") == "visitor True"
            notebook.run("open('a.txt', 'w').write('changed'); print()")
            assert visit.ask("GET", "/api/contents/a.txt?type=file")["content"] == "changed"
        assert (content / "a.txt").read_text() == "of the content"
        said = json.loads(docker.docker("inspect", container))[0]
        assert said["HostConfig"]["NetworkMode"] == "none"
        assert said["HostConfig"]["ReadonlyRootfs"]
        assert said["HostConfig"]["CapDrop"] == ["ALL"]
        assert Visitor(temp).ask("GET", visit.base + "/api/status")[0] == 404
        assert "JupyterLab" in temp.ask("GET", visit.base + "/lab")[2]
    nothing_is_left(command, docker)


def test_a_visitor_finds_itself_and_what_it_may_take(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker, "--disk", "16M", "--memory", "512M", "--cpus", "0.5") as temp:
        visit = Visit(temp)
        with open_notebook(visit) as notebook:
            for path in ("/etc/x", "/opt/x", "/x", "/moorage/work/x", "/etc/passwd"):
                said = notebook.run(f"try: open({path!r}, 'a')\nexcept OSError as e: print(e.strerror)")
                assert said in {"Read-only file system", "Permission denied"}, path
            full = "try: open('big', 'wb').write(bytes(17 << 20))\nexcept OSError as e: print(e.strerror)"
            assert notebook.run(full) == "No space left on device"
            assert (
                notebook.run("import os; os.remove('big'); print(os.path.exists('/var/run/docker.sock'))")
                == "False"
            )
            status = (
                "print(*[l.split()[1] for l in open('/proc/self/status') if l[:6] in ('CapEff', 'NoNewP')])"
            )
            assert notebook.run(status) == "0000000000000000 1"
            mine = "import glob; print(len(glob.glob('/proc/[0-9]*')) < 10)"
            assert notebook.run(mine) == "True"
        (container,) = containers(command, docker)
        host = json.loads(docker.docker("inspect", container))[0]["HostConfig"]
        assert (host["Memory"], host["NanoCpus"]) == (512 << 20, 500_000_000)
    nothing_is_left(command, docker)


def test_a_killed_service_costs_no_visitor_anything(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker) as temp:
        visit = Visit(temp)
        other = Visit(Visitor(temp))
        with open_notebook(visit) as notebook:
            assert notebook.run("x = 41; print(x)") == "41"
        kernel = visit.ask("GET", "/api/kernels")[0]["id"]
        cookies = temp.cookies
        lost = other.base.rpartition("/")[2]
        temp.process.kill()
        temp.process.wait()
    docker.docker("kill", f"moorage-{lost}")
    with contained(command, docker) as temp:
        temp.cookies = cookies
        assert temp.ask("GET", visit.base + "/api/status")[0] == 200
        again = object.__new__(Visit)
        again.temp, again.base, again.headers, again.notebooks = temp, visit.base, visit.headers, []
        notebook = Open(again, kernel)
        notebook.hear()
        assert notebook.run("print(x + 1)") == "42"
        notebook.close()
        guest = Visitor(temp)
        guest.cookies = other.temp.cookies
        assert "killed by SIGKILL" in guest.ask("GET", "/")[2]
        assert len(containers(command, docker)) == 1
    nothing_is_left(command, docker)


def test_what_belongs_to_no_visitor_is_removed(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker) as temp:
        Visit(temp)
        temp.process.kill()
        temp.process.wait()
    (container,) = containers(command, docker)
    shutil.rmtree(command.runtime / "state" / "servers")
    with contained(command, docker):
        assert container not in containers(command, docker)
    nothing_is_left(command, docker)


def test_a_container_that_dies_is_told_to_its_visitor(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker) as temp:
        Visit(temp)
        (container,) = containers(command, docker)
        first = docker.pid(container)
        (server,) = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        os.kill(int(server), signal.SIGSEGV)
        assert "killed by SIGSEGV" in gone(temp)
        assert until(lambda: containers(command, docker) == [], DEADLINE)
        second = Visit(temp)
        assert second.ask("GET", "/api/status")["kernels"] == 0
        (container,) = containers(command, docker)
        docker.docker("rm", "-f", container)
        assert until(lambda: "container" in temp.ask("GET", "/")[2], DEADLINE)
    nothing_is_left(command, docker)


HOG = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
taken = []
while True:
    taken.append(bytes(b"1" * (1 << 20)))
"""


def test_memory_that_is_used_up_is_told_to_its_visitor(
    command: Command, docker: OwnEngine, tmp_path: Path
) -> None:
    (tmp_path / "hog.py").write_text(HOG)
    tmp_path.chmod(0o755)
    words = [
        "--memory",
        "256M",
        "--mount",
        f"{tmp_path}:/given",
        "--command",
        "python3 /given/hog.py {socket}",
    ]
    with contained(command, docker, *words) as temp:
        token = temp.ask("GET", "/")[2].partition('name="token" value="')[2].partition('"')[0]
        temp.ask("POST", "/start", f"token={token}&to=&offer=")
        assert "used up the 256 MiB of memory" in gone(temp)
    nothing_is_left(command, docker)


def test_a_kernel_that_is_killed_for_want_of_memory_is_told(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker, "--memory", "256M") as temp:
        visit = Visit(temp)
        server = visit.base.rpartition("/")[2]
        with open_notebook(visit) as notebook:
            assert notebook.run("print(6 * 7)") == "42"
            notebook.send("execute_request", code="x = []\nwhile True: x.append(b'1' * (1 << 20))")
            told = lambda: json.loads(temp.ask("GET", f"/time-left?server={server}")[2])  # noqa: E731 - short
            assert until(lambda: told()["memory"]["kills"] == 1, DEADLINE), told()
        assert visit.ask("GET", "/api/status")["kernels"] == 1  # its server goes on, and starts it again
    nothing_is_left(command, docker)


def test_what_is_wrong_is_one_sentence(command: Command, docker: OwnEngine) -> None:
    words = ["temp", "--port", "0", "--state", command.runtime / "state", "--place", "docker"]
    engine = ["--docker-socket", docker.socket]
    done = command(*words, *engine, "--image", "nowhere/none:1", code=2)
    assert "there is no image nowhere/none:1" in done.stderr
    assert "Type: docker pull nowhere/none:1" in done.stderr
    done = command(*words, "--docker-socket", "/nowhere/s", "--image", IMAGE, code=2)
    assert "engine at /nowhere/s does not answer" in done.stderr
    done = command(*words, *engine, "--image", IMAGE, "--docker-network", "none-such", code=2)
    assert "there is no network none-such" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_with_a_port_is_reached_in_its_network(
    command: Command, docker: OwnEngine, tmp_path: Path
) -> None:
    (tmp_path / "page.txt").write_text("of this machine")
    tmp_path.chmod(0o755)
    docker.docker("network", "create", "--internal", "--subnet", "172.31.77.0/24", "moorage-test")
    try:
        words = ["--docker-network", "moorage-test", "--mount", f"{tmp_path}:/given"]
        line = "python3 -m http.server {port} --directory /given"
        with contained(command, docker, *words, "--command", line) as temp:
            path = temp.server()
            assert temp.ask("GET", path + "page.txt")[2] == "of this machine"
            temp.process.kill()
            temp.process.wait()
            cookies = temp.cookies
        with contained(command, docker, *words, "--command", line) as temp:
            temp.cookies = cookies
            assert temp.ask("GET", path + "page.txt")[2] == "of this machine"
        nothing_is_left(command, docker)
    finally:
        docker.docker("network", "rm", "moorage-test")


def test_each_offer_has_an_image_of_its_own(command: Command, docker: OwnEngine, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "moorage.toml").write_text(
        f'[temp.offers.lab]\nimage = "{IMAGE}"\nmemory = "512M"\n'
        f'[temp.offers.data]\nimage = "{IMAGE}"\nuser = "1234"\nmounts = ["data:/given:rw"]\n'
    )
    (tmp_path / "data").chmod(0o777)
    with running(command, "--place", "docker", "--docker-socket", docker.socket) as temp:
        assert temp.server("lab").endswith("/lab")
        (container,) = containers(command, docker)
        assert json.loads(docker.docker("inspect", container))[0]["HostConfig"]["Memory"] == 512 << 20
        visit = Visit(Visitor(temp), offer="data")
        with open_notebook(visit) as notebook:
            assert notebook.run("import os; print(os.getuid(), open('/given/x', 'w').write('x'))") == "1234 1"
        assert (tmp_path / "data" / "x").read_text() == "x"
    nothing_is_left(command, docker)


def test_containers_of_a_service_that_is_not_started_again_end(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker, "--lease", "3") as temp:
        Visit(temp)
        temp.process.kill()
        temp.process.wait()
        assert len(containers(command, docker)) == 1
    assert until(lambda: containers(command, docker) == [], DEADLINE)
    nothing_is_left(command, docker)


def download(visit: Visit) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", visit.temp.port, timeout=DEADLINE)
    connection.request("GET", "/download", headers=visit.headers)
    said = connection.getresponse().read()
    connection.close()
    return said


def names_in(archive: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(archive)).namelist()


def test_a_state_directory_may_lie_where_an_image_lets_no_visitor_in(
    command: Command, docker: OwnEngine, tmp_path: Path
) -> None:
    content = tmp_path / "content"
    content.mkdir()
    (content / "a.txt").write_text("of the content")
    place = ["--place", "docker", "--docker-socket", docker.socket, "--image", IMAGE, "--content", content]
    with tempfile.TemporaryDirectory(prefix=".mt-", dir=Path.home()) as state:
        with running(command, *place, state=f"{state}/s") as temp:
            visit = Visit(temp)
            with open_notebook(visit) as notebook:
                assert notebook.run("import os; print(os.getcwd(), *os.listdir())") == "/visitor/work a.txt"
            assert names_in(download(visit)) == ["a.txt"]
        assert docker.containers(Path(state, "s")) == []


def test_a_visitor_gets_a_spare(command: Command, docker: OwnEngine) -> None:
    with contained(command, docker, "--spares", "1") as temp:
        assert until(lambda: "answers" in temp.said(), DEADLINE), temp.said()
        visit = Visit(temp)
        assert "is handed out" in temp.said()
        with open_notebook(visit) as notebook:
            assert notebook.run("print(6 * 7)") == "42"
    nothing_is_left(command, docker)
