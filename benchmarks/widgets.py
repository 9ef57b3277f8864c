"""What a move of a slider costs the kernel, and what drawing the static twin would cost.

Without a browser: what plotly does with it there takes longer than this.
"""

import time

import ipywidgets
import numpy as np
import torch

from senorita_lib.cropping import crop_hand
from senorita_lib.datasets import SyntheticHand
from senorita_lib.figures import widgets
from senorita_lib.figures.crop import crop_steps, crop_steps_figure
from senorita_lib.figures.gallery import hand_view, views_figure
from senorita_lib.figures.inputs import pose_input
from senorita_lib.figures.style import grid_figure, new_figure, png
from senorita_lib.figures.volumes import draw_volumes

HANDS = SyntheticHand(seed=0)
FRAMES = [HANDS.frame(i) for i in range(20)]
CROPS = [crop_hand(frame.depth, frame.box) for frame in FRAMES]
VIEWS = {
    f"frame {i}": hand_view(crop, frame.joints + 5, frame.joints, "")
    for i, (frame, crop) in enumerate(zip(FRAMES, CROPS, strict=True))
}


def controls(widget):
    """All that can be moved."""
    if isinstance(widget, ipywidgets.ValueWidget) and hasattr(widget, "value"):
        labels = ipywidgets.Label, ipywidgets.HTML
        return [] if isinstance(widget, labels) else [widget]
    return [c for child in getattr(widget, "children", ()) for c in controls(child)]


def places(control, count=8):
    """Values to move a control to, far apart."""
    if hasattr(control, "options"):
        values = [option[-1] if isinstance(option, tuple) else option for option in control.options]
        return values[1:] + values[:1]
    if isinstance(control, ipywidgets.FloatLogSlider):
        return np.geomspace(0.02, 1, count).tolist()
    return np.linspace(control.min, control.max, count).astype(int).tolist()


def milliseconds(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def volumes_figure():
    figure, axes = new_figure(1, 1, width=5, height=5, subplot_kw={"projection": "3d"})
    draw_volumes(axes[0, 0], widgets.posed_volumes((20,) * 5, (0,) * 5, (25, 5, 0)))
    return figure


def main():
    """Print a line for each widget: its slowest control."""
    torch.set_num_threads(2)
    pose = HANDS.pose(11)
    cases = {
        "01 crop_explorer": (
            widgets.crop_explorer(FRAMES),
            lambda: crop_steps_figure(crop_steps(FRAMES[0], CROPS[0])),
        ),
        "02 input_explorer": (
            widgets.input_explorer(HANDS, pose),
            lambda: grid_figure([pose_input(HANDS, pose, "layers")[32]], columns=1),
        ),
        "03 skeleton_explorer": (widgets.skeleton_explorer(), volumes_figure),
        "05 gallery_explorer": (
            widgets.gallery_explorer(VIEWS),
            lambda: views_figure({"frame 0": VIEWS["frame 0"]}),
        ),
    }
    print(f"{'ms':<22}{'median':>8}{'most':>8}{'static twin':>13}{'ratio':>8}   slowest control")
    for name, (widget, twin) in cases.items():
        times = {}
        for control in controls(widget):
            for value in places(control):
                move = milliseconds(lambda c=control, v=value: setattr(c, "value", v))
                times.setdefault(control, []).append(move)
        slowest = max(times, key=lambda control: np.median(times[control]))
        median, most = np.median(times[slowest]), max(max(row) for row in times.values())
        drawn = min(milliseconds(lambda draw=twin: png(draw())) for _ in range(3))
        label = type(slowest).__name__
        print(f"{name:<22}{median:8.0f}{most:8.0f}{drawn:13.0f}{median / drawn:8.2f}   {label}")


if __name__ == "__main__":
    main()
