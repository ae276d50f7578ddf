"""The chat page: Telegram as a person sees it, in a browser. This is the JSON that chat.js asks for.

Only what the page shows goes out; what comes in is done by the same Person that the tests use.
"""

import json
import time
from pathlib import Path
from urllib.parse import unquote

from sandbox.http_server import Response

HERE = Path(__file__).parent
PAGES = {
    "/": ("chat.html", "text/html"),
    "/chat.js": ("chat.js", "text/javascript"),
    "/chat.css": ("chat.css", "text/css"),
}
ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" '
    b'fill="#c2415b"/><path d="M12 9v14l11-7z" fill="#fff"/></svg>'
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LATEST = 200  # messages of a chat that are shown
WAIT = 20  # seconds a question for news may stay open


class Wrong(Exception):
    """What the page asked for cannot be done; the text is for whoever is in front of it."""


class ChatPage:
    """The page's files and its API: /chat/api/state waits for news, the rest are things a person does."""

    def __init__(self, telegram, tmdb=None):
        self.telegram, self.tmdb = telegram, tmdb

    def handle(self, request):
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

    def file(self, file_id):
        file = self.telegram.files.get(file_id)
        if file is None:
            return Response(404, b"Not Found", {"Content-Type": "text/plain", **HEADERS})
        headers = {**HEADERS, "Cache-Control": "private, max-age=86400, immutable"}
        if file.photo:
            return Response(200, file.content, {"Content-Type": "image/jpeg", **headers})
        # whatever it is, it is saved, never opened as a page of ours
        headers["Content-Disposition"] = "attachment"
        return Response(200, file.content, {"Content-Type": "application/octet-stream", **headers})

    def state(self, query):
        """Everything the page shows, once it differs from version `since`."""
        telegram = self.telegram
        since, wait = query.get("since", ""), query.get("wait") != "0"
        if since == str(telegram.version) and wait:
            telegram.wait_for_change(telegram.version, WAIT)
        with telegram.changed:
            person = self.person(query.get("person"))
            chat = person.private_chat() if person else None
            messages = list(chat.messages.values())[-LATEST:] if chat else []
            doing, until = chat.action if chat else ("", 0)
            posters = list(telegram.poster_channel.messages.values())[-LATEST:]
            calls = [call for call in telegram.calls[-300:] if call.method != "getUpdates"][-60:]
            return {
                "version": telegram.version,
                "bot": telegram.bot.as_json(),
                "polled": self.is_polled(),
                "people": [p.as_json() for p in telegram.people.values()],
                "person": person.as_json() if person else None,
                "started": bool(messages),
                "blocked": bool(chat and chat.blocked),
                "action": doing if until > time.time() else "",
                "action_left": max(0, until - time.time()),
                "commands": self.commands(person) if person else [],
                "description": self.description(person) if person else "",
                "messages": [self.message(m) for m in messages],
                "channel": [self.message(m) for m in reversed(posters)],
                "channel_title": telegram.poster_channel.title,
                "calls": [self.call(c) for c in reversed(calls)],
                "tmdb_requests": len(self.tmdb.requests) if self.tmdb else 0,
                "calls_total": sum(1 for call in telegram.calls if call.method != "getUpdates"),
            }

    def is_polled(self):
        """Is a bot listening?"""
        account = self.telegram.account_of(self.telegram.bot)
        return bool(account.webhook) or account.polled_at > time.time() - 5 or account.polling > 0

    def person(self, number):
        people = self.telegram.people
        if number and number.isdigit() and int(number) in people:
            return people[int(number)]
        return next(iter(people.values()), None)

    def commands(self, person):
        """Bot API, "Determining list of commands": the narrowest scope, the person's language first."""
        commands = self.telegram.account_of(self.telegram.bot).commands
        scopes = ({"type": "chat", "chat_id": person.id}, {"type": "all_private_chats"}, {"type": "default"})
        for scope in scopes:
            for language in (person.language_code or "", ""):
                found = commands.get((json.dumps(scope, sort_keys=True), language))
                if found:
                    return found
        return []

    def description(self, person):
        texts = self.telegram.account_of(self.telegram.bot).texts
        return texts.get(("description", person.language_code), texts.get(("description", ""), ""))

    def message(self, message):
        content = message.content
        out = {
            "id": message.id,
            "version": message.version,
            "mine": not message.from_bot,
            "date": message.date,
            "edited": bool(message.edits),
            "text": content.text if content.text is not None else content.caption or "",
            "entities": list(content.entities),
            "rows": [[self.button(b) for b in row] for row in content.buttons],
            "above": content.above,
        }
        if content.photos:
            best = content.photo
            out["photo"] = {"file_id": best.file_id, "width": best.width, "height": best.height}
        if content.document:
            document = content.document
            out["document"] = {
                "file_id": document.file_id,
                "name": document.file_name,
                "size": document.file_size,
            }
        if message.reply_to:
            out["reply_to"] = {"id": message.reply_to.id, "text": message.reply_to.words[:100]}
        if message.via_bot:
            out["via"] = message.via_bot.username
        if message.origin:
            origin = message.origin.get("sender_user") or message.origin.get("chat") or {}
            out["origin"] = origin.get("first_name") or origin.get("title") or ""
        return out

    @staticmethod
    def button(button):
        out = {"text": button.text}
        if button.data is not None:
            out["data"] = button.data
        elif button.url:
            out["url"] = button.url
        elif button.switch_inline is not None:
            out["inline"] = button.switch_inline
        elif "copy_text" in button.raw:
            out["copy"] = button.raw["copy_text"].get("text", "")
        return out

    @staticmethod
    def call(call):
        how = ""
        if call.method == "sendPhoto":
            how = "upload" if call.files else "file_id"
        return {
            "method": call.method,
            "how": how,
            "ms": round(call.seconds * 1000),
            "status": call.status,
            "description": call.description,
            "at": call.at,
        }

    # -- what is done -----------------------------------------------------------------------------

    def act(self, name, request):
        """One thing a person does. Only our own page may ask: the content type forbids plain forms."""
        headers = request.headers
        own = headers.get("origin", f"http://{headers.get('host')}") == f"http://{headers.get('host')}"
        if not own or not headers.get("content-type", "").startswith(("application/json", "multipart/form-data")):
            return Response.json({"error": "not from this page"}, 403, **HEADERS)
        action = getattr(self, f"do_{name.replace('-', '_')}", None)
        if action is None:
            return Response.json({"error": "unknown"}, 404, **HEADERS)
        try:
            if headers["content-type"].startswith("multipart/"):
                data, files = request.fields()
            else:
                data, files = json.loads(request.body), {}
            person = self.person(str(data.get("person", "")))
            return Response.json(action(person, data, files) or {"ok": True}, **HEADERS)
        except (Wrong, ValueError, AssertionError, KeyError) as error:
            return Response.json({"error": str(error)}, 400, **HEADERS)

    def _message(self, person, number):
        chat = person.private_chat()
        message = chat.messages.get(int(number)) if chat else None
        if message is None:
            raise Wrong("the message is gone")
        return message

    def do_send(self, person, data, files):
        reply_to = self._message(person, data["reply_to"]) if data.get("reply_to") else None
        return {"id": person.send(data["text"], reply_to=reply_to).id}

    def do_attach(self, person, data, files):
        upload = files["file"]
        caption = data.get("caption", "")
        return {"id": person.send_document(upload.filename, upload.content, upload.content_type, caption).id}

    def do_press(self, person, data, files):
        """Press, and wait for the answer as the app does with its spinning button."""
        message = self._message(person, data["message"])
        query = person.press(message, data=data["data"])
        self.telegram.wait_until(lambda: query.answer is not None or self.telegram.closed, 15)
        if query.answer is None:
            return {"answered": False}
        return {"answered": True, "text": query.answer.text, "alert": query.answer.show_alert}

    def do_inline(self, person, data, files):
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

    def do_choose(self, person, data, files):
        query = self.telegram.inline_queries[data["query"]]
        return {"id": person.choose(query, data["result"]).id}

    def do_forward(self, person, data, files):
        return {"id": person.forward(self._message(person, data["message"])).id}

    def do_language(self, person, data, files):
        if data["language"] not in ("ru", "en"):
            raise Wrong("no such language")
        person.language_code = data["language"]
        with self.telegram.changed:
            self.telegram.touch()

    def do_block(self, person, data, files):
        (person.block if data.get("blocked") else person.unblock)()

    def do_person(self, person, data, files):
        name = str(data["name"]).strip()[:64]
        if not name:
            raise Wrong("a person needs a name")
        new = self.telegram.person(name, language_code=data.get("language", "ru"))
        with self.telegram.changed:
            self.telegram.touch()
        return new.as_json()
