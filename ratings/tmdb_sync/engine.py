"""Imports of ratings from TMDb, of all queued users concurrently: the engine.

Threads do HTTP and nothing else; one thread, the caller's, decides what is asked next and writes what came, in short
transactions without HTTP. Users alternate request by request, so that 12,000 ratings do not hold up 30. The details of
the movies are read beside it (movies.details).

What is to be done stands in the tables (User.sync_status, Import, movies without details), so a process may die at any
moment: the next one resumes. A failure that may pass is retried with growing pauses that block no thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from django.core.cache import cache
from django.db import OperationalError, transaction
from django.utils.translation import gettext_noop as _

from config.database import async_commit_transaction
from config.jobs.enqueue import StopEvent, async_task
from config.jobs.locks import lock
from config.lock_order import is_lost
from movies import details, request_pool
from movies.parsing import MalformedAnswer
from movies.request_pool import CircuitBreaker, Probe, RequestPool
from movies.tmdb import BadRequest, KeyRefused, NotFound, SessionRefused, TMDbError, Unavailable
from ratings.models import Import
from ratings.recommendations import cold_start
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.active_imports import ActiveImports
from ratings.tmdb_sync.merge import follow_merged, merge_page
from ratings.tmdb_sync.pages import Page
from ratings.tmdb_sync.progress_message import ProgressReporter
from ratings.tmdb_sync.reader import NEWEST
from ratings.tmdb_sync.user_import import (
    PROGRESS_FIELDS,
    ImportRequest,
    Kind,
    UserImport,
    is_only_additions,
    save_fields,
)
from users.models import User

log = logging.getLogger(__name__)

LEASE = "ratings.import"

Watch = Callable[[Iterable[UserImport]], None]


def import_queued(seconds: float, stop: StopEvent | None = None, watch: Watch | None = None) -> int | None:
    """Import the ratings of all queued users, for so many seconds at most. Returns the number of users finished.

    None: another process is importing. `stop` ends the run early; `watch(imports)` is called now and then.
    """
    with lock(LEASE) as free:
        if not free:
            return None
        return Importer(seconds, stop or threading.Event(), watch).run()


class Importer:
    """One run, in one process."""

    def __init__(self, seconds: float, stop: StopEvent, watch: Watch | None) -> None:
        self.deadline = time.monotonic() + seconds
        self.stop, self.watch = stop, watch
        self.is_closing = False
        self.next_poll_at = 0.0
        self.posters_woken_at = -limits.POSTER_WAKE_UP_SECONDS
        self.reporter = ProgressReporter()
        self.imports = ActiveImports(self.reporter)
        self.details = details.DetailsThread()
        self.breaker = CircuitBreaker()
        self.pool: RequestPool[ImportRequest] = RequestPool("import", limits.THREADS)
        self.retries: list[ImportRequest] = []

    def run(self) -> int:
        self.pool.start()
        self.reporter.start()
        for run in Import.objects.unreported():
            self.reporter.notify(run.pk, last=True)
        try:
            self._loop()
        finally:
            self.details.stop()
            self.pool.stop()
            self.details.join()
            self.imports.finish_done()
            self.reporter.close()
        return self.imports.finished

    def _loop(self) -> None:
        closing_since = 0.0
        while True:
            now = time.monotonic()
            if now > self.deadline or self.stop.is_set():
                self.is_closing = True
            if self.is_closing:
                self.details.stop()
                closing_since = closing_since or now
                if not self.pool.in_progress or now > closing_since + request_pool.DRAIN_SECONDS:
                    break
                if now > closing_since + request_pool.DRAIN_SECONDS / 2 and not self.breaker.is_probing:
                    self._send_probe()  # are these answers slow, or is TMDb?
            else:
                if now >= self.next_poll_at:
                    self._poll()
                    self.next_poll_at = now + limits.POLL_SECONDS
                self._submit(now)
                if not self.pool.in_progress and self._is_idle(now):
                    break
            if received := self.pool.receive(timeout=0.05):
                self._take(*received)
            self.imports.finish_done()
        self._defer_remaining()

    def _poll(self) -> None:
        self.imports.add_queued()
        if self.watch:
            self.watch(self.imports)

    def _is_idle(self, now: float) -> bool:
        """Whether there is nothing to do now and nothing worth waiting for."""
        if self.breaker.is_open:
            return False  # a probe is to come
        waiting = [active for active in self.imports if active.is_read]
        if waiting and self.details.is_reading():
            return False
        if waiting and (error := details.error()):
            for active in waiting:
                self.imports.record_error(active, error)
        return not any(request.retry_at <= now + limits.MAX_IDLE_SECONDS for request in self.retries)

    def _defer_remaining(self) -> None:
        """Keep the next run from spending itself on what this one could not get.

        Users whom TMDb has failed are resumed by a later run; the others at once.
        """
        hanging = [request for request in self.pool.hanging() if isinstance(request, ImportRequest)]
        for request in hanging:
            self.imports.record_error(request.owner, "no answer")
        failing = {request.owner for request in [*self.retries, *hanging]}
        for active in self.imports:
            if active.run.failing_since and (active in failing or active.is_read or self.breaker.is_open):
                active.run.next_try_at = int(time.time()) + limits.RETRY_IMPORT_SECONDS
                save_fields(active.run, ["next_try_at"])

    # --- What is asked next

    def _submit(self, now: float) -> None:
        if self.breaker.is_open:
            self._probe(now)
            return
        for retry in [request for request in self.retries if request.retry_at <= now]:
            if self.pool.has_room:
                self.retries.remove(retry)
                if self.imports.holds(retry):
                    self.pool.send(retry)
        while self.pool.has_room and (request := self._next_request()):
            self.pool.send(request)

    def _next_request(self) -> ImportRequest | None:
        """The next request; users alternate."""
        return next(filter(None, (active.next_request() for active in self.imports.rotate())), None)

    def _probe(self, now: float) -> None:
        """Nothing has succeeded lately: send a probe, and end the run when none is answered."""
        if not self.breaker.probe_is_due(now):
            return
        if self.breaker.service_is_down(now):
            self.is_closing = True
            self.imports.record_error_for_all(_("TMDb does not answer"))
            return
        self._send_probe()

    def _send_probe(self) -> None:
        self.breaker.is_probing = True
        self.pool.send(Probe())

    # --- What came

    def _take(self, request: ImportRequest | Probe, answer: object) -> None:
        if isinstance(answer, KeyRefused):
            return self._key_refused(request, answer)
        if isinstance(answer, Unavailable) and not isinstance(answer, MalformedAnswer):
            self.breaker.record_failure()
        else:
            self.breaker.record_success()
        if isinstance(request, Probe):
            self.breaker.record_probe_answer()
        elif self.imports.holds(request):
            try:
                self._take_of(request, request.owner, answer)
            except OperationalError as error:
                if not is_lost(error):
                    raise
                log.warning("the import for %s is resumed: %s", request.owner.run.user_id, error)
                self.imports.drop(request.owner)  # what it holds in memory is not what was written

    def _take_of(self, request: ImportRequest, owner: UserImport, answer: object) -> None:
        owner.requested.discard((request.kind, request.key))
        if request.kind == Kind.RECOMMENDATIONS:
            self._take_recommendations(request, answer)
        elif request.kind == Kind.WATCHLIST and not isinstance(answer, SessionRefused):
            self._take_watchlist(request, owner, answer)
        elif isinstance(answer, TMDbError):
            self._account_or_page_failed(request, owner, answer)
        elif isinstance(answer, Page):
            self._take_page(request, owner, answer)
        elif isinstance(answer, int):
            self._take_account(request, owner, answer)

    def _key_refused(self, request: ImportRequest | Probe, error: KeyRefused) -> None:
        """A fault of the operator's: nothing is asked until the next run, and no import has failed."""
        self.is_closing = True
        if cache.add("tmdb:key-refused", True, 3600):
            log.error("imports wait: %s", error)
        self.imports.record_error_for_all(details.KEY_REFUSED)
        self.breaker.open()
        if isinstance(request, ImportRequest):
            request.owner.requested.discard((request.kind, request.key))

    def _retry(self, request: ImportRequest, error: TMDbError) -> None:
        """Make the request again after a pause that doubles."""
        now = time.monotonic()
        request.attempts += 1
        request.failed_at, request.failing_since = now, request.failing_since or now
        doubled = limits.FIRST_RETRY_SECONDS * 2 ** (request.attempts - 1)
        request.retry_at = now + (getattr(error, "retry_after", None) or min(doubled, limits.MAX_RETRY_SECONDS))
        request.owner.requested.add((request.kind, request.key))
        self.retries.append(request)

    def _take_recommendations(self, request: ImportRequest, answer: object) -> None:
        """Save what TMDb recommends for a movie that the user likes; without it the import goes on."""
        movie_id = int(request.key)
        if isinstance(answer, (list, NotFound, BadRequest)):
            cold_start.save_tmdb_recommendations(movie_id, answer if isinstance(answer, list) else [])
        elif isinstance(answer, TMDbError) and request.attempts + 1 < limits.MAX_ATTEMPTS:
            self._retry(request, answer)
        else:
            cold_start.postpone(movie_id)

    def _take_watchlist(self, request: ImportRequest, owner: UserImport, answer: object) -> None:
        """Merge a page of the watchlist; where TMDb answers otherwise but not this, the import goes on without it."""
        if isinstance(answer, Unavailable):
            is_down = self.breaker.last_success <= request.failing_since
            if request.attempts + 1 < limits.MAX_ATTEMPTS or is_down:
                self._retry(request, answer)
                return
        with async_commit_transaction():
            user = self.imports.lock_user(owner.run)
            if user is None:
                self.imports.cancel(owner)
                return
            owner.watchlist.take(user, request.key, answer)
            save_fields(owner.run, PROGRESS_FIELDS)
        self.reporter.notify(owner.run.pk)

    def _account_or_page_failed(self, request: ImportRequest, owner: UserImport, error: TMDbError) -> None:
        if isinstance(error, SessionRefused):
            self._session_refused(request, owner)
        elif isinstance(error, (NotFound, BadRequest)) and request.attempts + 1 >= limits.MAX_ATTEMPTS:
            self.imports.drop(owner)
            reason = f"TMDb does not know the account any more ({error})."
            self.imports.fail(owner.run, owner.encrypted_session, reason)
        else:
            self._retry(request, error)
            if request.kind == Kind.PAGE and self._page_is_hopeless(request, owner):
                self._give_up_page(request, owner)
            elif request.attempts >= limits.MAX_ATTEMPTS - 1:
                self.imports.record_error(owner, str(error))

    def _session_refused(self, request: ImportRequest, owner: UserImport) -> None:
        self.imports.drop(owner)
        user = User.objects.filter(pk=owner.run.user_id).first()
        if user and user.connected and user.tmdb_session_id != request.encrypted_session:
            return  # linked again meanwhile: the next poll resumes them with their new session
        reason = _("TMDb no longer accepts the session: the person must /connect again.")
        self.imports.fail(owner.run, request.encrypted_session, reason)

    def _take_account(self, request: ImportRequest, owner: UserImport, account_id: int) -> None:
        with transaction.atomic():
            same_session = User.objects.filter(pk=owner.run.user_id, tmdb_session_id=request.encrypted_session)
            same_session.update(tmdb_account_id=account_id)
            owner.run.account_id = account_id
            save_fields(owner.run, ["account_id"])

    def _take_page(self, request: ImportRequest, owner: UserImport, page: Page) -> None:
        run, now = owner.run, int(time.time())
        lacking: list[int] = []
        has_new_posters = False
        with async_commit_transaction():
            if self.imports.lock_user(run) is None:
                self.imports.cancel(owner)
                return
            follow_merged(page)
            if request.key == NEWEST and not is_only_additions(run, page):
                run.incremental = False
            else:
                lacking, has_new_posters = merge_page(run, page, now)
                owner.record_page(request.key, page)
            owner.add_lacking(lacking)
            run.failing_since, run.last_error, run.next_try_at = None, "", 0
            save_fields(run, PROGRESS_FIELDS)
        if lacking:
            self.details.is_reading()
        if has_new_posters and time.monotonic() >= self.posters_woken_at + limits.POSTER_WAKE_UP_SECONDS:
            self.posters_woken_at = time.monotonic()
            async_task("posters.tasks.download_posters")
        self.reporter.notify(run.pk)

    def _page_is_hopeless(self, request: ImportRequest, owner: UserImport) -> bool:
        """Whether TMDb, though it answers otherwise, has not given this page for hours."""
        since = owner.run.failing_since
        if not since or time.time() - since <= limits.GIVE_UP_PAGE_SECONDS:
            return False
        return self.breaker.last_success > request.failing_since

    def _give_up_page(self, request: ImportRequest, owner: UserImport) -> None:
        self.retries.remove(request)
        owner.requested.discard((request.kind, request.key))
        if not isinstance(request.key, int):  # the newest page alone
            owner.run.incremental = False
            return
        with transaction.atomic():
            if self.imports.lock_user(owner.run) is None or owner.reader.state["total_pages"] is None:
                return  # not even the first page came: there is nothing to go on with
            owner.reader.give_up_page(request.key)
            owner.finish_pass()
            save_fields(owner.run, PROGRESS_FIELDS)
