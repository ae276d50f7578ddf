"""Tables of what operators write to people. The recipients of a broadcast are its queue."""

from __future__ import annotations

import time
from typing import NamedTuple

from django.apps import apps
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from config.fields import PlainTextField

DAY_SECONDS = 86_400


class BroadcastState(models.IntegerChoices):
    DRAFT = 0, _("draft")
    SENDING = 1, _("being sent")
    PAUSED = 2, _("paused")
    DONE = 3, _("sent")
    STOPPED = 4, _("stopped")


class Delivery(models.IntegerChoices):
    """What became of a message to one person."""

    WAITING = 0, _("waiting")
    CLAIMED = 1, _("being sent")
    SENT = 2, _("sent")
    BLOCKED = 3, _("blocked the bot")
    FAILED = 4, _("refused by Telegram")
    UNKNOWN = 5, _("no answer, not repeated")
    SKIPPED = 6, _("opted out since")


class Button(NamedTuple):
    """A button below a broadcast: its text in both languages, and an address or a command of the bot's."""

    ru: str
    en: str
    target: str


class Broadcast(models.Model):
    """A message to many people: what it says, to whom, and how far it has come."""

    title = models.CharField(_("title"), max_length=100, help_text=_("for the list here; nobody else sees it"))
    text_ru = models.TextField(_("text in Russian"), blank=True, default="", db_default="")
    text_en = models.TextField(_("text in English"), blank=True, default="", db_default="")
    movie = models.ForeignKey(
        "movies.Movie",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("film"),
        help_text=_("its poster, title and buttons to rate it"),
    )
    picture = models.BinaryField(null=True, blank=True, db_comment="a JPEG or PNG; in place of a film")
    picture_file_id = PlainTextField(db_comment="of the picture, once Telegram has it")
    buttons = models.JSONField(default=list, db_default=[], blank=True, db_comment="[[ru, en, address or /command]]")

    language = models.CharField(
        _("language"), max_length=2, choices=[("ru", "Русский"), ("en", "English")], blank=True, default=""
    )
    is_linked = models.BooleanField(_("TMDb account"), null=True, blank=True)
    active_days = models.PositiveIntegerField(
        _("seen within so many days"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    came_by = models.CharField(_("came by"), max_length=64, blank=True, default="")
    min_ratings = models.PositiveIntegerField(_("rated more films than"), null=True, blank=True)

    state = models.SmallIntegerField(
        _("state"),
        choices=BroadcastState,
        default=BroadcastState.DRAFT,
        db_default=BroadcastState.DRAFT,
        db_comment="0 draft, 1 being sent, 2 paused, 3 sent, 4 stopped",
    )
    problem = PlainTextField(verbose_name=_("problem"), db_comment="why it was paused by itself; empty: it was not")
    created_by = models.CharField(_("written by"), max_length=150, blank=True, default="")
    created_at = models.BigIntegerField(_("created"), default=0, db_default=0, db_comment="UNIX seconds")
    started_at = models.BigIntegerField(_("started"), null=True, blank=True, db_comment="UNIX seconds")
    finished_at = models.BigIntegerField(_("finished"), null=True, blank=True, db_comment="UNIX seconds")
    filled_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds: its recipients were written")

    class Meta:
        db_table = "broadcasts"
        db_table_comment = "Messages to many people"
        verbose_name = _("broadcast")
        verbose_name_plural = _("broadcasts")
        permissions = [("send_broadcast", "Can send broadcasts")]
        constraints = [models.CheckConstraint(condition=Q(state__range=(0, 4)), name="broadcast_state_known")]

    def __str__(self) -> str:
        return self.title

    def text_for(self, language: str) -> str:
        """The text in the reader's language; the other one where there is none."""
        first, second = (self.text_en, self.text_ru) if language == "en" else (self.text_ru, self.text_en)
        return first or second

    def audience(self) -> QuerySet[models.Model]:
        """Everybody it is for now: who can be reached, has not opted out and belongs to its segment."""
        people = apps.get_model("users.User")._default_manager.filter(
            blocked_at=None, banned_at=None, takes_broadcasts=True
        )
        if self.language:
            people = people.filter(language=self.language)
        if self.is_linked is not None:
            linked = Q(tmdb_session_id__gt="")
            people = people.filter(linked if self.is_linked else ~linked)
        if self.active_days:
            people = people.filter(last_seen_at__gt=int(time.time()) - self.active_days * DAY_SECONDS)
        if self.came_by:
            people = people.filter(came_by=self.came_by)
        if self.min_ratings is not None:
            rated = apps.get_model("ratings.Rating")._default_manager.order_by().values("user_id")
            people = people.filter(
                pk__in=rated.annotate(n=Count("movie_id")).filter(n__gt=self.min_ratings).values("user_id")
            )
        return people.order_by()

    def deliveries(self) -> dict[Delivery, int]:
        """How many of its recipients are in which state, those of none left out."""
        counted = self.recipients.order_by().values_list("state").annotate(Count("user_id"))
        return {Delivery(state): number for state, number in counted.order_by("state")}


class Recipient(models.Model):
    """A person whom a broadcast goes to. A row is claimed, and that committed, before anything is sent to them."""

    pk = models.CompositePrimaryKey("broadcast_id", "user_id")
    broadcast = models.ForeignKey(Broadcast, models.CASCADE, related_name="recipients")
    user = models.ForeignKey("users.User", models.CASCADE, related_name="received", db_column="telegram_user_id")
    state = models.SmallIntegerField(
        choices=Delivery,
        default=Delivery.WAITING,
        db_default=Delivery.WAITING,
        db_comment="0 waits, 1 claimed, 2 sent, 3 blocked, 4 refused, 5 unknown, 6 opted out since",
    )
    claimed_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds, before it was sent")
    sent_at = models.BigIntegerField(null=True, blank=True, db_comment="UNIX seconds")
    error = PlainTextField(db_comment="what Telegram said")

    class Meta:
        db_table = "broadcast_recipients"
        db_table_comment = "The queue of each broadcast, and what became of each message"
        constraints = [models.CheckConstraint(condition=Q(state__range=(0, 6)), name="recipient_state_known")]
        indexes = [models.Index(fields=["broadcast", "state", "user"], name="recipients_by_state")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.broadcast_id}"


class MessageTemplate(models.Model):
    """A text that operators send again and again, in both languages."""

    name = models.CharField(_("title"), max_length=100, unique=True)
    text_ru = models.TextField(_("text in Russian"))
    text_en = models.TextField(_("text in English"))

    class Meta:
        db_table = "message_templates"
        db_table_comment = "Texts that operators send again and again"
        verbose_name = _("message template")
        verbose_name_plural = _("message templates")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def text_for(self, language: str) -> str:
        return self.text_en if language == "en" else self.text_ru


class DirectMessage(models.Model):
    """A message of an operator's to one person, recorded before it is sent."""

    user = models.ForeignKey("users.User", models.CASCADE, related_name="messages", db_column="telegram_user_id")
    text = models.TextField()
    sent_by = models.CharField(max_length=150, db_comment="user name in the admin")
    form = models.CharField(max_length=32, unique=True, db_comment="of the page it was written on: sent once")
    state = models.SmallIntegerField(
        choices=Delivery, default=Delivery.CLAIMED, db_default=Delivery.CLAIMED, db_comment="as of broadcast_recipients"
    )
    error = PlainTextField(db_comment="what Telegram said")
    created_at = models.BigIntegerField(db_comment="UNIX seconds")

    class Meta:
        db_table = "direct_messages"
        db_table_comment = "Messages of operators to one person"
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        indexes = [models.Index(fields=["user", "created_at"], name="direct_messages_by_user")]

    def __str__(self) -> str:
        return f"{self.user_id} · {self.created_at}"
