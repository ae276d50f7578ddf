"""The pictures of the documents, made anew from the sandbox: `make pictures`.

Starts everything on free ports with a database of its own, plays a chat in the system's Chromium, and writes
chat.webp (animated), chat.png and admin.png, in Russian, and the same in English with the suffix -en.
"""

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTH, HEIGHT = 420, 760  # of the animated picture, in pixels
MAX_BYTES = 2_000_000
SLOW_MS, PAUSE_MS = 900, 2_200  # how long a frame of typing, and one to be read, is shown
WORDS = {
    "ru": {"done": "Готово", "asked": "матрца", "found": "Матрица", "rated": "10", "person": "7000000001"},
    "en": {"done": "Done", "asked": "matrx", "found": "The Matrix", "rated": "9", "person": "7000000003"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def everything() -> Iterator[tuple[str, str, str]]:
    """The addresses of the chat page and of the admin, and its password, while everything runs."""
    with tempfile.TemporaryDirectory(prefix="kinoteka-pictures-") as folder:
        variables = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "pictures",
            "DATABASE_URL": f"sqlite:///{folder}/kinoteka.sqlite3",
            "SANDBOX_PORT": str(free_port()),
            "SANDBOX_DIR": f"{folder}/sandbox",
            "POSTER_DIR": f"{folder}/posters",
            "THUMBNAIL_DIR": f"{folder}/thumbnails",
        }
        command = [sys.executable, "manage.py", "runall", "--port", str(free_port())]
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)  # noqa: S603
        try:
            box = ""
            assert process.stdout
            for line in process.stdout:
                box += line
                if "Ctrl-C" in line:
                    break
            chat = re.search(r"Chat\s+(\S+)", box)
            admin = re.search(r"Admin\s+(\S+)\s+admin / (\S+)", box)
            assert chat, box
            assert admin, box
            yield chat[1], admin[1], admin[2]
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


class Film:
    """The frames of an animated picture."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[Image.Image] = []
        self.durations: list[int] = []

    def take(self, milliseconds: int = PAUSE_MS) -> None:
        self.frames.append(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        self.durations.append(milliseconds)

    def save(self, path: Path) -> None:
        """As small as needed: the quality goes down until the file is small enough."""
        for quality in (80, 65, 50, 35):
            self.frames[0].save(
                path,
                save_all=True,
                append_images=self.frames[1:],
                duration=self.durations,
                loop=0,
                quality=quality,
                method=4,
            )
            if path.stat().st_size < MAX_BYTES:
                return
        raise SystemExit(f"{path.name} is larger than {MAX_BYTES} bytes.")


def say(page: Page, film: Film, text: str) -> None:
    """Type as a person does, and send."""
    for end in range(0, len(text) + 1, max(1, len(text) // 2)):
        page.fill("#composer", text[:end] or text[:1])
        film.take(SLOW_MS // 2)
    page.fill("#composer", text)
    page.click("#send")


def answer(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.locator(".message:not(.mine)").filter(has_text=words).last).to_be_visible(timeout=60_000)
    page.wait_for_timeout(600)
    page.wait_for_function("[...document.images].every(image => image.complete)")


def press(page: Page, words: str | re.Pattern[str]) -> None:
    page.locator(".buttons button").filter(has_text=words).last.click()


def play(page: Page, language: str) -> Film:
    """START, link, import, a mistyped title, a card, a rating, a recommendation."""
    words, film = WORDS[language], Film(page)
    expect(page.locator("#start")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(1_000)
    film.take()
    page.click("#start")
    answer(page, re.compile("TMDB"))
    film.take()
    say(page, film, "/connect")
    expect(page.locator(".message .buttons a").last).to_be_visible(timeout=30_000)
    with page.expect_popup() as popup:
        page.locator(".message .buttons a").last.click()
    popup.value.locator("button").first.click()
    popup.value.wait_for_load_state()
    popup.value.close()
    press(page, words["done"])
    answer(page, re.compile("60"))
    film.take()
    say(page, film, words["asked"])
    answer(page, words["found"])
    film.take()
    if not page.locator(".message:not(.mine)").last.locator("img").count():
        press(page, re.compile("1999"))
        page.locator(".message:not(.mine)").last.locator("img").wait_for(timeout=30_000)
        page.wait_for_timeout(600)
        film.take()
    page.locator('[data-callback^="rate:603:"]').filter(has_text=words["rated"]).last.click()
    page.wait_for_timeout(1_500)
    film.take()
    say(page, film, "/recommend")
    page.wait_for_timeout(6_000)
    film.take(2 * PAUSE_MS)
    return film


def make_chat(browser: Browser, address: str, language: str, suffix: str) -> None:
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale=language, color_scheme="light")
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('person', '{WORDS[language]['person']}')")
    page.goto(address)
    expect(page.locator("#people option")).not_to_have_count(0)
    try:
        film = play(page, language)
    except Exception:
        page.screenshot(path=Path(tempfile.gettempdir()) / f"kinoteka-failed{suffix}.png")
        raise
    film.save(HERE / f"chat{suffix}.webp")
    context.close()
    wide = browser.new_context(viewport={"width": 1180, "height": 820}, locale=language, color_scheme="light")
    page = wide.new_page()
    page.add_init_script(f"localStorage.setItem('person', '{WORDS[language]['person']}')")
    page.goto(address)
    page.wait_for_timeout(1_500)
    page.screenshot(path=HERE / f"chat{suffix}.png")
    wide.close()


def make_admin(browser: Browser, address: str, password: str, language: str, suffix: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale=language, color_scheme="light")
    page = context.new_page()
    page.goto(address)
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("[type=submit]")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=HERE / f"admin{suffix}.png")
    context.close()


def main() -> None:
    if not CHROMIUM:
        raise SystemExit("The pictures need Chromium: apt-get install chromium")
    with everything() as (chat, admin, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless=new", "--no-sandbox"])
        for language, suffix in (("ru", ""), ("en", "-en")):
            make_chat(browser, chat, language, suffix)
            time.sleep(1)
        for language, suffix in (("ru", ""), ("en", "-en")):
            make_admin(browser, admin, password, language, suffix)
        browser.close()
    for path in sorted([*HERE.glob("*.png"), *HERE.glob("*.webp")]):
        print(f"{path.name}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
