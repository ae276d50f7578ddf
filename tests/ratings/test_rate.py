"""Rating films in the chat, and TMDb hearing of it."""

import re
import threading
from decimal import Decimal

import pytest
from django.db import connection

from movies.models import Movie
from ratings.models import PendingWrite, Rating, Source
from ratings.rate import points_in
from ratings.tasks import write_ratings
from ratings.tmdb_sync import outbox
from tests.conftest import wait_until
from tests.helpers.lists import film_labels, film_titles, nth
from users.models import SyncStatus, User, session_cipher

pytestmark = pytest.mark.django_db


@pytest.fixture
def card(anna, handle):
    """The card of The Matrix in Anna's chat."""
    return card_for(anna, handle)


@pytest.fixture
def linked(anna, sandbox):
    """Anna, linked with an account at TMDb that has rated nothing yet."""
    return link(anna, sandbox)


def link(person, sandbox, account="empty"):
    session = sandbox.tmdb.session_for(account)
    return User.objects.create(
        pk=person.id,
        language=person.language_code,
        tmdb_account_id=sandbox.tmdb.account(account).id,
        tmdb_session_id=session_cipher().encrypt(session.encode()).decode(),
        sync_status=SyncStatus.IMPORTED,
    )


def card_for(person, handle, text="/movie 603"):
    person.send(text)
    handle()
    return person.wait(lambda message: message.buttons)


def tap(person, message, handle, **button):
    query = person.press(message, **button)
    handle()
    return query.answer


def rating_of(person, movie_id=603):
    return Rating.objects.filter(user_id=person.id, movie_id=movie_id).first()


# --- The card


def test_one_tap_rates_and_the_card_shows_it_in_its_place(anna, handle, card):
    messages = len(anna.chat)
    answer = tap(anna, card, handle, text="8")
    rating = rating_of(anna)
    assert (rating.value, rating.normalized_rating, rating.source, rating.tmdb_rating) == (8, 8, Source.MANUAL, None)
    assert "8" in answer.text
    assert "Your rating: 8" in card.caption
    assert card.button(text="● 8")
    assert len(anna.chat) == messages


def test_a_card_without_a_picture_shows_the_rating_too(anna, sandbox, handle):
    sandbox.tmdb.add_film(5001, title_en="No Picture", poster=None)
    card = card_for(anna, handle, "/movie 5001")
    tap(anna, card, handle, text="3")
    assert "Your rating: 3" in card.text


def test_another_tap_changes_the_rating(anna, handle, card):
    tap(anna, card, handle, text="8")
    tap(anna, card, handle, text="10")
    assert rating_of(anna).value == 10
    assert "Your rating: 10" in card.caption


def test_the_same_tap_again_takes_the_rating_back_after_a_question(anna, handle, card):
    tap(anna, card, handle, text="8")
    answer = tap(anna, card, handle, text="● 8")
    assert "Remove it?" in answer.text
    assert rating_of(anna).value == 8
    answer = tap(anna, card, handle, data="unrate:603")
    assert answer.text
    assert rating_of(anna) is None
    assert "Your rating" not in card.caption
    assert card.button(text="8")


def test_whoever_thinks_better_of_it_keeps_the_rating_and_gets_the_buttons_back(anna, handle, card):
    tap(anna, card, handle, text="8")
    tap(anna, card, handle, text="● 8")
    tap(anna, card, handle, text="Keep it")
    assert rating_of(anna).value == 8
    assert card.button(text="● 8")


def test_the_card_takes_a_rating_back_at_once(anna, handle, card):
    tap(anna, card, handle, text="8")
    tap(anna, card, handle, data="unrate:603")
    assert rating_of(anna) is None


def test_a_rating_that_is_not_there_can_be_taken_back_without_harm(anna, handle, card):
    tap(anna, card, handle, text="8")
    Rating.objects.all().delete()
    answer = tap(anna, card, handle, data="unrate:603")
    assert answer.text == "You have not rated this film."
    assert "Your rating" not in card.caption


def test_an_edit_that_changes_nothing_is_success(anna, sandbox, handle, card):
    description = "Bad Request: message is not modified: specified new message content is exactly the same"
    sandbox.telegram.fail("editMessageCaption", 400, description)
    assert tap(anna, card, handle, text="8").text
    assert rating_of(anna).value == 8


