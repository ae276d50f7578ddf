"""Posters for films that need none of the real ones: a composition by genre and id, and the title in large type."""

import colorsys
import io
import math
import random
import threading
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1000, 1500
WIDTHS = {"w92": 92, "w154": 154, "w185": 185, "w342": 342, "w500": 500, "w780": 780, "original": 1000}
MARGIN = 70
FONTS = Path(__file__).with_name("fonts")

# genre -> (composition, hue of the sky, hue of the accent), both in degrees
LOOKS = {
    37: ("desert", 22, 42),
    27: ("night", 350, 8),
    16: ("meadow", 195, 45),
    878: ("planet", 225, 190),
    10752: ("rays", 30, 12),
    14: ("mountains", 265, 300),
    10402: ("record", 320, 40),
    9648: ("rings", 185, 48),
    80: ("blinds", 210, 48),
    28: ("shards", 205, 15),
    12: ("mountains", 190, 35),
    10749: ("two", 340, 15),
    10751: ("meadow", 165, 50),
    35: ("confetti", 45, 340),
    36: ("rays", 38, 20),
    53: ("blinds", 170, 5),
    99: ("rings", 90, 55),
    18: ("horizon", 215, 28),
}

_drawing = threading.Lock()


def draw(film, size="w500") -> bytes:
    """The poster of a film as a JPEG of one of TMDb's sizes; the same bytes every time."""
    original = film.original_title if readable(film.original_title) else film.title_en
    title = next(filter(readable, (film.title_ru, film.original_title, film.title_en)), "")
    under = " · ".join(filter(None, (film.year, "" if original == title else original)))
    return _poster(film.id, title, under, tuple(film.genre_ids), WIDTHS[size])


def readable(text) -> bool:
    """Can our font show it? It knows Latin, Greek and Cyrillic letters."""
    return bool(text) and all(ord(c) < 0x0530 or 0x1E00 <= ord(c) < 0x2070 or c in "№™" for c in text)


@lru_cache(maxsize=1)
def plain() -> bytes:
    """One small poster for the thousands of films that a benchmark makes up."""
    return _jpeg(Image.new("RGB", (20, 30), (40, 70, 110)))


@lru_cache(maxsize=1024)
def _poster(film_id, title, under, genre_ids, width) -> bytes:
    with _drawing:
        picture = _paint(film_id, title, under, genre_ids)
    if width == WIDTH // 2:
        picture = picture.reduce(2)
    elif width != WIDTH:
        picture = picture.resize((width, width * 3 // 2), Image.Resampling.BOX, reducing_gap=2)
    return _jpeg(picture)


def _jpeg(picture) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=86)
    return stream.getvalue()


@lru_cache(maxsize=64)
def _font(name, size):
    return ImageFont.truetype(FONTS / f"DejaVuSansCondensed{name}.ttf", size)


def _shade(hue, lightness, saturation, alpha=255):
    red, green, blue = colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255), alpha


def _paint(film_id, title, under, genre_ids):
    chance = random.Random(film_id)
    looks = [LOOKS[genre] for genre in genre_ids if genre in LOOKS and genre != 18] or [LOOKS[18]]
    look, sky, accent = chance.choice(looks)
    turn = chance.uniform(-40, 40)
    sky, accent = sky + turn, accent + turn / 2 + chance.uniform(-14, 14)
    canvas = _gradient(_shade(sky, chance.uniform(0.30, 0.42), 0.55), _shade(sky + 30, 0.10, 0.60))
    pen = ImageDraw.Draw(canvas, "RGBA")
    COMPOSITIONS[look](pen, chance, sky, accent)
    _darken_foot(canvas, _shade(sky + 20, 0.05, 0.6))
    _letter(ImageDraw.Draw(canvas, "RGBA"), title, under, _shade(accent, 0.62, 0.85))
    return canvas


def _gradient(top, bottom):
    column = Image.new("RGB", (1, 64))
    for y in range(64):
        column.putpixel((0, y), tuple(round(a + (b - a) * y / 63) for a, b in zip(top[:3], bottom[:3], strict=True)))
    return column.resize((1, HEIGHT), Image.Resampling.BILINEAR).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


