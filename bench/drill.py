"""``make drill``: faults and storms, long. Exit code 0 when nothing failed."""

import sys

from bench import (
    drill_faults,
    drill_hostile,
    drill_kill,
    drill_launches,
    drill_lines,
    drill_plug,
    drill_ports,
    drill_runs,
    drill_temp,
    drill_walls,
    drill_warden,
)
from bench.sequence import in_turn

DRILLS = [
    drill_warden,
    drill_kill,
    drill_faults,
    drill_hostile,
    drill_ports,
    drill_plug,
    drill_launches,
    drill_lines,
    drill_runs,
    drill_temp,
    drill_walls,
]

if __name__ == "__main__":
    sys.exit(in_turn(DRILLS))
