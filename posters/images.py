"""From bytes that came from outside to a photo that Telegram takes, or a reason why not."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

# Bot API, sendPhoto: at most 10 MB, width and height no more than 10,000 together, a ratio of at most 20.
LARGEST_FILE = 10 * 2**20
LONGEST_SIDES = 10_000
STEEPEST_RATIO = 20
MOST_PIXELS = 40_000_000  # decoded, 120 MB; a poster of w500 has 375,000
MANY_PIXELS = 2_000_000
SHRUNK_TO = 2560  # pixels; Telegram itself makes nothing larger of a photo
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")

_one_large = threading.Lock()  # twenty large pictures decoded side by side would be gigabytes
Image.init()  # the registry of formats, before threads ask for it


class BadPicture(Exception):
    """The bytes are no picture that could go up; the text says why."""


def photo_from(content: bytes) -> bytes:
    """The bytes of a JPEG that Telegram takes: these very ones where they are one, else made of them.

    The type is read from the bytes, the size in pixels before anything is decoded; the picture is decoded to the end,
    so that a truncated one is found here. Of an animation the first frame counts. Raises BadPicture.
    """
    if not content:
        raise BadPicture("an empty file")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception:  # Pillow has many ways to say that bytes are no picture
        raise BadPicture(f"no picture; it begins with {content[:12]!r}") from None
    with picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            raise BadPicture(f"{width} × {height} pixels are too many")
        if max(width, height) > STEEPEST_RATIO * min(width, height):
            raise BadPicture(f"Telegram takes no photo of {width} × {height}")
        try:
            if width * height > MANY_PIXELS:
                with _one_large:
                    return _checked(picture, content)
            return _checked(picture, content)
        except BadPicture:
            raise
        except Exception as error:
            raise BadPicture(f"a broken {picture.format}: {error}") from None


def _checked(picture: PngImageFile | JpegImageFile, content: bytes) -> bytes:
    if (
        picture.format == "JPEG"
        and picture.mode in ("RGB", "L")
        and sum(picture.size) <= LONGEST_SIDES
        and len(content) <= LARGEST_FILE
        and is_whole(content)
    ):
        picture.draft(picture.mode, (1, 1))  # decoded to the end all the same, at an eighth of the size
        picture.load()
        return content
    picture.load()
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if sum(picture.size) > LONGEST_SIDES:
        picture.thumbnail((SHRUNK_TO, SHRUNK_TO))
    made = _jpeg(picture)
    if len(made) > LARGEST_FILE:
        picture.thumbnail((SHRUNK_TO, SHRUNK_TO))
        made = _jpeg(picture)
    return made


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def is_whole(content: bytes) -> bool:
    """Whether bytes begin and end as a JPEG does: a file that a power loss has cut or emptied does not."""
    return content[:3] == b"\xff\xd8\xff" and content[-2:] == b"\xff\xd9"
