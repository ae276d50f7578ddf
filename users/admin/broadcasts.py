"""Broadcasts in the admin: written, tried out on oneself, counted, sent, paused, stopped, and what came of them."""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from config.admin.actions import record
from config.admin.charts import progress_bar
from config.admin.formatting import EMPTY, badge, format_age, format_datetime
from config.admin.model_admin import parse_id
from config.admin.site import page, render_page
from config.bot.router import LANGUAGES
from users.mailing import sender
from users.mailing.delivery import MAX_CAPTION_LENGTH, MAX_TEXT_LENGTH, MAX_TITLE_LENGTH, send_broadcast
from users.mailing.models import Broadcast, BroadcastState, Button, Delivery, Recipient

MAX_PICTURE_BYTES = 5 * 2**20
MAX_BUTTONS = 5
MAX_BUTTON_TEXT_LENGTH = 60
MAX_ERRORS_SHOWN = 5
SPARE_LENGTH = MAX_TITLE_LENGTH + 10  # of a film's title and year below the text
PREVIEW_CHAT = "broadcast_preview_chat"  # of the session
TONES = {
    BroadcastState.DRAFT: "idle",
    BroadcastState.SENDING: "busy",
    BroadcastState.PAUSED: "ready",
    BroadcastState.DONE: "good",
    BroadcastState.STOPPED: "bad",
}
NOT_YET = [Delivery.WAITING, Delivery.CLAIMED]


