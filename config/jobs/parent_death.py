"""Processes that end with the one that started them, be it killed with -9."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(sign=signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies: nobody would guard it, and it would go on.

    Said in the child, before or after exec. Linux only; elsewhere nothing happens.
    """
    if _libc:
        _libc.prctl(PR_SET_PDEATHSIG, sign)
