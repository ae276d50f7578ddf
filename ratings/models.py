"""Who gave which film how much, here and at TMDb."""

from __future__ import annotations

import time
from array import array
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from movies.models import Movie
from users.models import User

HALF_POINTS = [Decimal(n) / 2 for n in range(1, 21)]  # 0.5, 1.0 … 10.0, as TMDb holds ratings
MOST_NAMES = 200  # films of a kind that an import names


def normalize(rating: Decimal | int) -> Decimal | int:
    """A rating of 0.5-10 on the scale of 1-10 that similarity is computed from: 0.5 counts as 1."""
    return max(Decimal(1), rating)


class Source(models.TextChoices):
    TMDB = "tmdb", "TMDb"
    MANUAL = "manual", _("made in the chat")


class Rating(models.Model):
    """One person's rating of one film.

    `tmdb_rating` is the value last seen at TMDb, the base of the merge when both sides change; `manual_rating` is what
    the person gave here, while that is what counts (`source` is manual).
    """

    pk = models.CompositePrimaryKey("user_id", "movie_id")
    user = models.ForeignKey(
        User, models.CASCADE, related_name="ratings", db_column="telegram_user_id", db_comment="whose"
    )
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="ratings", db_comment="TMDb movie id")
    tmdb_rating = models.DecimalField(
        max_digits=3, decimal_places=1, null=True, db_comment="0.5-10.0 as last seen at TMDb; NULL: it holds none"
    )
    manual_rating = models.DecimalField(
        max_digits=3, decimal_places=1, null=True, db_comment="0.5-10.0 as given here; NULL where source is tmdb"
    )
    normalized_rating = models.DecimalField(
        max_digits=3, decimal_places=1, db_comment="1-10, for similarity: the rating with 0.5 raised to 1"
    )
    rated_at = models.BigIntegerField(db_comment="UNIX seconds when this value was first seen")
    source = models.CharField(max_length=6, choices=Source, default=Source.TMDB, db_default=Source.TMDB)
    seen_in_crawl = models.BigIntegerField(
        null=True, blank=True, db_comment="Import.crawl_id of the last reading of the account that came upon it"
    )

    class Meta:
        db_table = "user_movie_ratings"
        db_table_comment = "Ratings of people, from TMDb and from the chat"
        verbose_name = _("rating")
        verbose_name_plural = _("ratings")
        constraints = [
            models.CheckConstraint(
                condition=Q(tmdb_rating__isnull=True) | Q(tmdb_rating__in=HALF_POINTS), name="tmdb_rating_in_range"
            ),
            models.CheckConstraint(
                condition=Q(manual_rating__isnull=True) | Q(manual_rating__in=HALF_POINTS),
                name="manual_rating_in_range",
            ),
            models.CheckConstraint(
                condition=Q(normalized_rating__range=(Decimal(1), Decimal(10))), name="normalized_rating_in_range"
            ),
            models.CheckConstraint(condition=Q(source__in=Source.values), name="source_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id} · {self.value}"

    @property
    def value(self) -> Decimal:
        """The rating that counts, 0.5-10.0 (exact)."""
        if self.source == Source.MANUAL and self.manual_rating is not None:
            return self.manual_rating
        return self.normalized_rating if self.tmdb_rating is None else self.tmdb_rating


class PendingWrite(models.Model):
    """A rating made or taken back in the chat that TMDb has still to hear of.

    `rating` NULL takes the rating back there; `base` is then the value TMDb held, so that an import tells a value that
    is merely not yet gone from one that was given anew.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="pending_writes", db_column="telegram_user_id")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    rating = models.DecimalField(max_digits=3, decimal_places=1, null=True, db_comment="0.5-10.0; NULL: take it back")
    base = models.DecimalField(
        max_digits=3, decimal_places=1, null=True, db_comment="TMDb's value when this was asked for; NULL: it held none"
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0, db_comment="counted before each")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")
    error = models.TextField(default="", db_default="", blank=True, db_comment="why the last attempt failed")

    class Meta:
        db_table = "pending_writes"
        db_table_comment = "Ratings to be written to TMDb"
        constraints = [models.UniqueConstraint(fields=["user", "movie"], name="one_pending_write_per_rating")]
        indexes = [models.Index(fields=["next_try_at"], name="pending_writes_by_next_try")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id} · {self.rating}"


class ImportQuerySet(models.QuerySet):
    def running(self) -> ImportQuerySet:
        """Imports to be gone on with."""
        return self.filter(finished_at=None)

    def untold(self) -> ImportQuerySet:
        """Finished imports whose outcome the person has still to hear; after a day it would only puzzle them."""
        return self.filter(told_at=None, finished_at__gt=int(time.time()) - 86_400, user__blocked_at=None)


class Import(models.Model):
    """One import of a person's ratings from TMDb: while it runs, where to go on; afterwards, what came of it.

    Whatever must outlive a kill -9 is in this row, and changes in the same transaction as the ratings it is about.
    """

    user = models.ForeignKey(
        User, models.CASCADE, related_name="imports", db_column="telegram_user_id", db_comment="whose"
    )
    account_id = models.BigIntegerField(null=True, db_comment="TMDb account; NULL until TMDb told us")
    scheduled = models.BooleanField(
        verbose_name=_("by the clock"),
        default=False,
        db_default=False,
        db_comment="by the clock: told only what the person would care about",
    )
    started_at = models.BigIntegerField(db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds; NULL while it runs")
    told_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds when the person knew the outcome")
    error = models.TextField(default="", db_default="", blank=True, db_comment="why it failed; empty: it did not")
    message_id = models.BigIntegerField(null=True, blank=True, db_comment="the message in the chat that shows it")

    crawl = models.JSONField(default=dict, db_comment="how far the account has been read; see ratings.crawl")
    crawled = models.BooleanField(default=False, db_default=False, db_comment="the account has been read")
    complete = models.BooleanField(
        default=False, db_default=False, db_comment="every rating came while the account stood still"
    )
    quick = models.BooleanField(
        default=False, db_default=False, db_comment="only the newest page was read: nothing else can have changed much"
    )
    total_results = models.PositiveIntegerField(
        verbose_name=_("ratings as TMDb counts them"), default=0, db_default=0, db_comment="as TMDb counts"
    )
    out_of_reach = models.PositiveIntegerField(
        verbose_name=_("out of reach"), default=0, db_default=0, db_comment="ratings beyond the 20,000 that TMDb serves"
    )
    ratings_done = models.PositiveIntegerField(
        verbose_name=_("ratings read"), default=0, db_default=0, db_comment="progress: rated films read"
    )
    films_total = models.PositiveIntegerField(
        verbose_name=_("films without details"), default=0, db_default=0, db_comment="films that lacked details"
    )
    films_done = models.PositiveIntegerField(
        verbose_name=_("films asked for"), default=0, db_default=0, db_comment="progress: films asked for"
    )

    added = models.PositiveIntegerField(verbose_name=_("new ones"), default=0, db_default=0)
    changed = models.PositiveIntegerField(
        verbose_name=_("changed ones"), default=0, db_default=0, db_comment="another value at TMDb than before"
    )
    removed = models.PositiveIntegerField(
        verbose_name=_("ones that are gone"), default=0, db_default=0, db_comment="no longer at TMDb"
    )
    overridden = models.PositiveIntegerField(
        verbose_name=_("changed though rated here"),
        default=0,
        db_default=0,
        db_comment="of `changed`: rated here as well",
    )
    left_out = models.PositiveIntegerField(
        verbose_name=_("left out"), default=0, db_default=0, db_comment="TMDb gave no valid rating"
    )
    failed = models.PositiveIntegerField(
        verbose_name=_("films whose details did not come"),
        default=0,
        db_default=0,
        db_comment="films whose details did not come",
    )
    names = models.JSONField(
        default=dict, db_comment="the films of overridden, left_out and failed, by id, at most 200 each"
    )

    trouble_since = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds since when TMDb does not answer; NULL: it does"
    )
    trouble = models.TextField(default="", db_default="", blank=True, db_comment="what TMDb says instead")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds; later, while TMDb is away")

    objects = ImportQuerySet.as_manager()

    class Meta:
        db_table = "imports"
        db_table_comment = "Imports of ratings from TMDb, running and past"
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(finished_at__isnull=True), name="one_running_import_per_person"
            ),
        ]
        indexes = [models.Index(fields=["finished_at"], name="imports_by_finished_at")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.started_at}"

    @property
    def crawl_id(self) -> int:
        """What marks the ratings that the present reading of the account has come upon (Rating.seen_in_crawl)."""
        return self.pk * 10 + self.crawl.get("reading", 0)

    @property
    def settled(self) -> bool:
        """Whether the account stood still while it was read."""
        return bool(self.crawl.get("settled"))

    def note(self, kind: str, movie_id: int, **what: Any) -> None:
        """Count a film under `kind` (overridden, left_out, failed) and keep its name for the report; once each."""
        films = self.names.setdefault(kind, {})
        if str(movie_id) in films:
            return
        setattr(self, kind, getattr(self, kind) + 1)
        if len(films) < MOST_NAMES:
            films[str(movie_id)] = what


class DetailsFailure(models.Model):
    """A rated film whose details TMDb would not give; it is asked again, ever more seldom."""

    movie = models.OneToOneField(Movie, models.CASCADE, primary_key=True, related_name="details_failure")
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")
    error = models.TextField(default="", db_default="", blank=True, db_comment="what TMDb said")

    class Meta:
        db_table = "details_failures"
        db_table_comment = "Films whose details TMDb would not give"
        verbose_name = _("film without details")
        verbose_name_plural = _("films without details")
        indexes = [models.Index(fields=["next_try_at"], name="details_failures_by_next_try")]

    def __str__(self) -> str:
        return f"{self.movie_id}: {self.error}"


class FileImport(models.Model):
    """A CSV that a person sent: where to go on with it, and what has come of its rows so far.

    The file stays with Telegram and is read anew by each run; what a run has done is in this row, written in the same
    transaction as the ratings.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="file_imports", db_column="telegram_user_id")
    telegram_file_id = models.TextField(db_comment="of the document")
    message_id = models.BigIntegerField(null=True, blank=True, db_comment="the message in the chat that shows it")
    sent_at = models.BigIntegerField(db_comment="UNIX seconds")
    replace = models.BooleanField(
        default=False, db_default=False, db_comment="the file's rating counts even where the one here is newer"
    )
    rows_total = models.PositiveIntegerField(null=True, blank=True, db_comment="NULL until the file has been read")
    rows_done = models.PositiveIntegerField(default=0, db_default=0)
    outcome = models.JSONField(default=dict, db_comment="how many rows came to what: added, changed, kept, …")
    names = models.JSONField(default=dict, db_comment="films that were kept or not found, some of each")
    attempts = models.PositiveIntegerField(default=0, db_default=0, db_comment="in vain, since the last progress")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds; NULL while there is work")
    told_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds when the person knew the outcome")
    error = models.TextField(default="", db_default="", blank=True, db_comment="why it was given up; empty: it was not")

    class Meta:
        db_table = "file_imports"
        db_table_comment = "CSV files that people sent, running and past"
        verbose_name = _("file import")
        verbose_name_plural = _("file imports")
        indexes = [models.Index(fields=["finished_at", "next_try_at"], name="file_imports_by_next_try")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.sent_at}"


class BuildQuerySet(models.QuerySet):
    def running(self):
        """Those at work, or ended without a word."""
        return self.filter(finished_at=None, error="")

    def finished(self) -> BuildQuerySet:
        """Those that serve or have served, the latest first."""
        return self.filter(finished_at__isnull=False).order_by("-pk")

    def current(self) -> Build | None:
        """The build whose neighbours serve; None before the first."""
        return self.finished().first()


class Build(models.Model):
    """One learning of the neighbours from everybody's ratings; the newest finished one serves, all at once."""

    started_at = models.BigIntegerField(db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds; NULL: runs, or was ended")
    checked_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds when too little had changed for another build"
    )
    asked_by = models.TextField(
        default="", db_default="", blank=True, db_comment="a name of the back office, the command line or the clock"
    )
    progress = models.TextField(default="", db_default="", blank=True, db_comment="what it is doing, in words")
    error = models.TextField(
        default="", db_default="", blank=True, db_comment="why nothing came of it; empty: no error"
    )
    order_strength = models.FloatField(
        _("how much the order of ratings says"),
        default=0,
        db_default=0,
        db_comment="0-1: how much the order in which people rate says; scoring needs it",
    )
    people = models.PositiveIntegerField(
        _("people of the bot"), default=0, db_default=0, db_comment="of the bot, who have rated"
    )
    ratings = models.PositiveIntegerField(_("ratings of theirs"), default=0, db_default=0, db_comment="of theirs")
    archive = models.TextField(
        _("MovieLens archive"),
        default="",
        db_default="",
        blank=True,
        db_comment="path of a MovieLens archive; or empty",
    )
    archive_people = models.PositiveIntegerField(_("people of the archive"), default=0, db_default=0)
    archive_ratings = models.PositiveIntegerField(_("ratings of the archive"), default=0, db_default=0)
    films = models.PositiveIntegerField(
        _("films with neighbours"), default=0, db_default=0, db_comment="that have neighbours"
    )
    neighbours = models.PositiveIntegerField(
        _("neighbours"), default=0, db_default=0, db_comment="of all films together"
    )

    objects = BuildQuerySet.as_manager()

    class Meta:
        db_table = "neighbour_builds"
        db_table_comment = "When the neighbours were learned, and from what"
        verbose_name = _("build of recommendations")
        verbose_name_plural = _("builds of recommendations")

    def __str__(self) -> str:
        return f"{self.pk} · {self.started_at}"

    @property
    def everybody(self):
        """How many people the neighbours come from."""
        return self.people + self.archive_people

    def changes(self):
        """How many ratings have come, changed or gone since."""
        since = Rating.objects.filter(rated_at__gte=self.started_at).count()
        return max(since, abs(Rating.objects.count() - self.ratings))


class Neighbours(models.Model):
    """Who likes `movie` will like some films and others not: what /recommend reads, a row for each film.

    Both lists lie in bytes as they lie in memory: Python adds up ten thousand numbers from two hundred rows in half of
    the time that a database needs to group as many rows. No id is a foreign key: film 0 is the one that everybody has
    seen (its neighbours are the popular films), and films that only an archive knows come into `movies` a little later.
    """

    pk = models.CompositePrimaryKey("build_id", "movie_id")
    build_id = models.IntegerField(db_comment="neighbour_builds.id")
    movie_id = models.IntegerField(db_comment="TMDb movie id; 0: the film that everybody has seen")
    films = models.BinaryField(db_comment="TMDb ids, 4 bytes each, little-endian; first the most alike, best first")
    weights = models.BinaryField(
        db_comment="what liking the film adds to the score of each of these; float32, little-endian; may be negative"
    )
    nearest = models.SmallIntegerField(default=0, db_default=0, db_comment="how many of them are the most alike")

    class Meta:
        db_table = "neighbours"
        db_table_comment = "Films that go together"

    def __str__(self) -> str:
        return f"{self.movie_id} → {', '.join(map(str, array('i', self.films)[:10]))}"


class TMDbAsked(models.Model):
    """A film whose recommendations TMDb has been asked for; kept for months."""

    movie_id = models.IntegerField(primary_key=True, db_comment="TMDb movie id")
    asked_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds when TMDb answered; 0: not yet")
    next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds; where TMDb failed at this film"
    )

    class Meta:
        db_table = "tmdb_neighbours_asked"
        db_table_comment = "Films whose neighbours TMDb has been asked for"

    def __str__(self) -> str:
        return str(self.movie_id)


