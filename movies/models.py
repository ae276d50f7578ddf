"""Movies, and the state of each one's poster.

A movie's row is the poster pipeline's queue: `poster_status` names the next step, `poster_next_try_at` when it is due,
`poster_priority` which goes first. It is the queue of its details, too: `details_at` says whether they are there, the
other columns `details_…` when they are asked for and which go first. `search_text` holds the titles as the search
compares them.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Case, ExpressionWrapper, F, FilteredRelation, Func, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from config.fields import PlainTextField
from config.lock_order import lock_rows, update_rows
from config.moments import ahead
from config.monitoring import metrics

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.sql.compiler import SQLCompiler

SqlAndParams = tuple[str, "list[str | int] | tuple[str | int, ...]"]  # what an expression's as_sql returns


class PosterStatus(models.IntegerChoices):
    NONE = -1, _("no poster")
    WAITING = 0, _("waits for download")
    LOCAL = 1, _("on local disk")
    TELEGRAM = 2, _("in Telegram")


class PosterPriority(models.IntegerChoices):
    """How soon a poster, or a movie's details, are needed; a higher one goes first."""

    SOMEDAY = 0, _("low")
    IMPORT = 1, _("normal: a running import")
    ASKED = 2, _("high: requested")


class UnixNow(Func):
    """The present UNIX time in whole seconds, by the clock of the database."""

    output_field = models.BigIntegerField()

    # `extra`: the keyword arguments of Func.as_sql, passed on as they are
    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        sql, params = super().as_sql(
            compiler, connection, template="CAST(strftime('%%%%s', 'now') AS INTEGER)", **extra
        )
        return sql, tuple(params)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> SqlAndParams:
        return super().as_sql(compiler, connection, template="floor(EXTRACT(EPOCH FROM now()))::bigint", **extra)


REFRESH_AFTER_SECONDS = 90 * 86_400  # TMDb's terms allow its data to be stored for six months
# UNIX time that never comes: the next try of a poster that failed permanently, until an operator queues it again
NEVER = 9_999_999_999
POSTER_DELAYS = [60, 300, 1800, 7200, 28_800, 86_400, 86_400]  # seconds; after the first, second … failed attempt
# What a row's next try may be ahead by when it is set: at most the delay after its latest attempt; a claim, less
LONGEST_POSTER_WAIT = Case(
    *(When(poster_attempts=number, then=Value(delay)) for number, delay in enumerate(POSTER_DELAYS, 1)),
    default=Value(POSTER_DELAYS[0]),
)
# Likewise of its details: a claim, or the longest delay of those that TMDb does not show
LONGEST_DETAILS_WAIT = Case(When(details_error="", then=Value(60)), default=Value(60 * 86_400))
UNFINISHED = (PosterStatus.WAITING, PosterStatus.LOCAL)  # the poster waits for a step
POSTER_FAILED = Q(poster_path__gt="") & (
    Q(poster_status__in=UNFINISHED, poster_next_try_at__gte=NEVER)
    | Q(poster_status__in=[PosterStatus.NONE, PosterStatus.TELEGRAM]) & ~Q(poster_error="")
)


def poster_failed_since(moment: int) -> Q:
    """Condition: the poster has failed through its own fault since `moment`, UNIX seconds, and that still stands."""
    return ~Q(poster_error="") & Q(poster_failed_at__gt=moment)


# A poster at the first step; due from now on, so that the admin shows which one has waited longest
RESET_POSTER: dict[str, Any] = {  # the values of an update(): numbers, texts and expressions
    "poster_status": PosterStatus.WAITING,
    "local_path": "",
    "poster_attempts": 0,
    "uploads_unconfirmed": 0,
    "poster_next_try_at": UnixNow(),
    "poster_error": "",
}


class YearOf(Func):
    """The year of a date column, in plain SQL, so that any client of the database can write the table."""

    output_field = models.PositiveSmallIntegerField(null=True)

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        # no space after a comma: Django's introspection of SQLite would end the column's definition there
        template = "NULLIF(CAST(substr(%(expressions)s,1,4) AS INTEGER),0)"
        sql, params = super().as_sql(compiler, connection, template=template, **extra)
        return sql, tuple(params)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> SqlAndParams:
        return super().as_sql(compiler, connection, template="EXTRACT(YEAR FROM %(expressions)s)::int", **extra)


