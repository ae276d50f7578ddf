"""The chat page itself, against the fakes and without the bot: it looks and behaves as Telegram does."""

import io
import json

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from sandbox.server import GROUP, Sandbox
from sandbox.telegram.server import CHANNEL, TOKEN

ANNA, BORIS = 7_000_000_001, 7_000_000_002


@pytest.fixture
def demo(tmp_path):
    with Sandbox(demo=True) as sandbox:
        call(sandbox, "setMyDescription", description="Пришлите название фильма")
        yield sandbox


def call(sandbox, method, files=None, **parameters):
    answer = requests.post(f"{sandbox.url}/bot{TOKEN}/{method}", data=parameters, files=files, timeout=10).json()
    assert answer["ok"], answer
    return answer["result"]


def send_card(sandbox):
    """A card as the bot sends it: a poster, a caption, buttons of every kind."""
    picture = io.BytesIO()
    Image.new("RGB", (1000, 1500), "navy").save(picture, "JPEG")
    posted = call(sandbox, "sendPhoto", {"photo": picture.getvalue()}, chat_id=CHANNEL, caption="Дюна 438631")
    rows = [
        [{"text": "Похожие", "callback_data": "similar:438631"}],
        [{"text": "Трейлер", "url": "https://youtu.be/n9xhJrPXop4"}, {"text": "Другу", "switch_inline_query": "Дюна"}],
        [{"text": "Ссылка", "copy_text": {"text": "https://example.org"}}],
    ]
    return call(
        sandbox, "sendPhoto", chat_id=ANNA, photo=posted["photo"][-1]["file_id"], caption="<b>Дюна</b> (2021)",
        parse_mode="HTML", reply_markup=json.dumps({"inline_keyboard": rows}),
    )  # fmt: skip


def test_an_empty_chat_is_a_description_and_start_alone(page, demo):
    page.goto(demo.url)
    expect(page.locator("#description")).to_have_text("Пришлите название фильма")
    expect(page.locator("#start")).to_be_visible()
    for other in ("#form", "#examples", "#unblock"):
        expect(page.locator(other)).to_be_hidden()
    page.click("#start")
    expect(page.locator(".message.mine .body")).to_have_text("/start")
    expect(page.locator("#form")).to_be_visible()
    expect(page.locator(".day")).to_have_text("Сегодня")
    expect(page.locator(".ticks")).to_have_attribute("aria-label", "Отправлено")
    update = call(demo, "getUpdates")[-1]["update_id"]
    call(demo, "getUpdates", offset=update + 1)
    expect(page.locator(".ticks")).to_have_attribute("aria-label", "Прочитано")


def test_examples_and_files_are_sent_with_one_click(page, demo):
    demo.telegram.people[ANNA].send("/start")
    page.goto(demo.url)
    page.locator("#examples button", has_text="матрца").click()
    expect(page.locator(".message.mine").last).to_contain_text("матрца")
    page.locator('[data-sample="kinopoisk-votes.xls"]').click()
    expect(page.locator(".message.mine .document").last).to_contain_text("kinopoisk-votes.xls")


