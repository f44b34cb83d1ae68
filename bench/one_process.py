"""The peer without processes: nbclient in one process, so many at once.

python one_process.py AT_ONCE OUT NOTEBOOK...
"""

import asyncio
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient


async def main() -> None:
    places = asyncio.Semaphore(int(sys.argv[1]))
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)

    async def one(path: Path) -> None:
        async with places:
            notebook = nbformat.read(path, as_version=4)
            await NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).async_execute()
            nbformat.write(notebook, out / path.name)

    await asyncio.gather(*(one(Path(name)) for name in sys.argv[3:]))


asyncio.run(main())
