from senorita_lib.people.keypoints import BODY_BONES, KEYPOINT_NAMES, MIRRORED, PELVIS


def test_bones_are_a_tree_that_hangs_on_the_pelvis():
    parents = dict(BODY_BONES)
    assert len(parents) == len(BODY_BONES) == 15 and PELVIS not in parents
    for keypoint in range(16):
        steps = 0
        while keypoint != PELVIS:
            keypoint, steps = parents[keypoint], steps + 1
            assert steps < 16


def test_mirror_changes_left_and_right():
    for name, other in zip(KEYPOINT_NAMES, MIRRORED, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert KEYPOINT_NAMES[other] == swapped
    bones = {(MIRRORED[child], MIRRORED[parent]) for child, parent in BODY_BONES}
    assert bones == set(BODY_BONES)
