"""A training run's figure that is drawn anew, in its place, while the run goes on."""

import time

from senorita_lib.figures.style import alt_text, mime_bundle
from senorita_lib.figures.training import training_figure
from senorita_lib.training.stages import strip_frames

_SHARE = 1 / 25  # of the time that drawing may take


class LiveTraining:
    """Shows a run in a notebook, as :func:`~senorita_lib.training.stages.train`'s ``watch``.

    Where there is no notebook it does nothing.

    Parameters
    ----------
    recipe : Recipe
    data : path
        As ``train`` takes them.
    seconds : float
        Least time between two drawings; they never take more than a twenty-fifth of it.

    Examples
    --------
    >>> live = LiveTraining(recipe, data)
    >>> run = train(recipe, data, folder, watch=live)
    >>> live.finish(run.log)
    """

    def __init__(self, recipe, data, *, seconds=5.0):
        self.seconds, self._next = seconds, 0.0
        self._images = recipe.pose_images + recipe.volume_images + recipe.refine_images
        self._handle = None
        if _in_notebook():
            from IPython.display import display

            self._strip = strip_frames(recipe, data)
            self._handle = display(
                {"text/plain": "training: no step yet"}, raw=True, display_id=True
            )

    def __call__(self, log):
        """Draw the log, unless it was drawn a moment ago."""
        if self._handle is None or time.monotonic() < self._next:
            return
        start = time.monotonic()
        self._draw(log, colours=None)
        now = time.monotonic()
        self._next = now + max(self.seconds, (now - start) / _SHARE)

    def finish(self, log):
        """Draw the log now: when the run is over, or was there already."""
        if self._handle is not None:
            self._draw(log, colours=256)

    def _draw(self, log, colours):
        figure = training_figure(log, self._strip, self._images)
        caption = _sentence(log)
        bundle = mime_bundle(figure, caption=caption, colours=colours)
        self._handle.update(bundle, metadata=alt_text(caption), raw=True)


def _in_notebook():
    """Whether a kernel runs this, so that what is displayed can be replaced."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _sentence(log):
    """The figure's caption: how far the run is."""
    errors = [row for row in log if "validation_initial_mm" in row]
    if not errors:
        return "Losses of a run that has not been validated yet."
    last = errors[-1]
    error = last.get("validation_refined_mm", last["validation_initial_mm"])
    return f"Losses, validation error and poses: {error:.1f} mm after {len(errors)} validations."
