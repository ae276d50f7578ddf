"""The chat page: Telegram as a person sees it, in a browser. This is the JSON that chat.js asks for.

Only what the page shows goes out; what comes in is done by the same Person that the tests use.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sandbox.chat_page import view
from sandbox.chat_page.samples import SAMPLES
from sandbox.http_server import Request, Response, Upload
from sandbox.telegram.chat import JSON, Chat, Message
from sandbox.telegram.person import Person
from sandbox.telegram.server import Telegram
from sandbox.tmdb.server import TMDb

HERE = Path(__file__).parent
PAGES = {
    "/": ("chat.html", "text/html"),
    "/words.js": ("words.js", "text/javascript"),
    "/message.js": ("message.js", "text/javascript"),
    "/chat.js": ("chat.js", "text/javascript"),
    "/chat.css": ("chat.css", "text/css"),
}
ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" '
    b'fill="#c2415b"/><path d="M12 9v14l11-7z" fill="#fff"/></svg>'
)
HEADERS: dict[str, Any] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
WAIT = 20  # seconds a question for news may stay open


class Wrong(Exception):
    """What the page asked for cannot be done; the text is for the person in front of it."""


class ChatPage:
    """The page's files and its API: /chat/api/state waits for news, the rest are things a person does."""

    def __init__(self, telegram: Telegram, tmdb: TMDb | None = None, empty: Callable[[], None] = lambda: None) -> None:
        self.telegram, self.tmdb, self.empty = telegram, tmdb, empty

    def handle(self, request: Request) -> Response:
        path = request.path
        if path == f"/{self.telegram.bot.username}":
            path = "/"  # the bot's address under t.me, for those who take us for t.me
        if path in PAGES and request.method in ("GET", "HEAD"):
            name, kind = PAGES[path]
            body = (HERE / name).read_bytes()
            return Response(200, body, {"Content-Type": f"{kind}; charset=utf-8", **HEADERS})
        if path in ("/favicon.svg", "/favicon.ico"):
            return Response(200, ICON, {"Content-Type": "image/svg+xml", **HEADERS})
        if path.startswith("/chat/api/file/") and request.method == "GET":
            return self.file(unquote(path.removeprefix("/chat/api/file/")))
        if path == "/chat/api/state" and request.method == "GET":
            return Response.json(self.state(request.query), **HEADERS)
        if path.startswith("/chat/api/") and request.method == "POST":
            return self.act(path.removeprefix("/chat/api/"), request)
        return Response(404, b"Not Found", {"Content-Type": "text/plain", **HEADERS})

    # -- what is seen -----------------------------------------------------------------------------

    def file(self, file_id: str) -> Response:
        file = self.telegram.files.get(file_id)
        if file is None:
            return Response(404, b"Not Found", {"Content-Type": "text/plain", **HEADERS})
        headers = {**HEADERS, "Cache-Control": "private, max-age=86400, immutable"}
        if file.photo:
            return Response(200, file.content, {"Content-Type": "image/jpeg", **headers})
        # whatever it is, it is saved, never opened as a page of ours
        headers["Content-Disposition"] = "attachment"
        return Response(200, file.content, {"Content-Type": "application/octet-stream", **headers})

    def state(self, query: dict[str, str]) -> JSON:
        """Everything the page shows, once it differs from version `since`."""
        telegram = self.telegram
        if query.get("since", "") == str(telegram.version) and query.get("wait") != "0":
            telegram.wait_for_change(telegram.version, WAIT)
        with telegram.changed:
            return view.state(telegram, self.tmdb, view.find_person(telegram, query.get("person")), query.get("chat"))

    # -- what is done -----------------------------------------------------------------------------

    def act(self, name: str, request: Request) -> Response:
        """One thing a person does. Only our own page may ask: the content type forbids plain forms."""
        headers = request.headers
        own = headers.get("origin", f"http://{headers.get('host')}") == f"http://{headers.get('host')}"
        if not own or not headers.get("content-type", "").startswith(("application/json", "multipart/form-data")):
            return Response.json({"error": "not from this page"}, 403, **HEADERS)
        action = getattr(self, f"do_{name.replace('-', '_')}", None)
        if action is None:
            return Response.json({"error": "unknown"}, 404, **HEADERS)
        try:
            data: JSON
            files: dict[str, Upload] = {}
            if headers["content-type"].startswith("multipart/"):
                data, files = request.fields()
            else:
                data = json.loads(request.body)
            person = view.find_person(self.telegram, str(data.get("person", "")))
            return Response.json(action(person, data, files) or {"ok": True}, **HEADERS)
        except (Wrong, ValueError, AssertionError, KeyError) as error:
            return Response.json({"error": str(error)}, 400, **HEADERS)

    def _message(self, person: Person, data: JSON) -> Message:
        chat = view.find_chat(self.telegram, person, str(data.get("chat", "")))
        message = chat.messages.get(int(data["message"])) if chat else None
        if message is None:
            raise Wrong("the message is gone")
        return message

    def _group(self, person: Person, data: JSON) -> Chat | None:
        """The group that the page shows; None: the chat with the bot."""
        chat = view.find_chat(self.telegram, person, str(data.get("chat", "")))
        return chat if chat and not chat.person else None

    def do_send(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        reply_to = self._message(person, {**data, "message": data["reply_to"]}) if data.get("reply_to") else None
        return {"id": person.send(data["text"], reply_to=reply_to, chat=self._group(person, data)).id}

    def do_attach(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        upload, chat = files["file"], self._group(person, data)
        caption = data.get("caption", "")
        return {"id": person.send_document(upload.filename, upload.content, upload.content_type, caption, chat).id}

    def do_sample(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        """Send one of the files that the page offers."""
        name = data["name"]
        return {"id": person.send_document(name, SAMPLES[name](), chat=self._group(person, data)).id}

    def do_vote(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        """Choose options of a poll, by their numbers; none: take the vote back."""
        person.vote(self._message(person, data), *[int(number) for number in data["options"]])
        return {}

    def do_press(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        """Press, and wait for the answer as the app does with its spinning button."""
        message = self._message(person, data)
        query = person.press(message, data=data["data"])
        self.telegram.wait_until(lambda: query.answer is not None or self.telegram.closed, 15)
        if query.answer is None:
            return {"answered": False}
        return {"answered": True, "text": query.answer.text, "alert": query.answer.show_alert}

    def do_inline(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        query = person.inline(data["query"], data.get("offset", ""))
        try:
            results = query.wait(15)
        except AssertionError:
            return {"query": query.id, "answered": False, "results": [], "next_offset": "", "button": None}
        self.telegram.inline_queries[query.id] = query
        shown = []
        for result in results:
            content = query.contents[result["id"]]
            shown.append(
                {
                    "id": result["id"],
                    "photo": content.photos[min(1, len(content.photos) - 1)].file_id if content.photos else None,
                    "title": result.get("title") or (content.text or content.caption or "").split("\n")[0],
                    "description": result.get("description", ""),
                }
            )
        return {
            "query": query.id,
            "answered": True,
            "results": shown,
            "next_offset": query.next_offset,
            "button": query.button,
        }

    def do_choose(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        query = self.telegram.inline_queries[data["query"]]
        return {"id": person.choose(query, data["result"], self._group(person, data)).id}

    def do_forward(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        return {"id": person.forward(self._message(person, data)).id}

    def do_language(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        if data["language"] not in ("ru", "en"):
            raise Wrong("no such language")
        person.language_code = data["language"]
        with self.telegram.changed:
            self.telegram.touch()
        return {}

    def do_empty(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        """Begin anew, as at the first start."""
        self.empty()
        return {}

    def do_block(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        (person.block if data.get("blocked") else person.unblock)()
        return {}

    def do_person(self, person: Person, data: JSON, files: dict[str, Upload]) -> JSON:
        name = str(data["name"]).strip()[:64]
        if not name:
            raise Wrong("a person needs a name")
        new = self.telegram.person(name, language_code=data.get("language", "ru"))
        with self.telegram.changed:
            self.telegram.touch()
        return new.as_json()
