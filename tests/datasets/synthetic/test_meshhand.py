"""The mesh hand: its joints and flesh, its depth, the stereo sensor, and the test sets on disk."""

import numpy as np
import pytest

from senorita_lib.camera import SR300, Camera
from senorita_lib.datasets import Hands19
from senorita_lib.datasets.synthetic import meshhand, posing
from senorita_lib.datasets.synthetic.handmodel import MEDIAN_BONES, SHAPES, HandAngles, palm_frame
from senorita_lib.datasets.synthetic.meshtest import TESTS, main, write_mesh_test
from senorita_lib.datasets.synthetic.sensor import Stereo
from senorita_lib.datasets.synthetic.spheremesh import render_depth
from senorita_lib.hand import joints_to_bones

FACES = meshhand.faces().astype(int)
TARGETS = [str(name) for name in meshhand._baked()["targets"]]
ARM = 240.0, np.array([60.0, -150.0, 200.0]), 1.0


def posed(pattern, shape=SHAPES[0], **targets):
    """Joints and vertices of a drawn pose in which a set of fingers is bent."""
    several = posing.draw_angles(np.random.default_rng(pattern), pattern, 1)
    angles = HandAngles(several.fingers[0], several.thumb[0], several.wrist[0])
    return meshhand.pose_mesh(shape, angles, *ARM, targets)


def windings(points, vertices):
    """How often the surface goes round each point: 1 inside, 0 outside (solid angles)."""
    a, b, c = np.moveaxis(vertices[FACES][None] - points[:, None, None], 2, 0)
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    volume = (np.cross(a, b) * c).sum(-1)
    rest = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.arctan2(volume, rest).sum(axis=1) / (2 * np.pi)


@pytest.mark.parametrize("target", ["", *TARGETS])
def test_joints_are_inside_the_flesh_and_bones_as_long_as_asked(target):
    targets = {target: 1.0} if target else {}
    for pattern, shape in zip((9, 31), SHAPES[::5], strict=True):
        joints, vertices = posed(pattern, shape, **targets)
        assert (windings(joints, vertices) > 0.5).all()
        lengths = np.linalg.norm(joints_to_bones(joints), axis=-1).reshape(5, 4)[:, ::-1]
        np.testing.assert_allclose(lengths, shape.bones, rtol=1e-6)
        assert lengths[0, 0] == pytest.approx(14, abs=2.5)  # from wrist point to TMCP


def test_the_mesh_has_its_joints_about_where_hands19_has_them():
    """Before bones are stretched; only MakeHuman's little finger is much shorter."""
    with pytest.raises(ValueError, match=r"targets has thumbless, wanted some of male, .*"):
        meshhand.rest_hand({"thumbless": 1.0})
    vertices, rest = meshhand.rest_hand({})
    gaps = np.linalg.norm(vertices - rest[:21, None], axis=-1).min(axis=1)
    assert (gaps[1:6] > 10).all() and (gaps > 2).all() and (gaps < 25).all()
    lengths = np.linalg.norm(joints_to_bones(rest[:21]), axis=-1).reshape(5, 4)[:, ::-1]
    share = lengths / MEDIAN_BONES
    assert (share[:4] > 0.73).all() and (share[4] > 0.65).all() and (share < 1.05).all()


