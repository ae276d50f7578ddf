"""Images through the verifier: a photo that Telegram takes, or BadPicture; nothing else, and no memory without end."""

import io
import random
import struct
import zlib

from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from posters.images import MAX_FILE_BYTES, MAX_PIXELS, MAX_WIDTH_PLUS_HEIGHT_PIXELS, InvalidImage, to_telegram_jpeg
from tests.fuzz.mutations import bounded, most_memory

MOST_MEMORY = 600 * 2**20  # bytes that one picture may take more than any before it


def made(kind, mode, size=(60, 90), **options):
    dice = random.Random(kind + mode)
    picture = Image.frombytes("L", size, dice.randbytes(size[0] * size[1])).convert(mode)
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def animated():
    frames = [Image.new("P", (30, 40), n) for n in range(5)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


REAL = [
    made("JPEG", "RGB"), made("JPEG", "L"), made("JPEG", "CMYK"), made("JPEG", "RGB", progressive=True),
    made("PNG", "RGB"), made("PNG", "RGBA"), made("PNG", "P"), made("PNG", "I;16"), made("PNG", "1"), made("PNG", "LA"),
    made("WEBP", "RGB"), made("WEBP", "RGBA", lossless=True), made("GIF", "P"), animated(),
    made("TIFF", "RGB"), made("BMP", "RGB"), made("ICO", "RGB", size=(32, 32)),
]  # fmt: skip


@st.composite
def spoilt_files(draw):
    """A real picture with bytes changed, taken out, put in twice, cut off, or grafted onto another."""
    content = bytearray(draw(st.sampled_from(REAL)))
    for _time in range(draw(st.integers(0, 6))):
        if not content:
            break
        # what a picture says of itself stands in its first bytes
        at = draw(st.integers(0, min(len(content), 64) - 1) | st.integers(0, len(content) - 1))
        how = draw(st.sampled_from(["set", "set", "set", "number", "cut", "out", "twice", "graft"]))
        if how == "set":
            content[at] = draw(st.integers(0, 255))
        elif how == "number":
            content[at : at + 4] = draw(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\xff\xff"]))
        elif how == "cut":
            del content[at:]
        elif how == "out":
            del content[at : at + draw(st.integers(1, 200))]
        elif how == "twice":
            content[at:at] = content[at : at + draw(st.integers(1, 200))]
        else:
            content[at:] = draw(st.sampled_from(REAL))[at:]
    return bytes(content)


def png(width, height, data=b"", depth=8, colour=2):
    """A PNG whose header says what it likes, its checksums right."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@bounded
@given(spoilt_files() | st.builds(png, st.integers(0, 2**31), st.integers(0, 2**31)) | st.binary(max_size=200))
@example(png(6000, 6000))
@example(png(2**31 - 1, 2**31 - 1))
@example(png(10_000, 4_000, bytes(10_000 * 3 * 100), depth=16, colour=6))
def test_any_bytes_are_a_photo_for_telegram_or_a_bad_picture(content):
    before = most_memory()
    try:
        photo = to_telegram_jpeg(content)
    except InvalidImage:
        return
    finally:
        assert most_memory() - before < MOST_MEMORY
    with Image.open(io.BytesIO(photo)) as picture:
        assert picture.format == "JPEG"
        assert picture.width * picture.height <= MAX_PIXELS
        assert sum(picture.size) <= MAX_WIDTH_PLUS_HEIGHT_PIXELS
        assert len(photo) <= MAX_FILE_BYTES
