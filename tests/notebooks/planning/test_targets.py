"""Nothing that is not moorage's own is written over: looked at before anything is done."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from command import script, write
from foreign_user import give_away
from moorage.errors import UsageError
from moorage.notebooks.events import RunStarted
from moorage.notebooks.output.made import FILE_NAME
from moorage.notebooks.output.writer import Writer
from moorage.notebooks.planning.request import requested
from moorage.notebooks.planning.settings import RenderSettings
from moorage.notebooks.planning.targets import check_folder, has_index
from moorage.notebooks.run import carry_out, render

pytestmark = pytest.mark.anyio

CELLS = script("1 + 1")
MYST = "---\nkernelspec:\n  name: python3\n---\n\n```{code-cell} python\n1 + 1\n```\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


async def refused(folder: Path, sources: list[str], says: str, **flags) -> None:
    """Check that a run is refused and that nothing at all has changed."""
    before = contents(folder)
    with pytest.raises(UsageError, match=says):
        await carry_out(requested(sources, flags), finish=lambda _: None)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("files", "sources", "flags", "says"),
    [
        ({"notes.md": MYST}, ["notes.md"], {"to": "md", "out": "."}, "notes.md .* sources are never changed"),
        ({"notes.ipynb": "{}", "notes.md": "mine"}, ["notes.ipynb"], {"out": "notes.md"}, "did not make it"),
        ({"x.ipynb": "{}"}, ["x.ipynb"], {"out": "."}, "x.ipynb .*sources are never changed"),
        ({"x.ipynb": "{}"}, ["x.ipynb"], {"out": "x.ipynb"}, "x.ipynb .*sources are never changed"),
        ({"docs/a.md": MYST}, ["docs"], {"to": "md", "out": "docs"}, "docs/a.md .* sources are never"),
        (
            {"intro.py": CELLS, "intro.md": "mine"},
            ["intro.py"],
            {"to": "md", "out": "."},
            "intro.md .*make it",
        ),
        ({"a.py": CELLS, "n.ipynb": "{}"}, ["a.py"], {"json": "n.ipynb"}, "n.ipynb .*did not make it"),
        ({"a.py": CELLS, "n.ipynb": "{}"}, ["a.py"], {"report": "n.ipynb"}, "n.ipynb .*did not make it"),
        ({"a.py": CELLS, "notes.md": "mine"}, ["a.py"], {"junit": "notes.md"}, "notes.md .*did not make it"),
        ({"a.py": CELLS, "b.tar": "mine"}, ["a.py"], {"bundle": "b.tar"}, "b.tar .*did not make it"),
        ({"a.py": CELLS}, ["a.py"], {"json": "a.py"}, "a.py .*sources are never changed"),
        (
            {"a.py": CELLS, "b.py": CELLS, "site/index.html": "mine"},
            ["a.py", "b.py"],
            {"to": "html", "out": "site"},
            "site/index.html .*did not make it",
        ),
        ({"a.py": CELLS}, ["a.py"], {"json": "x", "junit": "x"}, "--junit and --json would both"),
        ({"a.py": CELLS}, ["a.py"], {"report": "rendered/a.ipynb"}, "a.py and --report would both"),
        (
            {"a.py": CELLS, "moorage.toml": '[notebook."a.py"]\noutputs = ["f.gif"]\n', "out/f.gif": "mine"},
            ["a.py"],
            {"out": "out"},
            "out/f.gif .*did not make it",
        ),
    ],
)
async def test_a_run_that_would_write_over_others_files_is_refused(folder, files, sources, flags, says):
    write(folder, files)
    await refused(folder, sources, says, **flags)


async def test_sources_are_known_by_any_name_even_when_everything_may_be_overwritten(folder):
    write(folder, {"a.ipynb": "{}"})
    (folder / "out").mkdir()
    (folder / "out/a.ipynb").hardlink_to(folder / "a.ipynb")
    await refused(folder, ["a.ipynb"], "sources are never changed", out="out", overwrite=True)


async def test_a_link_that_leads_back_to_the_sources_hides_none(folder):
    write(folder, {"z.ipynb": "{}"})
    (folder / "elsewhere").symlink_to(".")
    await refused(folder, ["z.ipynb"], "sources are never changed", out="elsewhere")


async def test_a_page_may_stand_beside_its_notebook(folder):
    write(folder, {"x.ipynb": script("")})
    report = await render(["x.ipynb"], out="x.md", no_cache=True)
    assert [each.status for each in report.outcomes] == ["failed"]


async def test_links_in_the_output_folder_are_not_followed_out_of_it(folder):
    write(folder, {"docs/a/x.py": CELLS, "docs/y.py": CELLS, "precious.ipynb": "mine", "out/.keep": ""})
    (folder / "elsewhere").mkdir()
    (folder / "out/a").symlink_to(folder / "elsewhere")
    await refused(folder, ["docs"], "link leads out", out="out", overwrite=True)
    (folder / "out/a").unlink()
    (folder / "out/y.ipynb").symlink_to(folder / "precious.ipynb")
    await refused(folder, ["docs"], "link leads out", out="out", overwrite=True)


async def test_many_files_in_the_way_are_one_sentence_that_says_what_to_do(folder):
    write(folder, {f"{name}.py": CELLS for name in "abcde"})
    write(folder, {f"rendered/{name}.ipynb": "{}" for name in "abcde"})
    await refused(folder, ["."], r"a.ipynb, .*c.ipynb and 2 more would .*--overwrite \(once", out=None)


async def test_the_same_command_goes_again_and_replaces_what_it_made(folder):
    write(folder, {"a.ipynb": "", "b.ipynb": "", "empty/.keep": ""})
    (folder / "empty/.keep").unlink()
    for _ in range(2):
        report = await render(["a.ipynb", "b.ipynb"], out="empty", no_cache=True)
        assert [each.status for each in report.outcomes] == ["failed", "failed"]


async def test_what_the_user_changed_since_is_the_users(folder):
    write(folder, {"a.py": CELLS})
    Writer(folder / "rendered").write(folder / "rendered/a.ipynb", b"made")
    (folder / "rendered/a.ipynb").write_text("edited")
    await refused(folder, ["a.py"], "changed since moorage wrote it")


@pytest.mark.parametrize("flag", ["report", "junit", "json", "bundle"])
@pytest.mark.parametrize(
    ("path", "why"), [("a.ipynb/x/r.zip", "a.ipynb is no folder"), ("folder.zip", "It is a folder")]
)
async def test_a_report_that_cannot_be_written_is_refused_before_the_run(folder, flag, path, why):
    write(folder, {"a.ipynb": "{}", "folder.zip/x": ""})
    await refused(folder, ["a.ipynb"], f"--{flag} {path} cannot be written .*{why}", **{flag: path})


async def test_outputs_never_become_sources(folder):
    write(folder, {"docs/a.py": CELLS, "docs/old/mine.ipynb": "{}"})
    Writer(folder / "docs/old").write(folder / "docs/old/sub/a.ipynb", b"{}")
    Writer(folder / "docs").write(folder / "docs/b.ipynb", b"{}")
    for sources in (["docs"], ["docs/old"]):
        started = []
        await render(sources, emit=started.append, out="out", no_cache=True, timeout=0.001)
        (begun,) = [event for event in started if isinstance(event, RunStarted)]
        assert (
            set(begun.sources) == {"docs": {"a.py", "old/mine.ipynb"}, "docs/old": {"mine.ipynb"}}[sources[0]]
        )
    assert (folder / "docs/old" / FILE_NAME).exists()


def test_the_index_is_for_several_pages_of_which_none_is_the_index():
    pages = RenderSettings(to=("html",))
    assert has_index(pages, ["a.py", "b.py"])
    assert not has_index(pages, ["a.py"])
    assert not has_index(pages, ["a.py", "index.md"])
    assert not has_index(RenderSettings(), ["a.py", "b.py"])


async def test_an_output_folder_that_came_as_a_link_is_followed_only_when_it_is_typed(folder, monkeypatch):
    write(folder, {"p/a.ipynb": "", "elsewhere/.keep": ""})
    (folder / "p/rendered").symlink_to(folder / "elsewhere")
    monkeypatch.chdir(folder / "p")
    await refused(folder, ["a.ipynb"], "leads out of the project", no_cache=True)
    await render(["a.ipynb"], out="rendered", no_cache=True)


@pytest.mark.parametrize(("mode", "fine"), [(0o1777, False), (0o755, True)])
def test_a_folder_that_another_user_has_put_there_has_to_be_named(tmp_path, mode, fine):
    (tmp_path / "rendered").mkdir()
    tmp_path.chmod(mode)
    check_folder(tmp_path / "rendered", cwd=tmp_path, typed=False)
    give_away(tmp_path / "rendered")
    check_folder(tmp_path / "rendered", cwd=tmp_path, typed=True)
    with nullcontext() if fine else pytest.raises(UsageError, match="rendered belongs to another user"):
        check_folder(tmp_path / "rendered", cwd=tmp_path, typed=False)
