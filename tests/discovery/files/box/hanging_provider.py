"""A provider that hangs, in an asynchronous function that blocks its loop."""

import time


class Hanging:
    name = "hanging"
    slow = True

    async def find(self, around):
        time.sleep(10)
        return []


provider = Hanging()
