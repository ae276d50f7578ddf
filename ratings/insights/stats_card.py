"""The picture of /stats that people post: one number, their six best posters, and a sentence about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from movies.cards import display_title, format_rating
from movies.names import country_names, genre_names
from ratings.insights.drawing import (
    ACCENT,
    BRIGHT,
    MUTED,
    TEXT,
    WIDTH,
    Picture,
    drawable,
    first_drawable,
    text_width,
)
from ratings.insights.stats_image import format_integer, format_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from movies.models import Movie
    from ratings.insights.stats import Stats

MARGIN, GAP = 56, 24
COLUMNS, ROWS = 3, 2
POSTER_WIDTH, POSTER_HEIGHT = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS, 376
POSTERS_TOP = 316
FACTS_TOP = POSTERS_TOP + ROWS * POSTER_HEIGHT + (ROWS - 1) * GAP
HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT, HISTOGRAM_BASE = 330, 92, 236
MAX_TITLE_LENGTH = 80
EQUAL_POINTS = 0.05  # up to which a user rates as TMDb does
MIN_DAYS = 2  # from which on hours are told in days as well
MAX_NAMED = 3  # genres, countries; directors are two
DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Owner:
    """Whose picture it is: a first name as Telegram has it, and the bot's @name."""

    name: str
    bot: str


def draw_stats_card(
    stats: Stats, owner: Owner, movies: Sequence[Movie], posters: Mapping[int, Image.Image], year: int | None = None
) -> bytes:
    """A JPEG in the active language, of at least one rating; of one `year`, where that is given."""
    picture = Picture([posters.get(movie.pk) for movie in movies])
    draw_heading(picture, stats, owner, year)
    draw_histogram(picture, stats)
    for place in range(COLUMNS * ROWS):
        left = MARGIN + place % COLUMNS * (POSTER_WIDTH + GAP)
        top = POSTERS_TOP + place // COLUMNS * (POSTER_HEIGHT + GAP)
        box = (left, top, POSTER_WIDTH, POSTER_HEIGHT)
        if place < len(movies):
            movie = movies[place]
            mark = format_rating(movie.user_rating) if movie.user_rating else ""
            picture.poster(box, posters.get(movie.pk), poster_title(movie), mark, place)
        elif place == len(movies):
            draw_mean(picture, stats, box)
    draw_facts(picture, stats, owner)
    return picture.jpeg()


def owner_name(first_name: str, username: str | None) -> str:
    """A name in letters that can be drawn: the first name, else the username, else none."""
    return drawable(first_name, bold=True) or (drawable(f"@{username}", bold=True) if username else "")


def poster_title(movie: Movie) -> str:
    """A title in letters that can be drawn: of a film that has only a Japanese one, that in Latin letters."""
    titles = [display_title(movie, MAX_TITLE_LENGTH), movie.title, movie.title_en, movie.original_title]
    return first_drawable([title for title in titles if title], bold=True) or str(movie.year or "")


def draw_heading(picture: Picture, stats: Stats, owner: Owner, year: int | None) -> None:
    """Who and when; how many films, and how long that took."""
    when = str(year) if year else date_format(timezone.localtime(), "F Y")
    when = when.lower() if get_language() == "ru" else when
    date_width = picture.text((WIDTH - MARGIN, 96), when, 34, MUTED, anchor="r")
    name = drawable(owner.name, bold=True)
    if name:
        room = WIDTH - 2 * MARGIN - date_width - 40
        picture.text((MARGIN, 96), name, 44, bold=True, max_width=room, min_size=32)
    room = WIDTH - 2 * MARGIN - HISTOGRAM_WIDTH - 40
    number = format_integer(stats.count)
    width = picture.text((MARGIN, 236), number, 136, bold=True, max_width=room)
    label, below = ngettext("film", "films", stats.count), time_watched(stats)
    if text_width(label, 44) < room - width - 20:
        picture.text((MARGIN + width + 20, 236), label, 44, MUTED)
    else:
        below = " · ".join(filter(None, [label, hours_watched(stats)]))
    picture.text((MARGIN, 286), below, 32, MUTED, max_width=room, min_size=24)


def hours_watched(stats: Stats) -> str:
    """The hours of the films; empty where no length is known."""
    hours = round(stats.minutes / 60)
    text = ngettext("%(number)s hour of film", "%(number)s hours of film", hours) % {"number": format_integer(hours)}
    return text if hours else ""


def time_watched(stats: Stats) -> str:
    """The hours of the films, and what that is in days; empty where no length is known."""
    text, days = hours_watched(stats), stats.minutes // DAY_MINUTES
    if days >= MIN_DAYS:
        more = ngettext("more than %(number)s day", "more than %(number)s days", days)
        text += " — " + more % {"number": format_integer(days)}
    return text


