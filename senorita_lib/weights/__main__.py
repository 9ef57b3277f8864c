"""``python -m senorita_lib.weights RUN NAME`` packs a run's weights."""

from senorita_lib.weights.pack import main

main()