def test_a_tap_on_a_card_that_was_deleted_meanwhile_still_rates_and_is_answered(anna, sandbox, handle, card):
    query = anna.press(card, text="8")
    with sandbox.telegram.changed:
        sandbox.telegram.delete_message(card)
    handle()
    assert rating_of(anna).value == 8
    assert query.answer.text


def test_a_tap_that_is_too_old_to_be_answered_still_rates(anna, sandbox, handle, card):
    query = anna.press(card, text="8")
    query.at -= 3600
    handle()
    assert query.answer is None
    assert rating_of(anna).value == 8
    assert "Your rating: 8" in card.caption


def test_a_film_that_the_table_has_lost_is_asked_for_again(anna, handle, card):
    Movie.objects.all().delete()
    tap(anna, card, handle, text="8")
    assert rating_of(anna).value == 8


@pytest.mark.parametrize(
    "data", ["rate:603:99", "rate:603:0", "rate:abc", "rate:", "unrate:x", "keep:", "rate:603:8:1"]
)
def test_a_button_that_is_none_of_ours_is_politely_refused(anna, sandbox, handle, card, data):
    press_forged(anna, sandbox, card, data)
    query = list(sandbox.telegram.callback_queries.values())[-1]
    handle()
    assert query.answer.text == "This button is out of date."
    assert Rating.objects.count() == 0


def press_forged(person, sandbox, message, data):
    """What a changed app may send: any data under any message."""
    button = message.buttons[0][0]
    true = button.raw["callback_data"]
    button.raw["callback_data"] = data
    try:
        person.press(message, data=data)
    finally:
        button.raw["callback_data"] = true


def test_a_film_that_does_not_exist_cannot_be_rated(anna, sandbox, handle, card):
    press_forged(anna, sandbox, card, "rate:999999999:8")
    query = list(sandbox.telegram.callback_queries.values())[-1]
    handle()
    assert query.answer.text == "TMDb has no film with this id."


def test_two_people_tap_at_the_same_time_and_both_have_rated(sandbox, start):
    start("runbot")
    people = [sandbox.telegram.person(f"Person {n}", language_code="en") for n in range(4)]
    for person in people:
        person.send("/movie 603")
    cards = [person.wait(lambda message: message.buttons) for person in people]
    for person, card in zip(people, cards, strict=True):
        for points in ("3", "9", "7"):
            person.press(card, text=points)
    for card in cards:
        wait_until(lambda card=card: "Your rating: 7" in card.caption)
    assert [rating_of(person).value for person in people] == [7, 7, 7, 7]


# --- Groups


def test_in_a_group_a_tap_rates_for_who_taps_and_the_card_shows_nobodys_rating(anna, sandbox, handle):
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris])
    anna.send("/movie 603", chat=group)
    handle()
    card = anna.wait(lambda message: message.photo, chat=group)
    before = card.content
    answers = [tap(anna, card, handle, text="9"), tap(boris, card, handle, text="4")]
    assert (rating_of(anna).value, rating_of(boris).value) == (9, 4)
    assert "9" in answers[0].text
    assert "4" in answers[1].text
    assert card.content == before
    again = tap(boris, card, handle, text="4")
    assert again.show_alert
    assert card.content == before


def test_in_a_group_whoever_presses_another_persons_question_rates_for_themselves_and_leaves_it(anna, sandbox, handle):
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris])
    asked = anna.send("/rate матриц 8", chat=group)
    handle()
    question = anna.wait(after=asked, chat=group)
    before = question.content
    assert "your rating is 8" in tap(boris, question, handle, data="rate:604:8").text
    assert question.content == before
    tap(anna, question, handle, data="rate:605:8")
    assert "your rating is 8" in question.text
    assert {(one.user_id, one.movie_id) for one in Rating.objects.all()} == {(boris.id, 604), (anna.id, 605)}


# --- Half points


@pytest.mark.parametrize(
    "typed",
    [
        "/rate 603 7.5",
        "/rate 603 7,5",
        "/rate@kinoteka_sandbox_bot 603 7.5",
        "/RATE 603 7.5",
        "/rate 603 7.5/10",
        "/rate 603 7,5 / 10",
        "/rate 603 7.5 из 10",
    ],
)
def test_a_command_rates_in_half_points(anna, handle, typed):
    anna.send(typed)
    handle()
    assert rating_of(anna).value == Decimal("7.5")
    assert "Your rating: 7.5" in anna.chat[-1].caption


