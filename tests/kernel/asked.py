"""Messages as a kernel publishes them, and its answer when it is asked how many there were."""

from __future__ import annotations

import asyncio

from moorage.wire.messages import Header, Message


def message(msg_id, msg_type="stream", channel="iopub", **content):
    return Message(channel, Header(msg_id, msg_type), content=content)


async def missing(published, client, by_hand, **reply):
    """Ask, and have the kernel answer the question if one is asked."""
    asking = asyncio.ensure_future(published.missing(client))
    hearing = asyncio.ensure_future(by_hand.hear())
    await asyncio.wait([asking, hearing], timeout=60, return_when=asyncio.FIRST_COMPLETED)
    if hearing.done():
        request = hearing.result()
        await by_hand.idle(request)
        await by_hand.reply(request, request.msg_type.replace("request", "reply"), **reply)
    else:
        hearing.cancel()
    async with asyncio.timeout(60):
        return await asking, hearing.done() and not hearing.cancelled()
