"""What is wrong with a depth frame, in plain words, before any network sees it.

The limits are from generated frames of other seeds than those that
:mod:`senorita_lib.experiments.defects` measures with: 300 right ones, and the same ones spoiled.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from senorita_lib import cropping
from senorita_lib._arrays import plain
from senorita_lib.boxes import find_hand_box
from senorita_lib.camera import Camera
from senorita_lib.cropping import CUBE_MM, NOMINAL_MM, Box, HandNotFoundError, box_middle

# What depths are counted in by mistake, mm, and who does so.
_UNITS = {
    1000.0: "metres", 10.0: "centimetres or 8 bit", 0.25: "camera units of 0.25 mm (L515)",
    0.125: "camera units of 0.125 mm (SR300, SR305) or 0.1 mm (D405)",
}  # fmt: skip
# The widest circle in a hand or its arm has a radius of 14 to 61 mm, 36 mm mostly, and a hand is
# 190 to 850 mm away, 480 mm mostly. Only what is outside in both is in another unit.
_RADIUS_MM, _AWAY_MM = 36.0, 480.0
_SLIM_MM, _THICK_MM, _CLOSE_MM, _DISTANT_MM = 11.0, 60.0, 200.0, 900.0
_SLIM_8_BIT_MM = 15.0  # hands in 8 bit are narrower, if depths are taken for mm
# Wider than boxes in frames in cm: those up to half as wide as the image, and larger ones.
_CM_BOXES_MM = 58.0, 75.0
_NO_HAND_MM = 1500.0  # networks have seen hands up to 800 mm
_LEAST_MM, _RELIEF_MM, _DEEP_MM = 60.0, 260.0, 60.0  # no camera sees nearer; see below
# What is near lies farther from the box's middle than what is far, in half boxes; right frames:
# 0.03 at most.
_OUTSIDE = 0.1
_HOLLOW = 0.05  # how much more a surface bulges the other way round; 1 in 200 right frames: more
_FILLED, _FLAT_MM = 0.9, 8.0  # hands fill 0.81 of a box at most, and are 2 to 30 mm off a plane
_HOLES = 0.25  # share of a hand's outline without depth; right frames: 0.23 at most
_BEHIND = 0.23  # share of the crop's border at the hand's depth; an arm alone: 0.21 at most
_SECOND_MM, _SECOND_MM2 = 14.0, 2000.0  # radius and area of a second hand; other parts: 10 mm
_VISIBLE_MM = 105.0  # from the image's border to a hand's far end, if it is all there
_THROUGH_MM, _BESIDE_MM = 25.0, 75.0  # an arm's width at the box's sides; away from its end
_WIDER_MM = 65.0  # at one side of the box: no wrist
_BETWEEN_MM = 100.0  # between two places where hand and arm leave the image
_NEAREST_MM, _FARTHEST_MM, _FEWEST_PX = 180.0, 1000.0, 50  # what networks have seen
_JUMP_MM = 30.0  # between neighbouring pixels of two things, at 500 mm
_NARROW_MM, _WIDE_MM = 50.0, 350.0  # boxes around hands: 57 to 230 mm


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. With an "error" a pose would mean nothing."""

    name: str
    message: str  # with the evidence
    advice: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.severity} ({self.name}): {self.message}: {self.advice}"


