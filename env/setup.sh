#!/bin/sh
# Makes .venv from env/requirements.lock, with this project in it; `make env` calls it.
# Does again only what changed: copies of the lock and of pyproject.toml inside .venv, each written
# when its step is done, tell what a .venv holds. One that was left half made is made anew.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python
lock=env/requirements.lock

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null; }

choose_python() { # PYTHON, or the first of the usual names that fits
    if [ -n "${PYTHON:-}" ]; then
        if fits "$PYTHON"; then echo "$PYTHON"; return; fi
    else
        for name in python3 python3.11 python3.12 python3.13; do
            if fits "$name"; then echo "$name"; return; fi
        done
    fi
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no Python"
    echo "This project needs Python 3.11, 3.12 or 3.13, and ${PYTHON:-python3} is $found." \
        "Install one, or name one: make env PYTHON=python3.11" >&2
    return 1
}

contents() { pwd; cat $lock; } # the place too: a virtual environment cannot be moved

packages_are_there() {
    contents | cmp -s - .venv/made-from.lock && $python -c '' || return 1
    [ -z "${PYTHON:-}" ] || [ "$(identity "$PYTHON")" = "$(identity $python)" ]
}

if ! packages_are_there; then
    base=$(choose_python)
    rm -rf .venv
    echo "Making .venv with $("$base" --version) and the $(grep -c == $lock) packages of $lock" \
        "(1.8 GB; about a minute once they are downloaded)."
    "$base" -m venv .venv
    $python -m pip install --disable-pip-version-check -r $lock

    if error=$($python -c 'import cv2' 2>&1); then :; else
        case $error in *"cannot open shared object file"*) ;; *) echo "$error" >&2; exit 1 ;; esac
        version=$(sed -n 's/^opencv-python==//p' $lock)
        echo "OpenCV misses a system library here (${error##*ImportError: });" \
            "opencv-python-headless $version, which needs none, takes its place."
        $python -m pip uninstall --yes --quiet opencv-python
        $python -m pip install --disable-pip-version-check --no-deps "opencv-python-headless==$version"
        $python -c 'import cv2'
    fi
    mkdir -p .venv/etc/ipython
    cp env/ipython_kernel_config.py .venv/etc/ipython/
    contents > .venv/made-from.lock
fi

if ! cmp -s pyproject.toml .venv/made-from.toml; then
    $python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
    mkdir -p .venv/etc/jupyter/labconfig
    cp env/page_config.json .venv/etc/jupyter/labconfig/
    cp pyproject.toml .venv/made-from.toml
    echo "The environment is ready in .venv: $($python --version)," \
        "torch $($python -c 'import torch; print(torch.__version__, "with a GPU" if torch.cuda.is_available() else "on the CPU")')."
fi
