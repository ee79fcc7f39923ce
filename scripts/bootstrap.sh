#!/bin/sh
# Makes .venv with every locked dependency and the project itself; instant when nothing changed.
#
# Needs Python 3.11 or newer with its venv module. Everything is checked against hashes: uv by scripts/uv.lock.txt,
# the rest by requirements.lock. Downloads are kept in ${XDG_CACHE_HOME:-~/.cache}/concilium/<hash of the locks>.
set -eu
cd "$(dirname "$0")/.."

find_python() {
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Concilium needs Python 3.11 or newer and found none. On Debian 12: sudo apt-get install python3 python3-venv" >&2
    exit 1
}

hash_of() { cat "$@" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

make_venv() {
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "Python $version here lacks its venv module. Install it: sudo apt-get install python$version-venv" >&2
        exit 1
    fi
    "$python" -m venv --clear .venv
}

use_cache() {
    [ -z "${UV_CACHE_DIR:-}" ] || return 0
    cache="${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/concilium/$(hash_of requirements.lock scripts/uv.lock.txt | cut -c1-16)/uv"
    if mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ]; then
        export UV_CACHE_DIR="$cache"
    else
        export UV_NO_CACHE=1
    fi
}

install() {
    # In an environment made by uv itself, its sync removes pip and uv: start again from a plain one.
    if ! .venv/bin/python -c '' 2>/dev/null || grep -q '^uv ' .venv/pyvenv.cfg; then make_venv; fi
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r scripts/uv.lock.txt
    uv=.venv/bin/uv
    $uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
    [ -x $uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r scripts/uv.lock.txt
    $uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
}

python=$(find_python)
stamp=".venv/.installed"
# The place belongs to the key: scripts in .venv name it, so a moved checkout installs anew.
key=$({ hash_of requirements.lock scripts/uv.lock.txt pyproject.toml; "$python" -V; pwd; } | tr '\n' ' ')

if [ -x .venv/bin/concilium ] && [ "$(cat $stamp 2>/dev/null)" = "$key" ]; then exit 0; fi

mkdir -p build
if command -v flock >/dev/null; then
    exec 9>build/bootstrap.lock
    flock 9
    if [ "$(cat $stamp 2>/dev/null)" = "$key" ]; then exit 0; fi
fi
echo "Installing the locked dependencies into .venv"
rm -f $stamp
use_cache
install
echo "$key" >$stamp
