"""What the pictures that people post are drawn with: letters of any script, posters, rounded shapes, a background.

All coordinates and sizes are in pixels of the finished picture, from its top left corner.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont
from PIL.ImageFont import FreeTypeFont

FONTS = Path(__file__).with_name("fonts")  # Noto Sans, Latin and Cyrillic, with its licence
# For what Noto Sans lacks, where the machine has one of them; Pillow looks where the system keeps its fonts
SYSTEM_FONTS = {
    True: ["NotoSansCJK-Bold.ttc", "NotoSansJP-Bold.otf", "wqy-zenhei.ttc", "YuGothB.ttc", "DejaVuSans-Bold.ttf"],
    False: ["NotoSansCJK-Regular.ttc", "NotoSansJP-Regular.otf", "wqy-zenhei.ttc", "YuGothM.ttc", "DejaVuSans.ttf"],
}
EMOJI = range(0x1F000, 0x20000)  # pictures in a chat, and black outlines at best on ours
WIDTH, HEIGHT = 1080, 1350  # a portrait, which feeds and stories show whole
SUPERSAMPLING = 4  # masks are drawn so many times larger: Pillow itself does not smooth edges
MIN_FONT_SIZE = 18
JPEG_QUALITY = 92
MAX_DRAWING_WAIT_SECONDS = 20.0

TEXT, MUTED, ACCENT, BRIGHT = "#ffffff", "#c3cad6", "#f9b93e", "#ffdf8d"
ON_ACCENT, BACKGROUND = "#1b1406", (13, 17, 27)
HUES = ((122, 62, 58), (46, 92, 84), (50, 70, 124), (110, 84, 40), (88, 54, 108), (36, 86, 112))  # of missing posters

Colour = str | tuple[int, int, int]


class Busy(Exception):
    """Others' pictures are being drawn, and it takes too long to wait for them."""


_one_at_a_time = threading.BoundedSemaphore(1)


@contextmanager
def drawing_slot() -> Iterator[None]:
    """Drawing is work for the processor: a process draws one picture at a time, beside what it answers. Raises Busy."""
    if not _one_at_a_time.acquire(timeout=MAX_DRAWING_WAIT_SECONDS):
        raise Busy
    try:
        yield
    finally:
        _one_at_a_time.release()


# --- Letters


class Run(NamedTuple):
    """A part of a text that one font draws; `font` is its number among fonts_of()."""

    font: int
    text: str


@cache
def fonts_of(bold: bool) -> list[str]:
    """Paths of the fonts that are there, the repository's own first."""
    found = [str(FONTS / f"NotoSans-{'Bold' if bold else 'Regular'}.ttf")]
    for name in SYSTEM_FONTS[bold]:
        try:
            found.append(str(ImageFont.truetype(name, 20).path))
        except OSError:
            continue
    return found


@lru_cache(256)
def font(number: int, size: int, bold: bool) -> FreeTypeFont:
    return ImageFont.truetype(fonts_of(bold)[number], size)


@lru_cache(20_000)
def font_with(letter: str, bold: bool) -> int | None:
    """The number of the first font that has the letter; None where none has."""
    for number in range(len(fonts_of(bold))):
        face = font(number, 20, bold)
        mask = face.getmask(letter)
        # a font draws nothing, or a box, for a letter that it lacks
        if mask.getbbox() and bytes(mask) != bytes(face.getmask("\U0010ffff")):
            return number
    return None


def drawable(text: str, bold: bool = False) -> str:
    """The text without emoji and without what no font here has."""
    kept = [
        " " if letter.isspace() else letter
        for letter in unicodedata.normalize("NFC", text)
        if letter.isspace() or (is_letter(letter) and font_with(letter, bold) is not None)
    ]
    return " ".join("".join(kept).split())


def is_letter(letter: str) -> bool:
    """Whether it is drawn by itself: no joiner, no selector of a variant, no emoji."""
    if ord(letter) in EMOJI or letter in "\ufe0e\ufe0f":
        return False
    return not unicodedata.category(letter).startswith("C")


def first_drawable(texts: Sequence[str], bold: bool = False) -> str:
    """The first of these that can be drawn whole, else what can be drawn of them; may be empty."""
    drawn = [drawable(text, bold) for text in texts]
    whole = (one for text, one in zip(texts, drawn, strict=True) if one and one == " ".join(text.split()))
    return next(whole, next(filter(None, drawn), ""))


def runs(text: str, bold: bool) -> list[Run]:
    """The text by fonts; a space belongs to the letter before it."""
    numbers, last = [], 0
    for letter in text:
        last = last if letter.isspace() else font_with(letter, bold) or 0
        numbers.append((last, letter))
    return [Run(number, "".join(letter for _n, letter in group)) for number, group in groupby(numbers, itemgetter(0))]


def text_width(text: str, size: int, bold: bool = False) -> float:
    return sum(font(run.font, size, bold).getlength(run.text) for run in runs(text, bold))


def draw_text(
    draw: ImageDraw.ImageDraw, point: tuple[float, float], text: str, size: int, colour: Colour, bold: bool = False
) -> None:
    """Draw a text whose left end stands at a point of the baseline."""
    x, y = point
    for run in runs(text, bold):
        face = font(run.font, size, bold)
        draw.text((x, y), run.text, colour, face, "ls")
        x += face.getlength(run.text)


