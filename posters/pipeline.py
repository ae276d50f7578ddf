"""TMDb → disk → channel → file_id. The table `movies` is the queue; a claim is a conditional update.

A claim counts an attempt before it is made and moves the film's next try LEASE seconds ahead, so that nobody else takes
it, and a worker that dies keeps nothing: the film is due again by itself. How each fault ends is listed in
docs/POSTERS.md.
"""

import logging
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from html import escape

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.db.models import F, Min
from telebot.apihelper import ApiException, ApiHTTPException, ApiTelegramException

from config.bot.client import TelegramUnavailable, max_retry_wait, retry_after
from config.bot.router import bot
from config.jobs import rate_limiter
from config.monitoring import metrics
from config.monitoring.logs import carried
from movies.models import FROM_THE_START, SET_ASIDE, Movie, PosterNeed, PosterStatus
from movies.tmdb import CONNECTIONS, NotFound, Oversized, TMDb, Unavailable
from posters import storage
from posters.images import BadPicture, photo_from
from posters.models import KnownBot
from posters.storage import DiskTrouble

log = logging.getLogger(__name__)

LEASE = 45  # seconds that a claim holds unless renewed; longer than any upload
RENEW = 10  # seconds between two renewals of what is at hand
LOOK = 1  # seconds between two looks whether what others have at hand is free
DELAYS = [60, 300, 1800, 7200, 28_800, 86_400, 86_400]  # seconds after the first, second … failed attempt
MOST_ATTEMPTS = len(DELAYS) + 1
MOST_UNANSWERED = 2  # a poster goes up once more where an answer was lost, not twice
AT_HAND = 3 * CONNECTIONS  # films claimed for download at a time, so that no connection waits for the database
BREATH = 0.02  # seconds in which finished downloads gather, to be written down together
LANES = 2  # uploads under way to one channel at a time, so that a slow network costs no turn
PAUSE = 10  # seconds for which a run stands still after a trouble that may pass
MANY_IN_A_ROW = 8  # failures of different posters, one after another, that make it the server's fault

MESSAGES_PER_SECOND = 29  # over all channels; Telegram allows 30 (Bots FAQ: broadcasting)
HAIR = 0.98  # of the allowed rate: twenty messages and what the network adds to them still take over a minute
LATE = 0.05  # seconds by which a late upload lets the next one follow sooner
UPLOAD_TIMEOUT = 30  # seconds

# What a worker needs to know of a film
FIELDS = [
    "poster_path",
    "poster_status",
    "poster_attempts",
    "poster_unanswered",
    "poster_error",
    "telegram_file_id",
    "local_path",
    "title",
    "original_title",
    "year",
]
# The end of some downloads in one statement; the films whose rows were still as they were claimed come back
DOWNLOADED = """
    WITH fetched(id, poster_path, attempts, path) AS (VALUES {rows})
    UPDATE movies SET poster_status = 1, local_path = fetched.path, poster_attempts = 0, poster_next_try_at = %s,
        poster_error = ''
    FROM fetched
    WHERE movies.id = fetched.id AND movies.poster_status = 0 AND movies.poster_path = fetched.poster_path
        AND movies.poster_attempts = fetched.attempts
    RETURNING movies.id
"""
FETCHED = "(CAST(%s AS integer), CAST(%s AS text), CAST(%s AS integer), CAST(%s AS text))"

# What Telegram says when a channel, not a photo, is what is wrong (400; every 403 says so)
CHANNEL_TROUBLE = (
    "chat not found",
    "chat_id is empty",
    "chat_write_forbidden",
    "chat_admin_required",
    "channel_private",
    "need administrator rights",
    "not enough rights",
    "have no rights",
    "not a member",
    "was kicked",
    "was upgraded",
    "was deactivated",
    "was deleted",
)


class Stopped(Exception):
    """No more can be done now, through no fault of a poster; the text says why."""


