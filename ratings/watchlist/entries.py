"""Putting movies on a user's list and taking them off: the rows, and what TMDb has to hear.

Whoever changes a list holds the lock of the user's row, as for ratings.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from django.db import transaction

from config.jobs.enqueue import async_task
from ratings.watchlist.models import WatchlistEntry, WatchlistWrite
from users.models import User

if TYPE_CHECKING:
    from ratings.models import Import

WRITE_FIELDS = ["wanted", "tmdb_account_id", "attempts", "next_try_at", "error", "refused"]
MAX_NAMES = 50  # movies of a kind that an import names
BATCH_SIZE = 200  # SQLite may take no more than 999 values in a statement


def is_on_watchlist(user_id: int, movie_id: int) -> bool:
    return WatchlistEntry.objects.filter(user_id=user_id, movie_id=movie_id).exists()


@transaction.atomic
def set_wanted(user: User, movie_id: int, wanted: bool) -> bool:
    """Have the movie on the user's list, or not; returns whether that changed anything."""
    user = User.objects.lock(user.pk) or user
    if wanted:
        return bool(add(user, {movie_id: int(time.time())}))
    return bool(take_off(user, [movie_id]))


@transaction.atomic
def put_back(user: User, movie_id: int, added_at: int, place: int) -> None:
    """Have a movie that has just been taken off on the user's list again, where it stood."""
    user = User.objects.lock(user.pk) or user
    if add(user, {movie_id: added_at}):
        WatchlistEntry.objects.filter(user=user, movie_id=movie_id).update(place=place)


def add(user: User, added_at: Mapping[int, int]) -> int:
    """Put movies on the list, {movie id: UNIX seconds}; returns how many are new there. The caller holds the lock."""
    known = WatchlistEntry.objects.filter(user=user, movie_id__in=list(added_at))
    new = sorted(set(added_at) - set(known.values_list("movie_id", flat=True)))
    pending = WatchlistWrite.objects.select_for_update().filter(user=user, movie_id__in=new).order_by("movie_id")
    writes = {write.movie_id: write for write in pending}  # locked: none is claimed by the outbox meanwhile
    # taken off here a moment ago, and TMDb has not been asked yet: there nothing has changed
    still_there = {
        movie_id: write.tmdb_account_id
        for movie_id, write in writes.items()
        if not write.wanted and not write.attempts and write.tmdb_account_id == user.tmdb_account_id
    }
    WatchlistEntry.objects.bulk_create(
        [
            WatchlistEntry(
                user=user, movie_id=movie_id, added_at=added_at[movie_id], tmdb_account_id=still_there.get(movie_id)
            )
            for movie_id in new
        ],
        ignore_conflicts=True,
        batch_size=BATCH_SIZE,
    )
    WatchlistWrite.objects.filter(user=user, movie_id__in=list(still_there)).delete()
    queue_additions(user, [movie_id for movie_id in new if movie_id not in still_there])
    return len(new)


def take_off(user: User, movie_ids: Iterable[int]) -> set[int]:
    """Take movies off the list, as the user's own change; returns those that were on it. The caller holds the lock."""
    mine = {"user": user, "movie_id__in": list(movie_ids)}
    entries = list(WatchlistEntry.objects.filter(**mine))
    if not entries:
        return set()
    pending = WatchlistWrite.objects.select_for_update().filter(**mine).order_by("movie_id")
    under_way = {write.movie_id for write in pending if write.wanted and write.attempts}
    WatchlistEntry.objects.filter(user=user, movie_id__in=[entry.movie_id for entry in entries]).delete()
    WatchlistWrite.objects.filter(user=user, movie_id__in=[entry.movie_id for entry in entries]).delete()
    known = {entry.movie_id: entry.tmdb_account_id for entry in entries if entry.tmdb_account_id}
    # TMDb may have heard of an addition whose answer did not come; the attempt keeps add() from relying on it
    unsure = {entry.movie_id: user.tmdb_account_id for entry in entries if entry.movie_id in under_way - known.keys()}
    removals = [
        WatchlistWrite(
            user=user, movie_id=movie_id, wanted=False, tmdb_account_id=account_id, attempts=int(movie_id in unsure)
        )
        for movie_id, account_id in (known | unsure).items()
        if account_id
    ]
    queue(user, removals)
    return {entry.movie_id for entry in entries}


def queue_additions(user: User, movie_ids: Iterable[int]) -> None:
    """Queue movies of the list for TMDb; without a link, the import that follows linking does it."""
    if user.connected and user.writes_ratings:
        queue(user, [WatchlistWrite(user=user, movie_id=movie_id, wanted=True) for movie_id in movie_ids])
    else:
        WatchlistWrite.objects.filter(user=user, movie_id__in=list(movie_ids)).delete()


def queue(user: User, writes: list[WatchlistWrite]) -> None:
    """Queue the end states for TMDb, in place of earlier writes of the same movies, and wake the worker."""
    if not writes:
        return
    WatchlistWrite.objects.bulk_create(
        writes,
        update_conflicts=True,
        unique_fields=["user", "movie"],
        update_fields=WRITE_FIELDS,
        batch_size=BATCH_SIZE // 2,
    )
    if user.connected and user.writes_ratings:
        transaction.on_commit(lambda: async_task("ratings.tasks.write_watchlist", user.pk, save=False))


# --- What an import does


def take_off_rated(run: Import, movie_ids: list[int]) -> None:
    """Take off what the user has rated at TMDb, which has taken it off there; name what they had added here since."""
    mine = {"user_id": run.user_id, "movie_id__in": movie_ids}
    entries = WatchlistEntry.objects.filter(**mine)
    added_here = entries.exclude(tmdb_account_id__isnull=False, tmdb_account_id=run.account_id)
    note(run, "overridden", added_here.values_list("movie_id", "movie__title"))
    if entries.delete()[0]:
        WatchlistWrite.objects.filter(**mine, wanted=True).delete()


def note(run: Import, kind: str, movies: Iterable[tuple[int, str]]) -> None:
    """Count movies (id, title) under `kind`, each once, and name them for the report."""
    named: dict[str, str] = run.watchlist.setdefault(f"{kind}_films", {})
    for movie_id, title in movies:
        if str(movie_id) not in named:
            run.watchlist[kind] = run.watchlist.get(kind, 0) + 1
            if len(named) < MAX_NAMES:
                named[str(movie_id)] = title
