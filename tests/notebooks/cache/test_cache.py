"""Hits are cheap, misses are honest, damage is a miss."""

from __future__ import annotations

import copy
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from moorage.notebooks.cache.cache import ResultCache
from moorage.notebooks.cache.environment import RunEnvironment, built
from moorage.notebooks.cache.recipe import Recipe, ambient, content_of
from moorage.notebooks.cache.store import FileState
from moorage.notebooks.cache.stored import Ran, applied


def notebook(*sources, markdown="Text", tags=()):
    cells = [{"cell_type": "markdown", "id": "m", "metadata": {}, "source": markdown}]
    for number, source in enumerate(sources):
        cells.append(
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": {"tags": list(tags)} if tags else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    return {"cells": cells, "metadata": {"title": "T"}, "nbformat": 4, "nbformat_minor": 5}


def executed(document):
    new = copy.deepcopy(document)
    for number, cell in enumerate(c for c in new["cells"] if c["cell_type"] == "code"):
        cell["execution_count"] = number + 1
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": f"{number}\ud800"}]
        cell["outputs"].append(
            {"output_type": "display_data", "data": {"application/json": float("inf")}, "metadata": {}}
        )
        cell["metadata"]["execution"] = {"iopub.status.busy": "now"}
    new["metadata"]["language_info"] = {"name": "python", "version": "3"}
    new["metadata"]["widgets"] = {"state": {"a": 1}}
    return new


class Tree:
    """One source, its folder, and an environment that can be changed."""

    def __init__(self, root):
        self.root = root
        self.site = root / "venv" / "site-packages"
        self.site.mkdir(parents=True)
        (self.site / "numpy-1.0.dist-info").mkdir()
        (root / "demos").mkdir()
        self.helper = root / "demos" / "helper.py"
        self.helper.write_text("x = 1\n")
        self.data = root / "demos" / "data.csv"
        self.data.write_text("1,2\n")
        for path in (self.helper, self.data):
            self.age(path)
        self.source = root / "demos" / "a.py"
        self.source.write_text("# source")
        self.output = root / "rendered" / "a.ipynb"
        self.notebook = notebook("x = 1", "print(x)")

    @staticmethod
    def age(path, seconds=60):
        os.utime(path, (time.time() - seconds, time.time() - seconds))

    def paths(self):
        return {name: str(value) for name, value in vars(self).items() if isinstance(value, Path)}

    def cache(self, **options):
        return ResultCache(self.root / ".moorage" / "cache", root=self.root, key=b"k", **options)

    def recipe(self, **changes):
        settings = {"inputs": ("demos/data.csv",), "source": "demos/a.py", **changes}
        return Recipe(content=content_of(self.source.read_bytes()), **settings)

    def environment(self, cache):
        return RunEnvironment(
            executable=sys.executable,
            built=built(sys.executable),
            version=sys.version,
            sites=(str(self.site),),
            packages={"numpy": cache.distributions.version("numpy", [str(self.site)])},
            files={"demos/helper.py": cache.files.state(self.helper)},
        )

    def render(self, cache=None, *, recipe=None, document=None, **changes):
        cache = cache or self.cache()
        self.output.parent.mkdir(exist_ok=True)
        self.output.write_bytes(b"rendered")
        recipe = recipe or self.recipe()
        settings = {
            "kernel": "python3",
            "documents": {"ipynb": b"rendered"},
            "written": {"ipynb": self.output},
            "environment": self.environment(cache),
            "inputs": cache.inputs(recipe),
            "seconds": 1.5,
            **changes,
        }
        return cache.store(recipe, executed(document or self.notebook), Ran(**settings))

    def hit(self, **changes):
        return self.cache().lookup_fast(self.recipe(**changes))


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_nothing_is_there_at_first_and_looking_makes_no_folder(tree):
    assert tree.hit() is None
    assert not (tree.root / ".moorage").exists()


def test_an_unchanged_source_is_a_hit_and_its_output_is_not_touched(tree):
    assert tree.render() == ""
    before = tree.output.stat()
    hit = tree.hit()
    assert hit.record.seconds == 1.5
    assert hit.record.cells == 2
    assert tree.cache().restore(hit, {"ipynb": tree.output}) == ()
    assert tree.output.stat() == before


def test_a_missing_or_changed_output_is_written_whole(tree):
    tree.render()
    for change in (tree.output.unlink, lambda: tree.output.write_bytes(b"RENDERED")):
        change()
        assert tree.cache().restore(tree.hit(), {"ipynb": tree.output}) == (tree.output,)
        assert tree.output.read_bytes() == b"rendered"
        assert tree.cache().restore(tree.hit(), {"ipynb": tree.output}) == ()
    assert [path.name for path in tree.output.parent.iterdir()] == ["a.ipynb"]


def test_a_rival_that_has_just_written_the_same_output_is_not_taken_for_ours(tree):
    assert tree.render(documents={"ipynb": b"RENDERED"}) == ""
    assert tree.output.read_bytes() == b"rendered"
    assert tree.cache().restore(tree.hit(), {"ipynb": tree.output}) == (tree.output,)
    assert tree.output.read_bytes() == b"RENDERED"


def test_another_output_folder_is_served_without_running(tree):
    tree.render()
    other = tree.root / "site" / "a.ipynb"
    assert tree.cache().restore(tree.hit(), {"ipynb": other}) == (other,)
    assert tree.cache().restore(tree.hit(), {"html": other.with_suffix(".html")}) is None


def test_the_tree_may_move(tree, tmp_path_factory):
    tree.render()
    new = tmp_path_factory.mktemp("other") / "clone"
    tree.root.rename(new)
    environment_moved = ResultCache(new / ".moorage" / "cache", root=new, key=b"k")
    hit = environment_moved.lookup_fast(tree_recipe(new))
    assert hit is None  # its site-packages were inside the tree and are gone
    (tree.root / "venv").mkdir(parents=True)
    (new / "venv" / "site-packages").rename(tree.site)
    moved = ResultCache(new / ".moorage" / "cache", root=new, key=b"k")
    assert moved.restore(moved.lookup_fast(tree_recipe(new)), {"ipynb": new / "rendered" / "a.ipynb"}) == ()


def tree_recipe(root):
    content = content_of((root / "demos" / "a.py").read_bytes())
    return Recipe(source="demos/a.py", content=content, inputs=("demos/data.csv",))


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"n": 1}},
        {"env": {"A": "1"}},
        {"kernel": "ir"},
        {"kernel_args": ("--debug",)},
        {"allow_errors": True},
        {"inputs": ()},
        {"artifacts": ("*.gif",)},
        {"display": {"remove_cells": ["exercise"]}},
        {"source": "other/a.py"},
    ],
)
def test_every_setting_is_part_of_the_recipe(tree, change):
    tree.render()
    assert tree.hit() is not None
    assert tree.hit(**change) is None


