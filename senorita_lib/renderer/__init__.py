"""The analytic 3D skeleton volume renderer and the loss between two poses (paper, section 2.3).

It has no parameters, its gradient with respect to the joints is exact, and it needs torch alone.
"""

from senorita_lib.renderer.loss import SkeletonVolumeLoss, skeleton_volume_loss
from senorita_lib.renderer.volumes import plain_volumes, render_skeleton

__all__ = ["SkeletonVolumeLoss", "plain_volumes", "render_skeleton", "skeleton_volume_loss"]
