"""/start, /help, /settings, and a user's link with TMDb: /connect, /sync, /disconnect and /forget."""

import re
import time
from contextlib import suppress
from typing import Any, TypedDict
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _
from telebot.types import CallbackQuery, ChatMemberUpdated, Message
from telebot.util import content_type_media, extract_arguments

from config.bot.replies import (
    Keyboard,
    KeyboardButton,
    answer,
    command_button,
    deep_link,
    delete_message,
    edit,
    edit_buttons,
    keyboard,
    reply_to,
    require_private_chat,
    topic_of,
)
from config.bot.router import (
    UserError,
    bot,
    button,
    button_prefix_of,
    button_prefixes,
    command,
    command_handlers,
    command_of,
    commands,
    deep_links,
    listed_commands,
    parse_callback_data,
)
from config.jobs.enqueue import async_task
from config.monitoring.secret import Secret
from movies.cards import error_text, send_card
from movies.catalogue import get_movie
from movies.names import country_names
from movies.tmdb import NotApproved, TMDb, TMDbError, TokenInvalid, Unavailable
from users import countries, disconnect
from users.models import SessionUnreadable, SyncStatus, User, decrypt, encrypt, language_choices

REQUEST_TOKEN_TTL_SECONDS = 3600  # TMDb: authentication/token/new
MAX_REQUEST_TOKENS = 5  # of one user


OTHER_LANGUAGE = {"ru": ("English", "language:en"), "en": ("Русский", "language:ru")}  # by the reader's
EXAMPLE_MOVIE_ID = 603  # The Matrix
HELP_GROUPS = [
    (gettext_lazy("Find"), ["movie", "recommend", "watchlist", "evening"]),
    (gettext_lazy("My films"), ["rate", "rated", "stats", "match"]),
    ("TMDb", ["connect", "sync", "disconnect"]),
    (gettext_lazy("Data"), ["export", "forget", "settings", "help"]),
]


class Page(TypedDict):
    """What a message of the bot shows."""

    text: str
    reply_markup: Keyboard


@command("start", "")
def start(message: Message) -> None:
    payload = (extract_arguments(message.text or "") or "").strip()
    if message.chat.type == "private":
        user = User.objects.get_or_create_from_telegram(message.from_user)
        if user.blocked_at:  # they have unblocked the bot, and that update was lost
            User.objects.filter(pk=user.pk).update(blocked_at=None)
        if payload == "tmdb":
            return finish_link(message)
        if found := re.fullmatch(r"movie_([0-9]{1,20})", payload):
            return send_requested_card(user, int(found[1]))
        prefix, _separator, rest = payload.partition("_")
        if prefix in deep_links:
            return deep_links[prefix](message, rest)
        return show_start(message)
    return show_help(message)


def show_start(message: Message) -> None:
    """What a newcomer sees: three lines, and buttons to begin with."""
    rows: list[list[KeyboardButton]] = [
        [command_button(_("Connect TMDb"), "connect"), (_("I have a file"), "file_help")],
        [command_button(_("Start rating"), "recommend")],
        [(_("Example: “The Matrix”"), f"card:{EXAMPLE_MOVIE_ID}")],
    ]
    bot.send_message(message.chat.id, render_to_string("users/start.html").strip(), reply_markup=keyboard(*rows))


@button("file_help")
def explain_files(query: CallbackQuery) -> None:
    answer(query)
    if isinstance(query.message, Message) and not require_private_chat(query.message):
        return
    bot.send_message(
        query.from_user.id,
        _(
            "Send me the file right here, as a document: an export of TMDb, Letterboxd or IMDb, or any table with "
            "titles and ratings.\n\n"
            "Letterboxd: Settings → Data → Export. IMDb: Your ratings → Export."
        ),
        reply_markup=keyboard([command_button(_("Connect TMDb"), "connect")]),
    )


