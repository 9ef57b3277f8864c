"""What a pose costs from frame to joints, beside the network's backbone alone on one crop.

With the weights `small`: followed through a clip (one crop), searched in a box with the hand told
(4 rolls, then 1 and 5 crops) and not told (1 crop more), and without a box (up to three places). In
a clip of 24 frames only the first is searched, in its box. A thread that reads the next file gained
nothing: the network takes both cores.
"""

import tempfile
from pathlib import Path

import torch
from training import times

from senorita_lib import SR300, Predictor
from senorita_lib.boxes import hand_candidates
from senorita_lib.cropping import CropBatch, crop_hand
from senorita_lib.datasets.files import encode_depth
from senorita_lib.datasets.synthetic.clip import moving_hand
from senorita_lib.diagnosis import check_frame
from senorita_lib.files import atomic_write
from senorita_lib.recordings import clip_files, predict_clip, read_depth
from senorita_lib.representations import build_input

CLIP = 24  # frames


def main(folder):
    """Print the table; frames are written to a folder."""
    predictor, frame = Predictor.load("small"), moving_hand(8)[3]
    net, seen = predictor.model.folded(), (frame.depth, SR300)
    crops = CropBatch.stack([crop_hand(*seen[:1], frame.box, size=net.recipe.image_size)])
    channels, pose = build_input(crops, *net.inputs), predictor.predict(*seen, frame.box)

    @torch.inference_mode()
    def backbone():
        net.estimator.backbone(channels)

    clip = moving_hand(CLIP)
    for number, one in enumerate(clip):
        atomic_write(Path(folder, f"{number}.png"), encode_depth(one.depth))
    paths = clip_files(folder)

    def follow(depths):
        return list(predict_clip(predictor, depths, SR300, clip[0].box))

    calls = {
        "backbone alone": backbone,
        "followed in a clip": lambda: predictor.predict(*seen, last=pose),
        "frame of a clip of files": lambda: follow(map(read_depth, paths)),
        "frame of a clip in memory": lambda: follow(one.depth for one in clip),
        "searched in a box, hand told": lambda: predictor.predict(*seen, frame.box, "right"),
        "searched in a box": lambda: predictor.predict(*seen, frame.box),
        "searched without a box": lambda: predictor.predict(*seen),
        "box finder alone": lambda: hand_candidates(*seen),
        "frame doctor alone": lambda: check_frame(*seen, frame.box),
    }
    spent = {name: least for name, (least, _) in times(calls, seconds=20).items()}
    spent |= {name: ms / CLIP for name, ms in spent.items() if name.startswith("frame of")}
    print(f"{'small, ' + str(torch.get_num_threads()) + ' threads':<30}{'ms':>8}{'ratio':>8}")
    for name, ms in spent.items():
        print(f"{name:<30}{ms:>8.1f}{ms / spent['backbone alone']:>8.2f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