def test_half_a_point_counts_as_one_for_similarity(anna, handle):
    anna.send("/rate 603 0.5")
    handle()
    assert (rating_of(anna).value, rating_of(anna).normalized_rating) == (Decimal("0.5"), 1)


def test_a_command_rates_a_film_by_its_address(anna, handle):
    anna.send("/rate https://www.themoviedb.org/movie/603-the-matrix?language=ru-RU 6")
    handle()
    assert rating_of(anna).value == 6


@pytest.mark.parametrize("typed", ["11", "0", "7.3", "-5", "10.5", "seven", "7.55", "٧", "7.5.5", "999999999999"])
def test_a_value_that_is_no_rating_gets_a_clear_sentence(anna, handle, typed):
    anna.send(f"/rate 603 {typed}")
    handle()
    assert anna.chat[-1].text == "A rating is a number from 0.5 to 10 in half points: 7 or 7.5."
    assert Rating.objects.count() == 0


@pytest.mark.parametrize("typed", ["/rate", "/rate 603", "/rate 7.5 ", "/rate The Matrix"])
def test_a_command_without_a_film_or_a_value_is_explained(anna, handle, typed):
    anna.send(typed)
    handle()
    assert "/rate The Matrix 7.5" in anna.chat[-1].text


def test_a_command_rates_a_film_by_its_title_and_asks_where_several_are_called_so(anna, handle):
    anna.send("/rate Форрест Гамп 8")
    handle()
    assert Rating.objects.get().value == 8
    anna.send("/rate матриц 7.5")
    handle()
    question = anna.chat[-1]
    assert question.text == "Which film gets 7.5?"
    anna.press(question, data="rate:604:7.5")
    handle()
    assert Rating.objects.get(movie_id=604).value == Decimal("7.5")
    assert "your rating is 7.5" in question.text


def test_a_title_that_is_none_rates_nothing(anna, handle, sandbox):
    anna.send("/movie 13")
    handle()
    anna.send("/rate форест гамп 8")
    handle()
    assert anna.chat[-1].button(data="rate:13:8")
    assert not Rating.objects.exists()
    anna.send("/rate нет такого фильма 8")
    handle()
    assert anna.chat[-1].text.startswith("No film found")


def test_a_command_rates_a_film_whose_title_is_a_number(anna, handle):
    Movie.objects.create(pk=530915, title="1917", original_title="1917", search_text="1917", details_at=1)
    anna.send("/rate 1917 9")
    handle()
    assert Rating.objects.get(movie_id=530915).value == 9


@pytest.mark.parametrize(
    ("typed", "rating"),
    [("8", "8"), ("7.5", "7.5"), ("7,5", "7.5"), (f"8{' ' * 80}/ 10", "8"), (f"7.5{'0' * 80}", "7.5")],
)
def test_a_number_after_a_card_is_asked_about(anna, handle, card, typed, rating):
    anna.send(typed)
    handle()
    question = anna.chat[-1]
    assert Rating.objects.count() == 0
    assert question.text.endswith(f"{rating}?")
    anna.press(question, data=f"rate:603:{rating}")
    handle()
    assert Rating.objects.get().value == Decimal(rating)
    assert f"your rating is {rating}" in question.text
    assert f"Your rating: {rating}" in card.words, "the card above shows it as well"
    assert card.button(data="unrate:603")


def test_a_number_with_a_sign_after_a_card_is_a_search(anna, handle, card):
    asked = anna.send("+8")
    handle()
    assert anna.wait(after=asked).words


def test_a_number_after_a_card_may_be_searched_for(anna, sandbox, handle, card):
    sandbox.tmdb.add_film(8, title_en="Eight")
    anna.send("8")
    handle()
    anna.press(anna.chat[-1], text="Search for “8”")
    handle()
    assert "Eight" in anna.chat[-1].words
    assert Rating.objects.count() == 0


def test_a_remark_in_reply_to_a_card_is_no_failed_search(anna, handle, card):
    anna.send("ыыыыыы ааааа", reply_to=card)
    handle()
    assert "reply to its card with a number" in anna.chat[-1].text


@pytest.mark.parametrize("movie_id", ["99999999", "0", "9999999999"])
def test_an_unknown_film_cannot_be_rated(anna, handle, movie_id):
    anna.send(f"/rate {movie_id} 7")
    handle()
    assert anna.chat[-1].text == "TMDb has no film with this id."


