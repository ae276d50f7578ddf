"""Tables of ratings, of their imports, of what TMDb is to be sent, and of recommendations."""

from __future__ import annotations

import time
from array import array
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import ForeignKey, Q, QuerySet
from django.db.models.deletion import Collector
from django.utils.translation import gettext_lazy as _

from movies.models import Movie
from ratings.chat.models import Carousel as Carousel
from ratings.evenings.models import Evening as Evening
from ratings.evenings.models import EveningGuest as EveningGuest
from ratings.files.models import FileChange as FileChange
from ratings.files.models import FileImport as FileImport
from ratings.files.models import FileRow as FileRow
from ratings.watchlist.models import ReleaseDate as ReleaseDate
from ratings.watchlist.models import ReleaseReading as ReleaseReading
from ratings.watchlist.models import WatchlistEntry as WatchlistEntry
from ratings.watchlist.models import WatchlistWrite as WatchlistWrite
from users.models import REACHABLE, User

HALF_POINTS = [Decimal(n) / 2 for n in range(1, 21)]  # 0.5, 1.0 … 10.0, as TMDb holds ratings
MAX_NAMES = 200  # movies of a kind that an import names


def normalize(rating: Decimal) -> Decimal:
    """A rating of 0.5-10 on the scale of 1-10 that similarity is computed from: 0.5 counts as 1."""
    return max(Decimal(1), rating)


class Source(models.TextChoices):
    TMDB = "tmdb", "TMDb"
    MANUAL = "manual", _("made in the chat")