@lru_cache(maxsize=1)
def _dusk():
    ramp = Image.linear_gradient("L").resize((1, 800)).point(lambda level: min(235, level * 14 // 10))
    return ramp.resize((WIDTH, 800), Image.Resampling.NEAREST)


def _darken_foot(canvas, colour):
    """So that the letters are legible on whatever lies beneath."""
    canvas.paste(colour[:3], (0, HEIGHT - 800), _dusk())


def _letter(pen, title, under, accent):
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


def _fit(title):
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


def _wrap(title, font):
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > WIDTH - 2 * MARGIN:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


# Compositions: each fills the upper two thirds


def _disc(pen, x, y, r, colour):
    pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _glow(pen, x, y, r, hue, strength=34):
    for step in range(4, 0, -1):
        _disc(pen, x, y, r * (1 + step * 0.22), _shade(hue, 0.6, 0.8, strength))


def _stars(pen, chance, n=90, below=900):
    for _ in range(n):
        x, y, r = chance.uniform(0, WIDTH), chance.uniform(0, below), chance.choice((1.5, 2, 2, 3, 4))
        _disc(pen, x, y, r, (255, 255, 255, chance.randint(90, 220)))


def _ridge(pen, chance, level, height, colour, steps=7):
    points = [(0, HEIGHT), (0, level + chance.uniform(0, height))]
    for step in range(1, steps * 2):
        peak = step % 2
        points.append(
            (
                WIDTH * (step + chance.uniform(-0.3, 0.3)) / (steps * 2),
                level - height * chance.uniform(0.4, 1) if peak else level + height * chance.uniform(0, 0.5),
            )
        )
    pen.polygon([*points, (WIDTH, level + chance.uniform(0, height)), (WIDTH, HEIGHT)], fill=colour)


def _hills(pen, chance, level, height, colour):
    phase, waves = chance.uniform(0, 6.3), chance.uniform(0.7, 1.6)
    line = [
        (x, level - height * math.sin(phase + waves * 6.283 * x / WIDTH) * (0.7 + 0.3 * x / WIDTH))
        for x in range(0, WIDTH + 25, 25)
    ]
    pen.polygon([(0, HEIGHT), *line, (WIDTH, HEIGHT)], fill=colour)


def _planet(pen, chance, sky, accent):
    _stars(pen, chance, 140, 1200)
    x, y, r = chance.uniform(330, 670), chance.uniform(430, 560), chance.uniform(210, 300)
    _glow(pen, x, y, r, accent, 20)
    _disc(pen, x, y, r, _shade(accent, 0.55, 0.6))
    for k in range(1, 6):
        shift = r * k * 0.16
        _disc(pen, x + shift * 0.5, y + shift * 0.35, r - shift * 0.61, _shade(sky, 0.16, 0.6, 46))
    tilt = chance.uniform(0.16, 0.32)
    for k in range(3):
        wide = r * (1.55 + 0.14 * k)
        pen.arc(
            (x - wide, y - wide * tilt, x + wide, y + wide * tilt),
            -28,
            208,
            fill=_shade(accent + 40, 0.78, 0.6, 210 - 50 * k),
            width=10 - 2 * k,
        )
    _disc(pen, x - r * 1.3, y - r * 1.15, r * 0.17, _shade(accent + 60, 0.75, 0.5))


def _blinds(pen, chance, sky, accent):
    x, y, r = chance.uniform(380, 640), chance.uniform(400, 520), chance.uniform(240, 320)
    _glow(pen, x, y, r, accent)
    _disc(pen, x, y, r, _shade(accent, 0.60, 0.85))
    lean = chance.uniform(-220, 220)
    for top in range(-240, 1500, 104):
        pen.polygon(
            [(0, top), (WIDTH, top + lean), (WIDTH, top + lean + 52), (0, top + 52)], fill=_shade(sky, 0.09, 0.5, 215)
        )
    stand = chance.uniform(250, 700)
    coat = [(-150, 1400), (-118, 720), (-84, 672), (-30, 640), (30, 640), (84, 672), (118, 720), (150, 1400)]
    pen.polygon([(stand + x, y) for x, y in coat], fill=(8, 10, 16))
    _disc(pen, stand, 594, 62, (8, 10, 16))
    pen.polygon([(stand - 120, 566), (stand + 120, 566), (stand + 66, 548), (stand - 66, 548)], fill=(8, 10, 16))
    pen.rectangle((stand - 62, 488, stand + 62, 552), fill=(8, 10, 16))


def _horizon(pen, chance, sky, accent):
    x, y, r = chance.uniform(300, 700), chance.uniform(420, 600), chance.uniform(170, 260)
    _glow(pen, x, y, r, accent)
    _disc(pen, x, y, r, _shade(accent, 0.66, 0.85))
    for k in range(4):
        _hills(pen, chance, 660 + 130 * k, 70 - 8 * k, _shade(sky + 12 * k, 0.27 - 0.055 * k, 0.5, 235))


def _confetti(pen, chance, sky, accent):
    sky, accent = sky + chance.uniform(0, 360), accent + chance.uniform(-60, 60)
    x, y = chance.uniform(380, 620), chance.uniform(430, 540)
    for k in range(7):
        _disc(pen, x, y, 680 - k * 86, _shade(sky + k * 7, 0.28 + 0.04 * k, 0.6, 190))
    for _ in range(46):
        at, r, turn = (
            (chance.uniform(0, WIDTH), chance.uniform(0, 1080)),
            chance.uniform(12, 46),
            chance.uniform(0, 360),
        )
        colour = _shade(accent + chance.choice((0, 60, 150, 200)), 0.6, 0.8, 235)
        sides = chance.choice((0, 3, 4))
        if sides:
            pen.regular_polygon((*at, r), sides, turn, fill=colour)
        else:
            _disc(pen, *at, r, colour)
    dark, bright = _shade(sky, 0.08, 0.5), _shade(accent, 0.62, 0.85)
    middle = chance.randrange(3)
    if middle == 0:  # a smile
        _disc(pen, x, y, 148, bright)
        for side in (-55, 55):
            pen.ellipse((x + side - 17, y - 70, x + side + 17, y - 8), fill=dark)
        pen.arc((x - 90, y - 80, x + 90, y + 90), 25, 155, fill=dark, width=16)
    elif middle == 1:  # a star
        tips = [(170 if k % 2 == 0 else 74, math.radians(36 * k - 90)) for k in range(10)]
        pen.polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in tips], fill=bright)
    else:  # balloons
        for side, rise, tint in ((-120, 40, 0), (0, -60, 60), (120, 30, 200)):
            top = y + rise
            pen.line((x + side, top + 90, x, y + 420), fill=(255, 255, 255, 150), width=4)
            pen.ellipse((x + side - 86, top - 108, x + side + 86, top + 100), fill=_shade(accent + tint, 0.6, 0.85))
            pen.ellipse((x + side - 50, top - 78, x + side - 18, top - 30), fill=(255, 255, 255, 120))


