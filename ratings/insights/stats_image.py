"""The picture of /stats: drawn for a phone, on a ground of its own, so that it suits light and dark chats alike."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from PIL import Image, ImageDraw, ImageFont

from movies.cards import points, shortened

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

    from ratings.insights.stats import Stats

FONTS = Path(__file__).with_name("fonts")  # Noto Sans, Latin and Cyrillic; its licence lies beside it
SIZE = 1280  # pixels; what Telegram keeps of a photo
SHARP = 2  # shapes are drawn so many times larger and scaled down: Pillow itself does not smooth edges
EDGE, GAP, INSIDE, ROUND = 48, 24, 36, 28  # pixels
ARROW = 13  # half its width

GROUND, PANEL, LINE = "#0f1a2b", "#1a2a42", "#30435f"
TEXT, QUIET = "#f4f7fb", "#a9bbd2"
MINE, TMDB, FILMS = "#f6b73c", "#3fcfbb", "#6ea3f2"

HEADING, TITLE, LABEL, FIGURE = 62, 40, 34, 78  # heights of letters
LONGEST_TITLE = 60  # of a film in the caption: six of them stay within Telegram's limit


def picture(stats: Stats) -> bytes:
    """The figures as a PNG, in the language now active; for at least one rating."""
    canvas = Canvas()
    canvas.text((EDGE + 4, 92), _("My films in figures"), HEADING, bold=True, anchor="ls")
    canvas.text((SIZE - EDGE - 4, 92), date_format(timezone.now(), "F Y"), LABEL, QUIET, anchor="rs")
    draw_tiles(canvas, tiles(stats), top=136, bottom=330)
    draw_values(canvas, stats, top=330 + GAP, bottom=792)
    draw_decades(canvas, stats, top=792 + GAP, bottom=SIZE - EDGE)
    return canvas.png()


class Canvas:
    """Shapes are collected large, letters are set on top of them at their true size."""

    def __init__(self) -> None:
        self.large = Image.new("RGB", (SIZE * SHARP, SIZE * SHARP), GROUND)
        self.shapes = ImageDraw.Draw(self.large)
        self.letters = []

    def box(
        self,
        left: float | int,
        top: float | int,
        right: float | int,
        bottom: int,
        colour: str,
        round: int = 0,
        corners: tuple[bool, bool, bool, bool] = (True,) * 4,
    ) -> None:
        box = [value * SHARP for value in (left, top, right, bottom)]
        self.shapes.rounded_rectangle([box[0], box[1], box[2] - 1, box[3] - 1], round * SHARP, colour, corners=corners)

    def arrow(self, x: float, y: int, colour: str) -> None:
        """A small arrow whose tip points up at (x, y)."""
        foot = [((x + dx) * SHARP, (y + 20) * SHARP) for dx in (-ARROW, ARROW)]
        self.shapes.polygon([(x * SHARP, y * SHARP), *foot], colour)

    def dot(self, x: float, y: int, radius: int, colour: str) -> None:
        self.shapes.ellipse([value * SHARP for value in (x - radius, y - radius, x + radius, y + radius)], colour)

    def text(
        self,
        where: tuple[int, int] | tuple[float, float] | tuple[float, int],
        text: str,
        size: int,
        colour: str = TEXT,
        bold: bool = False,
        anchor: str = "ms",
        most: float | int | None = None,
    ) -> float:
        """Set a text, in smaller letters where it would be wider than `most`; returns its width."""
        letters = font(size, bold)
        while most and letters.getlength(text) > most and size > 16:
            size -= 1
            letters = font(size, bold)
        self.letters.append((where, text, letters, colour, anchor))
        return letters.getlength(text)

    def png(self) -> bytes:
        image = self.large.reduce(SHARP)
        draw = ImageDraw.Draw(image)
        for where, text, letters, colour, anchor in self.letters:
            draw.text(where, text, colour, letters, anchor)
        content = BytesIO()
        image.save(content, "PNG")
        return content.getvalue()


@cache
def font(size: int, bold: bool) -> FreeTypeFont:
    return ImageFont.truetype(FONTS / f"NotoSans-{'Bold' if bold else 'Regular'}.ttf", size)


# --- The parts


def tiles(stats: Stats) -> list[tuple[str, str, str]]:
    """(figure, what it is, colour) of the row of figures."""
    made = [(whole(stats.count), ngettext("film", "films", stats.count), TEXT)]
    if hours := round(stats.minutes / 60):
        made.append((whole(hours), ngettext("hour of film", "hours of film", hours), TEXT))
    made.append((tenths(stats.mean), _("my mean"), MINE))
    if stats.tmdb_mean is not None:
        made.append((tenths(stats.tmdb_mean), _("TMDb's mean"), TMDB))
    return made


def draw_tiles(canvas: Canvas, made: list[tuple[str, str, str]], top: int, bottom: int) -> None:
    width = (SIZE - 2 * EDGE - (len(made) - 1) * GAP) / len(made)
    for number, (figure, label, colour) in enumerate(made):
        left = EDGE + number * (width + GAP)
        canvas.box(left, top, left + width, bottom, PANEL, ROUND)
        middle = left + width / 2
        canvas.text((middle, top + 106), figure, FIGURE, colour, bold=True, most=width - INSIDE)
        canvas.text((middle, top + 160), label, LABEL, QUIET, most=width - INSIDE)


def draw_panel(canvas: Canvas, title: str, top: int, bottom: int) -> tuple[int, int]:
    """A panel with a title; returns the (left, right) within it."""
    canvas.box(EDGE, top, SIZE - EDGE, bottom, PANEL, ROUND)
    canvas.text((EDGE + INSIDE, top + 60), title, TITLE, bold=True, anchor="ls", most=SIZE - 2 * (EDGE + INSIDE))
    return EDGE + INSIDE, SIZE - EDGE - INSIDE


def draw_values(canvas: Canvas, stats: Stats, top: int, bottom: int) -> None:
    """How often each rating was given: ten bars, or twenty where half points were."""
    left, right = draw_panel(canvas, _("Ratings"), top, bottom)
    halves = any(value % 1 for value in stats.by_value)
    steps = 20 if halves else 10
    slot = (right - left) / steps
    base, ceiling = bottom - 92, top + 122

    def place(value):
        """The middle of a rating's bar."""
        return left + (float(value) * steps / 10 - 0.5) * slot

    draw_bars(canvas, [(place(value), count) for value, count in stats.by_value.items()], slot, base, ceiling, MINE)
    marks = [(place(stats.mean), MINE, _("my mean"))]
    if stats.tmdb_mean is not None:
        marks.append((place(stats.tmdb_mean), TMDB, _("TMDb's mean")))
    x = right
    for _place, colour, label in reversed(marks):
        x -= canvas.text((x, top + 58), label, LABEL, QUIET, anchor="rs") + 24
        canvas.dot(x + 6, top + 47, 9, colour)
        x -= 32
    for middle, colour in apart([(mark[0], mark[1]) for mark in marks]):
        canvas.arrow(middle, base + 8, colour)
    for number in range(1, 11):
        canvas.text((place(number), bottom - 26), str(number), LABEL, QUIET)