@pytest.mark.parametrize("pattern", range(1, 32, 6))
def test_a_closed_right_hand_whose_skin_does_not_tear(pattern):
    joints, vertices = posed(pattern)
    ends = vertices[FACES]
    assert np.linalg.det(ends).sum() > 0  # faces look outwards: its mirror image's do not
    assert np.linalg.det(ends * [-1, 1, 1]).sum() < 0
    edges = FACES[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    there, back = (set(map(tuple, e.tolist())) for e in (edges, edges[:, ::-1]))
    assert there == back  # without a hole
    rest, _ = meshhand.rest_hand({})
    long, old = (np.linalg.norm(np.diff(v[edges], axis=1), axis=-1) for v in (vertices, rest))
    assert (long < 4 * old + 4).all()
    frame = palm_frame(joints)
    tips = (joints[8::3] - joints[0]) @ frame
    bent = (pattern >> np.arange(5)) & 1 > 0
    assert (tips[1:, 2][bent[1:]] > 0).all()  # fingers bend to the palm's side
    assert frame[0, 0] > 0.9 and frame[1, 1] > 0.9 and frame[2, 2] > 0.9


def test_depth_of_a_mesh_is_that_of_the_sphere_it_stands_for():
    n = 160
    polar, around = np.meshgrid(np.linspace(0, np.pi, n + 1), np.linspace(0, 2 * np.pi, 2 * n + 1))
    ball = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)])
    vertices = 60 * ball.reshape(3, -1).T + [20, -30, 400]
    a, b = np.meshgrid(np.arange(2 * n), np.arange(n), indexing="ij")
    first = (a * (n + 1) + b).ravel()
    corners = np.stack([first, first + 1, first + n + 2, first + n + 1], axis=1)
    depth = meshhand.mesh_depth(vertices, np.vstack([corners[:, :3], corners[:, [0, 2, 3]]]), SR300)
    exact = render_depth([[20, -30, 400]], [60], [], [], SR300)
    hit = np.isfinite(depth) & np.isfinite(exact)
    assert (np.isfinite(depth) != np.isfinite(exact)).sum() < 60  # along the silhouette
    assert np.quantile(depth[hit] - exact[hit], [0.0, 0.95]) == pytest.approx([0, 0], abs=0.05)
    with pytest.raises(ValueError, match=r"z = -10\.0 mm, wanted z > 0"):
        meshhand.mesh_depth(vertices - [0, 0, 350], corners[:, :3], SR300)


def test_stereo_sees_steps_of_disparity_and_a_shadow_on_one_side():
    depth = np.full((480, 640), 900, np.float32)
    depth[200:280, 300:360] = 450
    depth[:20] = np.inf
    law, rng = Stereo(coarser=(1,), speckle=0.0, tear=0.0, ripple=0.0), np.random.default_rng(0)
    seen = law.sense(rng, depth, SR300)
    assert seen.dtype == np.uint16 and seen.shape == (480, 640)
    assert (seen[:15] == 0).all() and abs(int(seen[100, 100]) - 900) < 5
    assert abs(int(seen[240, 330]) - 450) < 2
    shadow = law.baseline * SR300.fx * (1 / 450 - 1 / 900)
    assert (seen[240, 200:300] == 0).sum() == pytest.approx(shadow, abs=4)  # less the blocks' rim
    assert (seen[240, 362:500] > 0).all()
    ramp = np.tile(np.linspace(400, 1000, 640, dtype=np.float32), (480, 1))
    steps = law.parts * law.baseline * SR300.fx * (1 / 400 - 1 / 1000)
    assert len(np.unique(law.sense(rng, ramp, SR300)[240])) <= steps + 2 < 640


def test_the_set_on_disk_is_the_frames_and_is_not_overwritten(tmp_path, capsys):
    root = write_mesh_test(tmp_path / "a", "third", count=3)
    read, made = Hands19(root, "test")[2:], TESTS["third"].frame(2)
    assert read.names == [made.name] and read.camera == TESTS["third"].camera
    for name in ("depth", "box", "joints"):
        np.testing.assert_allclose(getattr(read[0], name), getattr(made, name), atol=1e-4)
    with pytest.raises(ValueError, match=r"holds test_.*\.txt, wanted an empty folder"):
        write_mesh_test(root)
    with pytest.raises(ValueError, match="name is 'fourth', wanted one of mesh, third"):
        write_mesh_test(tmp_path / "b", "fourth")
    with pytest.raises(SystemExit, match="1"):
        main([str(root)])
    assert "wanted an empty folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", TESTS)
def test_frames_of_a_set(name):
    frames = [TESTS[name].frame(i) for i in range(12)]
    camera: Camera = TESTS[name].camera
    for frame in frames:
        uvz = camera.project(frame.joints.astype(float))
        inside = ((uvz[:, :2] > 2) & (uvz[:, :2] < [637, 477])).all(axis=1)
        u, v = np.rint(uvz[inside, :2]).astype(int).T
        seen = frame.depth[v, u]
        # Nothing seen on a joint's ray, or its flesh or what hides it, but nothing behind it.
        assert (seen < uvz[inside, 2] + 25).mean() > 0.75
        assert uvz[:, 2].min() > 180
    down = np.array([palm_frame(frame.joints.astype(float))[1, 1] for frame in frames])
    assert (down < 0).any() and (down > -0.7).any()  # fingers up, and turned
