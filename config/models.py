"""State that all processes share: updates, rate limits, leases, heartbeats and metrics."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class RateLimit(models.Model):
    """The next free slot of an action that has a rate limit; see config.jobs.rate_limiter."""

    name = models.CharField(max_length=100, primary_key=True)
    next_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time of the next free slot")
    updated_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time when next_at was written")

    class Meta:
        db_table = "rate_limits"
        db_table_comment = "Rate limits over all processes"

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """Work that only one process may do at a time, until the lease expires; see config.jobs.locks."""

    name = models.CharField(max_length=100, primary_key=True)
    holder = models.CharField(max_length=64, default="", db_default="")
    expires_at = models.FloatField(default=0, db_default=0, db_comment="UNIX time")

    class Meta:
        db_table = "leases"
        db_table_comment = "Which process does which work, and until when"

    def __str__(self) -> str:
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
    numbering = models.IntegerField(default=0, db_default=0, db_comment="raised when Telegram's ids restart")
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
    """When a component was last known to run; see config.monitoring.heartbeats."""

    pk = models.CompositePrimaryKey("kind", "name")
    kind = models.CharField(max_length=20, db_comment="the component: bot, worker, schedule")
    name = models.CharField(max_length=150, db_comment="the instance: a process or a schedule")
    seen_at = models.FloatField(db_comment="UNIX time")
    doing = models.CharField(max_length=200, default="", db_default="", db_comment="current job, or latest result")

    class Meta:
        db_table = "heartbeats"
        db_table_comment = "Heartbeats of the bot, the workers and the schedules"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class MetricCount(models.Model):
    """How often something happened in a minute, over all processes; see config.monitoring.metrics.

    Under the name "total:<name>" and the minute metrics.ALL_TIME stands the sum since the installation was made.
    """

    pk = models.CompositePrimaryKey("name", "minute")
    name = models.CharField(max_length=150)
    minute = models.BigIntegerField(db_comment="UNIX seconds of its beginning; 9999999999: all time")
    number = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "metric_counts"
        db_table_comment = "Requests, refusals, uploads and failures by the minute, for two days"
        indexes = [models.Index(fields=["minute"], name="metric_counts_by_minute")]

    def __str__(self) -> str:
        return f"{self.name} {self.minute}"


class LoginAttempts(models.Model):
    """Failed logins to the admin by one name, address or browser; see config.admin.login_throttle."""

    class Kind(models.TextChoices):
        NAME_AND_ADDRESS = "pair", _("name and address")
        ADDRESS = "address", _("address")
        NAME = "name", _("name")
        BROWSER = "browser", _("known browser")

    kind = models.CharField(_("counted by"), max_length=10, choices=Kind)
    name = models.CharField(_("name"), max_length=150, db_comment="as it was typed, casefolded; empty: any")
    address = models.CharField(_("address"), max_length=64, db_comment="or the browser's random id; empty: any")
    failures = models.IntegerField(_("failures"), default=0, db_default=0)
    locked_until = models.BigIntegerField(_("locked until"), default=0, db_default=0, db_comment="UNIX seconds")
    logged_in_at = models.BigIntegerField(null=True, db_comment="UNIX seconds: this name from this address")
    expires_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds; the row means nothing then")

    class Meta:
        db_table = "login_attempts"
        db_table_comment = "Failed logins to the admin, and where each name has logged in before"
        verbose_name = _("login attempts")
        verbose_name_plural = _("login attempts")
        constraints = [models.UniqueConstraint(fields=["kind", "name", "address"], name="login_attempts_by_key")]
        indexes = [models.Index(fields=["expires_at"], name="login_attempts_by_expires_at")]

    def __str__(self) -> str:
        return " · ".join(part for part in (self.name, self.address) if part)
