"""The recipes of docs/how-to, followed word for word in an environment of their own.

What needs no package from an index runs in `make test`; MkDocs, Sphinx and Jupyter's tools are installed
anew for `make recipes`, as a reader of the page would install them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import yaml

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to"
SITES, MAKE, JUPYTER = (
    HOW_TO / f"{name}.md" for name in ("sites-and-artifacts", "from-make-and-flock", "use-with-jupyter")
)
LIMIT = 600
"""Seconds that a step may take on a machine that is busy with other things."""

FILM = """\
# # Waves
#
# ![the film](film.gif), and [the other](../other/other.py).

# +
from base64 import b64decode
from pathlib import Path

from IPython.display import HTML

Path("film.gif").write_bytes(b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"))
HTML('<img src="film.gif">')
# -
"""
OTHER = """\
# # Other
#
# Back to [the waves](../waves/waves.py).

# +
print("printed by", "the other")
# -
"""


def block(page: Path, language: str, number: int = 0, *, under: str = "") -> str:
    """The code of a page: the block of that language and number behind the heading ``under``."""
    text = page.read_text("utf-8")
    begin = text.index(f"## {under}") if under else 0
    end = text.find("\n## ", begin + 3) if under else len(text)
    found = re.findall(rf"^(`{{3,}}){language}\n(.*?)^\1$", text[begin:end], re.MULTILINE | re.DOTALL)
    return str(found[number][1])


def typed(page: Path, under: str = "") -> list[list[str]]:
    """The commands of the first console block behind a heading."""
    lines = block(page, "console", under=under).splitlines()
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


class Place:
    """A folder with an environment of its own, in which commands run as in a shell where it is active."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = folder
        self.environment = environment
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHON", "VIRTUAL_ENV", "JUPYTER", "PYTEST", "MAKE"))
        }
        self.env |= {"PATH": f"{environment / 'bin'}:/usr/local/bin:/usr/bin:/bin", "UV_SYSTEM_CERTS": "1"}

    def run(self, *words: str, code: int | None = 0) -> str:
        """Run a command; return what it printed. Fails when its exit code is another (None: any)."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert code is None or done.returncode == code, f"{shlex.join(words)}\n{done.stdout}"
        return done.stdout

    def install(self, *packages: str) -> None:
        """Do what ``pip install`` does, faster; ``./moorage`` is this tree."""
        wanted = [word.replace("./moorage", str(ROOT)) for word in packages]
        uv = [sys.executable, "-m", "uv"]
        if not (self.environment / "bin" / "python").exists():
            self.run(*uv, "venv", "--quiet", "--python", sys.executable, str(self.environment))
        self.run(*uv, "pip", "install", "--quiet", "--python", str(self.environment), *wanted)

    def follow(self, commands: list[list[str]]) -> None:
        """Type the commands of a page."""
        for words in commands:
            if words[:2] == ["pip", "install"]:
                self.install(*words[2:])
            elif words[0] == "export":
                self.env |= dict(word.split("=", 1) for word in words[1:])
            else:
                self.run(*words)


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """A folder where the tests' own environment is active."""
    return Place(tmp_path, Path(sys.executable).parent.parent)


@pytest.fixture
def fresh(tmp_path: Path) -> Place:
    """A folder where a fresh environment with moorage[render] is active."""
    place = Place(tmp_path, tmp_path / ".venv")
    place.install("./moorage[render]")
    return place


def demos(folder: Path) -> None:
    for name, text in (("waves", FILM), ("other", OTHER)):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.py").write_text(text)


