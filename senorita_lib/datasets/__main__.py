"""``python -m senorita_lib.datasets ROOT`` checks a data set."""

from senorita_lib.datasets.checking import main

main()
