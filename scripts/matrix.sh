#!/bin/sh
# Runs the unit tests and a few real ones in other interpreters and with other ipykernels:
#   sh scripts/matrix.sh                    every cell of the matrix
#   sh scripts/matrix.sh 3.13 latest        one cell: Python 3.13 with the newest ipykernel
# An interpreter that is not here is brought by uv, where GitHub can be reached; one that cannot be had is
# named, and its cells are skipped. Environments stay in .venv-matrix/, and are used again.
set -u
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE
export UV_SYSTEM_CERTS=1
root=$PWD/.venv-matrix
uv="$PWD/.venv/bin/python -m uv"
chosen="tests/real/test_forked.py tests/real/test_ipykernels.py tests/real/test_semantics.py tests/real/test_loops.py"
PYTHONS=${PYTHONS:-"3.11 3.12 3.13 3.14"}
IPYKERNELS=${IPYKERNELS:-"7.2 7.3 latest"}

# interpreter PYTHON: the path of one of that version: pyenv's, any on PATH, or one that uv brings.
interpreter() {
    for each in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python3; do
        [ -x "$each" ] && { printf '%s\n' "$each"; return 0; }
    done
    $uv python find --quiet "$1" 2>/dev/null && return 0
    $uv python install --quiet "$1" >&2 && $uv python find --quiet "$1"
}

# make_environment PYTHON IPYKERNEL: makes an environment of $base with the tests' packages and that ipykernel.
make_environment() {
    folder=$root/$1-$2
    [ -f "$folder/.ready" ] && [ "$folder/.ready" -nt pyproject.toml ] && return 0
    $uv venv --quiet --clear --python "$base" "$folder" || return 1
    [ "$2" = latest ] && pin=ipykernel || pin="ipykernel==$2.*"
    $uv pip install --quiet --python "$folder" -e '.[all]' --group test --group examples uv "$pin" || return 1
    "$folder/bin/python" -m bash_kernel.install --sys-prefix >/dev/null || return 1
    touch "$folder/.ready"
}

# cell PYTHON IPYKERNEL: one cell of the matrix; says in one line what came of it.
cell() {
    log=$root/$1-$2.log
    if ! base=$(interpreter "$1" 2>"$log"); then
        printf '%-6s ipykernel %-7s skipped: there is no Python %s here, and uv could not bring one\n' "$1" "$2" "$1"
        return 0
    fi
    if ! make_environment "$1" "$2" >"$log" 2>&1; then
        printf '%-6s ipykernel %-7s no environment: %s\n' "$1" "$2" "$(tail -n 1 "$log")"
        return 1
    fi
    python=$root/$1-$2/bin/python
    # Kernels of other languages that lie in .venv are not here: their tests are skipped and say so.
    "$python" -m pytest -q -n 2 -m "not real and not slow and not far" --ignore tests/house -p no:cacheprovider >"$log" 2>&1
    first=$?
    unit=$(tail -n 1 "$log")
    # shellcheck disable=SC2086
    "$python" -m pytest -q -n 2 -m "(real or slow) and not drill and not recipe" -p no:cacheprovider $chosen >>"$log" 2>&1
    second=$?
    printf '%-6s ipykernel %-7s unit: %s; real: %s\n' "$1" "$2" "$unit" "$(tail -n 1 "$log")"
    grep -hE '^(FAILED|ERROR) ' "$log" | sort -u | sed 's/^/       /'
    [ $first = 0 ] && [ $second = 0 ]
}

mkdir -p "$root"
if [ $# = 2 ]; then
    cell "$1" "$2"
    exit
fi
# Each Python with the newest ipykernel, and the oldest and the newest Python with each ipykernel.
first=${PYTHONS%% *} last=${PYTHONS##* } failed=0
for python in $PYTHONS; do
    for ipykernel in $IPYKERNELS; do
        [ "$ipykernel" = latest ] || [ "$python" = "$first" ] || [ "$python" = "$last" ] || continue
        cell "$python" "$ipykernel" || failed=1
    done
done
exit $failed
