"""How full the disks are: that of posters, and that of an SQLite database."""

import shutil
from pathlib import Path

from django.conf import settings

MIN_FREE_SHARE = 1 / 20  # of a disk; with less it is nearly full
MIN_FREE_BYTES = 512 * 2**20  # but no large disk is nearly full with more than 20 times this


def usage(folder: Path) -> tuple[int, int]:
    """(free, total) bytes of the disk where a folder is or will be; zeros where it cannot be read."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        found = shutil.disk_usage(folder)
    except OSError:
        return 0, 0
    return found.free, found.total


def posters() -> tuple[int, int]:
    return usage(settings.POSTER_DIR)


def nearly_full() -> list[tuple[str, int, int]]:
    """(folder, free, total) of the disks that are nearly full."""
    folders = [settings.POSTER_DIR]
    if settings.SQLITE:
        folders.append(Path(settings.DATABASES["default"]["NAME"]).parent)
    found = [(str(folder), *usage(folder)) for folder in folders]
    return [(path, free, total) for path, free, total in found if total and is_low(free, total)]


def is_low(free: int, total: int) -> bool:
    return free < min(total * MIN_FREE_SHARE, 20 * MIN_FREE_BYTES)