def fitted(text: str, size: int, bold: bool, max_width: float, min_size: int = MIN_FONT_SIZE) -> tuple[str, int]:
    """The text and its size within the width: smaller down to `min_size`, then cut with an ellipsis."""
    while size > min_size and text_width(text, size, bold) > max_width:
        size -= 2
    if text_width(text, size, bold) <= max_width:
        return text, size
    while text and text_width(text.rstrip() + "…", size, bold) > max_width:
        text = text[:-1]
    return text.rstrip(" ,.;:—-") + "…", size


def wrapped(text: str, size: int, bold: bool, max_width: float, max_lines: int) -> list[str]:
    """Lines of whole words; the last one is cut where there are more words than room."""
    words, lines = text.split(), list[str]()
    while words and len(lines) < max_lines:
        line = words.pop(0)
        while words and text_width(f"{line} {words[0]}", size, bold) <= max_width:
            line += f" {words.pop(0)}"
        lines.append(line)
    if words:
        lines[-1] += " " + " ".join(words)
    return [fitted(line, size, bold, max_width, min_size=size)[0] for line in lines]


# --- The picture


class Picture:
    """A portrait of WIDTH x HEIGHT."""

    def __init__(self, posters: Sequence[Image.Image | None] = ()) -> None:
        self.image = background(posters)
        self.draw = ImageDraw.Draw(self.image)

    def text(
        self,
        point: tuple[float, float],
        text: str,
        size: int,
        colour: Colour = TEXT,
        bold: bool = False,
        anchor: str = "l",
        max_width: float | None = None,
        min_size: int = MIN_FONT_SIZE,
    ) -> float:
        """Set a text on a baseline; `anchor`: the point is its left end, middle, or right end. Returns its width."""
        if max_width is not None:
            text, size = fitted(text, size, bold, max_width, min_size)
        width = text_width(text, size, bold)
        x = point[0] - {"l": 0, "m": width / 2, "r": width}[anchor]
        draw_text(self.draw, (x, point[1]), text, size, colour, bold)
        return width

    def box(self, left: float, top: float, width: float, height: float, colour: Colour, radius: int = 0) -> None:
        """A rectangle with round corners."""
        size = (max(1, round(width)), max(1, round(height)))
        self.image.paste(colour, (round(left), round(top)), rounded(size, min(radius, *(side // 2 for side in size))))

    def paste(self, image: Image.Image, left: int, top: int, radius: int) -> None:
        self.image.paste(image, (left, top), rounded(image.size, radius))

    def mark(self, right: float, top: float, text: str, size: int = 30) -> None:
        """A rating on its pill, whose upper right corner this is."""
        width, height = text_width(text, size, bold=True) + 36, size + 22
        self.box(right - width, top, width, height, ACCENT, height // 2)
        self.text((right - width / 2, top + height / 2 + size * 0.36), text, size, ON_ACCENT, bold=True, anchor="m")

    def poster(
        self, box: tuple[int, int, int, int], poster: Image.Image | None, title: str, mark: str, number: int
    ) -> None:
        """A poster cut to (left, top, width, height), or its title in its place; `number` chooses a colour."""
        left, top, width, height = box
        if poster is not None:
            self.paste(cropped(poster, width, height), left, top, 26)
        else:
            self.paste(gradient(width, height, HUES[number % len(HUES)]), left, top, 26)
            lines = wrapped(title, 34, True, width - 48, max_lines=5)
            for place, line in enumerate(reversed(lines)):
                self.text((left + 24, top + height - 30 - place * 42), line, 34, bold=True)
        if mark:
            self.mark(left + width - 16, top + 16, mark)

    def jpeg(self) -> bytes:
        content = BytesIO()
        self.image.save(content, "JPEG", quality=JPEG_QUALITY)
        return content.getvalue()


@lru_cache(64)
def rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """The mask of a rectangle with round corners."""
    large = Image.new("L", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), 0)
    corner = (large.width - 1, large.height - 1)
    ImageDraw.Draw(large).rounded_rectangle([(0, 0), corner], radius * SUPERSAMPLING, 255)
    return large.reduce(SUPERSAMPLING)


def cropped(poster: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a poster, filling the rectangle; cut before it is enlarged, since it may be a line."""
    scale = max(width / poster.width, height / poster.height)
    left, top = (max(0.0, (poster.width - width / scale) / 2), max(0.0, (poster.height - height / scale) / 2))
    box = (left, top, poster.width - left, poster.height - top)
    return poster.resize((width, height), Image.Resampling.LANCZOS, box)


def gradient(width: int, height: int, colour: tuple[int, int, int]) -> Image.Image:
    """From a colour above to a darker one below."""
    column = Image.new("RGB", (1, 2))
    column.putpixel((0, 0), colour)
    column.putpixel((0, 1), (colour[0] // 3, colour[1] // 3, colour[2] // 3))
    return column.resize((width, height), Image.Resampling.BILINEAR)


def background(posters: Sequence[Image.Image | None]) -> Image.Image:
    """The posters' colours, blurred until nothing but a glow is left."""
    small = Image.new("RGB", (27, 34), BACKGROUND)
    for place in range(6):
        poster = posters[place] if place < len(posters) else None
        patch = poster.resize((9, 17)) if poster else gradient(9, 17, HUES[place])
        small.paste(patch, (place % 3 * 9, place // 3 * 17))
    # enlarged before it is darkened: dark tones have too few steps for a gradient
    large = small.filter(ImageFilter.GaussianBlur(4)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    glow = ImageEnhance.Color(large).enhance(1.2)
    return Image.blend(glow, Image.new("RGB", large.size, BACKGROUND), 0.72)
