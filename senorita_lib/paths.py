"""The old place of :func:`senorita_lib.files.project_path`."""

from senorita_lib.files import project_path as project_path