class Rating(models.Model):
    """One user's rating of one movie.

    `tmdb_rating` is the value last seen at TMDb, the base of the merge when both sides change; `manual_rating` is what
    the user gave here, while that is what counts (`source` is manual).
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
    rated_at = models.BigIntegerField(db_comment="UNIX seconds when this value was first seen; 0: unknown")
    source = models.CharField(max_length=6, choices=Source, default=Source.TMDB, db_default=Source.TMDB)
    seen_in_pass = models.BigIntegerField(
        null=True, blank=True, db_comment="Import.pass_id of the last pass over the account that found it"
    )

    class Meta:
        db_table = "user_movie_ratings"
        db_table_comment = "Ratings of users, from TMDb and from the chat"
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


class RemovedRating(models.Model):
    """A rating that an import removed, since TMDb showed it no longer; kept for 30 days.

    Of a rating made in the chat (`source` is manual), which stays, this is the value that TMDb held.
    """

    pk = models.CompositePrimaryKey("user_id", "movie_id")
    user = models.ForeignKey(User, models.CASCADE, related_name="removed_ratings", db_column="telegram_user_id")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    tmdb_rating = models.DecimalField(max_digits=3, decimal_places=1, db_comment="0.5-10.0 as last seen at TMDb")
    rated_at = models.BigIntegerField(db_comment="as it was in user_movie_ratings")
    source = models.CharField(max_length=6, choices=Source, db_comment="as it was in user_movie_ratings")
    removed_at = models.BigIntegerField(db_comment="UNIX seconds; the same for all that one import removed")

    class Meta:
        db_table = "removed_ratings"
        db_table_comment = "Ratings that imports removed, kept for 30 days"
        indexes = [models.Index(fields=["removed_at"], name="removed_ratings_by_removed_at")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id} · {self.tmdb_rating}"


class PendingWrite(models.Model):
    """The outbox: a rating made or deleted in the chat that is still to be sent to TMDb.

    `rating` NULL deletes the rating there; `base` is the value TMDb held then, by which an import tells a value that
    is merely not deleted yet from one that was given again.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="pending_writes", db_column="telegram_user_id")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    rating = models.DecimalField(max_digits=3, decimal_places=1, null=True, db_comment="0.5-10.0; NULL: delete it")
    base = models.DecimalField(
        max_digits=3, decimal_places=1, null=True, db_comment="TMDb's value when this was queued; NULL: it held none"
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


class ImportQuerySet(models.QuerySet["Import"]):
    def running(self) -> ImportQuerySet:
        """Imports that are not finished."""
        return self.filter(finished_at=None)

    def unreported(self) -> ImportQuerySet:
        """Finished imports whose outcome the user has not been sent; after a day it is of no use to them."""
        return self.filter(REACHABLE, reported_at=None, finished_at__gt=int(time.time()) - 86_400)


class Import(models.Model):
    """One import of a user's ratings from TMDb: its progress while it runs, its result afterwards.

    All that has to survive a kill -9 is in this row, and changes in the same transaction as the ratings it is about.
    """

    user = models.ForeignKey(
        User, models.CASCADE, related_name="imports", db_column="telegram_user_id", db_comment="whose"
    )
    account_id = models.BigIntegerField(null=True, db_comment="TMDb account; NULL until it is known")
    scheduled = models.BooleanField(
        verbose_name=_("scheduled"),
        default=False,
        db_default=False,
        db_comment="not asked for by the user: only overridden ratings, or many removed ones, are reported",
    )
    started_at = models.BigIntegerField(db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds; NULL while it runs")
    reported_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds when the user was sent the outcome"
    )
    error = models.TextField(default="", db_default="", blank=True, db_comment="why it failed; empty: it did not")
    message_id = models.BigIntegerField(null=True, blank=True, db_comment="the message in the chat that shows it")
    thread_id = models.BigIntegerField(null=True, blank=True, db_comment="the topic of that message; NULL: none")

    reader_state = models.JSONField(
        default=dict, db_comment="how far the account has been read; see ratings.tmdb_sync.reader"
    )
    account_read = models.BooleanField(default=False, db_default=False, db_comment="the account has been read")
    complete = models.BooleanField(
        default=False,
        db_default=False,
        db_comment="every rating was read, from an account that did not change meanwhile",
    )
    incremental = models.BooleanField(
        default=False, db_default=False, db_comment="only the newest page was read: nothing else can have changed much"
    )
    total_results = models.PositiveIntegerField(
        verbose_name=_("total on TMDb"), default=0, db_default=0, db_comment="as TMDb counts"
    )
    beyond_api_limit = models.PositiveIntegerField(
        verbose_name=_("out of reach"), default=0, db_default=0, db_comment="ratings beyond the 20,000 that TMDb serves"
    )
    ratings_done = models.PositiveIntegerField(
        verbose_name=_("ratings read"), default=0, db_default=0, db_comment="progress: ratings read"
    )
    movies_total = models.PositiveIntegerField(
        verbose_name=_("film details to fetch"), default=0, db_default=0, db_comment="rated movies that lacked details"
    )
    movies_done = models.PositiveIntegerField(
        verbose_name=_("film details fetched"),
        default=0,
        db_default=0,
        db_comment="progress: movies whose details were asked for",
    )

    watchlist = models.JSONField(
        default=dict,
        db_default={},
        blank=True,
        db_comment="the reading of the account's watchlist and what came of it; see ratings.watchlist.reading",
    )

    added = models.PositiveIntegerField(verbose_name=_("added"), default=0, db_default=0)
    changed = models.PositiveIntegerField(
        verbose_name=_("changed"), default=0, db_default=0, db_comment="another value at TMDb than before"
    )
    removed = models.PositiveIntegerField(
        verbose_name=_("removed"), default=0, db_default=0, db_comment="no longer at TMDb"
    )
    overridden = models.PositiveIntegerField(
        verbose_name=_("conflicts resolved"),
        default=0,
        db_default=0,
        db_comment="of `changed`: rated here as well",
    )
    left_out = models.PositiveIntegerField(
        verbose_name=_("left out"), default=0, db_default=0, db_comment="TMDb gave no valid rating"
    )
    failed = models.PositiveIntegerField(
        verbose_name=_("films without details"),
        default=0,
        db_default=0,
        db_comment="movies whose details could not be read",
    )
    names = models.JSONField(
        default=dict, db_comment="the movies of overridden, left_out, removed and failed, by id, at most 200 each"
    )

    failing_since = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds since when TMDb does not answer; NULL: it does"
    )
    last_error = models.TextField(default="", db_default="", blank=True, db_comment="the latest error of TMDb")
    next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds; later, while TMDb does not answer"
    )

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
        return f"{self.user_id} · #{self.pk}"  # the user first: users.disconnect finds log entries by it

    @property
    def pass_id(self) -> int:
        """The number of the present pass over the account, which marks the ratings it finds (Rating.seen_in_pass)."""
        return self.pk * 10 + int(self.reader_state.get("pass", 0))

    @property
    def consistent(self) -> bool:
        """Whether the account did not change while it was read."""
        return bool(self.reader_state.get("consistent"))

    def note(self, kind: str, movie_id: int, **facts: str | None) -> None:
        """Count a movie under `kind` (overridden, left_out, removed, failed), once, and name it for the report."""
        named = self.names.setdefault(kind, {})
        if str(movie_id) in named:
            return
        setattr(self, kind, getattr(self, kind) + 1)
        if len(named) < MAX_NAMES:
            named[str(movie_id)] = facts


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    def running(self) -> TrainingRunQuerySet:
        """Those in progress, and those that were killed."""
        return self.filter(finished_at=None, error="")

    def finished(self) -> TrainingRunQuerySet:
        """Those that serve or have served, the latest first."""
        return self.filter(finished_at__isnull=False).order_by("-pk")

    def current(self) -> TrainingRun | None:
        """The run whose similar movies serve; None before the first."""
        return self.finished().first()