@dataclass
class Run:
    """One sweep: when it has to end and what came of it."""

    limit: int | None = None  # films to begin at most
    seconds: float | None = None  # after which nothing new is begun
    stop: threading.Event = field(default_factory=threading.Event)
    report: object = None  # called after each film with this Run
    done: int = 0
    gone: int = 0  # TMDb has no such image
    failed: int = 0  # the poster's fault: tried again later, or set aside
    postponed: int = 0  # not the poster's fault: due again at once
    troubles: list = field(default_factory=list)  # why something stood still

    def __post_init__(self):
        self.begun = 0
        self.deadline = None if self.seconds is None else time.monotonic() + self.seconds
        self.lock = threading.Lock()

    @property
    def left(self):
        """Seconds until nothing new may begin."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    @property
    def over(self):
        """Whether nothing new may begin."""
        return self.stop.is_set() or self.left <= 0 or (self.limit is not None and self.begun >= self.limit)

    def begin(self, most):
        """How many of `most` films may be begun now; they count as begun."""
        with self.lock:
            allowed = 0 if self.over else most if self.limit is None else min(most, self.limit - self.begun)
            self.begun += allowed
            return allowed

    def give_back(self, unused):
        with self.lock:
            self.begun -= unused

    def count(self, outcome):
        """Count one film as "done", "gone", "failed" or "postponed", and tell who watches."""
        with self.lock:
            setattr(self, outcome, getattr(self, outcome) + 1)
            if self.report:
                self.report(self)

    def trouble(self, why):
        """Keep, and log once, why something stands still."""
        with self.lock:
            if why not in self.troubles:
                self.troubles.append(why)
                log.warning("%s", why)

    def sleep(self, seconds):
        """Sleep, unless the run would be over by then. False where it is over."""
        return seconds < self.left and not self.stop.wait(seconds)

    def __str__(self):
        words = f"{self.done} done, {self.gone} without an image, {self.failed} failed, {self.postponed} postponed"
        return "; ".join([words, *self.troubles])


# --- Claims


def _claim(due, most, choose=None, **more):
    """Take up to `most` of the films due, most needed first, each for one attempt that is counted before it is made.

    `choose` may leave some of them to others. A film that another worker has in hand is passed over.
    """
    with transaction.atomic():
        movies = due.only(*FIELDS).select_for_update(skip_locked=True).most_needed(most)
        if choose:
            movies = choose(movies)
        lease = int(time.time()) + LEASE
        claimed = Movie.objects.filter(pk__in=[movie.pk for movie in movies])
        claimed.update(poster_attempts=F("poster_attempts") + 1, poster_next_try_at=lease, **more)
    for movie in movies:
        movie.poster_attempts += 1
    return movies


def _held(movie):
    """The film's row as long as it is as we claimed it: not requeued, not claimed anew, not given another poster."""
    return Movie.objects.filter(
        pk=movie.pk,
        poster_status=movie.poster_status,
        poster_path=movie.poster_path,
        poster_attempts=movie.poster_attempts,
    )


def _outlived(run, status):
    """Sleep until the claim that a killed worker left on a film of this status ends; False where there is none.

    Who has a step to itself (turns.only_one) knows that a claim which is none of its own is nobody's any more; of two
    commands beside each other, the one that ends first sees the other's.
    """
    ends = None
    try:
        while not run.over:
            if ends and ends <= time.time():
                return True
            ends = Movie.objects.claimed(status, LEASE).aggregate(first=Min("poster_next_try_at"))["first"]
            if not ends or not run.sleep(LOOK):
                break
    except (OperationalError, InterfaceError) as error:
        log.warning("the database is away: %s; the clock will come to what others left", error)
        connection.close()
    return False


def _renew(movies):
    """Go on holding films that are still at hand."""
    for movie in movies:
        _held(movie).update(poster_next_try_at=int(time.time()) + LEASE)


def _release(movie, **more):
    """It was not the poster's fault: the attempt does not count, and the poster is due at once."""
    _held(movie).update(poster_attempts=F("poster_attempts") - 1, poster_next_try_at=int(time.time()), **more)


def _postpone(movie, why, **more):
    """The poster's fault: a growing delay, and after MOST_ATTEMPTS it is set aside with the reason."""
    if movie.poster_attempts >= MOST_ATTEMPTS:
        _set_aside(movie, why)
        return
    delay = DELAYS[movie.poster_attempts - 1]
    log.warning("film %s: %s; again in %s s", movie.pk, why, delay)
    metrics.failed("posters", why)
    _held(movie).update(poster_next_try_at=int(time.time()) + delay, poster_error=why, **more)