@button("do")
def run_command(query: CallbackQuery) -> None:
    """A button that stands for a command: /name, as if the user had sent it."""
    (name,) = parse_callback_data(query, r"do:(\w{1,32})")
    message = query.message
    if name not in command_handlers or not isinstance(message, Message):
        raise UserError(_("This button is out of date."))
    answer(query)
    message.from_user, message.text = query.from_user, f"/{name}"
    command_handlers[name](message)


@command("help", gettext_lazy("help"))
def show_help(message: Message) -> None:
    rest = [name for name in listed_commands() if not any(name in names for _heading, names in HELP_GROUPS)]
    groups = [
        (
            heading,
            [
                (name, commands[name])
                for name in (*names, *(rest if heading == HELP_GROUPS[-1][0] else ()))
                if name in commands
            ],
        )
        for heading, names in HELP_GROUPS
    ]
    context = {"groups": groups, "username": bot.user.username}
    bot.send_message(message.chat.id, render_to_string("users/help.html", context).strip())


def send_requested_card(user: User, movie_id: int) -> None:
    try:
        send_card(user.pk, get_movie(movie_id, user.pk))
    except TMDbError as error:
        bot.send_message(user.pk, error_text(error))


# --- The link with TMDb


@command("connect", gettext_lazy("link a TMDb account"))
def connect(message: Message) -> None:
    """Send the address where the user approves a request token, and a button to say that they have.

    The token stays here and in the user's own button. The address that TMDb redirects to carries none: with it, a link
    from an attacker would connect another user's chat to the attacker's account.
    """
    if not require_private_chat(message):
        return
    user = User.objects.get_or_create_from_telegram(message.from_user)
    broken = user.sync_status == SyncStatus.FAILED  # perhaps TMDb has ended the session
    if user.connected and not broken and extract_arguments(message.text or "") != "again":
        text = _("Your TMDb account is already linked. /sync imports your ratings again; /disconnect ends the link.")
        bot.send_message(message.chat.id, text)
        return
    try:
        token = TMDb(background=False).request_token()
    except TMDbError:
        bot.send_message(message.chat.id, _("TMDb is not answering right now. Please try again in a few minutes."))
        return
    store_request_token(user, token)
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
def approved(query: CallbackQuery) -> None:
    """The user says that they have approved the request token at TMDb."""
    token = Secret((query.data or "").partition(":")[2])
    user = User.objects.get_or_create_from_telegram(query.from_user)
    if token not in valid_request_tokens(user):
        if user.connected:
            answer(query, _("Your TMDb account is linked."))
        else:
            answer(query, _("This link no longer works. Please send /connect again."), alert=True)
        return
    try:
        link_account(user, token)
    except NotApproved:
        answer(query, _("I do not see your approval yet. Open TMDb, press “Approve”, then come back here."), alert=True)
        return
    except TokenInvalid:
        delete_request_tokens(user)
        answer(query, _("This link was denied or is too old. Please send /connect again."), alert=True)
        return
    except TMDbError:
        answer(query, _("TMDb is not answering right now. Please try again in a few minutes."), alert=True)
        return
    answer(query, _("Linked!"))
    edit_buttons(query.message)
    queue_import(user)


def finish_link(message: Message) -> None:
    """The user came back from TMDb by its redirect: /start tmdb."""
    user = User.objects.get_or_create_from_telegram(message.from_user)
    for token in reversed(valid_request_tokens(user)):
        try:
            link_account(user, token)
        except (NotApproved, TokenInvalid):
            continue
        except TMDbError:
            bot.send_message(message.chat.id, _("TMDb is not answering right now. Please try again in a few minutes."))
            return
        queue_import(user)
        return
    if user.connected:
        bot.send_message(message.chat.id, _("Your TMDb account is linked."))
    else:
        bot.send_message(message.chat.id, _("TMDb has not had your approval. Please send /connect again."))


