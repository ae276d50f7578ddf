"""State that all processes share: updates, rate limits, leases, heartbeats and metrics."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import F, Max, Q
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


class Alert(models.Model):
    """Something that goes wrong, or did within the last day; see config.monitoring.alerts."""

    cause = models.CharField(max_length=150, primary_key=True, db_comment="what, e.g. silent:bot")
    text = models.TextField(default="", db_default="", db_comment="as the operator is told")
    is_active = models.BooleanField(default=True, db_default=True, db_comment="it goes on")
    is_told = models.BooleanField(default=False, db_default=False, db_comment="the operator knows that it goes on")
    began_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds")
    told_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds of the last message")

    class Meta:
        db_table = "alerts"
        db_table_comment = "What the operator is told of"

    def __str__(self) -> str:
        return self.cause


class UpdateFailure(models.Model):
    """An update that ended in an error: where, why, and the traceback, without whose it was."""

    code = models.CharField(_("code"), max_length=40, db_comment="as the person was told; finds the lines of the log")
    handler = models.CharField(_("handler"), max_length=150)
    error = models.CharField(_("error"), max_length=300)
    traceback = models.TextField(_("traceback"), default="", db_default="")
    failed_at = models.BigIntegerField(_("failed"), db_comment="UNIX seconds")

    class Meta:
        db_table = "update_failures"
        db_table_comment = "Updates that ended in an error, for a month"
        verbose_name = _("failed update")
        verbose_name_plural = _("failed updates")
        indexes = [
            models.Index(fields=["failed_at"], name="update_failures_by_time"),
            models.Index(fields=["code"], name="update_failures_by_code"),
        ]

    def __str__(self) -> str:
        return self.code


class DailyFigure(models.Model):
    """One figure of one day, kept for years; see config.monitoring.daily."""

    pk = models.CompositePrimaryKey("day", "name")
    day = models.DateField(db_comment="in TIME_ZONE")
    name = models.CharField(max_length=100, db_comment="e.g. active_people")
    number = models.FloatField(default=0, db_default=0)

    class Meta:
        db_table = "daily"
        db_table_comment = "One row a day and figure, for years"

    def __str__(self) -> str:
        return f"{self.day} {self.name}"


class BulkAction(models.Model):
    """An action of the admin over many rows; see config.admin.bulk."""

    model = models.CharField(max_length=100, db_comment="app.Model")
    action = models.CharField(max_length=100, db_comment="name of the action in the model's admin")
    title = models.CharField(max_length=200)
    username = models.CharField(max_length=150, db_comment="whose action it is")
    total = models.PositiveIntegerField(default=0, db_default=0)
    done = models.PositiveIntegerField(default=0, db_default=0, db_comment="rows whose batches are done")
    changed = models.PositiveIntegerField(default=0, db_default=0, db_comment="rows to which something was done")
    is_ready = models.BooleanField(default=False, db_default=False, db_comment="all its batches are written")
    is_stopped = models.BooleanField(default=False, db_default=False)
    created_at = models.BigIntegerField(db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds")

    class Meta:
        db_table = "bulk_actions"
        db_table_comment = "Actions of the admin over many rows"

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"

    @property
    def is_running(self) -> bool:
        return self.finished_at is None


class BulkBatchQuerySet(models.QuerySet["BulkBatch"]):
    def holding(self, model: str, key: Any) -> list[BulkBatch]:
        """The batches of actions on `model` (app.Model) that hold the row with this primary key.

        The keys of an action are in ascending order, so only the last batch that begins at or before it may hold it.
        """
        begun = self.filter(bulk__model=model, keys__0__lte=key).order_by()
        last = begun.values("bulk").annotate(last=Max("number")).values_list("bulk", "last")
        found = Q(pk__in=[])
        for bulk, number in last:
            found |= Q(bulk=bulk, number=number)
        return [batch for batch in self.filter(found).select_related("bulk") if key in batch.keys]

    def forget(self, model: str, key: Any) -> None:
        """Leave out the row with this key, which is no more; within a transaction."""
        for held in self.holding(model, key):
            batch = self.select_for_update(no_key=True).get(pk=held.pk)
            batch.keys = [other for other in batch.keys if other != key]
            batch.save(update_fields=["keys"])
            done = F("done") - int(batch.is_done)
            BulkAction.objects.filter(pk=batch.bulk_id).update(total=F("total") - 1, done=done)


class BulkBatch(models.Model):
    """A part of a bulk action: the queue of what is still to be done, and for the history of each row what was."""

    bulk = models.ForeignKey(BulkAction, models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    keys = models.JSONField(db_comment="primary keys")
    is_done = models.BooleanField(default=False, db_default=False)

    objects = BulkBatchQuerySet.as_manager()

    class Meta:
        db_table = "bulk_batches"
        db_table_comment = "Rows of bulk actions, those done included"
        constraints = [models.UniqueConstraint(fields=["bulk", "number"], name="one_batch_per_number")]

    def __str__(self) -> str:
        return f"{self.bulk_id}.{self.number}"
