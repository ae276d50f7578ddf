"""TMDb → disk → channel → file_id: the workers that download posters and upload them.

The table `movies` is the queue: `poster_status` names the next step. A claim is a conditional update that counts an
attempt before it is made and moves the movie's next try CLAIM_TTL_SECONDS ahead, so that no other worker takes it and
the claims of a worker that dies expire by themselves. Results are written only where the row is still as it was
claimed. docs/POSTERS.md lists what each fault leads to.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import F, Min
from telebot.apihelper import ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait, retry_after
from config.bot.router import bot
from config.jobs import rate_limiter
from config.jobs.run import Outcome, Result, Run, UploadStatus
from config.lock_order import lock_rows
from config.monitoring import metrics
from config.monitoring.logs import with_correlation_id
from movies.models import NEVER, POSTER_DELAYS, RESET_POSTER, Movie, MovieQuerySet, PosterPriority, PosterStatus
from movies.tmdb import MAX_CONNECTIONS, NotFound, TMDb, Unavailable
from posters import image_server, storage
from posters.bot_change import handle_bot_change, token_is_of_another_bot
from posters.images import InvalidImage, to_telegram_jpeg
from posters.storage import DiskError

T = TypeVar("T")

log = logging.getLogger(__name__)

CLAIM_TTL_SECONDS = 45  # longer than any upload; the claims of a dead worker expire by themselves
CLAIM_RENEWAL_SECONDS = 10
POLL_INTERVAL_SECONDS = 1  # between two looks whether the claims of other workers have expired
MAX_ATTEMPTS = len(POSTER_DELAYS) + 1
MAX_UNCONFIRMED_UPLOADS = 2  # a poster is uploaded once more where an answer was lost, not twice
MAX_CLAIMED_DOWNLOADS = 3 * MAX_CONNECTIONS  # at a time, so that no connection waits for the database
BATCH_WINDOW_SECONDS = 0.02  # downloads that finish within it are saved in one transaction
UPLOADS_PER_CHANNEL = 2  # concurrent ones, so that a slow network costs no slot of the rate limit
PAUSE_SECONDS = 10  # after an error that may pass
MAX_CONSECUTIVE_FAILURES = 8  # of different posters; from then on the server is at fault

MAX_MESSAGES_PER_SECOND = 29  # over all channels; Telegram allows 30 (Bots FAQ: broadcasting)
RATE_SAFETY_FACTOR = 0.98  # of the allowed rate: 20 messages plus network jitter still span more than a minute
BURST_TOLERANCE_SECONDS = 0.05  # by which a late upload lets the next one follow sooner
UPLOAD_TIMEOUT_SECONDS = 30

# The columns of a claimed movie that a worker reads
CLAIMED_FIELDS = (
    "poster_path", "poster_status", "poster_attempts", "uploads_unconfirmed", "poster_error",
    "telegram_file_id", "local_path", "title", "original_title", "year",
)  # fmt: skip
# Saves finished downloads in one statement; returns the movies whose rows were still as they were claimed
SAVE_DOWNLOADS_SQL = """
    WITH fetched(id, poster_path, attempts, path) AS (VALUES {rows})
    UPDATE movies SET poster_status = 1, local_path = fetched.path, poster_attempts = 0, poster_next_try_at = %s,
        poster_error = ''
    FROM fetched
    WHERE movies.id = fetched.id AND movies.poster_status = 0 AND movies.poster_path = fetched.poster_path
        AND movies.poster_attempts = fetched.attempts
    RETURNING movies.id