def link_account(user: User, token: Secret) -> None:
    """Exchange an approved request token for the user's session, and revoke an older one. Raises TMDbError."""
    session_id = TMDb(background=False).new_session(token)
    delete_request_tokens(user)
    try:
        account_id = TMDb(background=True).account(session_id)  # with retries: the token is used up
    except TMDbError:
        disconnect.revoke_unused(session_id)
        raise Unavailable("/account") from None
    old = disconnect.queue_revocation(user)
    user.connect(account_id, session_id)
    with transaction.atomic():  # what the old session could not write
        User.objects.lock(user.pk)
        user.pending_writes.update(attempts=0, next_try_at=0)
        user.watchlist_writes.update(next_try_at=0)
    disconnect.revoke_now(old)


def store_request_token(user: User, token: Secret) -> None:
    """Store a request token as the user's own: no other user's button or link can use it."""
    latest = list(user.request_tokens.order_by("-pk").values_list("pk", flat=True)[: MAX_REQUEST_TOKENS - 1])
    user.request_tokens.exclude(pk__in=latest).delete()
    user.request_tokens.create(token=encrypt(token), expires_at=int(time.time()) + REQUEST_TOKEN_TTL_SECONDS)


def valid_request_tokens(user: User) -> list[Secret]:
    """The request tokens of the last hour, oldest first, without those encrypted with a key that is gone."""
    tokens = []
    for stored in user.request_tokens.valid().order_by("pk"):
        with suppress(SessionUnreadable):
            tokens.append(decrypt(stored.token))
    return tokens


def delete_request_tokens(user: User) -> None:
    user.request_tokens.all().delete()


# --- Import


@command("sync", gettext_lazy("import my ratings from TMDb again"))
def sync(message: Message) -> None:
    if not require_private_chat(message):
        return
    user = User.objects.get_or_create_from_telegram(message.from_user)
    if not user.connected:
        text = _("No TMDb account is linked yet. Send /connect to link yours.")
        bot.send_message(message.chat.id, text, reply_markup=keyboard([command_button(_("Connect TMDb"), "connect")]))
        return
    queue_import(user)


def queue_import(user: User) -> None:
    """Queue an import, send the message that will show its progress, and wake a worker."""
    User.objects.filter(pk=user.pk).queue_import()
    progress = bot.send_message(user.pk, _("I will read your ratings on TMDb in a moment…"))
    transaction.on_commit(lambda: enqueue_import(user.pk, progress.message_id, topic_of(progress)))


def enqueue_import(user_id: int, message_id: int, thread_id: int | None) -> None:
    # django-q2 stores no successful run of it: a job names the user, and /forget may come while it runs
    async_task("ratings.tasks.import_ratings", user_id, message_id, thread_id, save=False)


# --- Blocked and unblocked


@bot.my_chat_member_handler(func=lambda change: change.chat.type == "private")
def on_membership_change(change: ChatMemberUpdated) -> None:
    """Store that a user has blocked the bot, so that nothing is sent to them until they unblock it."""
    blocked = change.new_chat_member.status == "kicked"
    User.objects.filter(pk=change.from_user.id).update(blocked_at=int(time.time()) if blocked else None)


# --- Unknown commands, content and buttons


@bot.message_handler(func=lambda message: (message.text or "").startswith("/") and is_unknown(message))
def unknown_command(message: Message) -> None:
    bot.send_message(
        message.chat.id,
        _("Unknown command. See /help."),
        reply_parameters=None if message.chat.type == "private" else reply_to(message),
    )


def is_unknown(message: Message) -> bool:
    """Any unknown command in a private chat; in a group only one that names this bot."""
    name = command_of(message)
    if message.chat.type == "private":
        return name not in commands
    return name is not None and name not in commands and "@" in (message.text or "").split(maxsplit=1)[0]


@bot.message_handler(
    content_types=[kind for kind in content_type_media if kind not in ("text", "document")],
    func=lambda message: message.chat.type == "private" and not message.via_bot,
)
def on_unsupported_content(message: Message) -> None:
    bot.send_message(message.chat.id, _("I understand titles of films, not this. Send me a title, or see /help."))


@bot.callback_query_handler(lambda query: button_prefix_of(query) not in button_prefixes)
def unknown_button(query: CallbackQuery) -> None:
    raise UserError(_("This button is out of date."))