def test_a_number_in_reply_to_a_card_rates_and_the_card_shows_it(anna, handle, card):
    anna.send("7,5", reply_to=card)
    handle()
    assert rating_of(anna).value == Decimal("7.5")
    assert "Your rating: 7.5" in card.caption
    assert "7.5" in anna.chat[-1].text


def test_a_number_in_reply_to_a_card_with_the_question_on_it_rates_too(anna, handle, card):
    tap(anna, card, handle, text="8")
    tap(anna, card, handle, text="● 8")
    anna.send("9", reply_to=card)
    handle()
    assert rating_of(anna).value == 9


def test_a_wrong_number_in_reply_to_a_card_is_explained(anna, handle, card):
    anna.send("11", reply_to=card)
    handle()
    assert "0.5 to 10" in anna.chat[-1].text


def test_a_title_in_reply_to_a_card_is_a_search(anna, handle, card):
    anna.send("Fight Club", reply_to=card)
    handle()
    assert "Fight Club" in anna.chat[-1].words
    assert Rating.objects.count() == 0


def test_a_number_in_reply_to_anything_else_is_a_search(anna, handle, card):
    said = anna.send("hello")
    handle()
    anna.send("8", reply_to=said)
    handle()
    assert Rating.objects.count() == 0


@pytest.mark.parametrize(
    ("typed", "points"),
    [
        ("8", 8),
        ("8.0", 8),
        ("8,5", "8.5"),
        ("8.50", "8.5"),
        ("10", 10),
        ("0.5", "0.5"),
        ("8/10", 8),
        (" 7.5 / 10 ", "7.5"),
    ],
)
def test_people_write_numbers_in_many_ways(typed, points):
    assert points_in(typed) == Decimal(points)


@pytest.mark.parametrize(
    "typed", ["", "0", "0.4", "10.5", "11", "8.1", "8..5", "8.", "+8x", "8e0", "NaN", "８", "1" * 5000]
)
def test_what_is_no_rating_is_none(typed):
    assert points_in(typed) in (None, Decimal(8)) if typed == "8." else points_in(typed) is None


# --- TMDb


