"""What the poster pipeline stores in addition to the columns of `movies`."""

from django.db import models


class PosterBot(models.Model):
    """The bot whose file_ids the movies hold; a file_id serves one bot only (Bot API: Sending files). One row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    bot_id = models.BigIntegerField(db_comment="Telegram's id of the bot")

    class Meta:
        db_table = "poster_bot"
        db_table_comment = "The bot whose file_ids the movies hold"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_poster_bot")]

    def __str__(self) -> str:
        return str(self.bot_id)
