"""Files as Telegram keeps them: a photo becomes several JPEG sizes, each with its own file_id."""

import io
import mimetypes
import secrets
import warnings
from dataclasses import dataclass
from typing import Any

from PIL import Image

BOXES = (90, 320, 800, 1280)  # the longest side of each size Telegram makes
MAX_PHOTO = 10 * 1024 * 1024
MAX_UPLOAD = 50 * 1024 * 1024
MAX_DOWNLOAD = 20 * 1024 * 1024


class FileRefused(ValueError):
    """Why Telegram does not take an upload, in its words."""


@dataclass(frozen=True)
class PhotoSize:
    """Bot API: PhotoSize."""

    file_id: str
    file_unique_id: str
    width: int
    height: int
    file_size: int

    def as_json(self) -> dict[str, Any]:
        return {
            "file_id": self.file_id,
            "file_unique_id": self.file_unique_id,
            "file_size": self.file_size,
            "width": self.width,
            "height": self.height,
        }


@dataclass(frozen=True)
class Document:
    """Bot API: Document."""

    file_id: str
    file_unique_id: str
    file_name: str
    mime_type: str
    file_size: int

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class StoredFile:
    """Bytes under a file_id, which only the bot `bot_id` can use; `photo` holds all sizes, smallest first."""

    file_id: str
    file_unique_id: str
    bot_id: int
    content: bytes
    mime_type: str
    path: str
    photo: tuple[PhotoSize, ...] = ()
    document: Document | None = None


def store_photo(bot_id: int, content: bytes) -> list[StoredFile]:
    """The sizes of an uploaded photo as StoredFiles, smallest first; FileRefused if Telegram would not."""
    if not content:
        raise FileRefused("file must be non-empty")
    if len(content) > MAX_PHOTO:
        raise FileRefused("file is too big")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP"))
        width, height = picture.size
        if width + height > 10000 or max(width, height) > 20 * min(width, height):
            raise FileRefused("PHOTO_INVALID_DIMENSIONS")
        kind, rgb = picture.format, picture.convert("RGB")
    except FileRefused:
        raise
    except Exception:  # Pillow has many ways to say that bytes are no picture
        raise FileRefused("IMAGE_PROCESS_FAILED") from None
    made = []
    for box in BOXES:
        if max(width, height) <= box:
            break
        scale = box / max(width, height)
        made.append((max(1, round(width * scale)), max(1, round(height * scale))))
    if max(width, height) <= BOXES[-1]:
        made.append((width, height))
    files, sizes = [], []
    for size in made:
        if size == rgb.size and kind == "JPEG":
            data = content
        else:
            out = io.BytesIO()
            rgb.resize(size, Image.Resampling.BILINEAR, reducing_gap=2).save(out, "JPEG", quality=85)
            data = out.getvalue()
        file_id = "AgACAgIAAxkD" + secrets.token_urlsafe(45)
        sizes.append(PhotoSize(file_id, "AQAD" + secrets.token_urlsafe(9), *size, len(data)))
        files.append(data)
    photo = tuple(sizes)
    return [
        StoredFile(s.file_id, s.file_unique_id, bot_id, data, "image/jpeg", f"photos/{s.file_unique_id}.jpg", photo)
        for s, data in zip(sizes, files, strict=True)
    ]


def store_document(bot_id: int, name: str, content: bytes, mime_type: str) -> tuple[Document, StoredFile]:
    """An uploaded file: what a message says of it, and its bytes."""
    if not content:
        raise FileRefused("file must be non-empty")
    if len(content) > MAX_UPLOAD:
        raise FileRefused("file is too big")
    file_id = "BQACAgIAAxkD" + secrets.token_urlsafe(45)
    unique = "AgAD" + secrets.token_urlsafe(9)
    mime_type = mimetypes.guess_type(name)[0] or mime_type or "application/octet-stream"
    document = Document(file_id, unique, name, mime_type, len(content))
    ending = name.rsplit(".", 1)[-1] if "." in name else "bin"
    path = f"documents/{unique}.{ending}"
    return document, StoredFile(file_id, unique, bot_id, content, document.mime_type, path, document=document)