"""
DOWNLOAD_VALUES_SQL = "(CAST(%s AS integer), CAST(%s AS text), CAST(%s AS integer), CAST(%s AS text))"

# Telegram's error messages that mean that a channel, not a photo, is at fault (400; every 403 means so)
CHANNEL_ERROR = re.compile(
    "chat not found|chat_id is empty|chat_write_forbidden|chat_admin_required|channel_private|need administrator rights"
    "|not enough rights|have no rights|not a member|was kicked|was upgraded|was deactivated|was deleted",
    re.IGNORECASE,
)
WRONG_TOKEN = "Telegram does not know TELEGRAM_BOT_TOKEN: take the token that @BotFather shows."  # noqa: S105


class PipelinePaused(Exception):
    """Telegram takes no uploads at present, through no fault of a poster; the text says why."""


# --- Claims


def _claim(
    due: MovieQuerySet, limit: int, choose: Callable[[list[Movie]], list[Movie]] | None = None, **columns: Any
) -> list[Movie]:
    """Claim up to `limit` due movies, most urgent first, for one attempt each; sets `columns` as well.

    `choose` may leave out some of them. Rows that another worker is claiming are skipped.
    """
    with transaction.atomic():
        movies = due.only(*CLAIMED_FIELDS).select_for_update(skip_locked=True, no_key=True).by_priority(limit)
        if choose:
            movies = choose(movies)
        expires_at = int(time.time()) + CLAIM_TTL_SECONDS
        claimed = Movie.objects.filter(pk__in=[movie.pk for movie in movies])
        claimed.update(poster_attempts=F("poster_attempts") + 1, poster_next_try_at=expires_at, **columns)
    for movie in movies:
        movie.poster_attempts += 1
    return movies


def _still_claimed(movie: Movie) -> MovieQuerySet:
    """The movie's row while it is as we claimed it: not requeued, not claimed again, not given another poster."""
    return Movie.objects.filter(
        pk=movie.pk,
        poster_status=movie.poster_status,
        poster_path=movie.poster_path,
        poster_attempts=movie.poster_attempts,
    )


def _wait_for_stale_claims(run: Run, status: PosterStatus) -> bool:
    """Sleep until another worker's claim on a movie of this status expires; False where there is none.

    A job that holds the step's lock knows that such a claim is of a killed worker; of two commands that run
    concurrently, the one that ends first sees the other's.
    """
    expires_at = None
    try:
        while not run.over:
            if expires_at and expires_at <= time.time():
                return True
            claimed = Movie.objects.claimed(status, CLAIM_TTL_SECONDS)
            expires_at = claimed.aggregate(first=Min("poster_next_try_at"))["first"]
            if not expires_at or not run.sleep(POLL_INTERVAL_SECONDS):
                break
    except (OperationalError, InterfaceError) as error:
        log.warning("the database is away: %s; the scheduler will find what other workers left", error)
        connection.close()
    return False


def _renew_claims(movies: Iterable[Movie]) -> None:
    for movie in movies:
        _still_claimed(movie).update(poster_next_try_at=int(time.time()) + CLAIM_TTL_SECONDS)


def _release(movie: Movie, **columns: Any) -> None:
    """It was not the poster's fault: the attempt does not count, and the poster is due at once."""
    now = int(time.time())
    _still_claimed(movie).update(poster_attempts=F("poster_attempts") - 1, poster_next_try_at=now, **columns)


@transaction.atomic
def _release_all(movies: Iterable[Movie]) -> None:
    for movie in sorted(movies, key=lambda movie: movie.pk):  # see config.lock_order
        _release(movie)


def _retry_later(movie: Movie, why: str, **columns: Any) -> None:
    """The poster's fault: a growing delay, and after MAX_ATTEMPTS a permanent failure with the reason."""
    if movie.poster_attempts >= MAX_ATTEMPTS:
        _fail_permanently(movie, why)
        return
    delay = POSTER_DELAYS[movie.poster_attempts - 1]
    log.warning("movie %s: %s; again in %s s", movie.pk, why, delay)
    metrics.count_failure("posters", why)
    _still_claimed(movie).update(poster_next_try_at=int(time.time()) + delay, **Movie.poster_fault(why), **columns)


