"""The posters that lie in POSTER_DIR between download and upload."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from typing import Any

from django.conf import settings

from movies.models import Movie, PosterStatus
from posters.images import is_whole

OURS = re.compile(r"\.?(\d{1,10})-[0-9a-f]{8}\.(?:jpg|part)")  # nothing else in the directory is ever touched
SETTLES_WITHIN = 300  # seconds between a file's writing and its film's row saying so, at the very most
SPARE = 256 * 2**20  # bytes left free on the disk, which often is the database's too; less on a small one


class DiskTrouble(Exception):
    """POSTER_DIR cannot be written now: full, read-only, not ours. No poster's fault; the text says what to do."""


def keep(movie_id: int, content) -> str:
    """Write a poster under a name of its own and return its path. Raises DiskTrouble.

    The name comes from the film's id alone, never from outside. There is no fsync: what a power loss leaves of a file
    is seen when it is read, and downloaded again.
    """
    folder = settings.POSTER_DIR.absolute()
    name = f"{int(movie_id)}-{secrets.token_hex(4)}"
    part, path = folder / f".{name}.part", folder / f"{name}.jpg"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(folder)
        if disk.free < min(SPARE, disk.total // 50) + len(content):
            raise OSError("the disk is full")
        try:
            part.write_bytes(content)
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        why = error.strerror or str(error)
        raise DiskTrouble(f"POSTER_DIR ({folder}) cannot be written: {why}. Make room or mend its rights.") from None
    return str(path)


def read(local_path):
    """The bytes of a film's file; None where it is missing, damaged or not in POSTER_DIR at all."""
    path = _inside(local_path)
    try:
        content = path.read_bytes() if path else b""
    except OSError:
        return None
    return content if is_whole(content) else None


def remove(local_path: str) -> None:
    """Delete a film's file; that it is gone already is no error."""
    path = _inside(local_path)
    try:
        if path:
            path.unlink(missing_ok=True)
    except OSError:
        pass  # the sweep will try again


def _inside(local_path: str) -> None:
    """The path, if it names something in POSTER_DIR: other programs write the column, too."""
    if not local_path or "\0" in local_path:
        return None
    folder = settings.POSTER_DIR.resolve()
    path = (folder / local_path).resolve()
    return path if path.is_relative_to(folder) and path != folder else None


def sweep() -> int:
    """Delete files of ours that no film needs; returns how many.

    A file is needed while its film is on local disk with this very path; one just written may belong to a download
    whose row does not say so yet, which a claim on the film tells.
    """
    removed, chunk = 0, []
    try:
        with os.scandir(settings.POSTER_DIR.absolute()) as entries:
            for entry in entries:
                if match := OURS.fullmatch(entry.name):
                    chunk.append((int(match[1]), entry.path))
                if len(chunk) == 500:
                    removed += _sweep(chunk)
                    chunk = []
    except OSError:
        pass  # no directory yet, or a sick disk: the download says so
    return removed + _sweep(chunk)


def _sweep(files: list[Any | tuple[int, str]]) -> int:
    now = time.time()
    rows = Movie.objects.filter(pk__in={movie_id for movie_id, path in files}).values_list(
        "pk", "poster_status", "local_path", "poster_next_try_at"
    )
    films = {pk: rest for pk, *rest in rows}
    removed = 0
    for movie_id, path in files:
        status, local_path, next_try_at = films.get(movie_id, (PosterStatus.NONE, "", 0))
        if status == PosterStatus.LOCAL and os.path.basename(local_path) == os.path.basename(path):
            continue
        try:
            claimed = status == PosterStatus.WAITING and next_try_at > now
            if claimed and now - os.stat(path).st_mtime < SETTLES_WITHIN:
                continue
            os.unlink(path)
            removed += 1
        except OSError:
            continue  # gone meanwhile
    return removed
