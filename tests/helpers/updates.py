"""Updates as Telegram sends them, and calls made at the same time."""

import threading
from collections.abc import Callable
from typing import Any


def message(update_id: int, text: str, chat: int = 501) -> dict[str, Any]:
    """An update with a message in a private chat."""
    person = {"id": chat, "is_bot": False, "first_name": "Анна", "language_code": "ru"}
    place = {"id": chat, "type": "private", "first_name": "Анна"}
    written: dict[str, Any] = {
        "message_id": update_id,
        "date": 1_700_000_000,
        "chat": place,
        "from": person,
        "text": text,
    }
    if text.startswith("/"):
        written["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
    return {"update_id": update_id, "message": written}


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make the calls concurrently; their results in order."""
    results: list[Any] = [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        results[number] = call()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
