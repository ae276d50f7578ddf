"""Ratings in from TMDb, for everybody who waits, side by side: the engine.

Threads do HTTP and nothing else; one thread, the caller's, decides what is asked next and writes what came, in short
transactions without HTTP. People take turns request by request, so that 12,000 ratings do not hold up 30. A film that
several of them rated is asked for once.

What is to be done stands in the tables (User.sync_status, Import, films without details), so a process may die at any
moment: the next one goes on where it was. A failure that may pass is tried again with growing pauses that block no
thread; when nothing at all succeeds any more, one cheap question finds out whether TMDb is there.
"""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from django.core.cache import cache
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.utils.translation import gettext_noop as _

from config.jobs.enqueue import async_task
from config.jobs.locks import lock
from config.monitoring import metrics
from config.monitoring.logs import with_correlation_id
from movies.catalogue import Malformed, fetch_movie, save_movies
from movies.models import Movie, PosterNeed
from movies.tmdb import KeyRefused, NotFound, Refused, SessionRefused, TMDb, TMDbError, Unavailable
from ratings.models import DetailsFailure, Import, Rating
from ratings.tmdb_sync.merge import drop_gone, merge_page, unseen
from ratings.tmdb_sync.progress_message import Teller
from ratings.tmdb_sync.reader import Crawl, read_page
from users.models import SessionUnreadable, SyncStatus, User

if TYPE_CHECKING:
    from django.db.models.query import QuerySet

    from ratings.tmdb_sync.reader import Page
    from users.models import UserQuerySet

log = logging.getLogger(__name__)

Watch = Callable[[Iterable["Person"]], None]

LEASE = "ratings.import"
THREADS = 16  # of the 20 connections TMDb takes from one address; the rest is for the chat and the posters
PEOPLE = 200  # imported side by side
LOOK = 1.0  # seconds between two looks for newly queued people
BATCH = 50  # details written at once
LINGER = 0.5  # seconds that details wait for a full batch
DRAIN = 5.0  # seconds that the end of a slice leaves to requests under way
TRIES = 4  # of a film, or of a page TMDb refuses, before that is taken for its answer
FIRST_PAUSE = 0.5  # seconds between two tries; then twice as long
LONGEST_PAUSE = 30.0
SOON = 5.0  # seconds that a slice waits for a next try; what comes later is left to the next sweep
PROBE_PAUSE = 1.0  # seconds between two signs of life asked for; then twice as long
SILENCE = 4  # failures in a row after which nothing more is asked until TMDb gives a sign of life
AWAY = 15.0  # seconds without one, and the slice ends
PAGE_PATIENCE = 6 * 3600  # seconds after which an import does without a page that TMDb will not give
AGAIN = 20  # seconds until a sweep takes up an import that TMDb has failed
GONE_FOR = 7 * 86_400  # seconds until a film that TMDb does not have is asked for again; then twice as long
BROKEN_FOR = 600  # the same for one that TMDb cannot show; then three times as long
LONGEST_BREAK = 60 * 86_400
HANDS_OFF = 43_200  # seconds of the day for which the refresh leaves a film alone that was tried
WEEK = 7 * 86_400
PAST_IMPORTS = 10  # kept of each person
KEY_REFUSED = _("TMDb refuses TMDB_API_KEY")
POSTER_BELL = 15.0  # seconds between two rings of the poster worker's bell


@dataclass(eq=False)
class Job:
    """One question to TMDb. `ask` runs in a thread and must not touch the tables."""

    kind: str
    key: object
    ask: Callable
    person: Person | None = None
    sealed: str = ""
    tries: int = 0
    failed_at: float = 0.0
    failing_since: float = 0.0
    sent_at: float = field(default=0.0)


class Person:
    """Somebody whose import is under way in this slice."""

    def __init__(self, run: Import, user: User) -> None:
        self.run = run
        self.take_session(user)
        self.crawl = Crawl(run.crawl)
        self.out = set()  # pages being asked for
        self.films = deque()  # to be asked for
        self.lacking = set()  # rated films without details, whoever asks for them

    def take_session(self, user: User) -> None:
        self.sealed, self.session_id = user.tmdb_session_id, user.session_id

    def lacks(self, films: list[Any | int]) -> None:
        """Have the details of these films asked for; the slow refresh of films keeps its hands off them for a while."""
        fresh = [film for film in films if film not in self.lacking]
        if fresh:
            now = int(time.time())
            Movie.objects.filter(id__in=fresh, details_tried_at__lt=now - HANDS_OFF).update(details_tried_at=now)
        self.films.extend(fresh)
        self.lacking.update(fresh)
        self.run.films_total += len(fresh)

    @property
    def done(self) -> bool:
        return self.run.crawled and not self.lacking and not self.out


