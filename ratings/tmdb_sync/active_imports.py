"""The imports in progress in one run: which are resumed, in which order they ask, and how each ends."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator

from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext_noop as _

from config.jobs.enqueue import async_task
from config.moments import ahead
from config.monitoring import metrics
from movies.details import failure_reason
from movies.models import Movie
from ratings.models import Import, Rating
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.progress_message import ProgressReporter
from ratings.tmdb_sync.user_import import (
    PROGRESS_FIELDS,
    ImportRequest,
    UserImport,
    begin,
    delete_past_imports,
    save_fields,
)
from users.models import SessionUnreadable, SyncStatus, User, UserQuerySet

log = logging.getLogger(__name__)


def queued_now() -> UserQuerySet:
    """Users whose import can go on at once."""
    waiting = Import.objects.running().filter(ahead("next_try_at", limits.RETRY_IMPORT_SECONDS))
    return User.objects.awaiting_import().exclude(pk__in=waiting.values("user_id"))


class ActiveImports:
    """Not thread-safe: used by the thread of the engine alone."""

    def __init__(self, reporter: ProgressReporter) -> None:
        self.finished = 0
        self._by_user: dict[int, UserImport] = {}
        self._rotation: deque[int] = deque()
        self._reporter = reporter

    def __iter__(self) -> Iterator[UserImport]:
        return iter(list(self._by_user.values()))

    def rotate(self) -> Iterator[UserImport]:
        """Each import once; the one that is yielded first comes last the next time."""
        for _n in range(len(self._rotation)):
            user_id = self._rotation[0]
            self._rotation.rotate(-1)
            yield self._by_user[user_id]

    def holds(self, request: ImportRequest) -> bool:
        """Whether the owner of the request is still being imported by the same UserImport."""
        return self._by_user.get(request.owner.run.user_id) is request.owner

    def add_queued(self) -> None:
        """Begin or resume the imports of users who were queued meanwhile."""
        room = limits.MAX_USERS - len(self._by_user)
        for user in queued_now().exclude(pk__in=list(self._by_user)).order_by("last_sync_at", "pk")[:room]:
            self._resume(user)

    def _resume(self, user: User) -> None:
        run = begin(user)
        if run is None:
            return
        if not user.connected:
            self.fail(run, "", _("There is no TMDb session: the person must /connect."))
            return
        try:
            active = UserImport(run, user)
        except SessionUnreadable as error:
            if cache.add("import:session-unreadable", True, 3600):
                log.error("imports fail: %s", error)
            # a fault of the operator's: a user who did not ask for this import is not notified
            self.fail(run, user.tmdb_session_id, str(error), silently=run.scheduled)
            return
        lacking = list(active.lacking_details().order_by("details_place", "pk").values_list("pk", flat=True))
        for first in range(0, len(lacking), limits.FILMS_IN_TURN):
            active.add_lacking(lacking[first : first + limits.FILMS_IN_TURN])
        self._by_user[user.pk] = active
        self._rotation.append(user.pk)
        self._reporter.notify(run.pk)

    def drop(self, active: UserImport) -> None:
        self._by_user.pop(active.run.user_id, None)
        if active.run.user_id in self._rotation:
            self._rotation.remove(active.run.user_id)

    def lock_user(self, run: Import) -> User | None:
        """The user's row, locked, or None where the import is no longer wanted (/disconnect, another account)."""
        user = User.objects.awaiting_import().lock(run.user_id)
        if user and user.connected and user.tmdb_account_id in (None, run.account_id):
            return user
        return None

    def finish_done(self) -> None:
        """Finish the imports that are read and whose movies have their details, or have failed to get them."""
        now = time.monotonic()
        for active in self:
            if active.is_read and now >= active.next_look_at:
                active.next_look_at = now + limits.LOOK_SECONDS
                if lacking := active.lacking_details().count():
                    self._show_progress(active, lacking)
                else:
                    self._finish(active)

    def _show_progress(self, active: UserImport, lacking: int) -> None:
        run = active.run
        run.movies_total = max(run.movies_total, lacking)
        if run.movies_done != run.movies_total - lacking:
            run.movies_done = run.movies_total - lacking
            run.failing_since, run.last_error = None, ""
            save_fields(run, ["movies_total", "movies_done", "failing_since", "last_error"])
            self._reporter.notify(run.pk)

    def _finish(self, active: UserImport) -> None:
        run, now = active.run, int(time.time())
        with transaction.atomic():
            user = self.lock_user(run)
            if user is None:
                self.cancel(active)
                return
            run.refresh_from_db(fields=["scheduled"])
            if run.incremental and not run.scheduled:
                # the user asked meanwhile: /sync reads everything
                run.incremental = run.account_read = False
                active.watchlist.begin_again()
                active.to_recommend = None
                save_fields(run, PROGRESS_FIELDS)
                return
            self.drop(active)
            self._name_failed(run)
            user.ratings_count = Rating.objects.filter(user_id=user.pk, tmdb_rating__isnull=False).count()
            user.sync_status, user.last_sync_at, user.sync_error = SyncStatus.IMPORTED, now, ""
            user.save(update_fields=["ratings_count", "sync_status", "last_sync_at", "sync_error"])
            run.finished_at, run.failing_since, run.last_error = now, None, ""
            # an import that the user did not ask for is reported only if it replaced a rating of theirs or removed many
            worth_telling = run.overridden or run.removed > limits.MAX_SMALL_REMOVAL
            run.reported_at = now if run.scheduled and not worth_telling else None
            run.movies_done = run.movies_total
            save_fields(run, [*PROGRESS_FIELDS, "finished_at", "reported_at"])
            delete_past_imports(user.pk)
            if user.watchlist_writes.exists():
                transaction.on_commit(lambda: async_task("ratings.tasks.write_watchlist", user.pk, save=False))
        metrics.increment("imports.done")
        seconds = time.monotonic() - active.began_at
        log.info("import of %s ratings for %s in %.1f s", run.ratings_done, run.user_id, seconds)
        self.finished += 1
        self._reporter.notify(run.pk, last=True)

    def _name_failed(self, run: Import) -> None:
        """Name the movies whose details TMDb failed to show meanwhile, and why."""
        tried = Movie.objects.filter(
            ratings__user_id=run.user_id, details_at=None, details_tried_at__gte=run.started_at
        )
        failed = tried.exclude(details_error="").order_by("pk")
        for movie_id, title, error in failed.values_list("pk", "title", "details_error"):
            run.note("failed", movie_id, title=title, reason=failure_reason(error))

    def fail(self, run: Import, encrypted_session: str, reason: str, silently: bool = False) -> None:
        """End an import that no retry would mend and notify the user, unless they have linked again meanwhile."""
        now = int(time.time())
        with transaction.atomic():
            queued = User.objects.filter(pk=run.user_id, sync_status=SyncStatus.QUEUED)
            if encrypted_session:
                queued = queued.filter(tmdb_session_id=encrypted_session)
            else:
                queued = queued.exclude(tmdb_session_id__gt="")  # a NULL, too
            if not queued.update(sync_status=SyncStatus.FAILED, sync_error=reason):
                return
            run.finished_at, run.error, run.reported_at = now, reason, now if silently else None
            save_fields(run, [*PROGRESS_FIELDS, "finished_at", "error", "reported_at"])
        metrics.count_failure("imports", reason)
        log.warning("import for %s failed: %s", run.user_id, reason)
        self.finished += 1
        self._reporter.notify(run.pk, last=True)

    def cancel(self, active: UserImport) -> None:
        """End an import that is not wanted any more. A user queued again, for another account, is polled later."""
        self.drop(active)
        now, run = int(time.time()), active.run
        Import.objects.running().filter(pk=run.pk).update(finished_at=now, reported_at=now, error=_("no longer wanted"))

    def record_error(self, active: UserImport, reason: str) -> None:
        run = active.run
        if run.failing_since is None or run.last_error != reason:
            run.failing_since, run.last_error = run.failing_since or int(time.time()), reason
            save_fields(run, ["failing_since", "last_error"])
            self._reporter.notify(run.pk)

    def record_error_for_all(self, reason: str) -> None:
        for active in self:
            self.record_error(active, reason)
