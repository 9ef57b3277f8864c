"""What the authors' release does differently, as variants built on the paper's method."""