def test_a_rating_made_here_reaches_tmdb_and_becomes_the_base(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    assert PendingWrite.objects.get().rating == 8
    write_ratings(anna.id)
    assert sandbox.tmdb.account("empty").ratings == {603: 8.0}
    rating = rating_of(anna)
    assert (rating.tmdb_rating, rating.source, rating.value) == (8, Source.MANUAL, 8)
    assert PendingWrite.objects.count() == 0


def test_nothing_waits_for_tmdb_without_a_link(anna, handle, card):
    tap(anna, card, handle, text="8")
    assert PendingWrite.objects.count() == 0


def test_who_has_switched_writing_off_keeps_their_ratings_here(anna, sandbox, handle, linked, card):
    User.objects.update(writes_ratings=False)
    tap(anna, card, handle, text="8")
    write_ratings()
    assert sandbox.tmdb.account("empty").ratings == {}
    assert rating_of(anna).value == 8


def test_taking_back_deletes_the_rating_at_tmdb(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    write_ratings()
    tap(anna, card, handle, data="unrate:603")
    write = PendingWrite.objects.get()
    assert (write.rating, write.base) == (None, 8)
    write_ratings()
    assert sandbox.tmdb.account("empty").ratings == {}
    assert PendingWrite.objects.count() == 0


def test_only_the_end_state_is_written(anna, sandbox, handle, linked, card):
    for points in ("3", "7", "9"):
        tap(anna, card, handle, text=points)
    write_ratings()
    assert [request.body for request in sandbox.tmdb.requests_of("/3/movie/603/rating")] == [b'{"value": 9.0}']
    assert rating_of(anna).tmdb_rating == 9


def test_a_rating_given_anew_before_tmdb_heard_of_its_end_knows_what_tmdb_holds(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    write_ratings()
    tap(anna, card, handle, data="unrate:603")
    tap(anna, card, handle, text="5")
    assert (rating_of(anna).tmdb_rating, PendingWrite.objects.get().base) == (8, 8)
    write_ratings()
    assert sandbox.tmdb.account("empty").ratings == {603: 5.0}


def test_sending_ends_where_the_worker_is_told_to_stop_and_the_next_run_sends_the_rest(
    anna, sandbox, handle, linked, monkeypatch
):
    for movie_id in (603, 604, 605):
        anna.send(f"/rate {movie_id} 8")
        handle()
    stop = threading.Event()
    monkeypatch.setattr("ratings.tasks.worker_stop_event", lambda: stop)
    send = outbox.attempt

    def send_and_stop(*arguments):
        stop.set()
        return send(*arguments)

    monkeypatch.setattr(outbox, "attempt", send_and_stop)
    assert write_ratings() == "1 written"
    assert write_ratings() == "0 written"
    stop.clear()
    monkeypatch.setattr(outbox, "attempt", send)
    assert write_ratings() == "2 written"
    assert sandbox.tmdb.account("empty").ratings == {603: 8.0, 604: 8.0, 605: 8.0}


def test_sending_takes_no_longer_than_it_may(anna, sandbox, handle, linked, card, monkeypatch):
    tap(anna, card, handle, text="8")
    monkeypatch.setattr("ratings.tasks.MAX_SECONDS", -1)
    assert write_ratings() == "0 written"
    assert PendingWrite.objects.count() == 1


def test_tmdb_is_asked_again_and_again_ever_more_seldom_until_it_takes_the_rating(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    sandbox.tmdb.fail("/3/movie/603/rating", 503, times=2)
    delays = []
    for _attempt in range(2):
        write_ratings()
        write = PendingWrite.objects.get()
        delays.append(write.next_try_at)
        assert "503" in write.error
        assert write_ratings() == "0 written"  # it is not due yet
        PendingWrite.objects.update(next_try_at=0)
    assert delays[1] > delays[0]
    write_ratings()
    assert sandbox.tmdb.account("empty").ratings == {603: 8.0}
    assert rating_of(anna).tmdb_rating == 8


def test_an_answer_that_is_lost_does_no_harm(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    sandbox.tmdb.fail("/3/movie/603/rating", drop="after")
    write_ratings()
    assert rating_of(anna).tmdb_rating is None
    PendingWrite.objects.update(next_try_at=0)
    write_ratings()
    assert sandbox.tmdb.account("empty").ratings == {603: 8.0}
    assert rating_of(anna).tmdb_rating == 8


def test_a_film_that_tmdb_has_lost_is_told_once_and_stays_rated_here(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    sandbox.tmdb.gone(603)
    write_ratings()
    write_ratings()
    told = [message.text for message in anna.chat if message.text and "does not take your rating" in message.text]
    assert len(told) == 1
    assert PendingWrite.objects.count() == 0
    assert rating_of(anna).value == 8


def test_a_session_that_is_over_is_told_once_and_the_rating_waits_for_the_next_link(
    anna, sandbox, handle, linked, card
):
    sandbox.tmdb.revoke(sandbox.tmdb.account("empty"))
    tap(anna, card, handle, text="8")
    write_ratings()
    PendingWrite.objects.update(next_try_at=0)
    write_ratings()
    user = User.objects.get()
    assert user.sync_status == SyncStatus.FAILED
    assert sum("/connect" in (message.text or "") for message in anna.chat) == 1
    assert PendingWrite.objects.count() == 1
    anna.send("/connect")
    handle()
    question = anna.chat[-1]
    token = question.buttons[1][0].data.partition(":")[2]
    sandbox.tmdb.approve(token, "empty")
    tap(anna, question, handle, text="Done")
    User.objects.update(sync_status=SyncStatus.IMPORTED)  # the import is over
    write_ratings()
    assert sandbox.tmdb.account("empty").ratings == {603: 8.0}


def test_a_wrong_key_of_the_operators_is_not_held_against_the_person(anna, sandbox, handle, linked, card, settings):
    tap(anna, card, handle, text="8")
    settings.TMDB_API_KEY = "0" * 32
    write_ratings()
    assert User.objects.get().sync_status == SyncStatus.IMPORTED
    assert PendingWrite.objects.count() == 1


def test_nothing_is_written_while_an_import_reads(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    User.objects.update(sync_status=SyncStatus.QUEUED)
    assert write_ratings() == "0 written"
    assert sandbox.tmdb.account("empty").ratings == {}
    User.objects.update(sync_status=SyncStatus.IMPORTED)
    assert write_ratings() == "1 written"


def test_what_is_written_while_an_import_begins_is_written_again_after_it(anna, sandbox, handle, linked, card):
    """The import may have read the old value a moment before: it must not take that for TMDb's newest."""
    tap(anna, card, handle, text="8")
    sandbox.tmdb.fail("/3/movie/603/rating", delay=1)
    writing = threading.Thread(target=write_and_hang_up)
    writing.start()
    wait_until(lambda: PendingWrite.objects.filter(attempts=1).exists())
    User.objects.update(sync_status=SyncStatus.QUEUED)
    writing.join()
    assert rating_of(anna).tmdb_rating is None
    User.objects.update(sync_status=SyncStatus.IMPORTED)
    PendingWrite.objects.update(next_try_at=0)
    assert write_ratings() == "1 written"
    assert rating_of(anna).tmdb_rating == 8


def test_a_rating_given_while_another_is_being_written_is_written_after_it(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    sandbox.tmdb.fail("/3/movie/603/rating", delay=1)
    writing = threading.Thread(target=write_and_hang_up)
    writing.start()
    wait_until(lambda: PendingWrite.objects.filter(attempts=1).exists())
    tap(anna, card, handle, text="3")
    assert write_ratings() == "0 written"  # one at a time
    writing.join()
    assert sandbox.tmdb.account("empty").ratings == {603: 3.0}
    assert (rating_of(anna).tmdb_rating, PendingWrite.objects.count()) == (3, 0)


def write_and_hang_up():
    try:
        write_ratings()
    finally:
        connection.close()


def test_who_has_blocked_the_bot_is_not_written_to(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    sandbox.tmdb.gone(603)
    anna.block()
    handle()
    write_ratings()
    assert all(call.description == "" for call in sandbox.telegram.calls_of("sendMessage"))


def test_who_blocked_the_bot_unnoticed_is_remembered(anna, sandbox, handle, linked, card):
    tap(anna, card, handle, text="8")
    sandbox.tmdb.gone(603)
    anna.block()
    write_ratings()
    assert User.objects.get().blocked_at is not None


# --- /rated


@pytest.fixture
def shelf(anna, sandbox, handle):
    """Twelve films that Anna has rated, one after another."""
    ids = sandbox.tmdb.add_films(12)
    for number, movie_id in enumerate(ids):
        anna.send(f"/rate {movie_id} {1 + number * 5 % 10}")
        handle()
        Rating.objects.filter(movie_id=movie_id).update(rated_at=1_700_000_000 + number)
    anna.send("/rated")
    handle()
    return anna.chat[-1]


def test_rated_shows_the_newest_first_in_pages_of_one_message(anna, handle, shelf):
    assert film_titles(shelf) == [f"Film No. {n}" for n in range(12, 4, -1)]
    assert all("★" in label for label in film_labels(shelf))
    count = len(anna.chat)
    tap(anna, shelf, handle, text="›")
    assert film_titles(shelf) == [f"Film No. {n}" for n in range(4, 0, -1)]
    tap(anna, shelf, handle, text="‹")
    assert film_titles(shelf)[0] == "Film No. 12"
    assert len(anna.chat) == count


def test_rated_is_sorted_by_rating_and_by_year(anna, handle, shelf):
    tap(anna, shelf, handle, text="highest")
    ratings = [label.rsplit("★", 1)[1] for label in film_labels(shelf)]
    assert [int(value) for value in ratings] == sorted(map(int, ratings), reverse=True)
    assert shelf.button(text="● highest")
    tap(anna, shelf, handle, text="by year")
    years = [re.search(r" (\d{4}) · ★", label)[1] for label in film_labels(shelf)]
    assert years == sorted(years, reverse=True)


def test_a_number_under_the_list_opens_the_card(anna, handle, shelf):
    tap(anna, shelf, handle, text=nth(shelf, 1))
    assert "Film No. 12" in anna.chat[-1].caption
    assert "Your rating:" in anna.chat[-1].caption


def test_the_same_order_again_is_answered(anna, handle, shelf):
    assert tap(anna, shelf, handle, text="● newest") is not None


def test_a_page_that_is_no_longer_there_becomes_the_last(anna, handle, shelf):
    tap(anna, shelf, handle, text="›")
    Rating.objects.filter(movie_id__gt=1_000_003).delete()
    tap(anna, shelf, handle, text="highest")
    assert len(film_titles(shelf)) == 4


def test_who_has_rated_nothing_is_told_how(anna, handle):
    anna.send("/rated")
    handle()
    assert "You have not rated any film yet" in anna.chat[-1].text


def test_rated_is_for_private_chats(anna, sandbox, handle):
    group = sandbox.telegram.group("Film club", [anna])
    anna.send("/rated", chat=group)
    handle()
    assert "privately" in anna.wait(chat=group).text