def _set_aside(movie, why):
    """Nothing more is tried until requeue_posters(); nothing is left on the disk meanwhile."""
    metrics.failed("posters", why)
    log.error("film %s: %s; set aside (manage.py requeue_posters --movie %s)", movie.pk, why, movie.pk)
    aside = {
        "poster_status": PosterStatus.WAITING,
        "poster_need": PosterNeed.SOMEDAY,  # the last of all in the index, where no claim has to pass over it
        "poster_next_try_at": SET_ASIDE,
        "poster_error": why,
        "local_path": "",
    }
    if _held(movie).update(**aside):
        storage.remove(movie.local_path)


def _stubbornly(save):
    """Save what cannot be had again, though the database be locked or restarting; raises after a minute of trying."""
    for delay in (0.2, 0.5, 1, 2, 4, 8, 15, 15, 15):
        try:
            return save()
        except (OperationalError, InterfaceError) as error:
            log.warning("the database is away: %s; again in %s s", error, delay)
            connection.close()
            time.sleep(delay)
    return save()


# --- Download


def download_posters(run):
    """Fetch waiting posters to the disk, most needed first, side by side, until none is due or the run is over.

    Raises no fault of a poster, of TMDb or of the disk: the run tells of them. The database's go through.
    """
    tmdb = TMDb(patient=False)  # nothing is waited out here: the table brings every poster back
    tmdb.timeout = (5, 15)
    at_hand, doubtful, renewed, fruit = {}, [], time.monotonic(), 0
    with ThreadPoolExecutor(CONNECTIONS - 4, "download") as pool:  # the rest is for the chat's cards
        try:
            trouble = ""
            while True:
                if not trouble and len(at_hand) <= AT_HAND - CONNECTIONS:
                    for movie in _claim_downloads(run, AT_HAND - len(at_hand), alone=not at_hand):
                        at_hand[pool.submit(carried(_fetch), tmdb, movie)] = movie
                if not at_hand:
                    if not (trouble or doubtful) and _outlived(run, PosterStatus.WAITING):
                        continue
                    if not trouble or run.done == fruit or not run.sleep(PAUSE):
                        break
                    trouble, fruit = "", run.done
                    continue
                wait(at_hand, timeout=1, return_when=FIRST_COMPLETED)
                finished, waiting = wait(at_hand, timeout=BREATH)
                if trouble or run.stop.is_set():
                    waiting = [future for future in waiting if future.cancel()]
                    _stubbornly(lambda waiting=waiting: _release_all([at_hand[future] for future in waiting]))
                    for future in waiting:
                        del at_hand[future]
                    run.give_back(len(waiting))
                if finished:
                    outcomes = [(at_hand.pop(future), future) for future in finished]
                    trouble = _settle_downloads(run, outcomes, doubtful, trouble)
                if time.monotonic() > renewed + RENEW:
                    _renew(at_hand.values())
                    renewed = time.monotonic()
        finally:
            pool.shutdown(cancel_futures=True)
    own = run.done > 0 and not trouble
    if doubtful and not own:
        run.trouble(f"TMDb's images cannot be had now ({doubtful[-1][1]})")
    _judge(run, doubtful, own)
    return run


def _claim_downloads(run, most, alone):
    """Up to `most` films to begin; one that twice ended its worker without a word is taken alone, the last of all."""

    def choose(due):
        """Not those that ended their worker without a word; where there are no others, one of them."""
        silent = [movie for movie in due if movie.poster_attempts >= 2 and not movie.poster_error]
        return [movie for movie in due if movie not in silent] or silent[: int(alone)]

    due = Movie.objects.awaiting_download()
    if not due.most_needed(1):
        return []  # SQLite is not locked only to find that there is nothing to do
    room = run.begin(most)
    claimed = _claim(due, room, choose) if room else []
    for movie in [movie for movie in claimed if movie.poster_attempts > MOST_ATTEMPTS]:
        _set_aside(movie, movie.poster_error or "its download ended the worker, time and again")
        claimed.remove(movie)
        run.count("failed")
    run.give_back(room - len(claimed))
    return claimed


def _fetch(tmdb, movie):
    """The path of the poster's file, checked. Raises TMDbError, BadPicture, DiskTrouble."""
    return storage.keep(movie.pk, photo_from(tmdb.image(movie.poster_path)))


