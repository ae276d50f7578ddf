"""The tables of a group's evenings: what each has come to, for every process and after a restart."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from users.models import User


class Evening(models.Model):
    """A group looks for a film to watch together; see ratings.evenings.steps for who changes the state."""

    class State(models.IntegerChoices):
        CANCELLED = -1
        GATHERING = 0  # the message with "I'm in" stands in the group
        VOTING = 1  # the poll is being sent, or stands there
        CLOSED = 2  # the votes are counted, the winner is still to be shown
        SHOWN = 3  # those who were in are asked for a rating at `ask_at`
        DONE = 4

    OPEN = (State.GATHERING, State.VOTING)

    chat_id = models.BigIntegerField(db_comment="the group")
    thread_id = models.BigIntegerField(null=True, blank=True, db_comment="the topic; NULL: none")
    asker = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", db_comment="who may start and close")
    language = models.CharField(max_length=8, db_comment="of the asker: ru or en")
    state = models.SmallIntegerField(
        choices=State,
        default=State.GATHERING,
        db_default=State.GATHERING,
        db_comment="-1 cancelled, 0 gathering, 1 voting, 2 closed, 3 winner shown, 4 done",
    )
    filters = models.JSONField(default=dict, db_default={}, blank=True, db_comment="Filters.as_json()")
    message_id = models.BigIntegerField(null=True, db_comment="the message with the buttons")
    is_stale = models.BooleanField(
        default=False, db_default=False, db_comment="that message does not show yet who is in"
    )
    films = models.JSONField(default=list, db_default=[], blank=True, db_comment="ids of the poll's options, in order")
    poll_id = models.CharField(
        max_length=64, default="", db_default="", blank=True, db_comment="Telegram's; empty: none yet"
    )
    poll_message_id = models.BigIntegerField(null=True)
    counts = models.JSONField(
        default=list, db_default=[], blank=True, db_comment="votes for each film, as the poll was last seen"
    )
    winner_id = models.IntegerField(null=True, db_comment="TMDb id of the film with most votes")
    winner_message_id = models.BigIntegerField(null=True, db_comment="of the sentence about it; NULL: not sent yet")
    votes = models.IntegerField(default=0, db_default=0, db_comment="for the winner")
    created_at = models.BigIntegerField(db_comment="UNIX seconds")
    closes_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds: when the poll is stopped")
    ask_at = models.BigIntegerField(default=0, db_default=0, db_comment="UNIX seconds: when ratings are asked for")
    attempts = models.PositiveIntegerField(
        default=0, db_default=0, db_comment="at the present step, counted before each; a claim is named by it"
    )
    next_try_at = models.BigIntegerField(
        default=0, db_default=0, db_comment="UNIX seconds; in the future while claimed or delayed"
    )

    class Meta:
        db_table = "evenings"
        db_table_comment = "Groups that look for a film to watch together"
        constraints = [
            models.UniqueConstraint(
                "chat_id",
                Coalesce("thread_id", 0),
                condition=Q(state__in=(0, 1)),
                name="one_open_evening_per_topic",
            )
        ]
        indexes = [
            models.Index(fields=["state", "next_try_at"], name="evenings_by_state"),
            models.Index(fields=["poll_id"], condition=~Q(poll_id=""), name="evenings_by_poll"),
        ]

    def __str__(self) -> str:
        return f"{self.chat_id} · #{self.pk}"


class EveningGuest(models.Model):
    """Who pressed "I'm in": only these count, and they are asked for a rating the next day."""

    evening = models.ForeignKey(Evening, models.CASCADE, related_name="guests")
    user = models.ForeignKey(User, models.CASCADE, related_name="evenings", db_column="telegram_user_id")
    asked_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds: when a rating was asked for")

    class Meta:
        db_table = "evening_guests"
        db_table_comment = "Who is in for a group's evening"
        constraints = [models.UniqueConstraint(fields=["evening", "user"], name="once_in_for_an_evening")]

    def __str__(self) -> str:
        return f"{self.user_id} · #{self.evening_id}"