def normalize_title(*titles: str | None) -> str:
    """Titles as the search compares them, separated by "|", which no query contains.

    Letters and digits only, casefolded, without diacritics ("ё" as "е", "é" as "e"), "½" as "1 2"; a title without any
    letter or digit stays as it is.
    """
    return "|".join(dict.fromkeys(folded for title in titles if (folded := casefolded_text(title or ""))))


def casefolded_text(text: str) -> str:
    apart = re.sub("[№¼-¾⅐-⅞]", r" \g<0> ", text).replace("№", "")  # NFKD makes "81⁄2" of "8½", "no17" of "№17"
    letters = unicodedata.normalize("NFKD", apart).casefold()
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    words = re.sub(r"[^\w]+|_", " ", letters)
    return " ".join(words.split()) or " ".join(text.replace("|", " ").split())


class AnyGenre(Func):
    """Whether a movie is of one of these genres, TMDb's ids."""

    output_field = models.BooleanField()

    def __init__(self, genres: Iterable[int]) -> None:
        self.genres = sorted(genres)
        super().__init__(F("genres"))

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any
    ) -> tuple[str, tuple[str | int, ...]]:
        sql, params = super().as_sql(compiler, connection, template=any_genre_sql("%(expressions)s", self.genres))
        return sql, tuple(params)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> SqlAndParams:
        return super().as_sql(compiler, connection, template=any_genre_sql("%(expressions)s", self.genres))


def any_genre_sql(column: str, genres: Iterable[int]) -> str:
    """The condition that the JSON array in the column holds one of these numbers."""
    numbers = [str(int(genre)) for genre in genres]
    if connection.vendor == "postgresql":
        wanted = ", ".join(f"'{number}'" for number in numbers)
        return f"{column} @> ANY (ARRAY[{wanted}]::jsonb[])"
    # a quarter of the time that json_each() takes
    array = f"',' || trim(replace({column}, ' ', ''), '[]') || ','"
    return "(" + " OR ".join(f"instr({array}, ',{number},')" for number in numbers) + ")"


def effective_rating(relation: str) -> Coalesce:
    """Rating.value (exact, 0.5-10) in SQL."""
    return Coalesce(
        F(f"{relation}__manual_rating"),
        F(f"{relation}__tmdb_rating"),
        F(f"{relation}__normalized_rating"),
        output_field=models.DecimalField(max_digits=3, decimal_places=1),
    )


def upload_seconds(posters: int) -> float:
    """How long so many uploads take all channels together; 0 where nothing limits them."""
    per_minute = settings.TELEGRAM_CHANNEL_MESSAGES_PER_MINUTE * len(settings.TELEGRAM_POSTER_CHANNELS)
    return posters / per_minute * 60 if per_minute else 0.0


