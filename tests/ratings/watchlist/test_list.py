"""/watchlist: the list one film at a time, in its orders, by filters, one chosen, and as a list to scan."""

import pytest

from movies.models import Movie, PosterStatus
from ratings.chat import carousel_message
from ratings.models import Rating, WatchlistEntry
from tests.helpers.lists import film_labels
from tests.helpers.watchlist import wanted_by
from users.models import User

pytestmark = pytest.mark.django_db

# id: (minutes, day of release); in the order they were put on the list
FILMS = {101: (150, "1999-03-31"), 102: (90, "2021-06-01"), 103: (120, "1975-01-01")}


@pytest.fixture
def films(anna):
    fill(anna, FILMS)


def fill(person, films):
    user, _created = User.objects.get_or_create(pk=person.id, defaults={"language": "en"})
    for number, (movie_id, (minutes, day)) in enumerate(films.items()):
        known = {"title": f"Film {movie_id}", "details_at": 1, "runtime": minutes, "release_date": day, "genres": [28]}
        Movie.objects.create(id=movie_id, **known)
        WatchlistEntry.objects.create(user=user, movie_id=movie_id, added_at=1000 + number)
    return user


def press(person, message, handle, text=None, data=None):
    query = person.press(message, text=text, data=data)
    handle()
    return query.answer


def shown(message):
    return message.words.partition(" (")[0]


def test_an_empty_list_says_how_it_is_filled(ask):
    message = ask("/watchlist")
    assert "empty" in message.words
    assert [button.data for row in message.buttons for button in row] == ["do:recommend", "do:connect", "file_help"]


def test_the_newest_film_comes_first_and_the_arrows_turn_in_place(anna, ask, handle, films):
    message = ask("/watchlist")
    messages = len(anna.chat)
    assert shown(message) == "Film 103"
    assert message.button(text="1 of 3")
    press(anna, message, handle, text="›")
    assert shown(message) == "Film 102"
    press(anna, message, handle, text="›")
    assert (shown(message), message.button(text="3 of 3").text) == ("Film 101", "3 of 3")
    press(anna, message, handle, text="‹")
    assert shown(message) == "Film 102"
    assert len(anna.chat) == messages


@pytest.mark.parametrize(
    ("order", "first"), [("new", "Film 103"), ("short", "Film 102"), ("year", "Film 102"), ("best", "Film 103")]
)
def test_each_order_begins_with_another_film(anna, ask, handle, films, order, first):
    message = ask("/watchlist")
    press(anna, message, handle, data=f"carousel:watchlist:order:{order}")
    assert shown(message) == first


def test_filters_leave_the_films_that_meet_them(anna, ask, handle, films):
    message = ask("/watchlist")
    press(anna, message, handle, data="carousel:watchlist:menu:filters")
    press(anna, message, handle, data="carousel:watchlist:minutes:short")
    assert shown(message) == "Film 102"
    assert message.button(text="1 of 1")


def test_a_film_is_chosen_and_never_the_same_twice_in_a_row(anna, ask, handle, films):
    message = ask("/watchlist")
    chosen = [shown(message)]
    for _press in range(12):
        press(anna, message, handle, data="carousel:watchlist:choose")
        assert "My choice for you" in message.words
        assert shown(message) != chosen[-1]
        chosen.append(shown(message))
    assert len(set(chosen)) == 3
    assert WatchlistEntry.objects.filter(picked_at__isnull=False).exists()


def test_the_chosen_film_is_shown_though_others_have_posters_already(anna, ask, handle, films, monkeypatch):
    monkeypatch.setattr(carousel_message, "POSTER_WAIT_SECONDS", 0)
    Movie.objects.filter(pk__in=FILMS).update(poster_status=PosterStatus.WAITING)
    message = ask("/watchlist")
    Movie.objects.filter(pk=103).update(poster_status=PosterStatus.NONE)
    press(anna, message, handle, data="carousel:watchlist:choose")
    assert shown(message) == f"Film {WatchlistEntry.objects.get(picked_at__isnull=False).movie_id}" != "Film 103"
    assert "My choice for you" in message.words


def test_the_only_film_is_chosen_again(anna, ask, handle):
    fill(anna, {101: (90, "1999-01-01")})
    message = ask("/watchlist")
    for _press in range(2):
        press(anna, message, handle, data="carousel:watchlist:choose")
        assert shown(message) == "Film 101"


def test_taking_a_film_off_goes_on_and_can_be_undone(anna, ask, handle, films):
    WatchlistEntry.objects.filter(movie_id=103).update(place=7)
    stood = WatchlistEntry.objects.get(movie_id=103)
    message = ask("/watchlist")
    press(anna, message, handle, data="watch:103:0")
    assert shown(message) == "Film 102"
    assert wanted_by(anna.id) == [101, 102]
    undo = next(button for row in message.buttons for button in row if "undo" in (button.data or ""))
    press(anna, message, handle, data=undo.data)
    assert wanted_by(anna.id) == [101, 102, 103]
    assert shown(message) == "Film 103"
    back = WatchlistEntry.objects.get(movie_id=103)
    assert (back.added_at, back.place) == (stood.added_at, stood.place)


def test_a_film_that_was_seen_is_rated_in_place(anna, ask, handle, films):
    message = ask("/watchlist")
    press(anna, message, handle, data="carousel:watchlist:watched:103")
    assert wanted_by(anna.id) == [101, 102]
    press(anna, message, handle, data="rate:103:8")
    assert Rating.objects.get().movie_id == 103
    assert shown(message) == "Film 102"