def import_queued(seconds: float, stop: threading.Event | None = None, watch: Watch | None = None) -> int | None:
    """Import everybody who is queued, for so many seconds at most. Returns the number of people finished.

    None: another process is at it. `stop` is an Event that ends the slice early; `watch(people)` is called now and
    then with those under way.
    """
    with lock(LEASE) as free:
        if not free:
            return None
        return Importer(seconds, stop or threading.Event(), watch).work()


def queued_now() -> UserQuerySet:
    """People for whom there is something to do at once."""
    waiting = Import.objects.running().filter(next_try_at__gt=int(time.time()))
    return User.objects.awaiting_import().exclude(pk__in=waiting.values("user_id"))


class Importer:
    """One slice of work, in one process."""

    def __init__(self, seconds: float, stop: threading.Event, watch: Watch | None) -> None:
        self.deadline = time.monotonic() + seconds
        self.stop, self.watch = stop, watch
        self.people = {}
        self.turns = deque()
        self.asked = set()  # films asked for in this slice
        self.spare = deque()  # films nobody waits for: their details failed some time ago
        self.fetched, self.fetched_since = [], 0.0
        self.later, self.order = [], count()
        self.inbox, self.outbox = queue.SimpleQueue(), queue.SimpleQueue()
        self.under_way = set()  # jobs in the threads' hands
        self.look_at = 0.0
        self.failures, self.last_success, self.silent_since = 0, 0.0, 0.0
        self.probe_at, self.probe_pause, self.probing = 0.0, PROBE_PAUSE, False
        self.closing = False
        self.rung_at = -POSTER_BELL
        self.finished = 0
        self.teller = Teller()

    # --- The loop

    def work(self) -> int:
        threads = [
            threading.Thread(target=with_correlation_id(self.ask), daemon=True, name=f"import-{n}")
            for n in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        self.teller.start()
        self.find_spare_films()
        for run in Import.objects.untold():
            self.teller.poke(run.pk, last=True)
        try:
            self.loop()
        finally:
            for _thread in threads:
                self.inbox.put(None)
            self.teller.close()
            for thread in threads:
                thread.join(0.2 if self.under_way else None)  # one that still hangs ends by itself
        return self.finished

    def loop(self) -> None:
        closed_at = None
        while True:
            now = time.monotonic()
            if now > self.deadline or self.stop.is_set():
                self.closing = True
            if self.closing:
                closed_at = closed_at or now
                if not self.under_way or now > closed_at + DRAIN:
                    break
                if now > closed_at + DRAIN / 2 and not self.probing:
                    self.send_probe()  # do these answers take their time, or does TMDb?
            else:
                if now >= self.look_at:
                    self.look_for_people()
                    self.look_at = now + LOOK
                self.submit(now)
                if not self.under_way and self.nothing_soon(now):
                    break
            try:
                job, answer = self.outbox.get(timeout=0.05)
            except queue.Empty:
                pass
            else:
                self.under_way.discard(job)
                self.take(job, answer)
            if self.fetched and (len(self.fetched) >= BATCH or self.since_fetched() > LINGER or not self.under_way):
                self.save_fetched()
            self.finish_people()
        self.save_fetched()
        self.finish_people()
        self.leave_the_rest()

    def since_fetched(self) -> float:
        return time.monotonic() - self.fetched_since

    def nothing_soon(self, now: float) -> bool:
        """Whether there is nothing to do now and nothing worth waiting for."""
        if self.fetched or self.spare or any(person.done for person in self.people.values()):
            return False
        if self.failures >= SILENCE:
            return False  # a probe is to come
        return not self.later or self.later[0][0] > now + SOON

    def leave_the_rest(self) -> None:
        """See that the next slice does not spend itself on what this one could not get.

        Films that have failed, or hang, while TMDb answers otherwise are given up for now. Whoever TMDb has failed is
        taken up by a later sweep; the others at once.
        """
        failing = set()
        retries = [job for _when, _number, job in self.later]
        hanging = [job for job in self.under_way if time.monotonic() - job.sent_at >= DRAIN]
        for job in retries + hanging:
            answers = self.failures < SILENCE and self.last_success > max(job.failed_at, job.sent_at)
            if job.kind == "film" and (job in hanging or job.tries > 1) and answers:
                self.give_up(job, Unavailable(f"/movie/{job.key}: no answer"), BROKEN_FOR, 3)
            elif job.person:
                failing.add(job.person.run.user_id)
                if job in hanging:
                    self.trouble(job.person, "no answer")
        self.finish_people()
        for user_id, person in self.people.items():
            if person.run.trouble_since and (user_id in failing or self.failures >= SILENCE):
                person.run.next_try_at = int(time.time()) + AGAIN
                keep(person.run, ["next_try_at"])

    # --- People

    def look_for_people(self) -> None:
        """Take up those who were queued meanwhile."""
        room = PEOPLE - len(self.people)
        for user in queued_now().exclude(pk__in=list(self.people)).order_by("last_sync_at", "pk")[:room]:
            self.take_up(user)
        if self.watch:
            self.watch(self.people.values())

    def take_up(self, user: User) -> None:
        run = begin(user)
        if run is None:
            return
        if not user.connected:
            self.fail(run, "", _("There is no TMDb session: the person must /connect."))
            return
        try:
            person = Person(run, user)
        except SessionUnreadable as error:
            if cache.add("import:session-unreadable", True, 3600):
                log.error("imports fail: %s", error)
            # the operator's affair: who did not ask for this import hears nothing of it
            self.fail(run, user.tmdb_session_id, str(error), silently=run.scheduled)
            return
        lacking = films_without_details(Rating.objects.filter(user_id=user.pk).values("movie_id"))
        run.films_total = run.films_done  # those still lacking are added
        person.lacks(lacking)
        self.people[user.pk] = person
        self.turns.append(user.pk)
        self.teller.poke(run.pk)

    def drop(self, person: Person) -> None:
        self.people.pop(person.run.user_id, None)
        if person.run.user_id in self.turns:
            self.turns.remove(person.run.user_id)

    def finish_people(self) -> None:
        for person in [person for person in self.people.values() if person.done]:
            self.finish(person)

    def lock(self, run: Import) -> User:
        """The person's row, locked, or None where the import is no longer wanted (/disconnect, another account)."""
        user = User.objects.select_for_update().filter(pk=run.user_id, sync_status=SyncStatus.QUEUED).first()
        if user and user.connected and user.tmdb_account_id in (None, run.account_id):
            return user
        return None

    def finish(self, person: Person) -> None:
        run, now = person.run, int(time.time())
        with transaction.atomic():
            user = self.lock(run)
            if user is None:
                self.drop(person)
                self.cancel(run)
                return
            run.refresh_from_db(fields=["scheduled"])
            if run.quick and not run.scheduled:
                # somebody asked meanwhile: /sync reads everything
                run.quick = run.crawled = False
                keep(run, PROGRESS)
                return
            self.drop(person)
            user.ratings_count = Rating.objects.filter(user_id=user.pk, tmdb_rating__isnull=False).count()
            user.sync_status, user.last_sync_at, user.sync_error = SyncStatus.IMPORTED, now, ""
            user.save(update_fields=["ratings_count", "sync_status", "last_sync_at", "sync_error"])
            run.finished_at, run.trouble_since, run.trouble = now, None, ""
            # a person hears of an import they did not ask for only if it took something of theirs back
            run.told_at = now if run.scheduled and not run.overridden else None
            run.films_done = run.films_total
            keep(run, [*PROGRESS, "finished_at", "told_at"])
            forget_past_imports(user.pk)
        metrics.increment("imports.done")
        self.finished += 1
        self.teller.poke(run.pk, last=True)

    def fail(self, run: Import, sealed: str, reason: str, silently: bool = False) -> None:
        """No further try will mend it: say so, once, unless they have linked anew meanwhile."""
        now = int(time.time())
        with transaction.atomic():
            queued = User.objects.filter(pk=run.user_id, sync_status=SyncStatus.QUEUED, tmdb_session_id=sealed)
            if not queued.update(sync_status=SyncStatus.FAILED, sync_error=reason):
                return
            run.finished_at, run.error, run.told_at = now, reason, now if silently else None
            keep(run, [*PROGRESS, "finished_at", "error", "told_at"])
        metrics.count_failure("imports", reason)
        log.info("import of %s failed: %s", run.user_id, reason)
        self.finished += 1
        self.teller.poke(run.pk, last=True)

    def cancel(self, run) -> None:
        """The import is not wanted any more. Who is queued again, for another account, is found by the next look."""
        now = int(time.time())
        Import.objects.running().filter(pk=run.pk).update(finished_at=now, told_at=now, error=_("no longer wanted"))

    # --- What is asked next

    def submit(self, now: float) -> None:
        if self.failures >= SILENCE:
            self.probe(now)
            return
        while self.later and self.later[0][0] <= now and len(self.under_way) < THREADS:
            job = heapq.heappop(self.later)[2]
            if job.person is None or self.people.get(job.person.run.user_id) is job.person:
                self.send(job)
        while len(self.under_way) < THREADS and (job := self.next_job()):
            self.send(job)

    def send(self, job: Job) -> None:
        job.sent_at = time.monotonic()
        self.under_way.add(job)
        self.inbox.put(job)

    def next_job(self) -> Job | None:
        """The next question, each person having one in turn."""
        for _turn in range(len(self.turns)):
            user_id = self.turns[0]
            self.turns.rotate(-1)
            if job := self.job_of(self.people[user_id]):
                return job
        while self.spare:
            if (film := self.spare.popleft()) not in self.asked:
                return self.film_job(film)
        return None

    def job_of(self, person: Person) -> Job | None:
        run = person.run
        if run.account_id is None:
            return None if "account" in person.out else self.account_job(person)
        if not run.crawled:
            if run.quick:
                return None if "newest" in person.out else self.page_job(person, "newest", -1)
            for number in person.crawl.to_read():
                if number not in person.out:
                    return self.page_job(person, number, number)
        while person.films:
            film = person.films.popleft()
            if film in person.lacking and film not in self.asked:
                return self.film_job(film)
        return None

    def account_job(self, person: Person) -> Job:
        person.out.add("account")
        session_id = person.session_id
        return Job("account", "account", lambda tmdb: tmdb.account(session_id), person, person.sealed)

    def page_job(self, person: Person, key: int, number: int) -> Job:
        person.out.add(key)
        account_id, session_id = person.run.account_id, person.session_id
        sort_by = "created_at.asc" if number > 0 else "created_at.desc"

        def ask(tmdb):
            return read_page(tmdb.rated_movies(account_id, session_id, abs(number), sort_by), abs(number))

        return Job("page", key, ask, person, person.sealed)

    def film_job(self, film: int) -> Job:
        self.asked.add(film)
        return Job("film", film, lambda tmdb: fetch_movie(film, tmdb))

    def probe(self, now) -> None:
        """Nothing has succeeded lately: ask for a sign of life, and end the slice when there is none."""
        self.silent_since = self.silent_since or now
        if self.probing or now < self.probe_at:
            return
        if now > self.silent_since + AWAY:
            self.closing = True
            self.trouble_for_all(_("TMDb does not answer"))
            return
        self.send_probe()

    def send_probe(self) -> None:
        self.probing = True
        self.send(Job("probe", None, lambda tmdb: tmdb.check_key()))

    def ask(self) -> None:
        """A thread: question in, answer or error out."""
        tmdb = TMDb()
        tmdb.attempts = 1  # the loop tries again, and no thread waits for that
        try:
            for job in iter(self.inbox.get, None):
                try:
                    answer = job.ask(tmdb)
                except TMDbError as error:
                    answer = error
                except Exception as error:  # no thread may end with a job in its hands
                    log.exception("%s %s cannot be asked for", job.kind, job.key)
                    answer = Unavailable(f"{job.kind} {job.key}: {type(error).__name__}")
                self.outbox.put((job, answer))
        finally:
            connections.close_all()

    # --- What came

    def take(self, job: Job, answer: Any) -> None:
        if isinstance(answer, KeyRefused):
            self.key_refused(job, answer)
            return
        if isinstance(answer, Unavailable) and not isinstance(answer, Malformed):
            self.failures += 1
        else:
            self.failures, self.silent_since, self.probe_pause = 0, 0.0, PROBE_PAUSE
            self.last_success = time.monotonic()
        if job.kind == "probe":
            self.probing = False
            self.probe_at = time.monotonic() + self.probe_pause
            self.probe_pause *= 2
        elif job.kind == "film":
            self.film_came(job, answer)
        elif self.people.get(job.person.run.user_id) is job.person:
            job.person.out.discard(job.key)
            self.account_or_page_came(job, answer)

    def key_refused(self, job, error: Exception) -> None:
        """The operator's affair: nothing is asked until the next sweep, and nobody's import has failed."""
        self.closing = True
        if cache.add("import:key-refused", True, 3600):
            log.error("imports wait: %s", error)
        self.trouble_for_all(KEY_REFUSED)
        self.failures = SILENCE
        if job.person:
            job.person.out.discard(job.key)

    def account_or_page_came(self, job: Job, answer: NotFound | int | Unavailable | Malformed | Page) -> None:
        person = job.person
        if isinstance(answer, SessionRefused):
            self.session_refused(job, answer)
        elif isinstance(answer, (NotFound, Refused)) and job.tries + 1 >= TRIES:
            self.drop(person)
            self.fail(person.run, person.sealed, f"TMDb does not know the account any more ({answer}).")
        elif isinstance(answer, TMDbError):
            self.try_again(job, answer)
            if job.kind == "page" and self.page_is_hopeless(job, person):
                self.do_without_page(job, person)
            elif job.tries >= TRIES - 1:
                self.trouble(person, str(answer))
        elif job.kind == "account":
            self.account_came(job, answer)
        else:
            self.page_came(job, answer)

    def try_again(self, job: Job, error: Unavailable | Malformed | NotFound) -> None:
        """Later, each time after a longer pause."""
        now = time.monotonic()
        job.tries += 1
        job.failed_at, job.failing_since = now, job.failing_since or now
        pause = getattr(error, "retry_after", None) or min(FIRST_PAUSE * 2 ** (job.tries - 1), LONGEST_PAUSE)
        heapq.heappush(self.later, (now + pause, next(self.order), job))
        if job.person:
            job.person.out.add(job.key)

    def session_refused(self, job, error: Exception) -> None:
        person = job.person
        user = User.objects.filter(pk=person.run.user_id).first()
        if user and user.connected and user.tmdb_session_id != job.sealed:
            self.drop(person)  # linked anew meanwhile: the next look takes them up with their new session
            return
        self.drop(person)
        self.fail(person.run, job.sealed, _("TMDb no longer accepts the session: the person must /connect again."))

    def account_came(self, job: Job, account_id: int) -> None:
        person = job.person
        with transaction.atomic():
            mine = User.objects.filter(pk=person.run.user_id, tmdb_session_id=job.sealed)
            mine.update(tmdb_account_id=account_id)
            person.run.account_id = account_id
            keep(person.run, ["account_id"])

    def page_came(self, job: Job, page: Page) -> None:
        person, run, now = job.person, job.person.run, int(time.time())
        with unhurried_transaction():
            if self.lock(run) is None:
                self.drop(person)
                self.cancel(run)
                return
            if job.key == "newest" and not nothing_else_changed(run, page):
                run.quick = False
                lacking, posters = [], False
            else:
                lacking, posters = merge_page(run, page, now)
                self.note_page(job, page)
            person.lacks(films_without_details(lacking))
            run.trouble_since, run.trouble, run.next_try_at = None, "", 0
            keep(run, PROGRESS)
        if posters:
            self.ring_for_posters()
        self.teller.poke(run.pk)

    def note_page(self, job: Job, page: Page) -> None:
        """Advance the crawl; when it is over, let go what is no longer there."""
        run, crawl = job.person.run, job.person.crawl
        if job.key == "newest":
            run.total_results, run.crawled, run.ratings_done = page.total, True, page.total
            return
        first = crawl.page_read(job.key, page)
        if first and crawl.state["reading"] == 1:
            run.ratings_done = min(run.ratings_done + len(page.films), page.total)
        run.total_results = page.total
        self.close_crawl(job.person)

    def close_crawl(self, person: Person) -> None:
        run, crawl = person.run, person.crawl
        if not crawl.over():
            return
        run.crawled, run.out_of_reach = True, crawl.out_of_reach
        run.ratings_done = crawl.state["total"] or 0
        seen = Rating.objects.filter(user_id=run.user_id, seen_in_crawl=run.crawl_id).count()
        seen += len(crawl.state["skipped"])
        unlisted = max(0, crawl.state["total"] - seen)
        run.complete = crawl.state["settled"] and not unlisted
        # more than it never listed, and some were merely left out of its pages, and they may be ours
        if run.complete or (crawl.state["settled"] and not run.out_of_reach and unlisted <= never_listed(run)):
            drop_gone(run)
        if crawl.state["settled"] and not unseen(run).exists():
            crawl.state["never_listed"] = unlisted

    def page_is_hopeless(self, job: Job, person: Person) -> bool:
        """Whether TMDb, though it answers otherwise, has not given this page for hours."""
        since = person.run.trouble_since
        return bool(since and time.time() - since > PAGE_PATIENCE and self.last_success > job.failing_since)

    def do_without_page(self, job, person) -> None:
        self.later = [entry for entry in self.later if entry[2] is not job]
        heapq.heapify(self.later)
        person.out.discard(job.key)
        if job.key == "newest":
            person.run.quick = False
            return
        with transaction.atomic():
            if self.lock(person.run) is None:
                return
            if person.crawl.state["pages"] is None:
                return  # not even the first: there is nothing to go on with
            person.crawl.page_missing(job.key)
            self.close_crawl(person)
            keep(person.run, PROGRESS)

    def trouble(self, person: Person, why: str) -> None:
        run = person.run
        if run.trouble_since is None or run.trouble != why:
            run.trouble_since, run.trouble = run.trouble_since or int(time.time()), why
            keep(run, ["trouble_since", "trouble"])
            self.teller.poke(run.pk)

    def trouble_for_all(self, why) -> None:
        for person in self.people.values():
            self.trouble(person, why)

    # --- Films

    def find_spare_films(self) -> None:
        """Films whose details failed and are due for another try."""
        due = DetailsFailure.objects.filter(next_try_at__lte=int(time.time()), movie__details_at=None)
        self.spare.extend(due.order_by("next_try_at").values_list("movie_id", flat=True)[:500])

    def film_came(self, job: Job, answer: Malformed | Movie | NotFound) -> None:
        if isinstance(answer, NotFound):
            self.give_up(job, answer, GONE_FOR, 2)
        elif isinstance(answer, TMDbError):
            if job.tries + 1 >= TRIES and self.last_success > job.failed_at:
                self.give_up(job, answer, BROKEN_FOR, 3)
            else:
                self.try_again(job, answer)
                if job.tries >= TRIES:
                    self.failures = max(self.failures, SILENCE)  # is it the film, or TMDb? the probe tells
        else:
            if not self.fetched:
                self.fetched_since = time.monotonic()
            self.fetched.append(answer)

    def give_up(self, job: Job, error: NotFound, pause: int, factor: int) -> None:
        """The film stays as its list row has it; its details are tried again after a pause that grows."""
        film = job.key
        with transaction.atomic():
            failure, _new = DetailsFailure.objects.select_for_update().get_or_create(pk=film)
            failure.next_try_at = int(time.time()) + min(pause * factor**failure.attempts, LONGEST_BREAK)
            failure.attempts, failure.error = failure.attempts + 1, str(error)[:500]
            failure.save()
            title = Movie.objects.values_list("title", flat=True).get(pk=film)
            for person in self.people.values():
                if film in person.lacking:
                    person.run.note("failed", film, title=title)
            self.settle({film})

    def save_fetched(self) -> None:
        """Write the details that came, in one short transaction."""
        movies, self.fetched = self.fetched, []
        if not movies:
            return
        try:
            self.write(movies)
        except OperationalError:
            raise  # the database is away, or locked: nothing is wrong with any film
        except DatabaseError:
            for movie in movies:
                try:
                    self.write([movie])
                except DatabaseError as error:
                    log.exception("film %s cannot be written", movie.id)
                    self.give_up(Job("film", movie.id, lambda tmdb: None), error, BROKEN_FOR, 3)
        if any(movie.poster_path for movie in movies):
            self.ring_for_posters()

    def write(self, movies: list[Movie]) -> None:
        with unhurried_transaction():
            save_movies(movies, PosterNeed.IMPORT)
            ids = {movie.id for movie in movies}
            DetailsFailure.objects.filter(pk__in=ids).delete()
            self.settle(ids)

    def settle(self, films: set[int]) -> None:
        """Nobody lacks these films any more."""
        for person in self.people.values():
            if person.lacking & films:
                person.lacking -= films
                run = person.run
                run.films_done = run.films_total - len(person.lacking)
                run.trouble_since, run.trouble = None, ""
                keep(run, ["films_total", "films_done", "failed", "names", "trouble_since", "trouble"])
                self.teller.poke(run.pk)

    def ring_for_posters(self) -> None:
        """Wake the poster worker, not at every page."""
        now = time.monotonic()
        if now - self.rung_at >= POSTER_BELL:
            self.rung_at = now
            async_task("posters.tasks.download_posters")


# What the engine keeps of a running import; the rest (scheduled, message_id, told_at) others write meanwhile.
PROGRESS = [
    "crawl",
    "crawled",
    "complete",
    "quick",
    "total_results",
    "out_of_reach",
    "ratings_done",
    "films_total",
    "films_done",
    "added",
    "changed",
    "removed",
    "overridden",
    "left_out",
    "failed",
    "names",
    "trouble_since",
    "trouble",
    "next_try_at",
]


def keep(run: Import, fields: list[str]) -> None:
    """Write these fields of an import, if it is still there: the person may have been forgotten."""
    Import.objects.filter(pk=run.pk).update(**{name: getattr(run, name) for name in fields})


@contextmanager
def unhurried_transaction() -> Iterator[None]:
    """A transaction that does not wait for the disk: if the database server crashes, TMDb is asked once more."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit TO off")
        yield


def begin(user: User, scheduled: bool = False, quick: bool = False) -> Import:
    """The running import of a queued person: the one that was interrupted, or a new one. None: they are not queued."""
    with transaction.atomic():
        user = User.objects.select_for_update().filter(pk=user.pk, sync_status=SyncStatus.QUEUED).first()
        if user is None:
            return None
        run = Import.objects.running().filter(user=user).first()
        if run and run.account_id not in (None, user.tmdb_account_id):
            now = int(time.time())
            Import.objects.filter(pk=run.pk).update(finished_at=now, told_at=now, error=_("another account was linked"))
            message_id, run = run.message_id, None
        else:
            message_id = None
        if run is None:
            run = Import.objects.create(
                user=user,
                account_id=user.tmdb_account_id,
                scheduled=scheduled,
                quick=quick,
                started_at=int(time.time()),
                message_id=message_id,
            )
        return run


def may_be_quick(user_id: int) -> bool:
    """Whether the newest page alone can tell that nothing changed: within a week of a reading of the whole account.

    A film rated anew keeps its place in created_at order, so page one and the total say nothing about older ratings:
    those changes come with the weekly reading, or with /sync, which always reads everything.
    """
    past = Import.objects.filter(user_id=user_id, error="", finished_at__isnull=False)
    whole = past.filter(quick=False, started_at__gt=int(time.time()) - WEEK).order_by("-started_at").first()
    return bool(whole and whole.settled)


def nothing_else_changed(run, page):
    """Whether the newest page and the total show that nothing went, and that this page holds all that came.

    The last import left `total_results` ratings. Additions stand at the head of created_at.desc: if just as many new
    films as the total grew by stand there, followed by a known one, nothing was taken back.
    """
    last = Import.objects.filter(user_id=run.user_id, error="", finished_at__isnull=False).order_by("-pk").first()
    if last is None:
        return False
    films = [film for film in page.films if film is not None]
    known = set(Rating.objects.filter(user_id=run.user_id, movie_id__in=films).values_list("movie_id", flat=True))
    came = 0
    while came < len(films) and films[came] not in known:
        came += 1
    all_else_known = all(film in known for film in films[came:]) and len(films) == len(page.films)
    return all_else_known and page.total == last.total_results + came and (came < len(films) or page.pages <= 1)


def never_listed(run):
    """How many ratings TMDb counts but lists on no page, as of the last reading that came upon all that we knew."""
    past = Import.objects.filter(user_id=run.user_id, account_id=run.account_id, crawled=True).exclude(pk=run.pk)
    crawls = past.order_by("-pk").values_list("crawl", flat=True)
    return next((crawl["never_listed"] for crawl in crawls if "never_listed" in crawl), 0)


def films_without_details(films: QuerySet | list[int]) -> list[Any | int]:
    """Of these films (ids, or a query), the ids of those to be asked for now."""
    lacking = Movie.objects.filter(id__in=films, details_at=None)
    return list(lacking.exclude(details_failure__next_try_at__gt=int(time.time())).values_list("id", flat=True))


def forget_past_imports(user_id: int) -> None:
    past = Import.objects.filter(user_id=user_id).order_by("-pk").values_list("pk", flat=True)
    Import.objects.filter(pk__in=list(past[PAST_IMPORTS : PAST_IMPORTS + 100])).delete()
