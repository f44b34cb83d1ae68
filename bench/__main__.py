"""``make bench``: every figure the README quotes, beside the peers. Exit code 0 when every target was met."""

import sys

from bench import death_notice, hundred_kernels, launch_speed, loop_speed, output_flood, render_speed
from bench.sequence import in_turn

if __name__ == "__main__":
    sys.exit(in_turn([render_speed, loop_speed, launch_speed, hundred_kernels, death_notice, output_flood]))
