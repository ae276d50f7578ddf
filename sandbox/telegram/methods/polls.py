"""Bot API: native polls. Quizzes and options that people add are not carried out."""

import secrets
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.telegram.account import Account
from sandbox.telegram.chat import JSON, Content, Poll, PollOption
from sandbox.telegram.errors import bad
from sandbox.telegram.methods.parameters import keyboard
from sandbox.telegram.methods.registry import Params, method, slow_method
from sandbox.telegram.methods.targets import find_chat, find_message, media_of, post, start_message
from sandbox.telegram.text import utf16

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram

MAX_OPTIONS, MAX_QUESTION, MAX_OPTION, MAX_DESCRIPTION = 12, 300, 100, 1024
MIN_SECONDS, MAX_SECONDS = 5, 2_628_000  # a poll may be open


@slow_method
def sendPoll(telegram: "Telegram", account: Account, params: Params) -> object:
    """Whoever uploads a picture within an option waits for its sizes, so the lock is taken late."""
    markup = keyboard(params.get("reply_markup"))
    with telegram.changed:
        find_chat(telegram, account, params["chat_id"])
    poll = _poll(telegram, account, params)
    with telegram.changed:
        chat = start_message(telegram, account, params)
        message = post(telegram, account, chat, Content(poll=poll, markup=markup), params)
        telegram.polls[poll.id] = message
        if poll.close_date:
            seconds = poll.close_date - telegram.clock()
            timer = threading.Timer(max(0, seconds), telegram.close_poll, [poll])
            timer.daemon = True
            timer.start()
        return message.as_json()


def _poll(telegram: "Telegram", account: Account, params: Params) -> Poll:
    question = params["question"].strip()
    if not question:
        raise bad("poll question must be non-empty")
    if utf16(question) > MAX_QUESTION:
        raise bad(f"poll question length must not exceed {MAX_QUESTION}")
    if utf16(params.get("description", "")) > MAX_DESCRIPTION:
        raise bad("poll description is too long")
    if params.get("type", "regular") != "regular":
        raise bad("the sandbox knows no quizzes")
    if not 1 <= len(params["options"]) <= MAX_OPTIONS:
        raise bad(f"poll must have from 1 to {MAX_OPTIONS} options")
    poll = Poll(
        id=str(secrets.randbits(62)),
        question=question,
        options=tuple(_option(telegram, account, params, item) for item in params["options"]),
        bot=account.bot,
        is_anonymous=params.get("is_anonymous", True),
        allows_multiple_answers=params.get("allows_multiple_answers", False),
        allows_revoting=params.get("allows_revoting", True),
        description=params.get("description", ""),
        is_closed=params.get("is_closed", False),
    )
    now = int(telegram.clock())
    if {"open_period", "close_date"} <= params.keys():
        raise bad("can't use open_period and close_date at the same time")
    if "open_period" in params:
        poll.open_period, poll.close_date = params["open_period"], now + params["open_period"]
    elif "close_date" in params:
        poll.close_date = params["close_date"]
        poll.open_period = poll.close_date - now
    if poll.open_period is not None and not MIN_SECONDS <= poll.open_period <= MAX_SECONDS:
        raise bad("poll can be closed only in 5 to 2628000 seconds from now")
    return poll


def _option(telegram: "Telegram", account: Account, params: Params, item: JSON) -> PollOption:
    text = item.get("text")
    if not isinstance(text, str) or not text.strip():
        raise bad("poll options must be non-empty")
    if utf16(text.strip()) > MAX_OPTION:
        raise bad(f"poll options length must not exceed {MAX_OPTION}")
    media = item.get("media")
    if media is not None and (not isinstance(media, dict) or media.get("type") != "photo"):
        raise bad("the sandbox knows no media but photos in a poll option")
    photos = media_of(telegram, account, params, media).photos if media else ()
    return PollOption(secrets.token_urlsafe(6), text.strip(), photos)


@method
def stopPoll(telegram: "Telegram", account: Account, params: Params) -> object:
    markup = keyboard(params.get("reply_markup"))
    _, message = find_message(telegram, account, params, "message with poll to stop not found")
    if message.poll is None:
        raise bad("message is not a poll")
    if message.bot != account.bot:
        raise bad("poll can't be stopped")
    if message.poll.is_closed:
        raise bad("poll has already been closed")
    message.content = replace(message.content, markup=markup)
    telegram.close_poll(message.poll)
    return message.poll.as_json()
