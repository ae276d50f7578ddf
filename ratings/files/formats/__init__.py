"""The layouts that are read, each in a module of its own; one is known by what is in the file."""

from ratings.files.formats import (
    filmtipset,
    imdb,
    kinopoisk,
    kinorium,
    letterboxd,
    movary,
    movielens,
    own,
    ryot,
    simkl,
    table,
    tmdb,
    trakt,
    yamtrack,
)

# The first whose marks are all there; the last three take any table
TABLES = [
    *(
        module.FORMAT
        for module in (own, tmdb, letterboxd, trakt, simkl, yamtrack, movary, movielens, kinopoisk, kinorium, imdb)
    ),
    filmtipset.FORMAT,
    table.TEN,
    table.FIVE,
    table.ANY,
]
LISTS = [letterboxd.LIST, movary.HISTORY, movary.WATCHLIST, movielens.LIST, table.LIST]  # without ratings
JSON = [simkl, ryot, trakt]
