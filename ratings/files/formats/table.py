"""Any table with recognizable columns, in English or Russian; also Letterboxd's import layout, which programs write."""

from ratings.files.formats.base import Field, TableFormat, column_key
from ratings.files.rows import Purpose, Scale

WANTED = (
    "plan to watch", "plantowatch", "plan_to_watch", "planning", "planned", "watchlist", "watch list", "wishlist",
    "want to", "to watch", "to see", "буду смотреть", "хочу посмотреть", "хочу смотреть", "смотреть позже",
    "к просмотру",
)  # fmt: skip
SEEN = ("completed", "watched", "seen", "просмотрен", "смотрел", "посмотрел")

COLUMNS = {
    "tmdb_id": ["tmdb id", "tmdb", "the movie db id", "themoviedb id", "id tmdb", "tmdb url", "guid"],
    "imdb_id": ["imdb id", "imdb", "const", "id imdb", "imdb url", "tconst", "guid"],
    "title": [
        "title", "name", "movie", "film", "movie title", "film title", "movie name", "film name",
        "название фильма", "фильмы", "кино", "заголовок",
        "название", "русское название", "русскоязычное название", "название на русском", "фильм", "наименование",
        "titel", "titre", "titulo", "titolo", "tytul", "tytuł", "назва", "name ru", "name rus", "title ru",
        "片名", "标题", "电影名",
    ],
    "original_title": [
        "original title", "original name", "english title", "оригинальное название", "название оригинала",
        "оригинал", "название на английском", "английское название", "originaltitel", "orginaltitel", "titre original",
        "titulo original", "titolo originale", "tytul oryginalny", "tytuł oryginalny", "оригінальна назва", "name en",
        "name eng", "name original", "title en",
    ],
    "year": [
        "year", "release year", "production year", "movie year", "год релиза", "год создания", "дата релиза",
 "release date", "release date month day year", "released", "год", "год выпуска",
        "год выхода", "дата выхода", "ar", "jahr", "annee", "ano", "anno", "rok", "рік", "年份", "上映日期",
    ],
    "kind": [
        "title type", "type", "media type", "category", "kind", "item type", "content type", "тип", "категория", "вид",
        "titeltyp", "typ", "tipo", "type de titre", "tipo di titolo", "tipo de titulo",
    ],
    "season": ["season number", "episode number", "season", "episode", "сезон", "эпизод"],
    "rating": [
        "exact rating", "rating 10", "your rating", "you rated", "my rating", "user rating", "my score", "your score",
        "user score", "points", "моя оценка", "ваша оценка", "личная оценка",
        "deine bewertung", "ihre bewertung", "votre note", "tu calificacion", "tu valoracion", "il tuo voto",
        "sua avaliacao", "sua nota", "rating", "score", "оценка", "рейтинг", "балл", "stars", "rating 5", "звезды",
        "my rating 10", "personal rating", "rate", "grade", "mark", "vote", "my vote", "your vote",
        "мой балл", "баллы", "мой рейтинг", "личный рейтинг", "оценка пользователя", "оценил", "оценила", "баллов",
        "la tua valutazione", "avaliacao", "valutazione", "valoracion",
        "moja ocena", "twoja ocena", "моя оцінка", "betyg", "bewertung", "note", "calificacion", "voto", "nota",
        "ocena", "оцінка", "mitt betyg", "我的评分", "个人评分", "评分",
    ],
    "date": [
        "date rated", "rated at", "rating date", "rated date", "date added", "created", "created at", "date",
        "added at", "rated on", "last rated at", "timestamp", "date of rating", "when", "когда", "оценено",
        "datum der bewertung", "date de la notation", "data della valutazione", "data da avaliacao", "fecha", "data",
        "дата оценки", "дата и время", "дата", "datum", "bewertet am", "date de notation", "fecha de calificacion",
        "data oceny", "дата оцінки", "bewertungsdatum", "date de la note", "data valutazione",
        "评分日期", "打分日期", "观看日期",
    ],
    "viewed": [
        "watched date", "watched on", "last viewed at", "last played date", "viewed at",
        "date watched", "watched at", "last watched at", "viewed date", "end date",
        "дата просмотра", "просмотрено", "дата добавления",
    ],
    "status": ["status", "watchlist", "list title", "list", "shelf", "статус", "список"],
}  # fmt: skip

# A column that says what it is out of; other names may mean five or ten
OUT_OF_TEN = ("exact rating", "rating 10", "my rating 10", "your rating")
OUT_OF_FIVE = ("stars", "rating 5", "звезды")


def purpose(field: Field) -> Purpose:
    """What the list says in which the row stands; a rating counts in any list."""
    status = field("status").casefold()
    if not field("rating") and status.startswith(WANTED):
        return Purpose.WANTED
    return Purpose.RATING


def list_purpose(field: Field) -> Purpose:
    """Of a list without ratings, by the name that it gives itself."""
    status = field("status").casefold()
    return Purpose.WANTED if status.startswith(WANTED) else Purpose.SEEN if status.startswith(SEEN) else Purpose.LISTED


def columns(*rating: str, **others: list[str]) -> dict[str, list[str]]:
    """The columns known everywhere, with these for the rating; `others` replaces further meanings."""
    return COLUMNS | ({"rating": list(rating)} if rating else {}) | others


TEN, FIVE, ANY = (
    TableFormat("", (), columns(*names), scale, purpose)
    for names, scale in ((OUT_OF_TEN, Scale.TEN), (OUT_OF_FIVE, Scale.FIVE), ((), Scale.UNKNOWN))
)

# Tables without ratings: of lists that name themselves, and of films alone
LIST = TableFormat("", (), COLUMNS, Scale.UNKNOWN, list_purpose, needs=("title", "status"))
TITLES = TableFormat("", (), COLUMNS, Scale.UNKNOWN, list_purpose, needs=("title", "year"))
# What else may stand in such a table; with another column, it may be the rating whose name is not known
BESIDE_TITLES = {
    column_key(name)
    for name in [
        *(name for names in COLUMNS.values() for name in names),
        "", "#", "№", "n", "position", "rank", "id", "url", "uri", "link", "ссылка", "genre", "genres", "жанр",
        "жанры", "director", "directors", "режиссер", "режиссеры", "actors", "актеры", "country", "countries", "страна",
        "страны", "runtime", "длительность", "description", "описание", "notes", "заметки", "tags",
        "letterboxd uri", "comment", "комментарий",
    ]
}  # fmt: skip