def _fail_permanently(movie: Movie, why: str) -> None:
    """Nothing more is tried until requeue_posters(), and no file stays on the disk."""
    metrics.count_failure("posters", why)
    log.error("movie %s: %s; failed permanently (manage.py requeue_posters --movie %s)", movie.pk, why, movie.pk)
    columns = {
        "poster_status": PosterStatus.WAITING,
        "poster_priority": PosterPriority.SOMEDAY,  # at the end of the index, where no claim has to skip it
        "poster_next_try_at": NEVER,
        **Movie.poster_fault(why),
        "local_path": "",
    }
    if _still_claimed(movie).update(**columns):
        storage.remove(movie.local_path)


def _retry_db(save: Callable[[], T]) -> T:
    """Save what cannot be had again while the database is locked or restarting. Raises DatabaseError after a minute."""
    for delay in (0.2, 0.5, 1, 2, 4, 8, 15, 15, 15):
        try:
            return save()
        except (OperationalError, InterfaceError) as error:
            log.warning("the database is away: %s; again in %s s", error, delay)
            connection.close()
            time.sleep(delay)
    return save()


# --- Download


Download = tuple[Movie, Future[str]]  # a finished one: the path of the file, or an exception
Failures = dict[Movie, BaseException]


def download_posters(run: Run) -> Run:
    """Download waiting posters concurrently, most urgent first, until none is due or the run is over.

    Faults of a poster, of TMDb and of the disk become the run's counts and errors. Raises DatabaseError.
    """
    tmdb = TMDb(background=False)  # no waiting here: the table brings every poster back
    tmdb.timeout = (5, 15)
    in_progress: dict[Future[str], Movie] = {}
    unattributed: Failures = {}  # posters or the server of images may be at fault
    renewed_at, done_at_last_pause, error = time.monotonic(), 0, ""
    with ThreadPoolExecutor(MAX_CONNECTIONS - 4, "download") as pool:  # the other connections are for cards in the chat
        try:
            while True:
                if not error and len(in_progress) <= MAX_CLAIMED_DOWNLOADS - MAX_CONNECTIONS:
                    for movie in _claim_downloads(run, MAX_CLAIMED_DOWNLOADS - len(in_progress), not in_progress):
                        in_progress[pool.submit(with_correlation_id(_download), tmdb, movie)] = movie
                if not in_progress:
                    if not (error or unattributed) and _wait_for_stale_claims(run, PosterStatus.WAITING):
                        continue
                    if not error or run.done == done_at_last_pause or not run.sleep(PAUSE_SECONDS):
                        break
                    error, done_at_last_pause = "", run.done
                    continue
                wait(in_progress, timeout=1, return_when=FIRST_COMPLETED)
                finished, pending = wait(in_progress, timeout=BATCH_WINDOW_SECONDS)
                if error or run.stop.is_set():
                    cancelled = [in_progress.pop(future) for future in pending if future.cancel()]
                    _retry_db(partial(_release_all, cancelled))
                    run.unreserve(len(cancelled))
                if finished:
                    downloads = [(in_progress.pop(future), future) for future in finished]
                    error = _record_downloads(run, downloads, unattributed, error)
                if time.monotonic() > renewed_at + CLAIM_RENEWAL_SECONDS:
                    _renew_claims(in_progress.values())
                    renewed_at = time.monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
    if unattributed and not error and (error := image_server.fault()):
        run.add_error(error)
    _attribute_failures(run, unattributed, posters_at_fault=not error)
    return run


def _claim_downloads(run: Run, limit: int, idle: bool) -> list[Movie]:
    """Claim up to `limit` movies; one that ended its worker twice is claimed only where idle, alone and last."""

    def choose(due: list[Movie]) -> list[Movie]:
        crashed = [movie for movie in due if movie.poster_attempts >= 2 and not movie.poster_error]
        return [movie for movie in due if movie not in crashed] or crashed[: int(idle)]

    due = Movie.objects.awaiting_download()
    if not due.by_priority(1):
        return []  # SQLite is not locked only to find that there is nothing to do
    reserved = run.reserve(limit)
    claimed = _claim(due, reserved, choose) if reserved else []
    for movie in [movie for movie in claimed if movie.poster_attempts > MAX_ATTEMPTS]:
        _fail_permanently(movie, movie.poster_error or "its download ended the worker, time and again")
        claimed.remove(movie)
        run.count("failed")
    run.unreserve(reserved - len(claimed))
    return claimed


