from __future__ import annotations

import subprocess
import sys

import pytest

from moorage.notebooks.resources import notebooks_at_once, thread_environment


def test_threads_are_shared_and_the_users_own_settings_stay():
    assert thread_environment(2, 8, environ={})["OMP_NUM_THREADS"] == "4"
    assert set(thread_environment(16, 8, environ={}).values()) == {"1"}
    kept = thread_environment(1, 8, environ={"OMP_NUM_THREADS": "3"})
    assert "OMP_NUM_THREADS" not in kept
    assert kept["OPENBLAS_NUM_THREADS"] == "8"


@pytest.fixture
def limited():
    """Returns a function that limits how many files this process may open."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda files: resource.setrlimit(resource.RLIMIT_NOFILE, (files, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_on_open_files_is_raised_where_it_may_be(limited):
    import resource

    limited(256)
    assert notebooks_at_once(100) == 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 1700
    assert notebooks_at_once(100) == 100
    limited(1024)
    notebooks_at_once(2)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 1024


@pytest.mark.parametrize(
    ("most", "says"), [(40, "no kernel can run here"), (64, "1"), (128, "2"), (1024, "9")]
)
def test_where_it_may_not_fewer_run_at_once(most, says):
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({most}, {most}))\n"
        "from moorage.notebooks.resources import notebooks_at_once\n"
        "print(notebooks_at_once(9))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert says in (done.stdout or done.stderr)
