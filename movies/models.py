"""Films as we know them, and what still has to be done for each."""

from __future__ import annotations

import re
import time
import unicodedata
from typing import TYPE_CHECKING, Any

from django.db import connection, models
from django.db.models import F, FilteredRelation, Func, Q
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from config.fields import PlainTextField
from config.monitoring import metrics

if TYPE_CHECKING:
    from django.db.backends.sqlite3.base import DatabaseWrapper
    from django.db.models.functions.comparison import Coalesce
    from django.db.models.sql.compiler import SQLCompiler, SQLUpdateCompiler


class PosterStatus(models.IntegerChoices):
    NONE = -1, _("no poster")
    WAITING = 0, _("waits for download")
    LOCAL = 1, _("on local disk")
    TELEGRAM = 2, _("in Telegram")


class PosterNeed(models.IntegerChoices):
    """How soon a poster is wanted; a higher one goes first."""

    SOMEDAY = 0, _("some day")
    IMPORT = 1, _("a running import")
    ASKED = 2, _("somebody asked for it")


class UnixNow(Func):
    """The present UNIX time in whole seconds, by the clock of the database."""

    output_field = models.BigIntegerField()

    def as_sqlite(
        self, compiler: SQLUpdateCompiler, connection: DatabaseWrapper, **extra: Any
    ) -> tuple[str, list[Any]]:
        return super().as_sql(compiler, connection, template="CAST(strftime('%%%%s', 'now') AS INTEGER)", **extra)

    def as_postgresql(self, compiler, connection, **extra: Any):
        return super().as_sql(compiler, connection, template="floor(EXTRACT(EPOCH FROM now()))::bigint", **extra)


# UNIX time that never comes: the next try of a poster that is set aside until somebody sends it through again
SET_ASIDE = 9_999_999_999
# A poster at the beginning of its way; due from now on, so that the back office knows which one waits longest
FROM_THE_START = {
    "poster_status": PosterStatus.WAITING,
    "local_path": "",
    "poster_attempts": 0,
    "poster_unanswered": 0,
    "poster_next_try_at": UnixNow(),
    "poster_error": "",
}


class YearOf(Func):
    """The year of a date column, in plain SQL, so that any client of the database can write the table."""

    output_field = models.PositiveSmallIntegerField(null=True)

    def as_sqlite(self, compiler: SQLCompiler, connection: DatabaseWrapper, **extra: Any) -> tuple[str, list[Any]]:
        # no blanks behind its commas: Django's introspection of SQLite takes those for the ends of columns
        template = "NULLIF(CAST(substr(%(expressions)s,1,4) AS INTEGER),0)"
        return super().as_sql(compiler, connection, template=template, **extra)

    def as_postgresql(self, compiler, connection, **extra: Any):
        return super().as_sql(compiler, connection, template="EXTRACT(YEAR FROM %(expressions)s)::int", **extra)


def searchable(*texts: Any) -> str:
    """Titles as the search compares them, parted by a bar that no query holds.

    Letters and digits only, case folded, marks taken off ("ё" as "е", "é" as "e"); a title without any keeps its signs.
    """
    return "|".join(dict.fromkeys(folded for text in texts if (folded := folded_text(text))))


