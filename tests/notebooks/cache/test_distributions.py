"""Versions are read off directory listings."""

from __future__ import annotations

import pytest

from moorage.notebooks.cache.distributions import Distributions, canonical


@pytest.fixture
def site(tmp_path):
    return tmp_path


def install(site, entry, record="", top_level=None, direct=False):
    info = site / entry
    info.mkdir()
    if top_level is None:
        (info / "RECORD").write_text(record)
    else:
        (info / "top_level.txt").write_text(top_level)
    if direct:
        (info / "direct_url.json").write_text("{}")


def test_names_are_normalised():
    assert canonical("Zope.Interface__X") == "zope-interface-x"


def test_versions_of_wheels_and_eggs(site):
    install(site, "PyYAML-6.0.3.dist-info")
    install(site, "six-1.16.0-py3.11.egg-info", top_level="six\n")
    install(site, "ruamel.yaml-0.18.dist-info")
    found = Distributions()
    assert found.version("pyyaml", [str(site)]) == "6.0.3"
    assert found.version("six", [str(site)]) == "1.16.0"
    assert found.version("ruamel-yaml", [str(site)]) == "0.18"
    assert found.version("missing", [str(site), "/nowhere"]) == ""


def test_an_upgrade_is_seen_by_the_same_object(site):
    install(site, "a-1.dist-info")
    found = Distributions()
    assert found.version("a", [str(site)]) == "1"
    (site / "a-1.dist-info").rename(site / "a-2.dist-info")
    assert found.version("a", [str(site)]) == "2"


def test_a_second_site_that_has_it_too_counts(site):
    for name in ("one", "two"):
        (site / name).mkdir()
    install(site / "one", "a-1.dist-info")
    sites = [str(site / "one"), str(site / "two")]
    assert Distributions().version("a", sites) == "1"
    install(site / "two", "a-2.dist-info")
    assert Distributions().version("a", sites) == "1 | 2"


def test_what_came_from_a_directory_has_its_files_in_its_version(site):
    install(site, "mine-0.1.dist-info", record="mine.py,sha256=abc,1\n", direct=True)
    first = Distributions().version("mine", [str(site)])
    assert first.startswith("0.1 ")
    (site / "mine-0.1.dist-info" / "RECORD").write_text("mine.py,sha256=def,1\n")
    assert Distributions().version("mine", [str(site)]) != first


def test_owners(site):
    install(site, "PyYAML-6.0.3.dist-info", record="yaml/__init__.py,,\n_yaml/x.so,,\n../../bin/y,,\n")
    install(site, "google_auth-1.dist-info", record="google/auth/__init__.py,,\n")
    install(site, "google_cloud-1.dist-info", record="google/cloud/__init__.py,,\n")
    install(site, "google-9.dist-info", record="googlesearch/__init__.py,,\n")
    install(site, "fast-1.dist-info", record="fast.cpython-311.so,,\n")
    found = Distributions()
    assert found.owners(str(site), "yaml") == {"pyyaml"}
    assert found.owners(str(site), "_yaml") == {"pyyaml"}
    assert found.owners(str(site), "google", whole=False) == {"google-auth", "google-cloud"}
    assert found.owners(str(site), "fast") == {"fast"}
    assert found.owners(str(site), "bin") == set()
