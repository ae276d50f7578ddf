"""Bot API: getting updates, by polling or by webhook."""

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox.telegram.account import Account
from sandbox.telegram.errors import ApiError, bad
from sandbox.telegram.methods.registry import Params, method, slow_method
from sandbox.telegram.webhook import Webhook

if TYPE_CHECKING:
    from sandbox.telegram.server import Telegram


FUTURE_IDS = 10  # how far beyond the next id an offset is still believed (TQueue::get in tdlib)


@slow_method
def getUpdates(telegram: "Telegram", account: Account, params: Params) -> object:
    """An update is forgotten when a later offset is asked for, and only then.

    An offset from the future, of another server or from before the ids began again, counts as none at all.
    """
    with telegram.changed:
        if account.webhook:
            raise ApiError(
                409,
                "Conflict: can't use getUpdates method while webhook is active; "
                "use deleteWebhook to delete the webhook first",
            )
        account.poll += 1
        mine = account.poll
        telegram.changed.notify_all()  # an earlier poll ends with a conflict
        if "allowed_updates" in params:
            account.allowed = set(params["allowed_updates"])
        offset = params.get("offset", 0)
        waiting = telegram.waiting_updates(account)
        if offset < 0:
            account.updates = waiting[offset:]
        elif offset <= account.next_update_id + FUTURE_IDS:
            account.updates = [entry for entry in waiting if entry[0] >= offset]
            if len(account.updates) < len(waiting):
                telegram.touch()  # their messages have been taken, which the chat page shows
        limit = params.get("limit", 100)
        limit = limit if 1 <= limit <= 100 else 100
        end = time.monotonic() + min(max(params.get("timeout", 0), 0), 50)
        account.polling += 1
        try:
            while True:
                if account.poll != mine:
                    raise ApiError(
                        409,
                        "Conflict: terminated by other getUpdates request; "
                        "make sure that only one bot instance is running",
                    )
                if account.webhook:
                    raise ApiError(409, "Conflict: terminated by setWebhook request")
                batch = [update for _, _, update in telegram.waiting_updates(account)[:limit]]
                left = end - time.monotonic()
                if batch or left <= 0 or telegram.closed:
                    return batch
                telegram.changed.wait(left)
        finally:
            account.polling -= 1
            account.polled_at = time.time()


@method
def setWebhook(telegram: "Telegram", account: Account, params: Params) -> object:
    url = params["url"]
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost")  # the real one wants HTTPS and a public address
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise bad("bad webhook: An HTTPS URL must be provided for webhook")
    secret = params.get("secret_token", "")
    if len(secret) > 256 or not re.fullmatch(r"[A-Za-z0-9_-]*", secret):
        raise bad("secret token contains unallowed characters")
    if not 1 <= params.get("max_connections", 40) <= 100:
        raise bad("max_connections must be from 1 to 100")
    if params.get("drop_pending_updates"):
        account.updates = []
    if "allowed_updates" in params:
        account.allowed = set(params["allowed_updates"])
    if account.webhook:
        account.webhook.stop()
    account.webhook = Webhook(telegram, account, url, secret, params.get("max_connections", 40))
    telegram.touch()
    return True


@method
def deleteWebhook(telegram: "Telegram", account: Account, params: Params) -> object:
    if params.get("drop_pending_updates"):
        account.updates = []
    if account.webhook:
        account.webhook.stop()
        account.webhook = None
    telegram.touch()
    return True


@method
def getWebhookInfo(telegram: "Telegram", account: Account, params: Params) -> object:
    hook = account.webhook
    info = {
        "url": hook.url if hook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(telegram.waiting_updates(account)),
    }
    if hook:
        info |= {"max_connections": hook.max_connections, "ip_address": "127.0.0.1"}
        if hook.last_error_date:
            info |= {"last_error_date": hook.last_error_date, "last_error_message": hook.last_error_message}
    if account.allowed:
        info["allowed_updates"] = sorted(account.allowed)
    return info
