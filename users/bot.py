"""/start, /help, /connect and /sync: who the person is to us and to TMDb."""

import re
import time
from contextlib import suppress
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from telebot.util import content_type_media, extract_arguments

from config.bot.replies import (
    answer,
    deep_link,
    delete_message,
    edit,
    edit_buttons,
    keyboard,
    reply_to,
    require_private_chat,
)
from config.bot.router import (
    UserError,
    bot,
    button,
    button_prefix_of,
    button_prefixes,
    command,
    command_of,
    commands,
    deep_links,
    parse_callback_data,
)
from config.jobs.enqueue import async_task
from config.monitoring.secret import Secret
from movies.cards import excuse, send_card
from movies.catalogue import get_movie, with_details
from movies.tmdb import NotApproved, TMDb, TMDbError, TokenSpent, Unavailable
from users import disconnect
from users.models import SessionUnreadable, SyncStatus, User, decrypted, encrypted

TOKEN_LIFE = 3600  # seconds a request token can be approved in (TMDb: authentication/token/new)
MOST_TOKENS = 5  # of one person


@command("start", gettext_lazy("what I can do"))
def start(message):
    payload = (extract_arguments(message.text) or "").strip()
    if message.chat.type == "private":
        if User.objects.met(message.from_user).blocked_at:  # they are back, and that update was lost
            User.objects.filter(pk=message.from_user.id).update(blocked_at=None)
        if payload == "tmdb":
            return finish_link(message)
        if found := re.fullmatch(r"movie_([0-9]{1,20})", payload):
            return send_asked_card(message, int(found[1]))
        prefix, _sign, rest = payload.partition("_")
        if prefix in deep_links:
            return deep_links[prefix](message, rest)
    return show_help(message)


@command("help", gettext_lazy("help"))
def show_help(message):
    bot.send_message(message.chat.id, render_to_string("users/help.html", {"commands": commands}).strip())


def send_asked_card(message, movie_id):
    viewer = message.from_user.id
    try:
        send_card(message.chat.id, with_details(get_movie(movie_id, viewer), viewer))
    except TMDbError as error:
        bot.send_message(message.chat.id, excuse(error))


# --- The link with TMDb


@command("connect", gettext_lazy("link a TMDb account"))
def connect(message):
    """Send the address where the person lets us in, and a button to say so.

    The token stays with us and in the person's own button; the address TMDb returns to carries none, since an address
    with somebody's token would tie another person's chat to that account.
    """
    if not require_private_chat(message):
        return
    user = User.objects.met(message.from_user)
    broken = user.sync_status == SyncStatus.FAILED  # perhaps TMDb no longer lets us in
    if user.connected and not broken and extract_arguments(message.text) != "again":
        text = _("Your TMDb account is already linked. /sync imports your ratings again; /disconnect ends the link.")
        bot.send_message(message.chat.id, text)
        return
    try:
        token = TMDb(patient=False).request_token()
    except TMDbError:
        bot.send_message(message.chat.id, _("TMDb does not answer just now. Please try again in a few minutes."))
        return
    remember_token(user, token)
    back = deep_link("tmdb")
    bot.send_message(
        message.chat.id,
        _(
            "Open TMDb, sign in and press “Approve”. Then come back and press “Done”.\n\n"
            "The link works for an hour. I will read your ratings and write those you make here; "
            "/disconnect ends that at any time."
        ),
        reply_markup=keyboard(
            [(_("Open TMDb"), f"{settings.TMDB_WEB_URL}/authenticate/{token}?redirect_to={quote(back, safe='')}")],
            [(_("Done"), f"approved:{token}")],
        ),
    )


@button("approved")
def approved(query):
    """The person says that they let us in at TMDb."""
    token = Secret(query.data.partition(":")[2])
    user = User.objects.met(query.from_user)
    if token not in remembered_tokens(user):
        if user.connected:
            answer(query, _("Your TMDb account is linked."))
        else:
            answer(query, _("This link is no longer good. Please send /connect again."), alert=True)
        return
    try:
        link(user, token)
    except NotApproved:
        answer(query, _("TMDb has not had your approval yet. Open it, press “Approve”, then “Done” here."), alert=True)
        return
    except TokenSpent:
        forget_tokens(user)
        answer(query, _("This link was denied or is too old. Please send /connect again."), alert=True)
        return
    except TMDbError:
        answer(query, _("TMDb does not answer just now. Please try again in a few minutes."), alert=True)
        return
    answer(query, _("Linked!"))
    edit_buttons(query.message)
    begin_import(user)