def _meadow(pen, chance, sky, accent):
    x, y = chance.uniform(250, 750), chance.uniform(330, 470)
    for k in range(18):
        turn = k * 20 + chance.uniform(-3, 3)
        ray = [
            (x + 1300 * math.cos(math.radians(turn + d)), y + 1300 * math.sin(math.radians(turn + d))) for d in (-4, 4)
        ]
        pen.polygon([(x, y), *ray], fill=_shade(accent, 0.75, 0.8, 44))
    _disc(pen, x, y, 165, _shade(accent, 0.66, 0.92))
    for _ in range(4):
        cx, cy, s = chance.uniform(60, 900), chance.uniform(120, 560), chance.uniform(0.6, 1.2)
        for dx, dy, r in ((-70, 10, 46), (0, -14, 66), (72, 12, 44)):
            _disc(pen, cx + dx * s, cy + dy * s, r * s, (255, 255, 255, 225))
    for k in range(4):
        _hills(pen, chance, 760 + 105 * k, 60, _shade(110 + 14 * k + sky / 20, 0.42 - 0.07 * k, 0.5))


def _night(pen, chance, sky, accent):
    x, y, r = chance.uniform(300, 700), chance.uniform(340, 480), chance.uniform(190, 260)
    _glow(pen, x, y, r, sky, 26)
    _disc(pen, x, y, r, _shade(accent, 0.62, 0.75))
    for _ in range(7):
        _disc(
            pen,
            x + chance.uniform(-r, r) * 0.6,
            y + chance.uniform(-r, r) * 0.6,
            r * 0.13,
            _shade(accent, 0.4, 0.6, 70),
        )
    for row in range(3):
        shade = _shade(sky, 0.12 - 0.035 * row, 0.5)
        for _ in range(9):
            tx, tall = chance.uniform(-40, WIDTH + 40), chance.uniform(330, 640) - 60 * row
            foot, wide = 1180 + 90 * row, chance.uniform(13, 26)
            pen.polygon([(tx - wide, foot), (tx, foot - tall), (tx + wide, foot)], fill=shade)
            for _ in range(5):
                at = chance.uniform(0.3, 0.9)
                side = chance.choice((-1, 1)) * chance.uniform(50, 130)
                pen.line((tx, foot - tall * at, tx + side, foot - tall * at - abs(side) * 0.8), fill=shade, width=6)
    pen.rectangle((0, 1150, WIDTH, HEIGHT), fill=_shade(sky, 0.05, 0.5))


