"""A Bot API for measurements alone: it hands out updates, takes any call after a set time, and keeps the moments.

    python -m tests.bench.bot_api PORT SECONDS_AN_ANSWER

Standard library and one thread: it costs a tenth of what it measures. `POST /begin` {"chats": 8, "updates": 2000,
"text": "/movie 603", "webhook": ["http://…"], "secret": "…"} lets so many chats write, each again as soon as it has
its answer; with "flood": 500 one more, whose answers are not counted, writes so often a second without waiting for
any. `GET /result` tells the milliseconds from each update to its answer, and the seconds it took.
"""

import asyncio
import contextlib
import json
import sys
import time
from urllib.parse import parse_qsl

FLOODER = 666_666  # a chat
SIDE_BY_SIDE = 40  # deliveries to a webhook (Bot API: setWebhook, max_connections)
USER = {"id": 1000000001, "is_bot": True, "first_name": "Кинотека", "username": "kinoteka_bench_bot"}


class BotAPI:
    def __init__(self, delay):
        self.delay, self.next_id = delay, int(time.time() * 1000)
        self.arrived, self.tasks, self.pools = asyncio.Event(), set(), {}
        self.connections = asyncio.Semaphore(SIDE_BY_SIDE)
        self.clear({"chats": 0, "updates": 0})

    def clear(self, plan):
        self.plan, self.left = plan, plan["updates"]
        self.waiting, self.sent, self.taken, self.ended = {}, {}, [], None
        self.began = time.perf_counter()
        self.hooks = plan.get("webhook") or []

    def write(self, chat):
        """A person of this chat writes, if any updates are left."""
        if not self.left:
            return
        self.left -= 1
        self.sent[chat] = time.perf_counter()
        self.send(chat)

    async def flood(self, per_second):
        """Write as often as that until the others have their answers."""
        began, written, plan = time.perf_counter(), 0, self.plan
        while plan is self.plan and self.ended is None:
            while written < (time.perf_counter() - began) * per_second:
                written += 1
                self.send(FLOODER)
            await asyncio.sleep(0.005)

    def send(self, chat):
        self.next_id += 1
        person = {"id": chat, "is_bot": False, "first_name": "Анна", "language_code": "ru"}
        place = {"id": chat, "type": "private", "first_name": "Анна"}
        text = self.plan["text"]
        message = {"message_id": self.next_id, "date": 1700000000, "chat": place, "from": person, "text": text}
        message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text.split()[0])}]
        update = {"update_id": self.next_id, "message": message}
        if self.hooks:
            hook = self.hooks[(chat if chat != FLOODER else self.next_id) % len(self.hooks)]
            self.keep(asyncio.ensure_future(self.deliver(hook, chat, update)))
        else:
            self.waiting[self.next_id] = update
            self.arrived.set()

    def keep(self, task):
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def deliver(self, hook, chat, update):
        async with self.connections:
            await self.post(hook, update)

    async def post(self, hook, update):
        pool = self.pools.setdefault(hook, [])
        host, _slash, path = hook.removeprefix("http://").partition("/")
        reader, writer = pool.pop() if pool else await asyncio.open_connection(*host.split(":"))
        body = json.dumps(update).encode()
        head = (
            f"POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"X-Telegram-Bot-Api-Secret-Token: {self.plan['secret']}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer, _headers = await read_http(reader)
        pool.append((reader, writer))
        return answer

    def answered(self, chat):
        now = time.perf_counter()
        if chat in self.sent:
            self.taken.append((now - self.sent.pop(chat)) * 1000)
            if len(self.taken) == self.plan["updates"]:
                self.ended = now
            self.write(chat)

    async def answer(self, path, body):
        if path == "/begin":
            self.clear(json.loads(body))
            for chat in range(1, self.plan["chats"] + 1):
                self.write(chat)
            if self.plan.get("flood"):
                self.keep(asyncio.ensure_future(self.flood(self.plan["flood"])))
            return {"ok": True}
        if path == "/result":
            return {"done": bool(self.ended), "ms": self.taken, "seconds": (self.ended or 0) - self.began}
        method, values = path.rsplit("/", 1)[-1], dict(parse_qsl(body.decode()))
        if method == "getUpdates":
            return {"ok": True, "result": await self.updates(values)}
        await asyncio.sleep(self.delay)
        if method == "getMe":
            return {"ok": True, "result": USER}
        if method in ("sendPhoto", "sendMessage"):
            chat = int(values["chat_id"])
            self.answered(chat)
            place = {"id": chat, "type": "private", "first_name": "Анна"}
            sizes = [{"file_id": "f", "file_unique_id": "u", "width": 500, "height": 750}]
            return {"ok": True, "result": {"message_id": 1, "date": 1, "chat": place, "from": USER, "photo": sizes}}
        return {"ok": True, "result": True}

    async def updates(self, values):
        offset = int(values.get("offset", 0))
        for done in [update_id for update_id in self.waiting if update_id < offset]:
            del self.waiting[done]
        if not self.waiting:
            self.arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.arrived.wait(), int(values.get("timeout", 0)) or 0.01)
        return list(self.waiting.values())[: int(values.get("limit", 100))]

    async def serve(self, reader, writer):
        try:
            while True:
                body, head = await read_http(reader)
                method, target, _version = head.split("\r\n", 1)[0].split(" ")
                path, _mark, query = target.partition("?")
                content = json.dumps(await self.answer(path, body or query.encode())).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(content), content)
                )
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()


async def read_http(reader):
    """(body, head) of a request or an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next((int(x.split(":")[1]) for x in head.split("\r\n") if x.lower().startswith("content-length:")), 0)
    return (await reader.readexactly(length) if length else b""), head


async def main(port, delay):
    api = BotAPI(delay)
    async with await asyncio.start_server(api.serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