class TrainingRun(models.Model):
    """One training of the similar movies from all ratings; the newest finished run serves."""

    started_at = models.BigIntegerField(db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds; NULL: in progress, or failed")
    checked_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds when too little had changed for another run"
    )
    triggered_by = models.TextField(
        default="", db_default="", blank=True, db_comment="a user name of the admin, the command line or the scheduler"
    )
    progress = models.TextField(default="", db_default="", blank=True, db_comment="the present step, in words")
    error = models.TextField(default="", db_default="", blank=True, db_comment="why it failed; empty: no error")
    order_weight = models.FloatField(
        _("weight of the rating order"),
        default=0,
        db_default=0,
        db_comment="0-1: how much the order in which users rate says; scoring needs it",
    )
    users = models.PositiveIntegerField(
        _("people of the bot"), default=0, db_default=0, db_comment="users of the bot who have rated"
    )
    ratings = models.PositiveIntegerField(
        _("ratings in the bot"), default=0, db_default=0, db_comment="ratings of theirs"
    )
    archive = models.TextField(
        _("MovieLens archive"),
        default="",
        db_default="",
        blank=True,
        db_comment="path of a MovieLens archive; or empty",
    )
    archive_users = models.PositiveIntegerField(_("people of the archive"), default=0, db_default=0)
    archive_ratings = models.PositiveIntegerField(_("ratings of the archive"), default=0, db_default=0)
    movies = models.PositiveIntegerField(
        _("films with neighbours"), default=0, db_default=0, db_comment="movies that have neighbours"
    )
    neighbours = models.PositiveIntegerField(
        _("neighbours"), default=0, db_default=0, db_comment="of all movies together"
    )

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        db_table = "training_runs"
        db_table_comment = "When the similar movies were trained, and from what"
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def total_users(self) -> int:
        """The number of users that it learned from, the archive's included."""
        return self.users + self.archive_users

    def changes(self) -> int:
        """How many ratings have been added, changed or deleted since."""
        since = Rating.objects.filter(rated_at__gte=self.started_at).count()
        return max(since, abs(Rating.objects.count() - self.ratings))


class SimilarMovies(models.Model):
    """The neighbours of one movie, and what liking the movie adds to the score of each; read by /recommend.

    Both lists are bytes as they lie in memory: Python adds up ten thousand numbers from two hundred rows in half of
    the time that a database needs to group as many rows. No id is a foreign key: movie 0 is the popularity item, which
    every user has rated (its neighbours are the popular movies), and movies that only an archive knows come into
    `movies` a little later.
    """

    pk = models.CompositePrimaryKey("run_id", "movie_id")
    run_id = models.IntegerField(db_comment="training_runs.id")
    movie_id = models.IntegerField(db_comment="TMDb movie id; 0: the popularity item")
    movie_ids = models.BinaryField(
        db_comment="TMDb ids, 4 bytes each, little-endian; first the most similar, best first"
    )
    weights = models.BinaryField(
        db_comment="what liking the movie adds to the score of each of these; float32, little-endian; may be negative"
    )
    nearest = models.SmallIntegerField(default=0, db_default=0, db_comment="how many of them are the most similar")

    class Meta:
        db_table = "similar_movies"
        db_table_comment = "Neighbours of movies"

    def __str__(self) -> str:
        return f"{self.movie_id} → {', '.join(map(str, array('i', self.movie_ids)[:10]))}"


