"""The synthetic HANDS19: a sphere-mesh hand, its poses, a depth sensor, and the files."""