def _rays(pen, chance, sky, accent):
    x, y = chance.uniform(350, 650), 820
    for k in range(0, 180, 12):
        ends = [(x + 1700 * math.cos(math.radians(-k - d)), y + 1700 * math.sin(math.radians(-k - d))) for d in (0, 6)]
        pen.polygon([(x, y), *ends], fill=_shade(accent, 0.6, 0.75, 120))
    _glow(pen, x, y, 190, accent)
    _disc(pen, x, y, 190, _shade(accent + 18, 0.68, 0.9))
    _ridge(pen, chance, 850, 90, _shade(sky, 0.17, 0.5), 6)
    _ridge(pen, chance, 960, 80, _shade(sky, 0.09, 0.5), 8)


def _mountains(pen, chance, sky, accent):
    _stars(pen, chance, 80, 700)
    x, y, r = chance.uniform(240, 760), chance.uniform(240, 360), chance.uniform(100, 160)
    _glow(pen, x, y, r, accent, 26)
    _disc(pen, x, y, r, _shade(accent, 0.78, 0.7))
    for k in range(4):
        tone = _shade(sky + 10 * k, 0.36 - 0.085 * k, 0.45)
        _ridge(pen, chance, 620 + 150 * k, 230 - 30 * k, tone, 3 + k)


def _record(pen, chance, sky, accent):
    x, y = chance.uniform(420, 580), chance.uniform(480, 560)
    _glow(pen, x, y, 380, accent, 18)
    _disc(pen, x, y, 410, (14, 12, 18))
    for r in range(170, 405, 26):
        pen.ellipse((x - r, y - r, x + r, y + r), outline=(255, 255, 255, 40), width=3)
    for turn in (chance.uniform(0, 180), chance.uniform(0, 180)):
        for side in (0, 180):
            pen.pieslice((x - 405, y - 405, x + 405, y + 405), turn + side, turn + side + 17, fill=(255, 255, 255, 26))
    _disc(pen, x, y, 140, _shade(accent, 0.58, 0.85))
    _disc(pen, x, y, 62, _shade(sky, 0.5, 0.7))
    _disc(pen, x, y, 14, (14, 12, 18))


