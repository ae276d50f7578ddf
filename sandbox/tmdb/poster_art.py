"""Made-up posters: one of five compositions by genre and id, with the title in large type."""

import colorsys
import io
import math
import random
import threading
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

from sandbox.tmdb.catalogue import Film

Colour: TypeAlias = tuple[int, int, int, int]

WIDTH, HEIGHT = 1000, 1500
WIDTHS = {"w92": 92, "w154": 154, "w185": 185, "w342": 342, "w500": 500, "w780": 780, "original": 1000}
MARGIN = 70
FONTS = Path(__file__).with_name("fonts")

# genre -> (composition, hue of the sky, hue of the accent), both in degrees
LOOKS = {
    37: ("rays", 22, 42),
    27: ("horizon", 350, 8),
    16: ("horizon", 195, 45),
    878: ("rings", 225, 190),
    10752: ("rays", 30, 12),
    14: ("mountains", 265, 300),
    10402: ("two", 320, 40),
    9648: ("rings", 185, 48),
    80: ("horizon", 210, 48),
    28: ("rays", 205, 15),
    12: ("mountains", 190, 35),
    10749: ("two", 340, 15),
    10751: ("horizon", 165, 50),
    35: ("two", 45, 340),
    36: ("rays", 38, 20),
    53: ("rings", 170, 5),
    99: ("rings", 90, 55),
    18: ("horizon", 215, 28),
}

_drawing = threading.Lock()


def draw(film: Film, size: str = "w500") -> bytes:
    """The poster of a film as a JPEG of one of TMDb's sizes; the same bytes every time."""
    original = film.original_title if readable(film.original_title) else film.title_en
    title = next(filter(readable, (film.title_ru, film.original_title, film.title_en)), "")
    under = " · ".join(filter(None, (film.year, "" if original == title else original)))
    return _poster(film.id, title, under, tuple(film.genre_ids), WIDTHS[size])


def readable(text: str) -> bool:
    """Can our font show it? It knows Latin, Greek and Cyrillic letters."""
    return bool(text) and all(ord(c) < 0x0530 or 0x1E00 <= ord(c) < 0x2070 or c in "№™" for c in text)


@lru_cache(maxsize=1)
def plain() -> bytes:
    """One small poster for the thousands of films that a benchmark makes up."""
    return _jpeg(Image.new("RGB", (20, 30), (40, 70, 110)))


@lru_cache(maxsize=1024)
def _poster(film_id: int, title: str, under: str, genre_ids: tuple[int, ...], width: int) -> bytes:
    with _drawing:
        picture = _paint(film_id, title, under, genre_ids)
    if width == WIDTH // 2:
        picture = picture.reduce(2)
    elif width != WIDTH:
        picture = picture.resize((width, width * 3 // 2), Image.Resampling.BOX, reducing_gap=2)
    return _jpeg(picture)


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=86)
    return stream.getvalue()


@lru_cache(maxsize=64)
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"DejaVuSansCondensed{name}.ttf", size)


def _shade(hue: float, lightness: float, saturation: float, alpha: int = 255) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255), alpha


def _paint(film_id: int, title: str, under: str, genre_ids: tuple[int, ...]) -> Image.Image:
    chance = random.Random(film_id)
    looks = [LOOKS[genre] for genre in genre_ids if genre in LOOKS and genre != 18] or [LOOKS[18]]
    look, sky_hue, accent_hue = chance.choice(looks)
    shift = chance.uniform(-40, 40)
    sky, accent = sky_hue + shift, accent_hue + shift / 2 + chance.uniform(-14, 14)
    canvas = _gradient(_shade(sky, chance.uniform(0.30, 0.42), 0.55), _shade(sky + 30, 0.10, 0.60))
    pen = ImageDraw.Draw(canvas, "RGBA")
    COMPOSITIONS[look](pen, chance, sky, accent)
    _darken_foot(canvas, _shade(sky + 20, 0.05, 0.6))
    _letter(ImageDraw.Draw(canvas, "RGBA"), title, under, _shade(accent, 0.62, 0.85))
    return canvas