def finish_link(message):
    """The person came back from TMDb by its redirect: /start tmdb."""
    user = User.objects.met(message.from_user)
    for token in reversed(remembered_tokens(user)):
        try:
            link(user, token)
        except (NotApproved, TokenSpent):
            continue
        except TMDbError:
            bot.send_message(message.chat.id, _("TMDb does not answer just now. Please try again in a few minutes."))
            return
        begin_import(user)
        return
    if user.connected:
        bot.send_message(message.chat.id, _("Your TMDb account is linked."))
    else:
        bot.send_message(message.chat.id, _("TMDb has not had your approval. Please send /connect again."))


def link(user, token):
    """Make the approved token the person's session; an older session is ended. Raises TMDbError."""
    session_id = TMDb(patient=False).new_session(token)
    forget_tokens(user)
    try:
        account_id = TMDb(patient=True).account(session_id)  # patient: the token is spent, there is no second try
    except TMDbError:
        disconnect.discard(session_id)
        raise Unavailable("/account") from None
    old = disconnect.set_aside(user)
    user.connect(account_id, session_id)
    user.pending_writes.update(attempts=0, next_try_at=0)  # ratings that the old session could not write
    disconnect.end_now(old)


def remember_token(user, token):
    """Keep a request token for the person, so that nobody else's button or link can be made to use it."""
    latest = list(user.request_tokens.order_by("-pk").values_list("pk", flat=True)[: MOST_TOKENS - 1])
    user.request_tokens.exclude(pk__in=latest).delete()
    user.request_tokens.create(token=encrypted(token), expires_at=int(time.time()) + TOKEN_LIFE)


def remembered_tokens(user):
    """The request tokens of the last hour, the oldest first, but for those kept under a key that is gone."""
    tokens = []
    for kept in user.request_tokens.good().order_by("pk"):
        with suppress(SessionUnreadable):
            tokens.append(decrypted(kept.token))
    return tokens


def forget_tokens(user):
    user.request_tokens.all().delete()


# --- Import


@command("sync", gettext_lazy("import my ratings from TMDb again"))
def sync(message):
    if not require_private_chat(message):
        return
    user = User.objects.met(message.from_user)
    if not user.connected:
        bot.send_message(message.chat.id, _("No TMDb account is linked yet. Send /connect to link yours."))
        return
    begin_import(user)


def begin_import(user):
    """Queue the import, say so in the message that will show its progress, and ring the worker's bell."""
    User.objects.filter(pk=user.pk).queue_import()
    progress = bot.send_message(user.pk, _("The import is queued…"))
    transaction.on_commit(lambda: async_task("ratings.tasks.import_ratings", user.pk, progress.message_id))


# --- Blocked and unblocked


@bot.my_chat_member_handler(func=lambda change: change.chat.type == "private")
def membership(change):
    """Remember who blocked the bot, so that nobody writes to them until they come back."""
    blocked = change.new_chat_member.status == "kicked"
    User.objects.filter(pk=change.from_user.id).update(blocked_at=int(time.time()) if blocked else None)


# --- What is not for us


@bot.message_handler(func=lambda message: message.text.startswith("/") and is_unknown(message))
def unknown_command(message):
    bot.send_message(
        message.chat.id,
        _("I do not know this command. /help lists those I do."),
        reply_parameters=None if message.chat.type == "private" else reply_to(message),
    )


def is_unknown(message):
    """In private whatever begins like a command; in a group only what names this bot."""
    name = command_of(message)
    if message.chat.type == "private":
        return name not in commands
    return name is not None and name not in commands and "@" in message.text.split(maxsplit=1)[0]


@bot.message_handler(
    content_types=[kind for kind in content_type_media if kind not in ("text", "document")],
    func=lambda message: message.chat.type == "private" and not message.via_bot,
)
def no_text(message):
    bot.send_message(message.chat.id, _("I understand titles of films, not this. Send me a title, or see /help."))


