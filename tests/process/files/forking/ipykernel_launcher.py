"""Stands in the way of ipykernel's: runs its first argument as code, like ``python -c``."""

import sys

exec(sys.argv[1])
