"""Training in stages (paper, section 3.1): batches, loop, checkpoints, validation."""