def _settle_downloads(run, outcomes, doubtful, trouble):
    """Write down, in one transaction, what came of some downloads. Returns the trouble that stops them all, if any."""
    for movie, future in outcomes:
        error = future.exception()
        if isinstance(error, DiskTrouble):
            trouble = trouble or str(error)
        elif isinstance(error, Unavailable) and not isinstance(error, Oversized):
            doubtful.append((movie, str(error)))
            if len(doubtful) >= MANY_IN_A_ROW or error.retry_after:
                trouble = trouble or f"TMDb's images cannot be had now ({error})"
    doubted = {movie.pk for movie, _ in doubtful}
    counts = _stubbornly(lambda: _save_downloads([pair for pair in outcomes if pair[0].pk not in doubted]))
    for outcome in counts:
        run.count(outcome)
    if trouble:
        run.trouble(trouble)
    if trouble or "done" in counts:
        _judge(run, doubtful, own=not trouble)
    return trouble


@transaction.atomic
def _save_downloads(outcomes):
    fetched = {movie: future.result() for movie, future in outcomes if not future.exception()}
    if fetched:
        _save_fetched(fetched)
    failed = [_save_failure(movie, future.exception()) for movie, future in outcomes if future.exception()]
    return ["done"] * len(fetched) + failed


def _save_fetched(fetched):
    """These films' posters lie at these paths."""
    values = []
    for movie, path in fetched.items():
        values += [movie.pk, movie.poster_path, movie.poster_attempts, path]
    with connection.cursor() as cursor:
        rows = ", ".join([FETCHED] * len(fetched))
        cursor.execute(DOWNLOADED.format(rows=rows), [*values, int(time.time())])
        saved = {movie_id for (movie_id,) in cursor.fetchall()}
    for movie, path in fetched.items():
        if movie.pk not in saved:
            storage.remove(path)  # the card's own upload was first, or the film has another poster now


def _save_failure(movie, error):
    if isinstance(error, NotFound):
        _give_up(movie, f"TMDb has no such image ({error})")
        return "gone"
    if isinstance(error, DiskTrouble):
        _release(movie)
        return "postponed"
    if not isinstance(error, BadPicture | Oversized):
        log.error("film %s: its poster cannot be taken", movie.pk, exc_info=error)
    _postpone(movie, str(error) or type(error).__name__)
    return "failed"


def _judge(run, doubtful, own):
    """Say of requests that got no image whose fault that was: the posters' where others came through, else TMDb's."""
    for movie, why in doubtful:
        _stubbornly(lambda movie=movie, why=why: _postpone(movie, why) if own else _release(movie))
        run.count("failed" if own else "postponed")
    doubtful.clear()


@transaction.atomic
def _release_all(movies):
    for movie in movies:
        _release(movie)


def _give_up(movie, why):
    """There is no such image; an older poster goes on serving. A refresh that brings another path begins anew."""
    log.warning("film %s: %s", movie.pk, why)
    metrics.failed("posters", why)
    status = PosterStatus.TELEGRAM if movie.telegram_file_id else PosterStatus.NONE
    _held(movie).update(poster_status=status, poster_attempts=0, poster_next_try_at=0, poster_error=why)


# --- Upload


def upload_posters(run):
    """Put posters from the disk into their channels, most needed first, until none is due or the run is over.

    A film's channel is its id modulo their number. All channels work side by side, each at its own pace. Raises no
    fault of a poster, a channel or Telegram: the run tells of them.
    """
    channels = settings.TELEGRAM_POSTER_CHANNELS
    due = Movie.objects.awaiting_upload().most_needed(1)
    if not (due or _is_other_token() or _outlived(run, PosterStatus.LOCAL)):
        return run
    if not channels:
        run.trouble("TELEGRAM_POSTER_CHANNELS is empty: make a private channel, let the bot post there, set its id.")
        return run
    try:
        _greet()
    except Stopped as error:
        run.trouble(str(error))
        return run
    _serve_all(run, channels)
    while not run.troubles and _outlived(run, PosterStatus.LOCAL):
        _serve_all(run, channels)
    return run


def _serve_all(run, channels):
    """Serve all channels side by side until none has anything due."""
    at_hand = {}  # lane: the film that is on its way
    threads = [
        threading.Thread(target=carried(_serve), args=(run, channel, lane, at_hand), name=f"upload-{number}-{lane}")
        for number, channel in enumerate(_Channel(id, number, len(channels)) for number, id in enumerate(channels))
        for lane in range(LANES)
    ]
    for thread in threads:
        thread.start()
    while alive := [thread for thread in threads if thread.is_alive()]:
        alive[0].join(RENEW)
        if alive[0].is_alive():
            try:
                _renew(list(at_hand.values()))
            except (OperationalError, InterfaceError):
                connection.close()  # the claims hold for a while without us


