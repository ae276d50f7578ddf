"""The second picture of /stats, its figures: on a background of its own, so that it suits light and dark chats.

All coordinates and sizes are in pixels of the finished image, from its top left corner.
"""

from __future__ import annotations

from io import BytesIO
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from PIL import Image, ImageDraw

from movies.cards import format_rating, truncate
from movies.names import country_names, genre_names
from ratings.insights.drawing import draw_text, drawable, fitted, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from ratings.insights.stats import Favourite, Opinion, Stats

SIZE = 1280  # its width
FAVOURITE_ROWS = 5
FAVOURITES_HEIGHT = 112 + FAVOURITE_ROWS * 58  # of the panels of genres and directors, where there are any
SUPERSAMPLING = 2  # shapes are drawn so many times larger and scaled down: Pillow itself does not smooth edges
MARGIN, GAP, PADDING, RADIUS = 48, 24, 36, 28  # around panels, between them, within them, and of their corners
COLUMN_PADDING = 26  # where three panels share the width: "Андрей Тарковский" stays whole
ARROW_HALF_WIDTH, ARROW_HEIGHT = 13, 20
MAX_BAR_WIDTH, MIN_BAR_HEIGHT = 96, 8
MAX_DECADE_WIDTH = 150

BACKGROUND, PANEL, LINE = "#0f1a2b", "#1a2a42", "#30435f"
TEXT, MUTED = "#f4f7fb", "#a9bbd2"
USER_COLOUR, TMDB_COLOUR, MOVIES_COLOUR = "#f6b73c", "#3fcfbb", "#6ea3f2"

HEADING_SIZE, TITLE_SIZE, LABEL_SIZE, NUMBER_SIZE, MIN_FONT_SIZE = 62, 40, 34, 78, 16
MAX_CAPTION_TITLE_LENGTH = 60  # of a movie in the caption: six of them stay within Telegram's limit


class Tile(NamedTuple):
    """A number with what it counts."""

    number: str
    label: str
    colour: str


class Bar(NamedTuple):
    """`x` is the middle of the bar."""

    x: float
    movies: int


class FavouriteColumn(NamedTuple):
    """What a user likes best of a kind: a title, and rows of (name, figures)."""

    title: str
    rows: list[tuple[str, str]]


class Mark(NamedTuple):
    """An arrow below the bars and its entry in the legend; `x` is its tip."""

    x: float
    colour: str
    label: str


class Text(NamedTuple):
    """A text at a point."""

    point: tuple[float, float]
    text: str
    size: int
    bold: bool
    colour: str
    anchor: str  # on the baseline: its left end, middle or right end


def draw_stats(stats: Stats) -> bytes:
    """The statistics of at least one rating as a PNG, in the active language."""
    columns = [column for column in favourite_columns(stats) if column.rows]
    canvas = Canvas(SIZE + (FAVOURITES_HEIGHT + GAP if columns else 0))
    canvas.text((MARGIN + 4, 92), _("My films in figures"), HEADING_SIZE, bold=True, anchor="l")
    canvas.text((SIZE - MARGIN - 4, 92), date_format(timezone.now(), "F Y"), LABEL_SIZE, MUTED, anchor="r")
    draw_tiles(canvas, summary_tiles(stats), top=136, bottom=330)
    draw_ratings(canvas, stats, top=330 + GAP, bottom=792)
    draw_decades(canvas, stats, top=792 + GAP, bottom=SIZE - MARGIN)
    draw_favourites(canvas, columns, top=SIZE - MARGIN + GAP)
    return canvas.png()