# --- Settings


@command("settings", gettext_lazy("settings"))
def show_settings(message: Message) -> None:
    if require_private_chat(message):
        bot.send_message(message.chat.id, **settings_page(User.objects.get_or_create_from_telegram(message.from_user)))


def settings_page(user: User) -> Page:
    if user.writes_ratings:
        linked = _("Ratings you give here are written to your TMDb account too.")
        text = linked if user.connected else _("Once TMDb is linked, ratings you give here are written to it too.")
        switch = (_("Keep them here only"), "writes:off")
    else:
        text = _("Ratings you give here stay here: nothing is written to your TMDb account.")
        switch = (_("Write them to TMDb too"), "writes:on")
    text += "\n\n" + (_("Now and then I send you news.") if user.takes_broadcasts else _("I send you no news."))
    news = (_("No news, please"), "news:off") if user.takes_broadcasts else (_("Send me news"), "news:on")
    rows: list[list[KeyboardButton]] = [
        [switch],
        *watchlist_rows(user),
        [news],
        [OTHER_LANGUAGE[get_language() or "ru"]],
    ]
    if not user.connected:
        text += "\n\n" + _("No TMDb account is linked yet: /connect links one.")
        rows.append([command_button(_("Connect TMDb"), "connect")])
    return Page(text=text, reply_markup=keyboard(*rows))


@button("language")
def switch_language(query: CallbackQuery) -> None:
    (chosen,) = parse_callback_data(query, "language:(ru|en)")
    user = User.objects.get_or_create_from_telegram(query.from_user)
    language_choices.set(user.pk, chosen)
    with translation.override(chosen):
        edit(query.message, **settings_page(user))
        answer(query)


@button("writes")
def switch_writing(query: CallbackQuery) -> None:
    (switch,) = parse_callback_data(query, "writes:(on|off)")
    user = User.objects.get_or_create_from_telegram(query.from_user)
    if switch == "off":
        disconnect.stop_writing(user.pk)
    else:
        disconnect.resume_writing(user.pk)
    user.refresh_from_db(fields=["writes_ratings"])
    edit(query.message, **settings_page(user))
    answer(query)


def watchlist_rows(user: User) -> list[list[KeyboardButton]]:
    """What the bot says of its own accord about the films to see, and whose release dates count."""
    asks = ("✓ " * user.asks_seen + _("Ask whether I have seen it"), f"asks:{'off' if user.asks_seen else 'on'}")
    tells = (
        "✓ " * user.tells_releases + _("Tell me about releases"),
        f"releases:{'off' if user.tells_releases else 'on'}",
    )
    country = (_("Country: %(name)s") % {"name": country_names([user.home])[0]}, "country")
    return [[asks], [tells, country]]


@button("asks")
@button("releases")
def switch_reminders(query: CallbackQuery) -> None:
    """In /settings, where the page shows it, or below a message that the user wants no more of."""
    kind, switch = parse_callback_data(query, "(asks|releases):(on|off)")
    user = User.objects.get_or_create_from_telegram(query.from_user)
    column = "asks_seen" if kind == "asks" else "tells_releases"
    setattr(user, column, switch == "on")
    user.save(update_fields=[column])
    if is_settings(query):
        edit(query.message, **settings_page(user))
        answer(query)
    else:
        edit_buttons(query.message)
        answer(query, _("All right, I will stop. You can turn it back on in /settings."))


def is_settings(query: CallbackQuery) -> bool:
    rows = (
        query.message.reply_markup.keyboard if isinstance(query.message, Message) and query.message.reply_markup else []
    )
    return any((one.callback_data or "").startswith(("writes:", "country")) for row in rows for one in row)


