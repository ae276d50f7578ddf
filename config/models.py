"""What all processes share when there is no Redis: whose turn it is and who is at work."""

from django.db import models


class Turn(models.Model):
    """The next free moment of something that may only be done so often; see config.turns."""

    name = models.CharField(max_length=100, primary_key=True)
    next_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time of the next free turn")

    class Meta:
        db_table = "turns"
        db_table_comment = "Rate limits over all processes"

    def __str__(self):
        return self.name


class Lease(models.Model):
    """Work that only one process may do at a time, until the lease runs out; see config.turns."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=64, default="", db_default="")
    expires_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time")

    class Meta:
        db_table = "leases"
        db_table_comment = "Who is at work on what, and until when"

    def __str__(self):
        return self.name


class Heartbeat(models.Model):
    """When a part of the system last gave a sign of life; see config.signs."""

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
    """How often something happened in a minute, over all processes; see config.signs."""

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
