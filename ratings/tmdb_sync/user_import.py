"""The import of one user: its row, its place in the account, and what is still to be asked for it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext_noop as _

from movies.models import Movie
from ratings.models import Import, Rating
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.reader import NEWEST, AccountReader, Page, read_page
from ratings.tmdb_sync.request_pool import Kind, Request, RequestKey
from users.models import SyncStatus, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from movies.tmdb import TMDb

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
        self.requested: set[RequestKey] = set()  # pages, and the account's id, that are being asked for
        self.to_request: deque[int] = deque()  # movies whose details are to be asked for
        self.missing: set[int] = set()  # rated movies without details, whether this import asks for them or another

    @property
    def is_done(self) -> bool:
        return self.run.account_read and not self.missing and not self.requested

    def add_missing(self, movie_ids: Iterable[int]) -> None:
        """Have the details of these movies asked for; the slow refresh of movies leaves them alone for a while."""
        new = [movie_id for movie_id in movie_ids if movie_id not in self.missing]
        if new:
            now = int(time.time())
            due = Movie.objects.filter(id__in=new, details_tried_at__lt=now - limits.REFRESH_GRACE_SECONDS)
            due.update(details_tried_at=now)
        self.to_request.extend(new)
        self.missing.update(new)
        self.run.movies_total += len(new)

    def next_account_request(self) -> Request | None:
        """The next request for the account's id or a page of its ratings."""
        run = self.run
        if run.account_id is None:
            return None if Kind.ACCOUNT in self.requested else self._account_request()
        if run.account_read:
            return None
        if run.incremental:
            return None if NEWEST in self.requested else self._page_request(run.account_id, NEWEST, -1)
        for number in self.reader.pages_to_read():
            if number not in self.requested:
                return self._page_request(run.account_id, number, number)
        return None

    def is_reading(self) -> bool:
        """Whether details have to wait: a page or the account's id comes first."""
        return self.run.account_id is None or (self.run.incremental and not self.run.account_read)

    def _account_request(self) -> Request:
        self.requested.add(Kind.ACCOUNT)
        session_id = self.session_id
        return Request(Kind.ACCOUNT, Kind.ACCOUNT, lambda tmdb: tmdb.account(session_id), self, self.encrypted_session)

    def _page_request(self, account_id: int, key: RequestKey, number: int) -> Request:
        self.requested.add(key)
        session_id = self.session_id
        sort_by = "created_at.asc" if number > 0 else "created_at.desc"

        def call(tmdb: TMDb) -> Page:
            return read_page(tmdb.rated_movies(account_id, session_id, abs(number), sort_by), abs(number))

        return Request(Kind.PAGE, key, call, self, self.encrypted_session)


def save_fields(run: Import, fields: list[str]) -> None:
    """Write these fields of an import, if it is still there: the user may have deleted their account."""
    Import.objects.filter(pk=run.pk).update(**{name: getattr(run, name) for name in fields})


def begin(user: User, scheduled: bool = False, incremental: bool = False) -> Import | None:
    """The unfinished import of a queued user: the one that was interrupted, or a new one. None: they are not queued."""
    with transaction.atomic():
        locked = User.objects.select_for_update().filter(pk=user.pk, sync_status=SyncStatus.QUEUED).first()
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


def without_details(movie_ids: QuerySet[Any, Any] | list[int]) -> list[int]:
    """Of these movies (ids, or a query), the ids of those whose details are to be asked for now."""
    missing = Movie.objects.filter(id__in=movie_ids, details_at=None)
    return list(missing.exclude(details_failure__next_try_at__gt=int(time.time())).values_list("id", flat=True))


def delete_past_imports(user_id: int) -> None:
    past = Import.objects.filter(user_id=user_id).order_by("-pk").values_list("pk", flat=True)
    Import.objects.filter(pk__in=list(past[limits.MAX_PAST_IMPORTS : limits.MAX_PAST_IMPORTS + 100])).delete()
