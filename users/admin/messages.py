"""Writing to one person: a text of one's own or from a template, sent by the bot and recorded."""

from __future__ import annotations

import secrets
import time
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from config.admin.actions import record
from config.admin.formatting import badge, format_datetime
from config.admin.site import page, render_page
from users.mailing.delivery import MAX_TEXT_LENGTH, mark_blocked, send_text
from users.mailing.models import Delivery, DirectMessage, MessageTemplate
from users.models import User

MAX_SHOWN = 10
TONES = {Delivery.SENT: "good", Delivery.CLAIMED: "busy"}


@admin.register(MessageTemplate)
class MessageTemplateAdmin(admin.ModelAdmin):
    list_display = ("name", "text_ru", "text_en")
    fieldsets = [(None, {"fields": ("name", "text_ru", "text_en")})]
    sortable_by = ("name",)
    actions = None


class Shown(NamedTuple):
    """A message as a person's page shows it."""

    at: SafeString | str
    sent_by: str
    text: str
    state: SafeString


@page("users/user/<int:user_id>/message/", "write_to_user", "users.add_directmessage")
def write(request: HttpRequest, user_id: int) -> HttpResponse:
    """The form of a message to one person; ?template= fills it in, in the language they read."""
    person = User.objects.defer("tmdb_session_id").filter(pk=user_id).first()
    if person is None:
        raise Http404
    template = MessageTemplate.objects.filter(pk=number(request.GET.get("template", ""))).first()
    text = template.text_for(person.language) if template else ""
    if request.method == "POST":
        text = request.POST.get("text", "").replace("\r\n", "\n").strip()
        if not text or len(text.encode("utf-16-le")) // 2 > MAX_TEXT_LENGTH:
            messages.error(request, _("Write a text of 1 to %d characters.") % MAX_TEXT_LENGTH)
        elif person.banned_at:
            messages.error(request, _("This person is banned: lift the ban first."))
        else:
            send(request, person, text)
            return redirect("admin:users_user_change", user_id)
    context: dict[str, Any] = {
        "person": person,
        "text": text,
        "templates": MessageTemplate.objects.all(),
        "form": secrets.token_hex(16),
        "history": shown(person),
        "opts": User._meta,
    }
    return render_page(
        request, "users/admin/message.html", _("Message to %s") % (person.first_name or person.pk), **context
    )


def number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def send(request: HttpRequest, person: User, text: str) -> None:
    """Record the message, send it once, and tell the operator what became of it."""
    form = request.POST.get("form", "")[:32] or secrets.token_hex(16)
    try:
        with transaction.atomic():
            message = DirectMessage.objects.create(
                user=person, text=text, sent_by=request.user.get_username(), form=form, created_at=int(time.time())
            )
    except IntegrityError:  # the button was pressed twice
        messages.warning(request, _("This message has been sent already."))
        return
    outcome = send_text(person.pk, text)
    state = Delivery.FAILED if outcome.state == Delivery.WAITING else outcome.state
    DirectMessage.objects.filter(pk=message.pk).update(state=state, error=outcome.error[:300])
    if state == Delivery.SENT:
        record(request, User, "write_to_user", _("Message sent"), 1, [(str(person.pk), str(person))])
        messages.success(request, _("Message sent"))
        return
    if state == Delivery.BLOCKED:
        mark_blocked(person.pk)
    why = _("The message was not sent: %s") % outcome.error
    record(request, User, "write_to_user", why, 0, [(str(person.pk), str(person))])
    messages.error(request, why)


def shown(person: User) -> list[Shown]:
    """The latest messages to a person."""
    return [
        Shown(
            format_datetime(message.created_at),
            message.sent_by,
            message.text,
            badge(TONES.get(Delivery(message.state), "bad"), message.get_state_display()),
        )
        for message in DirectMessage.objects.filter(user=person).order_by("-created_at")[:MAX_SHOWN]
    ]
