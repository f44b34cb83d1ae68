"""``python -m mooring``."""

import sys

from mooring.cli.main import main

sys.exit(main())
