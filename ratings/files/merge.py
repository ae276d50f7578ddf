"""Merging rows of a file into a user's ratings, and taking a whole file back, each inside the caller's transaction.

A rating from a file is the user's own (`manual`), as if given in the chat, unless TMDb holds just that value: then only
its date is corrected. Where the movie is rated otherwise here, the later rating counts; an unknown time is earlier than
any. Of several rows of one movie, the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from movies.merging import successors
from ratings.files.matching import Match
from ratings.files.rows import Purpose, Row, Scale
from ratings.models import FileChange, FileImport, FileRow, PendingWrite, Rating, Source, normalize
from ratings.recommendations.dismissals import undismiss
from ratings.watchlist.entries import add, take_off
from ratings.watchlist.models import WatchlistEntry

if TYPE_CHECKING:
    from users.models import User

DAY_SECONDS = 86_400
UNKNOWN_TIME = 0  # Rating.rated_at of a row without a readable date
RATING_FIELDS = ["tmdb_rating", "manual_rating", "normalized_rating", "rated_at", "source"]
WRITE_FIELDS = ["rating", "base", "attempts", "next_try_at", "error"]
SILENT = ("no_film", "unrated", "repeated")  # reasons that are only counted


class Outcome(StrEnum):
    """What a row has done; the keys of FileImport.outcome, together with Row.skip_reason and FileRow.State."""

    ADDED = "added"
    CHANGED = "changed"
    DATED = "dated"  # the rating was here already, and now has its true date
    SAME = "same"
    REPEATED = "repeated"  # the film had a rating of this file already
    KEPT = "kept"  # the rating here is otherwise, and not earlier
    WANTED = "wanted"  # put on the watchlist
    WANTED_SAME = "wanted_same"  # on the watchlist already
    WANTED_RATED = "wanted_rated"  # rated, so it has been seen


class Writer:
    """Changes ratings of the file's user and queues them for TMDb, together at `save`. The user's row is locked."""

    def __init__(self, user: User, movie_ids: Iterable[int]) -> None:
        self.user, self.user_id, self.writes = user, user.pk, user.connected and user.writes_ratings
        wanted = {"user_id": user.pk, "movie_id__in": set(movie_ids)}
        ratings = Rating.objects.select_for_update().filter(**wanted).order_by("movie_id")
        pending = PendingWrite.objects.select_for_update().filter(**wanted).order_by("movie_id")
        self.ratings: dict[int, Rating | None] = {rating.movie_id: rating for rating in ratings}
        self.pending = {write.movie_id: write for write in pending}
        self.changed: set[int] = set()
        self.to_write: dict[int, PendingWrite] = {}
        self.obsolete: set[int] = set()  # movies whose pending write is to be deleted
        self.gone: set[int] = set()  # movies that `save` took off the watchlist: they have been seen

    def set(self, movie_id: int, value: Decimal, rated_at: int) -> None:
        at_tmdb = self.value_at_tmdb(movie_id)
        same = value == at_tmdb
        self.ratings[movie_id] = Rating(
            user_id=self.user_id,
            movie_id=movie_id,
            tmdb_rating=at_tmdb,
            manual_rating=None if same else value,
            normalized_rating=normalize(value),
            rated_at=rated_at,
            source=Source.TMDB if same else Source.MANUAL,
        )
        self.changed.add(movie_id)
        self.queue(movie_id, value, at_tmdb)

    def delete(self, movie_id: int) -> None:
        at_tmdb = self.value_at_tmdb(movie_id)
        self.ratings[movie_id] = None
        self.changed.add(movie_id)
        write = self.pending.get(movie_id)
        self.queue(movie_id, None, at_tmdb, needless=at_tmdb is None and not (write and write.attempts))

    def value_at_tmdb(self, movie_id: int) -> Decimal | None:
        """TMDb's value, also of a rating deleted here, but not yet there."""
        rating, pending = self.ratings.get(movie_id), self.pending.get(movie_id)
        if rating:
            return rating.tmdb_rating
        return pending.base if pending and pending.rating is None else None

    def queue(self, movie_id: int, value: Decimal | None, base: Decimal | None, needless: bool = False) -> None:
        if not self.writes or needless or (value is not None and value == base):
            self.to_write.pop(movie_id, None)
            self.obsolete.add(movie_id)
        else:
            self.obsolete.discard(movie_id)
            self.to_write[movie_id] = PendingWrite(user_id=self.user_id, movie_id=movie_id, rating=value, base=base)

    def save(self) -> None:
        """Write all that changed, in the order of the movies' ids, so that two writers never wait for each other."""
        kept = [rating for movie_id in sorted(self.changed) if (rating := self.ratings[movie_id])]
        gone = [movie_id for movie_id in self.changed if not self.ratings[movie_id]]
        Rating.objects.bulk_create(
            kept, update_conflicts=True, unique_fields=["user", "movie"], update_fields=RATING_FIELDS
        )
        Rating.objects.filter(user_id=self.user_id, movie_id__in=gone).delete()
        undismiss(self.user_id, *(rating.movie_id for rating in kept))
        self.gone = take_off(self.user, [rating.movie_id for rating in kept])
        PendingWrite.objects.filter(user_id=self.user_id, movie_id__in=self.obsolete).delete()
        PendingWrite.objects.bulk_create(
            [self.to_write[movie_id] for movie_id in sorted(self.to_write)],
            update_conflicts=True,
            unique_fields=["user", "movie"],
            update_fields=WRITE_FIELDS,
        )


