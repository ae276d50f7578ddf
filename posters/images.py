"""Conversion of untrusted bytes to a JPEG that Telegram takes as a photo."""

import io
import threading

from PIL import Image

# Bot API, sendPhoto: at most 10 MB, width and height no more than 10,000 together, a ratio of at most 20.
MAX_FILE_BYTES = 10 * 2**20
MAX_WIDTH_PLUS_HEIGHT_PIXELS = 10_000
MAX_ASPECT_RATIO = 20
MAX_PIXELS = 40_000_000  # 120 MB decoded; a poster of w500 has 375,000 pixels
SERIALIZE_ABOVE_PIXELS = 2_000_000  # larger images are decoded one at a time: twenty at once would take gigabytes
DOWNSCALED_SIDE_PIXELS = 2560  # Telegram itself makes nothing larger of a photo
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")

_large_image_lock = threading.Lock()
Image.init()  # the registry of formats, before threads ask for it


class InvalidImage(Exception):
    """The bytes are no image that Telegram takes; the text says why."""


def to_telegram_jpeg(content: bytes) -> bytes:
    """The bytes themselves where they are a JPEG that Telegram takes, else a JPEG made of them. Raises InvalidImage.

    The format is read from the bytes, and the size before anything is decoded; the image is decoded to the end, so that
    a truncated one is found here. Of an animation the first frame counts.
    """
    if not content:
        raise InvalidImage("an empty file")
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Exception:  # Pillow raises many types for bytes that are no image
        raise InvalidImage(f"no picture; it begins with {content[:12]!r}") from None
    with image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise InvalidImage(f"{width} × {height} pixels are too many")
        if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
            raise InvalidImage(f"Telegram takes no photo of {width} × {height}")
        try:
            if width * height > SERIALIZE_ABOVE_PIXELS:
                with _large_image_lock:
                    return _convert(image, content)
            return _convert(image, content)
        except Exception as error:
            raise InvalidImage(f"a broken {image.format}: {error}") from None


def _convert(image: Image.Image, content: bytes) -> bytes:
    if (
        image.format == "JPEG"
        and image.mode in ("RGB", "L")
        and sum(image.size) <= MAX_WIDTH_PLUS_HEIGHT_PIXELS
        and len(content) <= MAX_FILE_BYTES
        and is_complete_jpeg(content)
    ):
        image.draft(image.mode, (1, 1))  # decoded to the end all the same, at an eighth of the size
        image.load()
        return content
    image.load()
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if sum(image.size) > MAX_WIDTH_PLUS_HEIGHT_PIXELS:
        image.thumbnail((DOWNSCALED_SIDE_PIXELS, DOWNSCALED_SIDE_PIXELS))
    encoded = _encode_jpeg(image)
    if len(encoded) > MAX_FILE_BYTES:
        image.thumbnail((DOWNSCALED_SIDE_PIXELS, DOWNSCALED_SIDE_PIXELS))
        encoded = _encode_jpeg(image)
    return encoded


def _encode_jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def is_complete_jpeg(content: bytes) -> bool:
    """Whether bytes begin and end as a JPEG does: a file that a power loss has cut or emptied does not."""
    return content[:3] == b"\xff\xd8\xff" and content[-2:] == b"\xff\xd9"
