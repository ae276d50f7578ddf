"""A Redis database for each process of each run of the tests: each empties its own, none another's."""

import fcntl
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

LAST = 15  # as redis-server is configured by default
_claimed: list[IO] = []  # open as long as the process lives: the system frees the lock of a dead one


def claim(url):
    """The address of a database of this server that no other process of the tests here uses, the last ones first."""
    server = urlsplit(url)
    for number in range(int(server.path.strip("/") or LAST), 0, -1):
        name = f"kinoteka-tests-redis-{server.hostname}-{server.port}-{number}.lock"
        file = (Path(tempfile.gettempdir()) / name).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _claimed.append(file)
        return server._replace(path=f"/{number}").geturl()
    raise SystemExit(f"every database of {server.hostname}:{server.port} is in use by tests")
