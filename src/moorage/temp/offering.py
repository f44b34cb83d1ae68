"""Making offers of what a configuration says: folders looked at, repositories cloned, interpreters asked.

The file is read again when the service is told to, not whenever it changes: what an editor saves half-way,
or for a try, reaches no visitor.
"""

# ruff: noqa: E402 - file locks, which overlays need, are not there on Windows

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
from dataclasses import replace
from pathlib import Path

assert sys.platform != "win32", "file locks of another kind are there"

from moorage.errors import ConfigurationError, MissingExtra, MoorageError, UsageError
from moorage.plan.containers import ContainerKind
from moorage.plan.egress import EgressList
from moorage.plan.visits import OfferName
from moorage.plan.walls import Share
from moorage.tasks import in_thread
from moorage.temp.commands import ServerCommand, contained, known_command, own_command
from moorage.temp.interpreters import Interpreter, look_at, own_interpreter
from moorage.temp.offer_tables import OfferTable, find_tables
from moorage.temp.offers import Offer, Offers, only_offer
from moorage.temp.overlay import Requirements, overlaid
from moorage.temp.repository import cloned, is_address, is_repository
from moorage.temp.settings import TempSettings
from moorage.temp.shares import AskedShare, told
from moorage.temp.walled import Surroundings, check_egress, check_kept

log = logging.getLogger("moorage.temp")


class Offering:
    """Reads offers, as often as it is asked to.

    Args:
        settings: of the service; offers stand in the place of its command and content.
        directory: whose configuration counts; None for a service that offers one thing, by its settings.
        added: packages that are added to the environment of a service that offers one thing.
        server: what that one is started with then, one of :data:`~moorage.temp.commands.KNOWN`; empty for
            the command of the settings.

    Attributes:
        walling: what is around servers, which limits of offers need; None for nothing.
    """

    def __init__(
        self,
        settings: TempSettings,
        directory: Path | None = None,
        added: Requirements | None = None,
        server: str = "",
    ) -> None:
        self.settings = settings
        self.walling: Surroundings | None = None
        self._directory = directory
        self._added, self._server = added, server
        self._clones = settings.state / "content"
        self._environments = settings.state / "environments"
        self._generations: list[list[Path]] = []

    async def read(self) -> Offers:
        """Read what there is to choose, with all content at hand.

        Raises:
            ConfigurationError: the file says something that cannot be, or asks for a limit that cannot be
                kept here.
            UsageError: the content or an environment cannot be used, or a package cannot be installed.
            MissingExtra: a server is not installed.

        Nothing of a reading that fails, or is cancelled, is left.
        """
        new: list[Path] = []
        try:
            offers = await self._read(new)
        except BaseException:
            await _remove(new)
            raise
        if not self._generations:  # what an earlier service has left
            left = await in_thread(lambda: [path for path in _entries(self._clones) if path not in new])
            await _remove(left)
        self._generations.append(new)
        if len(self._generations) > 2:  # the last but one may be copied just now
            await _remove(self._generations.pop(0))
        return offers

    async def _read(self, new: list[Path]) -> Offers:
        if self._directory is None:
            settings = await self._with_added()
            content = settings.content
            if settings.repository:
                content = await self._cloned(settings.repository, settings.branch, new)
            if self.walling is not None:
                await self.walling.prepare(settings.command)
            landing = settings.landing or settings.command.landing_in(content, settings.first)
            return only_offer(replace(settings, content=content, landing=landing))
        directory = self._directory
        found = await in_thread(lambda: find_tables(directory), name="read offers")
        if found is None:
            raise ConfigurationError(
                f"there are no offers in the configuration of {directory}",
                do="Each is a table [temp.offers.NAME] of moorage.toml",
            )
        return {name: await self._offer(name, table, new) for name, table in found[1].items()}

    async def _with_added(self) -> TempSettings:
        if self._added is None:
            return self.settings
        below = await in_thread(own_interpreter)
        interpreter = await overlaid(below, self._added, self._environments)
        command = known_command(self._server, interpreter) if self._server else self.settings.command
        variables = await in_thread(lambda: interpreter.variables(os.environ))
        return replace(self.settings, command=command, env={**variables, **self.settings.env})

    async def _interpreter(self, table: OfferTable) -> Interpreter | None:
        """Return the interpreter of an offer, in an environment that is made for it; None for this one."""
        path = table.python
        wanted = Requirements(table.requirements, table.requirements_file, table.base)
        if path is None and not wanted:
            return None
        interpreter = await in_thread(lambda: own_interpreter() if path is None else look_at(path))
        return await overlaid(interpreter, wanted, self._environments) if wanted else interpreter

    async def _offer(self, name: OfferName, table: OfferTable, new: list[Path]) -> Offer:
        """Make one offer; what cannot be is told with its table."""
        try:
            share = await self._share(name, table)
            egress = self._egress(name, table)
            default = self.settings.command.container
            kind = table.container.kind(default, table.base, table.of_processes)
            interpreter = await self._interpreter(table)
            command, variables = await in_thread(lambda: _server(table, interpreter, kind))
            if self.walling is not None:
                await self.walling.prepare(command)
            content = await self._content(table, new)
            landing = command.landing_in(content, table.open, dashes="")
        except ConfigurationError:
            raise
        except (UsageError, MissingExtra) as error:
            raise _told(error, table.where) from error
        settings = replace(
            self.settings,
            offer=name,
            command=command,
            content=content,
            landing=landing,
            spares=self.settings.spares if table.spares is None else table.spares,
            invited_only=self.settings.invited_only if table.invited_only is None else table.invited_only,
            share=share,
            sleep=self.settings.sleep if table.sleep is None else table.sleep,
            brake_after=self.settings.brake_after if table.brake_after is None else table.brake_after,
            egress=egress,
            env={**self.settings.env, **variables, **table.env},
        )
        return Offer(name, table.title or name, table.description, table.capacity, settings)

    async def _share(self, name: OfferName, table: OfferTable) -> Share:
        """Return what each visitor of an offer may take, and say so where it is not what all may.

        Raises:
            UsageError: that cannot be, or cannot be kept.
        """
        if table.share == AskedShare():
            return self.settings.share
        share = table.share.over(self.settings.asked_share).share(dashes="")
        await check_kept(share, self.walling)
        if self.walling is not None:
            log.info("Each visitor of %s may take %s", name, told(share))
        return share

    def _egress(self, name: OfferName, table: OfferTable) -> EgressList:
        """Return which hosts visitors of an offer may reach, and say so where these are not those of all.

        Raises:
            UsageError: they would reach others.
        """
        if table.egress is None:
            return self.settings.egress
        check_egress(table.egress, self.walling)
        log.info("Each visitor of %s may reach %s", name, table.egress.told or "no network")
        return table.egress

    async def _content(self, table: OfferTable, new: list[Path]) -> Path | None:
        repository, folder = await in_thread(lambda: _content(table), name="look at content")
        return await self._cloned(repository, table.branch, new) if repository else folder

    async def _cloned(self, address: str, branch: str, new: list[Path]) -> Path:
        """Clone into a folder of its own: visitors may get copies of an earlier clone meanwhile."""
        await in_thread(lambda: self._clones.mkdir(mode=0o700, exist_ok=True))
        folder = self._clones / secrets.token_hex(8)
        new.append(folder)
        log.info("Fetching %s", address)
        return await cloned(address, branch, folder)


