"""Requests that reach a visitor's server while JupyterLab loads in Chromium, with and without shared files.

Each visitor is a browser without a cache and has a server of its own, started before anything is counted.
Also told: processor time of that server, bytes that the browser got, and seconds until the notebook is shown.

    python -m bench.shared_files [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from moorage.proxy.listening import bind
from moorage.proxy.shared_files import SharedFiles
from moorage.temp.commands import known_command
from moorage.temp.running import run_service
from moorage.temp.settings import TempSettings

NOTEBOOK = {
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "a",
            "metadata": {},
            "outputs": [],
            "source": "1",
        }
    ],
}
PATIENCE_MS = 180_000


async def load(browser, service, port: int) -> dict[str, float]:
    """Have one visitor open JupyterLab, and tell what that took."""
    counts = service._proxy.core.counts  # noqa: SLF001 - what the front counts is not shown elsewhere
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    got = [0]
    client = await context.new_cdp_session(page)
    await client.send("Network.enable")
    client.on(
        "Network.loadingFinished", lambda event: got.__setitem__(0, got[0] + event["encodedDataLength"])
    )
    await page.goto(f"http://127.0.0.1:{port}/")
    async with page.expect_navigation(url=re.compile("/user/")) as going:
        await page.click("button")
    await going.value
    # The server answers now and is warm: the page is opened once more, from an empty cache, and counted.
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    await page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
    address = page.url
    await page.goto("about:blank")
    await client.send("Network.clearBrowserCache")
    server = address.split("/user/")[1].split("/")[0]
    asked, shared = requests(counts)
    cpu, began = processor_time(server), time.perf_counter()
    got[0] = 0
    await page.goto(address)
    await page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    seconds = time.perf_counter() - began
    await page.wait_for_selector("text=Python 3 (ipykernel) | Idle")
    now, now_shared = requests(counts)
    found = {
        "requests to the server": now - asked,
        "files by the front": now_shared - shared,
        "server's CPU, ms": (processor_time(server) - cpu) * 1000,
        "MB to the browser": got[0] / 1e6,
        "seconds": seconds,
    }
    await context.close()
    return found


def requests(counts) -> tuple[int, int]:
    """Return how many requests went to servers, and how many files the front has sent."""
    return counts["requests", 0], sum(n for (kind, _), n in counts.items() if kind == "shared")


def processor_time(server: str) -> float:
    """Return seconds of processor time of a visitor's server."""
    ticks = os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
            if b"jupyterlab" in words and server.encode() in words and b"base_url" in words:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                return (int(fields[11]) + int(fields[12])) / ticks
        except (OSError, ValueError):
            continue
    return 0.0


async def measured(rounds: int) -> dict[str, list[dict[str, float]]]:
    from playwright.async_api import async_playwright

    folder = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    found: dict[str, list[dict[str, float]]] = {"servers alone": [], "shared files": []}
    words = ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    try:
        (folder / "content").mkdir()
        (folder / "content/index.ipynb").write_text(json.dumps(NOTEBOOK))
        settings = TempSettings(folder / "s", known_command("lab"), content=folder / "content")
        listeners = bind("127.0.0.1", 0)
        port = listeners[0].getsockname()[1]
        async with run_service(settings, listeners) as service, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=words)
            files = service._shared_files  # noqa: SLF001 - there is no option for it: it costs nothing
            for number in range(rounds):
                for name in sorted(found, reverse=bool(number % 2)):
                    service._shared_files = files if name == "shared files" else SharedFiles({})  # noqa: SLF001 - likewise
                    found[name].append(await load(browser, service, port))
                    print(name, found[name][-1], file=sys.stderr)
            await browser.close()
    finally:
        shutil.rmtree(folder)
    return found


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    found = asyncio.run(measured(parser.parse_args().rounds))
    names = list(found["servers alone"][0])
    print("|  |", " | ".join(names), "|")
    print("|---|" + "---|" * len(names))
    for kind, runs in found.items():
        print(
            f"| {kind} |",
            " | ".join(f"{statistics.median(r[name] for r in runs):.4g}" for name in names),
            "|",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
