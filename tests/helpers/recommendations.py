"""Films that lead to one another, as a training run would have learned, and the message that shows them."""

from array import array
from decimal import Decimal
from io import BytesIO

from PIL import Image

from movies.models import Movie, PosterStatus
from ratings.models import Rating, SimilarMovies, TrainingRun
from users.models import User

LIKED, OTHER = 1, 2  # films that neighbours are known of
CANDIDATES = range(101, 141)


def learn(rows, users=500, places=None):
    build = TrainingRun.objects.create(started_at=1, finished_at=2, users=users)
    popular = [(0, pk, 0.001 * (200 - pk)) for pk in CANDIDATES]
    led_to, places = {}, places or {}
    for one, other, weight in [*rows, *popular]:
        led_to.setdefault(one, {})[other] = weight
    for one, others in led_to.items():
        placed = sorted((other for other in others if (one, other) in places), key=lambda other: places[one, other])
        put(build, one, {other: others[other] for other in placed} | others, len(placed))
    return build


def put(build, film, others, nearest=0):
    """Let a film lead to others, {film: weight}, of which the first are the most alike."""
    films, weights = array("i", others).tobytes(), array("f", others.values()).tobytes()
    SimilarMovies.objects.update_or_create(
        run_id=build.pk, movie_id=film, defaults={"movie_ids": films, "weights": weights, "nearest": nearest}
    )


def rate(person, movie_id, value=9, at=5):
    User.objects.get_or_create(pk=person.id)
    Rating.objects.create(user_id=person.id, movie_id=movie_id, normalized_rating=Decimal(value), rated_at=at)


def buttons(message):
    return [button for row in message.buttons for button in row]


def ids(message, kind):
    return [int(button.data.split(":")[1]) for button in buttons(message) if (button.data or "").startswith(f"{kind}:")]


def tap(person, message, handle, text=None, data=None):
    """Press a button; with `data` that none has, as a changed app would."""
    if data and data not in [button.data for button in buttons(message)]:
        button = buttons(message)[0]
        true, button.raw["callback_data"] = button.raw["callback_data"], data
        query = person.press(message, data=data)
        button.raw["callback_data"] = true
    else:
        query = person.press(message, text, data)
    handle()
    return query.answer


def picture(colour):
    """A poster of one colour, as bytes."""
    content = BytesIO()
    Image.new("RGB", (200, 300), (colour % 256, colour // 256 % 256, 120)).save(content, "JPEG")
    return content.getvalue()


def with_posters(sandbox, movie_ids=None):
    """Let these films' posters, or all, be in Telegram: {movie id: file_id}."""
    movies = Movie.objects.all() if movie_ids is None else Movie.objects.filter(pk__in=movie_ids)
    file_ids = {}
    for pk in movies.values_list("pk", flat=True):
        photos = sandbox.telegram.keep_photo(sandbox.telegram.bot, picture(pk))
        file_ids[pk] = photos[-1].file_id
        Movie.objects.filter(pk=pk).update(
            telegram_file_id=file_ids[pk], poster_status=PosterStatus.TELEGRAM, poster_path=f"/{pk}.jpg"
        )
    return file_ids


def shown_film(message):
    """The film that a carousel shows, by its buttons."""
    for button in buttons(message):
        parts = (button.data or "").split(":")
        if parts[0] == "carousel" and parts[2] in ("show", "no", "unrated", "skip"):
            return int(parts[3])
    return None


def texts(message):
    return [button.text for button in buttons(message)]
