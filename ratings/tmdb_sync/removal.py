"""What a reading of the account no longer finds: nothing is removed before a second reading says the same.

A few ratings: one more reading in the same run. More than a few, all of them, or a reading that contradicts itself (a
movie twice, a total that does not fit): the next complete reading, an hour later or more. What is removed is kept for
30 days: it comes back as it was when TMDb shows it again, and the user may put it back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from django.db import transaction

from config.jobs.enqueue import async_task
from ratings.models import Import, PendingWrite, Rating, RemovedRating, Source, normalize
from ratings.recommendations.dismissals import undismiss
from ratings.tmdb_sync import limits
from users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models.query import QuerySet

    from ratings.tmdb_sync.pages import Row
    from ratings.tmdb_sync.reader import AccountReader


class Past(NamedTuple):
    """What earlier readings of the same account say."""

    never_listed: int  # how many ratings TMDb counts but lists on no page, as of the last that found all that we knew
    unconfirmed: Unconfirmed | None  # what the last complete one left to be confirmed
    is_first: bool  # there are none, only of another account: what is missing was rated there


class Unconfirmed(TypedDict):
    """Ratings that a complete reading has not found and that wait for a later one (reader_state["unconfirmed"])."""

    movie_ids: list[int]
    since: int  # UNIX seconds


class Verdict(NamedTuple):
    """What a pass over a list says of the movies that it has not found."""

    gone: set[int]  # that are surely gone
    read_again: bool  # whether the list has to be read once more


def settle_missing(run: Import, reader: AccountReader, now: int) -> bool:
    """At the end of a pass: remove what is surely gone. Returns False where the account has to be read once more.

    None of it came to TMDb on a page that had been read: while an import runs, the outbox sends nothing.
    """
    state = run.reader_state
    found = Rating.objects.filter(user_id=run.user_id, seen_in_pass=run.pass_id).count()
    run.complete = state["consistent"] and found + len(state["skipped"]) >= int(state["total_results"] or 0)
    missing = set(not_in_pass(run).values_list("movie_id", flat=True))
    past = _past_readings(run) if missing else Past(0, None, False)
    verdict = judge(reader, found, missing, past, now)
    if verdict.gone:
        _remove(run, verdict.gone, now)
    return not verdict.read_again


def judge(reader: AccountReader, found: int, missing: set[int], past: Past, now: int) -> Verdict:
    """Which of the `missing` movies are gone, at the end of a pass that has found `found` of ours.

    Keeps in the reader's state what waits for a later reading.
    """
    state = reader.state
    first = state.pop("not_found", None)  # by the first reading of this run
    total, seen = int(state["total_results"] or 0), found + len(state["skipped"])
    if not state["consistent"] or (reader.beyond_api_limit and seen < total):
        return Verdict(set(), False)
    gone: set[int] = set()
    excess = total - seen - past.never_listed  # that TMDb counts and has not shown; ours may be among them
    if excess < len(missing):
        waiting = past.unconfirmed
        if waiting and not missing.issuperset(waiting["movie_ids"]):
            waiting = None
        if waiting and now - waiting["since"] >= limits.CONFIRM_REMOVAL_SECONDS:
            gone.update(waiting["movie_ids"])
            waiting = None
        left = missing - gone
        is_large = not found or len(left) > limits.MAX_SMALL_REMOVAL
        is_contradictory = seen > total or excess > 0 or reader.repeats_movies(seen)
        if left and (is_large or is_contradictory) and not past.is_first:
            state["unconfirmed"] = waiting or Unconfirmed(movie_ids=sorted(left), since=now)
        elif left and first is None:
            state["not_found"] = sorted(left)
            return Verdict(gone, True)
        elif left:
            gone.update(left.intersection(first))
    if gone.issuperset(missing):
        state["never_listed"] = max(0, total - seen)
    return Verdict(gone, False)


def not_in_pass(run: Import) -> QuerySet[Rating]:
    """Ratings that we know to be at TMDb and that the present pass over the account has not found."""
    ratings = Rating.objects.filter(user_id=run.user_id, tmdb_rating__isnull=False)
    return ratings.exclude(seen_in_pass=run.pass_id)


def _past_readings(run: Import) -> Past:
    past = Import.objects.filter(user_id=run.user_id).exclude(pk=run.pk)
    same = past.filter(account_id=run.account_id, account_read=True)
    states = list(same.order_by("-pk").values_list("reader_state", flat=True))
    is_first = not states and past.exclude(account_id=run.account_id).exists()
    return past_of(states)._replace(is_first=is_first)


def past_of(states: list[dict[str, Any]]) -> Past:
    """What earlier readings say, by their readers' states, the latest first."""
    never_listed = next((int(state["never_listed"]) for state in states if "never_listed" in state), 0)
    unconfirmed = next((state.get("unconfirmed") for state in states if state.get("consistent")), None)
    if unconfirmed:
        unconfirmed["since"] = min(unconfirmed["since"], int(time.time()))  # the clock may have been set back
    return Past(never_listed, unconfirmed, False)