def _download(tmdb: TMDb, movie: Movie) -> str:
    """Download, verify and store one poster; its path. Raises TMDbError, InvalidImage, DiskError."""
    return storage.save(movie.pk, to_telegram_jpeg(tmdb.image(movie.poster_path)))


def _record_downloads(run: Run, downloads: list[Download], unattributed: Failures, error: str) -> str:
    """Save, in one transaction, what became of finished downloads. Returns the error that stops all others, if any."""
    for movie, future in downloads:
        cause = future.exception()
        if isinstance(cause, DiskError):
            error = error or str(cause)
        elif cause and image_server.may_be_at_fault(movie, cause):
            unattributed[movie] = cause
            if isinstance(cause, Unavailable) and cause.retry_after:
                error = error or image_server.take_back_doubtful(cause)
    results = _retry_db(partial(_save_downloads, [pair for pair in downloads if pair[0] not in unattributed]))
    for result in results:
        run.count(result)
    # of many failures beside an image that came, the server may have caused all that came after it
    is_known = bool(error) or ("done" in results and len(unattributed) < MAX_CONSECUTIVE_FAILURES)
    if not is_known and len(unattributed) >= MAX_CONSECUTIVE_FAILURES:
        error, is_known = image_server.fault(), True
    if error:
        run.add_error(error)
    if is_known:
        _attribute_failures(run, unattributed, posters_at_fault=not error)
    return error


@transaction.atomic
def _save_downloads(downloads: list[Download]) -> list[Result]:
    lock_rows(Movie.objects.filter(pk__in=[movie.pk for movie, _future in downloads]))
    failures = {movie: error for movie, future in downloads if (error := future.exception())}
    paths = {movie: future.result() for movie, future in downloads if movie not in failures}
    if paths:
        _save_paths(paths)
    done: list[Result] = ["done"] * len(paths)
    return done + [_save_failure(movie, error) for movie, error in failures.items()]


def _save_paths(paths: dict[Movie, str]) -> None:
    values: list[str | int] = []
    for movie, path in paths.items():
        values += [movie.pk, movie.poster_path, movie.poster_attempts, path]
    with connection.cursor() as cursor:
        rows = ", ".join([DOWNLOAD_VALUES_SQL] * len(paths))
        cursor.execute(SAVE_DOWNLOADS_SQL.format(rows=rows), [*values, int(time.time())])
        saved = {movie_id for (movie_id,) in cursor.fetchall()}
    for movie, path in paths.items():
        if movie.pk not in saved:
            storage.remove(path)  # the card's own upload was first, or the movie has another poster now


def _save_failure(movie: Movie, error: BaseException) -> Result:
    if isinstance(error, NotFound):
        why = f"{image_server.NO_SUCH_IMAGE} ({error})"
        log.warning("movie %s: %s", movie.pk, why)
        metrics.count_failure("posters", why)
        # an older poster in Telegram continues to serve; a refresh that brings another path queues the movie again
        status = PosterStatus.TELEGRAM if movie.telegram_file_id else PosterStatus.NONE
        next_try_at = int(time.time()) + image_server.RECHECK_SECONDS
        columns = {"poster_attempts": 0, "poster_next_try_at": next_try_at, **Movie.poster_fault(why)}
        _still_claimed(movie).update(poster_status=status, **columns)
        return "not_found"
    if isinstance(error, DiskError):
        _release(movie)
        return "postponed"
    if not isinstance(error, InvalidImage | Unavailable):
        log.error("movie %s: its poster cannot be taken", movie.pk, exc_info=error)
    _retry_later(movie, str(error) or type(error).__name__)
    return "failed"


