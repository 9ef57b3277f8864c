"""SeñoritaHand: depth image to 21 hand joints, as the paper has it, in PyTorch.

One coordinate contract holds everywhere, and every docstring names its frame:

========  =====================================================================  =====
frame     axes and range                                                         unit
========  =====================================================================  =====
camera    x right, y down, z forward                                             mm
pixel     u right, v down, of the raw image; u = fx x / z + cx                   px
uvd       u, v in [0, 1] across the crop box, (pixel - box corner) / side;       -
          d in [0, 1] through the cube, 0 = far face, 1 = near face
voxel     (x, y, z) along (W, H, D) of a volume of n cells: n * uvd - 1/2,       cells
          so that whole numbers are cell centres
image     the crop, 256 x 256; near = +1, far = -1 = background                  -
========  =====================================================================  =====

Volumes are ``(batch, bone or joint, D, H, W)``; joints are ``(batch, 21, 3)`` in
HANDS19 order (:mod:`senorita_lib.hand`).
"""

__version__ = "0.1.0"