def _greet():
    """Raise Stopped where Telegram does not answer at all, before a poster is risked on it; notice another bot."""
    try:
        with max_retry_wait(0):
            me = bot.get_me()
    except ApiTelegramException as error:
        if error.error_code in (401, 404):
            why = "Telegram does not know TELEGRAM_BOT_TOKEN: take the token that @BotFather shows."
            raise Stopped(why) from None
        raise Stopped(f"Telegram is not well ({error.description})") from None
    except TelegramUnavailable as error:
        raise Stopped(f"Telegram cannot be reached ({error})") from None
    except (ApiException, KeyError, TypeError, ValueError):
        raise Stopped("Telegram's answers cannot be read") from None
    notice_new_bot(me.id)


def _is_other_token():
    """Whether the token seems to be of another bot than the known one: it begins with the bot's id."""
    known = KnownBot.objects.first()
    return known is not None and not bot.token.startswith(f"{known.bot_id}:")


@dataclass
class _Channel:
    """One channel in one run; its lanes share it."""

    id: int | str
    number: int
    of: int
    done: int = 0
    fruit: int = 0  # what had been done when it last stood still
    closed: bool = False

    @property
    def turn(self):
        return f"channel:{self.id}"

    def due(self):
        return Movie.objects.awaiting_upload().of_channel(self.number, self.of)


def _serve(run, channel, lane, at_hand):
    """Keep a channel busy at its pace, together with its other lanes; a thread of its own."""
    per_second = settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE / 60 * HAIR
    try:
        while not (run.over or channel.closed):
            if wait_ := rate_limiter.try_turn(channel.turn, per_second, LATE):
                if not channel.due().most_needed(1) or not run.sleep(wait_):
                    return
                continue
            if per_second > 0:
                rate_limiter.wait_for_turn("telegram", MESSAGES_PER_SECOND)
            if not run.begin(1):
                return
            claimed = _claim(channel.due(), 1, poster_unanswered=F("poster_unanswered") + 1)
            if not claimed:
                run.give_back(1)
                return
            try:
                at_hand[channel.id, lane] = claimed[0]
                outcome = _upload(claimed[0], channel.id)
            except Stopped as error:
                _stand_still(run, channel, str(error))
                continue
            finally:
                del at_hand[channel.id, lane]
            if outcome:
                run.count(outcome)
                channel.done += outcome == "done"
            else:
                run.give_back(1)
    except Stopped as error:
        channel.closed = True
        run.trouble(str(error))
    except (OperationalError, InterfaceError) as error:
        run.trouble(f"the database is away ({error})")
    except Exception:
        log.exception("channel %s: uploads stopped", channel.id)
        run.trouble(f"channel {channel.id}: uploads stopped, see the log")
    finally:
        connections.close_all()


def _stand_still(run, channel, why):
    """Leave the channel alone for a while; for good, in this run, where nothing came of the last while.

    Raises Stopped where Telegram does not answer afterwards.
    """
    run.count("postponed")
    run.trouble(why)
    if channel.done == channel.fruit:
        channel.closed = True
        return
    channel.fruit = channel.done
    rate_limiter.pause(channel.turn, PAUSE)
    if run.sleep(PAUSE):
        _greet()


