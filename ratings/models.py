"""Who gave which film how much, here and at TMDb."""

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from movies.models import Movie
from users.models import User

HALF_POINTS = [Decimal(n) / 2 for n in range(1, 21)]  # 0.5, 1.0 … 10.0, as TMDb holds ratings


def normalize(rating):
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

    def __str__(self):
        return f"{self.user_id} · {self.movie_id} · {self.value}"

    @property
    def value(self):
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

    def __str__(self):
        return f"{self.user_id} · {self.movie_id} · {self.rating}"