class MovieQuerySet(models.QuerySet["Movie"]):
    def with_user_rating(self, user_id: int | None) -> MovieQuerySet:
        """Movies with what this user has of each, in the same query.

        `user_rating`: their rating (exact, 0.5-10) or None; `on_watchlist`: whether they want to see it.
        """
        return self.annotate(
            _own=FilteredRelation("ratings", condition=Q(ratings__user_id=user_id)),
            user_rating=effective_rating("_own"),
            _wanted=FilteredRelation("watchlist", condition=Q(watchlist__user_id=user_id)),
            on_watchlist=ExpressionWrapper(Q(_wanted__added_at__isnull=False), output_field=models.BooleanField()),
        )

    def rated_by(self, user_id: int) -> MovieQuerySet:
        """Movies this user has rated, with `user_rating` and `rated_at`."""
        return self.filter(ratings__user_id=user_id).annotate(
            user_rating=effective_rating("ratings"), rated_at=F("ratings__rated_at")
        )

    def locked(self, ids: Iterable[int]) -> MovieQuerySet:
        """Movies with these ids, locked in the order in which everybody locks them (see config.lock_order)."""
        return self.filter(id__in=list(ids)).order_by("id").select_for_update(no_key=True)

    def fill_search_text(self, limit: int = 20_000) -> int:
        """Fill in `search_text` where another program has written the movie; returns for how many."""
        movies = self.filter(search_text="").values_list("id", "title", "original_title", "title_en")[:limit]
        texts = [(id, normalize_title(*titles) or "|") for id, *titles in movies]
        for first in range(0, len(texts), 400):  # SQLite may take no more than 999 values in a statement
            batch = texts[first : first + 400]
            rows = ", ".join(["(%s, %s)"] * len(batch))
            sql = (
                f"UPDATE movies SET search_text = new.column2 FROM (VALUES {rows}) AS new"  # noqa: S608
                " WHERE movies.id = new.column1 AND movies.search_text = ''"
            )
            with transaction.atomic(), connection.cursor() as cursor:
                lock_rows(self.filter(id__in=[id for id, _text in batch]))
                cursor.execute(sql, [value for row in batch for value in row])
        return len(texts)

    def awaiting_download(self) -> MovieQuerySet:
        """Movies whose poster is due for a download attempt now."""
        return self._due(PosterStatus.WAITING)

    def awaiting_upload(self) -> MovieQuerySet:
        """Movies whose poster is on local disk and due for an upload attempt now."""
        return self._due(PosterStatus.LOCAL)

    def _due(self, status: PosterStatus) -> MovieQuerySet:
        possible = self.filter(poster_status=status, poster_next_try_at__lt=NEVER)
        return possible.exclude(ahead("poster_next_try_at", LONGEST_POSTER_WAIT))

    def claimed(self, status: PosterStatus, seconds: int) -> MovieQuerySet:
        """Movies of a status whose claim expires within so many seconds; one that failed and waits is not claimed."""
        now = int(time.time())
        claims = self.filter(poster_status=status, poster_attempts__gt=0, poster_error="")
        return claims.filter(poster_next_try_at__range=(now + 1, now + seconds))

    def for_channel(self, number: int, channels: int) -> MovieQuerySet:
        """Movies whose poster goes to channel `number` of `channels`: by the id, so nothing has to be stored."""
        return self.annotate(_channel=F("id") % channels).filter(_channel=number)

    def by_priority(self, limit: int) -> list[Movie]:
        """The first `limit` of movies due for a step, by priority, then by how long they have been due.

        In the order of the index movies_by_poster_status, so that it costs the same however many movies wait.
        """
        return list(self.order_by("-poster_priority", "poster_next_try_at", "id")[:limit])

    def poster_failed(self) -> MovieQuerySet:
        """Movies whose poster failed permanently, with the reason in `poster_error`."""
        return self.filter(POSTER_FAILED)

    def requeue_posters(self, priority: PosterPriority | None = None) -> int:
        """Queue the posters again, whatever their state; the old file_id serves until the new one is there."""
        columns = RESET_POSTER if priority is None else {**RESET_POSTER, "poster_priority": priority}
        return update_rows(self.filter(poster_path__gt=""), **columns)

    def keep_old_posters(self) -> int:
        """Take posters that are in Telegram out of the queue again; files that are on the disk are cleaned up later."""
        state = {"poster_status": PosterStatus.TELEGRAM, "poster_priority": PosterPriority.SOMEDAY}
        return update_rows(self.replacing_posters(), **RESET_POSTER | state)

    def replacing_posters(self) -> MovieQuerySet:
        """Movies whose poster is in Telegram and is queued again."""
        return self.filter(poster_status__in=UNFINISHED, telegram_file_id__gt="")

    def poster_unfinished(self) -> MovieQuerySet:
        """Movies whose poster waits for a step, and is neither paused nor given up."""
        waiting = self.filter(poster_status__in=UNFINISHED)
        return waiting.filter(poster_next_try_at__lt=NEVER)

    def suspend_posters(self, reason: str) -> int:
        """Stop trying unfinished posters until an operator queues them again; their files are cleaned up later."""
        state = {"poster_priority": PosterPriority.SOMEDAY, "poster_next_try_at": NEVER, "poster_error": reason}
        return update_rows(self.poster_unfinished(), **RESET_POSTER | state)

    def without_pending_poster(self) -> MovieQuerySet:
        """Movies whose poster is in Telegram, or that have none, or one that cannot be had."""
        absent = Q(poster_status=PosterStatus.NONE) | Q(poster_next_try_at__gte=NEVER)
        return self.filter(Q(telegram_file_id__gt="") | absent)

    def prioritize_posters(self) -> int:
        """Users are about to look at these movies: their posters go before the others. Returns how many are pending."""
        pending = self.filter(poster_status__in=UNFINISHED, telegram_file_id="")
        ids = list(pending.order_by("pk").values_list("pk", flat=True))
        later = Movie.objects.filter(pk__in=ids, poster_priority__lt=PosterPriority.ASKED)
        update_rows(later, poster_priority=PosterPriority.ASKED)
        return len(ids)

    def awaiting_details(self) -> MovieQuerySet:
        """Movies known from a list row only whose details may be asked for now, most urgent first."""
        due = self.filter(details_at=None).exclude(ahead("details_next_try_at", LONGEST_DETAILS_WAIT))
        return due.order_by("-details_priority", "details_place", "id")

    def with_old_details(self) -> MovieQuerySet:
        """Movies whose details are to be read again, the oldest first."""
        old = self.filter(details_at__lte=int(time.time()) - REFRESH_AFTER_SECONDS)
        due = old.exclude(ahead("details_next_try_at", LONGEST_DETAILS_WAIT))
        return due.order_by("details_at", "id")

    def lacking_details(self) -> MovieQuerySet:
        """Movies whose first details are still to come; not those that TMDb has failed to show."""
        return self.filter(details_at=None, details_error="")

    def prioritize_details(self, priority: PosterPriority, place: int = 0) -> int:
        """Have first details read sooner: before those of a lower priority, or of a later place in an import."""
        later = Q(details_priority__lt=priority) | Q(details_priority=priority, details_place__gt=place)
        return update_rows(self.lacking_details().filter(later), details_priority=priority, details_place=place)

    @transaction.atomic
    def reread_details(self) -> int:
        """Have the details read from TMDb again, before all that are merely old; returns of how many movies."""
        lock_rows(self)
        failed = self.filter(details_at=None).update(details_next_try_at=0, details_error="")
        return failed + self.exclude(details_at=None).update(details_at=0, details_next_try_at=0)


