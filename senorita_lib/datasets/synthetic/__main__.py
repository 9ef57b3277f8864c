"""``python -m senorita_lib.datasets.synthetic FOLDER`` writes the synthetic data set."""

from senorita_lib.datasets.synthetic.frames import main

main()