class Canvas:
    """Shapes are drawn at SUPERSAMPLING times their size; texts are drawn last, at their true size."""

    def __init__(self, height: int) -> None:
        self.large = Image.new("RGB", (SIZE * SUPERSAMPLING, height * SUPERSAMPLING), BACKGROUND)
        self.shapes = ImageDraw.Draw(self.large)
        self.texts: list[Text] = []

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: str,
        radius: int = 0,
        flat_bottom: bool = False,
    ) -> None:
        """A rectangle, `right` and `bottom` exclusive; `flat_bottom`: only the upper corners are rounded."""
        x1, y1, x2, y2 = (value * SUPERSAMPLING for value in (left, top, right, bottom))
        corners = (True, True, not flat_bottom, not flat_bottom)
        self.shapes.rounded_rectangle([x1, y1, x2 - 1, y2 - 1], radius * SUPERSAMPLING, colour, corners=corners)

    def arrow(self, x: float, y: float, colour: str) -> None:
        """A small arrow whose tip points up at (x, y)."""
        corners = ((x, y), (x - ARROW_HALF_WIDTH, y + ARROW_HEIGHT), (x + ARROW_HALF_WIDTH, y + ARROW_HEIGHT))
        self.shapes.polygon([(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in corners], colour)

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        """A circle around (x, y)."""
        box = [value * SUPERSAMPLING for value in (x - radius, y - radius, x + radius, y + radius)]
        self.shapes.ellipse(box, colour)

    def text(
        self,
        point: tuple[float, float],
        text: str,
        size: int,
        colour: str = TEXT,
        bold: bool = False,
        anchor: str = "m",
        max_width: float | None = None,
    ) -> float:
        """Set a text, in smaller letters where it would be wider than `max_width`; returns its width."""
        while max_width and text_width(text, size, bold) > max_width and size > MIN_FONT_SIZE:
            size -= 1
        self.texts.append(Text(point, text, size, bold, colour, anchor))
        return text_width(text, size, bold)

    def png(self) -> bytes:
        image = self.large.reduce(SUPERSAMPLING)
        draw = ImageDraw.Draw(image)
        for (x, y), text, size, bold, colour, anchor in self.texts:
            x -= {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * text_width(text, size, bold)
            draw_text(draw, (x, y), text, size, colour, bold)
        content = BytesIO()
        image.save(content, "PNG")
        return content.getvalue()


# --- The parts


def summary_tiles(stats: Stats) -> list[Tile]:
    tiles = [Tile(format_integer(stats.count), ngettext("film", "films", stats.count), TEXT)]
    if hours := round(stats.minutes / 60):
        tiles.append(Tile(format_integer(hours), ngettext("hour of film", "hours of film", hours), TEXT))
    tiles.append(Tile(format_mean(stats.mean), _("my average"), USER_COLOUR))
    if stats.tmdb_mean is not None:
        tiles.append(Tile(format_mean(stats.tmdb_mean), _("TMDb average"), TMDB_COLOUR))
    return tiles


def draw_tiles(canvas: Canvas, tiles: Sequence[Tile], top: int, bottom: int) -> None:
    """A row of tiles over the whole width."""
    width = (SIZE - 2 * MARGIN - (len(tiles) - 1) * GAP) / len(tiles)
    for index, (number, label, colour) in enumerate(tiles):
        left = MARGIN + index * (width + GAP)
        canvas.box(left, top, left + width, bottom, PANEL, RADIUS)
        middle = left + width / 2
        canvas.text((middle, top + 106), number, NUMBER_SIZE, colour, bold=True, max_width=width - PADDING)
        canvas.text((middle, top + 160), label, LABEL_SIZE, MUTED, max_width=width - PADDING)


def draw_panel(canvas: Canvas, title: str, top: int, bottom: int) -> tuple[int, int]:
    """A panel with a title; returns the (left, right) of its contents."""
    left, right = MARGIN + PADDING, SIZE - MARGIN - PADDING
    canvas.box(MARGIN, top, SIZE - MARGIN, bottom, PANEL, RADIUS)
    canvas.text((left, top + 60), title, TITLE_SIZE, bold=True, anchor="l", max_width=right - left)
    return left, right


def draw_ratings(canvas: Canvas, stats: Stats, top: int, bottom: int) -> None:
    """How often each rating was given: ten bars, or twenty where half points were; arrows mark the means."""
    left, right = draw_panel(canvas, _("Ratings"), top, bottom)
    bars = 20 if any(value % 1 for value in stats.by_value) else 10
    slot = (right - left) / bars
    base, ceiling = bottom - 92, top + 122

    def x_of(rating: Decimal | float) -> float:
        """The middle of a rating's bar."""
        return left + (float(rating) * bars / 10 - 0.5) * slot

    draw_bars(canvas, [Bar(x_of(value), n) for value, n in stats.by_value.items()], slot, base, ceiling, USER_COLOUR)
    marks = [Mark(x_of(stats.mean), USER_COLOUR, _("my average"))]
    if stats.tmdb_mean is not None:
        marks.append(Mark(x_of(stats.tmdb_mean), TMDB_COLOUR, _("TMDb average")))
    x: float = right
    for mark in reversed(marks):
        x -= canvas.text((x, top + 58), mark.label, LABEL_SIZE, MUTED, anchor="r") + 24
        canvas.dot(x + 6, top + 47, 9, mark.colour)
        x -= 32
    for mark in separated(marks):
        canvas.arrow(mark.x, base + 8, mark.colour)
    for number in range(1, 11):
        canvas.text((x_of(number), bottom - 26), str(number), LABEL_SIZE, MUTED)


def separated(marks: list[Mark]) -> list[Mark]:
    """One or two marks, moved so far from each other that neither arrow hides the other."""
    if len(marks) != 2:
        return marks
    one, other = marks
    missing = max(0, 2 * ARROW_HALF_WIDTH + 4 - abs(one.x - other.x)) / 2
    side = -1 if one.x < other.x else 1
    return [one._replace(x=one.x + side * missing), other._replace(x=other.x - side * missing)]


def draw_decades(canvas: Canvas, stats: Stats, top: int, bottom: int) -> None:
    """How many movies of each decade were rated, and under each bar their mean."""
    left, right = draw_panel(canvas, _("Films by decade, and my average"), top, bottom)
    decades = stats.by_decade
    if not decades:
        middle = ((left + right) / 2, (top + bottom) / 2 + 30)
        canvas.text(middle, _("Their years are not known yet"), LABEL_SIZE, MUTED)
        return
    slot = min((right - left) / len(decades), MAX_DECADE_WIDTH)
    first = (left + right - slot * len(decades)) / 2
    x_of = {decade: first + (index + 0.5) * slot for index, decade in enumerate(decades)}
    bars = [Bar(x_of[decade], len(ratings)) for decade, ratings in decades.items()]
    draw_bars(canvas, bars, slot, bottom - 118, top + 122, MOVIES_COLOUR)
    names = {decade: _("%(decade)ds") % {"decade": decade} for decade in decades}
    if max(text_width(name, LABEL_SIZE) for name in names.values()) > slot - 10:
        names = {decade: str(decade) for decade in decades}
    for decade, ratings in decades.items():
        x, width = x_of[decade], slot - 6
        canvas.text((x, bottom - 72), names[decade], LABEL_SIZE, MUTED, max_width=width)
        if ratings:
            mean = format_mean(fmean(ratings))
            canvas.text((x, bottom - 26), mean, LABEL_SIZE, USER_COLOUR, bold=True, max_width=width)


def favourite_columns(stats: Stats) -> list[FavouriteColumn]:
    """Genres, directors and countries, each the best liked first, named as they can be drawn."""

    def rows(names: Sequence[str], favourites: Sequence[Favourite]) -> list[tuple[str, str]]:
        written = [(drawable(name), one) for name, one in zip(names, favourites, strict=False)]
        return [(name, f"{format_mean(one.mean)} · {format_integer(one.movies)}") for name, one in written if name][
            :FAVOURITE_ROWS
        ]

    genres = [one for one in stats.genres if genre_names([int(one.key)])]
    countries = [one for one in stats.countries if country_names([str(one.key)])]
    return [
        FavouriteColumn(_("Genres"), rows(genre_names([int(one.key) for one in genres]), genres)),
        FavouriteColumn(_("Directors"), rows([str(one.key) for one in stats.directors], stats.directors)),
        FavouriteColumn(_("Countries"), rows(country_names([str(one.key) for one in countries]), countries)),
    ]


def draw_favourites(canvas: Canvas, columns: Sequence[FavouriteColumn], top: int) -> None:
    """A panel for each kind: names, and beside each the mean and the number of movies."""
    if not columns:
        return
    width = (SIZE - 2 * MARGIN - (len(columns) - 1) * GAP) / len(columns)
    for number, (title, rows) in enumerate(columns):
        left = MARGIN + number * (width + GAP)
        right = left + width - COLUMN_PADDING
        canvas.box(left, top, left + width, top + FAVOURITES_HEIGHT, PANEL, RADIUS)
        canvas.text((left + COLUMN_PADDING, top + 60), title, TITLE_SIZE, bold=True, anchor="l")
        for place, (name, figures) in enumerate(rows):
            y = top + 122 + place * 58
            taken = canvas.text((right, y), figures, LABEL_SIZE - 4, USER_COLOUR, anchor="r")
            room = width - 2 * COLUMN_PADDING - taken - 14
            short, size = fitted(name, LABEL_SIZE - 4, False, room, min_size=20)
            canvas.text((left + COLUMN_PADDING, y), short, size, MUTED, anchor="l")


def draw_bars(canvas: Canvas, bars: Sequence[Bar], slot: float, base: int, ceiling: int, colour: str) -> None:
    """Bars, `slot` apart, from y = `base` upwards with their counts on top; the highest reaches the ceiling."""
    canvas.box(MARGIN + PADDING, base, SIZE - MARGIN - PADDING, base + 3, LINE)
    most = max(bar.movies for bar in bars)
    half = min(slot * 0.76, MAX_BAR_WIDTH) / 2
    for x, movies in bars:
        if movies:
            height = max((base - ceiling) * movies / most, MIN_BAR_HEIGHT)
            canvas.box(x - half, base - height, x + half, base, colour, 10, flat_bottom=True)
            canvas.text((x, base - height - 12), format_integer(movies), LABEL_SIZE, TEXT, max_width=slot - 4)


def format_integer(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")


def format_mean(number: float | Decimal) -> str:
    """A mean as ratings are written everywhere in the chat: 7.4, in either language."""
    return f"{number:.1f}"


def stats_caption(stats: Stats) -> str:
    """The same statistics as a caption (HTML), for users who hear the image described rather than see it."""

    def rows(opinions: Sequence[Opinion]) -> list[tuple[str, str, str]]:
        """(title, user's rating, TMDb's mean)."""
        return [
            (truncate(one.title, MAX_CAPTION_TITLE_LENGTH), format_rating(one.user_rating), format_mean(one.tmdb))
            for one in opinions
        ]

    favourite, best = stats.favourite, stats.best_decade
    context = {
        "stats": stats,
        "hours": round(stats.minutes / 60),
        "mean": format_mean(stats.mean),
        "tmdb_mean": stats.tmdb_mean is not None and format_mean(stats.tmdb_mean),
        "favourite": (format_rating(favourite.rating), favourite.movies),
        "best": best and (str(best.decade), format_mean(best.mean), best.movies),
        "higher": rows(stats.higher),
        "lower": rows(stats.lower),
    }
    return render_to_string("ratings/stats.html", context).strip()
