"""The deck of rows whose film is not certain: the user decides one after another, in one message.

What is undecided stays in `file_rows`, so that it can be taken up again at any time.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from django.db import transaction
from django.template.loader import render_to_string
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from config.bot.replies import Keyboard, KeyboardButton, keyboard
from config.jobs.enqueue import async_task
from movies.cards import display_title, format_rating, truncate
from movies.models import Movie
from ratings.files.exporter import escape_formula
from ratings.files.importer import lock_rows, rate_rows
from ratings.files.merge import candidates_of, row_from
from ratings.files.report import LOST, State
from ratings.models import FileImport, FileRow

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

MAX_BUTTON_LENGTH = 60  # UTF-16 code units
MAX_BUTTON_TITLE = 30  # of these, so that the year and the director are seen
NOT_FOUND_COLUMNS = ["Original Title", "Title", "Year", "Const", "tmdbID", "Your Rating", "Date"]


class Page(NamedTuple):
    text: str
    markup: Keyboard | None


def page(file: FileImport) -> Page:
    """The next undecided row with its candidates; what to say where none is left."""
    rows = file.file_rows.filter(state=State.UNSURE).order_by("position")
    file_row = rows.first()
    if file_row is None:
        return Page(_("That was the last one. Thank you!"), None)
    row = row_from(file_row.data)
    movie_ids = candidates_of(file_row)
    movies = Movie.objects.in_bulk(movie_ids)
    candidates = [movies[movie_id] for movie_id in movie_ids if movie_id in movies]
    context = {
        "row": row,
        "name": truncate(row.name, 300),
        "points": format_rating(row.points) if row.points is not None else "",
        "left": rows.count(),
        "movies": [label(movie) for movie in candidates],
    }
    choices: list[list[KeyboardButton]] = [
        [(truncate(label(movie, MAX_BUTTON_TITLE), MAX_BUTTON_LENGTH), f"pick:{file_row.pk}:{movie.pk}")]
        for movie in candidates
    ]
    choices.append([(_("None of these"), f"pick:{file_row.pk}:0"), (_("Skip all"), f"skip:{file.pk}")])
    return Page(render_to_string("ratings/file_deck.html", context).strip(), keyboard(*choices))


def label(movie: Movie, max_title: int = 100) -> str:
    """Title, year and director, by which films of one name differ."""
    title, names = display_title(movie, max_title), [person.get("name", "") for person in movie.directors]
    if get_language() == "en":
        title = truncate(movie.title_en, max_title) or title
        names = [person.get("original_name") or person.get("name", "") for person in movie.directors]
    year = f" ({movie.year})" if movie.year else ""
    director = f" · {', '.join(names[:2])}" if names else ""
    return f"{title}{year}{director}"


def choose(row_id: int, user_id: int, movie_id: int) -> FileImport | None:
    """Rate the movie chosen for a row, or (0) leave the row as not found; the file, None where the row is decided."""
    file_row = FileRow.objects.filter(pk=row_id, file__user_id=user_id).select_related("file").first()
    if file_row is None:
        return None
    with transaction.atomic():
        locked = lock_rows(file_row.file)
        current = FileRow.objects.select_for_update().filter(pk=row_id, state=State.UNSURE).first()
        if locked is None or current is None or not (movie_id == 0 or movie_id in candidates_of(current)):
            return None
        file, user = locked
        if movie_id:
            rate_rows(file, user, [(current, movie_id)])
            transaction.on_commit(lambda: async_task("ratings.tasks.write_ratings", user_id, save=False))
        else:
            leave(file, FileRow.objects.filter(pk=row_id))
        file.save(update_fields=["outcome", "found"])
    return file


def skip_all(file_id: int, user_id: int) -> FileImport | None:
    """Leave all undecided rows of a file as not found."""
    file = FileImport.objects.filter(pk=file_id, user_id=user_id).first()
    with transaction.atomic():
        locked = lock_rows(file) if file else None
        if locked is None:
            return None
        leave(locked[0], FileRow.objects.filter(file_id=file_id))
        locked[0].save(update_fields=["outcome"])
    return locked[0]


def leave(file: FileImport, rows: QuerySet[FileRow]) -> None:
    """Count undecided rows as not found."""
    left = rows.filter(state=State.UNSURE).update(state=State.NOT_FOUND)
    file.count(State.UNSURE, -left)
    file.count(State.NOT_FOUND, left)


def not_found_csv(file: FileImport) -> bytes:
    """The rows that nothing was made of, as a CSV that this bot and spreadsheets read."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(NOT_FOUND_COLUMNS)
    for file_row in file.file_rows.filter(state__in=LOST).order_by("position").iterator(chunk_size=2000):
        row = row_from(file_row.data)
        rating = row.value or row.points
        cells = [row.original_title, row.title, row.year, row.imdb_id, row.tmdb_id, rating, row.date_text]
        writer.writerow([escape_formula("" if cell is None else str(cell)) for cell in cells])
    return text.getvalue().encode("utf-8-sig")
