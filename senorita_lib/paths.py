"""Where the notebooks' relative paths count from."""

from pathlib import Path


def project_path(path):
    """A relative path counted from the project's root, wherever below it one works.

    JupyterLab runs a notebook in ``notebooks/``, papermill where it was called: both mean
    the same ``data/``.

    Parameters
    ----------
    path : path
        Absolute paths stay as they are.

    Returns
    -------
    pathlib.Path
        From the nearest folder above the working one that has a ``pyproject.toml``, else
        from the working folder.
    """
    here = Path.cwd()
    roots = (folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file())
    return next(roots, here) / path
