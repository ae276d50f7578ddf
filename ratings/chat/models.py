"""The table of carousels: what each of these messages shows, for every process and after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from users.models import User

if TYPE_CHECKING:
    from telebot.types import CallbackQuery


class Carousel(models.Model):
    """A message that shows one film of a list at a time; see ratings.chat.carousel."""

    user = models.ForeignKey(User, models.CASCADE, related_name="carousels", db_column="telegram_user_id")
    chat_id = models.BigIntegerField()
    message_id = models.BigIntegerField()
    source = models.CharField(max_length=16, db_comment="key of the Source its films come from")
    argument = models.CharField(
        max_length=64, default="", db_default="", blank=True, db_comment="the source's own: an order, a pair of users"
    )
    filters = models.JSONField(default=dict, db_default={}, blank=True, db_comment="Filters.as_json()")
    films = models.JSONField(
        default=list, db_default=[], blank=True, db_comment="[[movie id, id of the movie that is its reason or 0], …]"
    )
    shown = models.IntegerField(default=0, db_default=0, db_comment="movie id; 0: none was left")
    used_at = models.BigIntegerField(db_comment="UNIX seconds")

    query: CallbackQuery | None = None  # of the button that is being handled; in no column

    class Meta:
        db_table = "carousels"
        db_table_comment = "Messages that show one film of a list at a time"
        constraints = [models.UniqueConstraint(fields=["chat_id", "message_id"], name="one_carousel_per_message")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.source}"

    @property
    def movie_ids(self) -> list[int]:
        return [movie_id for movie_id, _because in self.films]

    @property
    def place(self) -> int:
        """Where the shown movie stands, counted from 0; -1 where none is shown."""
        return self.movie_ids.index(self.shown) if self.shown in self.movie_ids else -1
