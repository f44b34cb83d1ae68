"""The layout: which room imports which, how large things may grow, what may never be called."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator

import pytest

from house.sources import PACKAGE, ROOT, Source, imports, package_sources, project_sources, report

STOREYS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "command",
            "kinds",
            "configuration",
            "directory",
            "errors",
            "exit_status",
            "installed",
            "json_types",
            "late_imports",
            "regular",
            "stylesheet",
            "tasks",
            "trust",
            "version",
        }
    ),
    frozenset({"wire", "plan"}),
    frozenset({"rendezvous", "process", "discovery", "places", "keeper"}),
    frozenset({"kernel", "proxy"}),
    frozenset({"kernelside"}),
    frozenset({"gateway", "load", "notebooks", "temp"}),
    frozenset({"doctor", "jupyter", "metrics", "testing"}),
    frozenset({"cli", "__init__", "__main__", "blocking"}),
)
"""Bottom to top; a room may import what is below it, and of its own storey what does not import it back."""

STRANGERS = frozenset({"gateway", "load", "notebooks", "temp"})
"""Rooms of one storey that know nothing of each other."""

PURE_ROOMS = frozenset({"wire", "plan"})
IMPURE_MODULES = frozenset({"asyncio", "zmq", "socket", "subprocess", "os", "time", "random", "logging"})
ZMQ_FILES = frozenset(
    {"kernel/zmq_transport.py", "kernel/zmq_closing.py", "kernel/zmq_heartbeat.py", "kernelside.py"}
)

MODULE_LINES, FUNCTION_LINES, CLASS_NAMES = 400, 40, 12
RECORD_BASES = frozenset({"Struct", "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "Flag"})

SLEEPS = frozenset({"time.sleep", "asyncio.sleep", "anyio.sleep", "trio.sleep"})
ORPHANS = frozenset({"asyncio.create_task", "asyncio.ensure_future", "asyncio.gather"})
ALLOWED_CALLS: dict[str, str] = {
    "tasks.py: asyncio.create_task": "the one place, see its docstring",
    "keeper/process/record.py: time.sleep": "back-off while what is locked is removed: flock has no deadline",
    "load/crowd.py: asyncio.sleep": "the time until a simulated visitor comes",
    "load/notebook.py: asyncio.sleep": "a simulated visitor looks at results; back-off of its page",
    "load/visitor.py: asyncio.sleep": "a page that leads on after some seconds; polls of a simulated page",
    "process/ipykernel_patches/forked.py: time.sleep": "the nap that a user configured ipykernel to take",
    "process/control_groups.py: asyncio.sleep": "back-off where a group is in use: version 1 has no event",
    "proxy/acceptors.py: asyncio.sleep": "back-off between acceptors that end as they start",
    "proxy/opening.py: asyncio.sleep": "back-off where a Unix socket has as many waiting as it may",
    "proxy/forwarding.py: asyncio.sleep": "a turn of the loop: sockets that are always ready leave none",
    "rendezvous/watch.py: asyncio.sleep": "only where the system offers no file watch",
    "temp/containers.py: asyncio.sleep": "back-off while an engine of containers does not answer",
    "temp/readiness.py: asyncio.sleep": "back-off where a socket is there and takes no connection yet",
    "testing/launcher.py: asyncio.sleep": "no event tells of a handle's output; and turns of the loop",
}
"""``"kernel/supervisor.py: asyncio.sleep"`` -> why: back-off or keep-alive, never to wait for something."""

UNTESTED: dict[str, str] = {
    "json_types.py": "names of types",
    "load/settings.py": "records without behaviour",
    "load/steps.py": "records without behaviour",
    "notebooks/events.py": "records without behaviour",
    "notebooks/show/presenter.py": "a protocol, which its implementations' tests cover",
    "plan/clock.py": "records without behaviour",
    "temp/settings.py": "records without behaviour",
    "places/base.py": "a protocol, which its implementations' tests cover",
    "rendezvous/base.py": "a protocol, which its implementations' tests cover",
    "version.py": "one string",
}
"""``"a/b.py"`` -> why it has no tests/a/test_b.py."""


# -- imports ---------------------------------------------------------------------------------------


def room_of(dotted: str) -> str | None:
    """Return which room of moorage a dotted name lives in, or None for other people's modules."""
    first, _, rest = dotted.partition(".")
    if first != "moorage":
        return None
    room = rest.partition(".")[0]
    known = any(room in storey for storey in STOREYS)
    exists = (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").is_file()
    return room if room and (known or exists) else "__init__"


def storey(room: str) -> int | None:
    return next((number for number, rooms in enumerate(STOREYS) if room in rooms), None)


def pure_rooms(sources: list[Source]) -> list[str]:
    return [
        f"{source.path}:{line} imports {name}"
        for source in sources
        if source.room in PURE_ROOMS
        for line, name in imports(source)
        if name.partition(".")[0] in IMPURE_MODULES
    ]


def zmq_files(sources: list[Source]) -> list[str]:
    return [
        f"{source.path}:{line} imports {name}"
        for source in sources
        if source.path not in ZMQ_FILES
        for line, name in imports(source)
        if name.partition(".")[0] == "zmq"
    ]


def storeys(sources: list[Source]) -> list[str]:
    found = [
        f"{source.path} is in no storey: name it in STOREYS"
        for source in sources
        if storey(source.room) is None
    ]
    sideways: dict[tuple[str, str], str] = {}
    for source in sources:
        for line, name in imports(source):
            target = room_of(name)
            here, there = storey(source.room), storey(target or "")
            if target is None or target == source.room or here is None:
                continue
            place = f"{source.path}:{line} imports {name}"
            if there is None or there > here:
                found.append(f"{place}, which is above it")
            elif there == here and target in STRANGERS:
                found.append(f"{place}: {source.room} and {target} know nothing of each other")
            elif source.room == "kernelside" and target not in {"wire", "errors", "json_types", "regular"}:
                found.append(f"{place}: kernelside needs wire, regular and pyzmq, nothing else")
            elif there == here:
                sideways.setdefault((source.room, target), place)
    found += [
        f"{place}, and {sideways[target, room].partition(' ')[0]} imports {room} back"
        for (room, target), place in sideways.items()
        if (target, room) in sideways and room < target and room != "__init__"
    ]
    return found


# -- sizes -----------------------------------------------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def docstring_lines(node: Function) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def assigned(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, ast.AnnAssign) else []


def public_names(node: ast.ClassDef) -> set[str]:
    """Return what a class shows: methods, properties, class attributes, and what its ``__init__`` sets."""
    names: set[str] = set()
    for item in node.body:
        if isinstance(item, (*FUNCTIONS, ast.ClassDef)):
            names.add(item.name)
        for target in assigned(item):
            names.update(name.id for name in ast.walk(target) if isinstance(name, ast.Name))
        if isinstance(item, FUNCTIONS) and item.name == "__init__":
            inner = [node for node in ast.walk(item) if isinstance(node, ast.stmt)]
            paths = [ast.unparse(target).partition(".") for node in inner for target in assigned(node)]
            names.update(name for owner, _, name in paths if owner == "self" and name.isidentifier())
    return {name for name in names if not name.startswith("_")}


def last_name(node: ast.expr) -> str:
    return ast.unparse(node).partition("(")[0].partition("[")[0].rpartition(".")[2]


def is_record(node: ast.ClassDef) -> bool:
    frozen = any(
        isinstance(decorator, ast.Call)
        and last_name(decorator.func) == "dataclass"
        and any(word.arg == "frozen" for word in decorator.keywords)
        for decorator in node.decorator_list
    )
    return frozen or any(last_name(base) in RECORD_BASES for base in node.bases)


def sizes(sources: list[Source]) -> list[str]:
    found = []
    for source in sources:
        lines = len(source.text.splitlines())
        if lines > MODULE_LINES:
            found.append(f"{source.path} has {lines} lines")
        for node in ast.walk(source.tree):
            if isinstance(node, FUNCTIONS):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
                if lines > FUNCTION_LINES:
                    found.append(f"{source.path}:{node.lineno} {node.name} has {lines} lines")
            elif isinstance(node, ast.ClassDef) and not is_record(node):
                count = len(public_names(node))
                if count > CLASS_NAMES:
                    found.append(f"{source.path}:{node.lineno} {node.name} has {count} public names")
    return found


# -- calls, comments, docstrings, tests ------------------------------------------------------------


def aliases(source: Source) -> dict[str, str]:
    """Return local name -> dotted name for everything imported anywhere in ``source``."""
    known: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return known


def references(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and resolved dotted name of every name and attribute that is used."""
    known = aliases(source)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name | ast.Attribute):
            first, dot, rest = ast.unparse(node).partition(".")
            yield node.lineno, f"{known.get(first, first)}{dot}{rest}"


def banned_calls(sources: list[Source]) -> list[str]:
    found, used = [], set()
    for source in sources:
        for line, name in references(source):
            on_a_loop = re.search(r"loop(\(\))?\.create_task$", name)
            if name in SLEEPS | ORPHANS or on_a_loop:
                used.add(f"{source.path}: {name}")
                if f"{source.path}: {name}" not in ALLOWED_CALLS:
                    found.append(f"{source.path}:{line} uses {name}")
    known = {source.path for source in sources}
    stale = [key for key in ALLOWED_CALLS if key.partition(":")[0] in known and key not in used]
    return found + [f"ALLOWED_CALLS names {key}, which is no longer there" for key in stale]


STREAMS: dict[str, str] = {
    "cli/stdio.py: unguarded": "the guard itself",
    "cli/stdio.py: json.dumps": "what makes every document of --json",
    "cli/kernels_show.py: json.dumps": "a cell of a table, which is made plain",
    "cli/terminal.py: json.dumps": "measures, and writes nothing",
    "process/netns/enter.py: os.write(1)": "a pipe to the process that asked, in two words of ours",
    "process/walls/trial.py: os.write(1)": "as above",
    "process/walls/inside.py: os.write(2)": "the captured output of a keeper's charge",
}
"""Streams used past the guard, ``"a/b.py: name"`` -> why that is no way for foreign text to a terminal."""
IN_KERNELS = re.compile(r"(process/(template|ipykernel_patches)|temp/template)/\w+\.py")
"""What runs in the processes of kernels, servers and their templates, whose streams are captured."""
GUARDED_ROOM = "cli"
"""The one room that prints: ``cli.main`` puts guards in the place of both streams before anything runs."""


def unguarded_streams(sources: list[Source]) -> list[str]:
    """Find what is printed elsewhere than in the command line, or there past the guard of its streams."""
    found, used = [], set()
    for source in sources:
        if IN_KERNELS.fullmatch(source.path):
            continue
        inside = source.room == GUARDED_ROOM
        past = {"sys.__stdout__", "sys.__stderr__", "getpass.getpass", "unguarded"}
        past |= {"json.dumps", "json.dump"} if inside else {"print", "input", "sys.stdout", "sys.stderr"}
        for line, name in [*references(source), *writes(source)]:
            short = "unguarded" if name.endswith(".unguarded") else name
            if short in past or name in {"os.write(1)", "os.write(2)"}:
                used.add(f"{source.path}: {short}")
                if f"{source.path}: {short}" not in STREAMS:
                    found.append(f"{source.path}:{line} uses {name}")
    known = {source.path for source in sources}
    stale = [key for key in STREAMS if key.partition(":")[0] in known and key not in used]
    return found + [f"STREAMS names {key}, which is no longer there" for key in stale]


def writes(source: Source) -> Iterator[tuple[int, str]]:
    """Yield line and call where a standard stream is written to by its number."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.write" and node.args:
            yield node.lineno, f"os.write({ast.unparse(node.args[0])})"


DIRECTIVE = re.compile(
    r"#\s*(?:type:\s*ignore(?P<code>\[[^\]]*\])?|noqa\b(?P<rules>:\s*[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)?)"
)


def unexplained(sources: list[Source]) -> list[str]:
    found = []
    for source in sources:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type != tokenize.COMMENT:
                continue
            directives = list(DIRECTIVE.finditer(token.string))
            place = f"{source.path}:{token.start[0]} {token.string}"
            if any(not (match["code"] or match["rules"]) for match in directives):
                found.append(f"{place}: ignores everything")
            elif directives and not re.search(r"\w{3}", DIRECTIVE.sub("", token.string)):
                found.append(f"{place}: gives no reason")
    return found


def undocumented(sources: list[Source]) -> list[str]:
    def missing(path: str, body: Iterable[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.If | ast.Try):
                inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
                yield from missing(path, inner, prefix)
            if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) or node.name.startswith("_"):
                continue
            decorators = {last_name(decorator) for decorator in node.decorator_list}
            if not decorators & {"overload", "setter", "override"} and not ast.get_docstring(node):
                yield f"{path}:{node.lineno} {prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from missing(path, node.body, f"{node.name}.")

    return [place for source in sources for place in missing(source.path, source.tree.body)]


def untested(sources: list[Source]) -> list[str]:
    found = [f"UNTESTED names {path}, which is gone" for path in UNTESTED if not (PACKAGE / path).is_file()]
    for source in sources:
        folder, _, name = source.path.rpartition("/")
        if name in {"__init__.py", "__main__.py"} or source.path in UNTESTED:
            continue
        test = f"tests/{folder}/test_{name}" if folder else f"tests/test_{name}"
        if not (ROOT / test).is_file():
            found.append(f"{source.path} has no {test}")
    return found


Rule = Callable[[list[Source]], list[str]]
PACKAGE_RULES: list[Rule] = [
    pure_rooms, zmq_files, storeys, sizes, banned_calls, unguarded_streams, undocumented, untested
]  # fmt: skip
PLANTED: list[tuple[Rule, str, str]] = [
    (pure_rooms, "wire/codec.py", "import os.path"),
    (pure_rooms, "plan/pool.py", "def f():\n    from time import monotonic"),
    (zmq_files, "process/local.py", "def f():\n    import zmq.asyncio"),
    (storeys, "process/local.py", "from moorage.notebooks import events"),
    (storeys, "process/local.py", "from ..notebooks.events import Event"),
    (storeys, "wire/codec.py", "from moorage import __version__"),
    (storeys, "notebooks/batch.py", "import moorage.temp.pages"),
    (storeys, "kernelside.py", "from moorage.process import base"),
    (storeys, "helpers.py", ""),
    (sizes, "plan/pool.py", "\n" * 401),
    (sizes, "plan/pool.py", "def f():\n" + "    x = 1\n" * 40),
    (sizes, "plan/pool.py", "class C:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(13))),
    (
        sizes,
        "plan/pool.py",
        "class C:\n    def __init__(self):\n" + "".join(f"        self.a{n} = 1\n" for n in range(13)),
    ),
    (banned_calls, "kernel/client.py", "from time import sleep as nap\nnap(1)"),
    (banned_calls, "kernel/client.py", "import asyncio as aio\naio.gather()"),
    (banned_calls, "kernel/client.py", "loop.create_task(f())"),
    (unguarded_streams, "notebooks/batch.py", "print('x')"),
    (unguarded_streams, "doctor/machine.py", "import sys\nsys.stderr.write('x')"),
    (unguarded_streams, "testing/kernel.py", "from sys import stdout\nstdout.write('x')"),
    (unguarded_streams, "cli/doctor.py", "import sys\nsys.__stdout__.write('x')"),
    (unguarded_streams, "cli/doctor.py", "import sys\nsys.stdout.unguarded.write('x')"),
    (unguarded_streams, "cli/doctor.py", "import json\nprint(json.dumps({}))"),
    (unguarded_streams, "cli/doctor.py", "import os\nos.write(2, b'x')"),
    (unexplained, "kernel/client.py", "x = 1  # noqa: E501"),
    (unexplained, "kernel/client.py", "x = 1  # type: ignore[attr]  # noqa: E501,X1"),
    (unexplained, "kernel/client.py", "x = 1  # type: ignore  # for a good reason"),
    (undocumented, "kernel/client.py", "class C:\n    '''Doc.'''\n    def m(self): ..."),
    (untested, "kernel/nowhere.py", ""),
]
INNOCENT: list[tuple[Rule, str, str]] = [
    (
        storeys,
        "notebooks/batch.py",
        "from moorage import errors\nfrom moorage.process.base import Handle\nimport zlib",
    ),
    (sizes, "plan/pool.py", "def f():\n    '''" + "\n" * 60 + "    '''\n" + "    x = 1\n" * 35),
    (
        sizes,
        "plan/pool.py",
        "@dataclass(frozen=True)\nclass C:\n" + "".join(f"    a{n}: int\n" for n in range(20)),
    ),
    (banned_calls, "kernel/client.py", "async with TaskGroup() as group:\n    group.create_task(f())"),
    (unguarded_streams, "cli/doctor.py", "import sys\nprint('x', file=sys.stderr)"),
    (unexplained, "kernel/client.py", "x = '# noqa'  # noqa: E501 - a table reads better in one piece"),
    (unexplained, "kernel/client.py", "x = 1  # type: ignore[attr]  # the stubs are behind"),
    (undocumented, "kernel/client.py", "def _f(): ...\ndef f():\n    '''Doc.'''\n    def g(): ..."),
]


@pytest.mark.parametrize("rule", PACKAGE_RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Rule) -> None:
    report(rule.__name__, rule(package_sources()))


def test_every_ignored_lint_is_explained() -> None:
    report("unexplained", unexplained(project_sources()))


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_the_rule_finds(rule: Rule, path: str, text: str) -> None:
    assert rule([Source(path, text)])


@pytest.mark.parametrize(("rule", "path", "text"), INNOCENT)
def test_the_rule_lets_pass(rule: Rule, path: str, text: str) -> None:
    assert rule([Source(path, text)]) == []


def test_two_rooms_of_one_storey_may_not_import_each_other() -> None:
    one = Source("process/a.py", "import moorage.discovery")
    other = Source("discovery/b.py", "import moorage.process")
    assert storeys([one]) == []
    assert storeys([one, other])
