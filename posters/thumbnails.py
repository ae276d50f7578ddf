"""Small pictures of posters for the back office: from the local file, else from Telegram, then kept on the disk."""

import hashlib
import logging
import os
import threading
import warnings
from contextlib import suppress
from io import BytesIO

from django.conf import settings
from PIL import Image
from telebot.apihelper import ApiException

from config.bot.client import TelegramUnavailable, download, max_retry_wait
from config.http_client import TooMuch
from posters import storage

log = logging.getLogger(__name__)

BOX = (400, 600)  # pixels; enough for the preview of a card
LARGEST = 10 * 2**20  # bytes of a photo in Telegram (Bot API: sendPhoto)
KEPT = 5_000  # pictures; some 30 KB each
AT_ONCE = threading.BoundedSemaphore(4)  # a list asks for fifty; Telegram has the chat to serve first


def thumbnail(movie):
    """A JPEG of the film's poster, None where there is none to be had now."""
    source = movie.local_path or movie.telegram_file_id
    if not source:
        return None
    path = settings.THUMBNAIL_DIR / f"{hashlib.sha256(source.encode()).hexdigest()[:40]}.jpg"
    with suppress(OSError):
        picture = path.read_bytes()
        os.utime(path)  # what is looked at is kept longest
        return picture
    content = storage.read(movie.local_path) if movie.local_path else None
    if content is None and movie.telegram_file_id:
        content = from_telegram(movie)
    picture = content and reduced(content)
    if picture:
        keep(path, picture)
    return picture


def from_telegram(movie):
    with AT_ONCE, max_retry_wait(0):
        try:
            return download(movie.telegram_file_id, LARGEST)
        except (ApiException, TelegramUnavailable, TooMuch) as error:
            log.info("film %s: no thumbnail: %s", movie.pk, type(error).__name__)
            return None


def reduced(content):
    """The picture within BOX; None for what is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP"))
            picture.draft("RGB", BOX)
            picture = picture.convert("RGB")
        picture.thumbnail(BOX)
    except Exception:  # Pillow has many ways to say that bytes are no picture
        return None
    out = BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()


def keep(path, picture):
    """Write the picture for the next time; a full or sick disk only means that there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{threading.get_ident()}.part")
        part.write_bytes(picture)
        part.rename(path)
        kept = list(os.scandir(path.parent))
        if len(kept) > KEPT:
            for entry in sorted(kept, key=lambda one: one.stat().st_mtime)[: len(kept) - KEPT * 9 // 10]:
                os.unlink(entry)
    except OSError as error:
        log.info("thumbnails cannot be kept: %s", error.strerror)