def _upload(movie, channel):
    """Send a claimed film's poster: "done", "failed", "postponed", or None where Telegram was asked too often.

    Raises Stopped where the channel, or Telegram, takes no poster now.
    """
    known = movie.poster_unanswered  # without this one, which the claim has counted
    if known >= MOST_UNANSWERED:
        _set_aside(movie, f"{known} uploads got no answer: look for it in channel {channel} before sending it again")
        return "failed"
    if movie.poster_attempts > MOST_ATTEMPTS:
        _set_aside(movie, movie.poster_error or "its upload ended the worker, time and again")
        return "failed"
    answered = {"poster_unanswered": known}
    content = storage.read(movie.local_path)
    if content is None:
        log.warning("film %s: its file is missing or damaged; it is downloaded again", movie.pk)
        _held(movie).update(**FROM_THE_START | answered)
        storage.remove(movie.local_path)
        return "postponed"
    try:
        with max_retry_wait(0):
            message = bot.send_photo(
                channel,
                (f"{movie.pk}.jpg", content),
                caption=f"{escape(str(movie)[:200])}\n<code>{movie.pk}</code>",
                disable_notification=True,
                timeout=UPLOAD_TIMEOUT,
            )
        largest = max(message.photo, key=lambda size: size.width * size.height)
    except ApiTelegramException as error:
        return _refused(movie, channel, error, answered)
    except ApiHTTPException as error:
        status = error.result.status_code
        if status == 413:
            _postpone(movie, "Telegram refuses it: too large", **answered)
            return "failed"
        if status < 500:
            _release(movie, **answered)
            raise Stopped(f"something before Telegram refuses uploads (HTTP {status})") from None
        return _lost(movie, channel, f"HTTP {status}")
    except TelegramUnavailable as error:
        if not error.sent:
            _release(movie, **answered)
            raise Stopped(f"Telegram cannot be reached ({error})") from None
        return _lost(movie, channel, str(error))
    except (ApiException, AttributeError, KeyError, TypeError, ValueError):
        return _lost(movie, channel, "an answer that cannot be read")
    if not _stubbornly(lambda: movie.poster_uploaded(largest.file_id, largest.width, largest.height)):
        log.info("film %s: its photo in channel %s is not needed any more", movie.pk, channel)
    storage.remove(movie.local_path)
    return "done"


def _refused(movie, channel, error, answered):
    """Telegram said no: to this photo, to this channel for now, or to us."""
    code, words = error.error_code, error.description
    if code == 429:
        seconds = retry_after(error.result.content)
        log.warning("channel %s: %s", channel, words)
        rate_limiter.pause(f"channel:{channel}", seconds)
        _release(movie, **answered)
        return None
    if code == 401 or code == 404:
        _release(movie, **answered)
        raise Stopped("Telegram does not know TELEGRAM_BOT_TOKEN: take the token that @BotFather shows.")
    if code == 403 or any(sign in words.lower() for sign in CHANNEL_TROUBLE):
        _release(movie, **answered)
        raise Stopped(
            f"channel {channel} takes no posters ({words}): make the bot an administrator who may post there."
        )
    if code == 400 or code == 413:
        _postpone(movie, f"Telegram refuses it: {words}", **answered)
        return "failed"
    _release(movie, **answered)
    raise Stopped(f"Telegram is not well ({words})")


def _lost(movie, channel, why):
    """It may be in the channel, or may not: once more, not twice. A photo that nobody knows of may stay there."""
    if movie.poster_unanswered + 1 >= MOST_UNANSWERED:
        _set_aside(movie, f"no answer to two uploads ({why}): look for it in channel {channel} before sending it again")
        return "failed"
    why = f"no answer to the upload ({why}); it may be in channel {channel} already"
    log.warning("film %s: %s; once more in %s s", movie.pk, why, DELAYS[0])
    _held(movie).update(
        poster_attempts=F("poster_attempts") - 1, poster_next_try_at=int(time.time()) + DELAYS[0], poster_error=why
    )
    raise Stopped(why)


# --- Another bot


def notice_new_bot(bot_id):
    """Have every poster sent again if the bot is another than the one whose file_ids the films hold.

    A file_id serves one bot only (Bot API: Sending files). Films that somebody has rated go before the others. Returns
    how many films were queued.
    """
    known, new = KnownBot.objects.get_or_create(pk=1, defaults={"bot_id": bot_id})
    if new or known.bot_id == bot_id:
        return 0
    with transaction.atomic():
        if not KnownBot.objects.filter(pk=1, bot_id=known.bot_id).update(bot_id=bot_id):
            return 0  # another process has just seen to it
        useless = Movie.objects.filter(telegram_file_id__gt="")
        forgotten = {"telegram_file_id": "", "width": None, "height": None}
        rated = useless.filter(pk__in=Movie.objects.filter(ratings__isnull=False).values("pk"))
        rated.filter(poster_need__lt=PosterNeed.IMPORT).update(poster_need=PosterNeed.IMPORT)
        useless.exclude(poster_path__gt="").update(poster_status=PosterStatus.NONE, **forgotten)
        queued = useless.exclude(poster_status=PosterStatus.TELEGRAM).update(**forgotten)
        queued += useless.update(**FROM_THE_START | forgotten)
    log.warning("bot %s is another than %s: %s posters go to the channels again", bot_id, known.bot_id, queued)
    return queued