class Merge(Writer):
    """Merges rows into the ratings of the file's user."""

    def __init__(self, file: FileImport, user: User, matches: Mapping[int, Match]) -> None:
        self.file, self.matches = file, matches  # {id(row): Match}
        movie_ids = {match.movie_id for match in matches.values() if match.movie_id}
        super().__init__(user, movie_ids)
        own = FileChange.objects.filter(file_id=file.pk, movie_id__in=movie_ids, after__isnull=False)
        self.own = dict(own.values_list("movie_id", "after"))  # what this file has set already
        self.before = {movie_id: snapshot(rating) for movie_id, rating in self.ratings.items() if rating}
        self.file_rows: list[FileRow] = []
        listed = WatchlistEntry.objects.filter(user=user, movie_id__in=movie_ids)
        self.listed = dict(listed.values_list("movie_id", "added_at"))
        self.to_list: dict[int, int] = {}  # {movie id: UNIX seconds}

    def take(self, rows: list[Row], overwrite: bool = False) -> None:
        for row in rows:
            match = self.matches.get(id(row), Match())
            if row.skip_reason in SILENT:
                self.file.count(row.skip_reason)
            elif row.skip_reason or (row.value is None and row.purpose is not Purpose.WANTED):
                self.ask(row, row.skip_reason or "odd_rating")
            elif match.movie_id is None:
                self.ask(row, FileRow.State.UNSURE if match.candidates else FileRow.State.NOT_FOUND, match.candidates)
            elif row.value is None:
                self.file.count(self.want(match.movie_id, row))
            else:
                here = self.ratings.get(match.movie_id)
                outcome = self.rate(match.movie_id, row, row.value, overwrite)
                if outcome == Outcome.KEPT and here:
                    self.ask(row, FileRow.State.KEPT, (match.movie_id,), here=str(here.value))
                else:
                    self.file.count(outcome)
        self.save()

    def ask(self, row: Row, state: str, candidates: tuple[int, ...] = (), **more: Any) -> None:
        self.file.count(state)
        data = row_data(row) | more
        self.file_rows.append(
            FileRow(file_id=self.file.pk, position=row.position, state=state, data=data, candidates=list(candidates))
        )

    def rate(self, movie_id: int, row: Row, value: Decimal, overwrite: bool) -> Outcome:
        """Change the rating of the row's movie where the row's counts."""
        rating = self.ratings.get(movie_id)
        if rating is None:
            self.set_row(movie_id, row, value)
            return Outcome.ADDED
        own = self.own.get(movie_id) == rating.value
        if own and is_earlier(row.at or UNKNOWN_TIME, rating.rated_at, row.whole_day):
            return Outcome.REPEATED  # a viewing that the user has decided about after a later one
        if rating.value == value:
            known = row.at is not None and (not rating.rated_at or is_earlier(row.at, rating.rated_at, row.whole_day))
            if not known or own:
                return Outcome.REPEATED if own else Outcome.SAME
            rating.rated_at = row.at or UNKNOWN_TIME
            self.changed.add(movie_id)
            self.own[movie_id] = value
            return Outcome.DATED
        if overwrite or own or (row.at is not None and is_earlier(rating.rated_at, row.at, row.whole_day)):
            self.set_row(movie_id, row, value)
            return Outcome.REPEATED if own else Outcome.CHANGED
        return Outcome.KEPT

    def want(self, movie_id: int, row: Row) -> Outcome:
        """Put the row's movie on the watchlist, unless it is there or has been seen."""
        if self.ratings.get(movie_id):
            return Outcome.WANTED_RATED
        if movie_id in self.listed or movie_id in self.to_list:
            return Outcome.WANTED_SAME
        self.to_list[movie_id] = row.at or self.file.sent_at
        return Outcome.WANTED

    def set_row(self, movie_id: int, row: Row, value: Decimal) -> None:
        self.set(movie_id, value, row.at or UNKNOWN_TIME)
        if movie_id in self.to_write and movie_id not in self.own:
            self.file.found["written"] = self.file.found.get("written", 0) + 1
        self.own[movie_id] = value

    def save(self) -> None:
        super().save()
        add(self.user, self.to_list)
        rated = {movie_id: after for movie_id in self.changed if (after := self.own.get(movie_id)) is not None}
        FileChange.objects.bulk_create(
            [self.change(movie_id, rated.get(movie_id)) for movie_id in sorted({*rated, *self.to_list})],
            update_conflicts=True,
            unique_fields=["file", "movie"],
            update_fields=["after"],
        )
        FileRow.objects.bulk_create(self.file_rows, ignore_conflicts=True)

    def change(self, movie_id: int, after: Decimal | None) -> FileChange:
        change = FileChange(file_id=self.file.pk, movie_id=movie_id, before=self.before.get(movie_id), after=after)
        if movie_id in self.gone:
            change.watchlist, change.wanted_since = FileChange.Watchlist.TAKEN_OFF, self.listed.get(movie_id, 0)
        elif movie_id in self.to_list:
            change.watchlist = FileChange.Watchlist.ADDED
        return change