class _Links(HTMLParser):
    """The addresses that a page loads or leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value) for key, value in attrs if key in {"src", "href"} and value]


def links(site: Path, page: str) -> list[tuple[str, Path]]:
    """Tags and files that a page of a site leads to, as a web server would find them."""
    parser = _Links()
    file = site / page
    parser.feed((file / "index.html" if file.is_dir() else file).read_text("utf-8"))
    found = []
    for tag, link in parser.found:
        parts = urlsplit(urljoin(f"http://site/{page}", link))
        if parts.netloc == "site" and parts.scheme == "http":
            target = site / parts.path.lstrip("/")
            found.append((tag, target / "index.html" if parts.path.endswith("/") else target))
    return found


def holds(site: Path, waves: str, other: str) -> None:
    """Check what each recipe promises: pages with outputs, a film that loads, links that lead to pages."""
    leads = links(site, waves)
    films = [file for tag, file in leads if tag == "img" and file.name == "film.gif"]
    assert len(films) == 2  # of the text, and of the output
    assert all(file.is_file() for file in films), films
    page = site / other / "index.html" if other.endswith("/") else site / other
    assert "printed by the other" in page.read_text("utf-8")
    assert ("a", page) in leads
    assert ("a", site / waves / "index.html" if waves.endswith("/") else site / waves) in links(site, other)


# -- site generators -------------------------------------------------------------------------------


@pytest.mark.recipe
def test_mkdocs_jupyter_with_its_default_addresses(fresh: Place) -> None:
    demos(fresh.folder / "demos")
    (fresh.folder / "mkdocs.yml").write_text(block(SITES, "yaml", under="mkdocs-jupyter"))
    (fresh.folder / "relative_links.py").write_text(block(SITES, "python", under="mkdocs-jupyter"))
    fresh.follow(typed(SITES, "mkdocs-jupyter"))
    holds(fresh.folder / "site", "tutorials/waves/waves/", "tutorials/other/other/")


@pytest.mark.recipe
def test_sphinx_with_myst_nb(fresh: Place) -> None:
    demos(fresh.folder / "examples")
    (fresh.folder / "docs").mkdir()
    (fresh.folder / "docs" / "conf.py").write_text(block(SITES, "python", under="Sphinx"))
    (fresh.folder / "docs" / "index.md").write_text(block(SITES, "markdown", under="Sphinx"))
    fresh.follow(typed(SITES, "Sphinx"))
    for _ in range(2):  # nothing of the first build disturbs the next one
        fresh.run("sphinx-build", "-W", "-E", "docs", "build/html")
    holds(fresh.folder / "build" / "html", "examples/waves/waves.html", "examples/other/other.html")


def test_pages_without_a_generator(here: Place) -> None:
    demos(here.folder / "examples")
    here.follow(typed(SITES, "Without a generator"))
    pages = [file for tag, file in links(here.folder / "site", "index.html") if tag == "a"]
    assert {page.name for page in pages} == {"waves.html", "other.html"}
    assert all(page.is_file() for page in pages)
    assert "printed by the other" in (here.folder / "site/other/other.html").read_text("utf-8")


# -- GitHub ----------------------------------------------------------------------------------------


def workflow(number: int) -> dict[str, dict[str, dict[str, object]]]:
    """A workflow of the page: valid YAML, whose job has steps with ``uses`` or ``run``."""
    text = block(SITES, "yaml", number, under="GitHub")
    found = yaml.safe_load(text)
    assert set(found) == {"name", True, "jobs"}  # YAML 1.1 reads the key `on` as true
    for job in found["jobs"].values():
        assert job["runs-on"]
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    return dict(found["jobs"])


def steps(number: int, job: str) -> list[str]:
    found = workflow(number)[job]["steps"]
    assert isinstance(found, list)
    return [str(step["run"]) for step in found if "run" in step]


@pytest.mark.recipe
def test_the_workflows_of_github_in_their_order(fresh: Place) -> None:
    demos(fresh.folder / "demos")
    (fresh.folder / "demos" / "requirements.txt").write_text("packaging\n")
    (fresh.folder / "moorage-source").symlink_to(ROOT)
    fresh.install("pip")
    for step in steps(0, "render"):
        fresh.run("sh", "-ec", step)
    assert (fresh.folder / "report.html").is_file()
    assert (fresh.folder / "results.xml").is_file()

    other = Place(fresh.folder / "second machine", fresh.folder / "second")
    other.folder.mkdir()
    shutil.copy(fresh.folder / "notebooks.tar.gz", other.folder)
    (other.folder / "mkdocs.yml").write_text(block(SITES, "yaml", under="mkdocs-jupyter"))
    (other.folder / "relative_links.py").write_text(block(SITES, "python", under="mkdocs-jupyter"))
    other.install("pip")
    for step in steps(1, "site"):
        other.run("sh", "-ec", step)
    holds(other.folder / "site", "tutorials/waves/waves/", "tutorials/other/other/")


def test_a_failure_in_the_workflow_keeps_its_archive(here: Place) -> None:
    demos(here.folder / "demos")
    (here.folder / "demos" / "other" / "other.py").write_text(OTHER + "\n# +\n1 / 0\n")
    _, render, pack = steps(0, "render")
    here.run("sh", "-ec", render, code=1)
    here.run("sh", "-ec", pack)
    with tarfile.open(here.folder / "notebooks.tar.gz") as archive:
        assert {"./waves/waves.ipynb", "./waves/film.gif", "./other/other.ipynb"} <= {*archive.getnames()}


# -- make ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["rendered/.done", "rendered/other/other.ipynb"])
def test_a_failure_stays_a_failure_on_the_second_make(here: Place, target: str) -> None:
    demos(here.folder / "demos")
    other = here.folder / "demos" / "other" / "other.py"
    other.write_text(OTHER + "\n# +\n1 / 0\n")
    (here.folder / "Makefile").write_text(block(MAKE, "make"))
    for _ in range(2):
        assert "ZeroDivisionError" in here.run("make", "-j2", target, code=2)
    other.write_text(OTHER)
    here.run("make", "-j2", target)
    assert "up to date" in here.run("make", "-j2", target)
    assert (here.folder / "rendered" / "other" / "other.ipynb").is_file()


# -- Jupyter's tools -------------------------------------------------------------------------------


@pytest.mark.recipe
def test_jupyters_tools_in_a_plain_environment(tmp_path: Path) -> None:
    plain = Place(tmp_path, tmp_path / ".venv")
    (tmp_path / "notebook.py").write_text(OTHER)
    (tmp_path / "docs").mkdir()
    commands = [words for words in typed(JUPYTER) if words[0] != "papermill" and words != ["jupyter", "lab"]]
    nbmake = next(words for words in commands if words[0] == "pytest")
    plain.follow([words for words in commands if words is not nbmake])
    assert "printed by the other" in (tmp_path / "notebook.ipynb").read_text()
    assert "printed by the other" in (tmp_path / "notebook.html").read_text()
    shutil.copy(tmp_path / "notebook.ipynb", tmp_path / "in.ipynb")
    shutil.copy(tmp_path / "notebook.ipynb", tmp_path / "docs")
    plain.follow([nbmake, *(words for words in typed(JUPYTER) if words[0] == "papermill")])
    assert "printed by the other" in (tmp_path / "out.ipynb").read_text()
    plain.run("jupyter", "lab", "--version")
