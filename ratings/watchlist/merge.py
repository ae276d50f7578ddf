"""Merging TMDb's watchlist into the table: what is new there, what is gone there, what stays as the user set it here.

The rule where both sides may have changed: an entry's `tmdb_account_id` says whether TMDb held it when we last knew,
the base. While TMDb still stands there, our change stays. A movie the user has rated is not put on the list by TMDb's
showing it: TMDb takes what is rated off by itself, only sometimes later.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from ratings.models import Rating, WatchlistEntry, WatchlistWrite
from ratings.tmdb_sync.merge import follow_merged, save_listed
from ratings.watchlist.entries import note

if TYPE_CHECKING:
    from ratings.models import Import
    from ratings.tmdb_sync.pages import Page

BATCH_SIZE = 90  # rows a statement; SQLite may take no more than 999 values


def merge_page(run: Import, page: Page, places: count[int], pass_id: int) -> list[int]:
    """Write a page of the watchlist, inside the caller's transaction; returns the movies that leave no mark there.

    The caller holds the lock of the user's row. `places`: the numbers in the list of the page's movies,
    which alone tell the newer ones of one import, since its pages come in any order.
    """
    follow_merged(page)
    movies = {row.movie.id: row.movie for row in page.rows}
    save_listed(list(movies.values()))
    mine = {"user_id": run.user_id, "movie_id__in": list(movies)}
    here = set(WatchlistEntry.objects.filter(**mine).values_list("movie_id", flat=True))
    writes = {write.movie_id: write for write in WatchlistWrite.objects.filter(**mine)}
    taken_off = {
        movie_id
        for movie_id, write in writes.items()
        if not write.wanted and write.tmdb_account_id == run.account_id and movie_id not in here
    }
    rated = set(Rating.objects.filter(**mine).values_list("movie_id", flat=True)) - here - taken_off
    new = [movie_id for movie_id in movies if movie_id not in here | taken_off | rated]
    WatchlistEntry.objects.bulk_create(
        [
            WatchlistEntry(user_id=run.user_id, movie_id=movie_id, added_at=run.started_at, place=max(0, place))
            for place, movie_id in zip(places, movies, strict=False)
            if movie_id in new
        ],
        ignore_conflicts=True,
        batch_size=BATCH_SIZE,
    )
    shown = WatchlistEntry.objects.filter(user_id=run.user_id, movie_id__in=[*here, *new])
    shown.update(tmdb_account_id=run.account_id, seen_in_pass=pass_id)
    WatchlistWrite.objects.filter(user_id=run.user_id, movie_id__in=[*here, *new]).delete()
    run.watchlist["added"] = run.watchlist.get("added", 0) + len(new)
    note(run, "rated", [(movie_id, movies[movie_id].title) for movie_id in rated])
    return [*taken_off, *rated]


def remove_gone(run: Import, movie_ids: set[int]) -> None:
    """Take off what TMDb's list no longer holds."""
    entries = WatchlistEntry.objects.filter(user_id=run.user_id, tmdb_account_id=run.account_id)
    gone = entries.filter(movie_id__in=movie_ids)
    note(run, "removed", gone.values_list("movie_id", "movie__title"))
    gone.delete()


def not_at_tmdb(run: Import) -> list[int]:
    """Movies of the user's list that the account's does not hold, as far as we know, and that nothing has queued."""
    entries = WatchlistEntry.objects.filter(user_id=run.user_id)
    entries = entries.exclude(tmdb_account_id__isnull=False, tmdb_account_id=run.account_id)
    queued = WatchlistWrite.objects.filter(user_id=run.user_id).values("movie_id")
    return list(entries.exclude(movie_id__in=queued).values_list("movie_id", flat=True))
