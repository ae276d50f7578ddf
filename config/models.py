"""What all processes share: updates, whose turn it is, who is at work, signs of life and counts."""

from django.db import models
from django.db.models import Q


class Turn(models.Model):
    """The next free moment of something that may only be done so often; see config.jobs.rate_limiter."""

    name = models.CharField(max_length=100, primary_key=True)
    next_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time of the next free turn")

    class Meta:
        db_table = "turns"
        db_table_comment = "Rate limits over all processes"

    def __str__(self):
        return self.name


class Lease(models.Model):
    """Work that only one process may do at a time, until the lease runs out; see config.jobs.rate_limiter."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=64, default="", db_default="")
    expires_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time")

    class Meta:
        db_table = "leases"
        db_table_comment = "Who is at work on what, and until when"

    def __str__(self):
        return self.name


class Update(models.Model):
    """An update of Telegram's, and its id for as long as it may come again; see config.bot.update_queue."""

    class State(models.IntegerChoices):
        WAITING = 0
        CLAIMED = 1
        HANDLED = 2
        DROPPED = 3
        GIVEN_UP = 4
        TIMED_OUT = 5

    id = models.BigAutoField(primary_key=True, db_comment="the order in which they came")
    numbering = models.IntegerField(default=0, db_default=0, db_comment="raised when Telegram's ids begin anew")
    update_id = models.BigIntegerField(db_comment="Telegram's; the order within a chat")
    chat = models.CharField(max_length=64, db_comment="what is handled one by one; empty once it has ended")
    body = models.TextField(db_comment="JSON as it came; empty once it has ended")
    state = models.SmallIntegerField(
        choices=State,
        default=State.WAITING,
        db_default=State.WAITING,
        db_comment="0 waits, 1 claimed, 2 handled, 3 dropped, 4 given up, 5 timed out",
    )
    attempts = models.SmallIntegerField(default=0, db_default=0, db_comment="counted before each")
    claim_expires_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time; renewed while handled")
    received_at = models.FloatField(db_comment="UNIX time")

    class Meta:
        db_table = "updates"
        db_table_comment = "The queue of Telegram's updates"
        constraints = [
            models.UniqueConstraint(fields=["numbering", "update_id"], name="one_row_per_update_id"),
            models.UniqueConstraint(fields=["chat"], condition=Q(state=1), name="one_claimed_update_per_chat"),
        ]
        indexes = [
            models.Index(
                fields=["chat", "numbering", "update_id"], condition=Q(state__lt=2), name="updates_unfinished"
            ),
            models.Index(fields=["received_at"], name="updates_by_arrival"),
        ]

    def __str__(self) -> str:
        return f"update {self.update_id}"


class Heartbeat(models.Model):
    """When a part of the system last gave a sign of life; see config.monitoring.metrics."""

    pk = models.CompositePrimaryKey("kind", "name")
    kind = models.CharField(max_length=20, db_comment="bot, worker, schedule")
    name = models.CharField(max_length=150)
    seen_at = models.FloatField(db_comment="UNIX time")
    doing = models.CharField(max_length=200, default="", db_default="", db_comment="at what, or with what result")

    class Meta:
        db_table = "heartbeats"
        db_table_comment = "Signs of life of the bot, the workers and the schedules"

    def __str__(self):
        return f"{self.kind} {self.name}"


class Count(models.Model):
    """How often something happened in a minute, over all processes; see config.monitoring.metrics."""

    pk = models.CompositePrimaryKey("name", "minute")
    name = models.CharField(max_length=150)
    minute = models.BigIntegerField(db_comment="UNIX seconds of its beginning")
    number = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "counts"
        db_table_comment = "Requests, refusals, uploads and failures by the minute, for two days"
        indexes = [models.Index(fields=["minute"], name="counts_by_minute")]

    def __str__(self):
        return f"{self.name} {self.minute}"


class Figure(models.Model):
    """A figure that takes too long to count while somebody waits: the last count and when it was made."""

    name = models.CharField(max_length=50, primary_key=True)
    value = models.JSONField(db_comment="what was counted")
    taken_at = models.FloatField(db_comment="UNIX time")

    class Meta:
        db_table = "figures"
        db_table_comment = "Figures of the back office's front page"

    def __str__(self):
        return self.name
