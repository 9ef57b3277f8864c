"""Write env/requirements.lock anew: `make lock`.

The newest releases that fit the ranges in pyproject.toml and whose wheels admit Python 3.11.2, the
oldest 3.11 in common use (Debian 12). A plain `pip freeze` would pin what fits the Python it ran
on: soupsieve 4.1.2, say, wants 3.11.5 or newer.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "env" / "requirements.lock"
PYTHON = "3.11.2"
# torch's CUDA build asks for these by exact version itself; its CPU build has none of them.
OF_TORCH_ALONE = ("nvidia-", "cuda-", "triton")

HEADER = f"""\
# Made by `make lock`; how and why: env/README.md. Resolved for Python {PYTHON}.
# Install it with pip's resolver on (no --no-deps): torch adds its CUDA packages by itself.
"""


def resolve(requirements):
    """Ask pip what it would install; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
        command += ["--target", folder, "--python-version", PYTHON, "--only-binary=:all:"]
        subprocess.run([*command, "--report", report, *requirements], check=True)
        found = json.loads(report.read_text())["install"]
    return {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower():
        # 2.13.0+cpu is how one machine's index names its build of 2.13.0
        item["metadata"]["version"].partition("+")[0]
        for item in found
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("torch", nargs="?", help="release to pin; without it, the same again")
    torch = parser.parse_args().torch or re.search(r"^torch==(.+)", LOCK.read_text(), re.M)[1]
    if sys.version_info[:2] != (3, 11):
        sys.exit("The lock is for Python 3.11 and pip weighs its own Python: run this on 3.11.")

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = pyproject["project"]["optional-dependencies"].values()
    wanted = pyproject["build-system"]["requires"] + pyproject["project"]["dependencies"]
    pins = resolve([f"torch=={torch}", *wanted, *(line for extra in extras for line in extra)])
    lines = [f"{n}=={v}\n" for n, v in sorted(pins.items()) if not n.startswith(OF_TORCH_ALONE)]
    LOCK.write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"env/requirements.lock: {len(lines)} packages, torch {torch}")


if __name__ == "__main__":
    main()