@bot.callback_query_handler(lambda query: button_prefix_of(query) not in button_prefixes)
def unknown_button(query):
    raise UserError(_("This button is out of date."))


# --- What of theirs is written to TMDb


@command("settings", gettext_lazy("what I write to TMDb"))
def show_settings(message):
    if require_private_chat(message):
        bot.send_message(message.chat.id, **settings_page(User.objects.met(message.from_user)))


def settings_page(user):
    """Text and keyboard of /settings."""
    if user.writes_ratings:
        text = _("Ratings you give here are written to your TMDb account too.")
        switch = (_("Keep them here only"), "writes:off")
    else:
        text = _("Ratings you give here stay here: nothing is written to your TMDb account.")
        switch = (_("Write them to TMDb too"), "writes:on")
    if not user.connected:
        text += "\n\n" + _("No TMDb account is linked yet: /connect links one.")
    return {"text": text, "reply_markup": keyboard([switch])}


@button("writes")
def switch_writing(query):
    (wish,) = parse_callback_data(query, "writes:(on|off)")
    user = User.objects.met(query.from_user)
    if wish == "off":
        disconnect.stop_writing(user.pk)
    else:
        disconnect.write_again(user.pk)
    user.refresh_from_db(fields=["writes_ratings"])
    edit(query.message, **settings_page(user))
    answer(query)


# --- Leaving


def messages_at_work(runs):
    """The messages that show how far these imports are; whoever ends the imports takes them away."""
    return list(runs.filter(finished_at=None, message_id__isnull=False).values_list("message_id", flat=True))


@command("disconnect", gettext_lazy("end the link with TMDb"))
def disconnect_command(message):
    if not require_private_chat(message):
        return
    user = User.objects.met(message.from_user)
    if not user.connected:
        bot.send_message(message.chat.id, _("No TMDb account is linked, so there is nothing to end."))
        return
    needless = messages_at_work(user.imports)
    ended = disconnect.disconnect(user.pk)
    for message_id in needless:
        delete_message(user.pk, message_id)
    if ended:
        text = _("The link with TMDb is over: the session has been ended there and deleted here.")
    else:
        text = _(
            "The link with TMDb is over: I read and write nothing there any more. TMDb does not answer just now, "
            "so I keep asking it to end the session until it does."
        )
    bot.send_message(message.chat.id, text + "\n\n" + _("Your ratings stay here. /connect links an account again."))


@command("forget", gettext_lazy("delete all you know of me"))
def ask_to_forget(message):
    if not require_private_chat(message):
        return
    user = User.objects.filter(pk=message.from_user.id).first()
    count = user.ratings.count() if user else 0
    question = ngettext(
        "Shall I delete all I know of you? That is %(count)d rating, the link with TMDb and your settings.",
        "Shall I delete all I know of you? That is %(count)d ratings, the link with TMDb and your settings.",
        count,
    )
    bot.send_message(
        message.chat.id,
        question % {"count": count}
        + "\n\n"
        + _("It cannot be undone. What you rated at TMDb stays there. /export gives you a copy first."),
        reply_markup=keyboard([(_("Delete everything"), "forget:yes"), (_("Keep it"), "forget:no")]),
    )


@button("forget")
def forget(query):
    (decision,) = parse_callback_data(query, "forget:(yes|no)")
    if decision == "no":
        text = _("Nothing has been deleted.")
    elif forget_everything(query.from_user.id):
        text = _("Done: I know nothing of you any more, and no session of yours is left at TMDb.")
    else:
        text = _(
            "Done: I know nothing of you any more. TMDb does not answer just now, so I keep asking it to end the "
            "session until it does; that session no longer bears your name."
        )
    if not edit(query.message, text):
        bot.send_message(query.from_user.id, text)
    answer(query)


def forget_everything(user_id):
    """Forget the person, and take the messages of what was under way; returns as leaving.forget does."""
    user = User.objects.filter(pk=user_id).first()
    needless = [*messages_at_work(user.imports), *messages_at_work(user.file_imports)] if user else []
    ended = disconnect.forget(user_id)
    for message_id in needless:
        delete_message(user_id, message_id)
    return ended