def _attribute_failures(run: Run, unattributed: Failures, posters_at_fault: bool) -> None:
    """Save failed requests as the posters' fault where other images come, else as the server's."""
    for movie, cause in unattributed.items():
        if not posters_at_fault:
            _retry_db(partial(_release, movie))
        run.count(_retry_db(partial(_save_failure, movie, cause)) if posters_at_fault else "postponed")
    unattributed.clear()


# --- Upload


@dataclass
class ChannelState:
    """One channel in one run; its upload workers share it."""

    id: int | str
    index: int
    count: int  # of channels
    done: int = 0
    done_at_last_pause: int = 0
    closed: bool = False
    in_progress: dict[int, Movie] = field(default_factory=dict)  # by the worker's number

    @property
    def rate_limit(self) -> str:
        return f"channel:{self.id}"

    def due(self) -> MovieQuerySet:
        return Movie.objects.awaiting_upload().for_channel(self.index, self.count)


def upload_posters(run: Run) -> Run:
    """Upload posters from the disk to their channels, most urgent first, until none is due or the run is over.

    A movie's channel is its id modulo the number of channels. Channels are served concurrently, each at its own rate.
    Faults of a poster, a channel and Telegram become the run's counts and errors.
    """
    channels = settings.TELEGRAM_POSTER_CHANNELS
    due = Movie.objects.awaiting_upload().by_priority(1)
    if not (due or token_is_of_another_bot(bot.token) or _wait_for_stale_claims(run, PosterStatus.LOCAL)):
        return run
    if not channels:
        run.add_error("TELEGRAM_POSTER_CHANNELS is empty: make a private channel, let the bot post there, set its id.")
        return run
    try:
        _check_telegram()
    except PipelinePaused as error:
        run.add_error(str(error))
        return run
    _run_upload_workers(run, channels)
    while not run.errors and _wait_for_stale_claims(run, PosterStatus.LOCAL):
        _run_upload_workers(run, channels)
    return run


def _run_upload_workers(run: Run, channel_ids: list[int | str]) -> None:
    """Serve all channels concurrently until none has anything due."""
    channels = [ChannelState(id, index, len(channel_ids)) for index, id in enumerate(channel_ids)]
    threads = [
        threading.Thread(
            target=with_correlation_id(_upload_worker),
            args=(run, channel, worker),
            name=f"upload-{channel.index}-{worker}",
        )
        for channel in channels
        for worker in range(UPLOADS_PER_CHANNEL)
    ]
    for thread in threads:
        thread.start()
    while alive := [thread for thread in threads if thread.is_alive()]:
        alive[0].join(CLAIM_RENEWAL_SECONDS)
        if alive[0].is_alive():
            try:
                for channel in channels:
                    _renew_claims(list(channel.in_progress.values()))
            except (OperationalError, InterfaceError):
                connection.close()  # the claims hold for a while without renewal


def _check_telegram() -> None:
    """Call getMe before a poster is risked, and handle a change of the bot. Raises PipelinePaused."""
    try:
        with max_retry_wait(0):
            me = bot.get_me()
    except ApiTelegramException as error:
        if error.error_code in (401, 404):
            raise PipelinePaused(WRONG_TOKEN) from None
        raise PipelinePaused(f"Telegram is not well ({error.description})") from None
    except TelegramUnavailable as error:
        raise PipelinePaused(f"Telegram cannot be reached ({error})") from None
    except (KeyError, TypeError, ValueError):
        raise PipelinePaused("Telegram's answers cannot be read") from None
    handle_bot_change(me.id)


