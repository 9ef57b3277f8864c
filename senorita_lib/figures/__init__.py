"""Figures and widgets of the notebooks and the README."""

from importlib.util import find_spec

if not find_spec("matplotlib"):
    raise ModuleNotFoundError("matplotlib is missing, wanted pip install 'senorita-lib[notebooks]'")
