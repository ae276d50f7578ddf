"""The import of one user: its row, its place in the account, and what is still to be asked for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext_noop as _

from movies.models import Movie, MovieQuerySet, PosterPriority
from movies.parsing import parse_movies
from movies.request_pool import Request
from ratings.models import Import, Rating
from ratings.recommendations.cold_start import best_liked_to_fetch
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.pages import Page, read_page
from ratings.tmdb_sync.reader import NEWEST, AccountReader
from ratings.tmdb_sync.removal import settle_missing
from ratings.watchlist.reading import WatchlistReading
from users.models import User

if TYPE_CHECKING:
    from movies.tmdb import TMDb


class Kind(StrEnum):
    ACCOUNT = "account"
    PAGE = "page"
    WATCHLIST = "watchlist"
    RECOMMENDATIONS = "recommendations"


RequestKey = int | str  # the number of a page or the id of a movie; what there is only one of: its name


@dataclass(eq=False, kw_only=True)
class ImportRequest(Request):
    """One request of an import. Times are of time.monotonic()."""

    kind: Kind
    key: RequestKey
    owner: UserImport
    encrypted_session: str = ""  # the owner's, as it was then
    attempts: int = 0  # failed ones
    failed_at: float = 0.0
    failing_since: float = 0.0
    retry_at: float = 0.0


# What the engine writes of an unfinished import; the rest (scheduled, message_id, reported_at) others write meanwhile.
PROGRESS_FIELDS = [
    "reader_state",
    "account_read",
    "complete",
    "incremental",
    "total_results",
    "beyond_api_limit",
    "ratings_done",
    "movies_total",
    "movies_done",
    "added",
    "changed",
    "removed",
    "overridden",
    "left_out",
    "failed",
    "names",
    "watchlist",
    "failing_since",
    "last_error",
    "next_try_at",
]


class UserImport:
    """An import in progress. Raises SessionUnreadable where the user's session cannot be decrypted."""

    def __init__(self, run: Import, user: User) -> None:
        self.run = run
        self.encrypted_session, self.session_id = user.tmdb_session_id, user.session_id
        self.reader = AccountReader(run.reader_state)
        self.watchlist = WatchlistReading(run)
        self.requested: set[tuple[Kind, RequestKey]] = set()  # what is being asked for
        self.to_recommend: deque[int] | None = None  # liked movies to ask TMDb about; None: not yet known
        self.lacking: set[int] = set()  # rated movies that lacked details when they were found
        self.read_before = run.movies_done  # by the run that was interrupted
        self.next_look_at = 0.0
        self.began_at = time.monotonic()  # in this process

    @property
    def is_read(self) -> bool:
        """Whether all has been asked for; details of movies may still be missing."""
        read = self.run.account_read and self.watchlist.is_read and not self.requested
        return read and self.to_recommend is not None and not self.to_recommend

    def lacking_details(self) -> MovieQuerySet:
        """Movies whose details the import waits for."""
        return Movie.objects.lacking_details().filter(ratings__user_id=self.run.user_id)

    def add_lacking(self, movie_ids: list[int]) -> None:
        """Have these movies' details read; imports take turns of many films, the one with the fewest ratings first."""
        turn = len(self.lacking) // limits.FILMS_IN_TURN * limits.FILMS_IN_TURN
        place = turn + min(self.run.total_results, limits.FILMS_IN_TURN - 1)
        Movie.objects.filter(id__in=movie_ids).prioritize_details(PosterPriority.IMPORT, place)
        self.lacking.update(movie_ids)
        self.run.movies_total = self.read_before + len(self.lacking)

    def next_request(self) -> ImportRequest | None:
        """The next request: for the account's id, a page of its ratings or watchlist, what goes with a liked movie."""
        run = self.run
        if run.account_id is None:
            return self._request(Kind.ACCOUNT, Kind.ACCOUNT, lambda tmdb: tmdb.account(self.session_id))
        if run.account_read:
            return self._next_page(Kind.WATCHLIST, self.watchlist.pages_to_read()) or self._next_recommendations()
        numbers = self.reader.pages_to_read()
        return self._next_page(Kind.PAGE, [(NEWEST, -1)] if run.incremental else [(n, n) for n in numbers])

    def _request(self, kind: Kind, key: RequestKey, call: Callable[[TMDb], object]) -> ImportRequest | None:
        if (kind, key) in self.requested:
            return None
        self.requested.add((kind, key))
        return ImportRequest(call, kind=kind, key=key, owner=self, encrypted_session=self.encrypted_session)

    def _next_recommendations(self) -> ImportRequest | None:
        if self.to_recommend is None:
            self.to_recommend = deque(best_liked_to_fetch(self.run.user_id))
        if not self.to_recommend:
            return None
        movie_id = self.to_recommend.popleft()
        return self._request(Kind.RECOMMENDATIONS, movie_id, lambda tmdb: parse_movies(tmdb.recommendations(movie_id)))

    def _next_page(self, kind: Kind, pages: list[tuple[RequestKey, int]]) -> ImportRequest | None:
        """A request for the first of these pages, (key, number), that is not being asked for."""
        account_id = self.run.account_id
        asked = ((key, number) for key, number in pages if (kind, key) not in self.requested)
        key, number = next(asked, (None, 0))
        if key is None or account_id is None:
            return None
        sort_by = "created_at.asc" if number > 0 else "created_at.desc"

        def call(tmdb: TMDb) -> Page:
            read = tmdb.watchlist if kind == Kind.WATCHLIST else tmdb.rated_movies
            return read_page(read(account_id, self.session_id, abs(number), sort_by), abs(number))

        return self._request(kind, key, call)

    def record_page(self, key: RequestKey, page: Page) -> None:
        """Save that a page was read; after the last one, delete what is no longer there."""
        run = self.run
        run.total_results = page.total
        if not isinstance(key, int):  # the newest page alone
            run.account_read, run.ratings_done = True, page.total
            return
        first = self.reader.record_page(key, page)
        if first and self.reader.state["pass"] == 1:
            run.ratings_done = min(run.ratings_done + len(page.movie_ids), page.total)
        self.finish_pass()

    def finish_pass(self) -> None:
        run, reader = self.run, self.reader
        if not reader.is_finished():
            return
        if not settle_missing(run, reader, int(time.time())):
            reader.start()
            return
        run.account_read, run.beyond_api_limit = True, reader.beyond_api_limit
        run.ratings_done = reader.state["total_results"] or 0