class Movie(models.Model):
    """A movie of TMDb. Its poster's state is a step of TMDb → disk → channel → file_id."""

    user_rating: Decimal | None  # of querysets with_user_rating() and rated_by() only
    on_watchlist: bool = False  # whether that user wants to see it; of with_user_rating() only
    rated_at: int  # UNIX seconds; of rated_by() only

    id = models.PositiveIntegerField(verbose_name=_("TMDb id"), primary_key=True, db_comment="TMDb movie id")
    title = models.TextField(
        verbose_name=_("title"), db_default="", default="", blank=True, db_comment="in TMDB_LANGUAGE, else the original"
    )
    original_title = PlainTextField(verbose_name=_("original title"))
    overview = PlainTextField(verbose_name=_("overview"))
    release_date = models.DateField(verbose_name=_("release date"), null=True, blank=True)
    year = models.GeneratedField(
        verbose_name=_("year"),
        expression=YearOf("release_date"),
        output_field=models.PositiveSmallIntegerField(null=True),
        db_persist=True,
        db_comment="of release_date; generated",
    )
    runtime = models.PositiveIntegerField(
        verbose_name=_("running time, minutes"), null=True, blank=True, db_comment="minutes; NULL: unknown"
    )
    popularity = models.FloatField(verbose_name=_("popularity"), default=0, db_default=0)
    vote_average = models.FloatField(
        verbose_name=_("TMDb score"), default=0, db_default=0, db_comment="TMDb's mean vote, 0-10"
    )
    vote_count = models.PositiveIntegerField(verbose_name=_("votes"), default=0, db_default=0)
    poster_path = PlainTextField(verbose_name=_("path of the poster"), db_comment="path at TMDb; empty: none")
    poster_status = models.SmallIntegerField(
        verbose_name=_("poster"),
        choices=PosterStatus,
        default=PosterStatus.NONE,
        db_default=PosterStatus.NONE,
        db_comment="-1 no poster, 0 waits for download, 1 on local disk, 2 in Telegram",
    )
    telegram_file_id = PlainTextField(db_comment="of the largest size")
    width = models.PositiveIntegerField(null=True, blank=True, db_comment="pixels of the largest size")
    height = models.PositiveIntegerField(null=True, blank=True, db_comment="pixels of the largest size")
    local_path = PlainTextField(db_comment="empty unless poster_status is 1")

    title_en = PlainTextField(verbose_name=_("English title"))
    overview_en = PlainTextField(db_comment="in English")
    genres = models.JSONField(default=list, db_default=[], blank=True, db_comment="TMDb's ids, e.g. [28, 12]")
    countries = models.JSONField(default=list, db_default=[], blank=True, db_comment='ISO 3166-1, e.g. ["US"]')
    directors = models.JSONField(
        default=list, db_default=[], blank=True, db_comment="[{name, original_name}]; name: in TMDB_LANGUAGE"
    )
    actors = models.JSONField(default=list, db_default=[], blank=True, db_comment="the first five billed, likewise")
    collection_id = models.PositiveIntegerField(
        null=True, blank=True, db_comment="TMDb's collection, a series of films; NULL: none, or not yet read"
    )
    trailer_key = PlainTextField(db_comment="YouTube's; empty: none")

    imdb_id = models.TextField(db_default="", default="", blank=True, db_comment="tt…; empty: none, or not yet read")
    details_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX time /movie/{id} was last read; NULL: known from a list row only"
    )
    details_tried_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX time they were last asked for, set before that"
    )
    details_priority = models.SmallIntegerField(
        choices=PosterPriority,
        default=PosterPriority.SOMEDAY,
        db_default=PosterPriority.SOMEDAY,
        db_comment="of the first details; higher goes first",
    )
    details_place = models.PositiveIntegerField(
        default=0, db_default=0, db_comment="among those of a priority, e.g. in an import; lower goes first"
    )
    details_attempts = models.PositiveIntegerField(
        default=0, db_default=0, db_comment="failed ones in a row, counted before each"
    )
    details_next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX time; in the future while claimed or delayed"
    )
    details_error = models.TextField(
        db_default="",
        default="",
        blank=True,
        db_comment="why TMDb does not show them; empty: it does, or is to be asked",
    )
    search_text = models.TextField(db_default="", default="", blank=True, db_comment="titles, folded for the search")
    poster_priority = models.SmallIntegerField(
        verbose_name=_("priority"),
        choices=PosterPriority,
        default=PosterPriority.SOMEDAY,
        db_default=PosterPriority.SOMEDAY,
        db_comment="higher goes first",
    )
    poster_attempts = models.PositiveIntegerField(
        default=0, db_default=0, db_comment="attempts at the present step, counted before each"
    )
    poster_next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX time; in the future while claimed, delayed or failed permanently"
    )
    uploads_unconfirmed = models.PositiveSmallIntegerField(
        default=0, db_default=0, db_comment="uploads begun whose outcome is not known; counted before each"
    )
    poster_error = models.TextField(db_default="", default="", blank=True, db_comment="why the last attempt failed")
    poster_failed_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX time an attempt last failed through the poster's fault; NULL: not known"
    )

    objects = MovieQuerySet.as_manager()

    class Meta:
        db_table = "movies"
        db_table_comment = "Films of TMDb and where their posters are"
        verbose_name = _("film")
        verbose_name_plural = _("films")
        constraints = [
            models.CheckConstraint(condition=Q(poster_status__range=(-1, 2)), name="poster_status_known"),
            models.CheckConstraint(
                condition=Q(local_path=None) | Q(local_path="") | Q(poster_status=PosterStatus.LOCAL),
                name="local_path_only_while_local",
            ),
            models.CheckConstraint(
                condition=Q(telegram_file_id__isnull=False, telegram_file_id__gt="")
                | ~Q(poster_status=PosterStatus.TELEGRAM),
                name="uploaded_poster_has_file_id",
            ),
            models.CheckConstraint(condition=Q(vote_average__range=(0, 10)), name="vote_average_in_range"),
        ]
        indexes = [
            models.Index(
                fields=["poster_status", "-poster_priority", "poster_next_try_at", "id"],
                name="movies_by_poster_status",
            ),
            models.Index(fields=["telegram_file_id"], name="movies_by_telegram_file_id"),
            models.Index(fields=["details_at"], name="movies_by_details_at"),
            models.Index(
                fields=["-details_priority", "details_place", "id"],
                condition=Q(details_at=None),
                name="movies_lacking_details",
            ),
            models.Index(fields=["year", "id"], name="movies_by_year"),
            models.Index(fields=["id"], condition=~Q(poster_error=""), name="movies_with_poster_error"),
            models.Index(fields=["imdb_id"], name="movies_by_imdb_id"),
            models.Index(fields=["id"], condition=Q(search_text=""), name="movies_not_yet_searchable"),
        ]

    def __str__(self) -> str:
        return f"{self.title or self.original_title or self.pk} ({self.year or '?'})"

    def poster_uploaded(self, file_id: str, width: int, height: int) -> bool:
        """Save the photo that Telegram made of the present poster, which completes its pipeline; sizes in pixels.

        False where another worker was first, or where the movie has got another poster since.
        """
        unfinished = Movie.objects.filter(pk=self.pk, poster_path=self.poster_path).exclude(
            poster_status=PosterStatus.TELEGRAM, poster_error=""
        )
        saved = unfinished.update(
            **RESET_POSTER
            | {
                "poster_status": PosterStatus.TELEGRAM,
                "telegram_file_id": file_id,
                "width": width,
                "height": height,
                "poster_priority": PosterPriority.SOMEDAY,
            }
        )
        metrics.increment("posters.uploaded", saved)
        return bool(saved)

    @staticmethod
    def poster_fault(why: str) -> dict[str, Any]:
        """The columns that say that an attempt failed now, through the poster's fault."""
        return {"poster_error": why, "poster_failed_at": UnixNow()}

    def refetch_poster(self) -> bool:
        """Telegram no longer knows the file_id: fetch the poster again. False if that has been done already."""
        unchanged = Movie.objects.filter(pk=self.pk, telegram_file_id=self.telegram_file_id)
        lost = {"telegram_file_id": "", "width": None, "height": None, "poster_priority": PosterPriority.ASKED}
        return bool(unchanged.update(**RESET_POSTER | lost))

    def prioritize_poster(self) -> None:
        """A user looks at the movie now: its poster goes before the others."""
        pending = Movie.objects.filter(pk=self.pk, poster_status__in=UNFINISHED)
        pending.filter(poster_priority__lt=PosterPriority.ASKED).update(poster_priority=PosterPriority.ASKED)