def test_a_message_has_a_menu_for_mouse_and_keyboard(page, demo):
    demo.telegram.people[ANNA].send("/start")
    send_card(demo)
    page.goto(demo.url)
    card = page.locator(".message.with-photo")
    card.locator(".body").click(button="right")
    expect(page.locator("#message-menu [role=menuitem]")).to_have_text(["Ответить", "Переслать", "Копировать текст"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(page.locator("#message-menu")).to_be_hidden()
    card.locator(".more").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the first: reply
    expect(page.locator("#replying")).to_be_visible()
    expect(page.locator("#composer")).to_be_focused()
    page.keyboard.type("9")
    page.keyboard.press("Enter")
    expect(page.locator(".message.mine .quote")).to_contain_text("Дюна")
    assert demo.telegram.people[ANNA].chat[-1].reply_to.words == "Дюна (2021)"


def test_a_photo_opens_above_the_page_and_buttons_show_their_kind(page, demo):
    demo.telegram.people[ANNA].send("/start")
    send_card(demo)
    page.goto(demo.url)
    page.locator(".photo").click()
    expect(page.locator("#viewer img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    assert page.locator(".buttons .corner").count() == 3
    page.locator(".buttons button", has_text="Другу").click()
    expect(page.locator("#composer")).to_have_value("@kinoteka_sandbox_bot Дюна")


def test_only_a_changed_text_is_called_edited(page, demo):
    demo.telegram.people[ANNA].send("/start")
    sent = call(demo, "sendMessage", chat_id=ANNA, text="Загружаю…")
    page.goto(demo.url)
    place = {"chat_id": ANNA, "message_id": sent["message_id"]}
    keyboard = json.dumps({"inline_keyboard": [[{"text": "Ещё", "callback_data": "more"}]]})
    call(demo, "editMessageReplyMarkup", reply_markup=keyboard, **place)
    expect(page.locator(".buttons button")).to_have_text("Ещё")
    expect(page.locator(".edited")).to_have_count(0)
    call(demo, "editMessageText", text="Готово!", **place)
    expect(page.locator(".edited")).to_have_text("изменено")


def test_a_group_votes_in_a_poll(page, demo):
    page.goto(demo.url)
    page.select_option("#people", f"{BORIS}:{GROUP}")
    expect(page.locator("#bot-name")).to_have_text("Киноклуб")
    page.fill("#composer", "/evening")
    page.click("#send")
    expect(page.locator(".message.mine").last).to_contain_text("/evening")
    options = json.dumps([{"text": "Дюна"}, {"text": "Барби"}])
    call(demo, "sendPoll", chat_id=GROUP, question="Что смотрим?", options=options, is_anonymous=False)
    page.locator(".choice", has_text="Барби").click()
    expect(page.locator(".result-of.chosen")).to_contain_text("100%")
    page.select_option("#people", f"{ANNA}:{GROUP}")
    expect(page.locator(".message .name").first).to_have_text("Борис")
    page.locator(".choice", has_text="Дюна").click()
    expect(page.locator(".poll .total")).to_have_text("2 голоса")
    page.locator(".message:not(.mine) .more").last.click()
    page.locator("#message-menu button", has_text="Отозвать голос").click()
    expect(page.locator(".choice")).to_have_count(2)


def test_what_is_ticked_stays_while_others_vote(page, demo):
    page.goto(demo.url)
    page.select_option("#people", f"{BORIS}:{GROUP}")
    options = json.dumps([{"text": "Дюна"}, {"text": "Барби"}, {"text": "Мы"}])
    poll = {"question": "Что смотрим?", "options": options, "allows_multiple_answers": True, "is_anonymous": False}
    sent = call(demo, "sendPoll", chat_id=GROUP, **poll)
    page.get_by_label("Барби").check()
    message = demo.telegram.chats[GROUP].messages[sent["message_id"]]
    demo.telegram.people[ANNA].vote(message, "Мы")
    expect(page.locator(".poll .total")).to_have_text("1 голос")
    expect(page.get_by_label("Барби")).to_be_checked()
    page.get_by_label("Мы").check()
    page.click(".vote")
    expect(page.locator(".result-of.chosen")).to_have_count(2)
    assert message.poll.votes[BORIS] == [1, 2]


def test_a_button_begins_anew_after_a_question(page, demo):
    demo.telegram.people[ANNA].send("/start")
    page.goto(demo.url)
    page.click("#empty-all")
    page.locator("#empty button", has_text="Отмена").click()
    expect(page.locator(".message.mine")).to_have_count(1)
    page.click("#empty-all")
    page.locator("#empty button", has_text="Стереть").click()
    expect(page.locator("#start")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_a_chat_with_everything_in_it(chromium, demo, theme, width):
    demo.telegram.people[ANNA].send("/start")
    demo.telegram.people[ANNA].send_document("мои фильмы.csv", b"x")
    send_card(demo)
    options = json.dumps([{"text": "Дюна"}, {"text": "Барби"}])
    call(demo, "sendPoll", chat_id=ANNA, question="Что смотрим?", options=options)
    call(demo, "sendMessage", chat_id=ANNA, text="<code>603</code> /help <tg-spoiler>x</tg-spoiler>", parse_mode="HTML")
    # axe brings styles of its own, which our policy forbids
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, locale="ru-RU", color_scheme=theme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(demo.url)
    expect(page.locator(".poll")).to_be_visible()
    page.locator(".more").last.click()
    for state in ("menu", "chat", "channel"):
        if state == "chat":
            page.keyboard.press("Escape")
        if state == "channel":
            page.click("#channel-tab")
        found = Axe().run(page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found] == [], state
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