def save_fields(run: Import, fields: list[str]) -> None:
    """Write these fields of an import, if it is still there: the user may have deleted their account."""
    Import.objects.filter(pk=run.pk).update(**{name: getattr(run, name) for name in fields})


def begin(user: User, scheduled: bool = False, incremental: bool = False) -> Import | None:
    """The unfinished import of a queued user: the one that was interrupted, or a new one. None: they are not queued."""
    with transaction.atomic():
        locked = User.objects.awaiting_import().lock(user.pk)
        if locked is None:
            return None
        run = Import.objects.running().filter(user=locked).first()
        message_id = None
        if run and run.account_id not in (None, locked.tmdb_account_id):
            now = int(time.time())
            Import.objects.filter(pk=run.pk).update(
                finished_at=now, reported_at=now, error=_("another account was linked")
            )
            message_id, run = run.message_id, None
        return run or Import.objects.create(
            user=locked,
            account_id=locked.tmdb_account_id,
            scheduled=scheduled,
            incremental=incremental,
            started_at=int(time.time()),
            message_id=message_id,
        )


def may_be_incremental(user_id: int) -> bool:
    """Whether the newest page alone can show that nothing changed: within a week of a pass over the whole account.

    A changed rating keeps its place in created_at order, so page one and the total say nothing about older ratings:
    those changes come with the weekly pass, or with /sync, which always reads everything.
    """
    past = Import.objects.filter(user_id=user_id, error="", finished_at__isnull=False)
    recent = past.filter(incremental=False, started_at__gt=int(time.time()) - limits.FULL_READ_SECONDS)
    whole = recent.order_by("-pk").first()
    return bool(whole and whole.consistent and not whole.reader_state.get("unconfirmed"))


def is_only_additions(run: Import, page: Page) -> bool:
    """Whether the newest page and the total show that no rating was deleted, and that this page holds all new ones.

    The last import left `total_results` ratings. Additions stand at the head of created_at.desc: if just as many new
    movies as the total grew by stand there, followed by a known one, none was deleted.
    """
    last = Import.objects.filter(user_id=run.user_id, error="", finished_at__isnull=False).order_by("-pk").first()
    if last is None:
        return False
    movie_ids = [movie_id for movie_id in page.movie_ids if movie_id is not None]
    rated = Rating.objects.filter(user_id=run.user_id, movie_id__in=movie_ids)
    known = set(rated.values_list("movie_id", flat=True))
    new = 0
    while new < len(movie_ids) and movie_ids[new] not in known:
        new += 1
    others_known = len(movie_ids) == len(page.movie_ids) and all(movie_id in known for movie_id in movie_ids[new:])
    return others_known and page.total == last.total_results + new and (new < len(movie_ids) or page.pages <= 1)


def delete_past_imports(user_id: int) -> None:
    past = Import.objects.filter(user_id=user_id).order_by("-pk").values_list("pk", flat=True)
    Import.objects.filter(pk__in=list(past[limits.MAX_PAST_IMPORTS : limits.MAX_PAST_IMPORTS + 100])).delete()