@pytest.mark.parametrize("then", ["8", "No rating"])
def test_a_film_marked_as_seen_by_mistake_comes_back_to_the_list(anna, ask, handle, films, then):
    message = ask("/watchlist")
    press(anna, message, handle, text="👀 Seen it")
    press(anna, message, handle, text=then)
    press(anna, message, handle, text="↩ Undo: “Film 103”")
    assert wanted_by(anna.id) == [101, 102, 103]
    assert not Rating.objects.exists()
    assert message.button(data="watch:103:0")


def test_rating_a_film_again_cannot_be_undone_into_no_rating(anna, ask, handle, films):
    Rating.objects.create(user_id=anna.id, movie_id=103, normalized_rating=7, rated_at=5)
    message = ask("/watchlist")
    press(anna, message, handle, text="👀 Seen it")
    press(anna, message, handle, text="8")
    assert Rating.objects.get().value == 8
    assert shown(message) == "Film 102"
    assert not [button for row in message.buttons for button in row if "undo" in (button.data or "")]


def test_a_film_put_on_the_list_again_stays_where_it_is_shown(anna, ask, handle, films):
    message = ask("/watchlist")
    WatchlistEntry.objects.filter(movie_id=103).delete()
    press(anna, message, handle, data="carousel:watchlist:show:103")
    press(anna, message, handle, text="🔖 Want")
    assert shown(message) == "Film 103"
    assert message.button(data="watch:103:0")


@pytest.mark.parametrize(
    "action", ["watched:99999999999999999999999999", "watched:4000000", "undo:unwatch:4000000:0", "undo:no:0:0"]
)
def test_a_button_that_names_no_film_is_refused(anna, ask, handle, films, action):
    message = ask("/watchlist")
    button = message.buttons[0][0]
    button.raw["callback_data"] = f"carousel:watchlist:{action}"
    assert press(anna, message, handle, data=button.raw["callback_data"]).text == "This button is out of date."
    assert wanted_by(anna.id) == [101, 102, 103]


def test_the_whole_list_has_pages_orders_and_opens_cards(anna, ask, handle):
    fill(anna, {id: (90 + id % 7, f"{1950 + id % 50}-01-01") for id in range(101, 121)})
    message = ask("/watchlist")
    asked = press_list(anna, message, handle)
    text = anna.wait(after=asked)
    assert "20 films on your watchlist" in text.words
    labels = [button.text for row in text.buttons for button in row if (button.data or "").startswith("wanted:")]
    assert labels[0].startswith("1. Film 120")
    assert len(labels) == 8
    press(anna, text, handle, text="🔖 2 ✕")
    assert 119 not in wanted_by(anna.id)
    assert text.button(text="1. Film 120 1970").data == f"wanted:120:{anna.id}"
    press(anna, text, handle, text="🔖 2")
    assert 119 in wanted_by(anna.id)
    assert text.button(text="🔖 2 ✕").data == "watch:119:0"
    press(anna, text, handle, text="›")
    assert "2/3" in text.words
    opened = next(button for row in text.buttons for button in row if (button.data or "").startswith("wanted:"))
    press(anna, text, handle, data=opened.data)
    assert anna.wait(after=text).button(data=f"watch:{opened.data.split(':')[1]}:0")
    assert WatchlistEntry.objects.filter(picked_at__isnull=False).count() == 1
    assert not film_labels(text)
    WatchlistEntry.objects.all().delete()
    press(anna, text, handle, text="‹")
    assert "Your watchlist is empty" in text.words
    assert text.button(data="do:recommend")


def press_list(person, message, handle):
    press(person, message, handle, text="As a list")
    return message


def test_a_film_that_is_not_out_yet_shows_its_day(anna, ask, handle):
    fill(anna, {101: (90, "2099-12-31")})
    message = ask("/watchlist")
    assert "in cinemas from December 31" in message.words
    text = anna.wait(after=press_list(anna, message, handle))
    assert text.button(text="1. Film 101 · December 31 2099")


def test_in_a_group_the_ways_to_fill_an_empty_list_lead_to_the_private_chat(anna, sandbox, handle):
    group = sandbox.telegram.group("Film club", [anna])
    anna.send("/watchlist", chat=group)
    handle()
    message = said = anna.wait(chat=group)
    for data in ("do:connect", "file_help"):
        press(anna, message, handle, data=data)
        said = anna.wait(after=said, chat=group)
        assert said.button(text="Open a private chat")


def test_in_a_group_the_list_is_of_whoever_asked(anna, sandbox, handle, films):
    boris = sandbox.telegram.person("Boris", language_code="en")
    group = sandbox.telegram.group("Film club", [anna, boris])
    anna.send("/watchlist", chat=group)
    handle()
    message = anna.wait(lambda message: message.buttons, chat=group)
    assert shown(message) == "Film 103"
    assert "somebody else's" in press(boris, message, handle, text="›").text
    press(anna, message, handle, text="›")
    assert shown(message) == "Film 102"


def test_ten_thousand_films_are_turned_quickly(anna, ask, handle):
    user, _created = User.objects.get_or_create(pk=anna.id, defaults={"language": "en"})
    ids = range(1000, 11_000)
    Movie.objects.bulk_create(
        [Movie(id=id, title=f"Film {id}", details_at=1, runtime=90) for id in ids], batch_size=500
    )
    WatchlistEntry.objects.bulk_create(
        [WatchlistEntry(user=user, movie_id=id, added_at=id) for id in ids], batch_size=200
    )
    message = ask("/watchlist")
    assert message.button(text="1 of 10000")
    press(anna, message, handle, data="carousel:watchlist:choose")
    assert "My choice" in message.words
    for _turn in range(3):
        press(anna, message, handle, text="›")
    assert message.button(text="4 of 10000")
