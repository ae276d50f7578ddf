"""The picture of a taste match: two names, the per cent, two films both love and one they disagree about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from PIL import Image, ImageDraw

from ratings.insights.drawing import (
    ACCENT,
    HEIGHT,
    MUTED,
    SUPERSAMPLING,
    WIDTH,
    Colour,
    Picture,
    drawable,
    text_width,
)
from ratings.insights.stats_card import GAP, MARGIN, poster_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from movies.models import Movie

RING_CENTRE, RING_RADIUS, RING_WIDTH = (WIDTH // 2, 446), 214, 30
RING_BACK = (58, 66, 88)
NAMES_BASELINE, NAME_SIZE = 150, 56
POSTERS_TOP, POSTER_WIDTH, POSTER_HEIGHT = 782, (WIDTH - 2 * MARGIN - 2 * GAP) // 3, 436


def draw_match_card(
    names: tuple[str, str],
    percent: int,
    both_love: Sequence[Movie],
    differ: Movie | None,
    posters: Mapping[int, Image.Image],
    handle: str,
) -> bytes:
    """A JPEG in the active language; `both_love` are up to two films, `handle` the bot's @name."""
    shown = [*both_love, *([differ] if differ else [])]
    picture = Picture([posters.get(movie.pk) for movie in shown])
    draw_names(picture, names)
    draw_ring(picture, percent)
    total = len(shown) * POSTER_WIDTH + (len(shown) - 1) * GAP
    left = (WIDTH - total) // 2
    for place, movie in enumerate(shown):
        x = left + place * (POSTER_WIDTH + GAP)
        box = (x, POSTERS_TOP, POSTER_WIDTH, POSTER_HEIGHT)
        picture.poster(box, posters.get(movie.pk), poster_title(movie), "", place)
    if both_love:
        room = len(both_love) * (POSTER_WIDTH + GAP) - GAP
        picture.text((left, POSTERS_TOP - 24), _("You both love"), 36, bold=True, max_width=room)
    if differ:
        right = left + len(both_love) * (POSTER_WIDTH + GAP)
        picture.text((right, POSTERS_TOP - 24), _("You argue about"), 36, MUTED, bold=True, max_width=POSTER_WIDTH)
    picture.text((WIDTH / 2, HEIGHT - MARGIN - 6), f"@{handle}", 34, ACCENT, bold=True, anchor="m")
    return picture.jpeg()


def draw_names(picture: Picture, names: tuple[str, str]) -> None:
    """Both names in one line, each with as much room as the other leaves; one alone in the middle."""
    first, second = (drawable(name, bold=True) for name in names)
    if not (first and second):
        one = first or second
        picture.text((WIDTH / 2, NAMES_BASELINE), one, NAME_SIZE, bold=True, anchor="m", max_width=WIDTH - 2 * MARGIN)
        return
    sign = "×"
    room = WIDTH - 2 * MARGIN - text_width(sign, NAME_SIZE) - 60
    widths = [text_width(name, NAME_SIZE, bold=True) for name in (first, second)]
    if sum(widths) > room:
        widths = [
            min(width, max(room / 2, room - other)) for width, other in zip(widths, reversed(widths), strict=True)
        ]
    x = (WIDTH - sum(widths) - 60 - text_width(sign, NAME_SIZE)) / 2
    picture.text((x, NAMES_BASELINE), first, NAME_SIZE, bold=True, max_width=widths[0], min_size=34)
    x += widths[0] + 30
    x += picture.text((x, NAMES_BASELINE), sign, NAME_SIZE, ACCENT) + 30
    picture.text((x, NAMES_BASELINE), second, NAME_SIZE, bold=True, max_width=widths[1], min_size=34)


def draw_ring(picture: Picture, percent: int) -> None:
    """The per cent, and a ring filled so far."""
    size = 2 * RING_RADIUS
    masks: list[tuple[Colour, Image.Image]] = []
    for colour, end in ((RING_BACK, 360.0), (ACCENT, 3.6 * percent)):
        large = Image.new("L", (size * SUPERSAMPLING, size * SUPERSAMPLING), 0)
        if end:
            corner = large.width - 1
            ImageDraw.Draw(large).arc([(0, 0), (corner, corner)], -90, end - 90, 255, RING_WIDTH * SUPERSAMPLING)
        masks.append((colour, large.reduce(SUPERSAMPLING)))
    corner_of_ring = (RING_CENTRE[0] - RING_RADIUS, RING_CENTRE[1] - RING_RADIUS)
    for colour, mask in masks:
        picture.image.paste(colour, corner_of_ring, mask)
    x, y = RING_CENTRE
    picture.text((x, y + 30), f"{percent}%", 120, bold=True, anchor="m")
    picture.text((x, y + 92), _("taste match"), 34, MUTED, anchor="m", max_width=270)
