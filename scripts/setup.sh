#!/bin/sh
# Makes .venv with what PURPOSE needs: sh scripts/setup.sh demo|temp|test|bench|pyvista
# Where the system lacks something, root gets it from apt, and any other user is told what to type.
set -eu
purpose=${1:?demo, temp, test, bench or pyvista}
cd "$(dirname "$0")/.."
venv=.venv
stamp=$venv/.ready-$purpose

say() { printf '%s\n' "$*" >&2; }

# need PROGRAM-OR-TEST PACKAGES...: install Debian packages unless the test succeeds.
need() {
    probe=$1
    shift
    if sh -c "$probe" >/dev/null 2>&1; then return 0; fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $*"
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 ||
            { apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
                --no-install-recommends "$@" >/dev/null; }
    else
        say "$* is missing. Type: sudo apt-get install $*"
        return 1
    fi
}

find_python() {
    for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
            { command -v "$candidate"; return 0; }
    done
    say "moorage needs Python 3.11 or newer. Type: sudo apt-get install python3 python3-venv"
    return 1
}

if [ -f "$stamp" ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt scripts/setup.sh ]; then exit 0; fi

if [ ! -x $venv/bin/python ]; then
    python=$(find_python)
    need "$python -c 'import ensurepip, venv'" python3-venv
    say "making $venv with $("$python" --version)"
    "$python" -m venv $venv
fi

# uv is several times faster than pip and knows dependency groups; pip fetches it.
$venv/bin/python -m uv --version >/dev/null 2>&1 || {
    say "fetching uv"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check uv
}
# The system's certificates, so that a company's own registry or proxy is trusted as pip trusts it.
install() { UV_SYSTEM_CERTS=1 VIRTUAL_ENV="$PWD/$venv" $venv/bin/python -m uv pip install --quiet --compile-bytecode "$@"; }

# unpack PROGRAM PACKAGE: take a Debian package apart below .venv, where installing it would start a service.
unpack() {
    if command -v "$1" >/dev/null || [ -x "$venv/debian/usr/bin/$1" ] || [ -x "$venv/debian/usr/sbin/$1" ]; then
        return 0
    fi
    say "unpacking $2"
    mkdir -p "$venv/debian"
    (cd "$venv/debian" && apt-get download -qq "$2" && dpkg-deb -x "$2"_*.deb . && rm "$2"_*.deb) >/dev/null 2>&1
}

# What only Debian has; one apt-get at a time.
debian_kernels() {
    need "command -v Xvfb" xvfb || say "the tests of virtual displays are skipped"
    need "test -d /usr/share/jupyter/kernels/ir" r-base-core r-cran-irkernel || say "the tests of R are skipped"
    need "command -v chromium" chromium fonts-dejavu-core || say "the tests with a browser are skipped"
    need "command -v octave" octave || say "the tests of Octave are skipped"
    for each in nginx caddy; do unpack $each $each || say "the tests behind $each are skipped"; done
}

# spec NAME LANGUAGE WORD...: write a kernelspec, for kernels whose own installer writes to the home directory.
spec() {
    mkdir -p "$venv/share/jupyter/kernels/$1"
    name=$1 language=$2
    shift 2
    words=$(printf '"%s", ' "$@")
    printf '{"argv": [%s], "display_name": "%s", "language": "%s"}\n' "${words%, }" "$name" "$language" \
        >"$venv/share/jupyter/kernels/$name/kernel.json"
}

# What only npm has: deno, whose program is in a package of its own, tslab, which runs in node, a proxy, and
# thebe, which runs in pages.
node_kernels() {
    node=$PWD/$venv/node
    if ! command -v npm >/dev/null; then
        say "npm is missing: the tests of deno, tslab, configurable-http-proxy and thebe are skipped"
        return 0
    fi
    mkdir -p "$node"
    # Globally below our own prefix: tslab looks for its types where only a global installation puts them.
    for package in deno tslab configurable-http-proxy; do
        [ -x "$node/bin/$package" ] ||
            npm install --silent --no-fund --no-audit --global --prefix "$node" $package >/dev/null 2>&1 ||
            say "$package could not be fetched: its tests are skipped"
    done
    # No more than its files for pages: what it names as needed is in them, and is 400 MB by itself.
    if [ ! -e "$node/thebe/package/lib/index.js" ]; then
        mkdir -p "$node/thebe"
        (cd "$node/thebe" && tar xzf "$(npm pack --silent thebe)") >/dev/null 2>&1 ||
            say "thebe could not be fetched: its test is skipped"
    fi
    deno=$(ls "$node"/lib/node_modules/deno/node_modules/@deno/*/deno 2>/dev/null | head -n 1)
    if [ -n "$deno" ]; then spec deno typescript "$deno" jupyter --kernel --conn "{connection_file}"; fi
    if [ -x "$node/bin/tslab" ]; then
        spec tslab typescript "$(command -v node)" "$node/bin/tslab" kernel --config-path "{connection_file}"
    fi
}

say "installing what '$purpose' needs"
case $purpose in
test | bench)
    # Real kernels for tests/real and the drills; a test whose kernel is missing says so and is skipped.
    debian_kernels &
    node_kernels &
    ;;
esac
case $purpose in
demo) install -e '.[all]' --group examples ;;
temp) install -e '.[all]' --group examples --group temp ;;
pyvista) install -e '.[all]' --group examples --group pyvista ;;
bench) install -e '.[all]' --group examples --group test --group bench ;;
test) install -e '.[all]' --group examples --group check --group test ;;
*) say "unknown purpose: $purpose"; exit 2 ;;
esac
# One of the examples is a shell script; this kernel does not register itself when it is installed.
$venv/bin/python -m bash_kernel.install --sys-prefix >/dev/null
wait
touch "$stamp"
