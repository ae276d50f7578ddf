"""Tables of the films that users want to see, and of what TMDb is still to be sent of that."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from movies.models import Movie
from users.models import User


class WatchlistEntry(models.Model):
    """A movie that a user wants to see.

    `tmdb_account_id` is the base of the merge with TMDb: the account whose watchlist held the movie when we last knew.
    An entry of another account, or of none, has been added here and is still to be sent (see WatchlistWrite).
    """

    pk = models.CompositePrimaryKey("user_id", "movie_id")
    user = models.ForeignKey(
        User, models.CASCADE, related_name="watchlist", db_column="telegram_user_id", db_comment="whose"
    )
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="watchlist", db_comment="TMDb movie id")
    added_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds when it was put on the list, or first seen there; 0: unknown"
    )
    place = models.PositiveIntegerField(
        default=0, db_default=0, db_comment="at TMDb, among those first seen at the same time; later ones are newer"
    )
    tmdb_account_id = models.BigIntegerField(
        null=True, blank=True, db_comment="the TMDb account that held it when last seen; NULL: none did"
    )
    seen_in_pass = models.BigIntegerField(
        null=True, blank=True, db_comment="number of the last pass over the account's watchlist that found it"
    )
    picked_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds when it was picked or opened from the list; NULL: it was not"
    )
    asked_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds when the user was asked whether they have seen it"
    )
    release_told_at = models.BigIntegerField(
        null=True, blank=True, db_comment="UNIX seconds when the user was told of its release"
    )

    class Meta:
        db_table = "watchlist"
        db_table_comment = "Films that people want to see"
        verbose_name = _("film on a watchlist")
        verbose_name_plural = _("films on watchlists")
        indexes = [
            models.Index(
                fields=["picked_at"],
                condition=Q(picked_at__isnull=False, asked_at__isnull=True),
                name="watchlist_to_ask_about",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id}"


class WatchlistWrite(models.Model):
    """The outbox: a movie put on the list or taken off here that TMDb has still to hear of.

    One that was taken off is known by this row alone, so it stays while there is no link: an import tells by it a movie
    that is merely not yet off the list at TMDb from one that was put there again.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="watchlist_writes", db_column="telegram_user_id")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="+")
    wanted = models.BooleanField(
        default=True, db_default=True, db_comment="whether the movie is to be on the list at TMDb"
    )
    tmdb_account_id = models.BigIntegerField(
        null=True, blank=True, db_comment="the TMDb account that holds a movie taken off here"
    )
    attempts = models.PositiveIntegerField(default=0, db_default=0, db_comment="counted before each")
    next_try_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")
    error = models.TextField(default="", db_default="", blank=True, db_comment="why the last attempt failed")
    refused = models.BooleanField(
        default=False, db_default=False, db_comment="TMDb will never take it: it is not tried again"
    )

    class Meta:
        db_table = "pending_watchlist_writes"
        db_table_comment = "Changes of watchlists to be written to TMDb"
        verbose_name = _("watchlist change")
        verbose_name_plural = _("watchlist changes")
        constraints = [models.UniqueConstraint(fields=["user", "movie"], name="one_pending_write_per_watchlist_entry")]
        indexes = [models.Index(fields=["next_try_at"], name="watchlist_writes_by_next_try")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.movie_id} · {'+' if self.wanted else '-'}"


class ReleaseDate(models.Model):
    """A day on which a movie of somebody's watchlist comes out in a country, in cinemas or online."""

    movie = models.ForeignKey(Movie, models.CASCADE, related_name="release_dates", db_comment="TMDb movie id")
    country = models.CharField(max_length=2, db_comment="ISO 3166-1")
    day = models.DateField(db_comment="there")
    online = models.BooleanField(default=False, db_default=False, db_comment="not in cinemas")

    class Meta:
        db_table = "release_dates"
        db_table_comment = "When films of watchlists come out, by TMDb"
        constraints = [
            models.UniqueConstraint(fields=["movie", "country", "day", "online"], name="one_row_per_release_date")
        ]
        indexes = [models.Index(fields=["day", "country"], name="release_dates_by_day")]

    def __str__(self) -> str:
        return f"{self.movie_id} · {self.country} · {self.day}"


class ReleaseReading(models.Model):
    """When TMDb was last asked on which days a movie comes out."""

    movie = models.OneToOneField(Movie, models.CASCADE, primary_key=True, related_name="release_reading")
    read_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds, set before it is asked")

    class Meta:
        db_table = "release_readings"
        db_table_comment = "When TMDb was asked for release dates"
        indexes = [models.Index(fields=["read_at"], name="release_readings_by_read_at")]

    def __str__(self) -> str:
        return str(self.movie_id)