def take_back(user: User, changes: list[FileChange]) -> tuple[int, int]:
    """Give ratings that a file set the value they had, unless they have changed since, and the watchlist its films.

    Returns how many ratings, and how many films of the watchlist.
    """
    writer = Writer(user, [change.movie_id for change in changes])
    listed = [change.movie_id for change in changes if change.watchlist == FileChange.Watchlist.ADDED]
    gone = take_off(user, listed)
    for change in changes:
        rating = writer.ratings.get(change.movie_id)
        if rating is None or change.after is None or rating.value != change.after:
            continue
        if change.before is None:
            writer.delete(change.movie_id)
        else:
            before = {name: change.before[name] for name in ("manual_rating", "tmdb_rating")}
            value = Decimal(before["manual_rating"] or before["tmdb_rating"])
            writer.set(change.movie_id, value, change.before["rated_at"])
    writer.save()
    back = {
        change.movie_id: change.wanted_since
        for change in changes
        if change.watchlist == FileChange.Watchlist.TAKEN_OFF and not writer.ratings.get(change.movie_id)
    }
    return len(writer.changed), len(gone) + add(user, back)


def snapshot(rating: Rating) -> dict[str, Any]:
    """What `take_back` needs of a rating."""
    manual = rating.value if rating.source == Source.MANUAL or rating.tmdb_rating is None else None
    tmdb = rating.tmdb_rating
    return {
        "manual_rating": None if manual is None else str(manual),
        "tmdb_rating": None if tmdb is None else str(tmdb),
        "rated_at": rating.rated_at,
    }


def row_data(row: Row) -> dict[str, Any]:
    """A row as JSON."""
    return asdict(row) | {name: None if (value := getattr(row, name)) is None else str(value) for name in DECIMALS}


def row_from(data: Mapping[str, Any]) -> Row:
    """The row that `row_data` made JSON of, to be rated now."""
    fields = {name: data[name] for name in Row.__slots__ if name in data}
    row = Row(**fields | {name: data[name] and Decimal(data[name]) for name in DECIMALS})
    row.purpose, row.scale, row.skip_reason = Purpose(row.purpose), Scale(row.scale), ""
    return row


def candidates_of(file_row: FileRow) -> list[int]:
    """The movies among which the user chooses, by the ids that TMDb has for them now."""
    merged = successors(file_row.candidates)
    return list(dict.fromkeys(merged.get(movie_id, movie_id) for movie_id in file_row.candidates))


DECIMALS = ("points", "value")


def is_earlier(one: int, other: int, whole_days: bool) -> bool:
    """Whether one time (UNIX seconds) comes before another; where only the days are known, on an earlier day."""
    return one // DAY_SECONDS < other // DAY_SECONDS if whole_days else one < other