class TMDbNeighbour(models.Model):
    """A film that TMDb shows beside another; counts while the bot has few people of its own."""

    pk = models.CompositePrimaryKey("movie_id", "place")
    movie_id = models.IntegerField(db_comment="TMDb movie id")
    place = models.SmallIntegerField(db_comment="1-20, in TMDb's order")
    neighbour_id = models.IntegerField(db_comment="TMDb movie id")

    class Meta:
        db_table = "tmdb_neighbours"
        db_table_comment = "Films that TMDb shows beside a film"

    def __str__(self) -> str:
        return f"{self.movie_id} → {self.neighbour_id}"


class WantedFilm(models.Model):
    """A film that the neighbours lead to and that is not in `movies` yet; the worker fetches it."""

    movie_id = models.IntegerField(primary_key=True, db_comment="TMDb movie id")
    wanted = models.PositiveIntegerField(default=0, db_default=0, db_comment="how many films lead to it")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")

    class Meta:
        db_table = "wanted_films"
        db_table_comment = "Films to be fetched, since recommendations lead to them"
        indexes = [models.Index(fields=["-wanted"], name="wanted_films_by_wanted")]

    def __str__(self) -> str:
        return str(self.movie_id)


class NotInteresting(models.Model):
    """A film that a person does not want recommended."""

    pk = models.CompositePrimaryKey("user_id", "movie_id")
    user = models.ForeignKey(User, models.CASCADE, related_name="not_interesting", db_column="telegram_user_id")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    said_at = models.BigIntegerField(db_comment="UNIX seconds")

    class Meta:
        db_table = "not_interesting"
        db_table_comment = "Films that people do not want recommended"

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id}"


class MatchLink(models.Model):
    """A person's consent to compare tastes with whoever opens their link."""

    user = models.OneToOneField(
        User, models.CASCADE, primary_key=True, related_name="match_link", db_column="telegram_user_id"
    )
    token = models.CharField(max_length=40, unique=True, db_comment="in the link; nobody can guess it")
    made_at = models.BigIntegerField(db_comment="UNIX seconds")

    class Meta:
        db_table = "match_links"
        db_table_comment = "Links by which people let others compare tastes with them"

    def __str__(self) -> str:
        return str(self.user_id)
