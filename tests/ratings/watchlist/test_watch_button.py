"""🔖 on cards: a film is put on the list of whoever presses, taken off again, and leaves it when it is rated."""

import pytest

from ratings.models import WatchlistEntry, WatchlistWrite
from tests.helpers.watchlist import link, wanted_by

pytestmark = pytest.mark.django_db

ADD, TAKE_OFF = "watch:603:1", "watch:603:0"


@pytest.fixture
def card(ask):
    """The card of The Matrix in Anna's chat."""
    return ask("/movie 603")


def press(person, message, handle, data):
    query = person.press(message, data=data)
    handle()
    return query.answer


def test_one_press_adds_in_one_word_and_the_next_one_undoes_it(anna, handle, card):
    messages = len(anna.chat)
    assert press(anna, card, handle, ADD).text == "Added"
    assert wanted_by(anna.id) == [603]
    assert press(anna, card, handle, TAKE_OFF).text == "Removed"
    assert wanted_by(anna.id) == []
    assert card.button(data=ADD)
    assert len(anna.chat) == messages


def test_a_card_that_is_sent_again_knows_that_the_film_is_on_the_list(anna, ask, handle, card):
    press(anna, card, handle, ADD)
    assert ask("/movie 603").button(data=TAKE_OFF)


def test_two_presses_at_once_add_once(anna, handle, card):
    first, second = anna.press(card, data=ADD), anna.press(card, data=ADD)
    handle()
    assert (first.answer.text, second.answer.text) == ("Added", "Already on your watchlist")
    assert wanted_by(anna.id) == [603]


def test_the_other_buttons_of_a_message_stay(anna, handle, ask):
    message = ask("/movie 603")
    before = [button.data for row in message.buttons for button in row]
    press(anna, message, handle, ADD)
    after = [button.data for row in message.buttons for button in row]
    assert after == [TAKE_OFF if data == ADD else data for data in before]


@pytest.mark.parametrize("how", ["button", "command", "reply"])
def test_rating_a_film_takes_it_off_and_says_so(anna, handle, card, how):
    press(anna, card, handle, ADD)
    if how == "button":
        said = press(anna, card, handle, "rate:603:8").text
    else:
        asked = anna.send("/rate 603 8") if how == "command" else anna.send("8", reply_to=card)
        handle()
        said = anna.wait(after=asked, satisfies=lambda message: "watchlist" in message.words).words
    assert "took it off your watchlist" in said
    assert wanted_by(anna.id) == []


def test_rating_a_film_that_is_not_on_the_list_says_nothing_of_it(anna, handle, card):
    assert "watchlist" not in press(anna, card, handle, "rate:603:8").text


def test_a_rated_film_may_be_put_on_the_list_to_be_seen_again(anna, handle, card):
    press(anna, card, handle, "rate:603:8")
    press(anna, card, handle, ADD)
    assert wanted_by(anna.id) == [603]


def test_in_a_group_everybody_has_a_list_of_their_own(anna, sandbox, handle):
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris])
    anna.send("/movie 603", chat=group)
    handle()
    card = anna.wait(lambda message: message.buttons, chat=group)
    press(anna, card, handle, ADD)
    press(boris, card, handle, ADD)
    press(anna, card, handle, TAKE_OFF)
    assert (wanted_by(anna.id), wanted_by(boris.id)) == ([], [603])


def test_under_a_card_sent_by_inline_mode_there_is_undo_as_well(anna, sandbox, handle, ask):
    ask("/movie 603")
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris], bots=[])
    query = anna.inline("матрица")
    handle()
    sent = anna.choose(query, query.results[0], chat=group)
    assert press(boris, sent, handle, ADD).text == "Added"
    assert wanted_by(boris.id) == [603]
    assert press(boris, sent, handle, TAKE_OFF).text == "Removed"
    assert sent.button(data=ADD)
    assert sent.button(data="rate:603:8")
    assert wanted_by(boris.id) == []


def test_an_unknown_film_is_fetched_and_one_that_is_none_is_refused(anna, sandbox, handle, card):
    sandbox.tmdb.add_film(5001, title_en="New")
    assert "no film" in press_data(anna, card, handle, "watch:999999:1").text
    assert press_data(anna, card, handle, "watch:5001:1").text == "Added"
    assert wanted_by(anna.id) == [5001]


def press_data(person, message, handle, data):
    """A modified app sends what it likes."""
    button = message.button(data=ADD)
    button.raw["callback_data"] = data
    try:
        return press(person, message, handle, data)
    finally:
        button.raw["callback_data"] = ADD


# --- What TMDb has to hear


def test_without_a_link_nothing_waits_for_tmdb(anna, handle, card):
    press(anna, card, handle, ADD)
    press(anna, card, handle, TAKE_OFF)
    assert not WatchlistWrite.objects.exists()


def test_an_addition_and_its_undo_before_tmdb_heard_of_it_leave_nothing_to_send(anna, sandbox, handle, card):
    link(anna, sandbox)
    press(anna, card, handle, ADD)
    assert WatchlistWrite.objects.get().wanted
    press(anna, card, handle, TAKE_OFF)
    assert not WatchlistWrite.objects.exists()


def test_a_removal_and_its_undo_before_tmdb_heard_of_it_leave_nothing_to_send(anna, sandbox, handle, card):
    user = link(anna, sandbox)
    WatchlistEntry.objects.create(user=user, movie_id=603, added_at=1, tmdb_account_id=user.tmdb_account_id)
    press(anna, card, handle, ADD)  # of an old card
    assert not WatchlistWrite.objects.exists()
    press(anna, card, handle, TAKE_OFF)
    assert not WatchlistWrite.objects.get().wanted
    press(anna, card, handle, ADD)
    assert not WatchlistWrite.objects.exists()
    assert WatchlistEntry.objects.get().tmdb_account_id == user.tmdb_account_id


def test_a_removal_follows_an_addition_whose_answer_has_not_come(anna, sandbox, handle, card):
    link(anna, sandbox)
    press(anna, card, handle, ADD)
    WatchlistWrite.objects.update(attempts=1)
    press(anna, card, handle, TAKE_OFF)
    assert not WatchlistWrite.objects.get().wanted
