"""Processes that end with the one that started them, even where that is killed with -9."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(signum: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies; otherwise it would go on unsupervised.

    Called in the child, before or after exec. Does nothing but on Linux.
    """
    if _libc:
        _libc.prctl(PR_SET_PDEATHSIG, signum)
