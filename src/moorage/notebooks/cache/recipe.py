"""What a stored result is found by.

Two keys. The **recipe** digest covers the source's bytes and every setting, so that it is known without
parsing anything; it leads to finished documents. The **execution** digest covers only what changes the
execution, so that new text or display tags are applied to stored outputs instead of running them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from moorage.json_types import JsonMapping, JsonObject
from moorage.notebooks.documents.tags import expects_error, runnable
from moorage.notebooks.records import repr_without

if TYPE_CHECKING:
    from collections.abc import Iterable

_AMBIENT = ("PYTHON", "IPYTHON", "MPL", "LC_", "JULIA_", "R_")
# Set for each run by how many notebooks run at once; like OMP_NUM_THREADS it changes how fast, not what.
_NOT_AMBIENT = "JULIA_NUM_THREADS"
_FORMAT = 2
_PLAIN = frozenset({str, bool, int, float, type(None)})


class Recipe(Struct, frozen=True):
    """Everything that decides, before a kernel is started, what a notebook's result will be.

    Attributes:
        source: path of the source relative to the run's root, with forward slashes. Its directory is part
            of both keys: relative files lead elsewhere from elsewhere.
        content: sha256 of the source's bytes.
        kernel: kernel type asked for on the command line or in the configuration, or None.
        params: values of ``--param``.
        env: variables given to the kernel by ``--env`` and configuration, and :func:`ambient` ones. They
            may hold secrets: only their digest is stored, none is shown.
        kernel_args: values of ``--kernel-arg``.
        isolate: ``net`` where it runs without a network: a result from outside is no proof that it can.
        allow_errors: whether it runs on after an error.
        inputs: declared inputs, relative to the run's root; what they hold is checked at lookup.
        artifacts: globs of artefacts, relative to the notebook's directory.
        display: what changes the documents but not the execution: settings (``--remove-cells``, ``--to``),
            the versions of moorage, jupytext and nbconvert, jupytext's configuration.
    """

    source: str
    content: str
    kernel: str | None = None
    params: JsonMapping = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    kernel_args: tuple[str, ...] = ()
    isolate: str = "none"
    allow_errors: bool = False
    inputs: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    display: JsonMapping = field(default_factory=dict)

    def __repr__(self) -> str:
        return repr_without(self, "env")

    @property
    def directory(self) -> str:
        """Directory of the source relative to the run's root; empty for the root itself."""
        return self.source.rpartition("/")[0]

    @property
    def digest(self) -> str:
        """Key of the finished documents."""
        return _digest(("recipe", _FORMAT, self.source, self.content, self.display, self._run()))

    def execution(self, notebook: JsonMapping, kernel: str, identity: str) -> str:
        """Return the key of the stored outputs.

        Args:
            notebook: as it would be executed: nbformat 4, parameters injected, inactive cells dropped.
            kernel: the kernel type chosen for it.
            identity: digest of what that type is today (argv, resources).
        """
        cells = [(cell["source"], expects_error(cell)) for cell in run_cells(notebook)]
        return _digest(("execution", _FORMAT, self.directory, kernel, identity, cells, self._run()))

    def _run(self) -> tuple[object, ...]:
        return (
            self.kernel,
            self.params,
            self.env,
            self.kernel_args,
            self.isolate,
            self.allow_errors,
            self.inputs,
            self.artifacts,
        )


def content_of(data: bytes) -> str:
    """Return the digest of a source's bytes for :attr:`Recipe.content`."""
    return hashlib.sha256(data).hexdigest()


def ambient(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the inherited variables that are known to change what a kernel prints.

    ``PYTHON*``, ``IPYTHON*``, ``MPL*``, ``LC_*``, ``LANG``, ``LANGUAGE``, ``TZ``, ``JULIA_*``, ``R_*``,
    but no number of threads.
    Any other variable that matters is to be given by ``--env``.
    """
    return {
        name: value
        for name, value in environ.items()
        if (name.startswith(_AMBIENT) and name != _NOT_AMBIENT) or name in {"LANG", "LANGUAGE", "TZ"}
    }


def code_cells(notebook: JsonMapping) -> Iterable[JsonObject]:
    """Return the code cells of an nbformat-4 notebook, in order."""
    return (cell for cell in notebook["cells"] if cell["cell_type"] == "code")


def run_cells(notebook: JsonMapping) -> Iterable[JsonObject]:
    """Return the cells of an nbformat-4 notebook that are sent to the kernel, in order."""
    return filter(runnable, notebook["cells"])


def _digest(value: object) -> str:
    return hashlib.sha256(repr(_plain(value)).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> object:
    """Return ``value`` with nothing left to chance in its repr: sorted keys, one kind of sequence."""
    if type(value) in _PLAIN:  # most are, and asking for an abstract class takes ten times as long
        return value
    if isinstance(value, Mapping):
        return ("map", sorted((repr(key), _plain(item)) for key, item in value.items()))
    if isinstance(value, set | frozenset):
        return ("set", sorted(repr(item) for item in value))
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return value
