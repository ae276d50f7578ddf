"""The layouts that are read, each in a module of its own; one is known by what is in the file."""

from ratings.files.formats import (
    criticker,
    douban,
    filmtipset,
    imdb,
    kinopoisk,
    kinorium,
    letterboxd,
    movary,
    movielens,
    mubi,
    own,
    plex,
    ryot,
    simkl,
    table,
    tmdb,
    trakt,
    tvtime,
    yamtrack,
)

# The first whose marks are all there; the last three take any table
SERVICES = (
    own, tmdb, letterboxd, trakt, simkl, yamtrack, movary, movielens, kinopoisk, kinorium, imdb, plex, criticker, mubi,
    douban, tvtime,
)  # fmt: skip
TABLES = [
    *(module.FORMAT for module in SERVICES),
    filmtipset.VOTES,
    filmtipset.FORMAT,
    table.TEN,
    table.FIVE,
    table.ANY,
]
LISTS = [letterboxd.LIST, movary.HISTORY, movary.WATCHLIST, movielens.LIST, table.LIST]  # without ratings
JSON = [simkl, ryot, trakt]
