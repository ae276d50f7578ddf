"""What the poster pipeline has to remember besides the films' own columns."""

from __future__ import annotations

from django.db import models


class KnownBot(models.Model):
    """The bot whose file_ids the films hold: they are of no use to any other (Bot API: Sending files). One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    bot_id = models.BigIntegerField(db_comment="Telegram's id of the bot")

    class Meta:
        db_table = "posters_known_bot"
        db_table_comment = "The bot whose file_ids the films hold"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_known_bot")]

    def __str__(self) -> str:
        return str(self.bot_id)
