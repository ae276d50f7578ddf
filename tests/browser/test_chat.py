"""The whole story of a person on the chat page, with the real bot and worker behind it."""

import re

import pytest
from playwright.sync_api import expect

from ratings.models import Rating
from tests.conftest import wait_until
from users.models import SyncStatus, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chat(page, sandbox, start):
    """The chat page of a person who has just pressed START."""
    start("runbot").wait_for_line("polling")
    start("qcluster")
    sandbox.telegram.person("Анна", id=7_000_000_001)
    page.goto(sandbox.url + "/")
    page.click("#start")
    expect(page.locator(".message:not(.mine)").last).to_contain_text("TMDB API", timeout=20_000)
    return page


def say(page, text):
    page.fill("#composer", text)
    page.click("#send")
    expect(page.locator(".message.mine").last).to_contain_text(text)


def latest(page, words):
    """The newest message of the bot that says so."""
    message = page.locator(".message:not(.mine)").filter(has_text=words).last
    expect(message).to_be_visible(timeout=30_000)
    return message


def cards(page):
    """The newest message of the bot with a picture."""
    return page.locator(".message:not(.mine)").filter(has=page.locator("img")).last


def press(message, words):
    message.locator(".buttons button, .buttons a").filter(has_text=words).first.click()


def test_connect_import_search_rate_list_similar_stats_forget(chat, sandbox):
    say(chat, "/connect")
    invitation = chat.locator(".message:not(.mine)").filter(has=chat.locator(".buttons a")).last
    expect(invitation).to_be_visible(timeout=20_000)
    with chat.expect_popup() as popup:
        invitation.locator(".buttons a").first.click()
    approval = popup.value
    approval.locator("button, input[type=submit]").first.click()
    approval.wait_for_load_state()
    approval.close()
    press(invitation, "Готово")
    latest(chat, re.compile("60"))
    user = wait_until(lambda: User.objects.filter(sync_status=SyncStatus.IMPORTED).first(), 60)
    assert user.ratings_count == 60

    unrated = next(film for film in sandbox.tmdb.films.values() if film.id not in sandbox.tmdb.account("demo").ratings)
    say(chat, "звёздные войны")
    listing = latest(chat, "Звёздные войны")
    listing.locator(".buttons button").first.click()
    expect(cards(chat)).to_contain_text("Звёздные войны", timeout=20_000)

    say(chat, f"/movie {unrated.id}")
    card = cards(chat)
    expect(card).to_contain_text(unrated.title_ru, timeout=20_000)
    card.locator(".buttons button").filter(has_text=re.compile(r"^\D*9$")).first.click()
    expect(card).to_contain_text(re.compile("оценка.*9"), timeout=20_000)
    rating = wait_until(lambda: Rating.objects.filter(user=user, source="manual").first())
    assert (rating.movie_id, rating.value) == (unrated.id, 9)
    demo = sandbox.tmdb.account("demo")
    wait_until(lambda: demo.ratings.get(unrated.id) == 9, 60)

    say(chat, "/rated")
    latest(chat, unrated.title_ru)

    press(card, "Похожие")
    latest(chat, re.compile("Похож"))

    say(chat, "/stats")
    expect(cards(chat)).to_contain_text("61", timeout=20_000)

    say(chat, "/forget")
    question = latest(chat, "Удалить всё, что я о вас знаю?")
    question.locator(".buttons button").first.click()
    wait_until(lambda: not User.objects.exists() and not Rating.objects.exists(), 30)


def test_the_chat_page_speaks_english_too(chat):
    chat.click("#lang-en")
    say(chat, "/help")
    latest(chat, "films you have seen")
