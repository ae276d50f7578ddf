"""A bot's account, and the calls of the API that are made with its token."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.http_server import Upload
from sandbox.telegram.chat import JSON, Bot

if TYPE_CHECKING:
    from sandbox.telegram.webhook import Webhook

Facts = dict[str, dict[str, Any]]  # of a method's parameters, by name: {"required": bool, "types": [str]}
API: dict[str, Facts] = json.loads(Path(__file__).with_name("bot_api.json").read_text())["methods"]
NAMES: dict[str, str] = {name.lower(): name for name in API}  # method names come in any case


@dataclass
class Call:
    """One call of the API as it came: text parameters as sent, files as uploads."""

    method: str
    params: dict[str, str] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    token_ok: bool = True
    in_query: bool = False
    status: int = 0  # 0 while it is under way
    description: str = ""
    seconds: float = 0


@dataclass
class Account:
    """What Telegram keeps about one bot."""

    bot: Bot
    token: str
    next_update_id: int
    updates: list[tuple[int, float, JSON]] = field(default_factory=list)  # (update_id, time, Update)
    allowed: set[str] | None = None
    poll: int = 0  # the number of the latest getUpdates
    polling: int = 0  # how many are waiting
    polled_at: float = 0  # when the latest ended
    webhook: "Webhook | None" = None
    commands: dict[tuple[str, str], list[JSON]] = field(default_factory=dict)  # by (scope, language)
    texts: dict[tuple[str, str], str] = field(default_factory=dict)  # by (what, language)
