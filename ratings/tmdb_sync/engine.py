"""Imports of ratings from TMDb, of all queued users concurrently: the engine.

Threads do HTTP and nothing else; one thread, the caller's, decides what is asked next and writes what came, in short
transactions without HTTP. Users alternate request by request, so that 12,000 ratings do not hold up 30.

What is to be done stands in the tables (User.sync_status, Import, movies without details), so a process may die at any
moment: the next one resumes. A failure that may pass is retried with growing pauses that block no thread; when nothing
at all succeeds any more, a cheap request finds out whether TMDb is there (CircuitBreaker).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from django.core.cache import cache
from django.db import transaction
from django.utils.translation import gettext_noop as _

from config.jobs.enqueue import StopEvent
from config.jobs.locks import lock
from movies.models import Movie
from movies.parsing import MalformedAnswer
from movies.tmdb import BadRequest, KeyRefused, NotFound, SessionRefused, TMDbError, Unavailable
from ratings.models import Import
from ratings.tmdb_sync import limits
from ratings.tmdb_sync.active_imports import ActiveImports
from ratings.tmdb_sync.circuit_breaker import CircuitBreaker
from ratings.tmdb_sync.details import Details, async_commit_transaction
from ratings.tmdb_sync.merge import merge_page
from ratings.tmdb_sync.progress_message import ProgressReporter
from ratings.tmdb_sync.reader import NEWEST, Page
from ratings.tmdb_sync.removal import settle_missing
from ratings.tmdb_sync.request_pool import Answer, Kind, Request, RequestPool, RetryQueue
from ratings.tmdb_sync.user_import import (
    PROGRESS_FIELDS,
    UserImport,
    is_only_additions,
    save_fields,
    without_details,
)
from users.models import User

log = logging.getLogger(__name__)

LEASE = "ratings.import"
KEY_REFUSED = _("TMDb refuses TMDB_API_KEY")

Watch = Callable[[Iterable[UserImport]], None]


def import_queued(seconds: float, stop: StopEvent | None = None, watch: Watch | None = None) -> int | None:
    """Import the ratings of all queued users, for so many seconds at most. Returns the number of users finished.

    None: another process is importing. `stop` ends the run early; `watch(imports)` is called now and then with those in
    progress.
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
        self.reporter = ProgressReporter()
        self.imports = ActiveImports(self.reporter)
        self.details = Details(self.imports)
        self.breaker = CircuitBreaker()
        self.pool = RequestPool()
        self.retries = RetryQueue()

    def run(self) -> int:
        self.pool.start()
        self.reporter.start()
        self.details.load_backfill()
        for run in Import.objects.unreported():
            self.reporter.notify(run.pk, last=True)
        try:
            self._loop()
        finally:
            self.pool.stop()
            self.reporter.close()
            self.pool.join()
        return self.imports.finished

    def _loop(self) -> None:
        closing_since = 0.0
        while True:
            now = time.monotonic()
            if now > self.deadline or self.stop.is_set():
                self.is_closing = True
            if self.is_closing:
                closing_since = closing_since or now
                if not self.pool.in_progress or now > closing_since + limits.DRAIN_SECONDS:
                    break
                if now > closing_since + limits.DRAIN_SECONDS / 2 and not self.breaker.is_probing:
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
            self.details.save_if_due(nothing_in_progress=not self.pool.in_progress)
            self.imports.finish_done()
        self.details.save()
        self.imports.finish_done()
        self._defer_remaining()

    def _poll(self) -> None:
        self.imports.add_queued()
        if self.watch:
            self.watch(self.imports)

    def _is_idle(self, now: float) -> bool:
        """Whether there is nothing to do now and nothing worth waiting for."""
        if self.details.is_pending or any(active.is_done for active in self.imports):
            return False
        if self.breaker.is_open:
            return False  # a probe is to come
        return not self.retries.has_before(now + limits.MAX_IDLE_SECONDS)

    def _defer_remaining(self) -> None:
        """Keep the next run from spending itself on what this one could not get.

        Movies that have failed, or hang, while TMDb answers otherwise are given up for now. Users whom TMDb has failed
        are resumed by a later run; the others at once.
        """
        failing: set[UserImport] = set()
        now = time.monotonic()
        hanging = [request for request in self.pool.in_progress if now - request.sent_at >= limits.DRAIN_SECONDS]
        for request in [*self.retries, *hanging]:
            latest = max(request.failed_at, request.sent_at)
            answers = not self.breaker.is_open and self.breaker.last_success > latest
            if isinstance(request.key, int) and request.kind == Kind.DETAILS:
                if (request in hanging or request.attempts > 1) and answers:
                    self.details.give_up(request.key, Unavailable(f"/movie/{request.key}: no answer"))
            elif request.owner:
                failing.add(request.owner)
                if request in hanging:
                    self.imports.record_error(request.owner, "no answer")
        self.imports.finish_done()
        for active in self.imports:
            if active.run.failing_since and (active in failing or self.breaker.is_open):
                active.run.next_try_at = int(time.time()) + limits.RETRY_IMPORT_SECONDS
                save_fields(active.run, ["next_try_at"])

    # --- What is asked next

    def _submit(self, now: float) -> None:
        if self.breaker.is_open:
            self._probe(now)
            return
        while self.pool.has_room and (retry := self.retries.pop_due(now)):
            if retry.owner is None or self.imports.holds(retry):
                self.pool.send(retry)
        while self.pool.has_room and (request := self._next_request()):
            self.pool.send(request)

    def _next_request(self) -> Request | None:
        """The next request; users alternate."""
        for active in self.imports.rotate():
            request = active.next_account_request()
            if request is None and not active.is_reading():
                request = self.details.next_request(active)
            if request:
                return request
        return self.details.next_backfill_request()

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
        self.pool.send(Request(Kind.PROBE, Kind.PROBE, lambda tmdb: tmdb.check_key()))

    # --- What came

    def _take(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, KeyRefused):
            self._key_refused(request, answer)
            return
        if isinstance(answer, Unavailable) and not isinstance(answer, MalformedAnswer):
            self.breaker.record_failure()
        else:
            self.breaker.record_success()
        owner = request.owner
        if request.kind == Kind.PROBE:
            self.breaker.record_probe_answer()
        elif owner is None:
            self._take_details(request, answer)
        elif self.imports.holds(request):
            owner.requested.discard(request.key)
            if isinstance(answer, TMDbError):
                self._account_or_page_failed(request, owner, answer)
            elif isinstance(answer, Page):
                self._take_page(request, owner, answer)
            elif isinstance(answer, int):
                self._take_account(request, owner, answer)

    def _key_refused(self, request: Request, error: KeyRefused) -> None:
        """A fault of the operator's: nothing is asked until the next run, and no import has failed."""
        self.is_closing = True
        if cache.add("import:key-refused", True, 3600):
            log.error("imports wait: %s", error)
        self.imports.record_error_for_all(KEY_REFUSED)
        self.breaker.open()
        if request.owner:
            request.owner.requested.discard(request.key)

    def _take_details(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, Movie):
            self.details.add(answer)
        elif isinstance(answer, TMDbError) and isinstance(request.key, int):
            answered_since = self.breaker.last_success > request.failed_at
            if isinstance(answer, NotFound) or (request.attempts + 1 >= limits.MAX_ATTEMPTS and answered_since):
                self.details.give_up(request.key, answer)
                return
            self.retries.add(request, answer)
            if request.attempts >= limits.MAX_ATTEMPTS:
                self.breaker.open()  # is it the movie, or TMDb? the probe tells

    def _account_or_page_failed(self, request: Request, owner: UserImport, error: TMDbError) -> None:
        if isinstance(error, SessionRefused):
            self._session_refused(request, owner)
        elif isinstance(error, (NotFound, BadRequest)) and request.attempts + 1 >= limits.MAX_ATTEMPTS:
            self.imports.drop(owner)
            reason = f"TMDb does not know the account any more ({error})."
            self.imports.fail(owner.run, owner.encrypted_session, reason)
        else:
            self.retries.add(request, error)
            owner.requested.add(request.key)
            if request.kind == Kind.PAGE and self._page_is_hopeless(request, owner):
                self._give_up_page(request, owner)
            elif request.attempts >= limits.MAX_ATTEMPTS - 1:
                self.imports.record_error(owner, str(error))

    def _session_refused(self, request: Request, owner: UserImport) -> None:
        self.imports.drop(owner)
        user = User.objects.filter(pk=owner.run.user_id).first()
        if user and user.connected and user.tmdb_session_id != request.encrypted_session:
            return  # linked again meanwhile: the next poll resumes them with their new session
        reason = _("TMDb no longer accepts the session: the person must /connect again.")
        self.imports.fail(owner.run, request.encrypted_session, reason)

    def _take_account(self, request: Request, owner: UserImport, account_id: int) -> None:
        with transaction.atomic():
            same_session = User.objects.filter(pk=owner.run.user_id, tmdb_session_id=request.encrypted_session)
            same_session.update(tmdb_account_id=account_id)
            owner.run.account_id = account_id
            save_fields(owner.run, ["account_id"])

    def _take_page(self, request: Request, owner: UserImport, page: Page) -> None:
        run, now = owner.run, int(time.time())
        missing: list[int] = []
        has_new_posters = False
        with async_commit_transaction():
            if self.imports.lock_user(run) is None:
                self.imports.cancel(owner)
                return
            if request.key == NEWEST and not is_only_additions(run, page):
                run.incremental = False
            else:
                missing, has_new_posters = merge_page(run, page, now)
                record_page(request, owner, page)
            owner.add_missing(without_details(missing))
            run.failing_since, run.last_error, run.next_try_at = None, "", 0
            save_fields(run, PROGRESS_FIELDS)
        if has_new_posters:
            self.details.enqueue_posters()
        self.reporter.notify(run.pk)

    def _page_is_hopeless(self, request: Request, owner: UserImport) -> bool:
        """Whether TMDb, though it answers otherwise, has not given this page for hours."""
        since = owner.run.failing_since
        if not since or time.time() - since <= limits.GIVE_UP_PAGE_SECONDS:
            return False
        return self.breaker.last_success > request.failing_since

    def _give_up_page(self, request: Request, owner: UserImport) -> None:
        self.retries.remove(request)
        owner.requested.discard(request.key)
        if not isinstance(request.key, int):  # the newest page alone
            owner.run.incremental = False
            return
        with transaction.atomic():
            if self.imports.lock_user(owner.run) is None or owner.reader.state["total_pages"] is None:
                return  # not even the first page came: there is nothing to go on with
            owner.reader.give_up_page(request.key)
            finish_pass(owner)
            save_fields(owner.run, PROGRESS_FIELDS)


def record_page(request: Request, owner: UserImport, page: Page) -> None:
    """Save that a page was read; after the last one, delete what is no longer there."""
    run = owner.run
    run.total_results = page.total
    if not isinstance(request.key, int):  # the newest page alone
        run.account_read, run.ratings_done = True, page.total
        return
    first = owner.reader.record_page(request.key, page)
    if first and owner.reader.state["pass"] == 1:
        run.ratings_done = min(run.ratings_done + len(page.movie_ids), page.total)
    finish_pass(owner)


def finish_pass(owner: UserImport) -> None:
    run, reader = owner.run, owner.reader
    if not reader.is_finished():
        return
    if not settle_missing(run, reader, int(time.time())):
        reader.start()
        return
    run.account_read, run.beyond_api_limit = True, reader.beyond_api_limit
    run.ratings_done = reader.state["total_results"] or 0