class BroadcastForm(forms.ModelForm):
    picture_file = forms.ImageField(label=gettext_lazy("Picture"), required=False)
    remove_picture = forms.BooleanField(label=gettext_lazy("Without this picture"), required=False)
    is_linked = forms.NullBooleanField(
        label=gettext_lazy("Account at TMDb"),
        required=False,
        widget=forms.Select(
            choices=[
                ("unknown", gettext_lazy("linked or not")),
                ("true", gettext_lazy("linked")),
                ("false", gettext_lazy("not linked")),
            ]
        ),
    )
    button_lines = forms.CharField(
        label=gettext_lazy("Buttons"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 80}),
        help_text=gettext_lazy("One per line: Russian text | English text | https://… or a command like /recommend"),
    )

    class Meta:
        model = Broadcast
        fields = (
            *("title", "text_ru", "text_en", "movie"),
            *("language", "is_linked", "active_days", "came_by", "min_ratings"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["is_linked"] = {True: "true", False: "false"}.get(self.instance.is_linked, "unknown")
        self.initial["button_lines"] = "\n".join(" | ".join(parts) for parts in self.instance.buttons)

    def clean_button_lines(self) -> list[Button]:
        lines = [line for line in self.cleaned_data["button_lines"].splitlines() if line.strip()]
        found = [Button(*parts) for line in lines if len(parts := [part.strip() for part in line.split("|")]) == 3]
        if len(found) < len(lines) or len(lines) > MAX_BUTTONS:
            raise forms.ValidationError(
                _("Write at most %d lines of three parts: Russian | English | address.") % MAX_BUTTONS
            )
        for button in found:
            is_command = button.target.startswith("/") and button.target[1:].isidentifier()
            if not (button.target.startswith(("https://", "http://")) or is_command):
                raise forms.ValidationError(_("“%s” is neither an address nor a command.") % button.target)
            if not button.ru + button.en or max(len(button.ru), len(button.en)) > MAX_BUTTON_TEXT_LENGTH:
                text = _("A button needs a text of at most %d characters.") % MAX_BUTTON_TEXT_LENGTH
                raise forms.ValidationError(text)
        return found

    def clean_picture_file(self) -> UploadedFile | None:
        picture: UploadedFile | None = self.cleaned_data["picture_file"]
        if picture and (picture.size or 0) > MAX_PICTURE_BYTES:
            raise forms.ValidationError(_("The picture is larger than 5 MB."))
        image = getattr(picture, "image", None)  # of Django's ImageField, for a new file
        if image is not None and image.format not in ("JPEG", "PNG"):
            raise forms.ValidationError(_("The picture must be a JPEG or a PNG."))
        return picture

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        keeps_picture = self.instance.picture and not data.get("remove_picture")
        has_picture = bool(data.get("picture_file") or keeps_picture)
        if has_picture and data.get("movie"):
            self.add_error("movie", _("Choose a film or a picture, not both."))
        limit = MAX_CAPTION_LENGTH - SPARE_LENGTH * bool(data.get("movie"))
        limit = limit if has_picture or data.get("movie") else MAX_TEXT_LENGTH
        for language in LANGUAGES:
            text = data.get(f"text_{language}", "")
            if not text.strip() and data.get("language") in ("", language):
                self.add_error(
                    f"text_{language}", _("Some of these people read this language: write the text in it, too.")
                )
            if len(text.encode("utf-16-le")) // 2 > limit:
                self.add_error(f"text_{language}", _("Telegram takes at most %d characters here.") % limit)
        return data

    def save(self, commit: bool = True) -> Broadcast:
        broadcast: Broadcast = super().save(commit=False)
        broadcast.buttons = [list(button) for button in self.cleaned_data["button_lines"]]
        picture = self.cleaned_data["picture_file"]
        if picture or self.cleaned_data["remove_picture"]:
            picture and picture.seek(0)
            broadcast.picture = picture.read() if picture else None
            broadcast.picture_file_id = ""
        if commit:
            broadcast.save()
        return broadcast


FIELDSETS: list[Any] = [
    (None, {"fields": ("title", "text_ru", "text_en")}),
    (
        gettext_lazy("Film or picture, and buttons"),
        {"fields": ("movie",)},
    ),
    (
        gettext_lazy("To whom"),
        {
            "fields": ("language", "is_linked", "active_days", "came_by", "min_ratings"),
            "description": gettext_lazy("Empty: everybody. People who have blocked the bot or opted out get nothing."),
        },
    ),
]


@admin.register(Broadcast)
class BroadcastAdmin(admin.ModelAdmin):
    form = BroadcastForm
    list_display = ("title", "progress", "number_sent", "written", "created_by")
    list_per_page = 50
    ordering = ("-pk",)
    sortable_by = ()
    actions = None
    raw_id_fields = ("movie",)
    change_form_template = "users/admin/broadcast.html"
    fieldsets = FIELDSETS

    def get_queryset(self, request: HttpRequest) -> QuerySet[Broadcast]:
        return super().get_queryset(request).defer("picture")

    def has_change_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        """What has been started is not changed any more."""
        return super().has_change_permission(request, obj) and (obj is None or obj.state == BroadcastState.DRAFT)

    def has_delete_permission(self, request: HttpRequest, obj: Broadcast | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.state == BroadcastState.DRAFT)

    def get_fieldsets(self, request: HttpRequest, obj: Broadcast | None = None) -> Any:
        """The form's own fields, which are no columns, stand with the film where the row may be changed."""
        if obj is not None and not self.has_change_permission(request, obj):
            return FIELDSETS
        text, content, segment = FIELDSETS
        form_fields = ("picture_file", "remove_picture", "button_lines")
        return [text, (content[0], {"fields": (*content[1]["fields"], *form_fields)}), segment]

    def save_model(self, request: HttpRequest, obj: Broadcast, form: Any, change: bool) -> None:
        if not change:
            obj.created_by, obj.created_at = request.user.get_username(), int(time.time())
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Broadcast, post_url_continue: str | None = None) -> HttpResponse:
        """Its own page, where it is tried out and sent."""
        return redirect("admin:users_broadcast_change", obj.pk)

    def response_change(self, request: HttpRequest, obj: Broadcast) -> HttpResponse:
        return redirect("admin:users_broadcast_change", obj.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        broadcast = self.get_object(request, object_id)
        context = broadcast_context(request, broadcast) if broadcast else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    @admin.display(description=gettext_lazy("state"))
    def progress(self, broadcast: Broadcast) -> SafeString:
        return badge(TONES[BroadcastState(broadcast.state)], broadcast.get_state_display())

    @admin.display(description=gettext_lazy("sent"))
    def number_sent(self, broadcast: Broadcast) -> str:
        if broadcast.state == BroadcastState.DRAFT:
            return EMPTY
        counts = broadcast.deliveries()
        return f"{counts.get(Delivery.SENT, 0)} / {sum(counts.values())}"

    @admin.display(description=gettext_lazy("created"))
    def written(self, broadcast: Broadcast) -> SafeString | str:
        return format_datetime(broadcast.created_at)


def broadcast_context(request: HttpRequest, broadcast: Broadcast) -> dict[str, Any]:
    """What the page of a broadcast shows besides its form."""
    context: dict[str, Any] = {
        "state": badge(TONES[BroadcastState(broadcast.state)], broadcast.get_state_display()),
        "steps": steps(request, broadcast),
        "is_draft": broadcast.state == BroadcastState.DRAFT,
        "is_sending": broadcast.state == BroadcastState.SENDING,
        "preview_chat": request.session.get(PREVIEW_CHAT, settings.OPERATOR_CHAT_ID or ""),
        "may_send": request.user.has_perm("users.send_broadcast"),
    }
    if broadcast.state == BroadcastState.DRAFT:
        return context | {"audience": broadcast.audience().count()}
    counts = broadcast.deliveries()
    total = sum(counts.values())
    done = total - sum(counts.get(state, 0) for state in NOT_YET)
    left = format_age(max(1, (total - done) / sender.MAX_PER_SECOND)) if context["is_sending"] and done < total else ""
    return context | {
        "counts": [(state.label, number) for state, number in sorted(counts.items())],
        "progress": progress_bar(done, total, f"{done} / {total}") if total else "",
        "done": done,
        "total": total,
        "left": left,
        "refusals": refusals_of(broadcast),
        "came_back": came_back(broadcast) if broadcast.state in (BroadcastState.DONE, BroadcastState.STOPPED) else None,
    }


def refusals_of(broadcast: Broadcast) -> list[tuple[str, int]]:
    """What Telegram refused most often, and how often."""
    refused = Recipient.objects.filter(broadcast=broadcast, state__in=[Delivery.FAILED, Delivery.UNKNOWN])
    counted = refused.order_by().values_list("error").annotate(number=Count("user_id"))
    return list(counted.order_by("-number")[:MAX_ERRORS_SHOWN])


def came_back(broadcast: Broadcast) -> int:
    """How many of those who got it have written to the bot since."""
    got = Recipient.objects.filter(broadcast=broadcast, state=Delivery.SENT)
    return got.filter(user__last_seen_at__gt=F("sent_at")).count()


def steps(request: HttpRequest, broadcast: Broadcast) -> list[tuple[str, str, bool]]:
    """(name, label, destructive) of what can be done with a broadcast now."""
    if not request.user.has_perm("users.send_broadcast"):
        return []
    return {
        BroadcastState.DRAFT: [("start", _("Send…"), False)],
        BroadcastState.SENDING: [("pause", _("Pause"), False), ("stop", _("Stop for good"), True)],
        BroadcastState.PAUSED: [("resume", _("Resume"), False), ("stop", _("Stop for good"), True)],
    }.get(BroadcastState(broadcast.state), [])


def requested(request: HttpRequest, broadcast_id: int) -> Broadcast:
    broadcast = Broadcast.objects.filter(pk=broadcast_id).first()
    if broadcast is None:
        raise Http404
    return broadcast


def done(request: HttpRequest, broadcast: Broadcast, action: str, description: str, count: int = 1) -> None:
    record(request, Broadcast, action, description, count, [(str(broadcast.pk), str(broadcast))])
    messages.success(request, description)


@page("users/broadcast/<int:broadcast_id>/preview/", "preview_broadcast", "users.send_broadcast")
def preview(request: HttpRequest, broadcast_id: int) -> HttpResponse:
    """Send it to the operator's own chat, in both languages."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    broadcast, chat_id = requested(request, broadcast_id), parse_id(request.POST.get("chat", ""))
    if chat_id is None:
        messages.error(request, _("Write your own Telegram id: a number. The bot must know you: send it /start."))
        return redirect("admin:users_broadcast_change", broadcast_id)
    request.session[PREVIEW_CHAT] = str(chat_id)
    for language in LANGUAGES:
        if not getattr(broadcast, f"text_{language}"):
            continue
        outcome = send_broadcast(broadcast, chat_id, language)
        if outcome.state != Delivery.SENT:
            messages.error(request, _("Telegram did not take it: %s") % outcome.error)
            break
    else:
        done(request, broadcast, "preview", _("Preview sent"))
    return redirect("admin:users_broadcast_change", broadcast_id)


@page("users/broadcast/<int:broadcast_id>/start/", "start_broadcast", "users.send_broadcast")
def start(request: HttpRequest, broadcast_id: int) -> HttpResponse:
    """Ask once more, with the number of people and the time; then send."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    broadcast = requested(request, broadcast_id)
    count = broadcast.audience().count()
    if not count:
        messages.warning(request, _("Nobody belongs to this segment: nothing is sent."))
    elif "confirmed" not in request.POST:
        return render_page(
            request,
            "users/admin/start_broadcast.html",
            ngettext("Send to %d person?", "Send to %d people?", count) % count,
            broadcast=broadcast,
            duration=format_age(max(1, count / sender.MAX_PER_SECOND)),
            opts=Broadcast._meta,
        )
    elif sender.start(broadcast):
        text = ngettext("Being sent to %d person.", "Being sent to %d people.", count) % count
        done(request, broadcast, "start_broadcast", text, count)
    else:
        messages.warning(request, _("It has been started already."))
    return redirect("admin:users_broadcast_change", broadcast_id)


@page("users/broadcast/<int:broadcast_id>/step/<str:step>/", "broadcast_step", "users.send_broadcast")
def step(request: HttpRequest, broadcast_id: int, step: str) -> HttpResponse:
    """Pause, resume or stop it."""
    actions = {
        "pause": (sender.pause, _("Paused")),
        "resume": (sender.resume, _("Resumed")),
        "stop": (sender.end, _("Stopped")),
    }
    if step not in actions:
        raise Http404
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    broadcast = requested(request, broadcast_id)
    act, description = actions[step]
    if act(broadcast):
        done(request, broadcast, f"{step}_broadcast", description)
    else:
        messages.warning(request, _("That cannot be done now: the broadcast is in another state."))
    return redirect("admin:users_broadcast_change", broadcast_id)
