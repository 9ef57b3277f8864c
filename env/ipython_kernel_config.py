"""Every kernel runs this first; setup.sh copies it into .venv/etc/ipython.

Threads of OpenMP that wait spin unless told otherwise, and two notebooks that train starve each
other. Two lines that mean nothing are kept off the terminal: papermill ends every kernel by an
interrupt, and a kernel on one's own machine needs no encryption.
"""

import logging
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

NOISE = ("KeyboardInterrupt caught in kernel", "Kernel is running over TCP without encryption")
logging.getLogger("IPKernelApp").addFilter(lambda line: not line.getMessage().startswith(NOISE))
