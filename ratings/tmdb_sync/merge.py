"""A page of TMDb's ratings into the table: what is new, what changed there, what stands as the person set it here.

The rule where both sides changed: `Rating.tmdb_rating` is the value last seen at TMDb, the base. While TMDb still holds
the base, what was done here stands. As soon as TMDb holds something else, TMDb wins, and the person is told by name.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import connection

from movies.catalogue import save_movies
from movies.models import Movie, PosterNeed, PosterStatus
from ratings.models import PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import allow

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from ratings.models import Import
    from ratings.tmdb_sync.reader import Page, Row

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
    seen_in_crawl: int


# For the driver's executemany: bulk_create spends five times as long on the same rows (measured on SQLite)
UPSERT = (
    f"INSERT INTO {Rating._meta.db_table} ({', '.join(Merged._fields)})"  # noqa: S608 - names of ours only
    f" VALUES ({', '.join(['%s'] * len(Merged._fields))}) ON CONFLICT ({', '.join(KEY)})"
    f" DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in Merged._fields if name not in KEY)}"
)


def merge_page(run: Import, page: Page, now: int) -> tuple[list[int], bool] | tuple[list[Any], bool]:
    """Write a Page of the import `run`, inside the caller's transaction, and count what it changed in `run`.

    Returns (ids of its films without details, whether there are new posters).
    """
    rated = [row.movie.id for row in page.rows if row.rating is not None]
    known = dict(Movie.objects.filter(id__in=rated).values_list("id", "details_at"))
    new = [row.movie for row in page.rows if row.rating is not None and row.movie.id not in known]
    if new:
        save_movies(new, PosterNeed.IMPORT)
    if known:
        unhurried = [PosterStatus.WAITING, PosterStatus.LOCAL]
        waiting = Movie.objects.filter(id__in=list(known), poster_status__in=unhurried)
        waiting.filter(poster_need__lt=PosterNeed.IMPORT).update(poster_need=PosterNeed.IMPORT)
    merge_ratings(run, page.rows, now)
    return [film for film in rated if known.get(film) is None], any(movie.poster_path for movie in new)


def merge_ratings(run: Import, rows: list[Row], now: int) -> None:
    ids = [row.movie.id for row in rows]
    mine = {"user_id": run.user_id, "movie_id__in": ids}
    held = {rating.movie_id: rating for rating in Rating.objects.select_for_update().filter(**mine)}
    pending = {write.movie_id: write for write in PendingWrite.objects.select_for_update().filter(**mine)}
    unchanged, changed, spent = [], [], []
    for row in rows:
        film, rating, write = row.movie.id, held.get(row.movie.id), pending.get(row.movie.id)
        if row.rating is None:
            run.note("left_out", film, title=row.movie.title, rating=str(row.given)[:20])
        elif rating is None and write and write.rating is None and write.base == row.rating:
            pass  # taken back here; TMDb has still to hear of it
        elif rating is None:
            if write:
                spent.append(write.pk)
                report_override(run, row, None)
            run.added += 1
            changed.append(seen_anew(run, film, row.rating, now))
            continue
        elif rating.tmdb_rating != row.rating:
            changed.append(take_over(run, rating, row, now))
            if write:
                spent.append(write.pk)
            continue
        if rating:
            unchanged.append(film)
        elif film not in run.crawl["skipped"]:
            run.crawl["skipped"].append(film)
    if changed:
        write_ratings(changed)
        allow(run.user_id, *(rating.movie_id for rating in changed))
    if unchanged:
        Rating.objects.filter(user_id=run.user_id, movie_id__in=unchanged).update(seen_in_crawl=run.crawl_id)
    if spent:
        PendingWrite.objects.filter(pk__in=spent).delete()


def write_ratings(rows: list[Merged]) -> None:
    """Insert ratings (Merged), or bring those that are there up to date, in bulk."""
    with connection.cursor() as cursor:
        cursor.executemany(UPSERT, rows)


def seen_anew(run: Import, film: int, value: Decimal, now: int) -> Merged:
    return Merged(run.user_id, film, value, None, normalize(value), now, Source.TMDB.value, run.crawl_id)


def take_over(run, rating, row, now):
    """The rating after TMDb's value moved away from the base."""
    if rating.source == Source.MANUAL and rating.manual_rating == row.rating:
        # ours has arrived there, and nobody had time to note it: the rating is as old as it was
        ours = (rating.manual_rating, rating.normalized_rating, rating.rated_at, Source.MANUAL.value)
        return Merged(run.user_id, row.movie.id, row.rating, *ours, run.crawl_id)
    if rating.source == Source.MANUAL:
        report_override(run, row, rating.manual_rating)
    run.changed += 1
    return seen_anew(run, row.movie.id, row.rating, now)


def report_override(run, row, mine) -> None:
    """TMDb's value displaces what the person did here: rated, or (None) took back."""
    old = None if mine is None else plain(mine)
    run.note("overridden", row.movie.id, title=row.movie.title, old=old, new=plain(row.rating))


def plain(rating) -> str:
    """7, 7.5, 10"""
    return f"{rating.normalize():f}"


def unseen(run: Import) -> QuerySet:
    """What we know to be at TMDb and the present reading of the account has not come upon."""
    ratings = Rating.objects.filter(user_id=run.user_id, tmdb_rating__isnull=False)
    return ratings.exclude(seen_in_crawl=run.crawl_id)


def drop_gone(run: Import) -> None:
    """After a complete reading: ratings that TMDb no longer holds go, unless they are the person's own from here.

    None of these came to TMDb behind the page it is on: while an import runs, ratings.tmdb_sync.outbox writes nothing.
    """
    unseen(run).filter(source=Source.MANUAL).update(tmdb_rating=None)
    gone = unseen(run).filter(source=Source.TMDB)
    for film, title in gone.values_list("movie_id", "movie__title"):
        run.note("removed", film, title=title)
    gone.delete()
