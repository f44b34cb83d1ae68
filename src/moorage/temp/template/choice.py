"""Which server is forked from which template, and what becomes of it while there is none.

A launch that finds its template dead has another one made, and is spawned meanwhile; launches that come
while a template does its imports wait for it, for a crowd that is spawned takes ten times as long.
"""
# ruff: noqa: E402 - keepers, which it needs, are not there on Windows

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

assert sys.platform != "win32", "keepers need Unix sockets and fork"

from moorage.process.template.key import early
from moorage.temp.template.preloaded import SERVERS
from moorage.temp.template.process import ServerTemplate

SILENT = 10.0
"""Seconds within which a keeper that was asked for has a server, or its template is killed."""
MOST = 4
"""Templates kept at once, 80 MB each; the one not used for longest is let go."""
_READ = ("JUPYTE", "XDG_", "PROMETHEUS_", "prometheus_", "KERNEL_LAUNCH_", "IN_SPHINX_", "ANDROID_")
_READ_NAMES = frozenset(
    {
        *("PATH", "TERM", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
        *("SSLKEYLOGFILE", "AIOHTTP_NO_EXTENSIONS", "FROZENLIST_NO_EXTENSIONS", "MULTIDICT_NO_EXTENSIONS"),
        *("PROPCACHE_NO_EXTENSIONS", "YARL_NO_EXTENSIONS"),
    }
)
"""Beginnings and names of what servers' imports read, beside what kernels' do; a test finds new ones."""
_OWN = frozenset({"HOME", "USER", "JUPYTER_TOKEN_FILE"})
"""Variables that servers of one template may have otherwise: HOME is put right, the others are read late."""
_OF_HUBS = re.compile(r"JUPYTERHUB_(?!SINGLEUSER_|XSRF_|ALLOW_|METRICS_|SERVER_SPAWN_|SERVER_STOP_)")
"""What a hub tells each server, and no import reads but for :data:`.preloaded.TOLD_BY_HUBS`."""

_Key = tuple[str, tuple[tuple[str, str], ...]]


def server_of(argv: Sequence[str]) -> str:
    """Return the module of a server that can be forked, or an empty string."""
    own = sys.platform == "linux" and tuple(argv[:3]) == (sys.executable, "-P", "-m")
    return argv[3] if own and len(argv) > 3 and argv[3] in SERVERS else ""


def read_by_imports(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the variables that servers of one template have in common, sorted."""
    counts = {name for name in env if name.startswith(_READ) and not _OF_HUBS.match(name)}
    counts |= _READ_NAMES & env.keys()
    return early({name: env[name] for name in env.keys() - _OWN - counts}) + tuple(
        (name, env[name]) for name in sorted(counts - _OWN)
    )


class ServerTemplates:
    """The templates of one service.

    Args:
        wanted: whether there are to be any.
        patience: seconds that one may be silent when it was asked for something.
        common: the environment of templates, beside what imports read; None for that of the launch that wants
            one, which must hold no secret then: each server has its template's memory.
    """

    def __init__(
        self, *, wanted: bool = True, patience: float = SILENT, common: Mapping[str, str] | None = None
    ) -> None:
        self._wanted = wanted
        self._common = common
        self._patience = patience
        self._made: dict[_Key, ServerTemplate] = {}
        self._ending: list[ServerTemplate] = []

    @property
    def pids(self) -> list[int]:
        """Process ids of the templates that live."""
        return [each.pid for each in self._made.values() if each.alive]

    def prepare(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Begin a template ahead for servers of this kind, where they can be forked and there is none.

        Args:
            argv: program and arguments of such a server.
            env: its environment.
        """
        key = self._key(argv, env)
        if key is not None and key not in self._made:
            self._make(key, env)

    async def template_for(self, argv: Sequence[str], env: Mapping[str, str]) -> ServerTemplate | str:
        """Return the template to fork a server from; else why it is to be spawned, empty where it always is.

        It waits until that template has done its imports; cancelling leaves it at that.

        Args:
            argv: program and arguments of the server.
            env: its environment.
        """
        key = self._key(argv, env)
        if key is None:
            return ""
        made = self._made.get(key)
        if made is None or not made.alive:
            if made is not None and made.hopeless:
                return made.why
            why = self._make(key, env)
            if why or made is not None:
                return why or "its template is made anew"
        template = self._made[key] = self._made.pop(key)  # the one used last stands last
        return await template.ready() or template

    async def aclose(self) -> None:
        """End all templates, and return when they have been reaped."""
        for each in [*self._made.values(), *self._ending]:
            await each.aclose()

    def _key(self, argv: Sequence[str], env: Mapping[str, str]) -> _Key | None:
        """Return what servers of one template have in common: their module, and what imports read."""
        server = server_of(argv)
        if not self._wanted or not server:
            return None
        return server, read_by_imports(env)

    def _make(self, key: _Key, env: Mapping[str, str]) -> str:
        """Begin a template; return why that cannot be, or an empty string."""
        before = self._made.pop(key, None)
        try:
            env = env if self._common is None else {**self._common, **dict(key[1])}
            self._made[key] = ServerTemplate(key[0], env, self._patience)
        except OSError as error:
            return f"no template can be started: {error.strerror or error}"
        self._ending = [each for each in [*self._ending, before] if each is not None and not each.reaped]
        while len(self._made) > MOST:
            oldest = self._made.pop(next(iter(self._made)))
            oldest.give_up("other templates were used more recently")
            self._ending.append(oldest)
        return ""


@asynccontextmanager
async def open_templates(*, wanted: bool = True, patience: float = SILENT) -> AsyncIterator[ServerTemplates]:
    """Have templates for as long as the block lasts; arguments as of :class:`ServerTemplates`."""
    templates = ServerTemplates(wanted=wanted, patience=patience)
    try:
        yield templates
    finally:
        await templates.aclose()
