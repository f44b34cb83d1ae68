"""The command that installs a kernel for a language, as the kernel's own instructions have it.

None of them is run by moorage. https://github.com/jupyter/jupyter/wiki/Jupyter-kernels lists further kernels.
"""

from __future__ import annotations

from typing import Final

_LIST: Final = "https://github.com/jupyter/jupyter/wiki/Jupyter-kernels lists what there is"
_DENO: Final = "deno jupyter --install"

COMMANDS: Final[dict[str, str]] = {
    "python": "pip install ipykernel",
    "bash": "pip install bash_kernel && python -m bash_kernel.install",
    "c++": "conda install -c conda-forge xeus-cpp",
    "gnuplot": "pip install gnuplot_kernel && python -m gnuplot_kernel install --user",
    "go": "go install github.com/janpfeifer/gonb@latest && gonb --install",
    "javascript": _DENO,
    "julia": "julia -e 'using Pkg; Pkg.add(\"IJulia\")'",
    "lua": "conda install -c conda-forge xeus-lua",
    "octave": "pip install octave_kernel",
    "powershell": "pip install powershell_kernel && python -m powershell_kernel.install",
    "r": "R -e 'install.packages(\"IRkernel\"); IRkernel::installspec()'",
    "ruby": "gem install iruby && iruby register --force",
    "rust": "cargo install evcxr_jupyter && evcxr_jupyter --install",
    "sql": "conda install -c conda-forge xeus-sql",
    "typescript": _DENO,
}
"""By language, as kernelspecs and jupytext spell it in lower case."""


def advice(language: str) -> str:
    """Return what to do where there is no kernel for a language: the command to type, or where to look."""
    command = COMMANDS.get(language.lower())
    return f"Type: {command}" if command else f"Install one: {_LIST}"