def _gradient(top: Colour, bottom: Colour) -> Image.Image:
    column = Image.new("RGB", (1, 64))
    for y in range(64):
        column.putpixel((0, y), tuple(round(a + (b - a) * y / 63) for a, b in zip(top[:3], bottom[:3], strict=True)))
    return column.resize((1, HEIGHT), Image.Resampling.BILINEAR).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


@lru_cache(maxsize=1)
def _dusk() -> Image.Image:
    ramp = Image.linear_gradient("L").resize((1, 800)).point(lambda level: min(235, level * 14 // 10))
    return ramp.resize((WIDTH, 800), Image.Resampling.NEAREST)


def _darken_foot(canvas: Image.Image, colour: Colour) -> None:
    """So that the letters are legible on whatever lies beneath."""
    canvas.paste(colour[:3], (0, HEIGHT - 800), _dusk())


def _letter(pen: ImageDraw.ImageDraw, title: str, under: str, accent: Colour) -> None:
    foot = HEIGHT - MARGIN
    if under:
        small = next(
            (_font("", size) for size in (44, 38, 32, 27) if _font("", size).getlength(under) <= WIDTH - 2 * MARGIN),
            _font("", 24),
        )
        while small.getlength(under) > WIDTH - 2 * MARGIN:
            under = under.rstrip("…")[:-1] + "…"
        pen.text((MARGIN, foot), under, font=small, fill=(255, 255, 255, 205), anchor="ls")
        foot -= 62
    pen.rectangle((MARGIN, foot - 26, MARGIN + 150, foot - 18), fill=accent)
    foot -= 66
    font, lines = _fit(title)
    step = round(font.size * 1.1)
    for line in reversed(lines):
        pen.text((MARGIN - font.size // 16, foot), line, font=font, fill=(255, 255, 255), anchor="ls")
        foot -= step


def _fit(title: str) -> tuple[ImageFont.FreeTypeFont, list[str]]:
    """The largest type in which the title takes four lines at most."""
    lines = [title]
    for size in (168, 148, 130, 114, 100, 88, 76, 66, 56):
        font = _font("-Bold", size)
        lines = _wrap(title, font)
        if len(lines) <= (3 if size > 100 else 4) and all(font.getlength(line) <= WIDTH - 2 * MARGIN for line in lines):
            break
    else:
        lines = [*lines[:4], "…"] if len(lines) > 5 else lines
        lines = [line if font.getlength(line) <= WIDTH - 2 * MARGIN else line[:26] + "…" for line in lines]
    return font, lines


def _wrap(title: str, font: ImageFont.FreeTypeFont) -> list[str]:
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > WIDTH - 2 * MARGIN:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


# Compositions: each fills the upper two thirds


def _disc(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: Colour) -> None:
    pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _glow(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, hue: float, strength: int = 34) -> None:
    for step in range(4, 0, -1):
        _disc(pen, x, y, r * (1 + step * 0.22), _shade(hue, 0.6, 0.8, strength))


def _stars(pen: ImageDraw.ImageDraw, chance: random.Random) -> None:
    for _ in range(80):
        x, y, r = chance.uniform(0, WIDTH), chance.uniform(0, 700), chance.choice((1.5, 2, 2, 3, 4))
        _disc(pen, x, y, r, (255, 255, 255, chance.randint(90, 220)))


def _ridge(
    pen: ImageDraw.ImageDraw, chance: random.Random, level: float, height: float, colour: Colour, steps: int
) -> None:
    points: list[tuple[float, float]] = [(0, HEIGHT), (0, level + chance.uniform(0, height))]
    for step in range(1, steps * 2):
        peak = step % 2
        points.append(
            (
                WIDTH * (step + chance.uniform(-0.3, 0.3)) / (steps * 2),
                level - height * chance.uniform(0.4, 1) if peak else level + height * chance.uniform(0, 0.5),
            )
        )
    pen.polygon([*points, (WIDTH, level + chance.uniform(0, height)), (WIDTH, HEIGHT)], fill=colour)


def _hills(pen: ImageDraw.ImageDraw, chance: random.Random, level: float, height: float, colour: Colour) -> None:
    phase, waves = chance.uniform(0, 6.3), chance.uniform(0.7, 1.6)
    line = [
        (x, level - height * math.sin(phase + waves * 6.283 * x / WIDTH) * (0.7 + 0.3 * x / WIDTH))
        for x in range(0, WIDTH + 25, 25)
    ]
    pen.polygon([(0, HEIGHT), *line, (WIDTH, HEIGHT)], fill=colour)


def _horizon(pen: ImageDraw.ImageDraw, chance: random.Random, sky: float, accent: float) -> None:
    x, y, r = chance.uniform(300, 700), chance.uniform(420, 600), chance.uniform(170, 260)
    _glow(pen, x, y, r, accent)
    _disc(pen, x, y, r, _shade(accent, 0.66, 0.85))
    for k in range(4):
        _hills(pen, chance, 660 + 130 * k, 70 - 8 * k, _shade(sky + 12 * k, 0.27 - 0.055 * k, 0.5, 235))


def _rays(pen: ImageDraw.ImageDraw, chance: random.Random, sky: float, accent: float) -> None:
    x, y = chance.uniform(350, 650), 820
    for k in range(0, 180, 12):
        ends = [(x + 1700 * math.cos(math.radians(-k - d)), y + 1700 * math.sin(math.radians(-k - d))) for d in (0, 6)]
        pen.polygon([(x, y), *ends], fill=_shade(accent, 0.6, 0.75, 120))
    _glow(pen, x, y, 190, accent)
    _disc(pen, x, y, 190, _shade(accent + 18, 0.68, 0.9))
    _ridge(pen, chance, 850, 90, _shade(sky, 0.17, 0.5), 6)
    _ridge(pen, chance, 960, 80, _shade(sky, 0.09, 0.5), 8)


def _mountains(pen: ImageDraw.ImageDraw, chance: random.Random, sky: float, accent: float) -> None:
    _stars(pen, chance)
    x, y, r = chance.uniform(240, 760), chance.uniform(240, 360), chance.uniform(100, 160)
    _glow(pen, x, y, r, accent, 26)
    _disc(pen, x, y, r, _shade(accent, 0.78, 0.7))
    for k in range(4):
        tone = _shade(sky + 10 * k, 0.36 - 0.085 * k, 0.45)
        _ridge(pen, chance, 620 + 150 * k, 230 - 30 * k, tone, 3 + k)


def _rings(pen: ImageDraw.ImageDraw, chance: random.Random, sky: float, accent: float) -> None:
    x, y = chance.uniform(400, 600), chance.uniform(460, 560)
    for k, r in enumerate(range(620, 120, -62)):
        start, gap = chance.uniform(0, 360), chance.uniform(40, 150)
        colour = _shade(accent, 0.60, 0.75) if k % 3 == 1 else _shade(sky, 0.62 - 0.03 * k, 0.35, 170)
        pen.arc((x - r, y - r, x + r, y + r), start, start + 360 - gap, fill=colour, width=22)
    _disc(pen, x, y, 96, _shade(accent, 0.62, 0.85))
    _disc(pen, x, y, 44, _shade(sky, 0.06, 0.5))


def _two(pen: ImageDraw.ImageDraw, chance: random.Random, sky: float, accent: float) -> None:
    apart, y = chance.uniform(130, 180), chance.uniform(460, 540)
    lower = chance.uniform(-70, 70)
    for _ in range(26):
        bx, by, r = chance.uniform(0, WIDTH), chance.uniform(0, 1000), chance.uniform(10, 60)
        _disc(pen, bx, by, r, _shade(accent, 0.75, 0.8, 34))
    _glow(pen, 500, y, 330, accent, 20)
    _disc(pen, 500 - apart, y - lower, 275, _shade(sky, 0.58, 0.75, 235))
    _disc(pen, 500 + apart, y + lower, 275, _shade(accent + 20, 0.62, 0.85, 190))
    _hills(pen, chance, 960, 40, _shade(sky, 0.14, 0.5, 240))


COMPOSITIONS = {"horizon": _horizon, "rays": _rays, "mountains": _mountains, "rings": _rings, "two": _two}