def _upload_worker(run: Run, channel: ChannelState, worker: int) -> None:
    """Upload a channel's posters at its rate, together with the channel's other workers; runs in its own thread."""
    per_second = settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE / 60 * RATE_SAFETY_FACTOR
    try:
        while not (run.over or channel.closed):
            _return_lost_files(run, channel)
            if wait_seconds := rate_limiter.try_acquire(channel.rate_limit, per_second, BURST_TOLERANCE_SECONDS):
                if not channel.due().by_priority(1) or not run.sleep(wait_seconds):
                    return
                continue
            if per_second > 0:
                rate_limiter.acquire("telegram", MAX_MESSAGES_PER_SECOND)
            if not run.reserve(1):
                return
            claimed = _claim(channel.due(), 1, uploads_unconfirmed=F("uploads_unconfirmed") + 1)
            if not claimed:
                run.unreserve(1)
                return
            try:
                channel.in_progress[worker] = movie = claimed[0]
                outcome = _upload(movie, channel.id)
                result = _record_upload(movie, channel, outcome)
            finally:
                del channel.in_progress[worker]
            if result:
                run.count(result)
            else:
                run.unreserve(1)
            channel.done += result == "done"
            if outcome.status in (UploadStatus.UNAVAILABLE, UploadStatus.UNCONFIRMED):
                _pause_channel(run, channel, outcome.reason)
    except PipelinePaused as error:
        channel.closed = True
        run.add_error(str(error))
    except (OperationalError, InterfaceError) as error:
        run.add_error(f"the database is away ({error})")
    except Exception:
        log.exception("channel %s: uploads stopped", channel.id)
        run.add_error(f"channel {channel.id}: uploads stopped, see the log")
    finally:
        connections.close_all()


def _return_lost_files(run: Run, channel: ChannelState) -> None:
    """Have posters downloaded again whose files are gone, before a slot of the channel is taken for them."""
    while not run.over and (found := channel.due().only(*CLAIMED_FIELDS).by_priority(1)):
        movie = found[0]
        if storage.read(movie.local_path) is not None:
            return
        row = Movie.objects.filter(pk=movie.pk, poster_status=PosterStatus.LOCAL, local_path=movie.local_path)
        if row.update(**RESET_POSTER):
            log.warning("movie %s: its file is missing or damaged; it is downloaded again", movie.pk)
            storage.remove(movie.local_path)
            run.count("postponed")


def _pause_channel(run: Run, channel: ChannelState, why: str) -> None:
    """Pause uploads to the channel; close it for this run where nothing was uploaded since the last pause.

    Raises PipelinePaused where Telegram does not answer after the pause.
    """
    run.add_error(why)
    if channel.done == channel.done_at_last_pause:
        channel.closed = True
        return
    channel.done_at_last_pause = channel.done
    rate_limiter.block_for(channel.rate_limit, PAUSE_SECONDS)
    if run.sleep(PAUSE_SECONDS):
        _check_telegram()


def _upload(movie: Movie, channel_id: int | str) -> Outcome:
    """Send a claimed movie's poster; writes nothing down."""
    unconfirmed = movie.uploads_unconfirmed  # without this upload, which only the claim in the table has counted
    if unconfirmed >= MAX_UNCONFIRMED_UPLOADS:
        why = f"{unconfirmed} uploads got no answer: look for it in channel {channel_id} before sending it again"
        return Outcome(UploadStatus.FAILED, why)
    if movie.poster_attempts > MAX_ATTEMPTS:
        return Outcome(UploadStatus.FAILED, movie.poster_error or "its upload ended the worker, time and again")
    content = storage.read(movie.local_path)
    if content is None:
        return Outcome(UploadStatus.FILE_MISSING, "its file is missing or damaged; it is downloaded again")
    try:
        with max_retry_wait(0):
            message = bot.send_photo(
                channel_id,
                (f"{movie.pk}.jpg", content),
                caption=f"{escape(str(movie)[:200])}\n<code>{movie.pk}</code>",
                disable_notification=True,
                timeout=UPLOAD_TIMEOUT_SECONDS,
            )
        return Outcome(UploadStatus.UPLOADED, photo=max(message.photo or (), key=lambda size: size.width * size.height))
    except ApiTelegramException as error:
        return _outcome_of_refusal(channel_id, error)
    except TelegramUnavailable as error:
        if error.status == 413:
            return Outcome(UploadStatus.INVALID, "Telegram refuses it: too large")
        if 400 <= error.status < 500:
            return Outcome(UploadStatus.UNAVAILABLE, f"something before Telegram refuses uploads (HTTP {error.status})")
        if not error.sent:
            return Outcome(UploadStatus.UNAVAILABLE, f"Telegram cannot be reached ({error})")
        return _outcome_without_answer(movie, channel_id, str(error))
    except (AttributeError, KeyError, TypeError, ValueError):
        return _outcome_without_answer(movie, channel_id, "an answer that cannot be read")