def apart(marks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """One or two (place, colour), moved so far from each other that neither hides the other."""
    if len(marks) == 2:
        (one, _colour), (other, _other_colour) = marks
        lacking = max(0, 2 * ARROW + 4 - abs(one - other)) / 2
        side = -1 if one < other else 1
        marks = [(one + side * lacking, marks[0][1]), (other - side * lacking, marks[1][1])]
    return marks


def draw_decades(canvas: Canvas, stats: Stats, top: int, bottom: int) -> None:
    """How many films of each decade, and under each its mean."""
    left, right = draw_panel(canvas, _("Films by decade, and my mean"), top, bottom)
    decades = stats.by_decade
    if not decades:
        canvas.text(((left + right) / 2, (top + bottom) / 2 + 30), _("Their years are not known yet"), LABEL, QUIET)
        return
    slot = min((right - left) / len(decades), 150)
    first = (left + right - slot * len(decades)) / 2
    base, ceiling = bottom - 118, top + 122
    places = {decade: first + (number + 0.5) * slot for number, decade in enumerate(decades)}
    bars = [(places[decade], len(values)) for decade, values in decades.items()]
    draw_bars(canvas, bars, slot, base, ceiling, FILMS)
    names = {decade: _("%(decade)ds") % {"decade": decade} for decade in decades}
    if max(font(LABEL, False).getlength(name) for name in names.values()) > slot - 10:
        names = {decade: str(decade) for decade in decades}
    for decade, values in decades.items():
        canvas.text((places[decade], bottom - 72), names[decade], LABEL, QUIET, most=slot - 6)
        if values:
            canvas.text((places[decade], bottom - 26), tenths(fmean(values)), LABEL, MINE, bold=True, most=slot - 6)


def draw_bars(
    canvas: Canvas, bars: list[tuple[float, int]], slot: float | int, base: int, ceiling: int, colour: str
) -> None:
    """Bars, (middle, films), with their counts on top; the highest reaches the ceiling."""
    canvas.box(EDGE + INSIDE, base, SIZE - EDGE - INSIDE, base + 3, LINE)
    most = max(count for _x, count in bars)
    half = min(slot * 0.76, 96) / 2
    for x, count in bars:
        if count:
            height = max((base - ceiling) * count / most, 8)
            canvas.box(x - half, base - height, x + half, base, colour, 10, corners=(True, True, False, False))
            canvas.text((x, base - height - 12), whole(count), LABEL, TEXT, most=slot - 4)


def whole(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")


def tenths(number: float) -> str:
    """A mean as ratings are written everywhere in the chat: 7.4, in either language."""
    return f"{number:.1f}"


def in_words(stats: Stats) -> str:
    """The same figures as a caption (HTML), for those who hear the picture rather than see it."""

    def opinions(films):
        return [(shortened(film.title, LONGEST_TITLE), points(film.mine), tenths(film.tmdb)) for film in films]

    favourite, best = stats.favourite, stats.best_decade
    context = {
        "stats": stats,
        "hours": round(stats.minutes / 60),
        "mean": tenths(stats.mean),
        "tmdb_mean": stats.tmdb_mean is not None and tenths(stats.tmdb_mean),
        "favourite": (points(favourite[0]), favourite[1]),
        "best": best and (str(best[0]), tenths(best[1]), best[2]),
        "higher": opinions(stats.higher),
        "lower": opinions(stats.lower),
    }
    return render_to_string("ratings/stats.html", context).strip()
