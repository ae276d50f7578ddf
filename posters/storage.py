"""The posters in POSTER_DIR between download and upload.

Files are named `<movie id>-<sixteen hex digits>.jpg`, and with a leading dot and `.part` while they are written; no
other file in the directory is ever deleted. The first eight digits name the database: another one in use with the same
directory, be it empty or a restored backup, does not know which of these files are needed. The column `local_path` is
not trusted: other programs write it, too.
"""

import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from pathlib import Path

from django.conf import settings

from config.database import database_identity
from movies.models import Movie, PosterStatus
from posters.images import is_complete_jpeg

log = logging.getLogger(__name__)

FILENAME_RE = re.compile(r"\.?(\d{1,10})-([0-9a-f]{8})[0-9a-f]{8}\.(?:jpg|part)")
MAX_UNRECORDED_SECONDS = 300  # between the writing of a file and the update of its movie's row
MIN_FREE_BYTES = 256 * 2**20  # on the disk, which often is the database's too; less on a small one
BATCH_SIZE = 500  # files looked up in one query


class DiskError(Exception):
    """POSTER_DIR cannot be written: full, read-only, not ours. No poster's fault; the text says what to do."""


def save(movie_id: int, content: bytes) -> str:
    """Write a poster to a new file and return its path. Raises DiskError.

    The name comes from the movie's id alone, never from outside. There is no fsync: a file that a power loss has cut is
    noticed when it is read, and downloaded again.
    """
    folder = settings.POSTER_DIR.absolute()
    name = f"{int(movie_id)}-{database_tag()}{secrets.token_hex(4)}"
    part, path = folder / f".{name}.part", folder / f"{name}.jpg"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(folder)
        if disk.free < min(MIN_FREE_BYTES, disk.total // 50) + len(content):
            raise OSError("the disk is full")
        try:
            part.write_bytes(content)
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        why = error.strerror or str(error)
        raise DiskError(f"POSTER_DIR ({folder}) cannot be written: {why}. Make room or mend its rights.") from None
    return str(path)


def read(local_path: str) -> bytes | None:
    """The content of a movie's file; None where it is missing, damaged or not in POSTER_DIR."""
    path = _path_in_poster_dir(local_path)
    try:
        content = path.read_bytes() if path else b""
    except OSError:
        return None
    return content if is_complete_jpeg(content) else None


def database_tag() -> str:
    """What the names of this database's files begin with."""
    return hashlib.sha256(database_identity().encode()).hexdigest()[:8]


def remove(local_path: str) -> None:
    """Delete a movie's file, if there is one, unless another database wrote it."""
    path = _path_in_poster_dir(local_path)
    match = path and FILENAME_RE.fullmatch(path.name)
    try:
        if path and not (match and match[2] != database_tag()):
            path.unlink(missing_ok=True)
    except OSError:
        pass  # delete_unused_files will try again


def _path_in_poster_dir(local_path: str) -> Path | None:
    if not local_path or "\0" in local_path:
        return None
    folder: Path = settings.POSTER_DIR.resolve()
    path = (folder / local_path).resolve()
    return path if path.is_relative_to(folder) and path != folder else None


def delete_unused_files() -> int:
    """Delete this database's files that no movie needs; returns how many.

    A file is needed while its movie is on local disk with this very path. A new one may belong to a download whose row
    does not say so yet: then there is a claim on the movie.
    """
    deleted, foreign, batch, tag = 0, 0, [], database_tag()
    try:
        with os.scandir(settings.POSTER_DIR.absolute()) as entries:
            for entry in entries:
                match = FILENAME_RE.fullmatch(entry.name)
                if match and match[2] == tag:
                    batch.append((int(match[1]), entry.path))
                foreign += bool(match and match[2] != tag)
                if len(batch) == BATCH_SIZE:
                    deleted += _delete_unused(batch)
                    batch = []
    except OSError:
        pass  # no directory yet, or a broken disk: the download reports it
    if foreign:
        log.info("%s files of another database are left in POSTER_DIR; delete them where it is gone", foreign)
    return deleted + _delete_unused(batch)


def _delete_unused(files: list[tuple[int, str]]) -> int:
    """Delete those of the files, given as (movie id, path), that are not needed; returns how many."""
    now = time.time()
    ids = {movie_id for movie_id, _path in files}
    movies = Movie.objects.only("poster_status", "local_path", "poster_next_try_at").in_bulk(ids)
    deleted = 0
    for movie_id, path in files:
        movie = movies.get(movie_id, Movie(poster_status=PosterStatus.NONE))
        if movie.poster_status == PosterStatus.LOCAL and os.path.basename(movie.local_path) == os.path.basename(path):
            continue
        try:
            claimed = movie.poster_status == PosterStatus.WAITING and movie.poster_next_try_at > now
            if claimed and now - os.stat(path).st_mtime < MAX_UNRECORDED_SECONDS:
                continue
            os.unlink(path)
            deleted += 1
        except OSError:
            continue  # deleted by another process
    return deleted