def _remove(run: Import, movie_ids: Iterable[int], now: int) -> None:
    """Remove these of the missing ratings, unless the user made them here: those lose only what TMDb held."""
    missing = not_in_pass(run).filter(movie_id__in=list(movie_ids))
    kept = [
        RemovedRating(
            user_id=run.user_id,
            movie_id=rating.movie_id,
            tmdb_rating=rating.tmdb_rating,
            rated_at=rating.rated_at,
            source=rating.source,
            removed_at=now,
        )
        for rating in missing
        if rating.tmdb_rating is not None  # not_in_pass() has seen to it; for mypy
    ]
    RemovedRating.objects.bulk_create(
        kept,
        update_conflicts=True,
        unique_fields=["user", "movie"],
        update_fields=["tmdb_rating", "rated_at", "source", "removed_at"],
    )
    gone = missing.filter(source=Source.TMDB)
    for movie_id, title in gone.values_list("movie_id", "movie__title"):
        run.note("removed", movie_id, title=title)
    run.reader_state["removed_at"] = now
    gone.delete()
    missing.update(tmdb_rating=None)


def take_shown_again(run: Import, rows: list[Row]) -> dict[int, RemovedRating]:
    """Of these rows, the ratings that were removed lately and that TMDb shows again as they were, by movie.

    What was rated or taken back here meanwhile has TMDb's value for its base again.
    """
    shown = {row.movie.id: row.rating for row in rows if row.rating is not None}
    kept = RemovedRating.objects.filter(user_id=run.user_id, movie_id__in=list(shown))
    again = {one.movie_id: one for one in kept if one.tmdb_rating == shown[one.movie_id]}
    for movie_id, one in again.items():
        mine = {"user_id": run.user_id, "movie_id": movie_id}
        Rating.objects.filter(**mine, tmdb_rating=None).update(tmdb_rating=one.tmdb_rating)
        PendingWrite.objects.filter(**mine, rating=None, base=None).update(base=one.tmdb_rating)
    kept.delete()
    return {movie_id: one for movie_id, one in again.items() if one.source == Source.TMDB}


@transaction.atomic
def put_back(user_id: int, removed_at: int) -> int:
    """Put back what an import removed at this time, as the user's own ratings, and send it to TMDb if they want that.

    Returns how many; what was rated here meanwhile stays as it is.
    """
    user = User.objects.lock(user_id)
    if user is None:
        return 0
    kept = RemovedRating.objects.filter(user=user, removed_at=removed_at, source=Source.TMDB)
    rated = set(Rating.objects.filter(user=user).values_list("movie_id", flat=True))
    again = [one for one in kept if one.movie_id not in rated]
    Rating.objects.bulk_create(
        [
            Rating(
                user=user,
                movie_id=one.movie_id,
                manual_rating=one.tmdb_rating,
                normalized_rating=normalize(one.tmdb_rating),
                rated_at=one.rated_at,
                source=Source.MANUAL,
            )
            for one in again
        ],
        ignore_conflicts=True,
    )
    undismiss(user_id, *(one.movie_id for one in again))
    if again and user.connected and user.writes_ratings:
        writes = [PendingWrite(user=user, movie_id=one.movie_id, rating=one.tmdb_rating) for one in again]
        PendingWrite.objects.bulk_create(writes, ignore_conflicts=True)
        transaction.on_commit(lambda: async_task("ratings.tasks.write_ratings", user_id, save=False))
    kept.delete()
    return len(again)


def delete_expired() -> None:
    """Delete what was removed more than 30 days ago."""
    RemovedRating.objects.filter(removed_at__lt=int(time.time()) - limits.KEEP_REMOVED_SECONDS).delete()
