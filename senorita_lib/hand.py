"""The hand's 21 joints and 20 bones, in HANDS19 order.

Joints are ``(..., 21, 3)``, bones ``(..., 20, 3)``, in any frame (see :mod:`senorita_lib`) and
unit; NumPy arrays or torch tensors.
"""

from senorita_lib._arrays import Array, given, like

FINGERS = ("thumb", "index", "middle", "ring", "pinky")

_REST = tuple(f"{finger}_{part}" for finger in FINGERS for part in ("pip", "dip", "tip"))
# The wrist; the MCP joint of each finger, thumb first; then PIP, DIP and tip, finger by finger.
JOINT_NAMES = ("wrist", *(f"{finger}_mcp" for finger in FINGERS), *_REST)

# Joints from the wrist along each finger.
FINGER_CHAINS = tuple((0, 1 + f, 6 + 3 * f, 7 + 3 * f, 8 + 3 * f) for f in range(5))
# (child, parent), tip to wrist, finger by finger: (8, 7), (7, 6), (6, 1), (1, 0), (11, 10) ...
BONES = tuple((chain[i], chain[i - 1]) for chain in FINGER_CHAINS for i in (4, 3, 2, 1))

# The finger (0..4) of each joint, -1 for the wrist, and of each bone.
JOINT_FINGER = (-1, 0, 1, 2, 3, 4, *(finger for finger in range(5) for _ in range(3)))
BONE_FINGER = tuple(JOINT_FINGER[child] for child, _ in BONES)

_CHILD, _PARENT = (list(ends) for ends in zip(*BONES, strict=True))

# joints = wrist + _CHAIN @ bones: row j marks the bones between the wrist and joint j.
_CHAIN = [[0.0] * 20 for _ in range(21)]
for _bone, (_joint, _nearer) in reversed([*enumerate(BONES)]):
    _CHAIN[_joint] = list(_CHAIN[_nearer])
    _CHAIN[_joint][_bone] = 1.0


def joints_to_bones(joints: Array) -> Array:
    """Bone vectors (..., 20, 3), child minus parent, of joints (..., 21, 3) of any frame and unit.

    Row i belongs to ``BONES[i]`` and points away from the wrist.
    """
    joints = given("joints", joints)
    if tuple(joints.shape[-2:]) != (21, 3):
        raise ValueError(f"joints have shape {tuple(joints.shape)}, wanted (..., 21, 3)")
    bones: Array = joints[..., _CHILD, :] - joints[..., _PARENT, :]
    return bones


def bones_to_joints(wrist: Array, bones: Array) -> Array:
    """Joints (..., 21, 3) from a wrist (..., 3) and bones: undoes :func:`joints_to_bones`."""
    wrist, bones = given("wrist", wrist), given("bones", bones)
    if tuple(bones.shape[-2:]) != (20, 3) or tuple(wrist.shape[-1:]) != (3,):
        found = f"{tuple(wrist.shape)} and {tuple(bones.shape)}"
        raise ValueError(f"wrist and bones have shapes {found}, wanted (..., 3) and (..., 20, 3)")
    joints: Array = wrist[..., None, :] + like(_CHAIN, bones) @ bones
    return joints