def folded_text(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(sign for sign in letters if not unicodedata.combining(sign))
    words = re.sub(r"[^\w]+|_", " ", letters)
    return " ".join(words.split()) or " ".join(text.replace("|", " ").split())


def rating_that_counts(relation: str) -> Coalesce:
    """Rating.value in SQL."""
    return Coalesce(
        F(f"{relation}__manual_rating"),
        F(f"{relation}__tmdb_rating"),
        F(f"{relation}__normalized_rating"),
        output_field=models.DecimalField(max_digits=3, decimal_places=1),
    )


class MovieQuerySet(models.QuerySet):
    def seen_by(self, user_id: int | None) -> MovieQuerySet:
        """The films with `mine`, this person's rating of each (exact, 0.5-10) or None, in the same query."""
        return self.annotate(
            _mine=FilteredRelation("ratings", condition=Q(ratings__user_id=user_id)),
            mine=rating_that_counts("_mine"),
        )

    def rated_by(self, user_id: int) -> MovieQuerySet:
        """The films this person has rated, with `mine` and `rated_at`."""
        return self.filter(ratings__user_id=user_id).annotate(
            mine=rating_that_counts("ratings"), rated_at=F("ratings__rated_at")
        )

    def make_searchable(self, most: int = 20_000) -> int:
        """Fill in `search_text` where another program has written the film; returns for how many."""
        films = self.filter(search_text="").values_list("id", "title", "original_title")[:most]
        texts = [(id, searchable(title, original) or "|") for id, title, original in films]
        for first in range(0, len(texts), 400):  # SQLite may take no more than 999 values in a statement
            part = texts[first : first + 400]
            rows = ", ".join(["(%s, %s)"] * len(part))
            sql = (
                f"UPDATE movies SET search_text = new.column2 FROM (VALUES {rows}) AS new"  # noqa: S608
                " WHERE movies.id = new.column1 AND movies.search_text = ''"
            )
            with connection.cursor() as cursor:
                cursor.execute(sql, [value for row in part for value in row])
        return len(texts)

    def awaiting_download(self) -> MovieQuerySet:
        """Films whose poster is due for a download attempt now."""
        return self.filter(poster_status=PosterStatus.WAITING, poster_next_try_at__lte=int(time.time()))

    def awaiting_upload(self) -> MovieQuerySet:
        """Films whose poster lies on the disk and is due for the channel now."""
        return self.filter(poster_status=PosterStatus.LOCAL, poster_next_try_at__lte=int(time.time()))

    def claimed(self, status: PosterStatus, seconds: int) -> MovieQuerySet:
        """Films of a status on which a worker's claim ends within so many seconds; one that failed waits, unclaimed."""
        now = int(time.time())
        claims = self.filter(poster_status=status, poster_attempts__gt=0, poster_error="")
        return claims.filter(poster_next_try_at__range=(now + 1, now + seconds))

    def of_channel(self, number: int, channels: int) -> MovieQuerySet:
        """Films whose poster belongs into this one of so many channels: nothing to store."""
        return self.annotate(_channel=F("id") % channels).filter(_channel=number)

    def most_needed(self, most: int) -> list[Any | Movie]:
        """The first `most` of films due for a step, by need, then by how long they have been due.

        In the order of the index movies_by_poster_status, so that it costs the same however many films wait.
        """
        return list(self.order_by("-poster_need", "poster_next_try_at", "id")[:most])

    def poster_failed(self) -> MovieQuerySet:
        """Films whose poster was given up or is set aside, with the reason in `poster_error`."""
        set_aside = Q(poster_status__in=[PosterStatus.WAITING, PosterStatus.LOCAL], poster_next_try_at__gte=SET_ASIDE)
        given_up = Q(poster_status__in=[PosterStatus.NONE, PosterStatus.TELEGRAM]) & ~Q(poster_error="")
        return self.filter(poster_path__gt="").filter(set_aside | given_up)

    def requeue_posters(self) -> int:
        """Send the posters through the pipeline again, whatever became of them; the old file_id serves until then."""
        return self.filter(poster_path__gt="").update(**FROM_THE_START)

    def set_posters_aside(self, why: str) -> int:
        """Try nothing more for posters on their way until somebody sends them through again; files go by themselves."""
        unfinished = self.filter(poster_status__in=[PosterStatus.WAITING, PosterStatus.LOCAL])
        aside = {"poster_need": PosterNeed.SOMEDAY, "poster_next_try_at": SET_ASIDE, "poster_error": why}
        return unfinished.update(**FROM_THE_START | aside)

    def reread_details(self) -> int:
        """Have the details read from TMDb again before all others."""
        return self.update(details_at=0, details_tried_at=0)


class Movie(models.Model):
    """A film of TMDb. Its poster's state is a step of TMDb → disk → channel → file_id."""

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

    imdb_id = models.TextField(db_default="", default="", blank=True, db_comment="tt…; empty: none, or not yet read")
    details_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX time /movie/{id} was last read; NULL: known from a list row only"
    )
    details_tried_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX time a refresh last tried to read them, set before it did"
    )
    changed_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX time up to which TMDb last said that the film had changed"
    )
    search_text = models.TextField(db_default="", default="", blank=True, db_comment="titles, folded for the search")
    poster_need = models.SmallIntegerField(
        verbose_name=_("how soon it is wanted"),
        choices=PosterNeed,
        default=PosterNeed.SOMEDAY,
        db_default=PosterNeed.SOMEDAY,
        db_comment="higher goes first",
    )
    poster_attempts = models.PositiveIntegerField(
        default=0, db_default=0, db_comment="attempts at the present step, counted before each"
    )
    poster_next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX time; in the future while claimed, delayed or set aside"
    )
    poster_unanswered = models.PositiveSmallIntegerField(
        default=0, db_default=0, db_comment="uploads begun whose answer is not known; counted before each"
    )
    poster_error = models.TextField(db_default="", default="", blank=True, db_comment="why the last attempt failed")

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
                fields=["poster_status", "-poster_need", "poster_next_try_at", "id"], name="movies_by_poster_status"
            ),
            models.Index(fields=["telegram_file_id"], name="movies_by_telegram_file_id"),
            models.Index(fields=["details_at"], name="movies_by_details_at"),
            models.Index(fields=["year", "id"], name="movies_by_year"),
            models.Index(fields=["id"], condition=~Q(poster_error=""), name="movies_with_poster_error"),
            models.Index(fields=["imdb_id"], name="movies_by_imdb_id"),
            models.Index(fields=["id"], condition=Q(search_text=""), name="movies_not_yet_searchable"),
        ]

    def __str__(self) -> str:
        return f"{self.title or self.original_title or self.pk} ({self.year or '?'})"

    def poster_uploaded(self, file_id: str, width: int, height: int) -> bool:
        """Keep the photo that Telegram made of the present poster; whatever else was to be done for it is done.

        False where another was first, or where the film has got another poster since: theirs stays.
        """
        open_ = Movie.objects.filter(pk=self.pk, poster_path=self.poster_path).exclude(
            poster_status=PosterStatus.TELEGRAM, poster_error=""
        )
        saved = open_.update(
            **FROM_THE_START
            | {
                "poster_status": PosterStatus.TELEGRAM,
                "telegram_file_id": file_id,
                "width": width,
                "height": height,
                "poster_need": PosterNeed.SOMEDAY,
            }
        )
        metrics.increment("posters.uploaded", saved)
        return bool(saved)

    def poster_lost(self) -> bool:
        """Telegram no longer knows the file_id: fetch the poster again. False if somebody has already seen to it."""
        known = Movie.objects.filter(pk=self.pk, telegram_file_id=self.telegram_file_id)
        gone = {"telegram_file_id": "", "width": None, "height": None, "poster_need": PosterNeed.ASKED}
        return bool(known.update(**FROM_THE_START | gone))

    def poster_wanted(self) -> None:
        """Somebody looks at the film now: its poster goes before the others."""
        pending = Movie.objects.filter(pk=self.pk, poster_status__in=[PosterStatus.WAITING, PosterStatus.LOCAL])
        pending.filter(poster_need__lt=PosterNeed.ASKED).update(poster_need=PosterNeed.ASKED)


class KnownChanges(models.Model):
    """For which time it is known, without a gap, which films TMDb has changed. One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    since = models.BigIntegerField(db_comment="UNIX time, midnight UTC")
    until = models.BigIntegerField(db_comment="UNIX time, midnight UTC")

    class Meta:
        db_table = "movies_known_changes"
        db_table_comment = "For which time it is known which films TMDb has changed"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_known_changes")]

    def __str__(self) -> str:
        return f"{self.since}-{self.until}"
