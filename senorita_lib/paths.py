"""The old place of :func:`senorita_lib.notebook.project_path`, until the experiments move on."""

from senorita_lib.notebook import project_path

__all__ = ["project_path"]
