"""Figures of studies: training runs that differ in one thing (:mod:`.studies`)."""

import numpy as np

from senorita_lib.evaluation import SPLITS
from senorita_lib.figures.style import GREY, INK, MUTED_COLOURS, new_figure


def study_figure(study):
    """Error and bone length of each run: a dot for each seed, a line at their mean.

    An error half as large again as the first run's is off the axis, and written there.

    Parameters
    ----------
    study : dict
        Of :func:`senorita_lib.experiments.studies.load_study`.
    """
    names = list(study["errors"])
    errors = [[np.mean([e[s] for s in SPLITS]) for e in study["errors"][name]] for name in names]
    lengths = [study["bone_lengths"][name] for name in names]
    figure, axes = new_figure(1, 2, width=9, height=0.36 * len(names) + 0.9, sharey=True)
    for cell, values in zip(axes[0], (errors, lengths), strict=True):
        for place, seeds in enumerate(values):
            cell.plot(seeds, [place] * len(seeds), "o", color=MUTED_COLOURS[0], ms=4, alpha=0.8)
            cell.plot([np.mean(seeds)] * 2, [place - 0.3, place + 0.3], color=INK)
        cell.axvline(np.mean(values[0]), color=GREY, lw=0.8, ls=":")
    most = 1.5 * np.mean(errors[0])
    inside = [mm for seeds in errors for mm in seeds if mm < most]
    axes[0, 0].set_xlim(min(inside) - 0.5, max(inside) + 0.8)
    for place, seeds in enumerate(errors):
        if np.mean(seeds) > most:
            axes[0, 0].text(
                max(inside), place, f"{np.mean(seeds):.0f} mm →", ha="right", va="center"
            )
    axes[0, 0].set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    axes[0, 0].set_xlabel("mean joint error over five splits (mm)")
    axes[0, 1].set_xlabel("mean bone length (true = 1)")
    return figure