def test_equal_settings_in_another_order_are_equal(tree):
    one = tree.recipe(params={"a": [1, {"x": 1, "y": 2}], "b": 1.5}, env={"A": "\udc80", "B": ""})
    two = tree.recipe(params={"b": 1.5, "a": [1, {"y": 2, "x": 1}]}, env={"B": "", "A": "\udc80"})
    assert one.digest == two.digest
    assert "\udc80" not in repr(one)
    assert tree.recipe(params={"a": 1}).digest != tree.recipe(params={"a": "1"}).digest


def test_the_environment_of_the_shell_counts_where_it_is_known_to_matter():
    given = {
        "PYTHONPATH": "/x",
        "LC_ALL": "C",
        "TZ": "UTC",
        "HOME": "/root",
        "MPLBACKEND": "agg",
        "TOKEN": "1",
    }
    assert set(ambient(given)) == {"PYTHONPATH", "LC_ALL", "TZ", "MPLBACKEND"}


def test_an_edited_helper_is_a_miss_until_it_is_as_before(tree):
    tree.render()
    tree.helper.write_text("x = 2\n")
    assert tree.hit() is None
    tree.helper.write_text("x = 1\n")
    assert tree.hit() is not None
    tree.helper.unlink()
    assert tree.hit() is None


def test_an_edited_helper_within_the_clocks_tick_is_a_miss(tree):
    tree.helper.write_text("x = 1\n")
    status = tree.helper.stat()
    tree.render()
    tree.helper.write_text("x = 2\n")
    os.utime(tree.helper, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert tree.hit() is None


def test_a_declared_input_counts_by_what_it_holds(tree):
    tree.render()
    tree.data.write_text("1,3\n")
    assert tree.hit() is None
    tree.data.write_text("1,2\n")
    assert tree.hit() is not None
    tree.data.unlink()
    assert tree.hit() is None


def test_an_input_too_young_to_tell_by_its_time_is_told_by_it_later(tree, monkeypatch):
    tree.data.write_text("young")
    tree.render()
    assert tree.hit().record.inputs["demos/data.csv"].mtime_ns == 0
    monkeypatch.setattr("moorage.notebooks.cache.store._RACY", 0)
    tree.cache().restore(tree.hit(), {"ipynb": tree.output})
    assert tree.hit().record.inputs["demos/data.csv"].mtime_ns == tree.data.stat().st_mtime_ns


def test_a_missing_input_that_appears_and_a_directory_that_changes(tree):
    recipe = tree.recipe(inputs=("demos/later.csv", "demos"))
    tree.render(recipe=recipe)
    assert tree.hit(inputs=recipe.inputs) is not None
    (tree.root / "demos" / "new.txt").write_text("")
    assert tree.hit(inputs=recipe.inputs) is None


def test_another_version_of_an_imported_package_is_a_miss(tree):
    tree.render()
    (tree.site / "jedi-2.0.dist-info").mkdir()
    assert tree.hit() is not None
    (tree.site / "numpy-1.0.dist-info").rename(tree.site / "numpy-1.1.dist-info")
    assert tree.hit() is None
    (tree.site / "numpy-1.1.dist-info").rename(tree.site / "numpy-1.0.dist-info")
    assert tree.hit() is not None


def test_another_interpreter_is_a_miss(tree):
    cache = tree.cache()
    program = tree.root / "python"
    program.write_text("1")
    environment = tree.environment(cache)
    was = RunEnvironment(
        executable=str(program),
        built=built(str(program)),
        version="3",
        sites=environment.sites,
        packages=environment.packages,
        files=environment.files,
    )
    tree.render(environment=was)
    assert tree.hit() is not None
    program.write_text("22")
    assert tree.hit() is None


def test_another_kernelspec_is_a_miss(tree):
    tree.render()
    assert tree.cache(identify=lambda name: name + "2").lookup_fast(tree.recipe()) is None
    assert "cannot be told" in tree.render(tree.cache(identify=lambda name: ""))


def test_an_unknown_environment_is_not_stored(tree):
    assert tree.render(environment="the kernel did not tell") == "the kernel did not tell"
    assert tree.hit() is None


def test_a_helper_edited_while_it_ran_is_not_stored(tree):
    cache = tree.cache()
    environment = tree.environment(cache)
    tree.helper.write_text("x = 3\n")
    assert "changed while it ran" in tree.render(cache, environment=environment)
    assert tree.hit() is None


def test_a_file_that_was_not_there_then_is_no_obstacle_to_storing(tree):
    cache = tree.cache()
    environment = tree.environment(cache)
    environment.files["demos/late.csv"] = FileState("", 0, 0)
    tree.source.with_name("late.csv").write_text("1")
    assert tree.render(cache, environment=environment) == ""
    assert tree.hit() is None
    tree.source.with_name("late.csv").unlink()
    assert tree.hit() is not None


def test_names_in_folders_count(tree):
    cache = tree.cache()
    environment = tree.environment(cache)
    environment.listings["demos"] = cache.names.listing(str(tree.helper.parent), ())
    environment.modules["demos"] = cache.names.modules(str(tree.helper.parent), {"json"})
    tree.render(cache, environment=environment)
    for name in ("json.py", "other.txt"):
        assert tree.hit() is not None
        tree.source.with_name(name).write_text("")
        assert tree.hit() is None
        tree.source.with_name(name).unlink()


def test_new_text_and_display_tags_run_nothing(tree):
    tree.render()
    tree.source.write_text("# edited")
    cache = tree.cache()
    assert cache.lookup_fast(tree.recipe()) is None
    changed = notebook("x = 1", "print(x)", markdown="Other text", tags=["remove-input", "hide"])
    entry = cache.lookup(tree.recipe(), changed, "python3")
    before = copy.deepcopy(changed)
    result = applied(entry, changed)
    assert changed == before
    assert result["cells"][0]["source"] == "Other text"
    assert [cell["execution_count"] for cell in result["cells"][1:]] == [1, 2]
    assert result["cells"][1]["outputs"] == executed(tree.notebook)["cells"][1]["outputs"]
    assert result["cells"][1]["metadata"] == {
        "tags": ["remove-input", "hide"],
        "execution": {"iopub.status.busy": "now"},
    }
    assert result["metadata"]["title"] == "T"
    assert result["metadata"]["widgets"] == {"state": {"a": 1}}
    tree.output.write_bytes(b"anew")
    assert cache.renew(entry, {"ipynb": b"anew"}, {"ipynb": tree.output}, {}) == ""
    assert tree.cache().restore(tree.hit(), {"ipynb": tree.output}) == ()


@pytest.mark.parametrize(
    "document",
    [
        notebook("x = 2", "print(x)"),
        notebook("x = 1"),
        notebook("print(x)", "x = 1"),
        notebook("x = 1", "print(x)", tags=["skip-execution"]),
        notebook("x = 1", "print(x)", tags=["raises-exception"]),
    ],
)
def test_other_code_or_execution_tags_run(tree, document):
    tree.render()
    cache = tree.cache()
    assert cache.lookup(tree.recipe(), tree.notebook, "python3") is not None
    assert cache.lookup(tree.recipe(), document, "python3") is None
    assert cache.lookup(tree.recipe(), tree.notebook, "other") is None
    assert cache.lookup(tree.recipe(params={"x": 1}), tree.notebook, "python3") is None


def test_the_same_code_in_another_directory_runs(tree):
    tree.render()
    assert tree.cache().lookup(tree.recipe(source="demos/b.py"), tree.notebook, "python3") is not None
    assert tree.cache().lookup(tree.recipe(source="other/a.py"), tree.notebook, "python3") is None


def test_artifacts_come_back(tree):
    made = tree.root / "demos" / "film.gif"
    made.write_bytes(b"GIF89a")
    recipe = tree.recipe(artifacts=("*.gif",))
    assert tree.render(recipe=recipe, artifacts={"film.gif": made}) == ""
    made.unlink()
    hit = tree.hit(artifacts=("*.gif",))
    places = [made, tree.output.parent / "film.gif"]
    folders = [path.parent for path in places]
    assert tree.cache().restore(hit, {"ipynb": tree.output}, artifact_folders=folders) == tuple(places)
    assert all(path.read_bytes() == b"GIF89a" for path in places)
    again = tree.hit(artifacts=("*.gif",))
    assert len(again.record.artifacts["film.gif"].places) == 2
    assert tree.cache().restore(again, {"ipynb": tree.output}, artifact_folders=folders) == ()
    made.write_bytes(b"another")
    assert tree.hit(artifacts=("*.gif",)) is None


def everything(cache):
    return sorted(path for path in (cache).rglob("*") if path.is_file())


def test_any_damage_is_a_miss_and_heals(tree):
    folder = tree.root / ".moorage" / "cache"
    tree.render()
    tree.output.unlink()
    chance = random.Random(1)
    for path in everything(folder):
        whole = path.read_bytes()
        if path.parent == folder:
            continue
        for damage in (whole[: len(whole) // 2], b"", bytes(chance.randbytes(len(whole))), None):
            if damage is None:
                path.unlink()
            else:
                path.write_bytes(damage)
            cache = tree.cache()
            hit = cache.lookup_fast(tree.recipe())
            entry = cache.lookup(tree.recipe(), tree.notebook, "python3")
            good = hit is not None and cache.restore(hit, {"ipynb": tree.output}) is not None
            assert not (good and entry is not None), path
            if good:
                assert tree.output.read_bytes() == b"rendered"
            if entry is not None:
                assert entry.cells[0]["execution_count"] == 1
            tree.output.unlink(missing_ok=True)
            assert tree.render() == ""
            tree.output.unlink()
            again = tree.cache()
            assert again.restore(again.lookup_fast(tree.recipe()), {"ipynb": tree.output}) is not None
            tree.output.unlink()


def test_a_folder_that_cannot_be_written_is_a_sentence(tree):
    tree.render()
    shutil.rmtree(tree.root / ".moorage/cache/blobs")
    (tree.root / ".moorage/cache/blobs").write_bytes(b"a file")
    assert "could not be written" in tree.render()
    assert tree.hit() is None


WORKER = """
    import sys
    sys.path.insert(0, {tests!r})
    import test_cache
    from pathlib import Path
    tree = object.__new__(test_cache.Tree)
    tree.__dict__.update({{name: Path(path) for name, path in {paths!r}.items()}})
    tree.output = tree.output.with_name({output!r})
    tree.notebook = test_cache.notebook("x = 1", "print(x)")
    cache = tree.cache()
    print("ready", flush=True)
    for number in range({rounds}):
        blob = bytes([number % 256]) * 200_000
        assert tree.render(cache, documents=dict(ipynb=b"rendered", big=blob)) == ""
        hit = cache.lookup_fast(tree.recipe())
        assert hit is not None
        if number % 10 == 0:
            cache.prune(max_bytes=1_000_000, every_s=0)
"""


def worker(tree, output, rounds):
    code = textwrap.dedent(WORKER).format(
        tests=str(Path(__file__).parent), paths=tree.paths(), output=output, rounds=rounds
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_two_runs_at_once_share_it(tree):
    tree.output.parent.mkdir()
    runs = [worker(tree, f"{name}.ipynb", 100) for name in "ab"]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors.decode()
    assert tree.hit() is not None


def test_sigkill_at_any_moment_breaks_nothing_and_leaves_nothing(tree):
    tree.output.parent.mkdir()
    chance = random.Random(7)
    for _ in range(12):
        run = worker(tree, "a.ipynb", 100_000)
        assert run.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(chance.uniform(0, 0.06))
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        cache = tree.cache()
        assert not list((cache._store.folder / "tmp").glob("*"))
        hit = cache.lookup_fast(tree.recipe())
        if hit is not None:
            other = tree.root / "elsewhere.ipynb"
            assert cache.restore(hit, {"ipynb": other}) is not None
            assert other.read_bytes() == b"rendered"
            other.unlink()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="needs root and unshare to mount a file system",
)
def test_a_full_disk_is_a_sentence_and_what_was_stored_before_still_serves(tree):
    (tree.root / ".moorage").mkdir()
    code = f"""
        import subprocess, sys
        from pathlib import Path
        disk = {str(tree.root / ".moorage")!r}
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_cache
        tree = object.__new__(test_cache.Tree)
        tree.__dict__.update({{name: Path(path) for name, path in {tree.paths()!r}.items()}})
        tree.notebook = test_cache.notebook("x = 1", "print(x)")
        print(repr(tree.render()))
        print(tree.render(recipe=tree.recipe(params={{"big": 1}}), documents={{"ipynb": b"x" * 200_000}}))
        print(tree.hit() is not None, tree.hit(params={{"big": 1}}) is None)
        print(list((tree.root / ".moorage" / "cache" / "tmp").iterdir()))
    """
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip(f"no mount here: {done.stderr.strip()[-200:]}")
    stored, full, serves, left = done.stdout.splitlines()
    assert stored == "''"
    assert "disk is full" in full
    assert serves == "True True"
    assert left == "[]"