def _rings(pen, chance, sky, accent):
    x, y = chance.uniform(400, 600), chance.uniform(460, 560)
    for k, r in enumerate(range(620, 120, -62)):
        start, gap = chance.uniform(0, 360), chance.uniform(40, 150)
        colour = _shade(accent, 0.60, 0.75) if k % 3 == 1 else _shade(sky, 0.62 - 0.03 * k, 0.35, 170)
        pen.arc((x - r, y - r, x + r, y + r), start, start + 360 - gap, fill=colour, width=22)
    _disc(pen, x, y, 96, _shade(accent, 0.62, 0.85))
    _disc(pen, x, y, 44, _shade(sky, 0.06, 0.5))


def _two(pen, chance, sky, accent):
    apart, y = chance.uniform(130, 180), chance.uniform(460, 540)
    lower = chance.uniform(-70, 70)
    for _ in range(26):
        bx, by, r = chance.uniform(0, WIDTH), chance.uniform(0, 1000), chance.uniform(10, 60)
        _disc(pen, bx, by, r, _shade(accent, 0.75, 0.8, 34))
    _glow(pen, 500, y, 330, accent, 20)
    _disc(pen, 500 - apart, y - lower, 275, _shade(sky, 0.58, 0.75, 235))
    _disc(pen, 500 + apart, y + lower, 275, _shade(accent + 20, 0.62, 0.85, 190))
    _hills(pen, chance, 960, 40, _shade(sky, 0.14, 0.5, 240))


def _shards(pen, chance, sky, accent):
    x, y = chance.uniform(380, 620), chance.uniform(480, 620)
    _glow(pen, x, y, 260, accent, 44)
    turn = 0.0
    while turn < 360:
        wide, far = chance.uniform(5, 17), chance.uniform(650, 1500)
        edge = [
            (x + far * math.cos(math.radians(turn + d)), y + far * math.sin(math.radians(turn + d))) for d in (0, wide)
        ]
        near = chance.uniform(20, 190)
        middle = math.radians(turn + wide / 2)
        start = (x + near * math.cos(middle), y + near * math.sin(middle))
        colour = _shade(accent, chance.uniform(0.45, 0.7), 0.85) if chance.random() < 0.3 else None
        pen.polygon([start, *edge], fill=colour or _shade(sky, chance.uniform(0.10, 0.42), 0.5, 225))
        turn += wide + chance.uniform(2, 9)
    _disc(pen, x, y, 70, (255, 246, 226))


def _desert(pen, chance, sky, accent):
    x = chance.uniform(300, 700)
    _glow(pen, x, 430, 240, accent)
    _disc(pen, x, 430, 240, _shade(accent, 0.64, 0.92))
    for k in range(3):
        left, wide, top = chance.uniform(-150, 850), chance.uniform(190, 380), chance.uniform(290, 520)
        colour = _shade(sky - 6, 0.30 - 0.06 * k, 0.6)
        pen.polygon(
            [(left, 720), (left + 26, top + 50), (left + 44, top), (left + wide - 40, top), (left + wide, 720)],
            fill=colour,
        )
    pen.rectangle((0, 700, WIDTH, HEIGHT), fill=_shade(sky - 8, 0.20, 0.6))
    for _ in range(3):
        cx, tall = chance.uniform(60, 940), chance.uniform(130, 230)
        dark = _shade(sky - 10, 0.08, 0.5)
        pen.rounded_rectangle((cx - 20, 790 - tall, cx + 20, 815), 20, fill=dark)
        pen.rounded_rectangle((cx - 78, 790 - tall * 0.72, cx - 48, 790 - tall * 0.3), 15, fill=dark)
        pen.rectangle((cx - 66, 790 - tall * 0.42, cx, 790 - tall * 0.3), fill=dark)


COMPOSITIONS = {
    "planet": _planet,
    "blinds": _blinds,
    "horizon": _horizon,
    "confetti": _confetti,
    "meadow": _meadow,
    "night": _night,
    "rays": _rays,
    "mountains": _mountains,
    "record": _record,
    "rings": _rings,
    "two": _two,
    "shards": _shards,
    "desert": _desert,
}
