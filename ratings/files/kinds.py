"""Whether a file's word for a kind means a film, in the languages in which services name kinds."""

from __future__ import annotations

import re
from functools import lru_cache

from movies.models import casefolded_text

# Parts of the names of what is rated like a film and is none
NO_FILM_PARTS = (
    "seri, sorozat, sarja, σειρά, show, шоу, сериал, серіал, серия, серии, program, программа, передача, émission, "
    "téléréalité, novela, dizi, dorama, дорама, ドラマ, シリーズ, 剧集, 劇集, 电视剧, 電視劇, 迷你剧, 连续剧, 드라마, "
    "시리즈, सीरीज़, مسلسل, סדרה, סדרת, "
    "episod, epizod, эпизод, епізод, odcinek, aflevering, avsnitt, afsnit, folge, bölüm, jakso, επεισόδιο, エピソード, "
    "에피소드, एपिसोड, حلقة, season, сезон, staffel, saison, temporada, stagione, sezon, säsong, tv pilot, "
    "game, видеоигр, відеогра, videojuego, videogioco, videospiel, videospil, videopeli, videohra, videojáték, "
    "jeu vidéo, tv-spel, joc video, gra wideo, jogo, oyun, παιχνίδι, ゲーム, 游戏, 遊戲, 게임, गेम, لعبة, משחק, "
    "manga, манга, podcast, подкаст, musi, muzyk, музык, клип, книга, livre, libro"
)
# Such names that mean nothing as a part of another
NO_FILM_NAMES = "tv, тв, anime, аниме, アニメ, ova, ona, игра, игры, гра, gra, פרק, novel, book, buch, person, персона"
# These make a film of it: Anime Film
FILM_PARTS = "movie, film, фильм, фільм, kino, pelicula, 映画, 电影, 電影, 영화, मूवी"
FILM_NAMES = "musical"


def pattern_of(parts: str, names: str) -> re.Pattern[str]:
    """Finds one of the parts in a folded text, or that it is one of the names."""
    folded = [casefolded_text(part) for part in parts.split(", ")]
    return re.compile("|".join([*folded, *(f"^{casefolded_text(name)}$" for name in names.split(", "))]))


NO_FILM, FILM = pattern_of(NO_FILM_PARTS, NO_FILM_NAMES), pattern_of(FILM_PARTS, FILM_NAMES)


@lru_cache(maxsize=1000)
def is_no_film(kind: str) -> bool:
    """Whether a service's word for a kind means a series, an episode, a game or anything else that is no film."""
    if not kind:
        return False
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind[:60])  # tvMovie
    folded = casefolded_text(spaced)
    return bool(NO_FILM.search(folded)) and not (FILM.search(folded) and not NO_FILM.search(FILM.sub("", folded)))
