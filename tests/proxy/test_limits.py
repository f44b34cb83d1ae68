"""Descriptors."""

from __future__ import annotations

import os
import subprocess
import sys

from moorage.proxy.limits import DescriptorBudget, open_descriptors


def test_the_reserve() -> None:
    assert DescriptorBudget(1024, 20).room == 1024 - 20 - 64
    assert DescriptorBudget(128, 12).room == 128 - 12 - 16
    assert DescriptorBudget(20, 12).room == 2
    budget = DescriptorBudget(128, 12)
    budget.kinds["visitor"] += 60
    budget.kinds["upstream"] += 38
    budget.kinds["websocket"] += 38
    assert budget.open == 98
    assert budget.has_room(2)
    assert not budget.has_room(3)
    budget.kinds["forward"] += 2
    assert (budget.open, budget.has_room(1)) == (100, False)
    budget.kinds["forward"] -= 2
    budget.kinds["visitor"] += 9
    assert budget.may_refuse()
    budget.kinds["visitor"] += 1
    assert not budget.may_refuse()


def test_pages_of_the_process_come_last_and_cost_both_ends() -> None:
    budget = DescriptorBudget(128, 12)
    budget.promised = 60
    assert budget.has_room(100)
    assert budget.has_room(40, pages=True)
    assert not budget.has_room(41, pages=True)
    budget.opening(pages=True)
    budget.opening(pages=False)
    assert budget.open == 3
    budget.leaving = 2
    assert budget.has_room(99)
    budget.closed(pages=True)
    budget.closed(pages=False)
    assert budget.open == 0


def test_what_else_is_open_makes_the_room_smaller() -> None:
    budget = DescriptorBudget(128, 12)
    budget.kinds["visitor"] += 10
    budget.recount(42)
    assert budget.room == 128 - 32 - 16
    budget.recount(500)
    assert budget.room == 2


def test_open_descriptors_are_counted() -> None:
    before = open_descriptors()
    one, two = os.pipe()
    assert open_descriptors() == before + 2
    os.close(one)
    os.close(two)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512))
from moorage.proxy.limits import raise_limit
print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE), raise_limit())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "512 (512, 512) 512\n"