class PendingCard(models.Model):
    """A card that was sent before its movie's details were there; its caption is edited when they come."""

    chat_id = models.BigIntegerField()
    message_id = models.BigIntegerField()
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="pending_cards")
    has_photo = models.BooleanField()
    language = models.CharField(max_length=8)
    rows = models.JSONField(default=list, db_comment="buttons below the card's own: [[[text, callback data]]]")
    sent_at = models.BigIntegerField(db_comment="UNIX seconds")

    class Meta:
        db_table = "pending_cards"
        db_table_comment = "Cards that were sent before their films' details were there"

    def __str__(self) -> str:
        return f"{self.chat_id} · {self.movie_id}"


class MergedMovie(models.Model):
    """An id that TMDb has given up for another movie's: lists of TMDb's may name it still."""

    movie_id = models.PositiveIntegerField(primary_key=True, db_comment="TMDb movie id")
    successor = models.ForeignKey(Movie, models.CASCADE, related_name="+", db_comment="the movie TMDb has instead")
    merged_at = models.BigIntegerField(db_comment="UNIX seconds")

    class Meta:
        db_table = "merged_movies"
        db_table_comment = "Ids that TMDb has given up for another film's"

    def __str__(self) -> str:
        return f"{self.movie_id} → {self.successor_id}"


