"""Waiting for something to come about; free ports. Needs no settings."""

import socket
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=60, explain=lambda: ""):
    """Wait until a condition holds, as long as a slow machine may need; fail with an explanation."""
    deadline = time.monotonic() + seconds
    while not (outcome := condition()):
        assert time.monotonic() < deadline, f"nothing came of it in {seconds} s\n{explain()}"
        time.sleep(0.02)
    return outcome