@button("country")
def choose_country(query: CallbackQuery) -> None:
    """The countries to choose from in place of the settings, or the settings with the chosen one."""
    (chosen,) = parse_callback_data(query, "country(?::([A-Z]{2}))?")
    user = User.objects.get_or_create_from_telegram(query.from_user)
    if chosen is None:
        codes = list(countries.UTC_OFFSETS_HOURS)
        names = sorted((country_names([code])[0], code) for code in codes)
        row: list[KeyboardButton] = [
            (f"● {name}" if code == user.home else name, f"country:{code}") for name, code in names
        ]
        markup = keyboard(*(row[first : first + 3] for first in range(0, len(row), 3)))
        edit(query.message, _("Which country's releases shall I tell you about?"), markup)
    elif chosen in countries.UTC_OFFSETS_HOURS:
        user.country = chosen
        user.save(update_fields=["country"])
        edit(query.message, **settings_page(user))
    answer(query)


@button("news")
def switch_news(query: CallbackQuery) -> None:
    (switch,) = parse_callback_data(query, "news:(on|off)")
    user = User.objects.get_or_create_from_telegram(query.from_user)
    user.takes_broadcasts = switch == "on"
    user.save(update_fields=["takes_broadcasts"])
    edit(query.message, **settings_page(user))
    answer(query)


# --- Disconnect and forget


def progress_message_ids(imports: QuerySet[Any]) -> list[int]:
    """The messages that show the progress of unfinished imports (of ratings' Import or FileImport)."""
    return list(imports.filter(finished_at=None, message_id__isnull=False).values_list("message_id", flat=True))


@command("disconnect", gettext_lazy("end the link with TMDb"))
def disconnect_command(message: Message) -> None:
    if not require_private_chat(message):
        return
    user = User.objects.get_or_create_from_telegram(message.from_user)
    if not user.connected:
        bot.send_message(message.chat.id, _("No TMDb account is linked, so there is nothing to end."))
        return
    obsolete = progress_message_ids(user.imports.all())
    ended = disconnect.disconnect(user.pk)
    for message_id in obsolete:
        delete_message(user.pk, message_id)
    if ended:
        text = _("TMDb disconnected: I ended the session there and deleted it here.")
    else:
        text = _(
            "TMDb disconnected: I no longer read or write anything there. TMDb is not answering right now, "
            "so I will keep asking it to end the session."
        )
    bot.send_message(message.chat.id, text + "\n\n" + _("Your ratings stay here. /connect links an account again."))


@command("forget", gettext_lazy("delete my data"))
def ask_to_forget(message: Message) -> None:
    if not require_private_chat(message):
        return
    user = User.objects.filter(pk=message.chat.id).first()  # a private chat has its user's id
    count = user.ratings.count() if user else 0
    question = ngettext(
        "Delete everything I know about you? That is %(count)d rating, the link with TMDb and your settings.",
        "Delete everything I know about you? That is %(count)d ratings, the link with TMDb and your settings.",
        count,
    )
    bot.send_message(
        message.chat.id,
        question % {"count": count}
        + "\n\n"
        + _("It cannot be undone. What you rated on TMDb stays there. /export gives you a copy first."),
        reply_markup=keyboard([(_("Delete everything"), "forget:yes"), (_("Keep it"), "forget:no")]),
    )


@button("forget")
def forget(query: CallbackQuery) -> None:
    (decision,) = parse_callback_data(query, "forget:(yes|no)")
    if decision == "no":
        text = _("Nothing has been deleted.")
    elif delete_account(query.from_user.id):
        text = _("Done: I no longer know anything about you, and no session of yours is left on TMDb.")
    else:
        text = _(
            "Done: I no longer know anything about you. TMDb is not answering right now, so I will end the session "
            "there as soon as it does. It no longer carries your name."
        )
    if not edit(query.message, text):
        bot.send_message(query.from_user.id, text)
    answer(query)


def delete_account(user_id: int) -> bool:
    """Delete the user and their progress messages; returns what disconnect.forget does."""
    user = User.objects.filter(pk=user_id).first()
    obsolete = (
        [*progress_message_ids(user.imports.all()), *progress_message_ids(user.file_imports.all())] if user else []
    )
    ended = disconnect.forget(user_id)
    for message_id in obsolete:
        delete_message(user_id, message_id)
    return ended
