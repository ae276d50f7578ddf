"""Merging a page of TMDb's ratings into the table: what is new, what changed there, what stays as the user set it here.

The rule where both sides changed: `Rating.tmdb_rating` is the value last seen at TMDb, the base. While TMDb still holds
the base, the rating made here stays. As soon as TMDb holds something else, TMDb wins, and the report names the movie.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django.db import connection

from movies.cards import format_rating
from movies.merging import successors
from movies.models import UNFINISHED, Movie, PosterPriority
from movies.saving import save_movies
from ratings.models import PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import undismiss
from ratings.tmdb_sync.removal import take_shown_again
from ratings.watchlist.entries import take_off_rated

if TYPE_CHECKING:
    from ratings.models import Import
    from ratings.tmdb_sync.pages import Page, Row

KEY = ("telegram_user_id", "movie_id")


class Merged(NamedTuple):
    """A row of user_movie_ratings as an import writes it."""

    telegram_user_id: int
    movie_id: int
    tmdb_rating: Decimal
    manual_rating: Decimal | None
    normalized_rating: Decimal
    rated_at: int
    source: str
    seen_in_pass: int


# For the driver's executemany: bulk_create spends five times as long on the same rows (measured on SQLite)
UPSERT = (
    f"INSERT INTO {Rating._meta.db_table} ({', '.join(Merged._fields)})"  # noqa: S608 - names of ours only
    f" VALUES ({', '.join(['%s'] * len(Merged._fields))}) ON CONFLICT ({', '.join(KEY)})"
    f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in Merged._fields if name not in KEY)}"
)


class PageResult(NamedTuple):
    without_details: list[int]  # ids of the page's movies whose details are not known
    has_new_posters: bool


def follow_merged(page: Page) -> None:
    """Name each movie by the id that TMDb has for it now; where both ids are rated, by its own row."""
    merged = successors(movie_id for movie_id in page.movie_ids if movie_id is not None)
    if merged:
        page.movie_ids = [merged.get(movie_id, movie_id) if movie_id else None for movie_id in page.movie_ids]
        for row in page.rows:
            row.movie.id = merged.get(row.movie.id, row.movie.id)
        own_last = sorted(page.rows, key=lambda row: row.movie.id not in merged.values())
        page.rows = list({row.movie.id: row for row in own_last}.values())


def merge_page(run: Import, page: Page, now: int) -> PageResult:
    """Write a Page of the import `run`, inside the caller's transaction, and count in `run` what it changed.

    The caller holds the lock of the user's row.
    """
    known, has_new_posters = save_listed([row.movie for row in page.rows if row.rating is not None])
    merge_ratings(run, page.rows, now)
    return PageResult([movie_id for movie_id, details_at in known.items() if details_at is None], has_new_posters)


def save_listed(movies: list[Movie]) -> tuple[dict[int, int | None], bool]:
    """Have the movies of a list in the table: ({id: details_at}, whether there are new posters)."""
    ids = [movie.id for movie in movies]
    before = save_movies(movies, PosterPriority.IMPORT)
    known = {movie_id: row.details_at for movie_id, row in before.items() if row.title}
    if known:
        waiting = Movie.objects.filter(id__in=list(known), poster_status__in=UNFINISHED)
        waiting.filter(poster_priority__lt=PosterPriority.IMPORT).update(poster_priority=PosterPriority.IMPORT)
    has_new_posters = any(movie.poster_path for movie in movies if movie.id not in known)
    return {movie_id: known.get(movie_id) for movie_id in ids}, has_new_posters


def merge_ratings(run: Import, rows: list[Row], now: int) -> None:
    again = take_shown_again(run, rows)
    mine = {"user_id": run.user_id, "movie_id__in": [row.movie.id for row in rows]}
    ratings = {rating.movie_id: rating for rating in Rating.objects.filter(**mine)}
    pending = {write.movie_id: write for write in PendingWrite.objects.filter(**mine)}
    changed: list[Merged] = []
    unchanged: list[int] = []
    obsolete: list[int] = []  # pending writes that TMDb's value has overtaken
    for row in rows:
        movie_id, rating, write = row.movie.id, ratings.get(row.movie.id), pending.get(row.movie.id)
        if row.rating is None:
            run.note("left_out", movie_id, title=row.movie.title, rating=str(row.given)[:20])
        elif rating is None and write and write.rating is None and write.base == row.rating:
            pass  # deleted here, and not yet at TMDb
        elif rating is None:
            if write:
                obsolete.append(write.pk)
                report_override(run, row.movie, row.rating, None)
            run.added += 1
            was = again.get(movie_id)
            changed.append(from_tmdb(run, movie_id, row.rating, was.rated_at if was else now))
            continue
        elif rating.tmdb_rating != row.rating:
            changed.append(accept_tmdb_value(run, rating, row.movie, row.rating, now))
            if write:
                obsolete.append(write.pk)
            continue
        if rating:
            unchanged.append(movie_id)
        elif movie_id not in run.reader_state["skipped"]:
            run.reader_state["skipped"].append(movie_id)
    if changed:
        write_ratings(changed)
        undismiss(run.user_id, *(merged.movie_id for merged in changed))
        take_off_rated(run, [merged.movie_id for merged in changed if merged.source == Source.TMDB])
    if unchanged:
        Rating.objects.filter(user_id=run.user_id, movie_id__in=unchanged).update(seen_in_pass=run.pass_id)
    if obsolete:
        PendingWrite.objects.filter(pk__in=obsolete).delete()


def write_ratings(rows: list[Merged]) -> None:
    """Insert or update ratings in bulk."""
    with connection.cursor() as cursor:
        cursor.executemany(UPSERT, rows)


def from_tmdb(run: Import, movie_id: int, value: Decimal, rated_at: int) -> Merged:
    return Merged(run.user_id, movie_id, value, None, normalize(value), rated_at, Source.TMDB.value, run.pass_id)


def accept_tmdb_value(run: Import, rating: Rating, movie: Movie, value: Decimal, now: int) -> Merged:
    """The rating after TMDb's value moved away from the base."""
    if rating.source == Source.MANUAL and rating.manual_rating == value:
        # ours has arrived there, and that was not saved in time: the rating is as old as it was
        return Merged(
            run.user_id, movie.id, value,
            rating.manual_rating, rating.normalized_rating, rating.rated_at, Source.MANUAL.value, run.pass_id,
        )  # fmt: skip
    if rating.source == Source.MANUAL:
        report_override(run, movie, value, rating.manual_rating)
    run.changed += 1
    return from_tmdb(run, movie.id, value, now)


def report_override(run: Import, movie: Movie, value: Decimal, manual: Decimal | None) -> None:
    """TMDb's value replaces what the user did here: rated, or (None) deleted the rating."""
    old = None if manual is None else format_rating(manual)
    run.note("overridden", movie.id, title=movie.title, old=old, new=format_rating(value))
