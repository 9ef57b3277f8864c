"""What a move of a slider costs the kernel, without what plotly then does in the browser."""

import time
from typing import Any

import ipywidgets
import numpy as np
import torch

from senorita_lib import SyntheticHand, crop_hand
from senorita_lib.figures import widgets
from senorita_lib.figures.gallery import hand_view


def controls(widget: ipywidgets.Widget) -> list[ipywidgets.ValueWidget]:
    """All that can be moved."""
    labels = ipywidgets.Label, ipywidgets.HTML
    if isinstance(widget, ipywidgets.ValueWidget) and not isinstance(widget, labels):
        return [widget]
    return [c for child in getattr(widget, "children", ()) for c in controls(child)]


def places(control: ipywidgets.ValueWidget, count: int = 8) -> list[Any]:
    """Values to move a control to, far apart."""
    if hasattr(control, "options"):
        values = [option[-1] if isinstance(option, tuple) else option for option in control.options]
        return values[1:] + values[:1]
    if isinstance(control, ipywidgets.FloatLogSlider):
        return np.geomspace(0.02, 1, count).tolist()
    return np.linspace(control.min, control.max, count).astype(int).tolist()


def main() -> None:
    """Print a line for each widget: its slowest control."""
    torch.set_num_threads(2)
    hands, views = SyntheticHand(seed=0), {}
    frames = [hands.frame(i) for i in range(20)]
    for frame in frames:
        crop = crop_hand(frame.depth, frame.box)
        views[frame.name] = hand_view(crop, frame.joints + 5, frame.joints, "")
    cases = {
        "01 crop_explorer": widgets.crop_explorer(frames),
        "02 input_explorer": widgets.input_explorer(hands, hands.pose(11)),
        "03 skeleton_explorer": widgets.skeleton_explorer(),
        "05 gallery_explorer": widgets.gallery_explorer(views),
    }
    print(f"{'ms':<22}{'median':>8}{'most':>8}   slowest control")
    for name, widget in cases.items():
        times: dict[Any, list[float]] = {}
        for control in controls(widget):
            for value in places(control):
                start = time.perf_counter()
                control.value = value
                times.setdefault(control, []).append(1e3 * (time.perf_counter() - start))
        slowest = max(times, key=lambda control: np.median(times[control]))
        most = max(max(row) for row in times.values())
        print(f"{name:<22}{np.median(times[slowest]):8.0f}{most:8.0f}   {slowest.description}")


if __name__ == "__main__":
    main()
