"""How many servers fit, by what is open and what may still be needed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from moorage.plan.descriptors import DOOR, EACH, LINKS, OWN, PAGES, DescriptorCount, served_elsewhere

FREE = 1024 - 64 - 24 - PAGES


def test_of_an_empty_service() -> None:
    assert DescriptorCount(1024, 64, 24).servers == FREE // EACH == 42
    assert DescriptorCount(256, 32, 24).servers == 7
    assert DescriptorCount(4096, 64, 24).servers == (4096 - 64 - 24 - 128) // EACH == 184
    assert DescriptorCount(20000, 64, 24).servers > 900
    assert DescriptorCount(64, 8, 24).servers == 0


def test_a_server_keeps_what_it_may_need_whether_it_has_it_or_not() -> None:
    for held in (0, 1, 7, EACH):
        count = DescriptorCount(1024, 64, 24 + 10 * held, held=[held] * 10)
        assert count.servers == FREE // EACH
        assert count.promised == 10 * (EACH - held)


def test_a_server_that_has_more_takes_it_from_new_ones_alone() -> None:
    count = DescriptorCount(1024, 64, 24 + 5 * EACH + 1, held=[5 * EACH, 1])
    assert count.promised == EACH - 1
    assert count.servers == 2 + (FREE - 6 * EACH) // EACH
    many = DescriptorCount(256, 32, 240, held=[30] * 7)
    assert (many.servers, many.promised) == (3, 0)


def test_unused_connections_count_as_free() -> None:
    assert DescriptorCount(1024, 64, 24 + 500, unused=500).servers == FREE // EACH


def test_connections_to_hosts_have_a_part_of_their_own() -> None:
    count = DescriptorCount(1024, 64, 24, each=EACH + DOOR, promised_hosts=128)
    assert count.servers == (FREE - 128) // (EACH + DOOR) == 33
    used = DescriptorCount(1024, 64, 24 + 100, each=EACH + DOOR, promised_hosts=28)
    assert used.servers == count.servers


def test_of_several_processes() -> None:
    assert DescriptorCount(1024, 64, 24, held=[LINKS] * 10, each=OWN).servers == 10 + (FREE - 50) // OWN
    assert served_elsewhere(2000, 0, 0) == 1750 // 19
    assert served_elsewhere(2000, 100, 50) == 50 + (1750 - 950) // 19
    assert served_elsewhere(2000, 1800, 50) < 50
    assert served_elsewhere(0, 0, 0) == 0


@given(
    st.integers(64, 20000),
    st.integers(0, 4000),
    st.integers(0, 500),
    st.lists(st.integers(0, 60), max_size=60),
)
def test_what_fits_never_needs_the_reserve(limit, others, unused, held) -> None:
    count = DescriptorCount(limit, 8, others + unused + sum(held), unused, held)
    more = count.servers - len(held)
    assert count.servers >= 0
    if more > 0:
        assert others + sum(max(EACH, each) for each in held) + more * EACH + PAGES + 8 <= limit