def longest_waiting_poster() -> Movie | None:
    """The movie that has been due for the next step of its poster longest; reads one row a status and priority."""
    now = int(time.time())
    first = [
        Movie.objects.filter(poster_status=status, poster_priority=priority, poster_next_try_at__lte=now)
        .order_by("poster_next_try_at", "id")
        .first()
        for status in UNFINISHED
        for priority in PosterPriority
    ]
    return min(filter(None, first), key=lambda movie: movie.poster_next_try_at, default=None)


def oldest_waiting_poster() -> int:
    """UNIX seconds since which that movie has waited; 0 where none waits, or for ever."""
    oldest = longest_waiting_poster()
    return oldest.poster_next_try_at if oldest else 0


def place_in_poster_queue(movie: Movie, most: int) -> int | None:
    """How many posters are to be sent before this one's, at most `most`; None where it does not wait now."""
    if movie.poster_status not in UNFINISHED or movie.poster_next_try_at >= NEVER:
        return None
    count = 0
    for status in UNFINISHED:
        for priority in PosterPriority:
            if priority < movie.poster_priority:
                continue
            before = Movie.objects.filter(poster_status=status, poster_priority=priority)
            if priority == movie.poster_priority:
                before = before.filter(poster_next_try_at__lt=movie.poster_next_try_at)
            else:
                before = before.filter(poster_next_try_at__lt=NEVER)
            count += before.order_by()[: most + 1].count()
    return min(count, most)