class TMDbRecommendationFetch(models.Model):
    """A movie whose recommendations TMDb has been asked for; valid for months."""

    movie_id = models.IntegerField(primary_key=True, db_comment="TMDb movie id")
    fetched_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds when TMDb answered; 0: not yet"
    )
    next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds; where TMDb failed at this movie"
    )

    class Meta:
        db_table = "tmdb_recommendations_fetches"
        db_table_comment = "Movies whose recommendations TMDb has been asked for"

    def __str__(self) -> str:
        return str(self.movie_id)


class TMDbRecommendation(models.Model):
    """A movie that TMDb recommends to who likes another; counts while the bot has few users."""

    pk = models.CompositePrimaryKey("movie_id", "place")
    movie_id = models.IntegerField(db_comment="TMDb movie id")
    place = models.SmallIntegerField(db_comment="1-20, in TMDb's order")
    recommended_id = models.IntegerField(db_comment="TMDb movie id")

    class Meta:
        db_table = "tmdb_recommendations"
        db_table_comment = "Movies that TMDb recommends, by movie"

    def __str__(self) -> str:
        return f"{self.movie_id} → {self.recommended_id}"


class DismissedMovie(models.Model):
    """A movie that a user does not want recommended, or has seen without rating it."""

    pk = models.CompositePrimaryKey("user_id", "movie_id")
    user = models.ForeignKey(User, models.CASCADE, related_name="dismissed_movies", db_column="telegram_user_id")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    dismissed_at = models.BigIntegerField(db_comment="UNIX seconds")
    seen = models.BooleanField(default=False, db_default=False, db_comment="seen, which is no opinion of it")

    class Meta:
        db_table = "dismissed_movies"
        db_table_comment = "Movies that users do not want recommended"

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id}"


class MatchLink(models.Model):
    """A user's consent to compare tastes with those who open their link."""

    user = models.OneToOneField(
        User, models.CASCADE, primary_key=True, related_name="match_link", db_column="telegram_user_id"
    )
    token = models.CharField(max_length=40, unique=True, db_comment="in the link; random")
    created_at = models.BigIntegerField(db_comment="UNIX seconds")

    class Meta:
        db_table = "match_links"
        db_table_comment = "Links by which users let others compare tastes with them"

    def __str__(self) -> str:
        return str(self.user_id)


def clear_result(collector: Collector, field: ForeignKey[Any, Any], rows: QuerySet[Any], using: str) -> None:
    """Leave of a deleted user's results only that there was one."""
    for cleared in (field, *(column for column in MatchResult._meta.fields if column.name in MatchResult.RESULT)):
        collector.add_field_update(cleared, None, rows)


class MatchResult(models.Model):
    """What two users have been told of their tastes; see ratings.insights.taste_match on how long it stands.

    When one of them is deleted, the row stays without any result, so that coming back yields no second one that day.
    """

    RESULT = ("common", "percent", "both_love", "both_love_too", "differ", "together")

    pair = models.CharField(max_length=64, primary_key=True, db_comment="keyed digest of the two ids")
    one = models.ForeignKey(User, clear_result, null=True, related_name="+")
    other = models.ForeignKey(User, clear_result, null=True, related_name="+")
    checked_at = models.BigIntegerField(db_comment="UNIX seconds: when it was last decided whether it still stands")
    computed_at = models.BigIntegerField(db_comment="UNIX seconds")
    common = models.IntegerField(null=True, db_comment="movies both have rated; never told exactly")
    percent = models.SmallIntegerField(null=True, db_comment="in steps of 5; NULL: too few movies in common")
    both_love = models.IntegerField(null=True, db_comment="id of a movie")
    both_love_too = models.IntegerField(null=True, db_comment="id of another")
    differ = models.IntegerField(null=True, db_comment="id of a movie")
    together = models.JSONField(
        null=True, db_comment="ids of movies to see together, best first; stand as the rest does"
    )
    owner_told = models.BooleanField(db_default=False, default=False)

    class Meta:
        db_table = "match_results"
        db_table_comment = "Taste matches as told, for a week"
        indexes = [models.Index(fields=["computed_at"], name="match_results_by_computed_at")]

    def __str__(self) -> str:
        return self.pair
