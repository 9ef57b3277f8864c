"""Keeps two lines that mean nothing off the terminal; setup.sh copies it into .venv/etc/ipython.

Papermill ends every kernel by an interrupt, and a kernel on one's own machine needs no encryption.
"""

import logging

NOISE = ("KeyboardInterrupt caught in kernel", "Kernel is running over TCP without encryption")
logging.getLogger("IPKernelApp").addFilter(lambda line: not line.getMessage().startswith(NOISE))
