"""How to say the same few things to kernels of several makes: what the drills and the tests run in them."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.discovery.kernelspec import names


@dataclass(frozen=True)
class Dialect:
    """One kernel type and its language.

    Attributes:
        kernel: the kernelspec's name.
        title: what its makers call it.
        say: prints ``{}`` and a line's end.
        value: an expression that is 42.
        fail: prints ``before``, then raises an error in which the word ``further`` occurs.
        loop: prints ``on``, then runs for ever.
        keep: keeps the number 7 in ``kept``, and ``kept`` prints it.
    """

    kernel: str
    title: str
    say: str
    value: str
    fail: str
    loop: str
    keep: str
    kept: str

    @property
    def here(self) -> bool:
        """Whether it is installed."""
        return self.kernel in names()


_PYTHON = {
    "say": "print('{}', flush=True)",
    "value": "6 * 7",
    "fail": "print('before', flush=True)\nraise ValueError('no further')",
    "loop": "import time\nprint('on', flush=True)\nwhile True: time.sleep(0.01)",
    "keep": "seven = 7",
    "kept": "print(seven)",
}
_SCRIPT = {
    "say": "console.log('{}');",
    "value": "6 * 7",
    "fail": "console.log('before');\nthrow new Error('no further');",
    "loop": "console.log('on');\nwhile (true) {}",
    "keep": "let seven = 7;",
    "kept": "console.log(seven);",
}
DIALECTS: dict[str, Dialect] = {
    each.kernel: each
    for each in (
        Dialect("python3", "ipykernel", **_PYTHON),
        Dialect("xpython", "xeus-python", **_PYTHON),
        Dialect(
            "ir",
            "IRkernel",
            say="cat('{}\\n')",
            value="6 * 7",
            fail="cat('before\\n')\nstop('no further')",
            loop="cat('on\\n')\nflush.console()\nwhile (TRUE) Sys.sleep(0.01)",
            keep="seven <- 7",
            kept="cat(seven, '\\n')",
        ),
        Dialect("deno", "Deno", **_SCRIPT),
        Dialect(
            "octave",
            "octave_kernel",
            say="disp('{}')",
            value="6 * 7",
            fail="disp('before')\nerror('no further')",
            loop="disp('on')\nwhile true\npause(0.01);\nend",
            keep="seven = 7;",
            kept="disp(seven)",
        ),
        Dialect(
            "bash",
            "bash_kernel",
            say="echo '{}'",
            value="echo $((6 * 7))",
            fail="echo before\nls /no/further",
            loop="echo on\nwhile true; do sleep 0.01; done",
            keep="seven=7",
            kept='echo "$seven"',
        ),
        Dialect("tslab", "tslab", **_SCRIPT),
    )
}