def _server(
    table: OfferTable, interpreter: Interpreter | None, kind: ContainerKind | None
) -> tuple[ServerCommand, dict[str, str]]:
    """Return how a server of an offer is started, and the variables of its environment."""
    if kind is not None:
        return contained(table.server, table.command, kind, dashes=""), {}
    variables = {} if interpreter is None else interpreter.variables(os.environ)
    if table.command:
        return own_command(table.command, dashes=""), variables
    return known_command(table.server or "lab", interpreter), variables


def _content(table: OfferTable) -> tuple[str, Path | None]:
    """Return the address of an offer's repository, else its folder."""
    if is_address(table.content):
        return table.content, None
    path = table.base / os.path.expanduser(table.content)  # noqa: PTH111 - leaves what cannot be expanded
    if table.content and is_repository(str(path)):
        return str(path), None
    if table.branch:
        raise UsageError("branch goes with a repository as content")
    if not table.content:
        return "", None
    if not path.is_dir():
        why = "It is no folder" if path.exists() else "There is no such folder"
        raise UsageError(f"content {table.content} cannot be copied", why=why)
    return "", path


def _told(error: MoorageError, where: str) -> ConfigurationError:
    return ConfigurationError(f"{where}: {error.what}", why=error.why, do=error.do)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


async def _remove(folders: list[Path]) -> None:
    def remove() -> None:
        for folder in folders:
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                folder.unlink(missing_ok=True)

    if folders:
        await in_thread(remove, name="remove content")
