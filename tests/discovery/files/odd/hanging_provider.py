"""A provider that hangs, in an asynchronous function that blocks its loop; a file can end that early."""

import os
import time
from pathlib import Path


class Hanging:
    name = "hanging"
    slow = True

    async def find(self, around):
        end = Path(os.environ.get("END_OF_HANGING", "/nowhere"))
        for _ in range(1000):
            if end.exists():
                break
            time.sleep(0.01)
        return []


provider = Hanging()
