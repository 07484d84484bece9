#!/bin/sh
# The locked environment in .venv. Needs Python 3.11 or 3.12 with its venv module, and nothing else; with a C compiler and
# Python's headers the worker becomes faster.
# Does nothing where what is there is what the lock files say.
set -eu
cd "$(dirname "$0")/.."

fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'
venv=.venv
stamp=$venv/.locked

wanted() {
    pwd
    cksum requirements-build.lock requirements-dev.lock pyproject.toml
}

# Tried by running: a shim may be on the PATH and still refuse.
find_python() {
    bare=
    for python in ${PYTHON:-} python3.12 python3.11 python3 python \
        /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3 /usr/local/bin/python3.12 /usr/local/bin/python3.11 \
        /opt/homebrew/bin/python3.12 /opt/homebrew/bin/python3.11 \
        "$HOME"/.pyenv/versions/3.12*/bin/python3 "$HOME"/.pyenv/versions/3.11*/bin/python3; do
        "$python" -c "$fits" >/dev/null 2>&1 || continue
        if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            echo "$python"
            return
        fi
        bare=$python
    done
    if [ -n "$bare" ]; then
        echo "setup: $bare has no venv module; install it (Debian, Ubuntu: apt install python3-venv) and try again" >&2
    else
        echo "setup: no Python 3.11 or 3.12 found; install one, or name it: make setup PYTHON=/path/to/python3.12" >&2
    fi
    exit 1
}

# What runs for every event, compiled; only where its sources have changed does this take longer than a look.
compiled() {
    "$venv/bin/python" scripts/compile.py
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && "$venv/bin/python" -c "$fits" 2>/dev/null; then
    compiled
    exit 0
fi

# An environment that does not run, is of another Python, or was made elsewhere (its scripts carry their path) is made anew.
if [ -e "$venv" ] && { ! "$venv/bin/python" -c "$fits" 2>/dev/null || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    { [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$(pwd)" ]; }; }; then
    echo "setup: $venv cannot be used, making it anew"
    rm -rf "$venv"
fi
if [ ! -e "$venv" ]; then
    python=$(find_python)
    echo "setup: making $venv with $("$python" --version 2>&1)"
    "$python" -m venv "$venv"
fi

rm -f "$stamp"
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet install --no-input"
echo 'setup: installing what the lock files name (some minutes the first time)'
$pip --require-hashes --no-deps -r requirements-build.lock
$pip --require-hashes --no-deps --no-build-isolation --use-pep517 -r requirements-dev.lock
$pip --no-index --no-deps --no-build-isolation --editable .
wanted >"$stamp"
compiled
echo 'setup: done'