def draw_histogram(picture: Picture, stats: Stats) -> None:
    """How often each rating was given: thin bars, the most frequent one bright, with its number."""
    halves = any(value % 1 for value in stats.by_value)
    bars = 20 if halves else 10
    slot = HISTOGRAM_WIDTH / bars
    width, favourite = slot * 0.68, stats.favourite
    left = WIDTH - MARGIN - HISTOGRAM_WIDTH
    for number in range(1, bars + 1):
        value = number / 2 if halves else number
        movies = sum(count for rating, count in stats.by_value.items() if float(rating) == value)
        height = max(4.0, HISTOGRAM_HEIGHT * movies / favourite.movies)
        x = left + (number - 0.5) * slot
        bright = float(favourite.rating) == value
        picture.box(x - width / 2, HISTOGRAM_BASE - height, width, height, BRIGHT if bright else ACCENT, 5)
        if bright:
            middle = min(max(x, left + 14), WIDTH - MARGIN - 14)
            picture.text(
                (middle, HISTOGRAM_BASE - height - 10), format_rating(favourite.rating), 24, BRIGHT, anchor="m"
            )
    picture.text((left, HISTOGRAM_BASE + 32), "1", 24, MUTED)
    picture.text((WIDTH - MARGIN, HISTOGRAM_BASE + 32), "10", 24, MUTED, anchor="r")


def draw_mean(picture: Picture, stats: Stats, box: tuple[int, int, int, int]) -> None:
    """The mean, in the place of a poster that there is not."""
    left, top, width, height = box
    picture.box(left, top, width, height, (38, 46, 66), 26)
    picture.text((left + width / 2, top + height / 2 + 26), format_mean(stats.mean), 96, ACCENT, bold=True, anchor="m")
    picture.text(
        (left + width / 2, top + height / 2 + 84), _("on average"), 30, MUTED, anchor="m", max_width=width - 40
    )


def draw_facts(picture: Picture, stats: Stats, owner: Owner) -> None:
    """The sentence about the person, what they love, and where the picture comes from."""
    y, room = FACTS_TOP + 62, WIDTH - 2 * MARGIN
    picture.text((MARGIN, y), sentence(stats), 38, bold=True, max_width=room, min_size=28)
    handle = f"@{owner.bot}"
    bottom = y + 3 * 48  # the line of the countries
    handle_width = picture.text((WIDTH - MARGIN, bottom), handle, 32, ACCENT, bold=True, anchor="r", max_width=room / 2)
    for place, line in enumerate(favourite_lines(stats, drawable)):
        y += 48
        width = room - handle_width - 30 if y > bottom - 40 else room
        picture.text((MARGIN, y), line, 28, TEXT if not place else MUTED, max_width=width, min_size=22)


def sentence(stats: Stats) -> str:
    """«Любимые годы — 1970-е. Добрее зрителей TMDb на 0.2»; where neither is known, the rating given most often."""
    parts = []
    if best := stats.best_decade:
        parts.append(_("Favourite years: the %(decade)ss.") % {"decade": best.decade})
    if stats.kindness is not None:
        points = format_mean(abs(stats.kindness))
        if abs(stats.kindness) < EQUAL_POINTS:
            parts.append(_("Rates just as TMDb viewers do"))
        elif stats.kindness > 0:
            parts.append(_("Kinder than TMDb viewers by %(points)s") % {"points": points})
        else:
            parts.append(_("Stricter than TMDb viewers by %(points)s") % {"points": points})
    if not parts:
        parts.append(_("Most-used rating: %(rating)s") % {"rating": format_rating(stats.favourite.rating)})
    return " ".join(parts)


def favourite_lines(stats: Stats, written: Callable[[str], str] = str) -> list[str]:
    """Genres, directors and countries, each a line of a few names; `written`: how a name can be, '' for not at all."""
    genres = genre_names([int(one.key) for one in stats.genres])[:MAX_NAMED]
    countries = country_names([str(one.key) for one in stats.countries])[:MAX_NAMED]
    directors = list(filter(None, (written(str(one.key)) for one in stats.directors)))[: MAX_NAMED - 1]
    named = ((_("Genres"), genres), (_("Directors"), directors), (_("Countries"), countries))
    return [f"{label}: {', '.join(names)}" for label, names in named if names]


def card_text(stats: Stats, year: int | None = None) -> str:
    """The same in words, for who cannot see the picture."""
    count = ngettext("%(number)s film", "%(number)s films", stats.count) % {"number": format_integer(stats.count)}
    heading = " · ".join(filter(None, [str(year) if year else "", count, time_watched(stats)]))
    return "\n".join([heading, sentence(stats), *favourite_lines(stats)])
