"""Which walls stand, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moorage.plan.walls import NEEDED, PREFERRED, ServerIds, Share, Wall, WallsGiven, ids_of, planned

ALL = WallsGiven(
    user_namespace=False, root=True, ids=ServerIds(PREFERRED, 1 << 20), calls=True, landlock=True
)
ORDINARY = WallsGiven(calls=True, landlock=True)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (ALL, set()),
        (ORDINARY, set()),
        (replace(ALL, landlock=False), set()),
        (replace(ALL, ids=None), {Wall.USERS}),
        (replace(ORDINARY, calls=False), {Wall.CALLS}),
        (replace(ORDINARY, why="The sysctl x is 0", do="Set it"), NEEDED),
        (replace(ALL, why="The sysctl x is 0"), {*NEEDED, Wall.USERS}),
    ],
)
def test_what_is_missing(given: WallsGiven, missing: set[Wall]) -> None:
    walls = planned(given, wanted=True)
    assert walls.missing == missing
    assert bool(walls.why) == bool(walls.do or given.why) == bool(missing)
    assert walls.on.isdisjoint(walls.missing)
    assert walls.on | walls.missing >= NEEDED


def test_namespaces_come_together_or_not_at_all() -> None:
    assert planned(replace(ALL, why="No"), wanted=True).on == set()
    assert planned(replace(ALL, calls=False), wanted=True).on >= NEEDED - {Wall.CALLS}


def test_switched_off_is_said_first() -> None:
    walls = planned(ALL, wanted=False)
    assert walls.on == set()
    assert walls.told(Share()) == [
        "No walls between visitors: they are switched off (--no-walls)",
        "Each of them can read and end what all others have, and what you have",
    ]


def test_the_start_says_what_stands_and_what_each_may_take() -> None:
    assert planned(ALL, wanted=True).told(Share(disk=64 << 20, processes=100)) == [
        "Walls between visitors: files, processes, network, user ids, no privileges, system calls, Landlock",
        "Each may take 64 MiB of files in memory, 100 processes and threads",
    ]
    assert planned(replace(ALL, ids=None), wanted=True).told(Share())[1] == (
        "Not between them: user ids. This root may not take other user ids"
    )


@pytest.mark.parametrize(
    ("extents", "found"),
    [
        ([(0, 2**32 - 1)], ServerIds(PREFERRED, 2**31 - 2 - PREFERRED)),
        ([(0, 65536)], ServerIds(32768, 32766)),
        ([(0, 1), (1, 65536)], ServerIds(32769, 32766)),
        ([(0, 1)], None),
        ([], None),
        ([(1000, 1)], None),
    ],
)
def test_user_ids_for_servers(extents: list[tuple[int, int]], found: ServerIds | None) -> None:
    assert ids_of(extents) == found


def test_each_server_has_an_id_by_its_name() -> None:
    ids = ServerIds(1000, 10)
    assert ids.of("000000000000000b") == 1001
    assert {ids.of(f"{number:016x}") for number in range(100)} == set(range(1000, 1010))