def _outcome_of_refusal(channel_id: int | str, error: ApiTelegramException) -> Outcome:
    """Telegram refused this photo, this channel, or the bot."""
    code, description = error.error_code, error.description
    if code == 429:
        return Outcome(UploadStatus.RATE_LIMITED, description, retry_after_seconds=retry_after(error.result.content))
    if code in (401, 404):
        return Outcome(UploadStatus.UNAVAILABLE, WRONG_TOKEN)
    if code == 403 or CHANNEL_ERROR.search(description):
        why = f"channel {channel_id} takes no posters ({description}): let the bot, as an administrator, post there."
        metrics.increment(f"failed:channels:channel {channel_id} takes no posters ({description})"[:150])
        return Outcome(UploadStatus.UNAVAILABLE, why)
    if code in (400, 413):
        return Outcome(UploadStatus.INVALID, f"Telegram refuses it: {description}")
    return Outcome(UploadStatus.UNAVAILABLE, f"Telegram is not well ({description})")


def _outcome_without_answer(movie: Movie, channel_id: int | str, why: str) -> Outcome:
    """The photo may be in the channel or not: it is sent once more, not twice."""
    if movie.uploads_unconfirmed + 1 >= MAX_UNCONFIRMED_UPLOADS:
        why = f"no answer to two uploads ({why}): look for it in channel {channel_id} before sending it again"
        return Outcome(UploadStatus.FAILED, why)
    why = f"no answer to the upload ({why}); it may be in channel {channel_id} already"
    return Outcome(UploadStatus.UNCONFIRMED, why)


def _record_upload(movie: Movie, channel: ChannelState, outcome: Outcome) -> Result | None:
    """Write down what became of an upload; None where it counts as not started."""
    answered = {"uploads_unconfirmed": movie.uploads_unconfirmed}  # takes back what the claim has counted
    if photo := outcome.photo:
        if not _retry_db(partial(movie.poster_uploaded, photo.file_id, photo.width, photo.height)):
            log.info("movie %s: its photo in channel %s is not needed any more", movie.pk, channel.id)
        storage.remove(movie.local_path)
        return "done"
    if outcome.status is UploadStatus.FAILED:
        _fail_permanently(movie, outcome.reason)
        return "failed"
    if outcome.status is UploadStatus.INVALID:
        _retry_later(movie, outcome.reason, **answered)
        return "failed"
    if outcome.status is UploadStatus.FILE_MISSING:
        log.warning("movie %s: %s", movie.pk, outcome.reason)
        _still_claimed(movie).update(**RESET_POSTER | answered)
        storage.remove(movie.local_path)
        return "postponed"
    if outcome.status is UploadStatus.UNCONFIRMED:
        delay = POSTER_DELAYS[0]
        log.warning("movie %s: %s; once more in %s s", movie.pk, outcome.reason, delay)
        columns = {"poster_next_try_at": int(time.time()) + delay, "poster_error": outcome.reason}
        _still_claimed(movie).update(poster_attempts=F("poster_attempts") - 1, **columns)
        return "postponed"
    if outcome.status is UploadStatus.RATE_LIMITED:
        log.warning("channel %s: %s", channel.id, outcome.reason)
        rate_limiter.block_for(channel.rate_limit, outcome.retry_after_seconds)
    _release(movie, **answered)
    return None if outcome.status is UploadStatus.RATE_LIMITED else "postponed"
