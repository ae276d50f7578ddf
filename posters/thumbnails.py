"""Thumbnails of posters, for the admin and pictures: from the local file, else from Telegram, kept in THUMBNAIL_DIR."""

import hashlib
import logging
import os
import re
import threading
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from django.conf import settings
from PIL import Image
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable, download, max_retry_wait
from config.http_client import TooMuch
from movies.models import Movie
from posters import storage
from posters.images import MAX_FILE_BYTES, MAX_PIXELS

log = logging.getLogger(__name__)

MAX_SIZE_PIXELS = (400, 600)  # enough for the preview of a card
MAX_CACHED_FILES = 5_000  # some 30 KB each
FILENAME_RE = re.compile(r"[0-9a-f]{40}\.(?:jpg|\d+\.part)")  # no other file in THUMBNAIL_DIR is ever deleted
_telegram_slots = threading.BoundedSemaphore(4)  # a list asks for fifty; Telegram has the chat to serve first


def thumbnail(movie: Movie) -> bytes | None:
    """A JPEG of the movie's poster, None where there is none at present."""
    source = movie.local_path or movie.telegram_file_id
    if not source:
        return None
    path = settings.THUMBNAIL_DIR / f"{hashlib.sha256(source.encode()).hexdigest()[:40]}.jpg"
    with suppress(OSError):
        cached: bytes = path.read_bytes()
        os.utime(path)  # the least recently used are deleted first
        return cached
    content = storage.read(movie.local_path) if movie.local_path else None
    if content is None and movie.telegram_file_id:
        content = download_photo(movie)
    resized = resize(content) if content else None
    if resized:
        save_to_cache(path, resized)
    return resized


def download_photo(movie: Movie) -> bytes | None:
    with _telegram_slots, max_retry_wait(0):
        try:
            content: bytes = download(movie.telegram_file_id, MAX_FILE_BYTES)
            return content
        except (ApiException, TelegramUnavailable, TooMuch) as error:
            log.info("movie %s: no thumbnail: %s", movie.pk, type(error).__name__)
            return None


def resize(content: bytes) -> bytes | None:
    """The image as a JPEG within MAX_SIZE_PIXELS; None where the bytes are no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP"))
            if opened.width * opened.height > MAX_PIXELS:
                return None
            opened.draft("RGB", MAX_SIZE_PIXELS)
            image = opened.convert("RGB")
        image.thumbnail(MAX_SIZE_PIXELS)
    except Exception:  # Pillow raises many types for bytes that are no image
        return None
    out = BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def save_to_cache(path: Path, content: bytes) -> None:
    """Cache a thumbnail and delete the oldest of too many; on a full or broken disk nothing is cached."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{threading.get_ident()}.part")
        part.write_bytes(content)
        part.rename(path)
        cached = [entry for entry in os.scandir(path.parent) if FILENAME_RE.fullmatch(entry.name)]
        if len(cached) > MAX_CACHED_FILES:
            oldest_first = sorted(cached, key=lambda entry: entry.stat().st_mtime)
            for entry in oldest_first[: len(cached) - MAX_CACHED_FILES * 9 // 10]:
                os.unlink(entry)
    except OSError as error:
        log.info("thumbnails cannot be cached: %s", error.strerror)
