"""Step 1's pretraining on people (paper, section 3.1): MPII, Human3.6M, a synthetic body."""

from senorita_lib.people.readers import Human36m, Mpii
from senorita_lib.people.synthetic import SyntheticBody

__all__ = ["Human36m", "Mpii", "SyntheticBody"]