@dataclass(frozen=True)
class Report:
    """What :func:`check_frame` found, errors first, and the box that it looked into."""

    findings: tuple[Finding, ...]
    box: np.ndarray | None = None  # (4,): x1, y1, x2, y2, pixel frame

    @property
    def ok(self) -> bool:
        """No error; there may be warnings."""
        return all(finding.severity == "warning" for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "nothing found wrong with this frame"


def check_frame(depth_mm: np.ndarray, camera: Camera, box: Box | None = None) -> Report:
    """What is wrong with a depth frame, as far as depth alone can tell.

    Parameters
    ----------
    depth_mm
        (camera.height, camera.width), mm, 0 where nothing returned; what else it is, is reported.
    box
        Rough box around the hand, x1, y1, x2, y2, pixel frame; by default found.

    Raises
    ------
    ValueError
        If camera is none, or ``depth_mm`` holds no numbers.
    """
    if not isinstance(camera, Camera):
        raise ValueError(f"camera is {camera!r}, wanted a senorita_lib.camera.Camera")
    raw = plain("depth_mm", depth_mm, masked=0)
    if found := _array(raw, camera):
        return Report((found,))
    try:
        corners = None if box is None else cropping.checked_box(box, camera)
    except ValueError as error:
        return Report((Finding("box", str(error), "draw the box around the hand, in pixels"),))
    scale = _check_scale(raw, camera, corners)
    # Whole depths up to 255 are in 8 bit, or of a hand that is too near: both are told.
    ambiguous = raw.dtype.kind in "ui" and raw.max() <= 255
    if scale and not (ambiguous and scale.name == "units"):
        return Report((scale,), corners)
    try:
        depth = cropping.checked_depth(raw, camera)
        if raw.dtype != np.uint16 and not scale:  # the predictor sees depths that are changed
            scale = _check_scale(depth, camera, corners, quick=True)
            if scale:
                return Report((scale,), corners)
        corners = find_hand_box(depth, camera) if corners is None else corners
        findings = _surface(depth, camera, corners, given=box is not None)
    except HandNotFoundError as error:
        findings = [no_hand(error)]
    except ValueError as error:
        findings = [Finding("values", str(error), "give depths in mm, 0 where there is none")]
    if scale:
        findings = [scale, *(finding for finding in findings if finding.name != "units")]
    return Report(tuple(sorted(findings, key=lambda f: f.severity)), corners)


def no_hand(error: HandNotFoundError) -> Finding:
    """That no hand is found."""
    advice = "hold the hand nearer to the camera than all else, and put the box around it"
    return Finding("no hand", str(error), advice)


def cut(evidence: str) -> Finding:
    """That the image's border cuts the hand."""
    return Finding("cut", evidence, "hold the hand in the middle of the image", "warning")


def refuse_scale(depth: np.ndarray, camera: Camera, box: np.ndarray | None) -> None:
    """``ValueError`` for a checked frame whose depths are surely in no mm, which looks right."""
    if found := _check_scale(depth, camera, box, quick=True):
        raise ValueError(f"{found.message}: {found.advice}")


def explained(sentence: str, depth_mm: np.ndarray, camera: Camera, box: Box | None) -> str:
    """An error's sentence, with the worst finding of its frame."""
    try:
        worst = check_frame(depth_mm, camera, box).findings[0]
    except (ValueError, IndexError):  # another argument is wrong, or nothing is
        return sentence
    more = worst.advice
    if worst.name not in ("transposed", "shape", "8 bit", "box", "values", "no hand"):
        more = f"{worst.message}: {more}"
    return sentence if more in sentence else f"{sentence}; {more}"


def _array(raw: np.ndarray, camera: Camera) -> Finding | None:
    """What is wrong with the array, whatever its values mean."""
    wanted, shape = (camera.height, camera.width), f"depth_mm has shape {raw.shape}"
    if raw.shape == wanted[::-1] != wanted:
        message, advice = f"{shape}, which is (width, height)", "pass its transpose, depth_mm.T"
        return Finding("transposed", message, advice)
    if raw.shape != wanted:
        advice = "pass one channel of one frame and that frame's camera"
        return Finding("shape", f"{shape}, and its camera has {wanted}", advice)
    if raw.dtype.itemsize == 1:
        message = f"depth_mm is {raw.dtype}, {np.unique(raw).size} different values"
        advice = "read the image with cv2.IMREAD_UNCHANGED, and do not convert it to 8 bit"
        return Finding("8 bit", message, advice)
    return None


def _check_scale(
    raw: np.ndarray, camera: Camera, box: np.ndarray | None, quick: bool = False
) -> Finding | None:
    """Depths in no mm, or the wrong way round; ``quick``: only what is surely so."""
    values = np.nan_to_num(raw.astype(np.float32), nan=0, posinf=0, neginf=0).clip(0)
    try:
        place = _find_box(values, camera) if box is None else box
        z, mask = _foreground(values, camera, place)
        # A hand that is very near is as deep as far things are apart.
        near = _LEAST_MM < z < _RELIEF_MM
        wrong = "" if near else _inverted(values, camera, place, box is not None, quick)
    except HandNotFoundError:
        return None
    if wrong:
        wrong = f"depth_mm looks like disparity, where far things have small numbers: {wrong}"
        advice = "convert it: depth is focal length in px times baseline in mm, divided by it"
        return Finding("inverted", wrong, advice)
    radius = _radius(mask) * z / camera.fx
    eight_bit = values.max() <= 255  # or a hand that is too near, and nothing else
    slim = 2 * _SLIM_MM if eight_bit else _SLIM_MM
    # Without a box, what is nearest may be a table's corner: a wrong refusal is worse.
    distant = _NO_HAND_MM if quick and box is None else _DISTANT_MM
    wide = radius > _THICK_MM and z > distant
    narrow = radius < slim and z < (255 if eight_bit else _CLOSE_MM)
    if mask.mean() > _FILLED or not (wide or narrow):  # a wall may have any size
        return None
    least = _SLIM_8_BIT_MM if eight_bit else _SLIM_MM / 1.1
    if least < _radius_in_mm(values, camera, box, z, wide) < 1.1 * _THICK_MM:
        return None
    if box is not None and narrow and not eight_bit:
        across = max(box[2] - box[0], box[3] - box[1])
        if across * z / camera.fx > _CM_BOXES_MM[int(across > camera.width / 2)]:
            return None
    sizes = np.log([radius / _RADIUS_MM, z / _AWAY_MM])
    unit = min(_UNITS, key=lambda unit: ((sizes + np.log(unit)) ** 2).sum())
    found = f"what is nearest is {2 * radius:.3g} mm wide at {z:.4g} mm"
    wanted = f"a palm or an arm is about {2 * _RADIUS_MM:.0f} mm wide"
    message = f"depth_mm looks like {_UNITS[unit]}: {found}, and {wanted}"
    return Finding("units", message, f"multiply by the camera's depth scale, {unit:g} mm or so")


def _radius_in_mm(
    values: np.ndarray, camera: Camera, box: np.ndarray | None, z: float, wide: bool
) -> float:
    """Radius of the hand or arm that is about z away if depths are in mm; 0 if there is none."""
    depth = np.rint(values).clip(0, 65535).astype(np.uint16)
    try:
        found = find_hand_box(values, camera) if box is None else box
        own = box_middle(depth, found, camera)[2]
    except ValueError:  # no hand, or depths as small as metres
        return 0.0
    if not z / 1.5 < own < 1.5 * z:
        return 0.0
    # In smaller units a hand looks giant, and its finger as large as a hand. So take the whole
    # surface, up to jumps in depth.
    more = 2 * (found[2] - found[0]) * np.array([-1, -1, 1, 1]) if wide and box is None else 0
    window = cv2.medianBlur(np.ascontiguousarray(_inside(depth, found + more)), 5)
    square = np.ones((3, 3), np.uint8)
    jump = cv2.dilate(window, square) - cv2.erode(window, square)
    whole = (window > 0) & (jump < _JUMP_MM / NOMINAL_MM * own)
    _, labels = cv2.connectedComponents(whole.astype(np.uint8))
    hand = whole & (np.abs(window - own.astype(np.float32)) <= CUBE_MM / 2)
    most = np.bincount(labels[hand], minlength=1).argmax()
    return _radius(labels == most) * own / camera.fx if most else 0.0


def _inverted(values: np.ndarray, camera: Camera, box: np.ndarray, given: bool, quick: bool) -> str:
    """What tells that near things have the larger numbers; empty if nothing does."""
    window = _inside(values, box)
    scaled = _as_mm(window, float(np.median(window[window > 0])))
    level = cropping.otsu_threshold(scaled)
    near, far = (scaled > 0) & (scaled <= level), scaled > level
    if given and level and min(near.mean(), far.mean()) > 0.03:
        rows, columns = (np.abs(np.linspace(-1, 1, n)) for n in scaled.shape)
        out = np.maximum(rows[:, None], columns)
        outer = float(out[near].mean() - out[far].mean())
        behind = f"the box's middle is behind its border, by {outer:.2f} of half a box"
        if outer <= _OUTSIDE:
            return ""
        # A box beside the hand looks so, too: to refuse a frame, its surface must be hollow.
        return behind if not quick or _hollow(values, camera) > 0 else ""
    more = 0.0 if quick else _hollow(values, camera)
    surface = f"its surface bulges by {more:.2f} of its radius more the other way round"
    return surface if more > _HOLLOW else ""


def _hollow(values: np.ndarray, camera: Camera) -> float:
    """How much more what is nearest bulges when near things have the larger numbers."""
    turned = np.divide(1, values, out=np.zeros_like(values), where=values > 0)
    try:
        return _bulge(turned, camera) - _bulge(values, camera)
    except HandNotFoundError:  # one of the two has no surface
        return 0.0


def _as_mm(values: np.ndarray, level: float) -> np.ndarray:
    """Depths of any unit so that ``level`` becomes the depth that a hand mostly has."""
    return np.rint(values * (NOMINAL_MM / level)).clip(0, 65535).astype(np.uint16)


def _find_box(values: np.ndarray, camera: Camera) -> np.ndarray:
    """:func:`.find_hand_box`, whatever the unit."""
    if not values.any():
        raise HandNotFoundError("depth_mm has no depth, wanted a hand")
    return find_hand_box(_as_mm(values, float(np.quantile(values[values > 0], 0.05))), camera)


def _inside(values: np.ndarray, box: np.ndarray) -> np.ndarray:
    x1, y1, x2, y2 = (max(int(v), 0) for v in box)
    return values[y1:y2, x1:x2]


def _foreground(values: np.ndarray, camera: Camera, box: np.ndarray) -> tuple[float, np.ndarray]:
    """Depth of the front surface in a box, in the unit of ``values``, and its largest part."""
    window = _inside(values, box)
    if not window.any():
        raise HandNotFoundError("the box holds no depth at all")
    level = float(np.median(window[window > 0]))
    z = box_middle(_as_mm(values, level), box, camera)[2] * level / NOMINAL_MM
    # A near hand is as deep as a far one: more of its distance.
    reach = max(CUBE_MM / 2 / NOMINAL_MM * z, _DEEP_MM if z > _LEAST_MM else 0)
    return z, _parts((window > 0) & (np.abs(window - z) <= reach))[0]


def _parts(mask: np.ndarray) -> list[np.ndarray]:
    """Connected parts, the largest first, without gaps of a few pixels; at most three."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])
    return [labels == i for i in order[:3]] or [mask]


def _radius(mask: np.ndarray) -> float:
    """Radius of the widest circle inside, px."""
    return float(cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3).max())


def _bulge(values: np.ndarray, camera: Camera) -> float:
    """How much nearer the nearest thing's middle is than its outline, in shares of its radius."""
    box = _find_box(values, camera)
    z, _ = _foreground(values, camera, box)
    window = _inside(values, box + (box[2] - box[0]) / 2 * np.array([-1, -1, 1, 1]))
    near = (window > 0) & (np.abs(window / z - 1) <= CUBE_MM / 2 / NOMINAL_MM)
    mask = cv2.medianBlur(near.astype(np.uint8), 5)
    inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    radius = float(inwards.max())
    if radius < 2 or mask.all():
        return 0.0
    front = cv2.medianBlur(np.where(mask > 0, window, 0), 3)
    mask = ((mask > 0) & (front > 0)).astype(np.float32)
    sigma = max(0.3 * radius, 1.5)
    weights = cv2.GaussianBlur(mask, (0, 0), sigma).clip(1e-3)
    mean = cv2.GaussianBlur(front * mask, (0, 0), sigma) / weights
    relief = ((front - mean) / z * camera.fx / radius).clip(-0.5, 0.5)
    rim, core = mask * (inwards <= sigma), mask * (inwards > sigma)
    if not (rim.any() and core.any()):
        return 0.0
    return float(relief[rim > 0].mean() - relief[core > 0].mean())


def _exits(depth: np.ndarray, z: float, box: tuple[int, int, int, int], pixel: float) -> int:
    """At how many places the hand in a box, z mm away, and its arm cross the image's border.

    ``pixel`` is the width of one pixel at z, mm.
    """
    x1, y1, x2, y2 = box
    near = (depth > 0) & (np.abs(depth.astype(np.float32) - z) <= CUBE_MM)
    closed = cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels = cv2.connectedComponents(closed)
    pixels = np.bincount(labels[y1:y2, x1:x2].ravel(), minlength=2)
    thing = (labels == 1 + pixels[1:].argmax()).astype(np.uint8)
    around = np.concatenate([thing[0], thing[1:, -1], thing[-1, -2::-1], thing[-2:0:-1, 0]])
    # Without narrow parts and gaps, and round once more for those at the ends.
    around = np.tile(around, 2)[None]
    for change, mm in ((cv2.MORPH_CLOSE, _BETWEEN_MM), (cv2.MORPH_OPEN, _THROUGH_MM)):
        around = cv2.morphologyEx(around, change, np.ones((1, int(mm / pixel) | 1), np.uint8))
    around = around[0, around.size // 4 : -around.size // 4]
    return int((around & ~np.roll(around, 1)).sum())


def _surface(depth: np.ndarray, camera: Camera, box: np.ndarray, given: bool) -> list[Finding]:
    """What is wrong with the hand in a box of a frame in mm."""
    height, width = depth.shape
    x1, y1 = np.maximum(box[:2], 0).astype(int)
    x2, y2 = np.minimum(box[2:], [width, height]).astype(int)
    middle = box_middle(depth, np.array([x1, y1, x2, y2]), camera)
    z, (u, v) = middle[2], camera.project(middle)[:2]
    pixel, side = z / camera.fx, cropping.side_px(z, camera)  # mm, px
    window = depth[y1:y2, x1:x2].astype(np.float32)
    near = (window > 0) & (np.abs(window - z) <= CUBE_MM / 2)
    rows, columns = np.nonzero(near)
    plane = np.stack([columns, rows, np.ones_like(rows)], axis=1)  # of 1 / z
    inverse = plane @ np.linalg.lstsq(plane, 1 / window[near], rcond=None)[0]
    off = float(np.median(np.abs(1 / inverse - window[near])))
    if near.mean() > _FILLED and off < _FLAT_MM:
        flat = f"a flat surface fills {near.mean():.0%} of the box, {off:.1f} mm off a plane"
        advice = "hold the hand in front of it, and draw the box around the hand"
        return [Finding("wall", flat, advice)]

    hand, *others = _parts(near)
    second = max((_radius(p) for p in others if p.sum() * pixel**2 > _SECOND_MM2), default=0)
    span = max(box[2] - box[0], box[3] - box[1]) * pixel
    reach = 2 * int(np.ceil(8 / pixel)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    closed = cv2.morphologyEx(near.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros_like(closed), [outline], -1, 1, cv2.FILLED) > 0
    holes = float((window == 0)[filled].mean())
    # At each side of the box: how much of the hand, and how far from there its other end is, mm.
    sides = [pixel * line.sum() for line in (hand[0], hand[-1], hand[:, 0], hand[:, -1])]
    extent = np.repeat([pixel * np.ptp(places) for places in np.nonzero(hand)], 2)
    at_border = np.array([y1 <= 1, y2 >= height - 1, x1 <= 1, x2 >= width - 1])
    visible = extent[at_border & (np.array(sides) > _THROUGH_MM)].min(initial=np.inf)
    crop = cropping.cut_square(depth, round(u - side / 2), round(v - side / 2), round(side))
    border = np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]]).astype(float)
    behind = float(((border > 0) & (np.abs(border - z) <= CUBE_MM / 2)).mean())
    exits = 0 if given else _exits(depth, z, (x1, y1, x2, y2), pixel)
    warnings = (
        ("units", depth.max() <= 255, f"the largest depth is {depth.max()}, as if in 8 bit",
         "read the image with cv2.IMREAD_UNCHANGED, and do not convert it to 8 bit"),
        ("near", z < _NEAREST_MM, f"the hand is {z:.0f} mm away",
         f"hold it beyond {_NEAREST_MM:.0f} mm"),
        ("far", z > _FARTHEST_MM or side < _FEWEST_PX,
         f"the hand is {z:.0f} mm away, where it is about {side:.0f} px wide",
         f"hold it nearer, at {_AWAY_MM:.0f} mm, say"),
        ("box size", not _NARROW_MM < span < _WIDE_MM,
         f"the box is {span:.0f} mm wide at the hand's depth",
         "draw it around the hand alone, 100 to 250 mm wide"),
        ("holes", holes > _HOLES, f"{holes:.0%} of the hand's outline has no depth",
         "avoid sunlight and dark or shiny gloves, and clean the lens"),
        ("two hands", second * pixel > _SECOND_MM,
         f"a second thing, {2 * second * pixel:.0f} mm wide, is beside the hand in the box",
         "draw the box around one hand"),
        ("background", behind > _BEHIND,
         f"{behind:.0%} of the crop's border is within {CUBE_MM / 2:.0f} mm of the hand",
         "hold the hand farther from body, table or wall"),
    )  # fmt: skip
    found = [Finding(name, what, do, "warning") for name, wrong, what, do in warnings if wrong]
    if visible < _VISIBLE_MM:
        found += [cut(f"only {visible:.0f} mm of the hand are in the image, at its border")]
    elif exits > 1:
        found += [cut(f"hand and arm leave the image at {exits} places")]
    through = max(min(sides[:2]), min(sides[2:])) > _THROUGH_MM or max(sides) > _WIDER_MM
    if given and through:
        end = find_hand_box(depth, camera)
        away = np.linalg.norm((end[:2] + end[2:] - box[:2] - box[2:]) / 2) * pixel
        arm = f"what is in the box goes on beyond it, and a hand is {away:.0f} mm from there"
        advice = f"draw the box around the hand, {end.astype(int).tolist()}, say"
        found += [Finding("arm", arm, advice)] if away > _BESIDE_MM else []
    return found
