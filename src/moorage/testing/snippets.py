"""Small programs in the languages of kernels, by which :func:`moorage.testing.check_kernel` tries them."""

from __future__ import annotations

from dataclasses import dataclass

MANY = 2000
"""How many lines :attr:`Snippets.many` prints: the numbers from 0."""


@dataclass(frozen=True)
class Snippets:
    """One language. An empty text means that it has no such thing, and what needs it is not tried.

    Attributes:
        prints: prints ``ahoy é→𝄞`` and a newline.
        fails: raises an error.
        value: an expression whose value is 42.
        loops: prints ``on`` and goes on for ever, until interrupted.
        asks: asks for a line with the prompt ``name? `` and prints the answer.
        many: prints :data:`MANY` lines.
        sets, gets: gives a variable a value, and prints it or fails when it has none.
        incomplete: the first line of something that wants another.
    """

    prints: str
    fails: str
    value: str = ""
    loops: str = ""
    asks: str = ""
    many: str = ""
    sets: str = ""
    gets: str = ""
    incomplete: str = ""


TEXT = "ahoy é→𝄞"

_JAVASCRIPT = Snippets(
    prints=f"console.log('{TEXT}')",
    fails="throw new Error('failed')",
    value="6 * 7",
    loops="console.log('on'); while (true) {}",  # deno cannot interrupt an await
    many=f"for (let i = 0; i < {MANY}; i++) console.log(i)",
    sets="var number = 1",
    gets="console.log(number)",
    incomplete="for (;;) {",
)

LANGUAGES: dict[str, Snippets] = {
    "python": Snippets(
        prints=f"print('{TEXT}')",
        fails="raise ValueError('failed')",
        value="6 * 7",
        loops="import time\nprint('on', flush=True)\nwhile True: time.sleep(0.05)",
        asks="print(input('name? '))",
        many=f"for i in range({MANY}): print(i)",
        sets="number = 1",
        gets="print(number)",
        incomplete="for i in range(3):",
    ),
    "r": Snippets(
        prints=f"cat('{TEXT}\\n')",
        fails="stop('failed')",
        value="6 * 7",
        loops="cat('on\\n'); flush.console(); repeat Sys.sleep(0.05)",
        asks="cat(readline('name? '), '\\n', sep = '')",
        many=f"for (i in 0:{MANY - 1}) cat(i, '\\n', sep = '')",
        sets="number <- 1",
        gets="cat(number)",
        incomplete="f <- function(x) {",
    ),
    "bash": Snippets(
        prints=f"echo '{TEXT}'",
        fails="no_such_command_aboard",
        # Builtins alone: an interrupt that meets a child as it ends well does not end bash's loop.
        loops="echo on; while true; do :; done",
        many=f"seq 0 {MANY - 1}",
        sets="number=1",
        gets='echo "${number:?}"',
    ),
    "octave": Snippets(
        prints=f"disp('{TEXT}')",
        fails="error('failed')",
        loops="disp('on'); fflush(stdout); while true, pause(0.05); end",
        many=f"printf('%d\\n', 0:{MANY - 1})",
        sets="number = 1;",
        gets="disp(number)",
        incomplete="for i = 1:3",
    ),
    "julia": Snippets(
        prints=f'println("{TEXT}")',
        fails='error("failed")',
        value="6 * 7",
        loops='println("on"); flush(stdout); while true; sleep(0.05); end',
        asks='print("name? "); println(readline())',
        many=f"for i in 0:{MANY - 1}; println(i); end",
        sets="number = 1",
        gets="println(number)",
        incomplete="for i in 1:3",
    ),
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT,
}
"""By a language's name in lower case."""
