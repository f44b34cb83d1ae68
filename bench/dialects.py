"""How to say the same few things to kernels of several makes: what the drills and the tests run in them."""

from __future__ import annotations

from dataclasses import dataclass

from moorage.discovery.kernelspec import names


@dataclass(frozen=True)
class Dialect:
    """One kernel type and its language.

    Attributes:
        kernel: the kernelspec's name.
        title: what its makers call it.
        say: prints ``{}`` and a line's end; what stands for the braces has no quotes in it.
        count: prints the numbers below ``{}``, each on a line.
        value: an expression that is 42.
        fail: prints ``before``, then raises an error in which the word ``further`` occurs.
        loop: prints ``on`` twice, the second time when it is well under way, and runs for ever.
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
    count: str

    @property
    def here(self) -> bool:
        """Whether it is installed."""
        return self.kernel in names()


_PYTHON = {
    "say": "print('{}', flush=True)",
    "value": "6 * 7",
    "fail": "print('before', flush=True)\nraise ValueError('no further')",
    "loop": "import time\nwhile True: print('on', flush=True) or time.sleep(0.05)",
    "keep": "seven = 7",
    "kept": "print(seven)",
    "count": "for n in range({}): print(n)",
}
_SCRIPT = {
    "say": "console.log('{}');",
    "value": "6 * 7",
    "fail": "console.log('before');\nthrow new Error('no further');",
    "loop": "console.log('on');\nconsole.log('on');\nwhile (true) {}",
    "keep": "let seven = 7;",
    "kept": "console.log(seven);",
    "count": "for (let n = 0; n < {}; n++) console.log(n);",
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
            loop="while (TRUE) {\ncat('on\\n')\nflush.console()\nSys.sleep(0.05)\n}",
            keep="seven <- 7",
            kept="cat(seven, '\\n')",
            count="for (n in seq_len({}) - 1) cat(n, '\\n', sep = '')",
        ),
        Dialect("deno", "Deno", **_SCRIPT),
        Dialect(
            "octave",
            "octave_kernel",
            say="disp('{}')",
            value="6 * 7",
            fail="disp('before')\nerror('no further')",
            loop="while true\ndisp('on')\npause(0.05);\nend",
            keep="seven = 7;",
            kept="disp(seven)",
            count="for n = 0:{}-1\nprintf('%d\\n', n);\nend",
        ),
        Dialect(
            "bash",
            "bash_kernel",
            say="echo '{}'",
            value="echo $((6 * 7))",
            fail="echo before\nls /no/further",
            # A child would be in the way: bash goes on when the signal meets one in its last moment.
            loop="echo on; sleep 0.05; echo on; while true; do :; done",
            keep="seven=7",
            kept='echo "$seven"',
            count="for ((n = 0; n < {}; n++)); do echo $n; done",
        ),
        Dialect("tslab", "tslab", **_SCRIPT),
    )
}
