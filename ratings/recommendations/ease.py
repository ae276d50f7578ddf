"""Films that go together, learned from everybody's ratings: the numbers behind /recommend (numpy, scipy; no database).

Weighted EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", arXiv:1905.03375). X is people x
films, 0 where there is no rating, else w = max(0, 1 + 0.3 * (rating - the person's mean)), ratings from 1 to 10:

    G = X'X          P = (G + regularisation * I)^-1          weight[i, j] = -P[i, j] / P[j, j], 0 for i == j

A person's score for film j is the sum of weight[i, j] * taste[i] over the films i they rated
(ratings.recommendations.user_profile).
Two things are added, both from the order in which a person rated, both worth more than any other method we tried:

- G also counts, beside whole people, stretches of about 20 and 100 ratings that a person made one after another: films
  rated together say more about each other than films rated years apart (STRETCHES).
- weight[i, j] is multiplied by how late in people's lists film j comes, compared with chance (`lateness`): what one
  rates first is what everybody has seen, and the question is what comes next.

How much order means is measured first (`order_strength`, 0..1): where times are missing or arbitrary, both switch off.
"""

from __future__ import annotations

import ctypes
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from ratings.recommendations.user_profile import SLOPE

STRETCHES = ((20, 0.3), (100, 0.3))  # (length in ratings, share of G); the rest of G is whole people
LATE_SCALE = 20, 0.5  # how far from the end of a list still counts as late: ratings at least, else a share of the list
LATE_PRIOR = 10  # imaginary ratings of average lateness that every film gets
BLOCK = 32  # films worked on at once: 32 x 20,000 float32 are 2.5 MB
ROWS = 8  # films whose neighbours are chosen at once
STRIP = 4096  # films turned at once, a multiple of BLOCK
PIVOTS = 40  # parts in which films are eliminated: what that needs is a twentieth of the matrix
TILE = 1024  # rows and columns of a product that is subtracted at once
GOLDEN = 0.6180339887498949  # spreads the offsets of people's stretches evenly


@dataclass
class Ratings:
    """Everybody's ratings, person by person, each person's latest first.

    films    int64[n_films]      ids, ascending
    starts   int64[n_people + 1] where each person's ratings start
    columns  int32[n]            index into films
    weights  float32[n]          w, times the root of the person's own weight
    later    int32[n]            how many ratings the same person made strictly later
    """

    films: np.ndarray
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    later: np.ndarray

    @property
    def people(self):
        return len(self.starts) - 1

    def matrix(self, starts=None):
        """X as rows x films; other `starts` cut the same ratings into other rows."""
        starts = self.starts if starts is None else starts
        kind = np.int32 if len(self.columns) < 2**31 else np.int64
        shape = (len(starts) - 1, len(self.films))
        return sparse.csr_matrix((self.weights, self.columns, starts.astype(kind)), shape=shape, copy=False)

    def stretches(self, length: int):
        """Starts of rows of about `length` consecutive ratings; equal times stay together, cuts differ by person."""
        person = np.repeat(np.arange(self.people, dtype=np.int32), np.diff(self.starts))
        offset = (np.arange(self.people) * GOLDEN % 1 * length).astype(np.int32)
        part = (self.later + offset[person]) // length
        cuts = np.flatnonzero((np.diff(part) != 0) | (np.diff(person) != 0)) + 1
        return np.concatenate(([0], cuts, [len(self.columns)]))

    def at_least(self, count: int):
        """Without the films that fewer than `count` people rated."""
        rated = np.bincount(self.columns, minlength=len(self.films))
        keep = rated >= count
        if keep.all():
            return self
        return self.of_films(keep)

    def forget(self) -> None:
        """Give the memory of the ratings back; the films stay."""
        self.columns, self.weights, self.later = self.columns[:0], self.weights[:0], self.later[:0]

    def of_films(self, keep):
        """Only the films whose place in the mask `keep` is true."""
        mine = keep[self.columns]
        before = np.concatenate(([0], np.cumsum(mine)))
        columns = (np.cumsum(keep) - 1).astype(np.int32)[self.columns[mine]]
        return Ratings(self.films[keep], before[self.starts], columns, self.weights[mine], self.later[mine])


def read(chunks):
    """Ratings from an iterable of (people, films, ratings, times[, weight]): equally long arrays.

    One person's rows stand together; a person may go on in the next chunk. ratings: 1..10; times: any numbers that
    grow; weight: how much each person of the chunk counts (1). Needs 12 bytes a rating, 20 while it ends.
    """
    found = array("i"), array("f"), array("i"), array("q")  # film ids, weights, later; ratings of each person
    rest = None
    for chunk in chunks:
        people, films, ratings, times = (np.asarray(column) for column in chunk[:4])
        if not len(people):
            continue
        columns = [
            people,
            films,
            ratings.astype(np.float32),
            times,
            np.full(len(people), chunk[4] if len(chunk) > 4 else 1.0),
        ]
        if rest is not None:
            columns = [np.concatenate(pair) for pair in zip(rest, columns, strict=True)]
        last = np.flatnonzero(columns[0] != columns[0][-1])
        cut = last[-1] + 1 if len(last) else 0
        rest = [column[cut:] for column in columns]
        if cut:
            _add(columns, cut, found)
    if rest is not None:
        _add(rest, len(rest[0]), found)
    columns, weights, later, lengths = (np.frombuffer(column, column.typecode) for column in found)
    films = np.unique(columns)
    for start in range(0, len(columns), 1 << 20):  # in place, and in parts: searchsorted answers in int64
        part = columns[start : start + (1 << 20)]
        part[:] = np.searchsorted(films, part)
    return Ratings(films.astype(np.int64), np.concatenate(([0], np.cumsum(lengths))), columns, weights, later)


def _add(columns, end, found) -> None:
    people, films, ratings, times, counts = (column[:end] for column in columns)
    starts = np.concatenate(([0], np.flatnonzero(people[1:] != people[:-1]) + 1))
    length = np.diff(np.append(starts, end))
    person = np.repeat(np.arange(len(starts)), length)
    order = np.lexsort((films, -times, person))
    mean = np.add.reduceat(ratings, starts) / length
    weight = np.maximum(0, 1 + SLOPE * (ratings - mean[person])) * np.sqrt(counts)
    place = np.arange(end) - starts[person]
    moved = np.concatenate(([True], (np.diff(times[order]) != 0) | (np.diff(person) != 0)))
    first = np.maximum.accumulate(np.where(moved, np.arange(end), 0))  # of the run of equal times
    for column, values in zip(found, (films[order], weight[order], place[first], length), strict=True):
        column.frombytes(values.astype(column.typecode).tobytes())


def order_strength(ratings, pairs: int = 6000, near: int = 3, seed: int = 0):
    """0..1: how much more alike are two films that a person rated one after another than two films far apart.

    Alike: the cosine of the films' columns without that person, so that chance gives a ratio of 1 whatever the data.
    MovieLens gives 1.15 to 1.25 (so 1.0 here) from 25 people on, shuffled times 0.98 to 1.02.
    """
    rng = np.random.default_rng(seed)
    many = np.flatnonzero(np.diff(ratings.starts) >= 10)
    if not len(many):
        return 0.0
    one, close, far = [], [], []
    for person in rng.choice(many, pairs):
        start, end = ratings.starts[person : person + 2]
        index = rng.integers(end - start)
        apart = np.abs(ratings.later[start:end] - ratings.later[start + index])
        here, there = np.flatnonzero((apart > 0) & (apart <= near)), np.flatnonzero(apart > near)
        if len(here) and len(there):
            one.append(start + index)
            close.append(start + rng.choice(here))
            far.append(start + rng.choice(there))
    if len(one) < pairs / 10:
        return 0.0
    by_film = ratings.matrix().tocsc()
    squares = np.bincount(ratings.columns, ratings.weights.astype(float) ** 2, len(ratings.films))

    def alike(left, right):
        a, b = ratings.columns[left], ratings.columns[right]
        u, v = ratings.weights[left].astype(float), ratings.weights[right].astype(float)
        parts = (slice(start, start + 100) for start in range(0, len(a), 100))
        both = np.concatenate([by_film[:, a[part]].multiply(by_film[:, b[part]]).sum(axis=0).A1 for part in parts])
        return ((both - u * v) / np.sqrt((squares[a] - u * u + 1) * (squares[b] - v * v + 1))).mean()

    base = alike(np.array(one), np.array(far))
    ratio = alike(np.array(one), np.array(close)) / base if base > 0 else 1.0
    return float(np.clip((ratio - 1.02) / 0.13, 0, 1))


def lateness(ratings):
    """float32[n_films]: how late in people's lists a film comes, compared with chance; 1 is as chance has it."""
    length = np.diff(ratings.starts)
    scale = np.maximum(LATE_SCALE[0], LATE_SCALE[1] * length).astype(np.float32)
    late = np.exp(-ratings.later / np.repeat(scale, length))
    some = length > 0
    mean = np.zeros(len(length))
    mean[some] = np.add.reduceat(late, ratings.starts[:-1][some]) / length[some]
    count = len(ratings.films)
    seen = np.bincount(ratings.columns, late, count)
    chance = np.bincount(ratings.columns, np.repeat(mean, length), count)
    prior = LATE_PRIOR * (mean * length).sum() / max(1, length.sum())
    return ((seen + prior) / (chance + prior)).astype(np.float32)


def popularity(ratings):
    """float64[n_films]: the share of all weight that went to a film; sums to 1. What everybody has seen leads to."""
    total = np.bincount(ratings.columns, ratings.weights, len(ratings.films))
    return total / max(total.sum(), 1)


@dataclass
class Neighbours:
    """A finished table, still in memory: `by_film()` gives it film by film."""

    ratings: Ratings
    order: float  # order_strength
    per_film: int
    most: int
    nearest: int
    head: np.ndarray  # columns of ratings.films that P is about
    inverse: np.ndarray  # P, float32[head, head]
    late: np.ndarray
    regularisation: float

    def by_film(self):
        """(film id, neighbour ids, weights, n) of one film after another; the first n are the most alike, best first.

        weights: what one unit of liking the film adds to each neighbour's score, may be negative. Films with fewest
        ratings come first, since those of the dense part lead back to them.
        """
        back = []
        yield from self._tail(back)
        theirs, tail, weights = back[0] if back else (np.empty(0, int), np.empty(0, int), np.empty(0, np.float32))
        films = self.ratings.films[self.head]
        starts = np.searchsorted(theirs, np.append(self.head, len(self.ratings.films)))
        scale = -self.late[self.head] / self.inverse.diagonal()
        root = np.sqrt(self.inverse.diagonal())
        cut = self._threshold(scale)
        nearest = min(self.nearest, len(films) - 1)
        for start in range(0, len(films), ROWS):
            rows = self.inverse[start : start + ROWS]
            here = np.arange(len(rows))
            weight = rows * scale
            alike = -rows / root  # partial correlation but for a factor of the row's own
            weight[here, start + here] = 0
            alike[here, start + here] = -np.inf
            size = np.abs(weight)
            keep = size >= cut
            for row in np.flatnonzero(keep.sum(axis=1) > self.most):
                keep[row] &= size[row] >= np.partition(size[row], -self.most)[-self.most]
            for row in here:
                near = np.argpartition(-alike[row], nearest - 1)[:nearest] if nearest > 0 else here[:0]
                near = near[np.argsort(-alike[row, near], kind="stable")]
                near = near[alike[row, near] > 0]
                keep[row, near] = False
                columns = np.concatenate((near, np.flatnonzero(keep[row])))
                more = slice(starts[start + row], starts[start + row + 1])
                yield (
                    films[start + row],
                    np.concatenate((films[columns], self.ratings.films[tail[more]])),
                    np.concatenate((weight[row, columns], weights[more])),
                    len(near),
                )

    def _threshold(self, scale):
        """The |weight| that `per_film` neighbours a film reach, to a part in 2,000: counted by first bits."""
        bins = np.zeros(1 << 19, np.int64)  # the first bits of all floats that are not negative
        for start in range(0, len(self.inverse), ROWS):
            weight = np.abs(self.inverse[start : start + ROWS] * scale)
            here = np.arange(len(weight))
            weight[here, start + here] = 0
            bins += np.bincount(weight.view(np.int32).ravel() >> 12, minlength=len(bins))
        bins[0] = 0
        above = np.cumsum(bins[::-1])[::-1]
        enough = np.flatnonzero(above >= max(1, self.per_film * len(self.inverse)))
        return np.array([(enough[-1] if len(enough) else 1) << 12], np.int32).view(np.float32)[0]

    def _tail(self, back):
        """Cosine neighbours, shrunk as EASE shrinks, for the films that are not in P.

        What leads from films of P to these is put into `back`, in the end by column of P's film: (columns of P's
        films, columns of the others, weights).
        """
        ratings = self.ratings
        tail = np.setdiff1d(np.arange(len(ratings.films)), self.head)
        if not len(tail):
            return
        matrix = ratings.matrix()
        squares = np.bincount(ratings.columns, ratings.weights**2, len(ratings.films))
        root = np.sqrt(squares + self.regularisation)
        in_head = np.zeros(len(ratings.films), bool)
        in_head[self.head] = True
        by_film = matrix.T.tocsr()
        for start in range(0, len(tail), BLOCK):
            columns = tail[start : start + BLOCK]
            block = (by_film[columns] @ matrix).tocsr()
            for row, mine in enumerate(columns):
                part = slice(block.indptr[row], block.indptr[row + 1])
                theirs = block.indices[part]
                weight = block.data[part] / (root[mine] * root[theirs])
                best = np.argsort(-weight, kind="stable")
                best = best[theirs[best] != mine][: self.nearest]
                theirs, weight = theirs[best], weight[best].astype(np.float32)
                yield ratings.films[mine], ratings.films[theirs], weight * self.late[theirs], len(theirs)
                head = in_head[theirs]
                back.append((theirs[head], np.full(head.sum(), mine), weight[head] * self.late[mine]))
        columns, films, weights = (np.concatenate(part) for part in zip(*back, strict=True))
        order = np.argsort(columns, kind="stable")
        back[:] = [(columns[order], films[order], weights[order])]


def build(
    ratings,
    *,
    regularisation: float = 300.0,
    per_film: int = 50,
    most: int = 200,
    nearest: int = 10,
    dense_limit: int = 30_000,
    order=None,
    workers: int = 2,
    tell=lambda words: None,
):
    """Neighbours of `ratings`: about `per_film` a film, `most` at most, the `nearest` most alike in any case.

    Memory: 4 * films^2 bytes and some 20 bytes a rating. Films past `dense_limit`, fewest ratings first, get cosines;
    where there are none, `ratings` is used up: its films stay. `tell` hears now and then what is being done; it may
    raise, which ends the build. Raises ArithmeticError where the ratings hold what is no number.
    """
    order = order_strength(ratings) if order is None else order
    late = lateness(ratings) ** order
    dense, head = ratings, np.arange(len(ratings.films))
    if len(head) > dense_limit:
        rated = np.bincount(ratings.columns, minlength=len(ratings.films))
        head = np.sort(np.argsort(-rated, kind="stable")[:dense_limit])
        keep = np.zeros(len(ratings.films), bool)
        keep[head] = True
        dense = ratings.of_films(keep)
    parts = [(dense.starts, 1 - order * sum(share for _, share in STRETCHES))]
    if order:
        parts += [(dense.stretches(length), order * share) for length, share in STRETCHES]
    give_back()
    if sum(len(starts) for starts, _ in parts) * 3 < len(head):
        inverse = _inverse_by_people(dense, parts, regularisation, workers, tell)
    else:
        inverse = _gram(((dense.matrix(starts), share) for starts, share in parts), len(head), workers, tell)
        inverse[np.diag_indices_from(inverse)] += regularisation
        del parts
        if dense is ratings:
            ratings.forget()
        give_back()
        tell("weighing films against each other")
        _invert(inverse)
    return Neighbours(ratings, order, per_film, most, nearest, head, inverse, late, regularisation)


def give_back() -> None:
    """Have what was freed go back to the system, which the C library would keep for later; glibc only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _gram(matrices, size, workers, tell):
    """Sum of share * X'X over (X, share), float32[size, size]."""
    out = np.zeros((size, size), np.float32)
    for matrix, share in matrices:
        _add_products(out, matrix, np.float32(share), workers, tell)
    return out


def _add_products(out, matrix, share, workers, tell) -> None:
    def add(start) -> None:
        part = (turned[start : start + BLOCK] @ matrix).toarray()
        part *= share
        out[first + start : first + start + BLOCK] += part

    with ThreadPoolExecutor(workers) as pool:  # scipy multiplies without the interpreter's lock
        for first in range(0, len(out), STRIP):
            tell(f"counting what was rated together: film {first} of {len(out)}")
            turned = matrix[:, first : first + STRIP].T.tocsr()
            list(pool.map(add, range(0, turned.shape[0], BLOCK)))


def _invert(matrix) -> None:
    """Inverse of a symmetric positive definite float32 matrix, in its own memory (Gauss-Jordan, by blocks).

    LAPACK's Cholesky of the whole is quicker by a third, but that of OpenBLAS 0.3.30 writes past its buffers from some
    27,000 rows on.
    """
    size = len(matrix)
    step = max(64, -(-size // PIVOTS))
    column, swept = np.empty((2, size, step), np.float32)
    tile = np.empty(TILE * TILE, np.float32)
    for start in range(0, size, step):  # the triangle above the diagonal becomes that of -inverse
        here = slice(start, min(start + step, size))
        pivot = _inverse_of_pivot(matrix[here, here], start)
        rows, after = column[:, : len(pivot)], swept[:, : len(pivot)]
        rows[:start], rows[here], rows[here.stop :] = matrix[:start, here], 0, matrix[here, here.stop :].T
        np.matmul(rows, pivot, out=after)
        for top in range(0, size, TILE):
            for left in range(top, size, TILE):
                part = matrix[top : top + TILE, left : left + TILE]
                product = tile[: part.size].reshape(part.shape)
                part -= np.matmul(after[top : top + TILE], rows[left : left + TILE].T, out=product)
        matrix[:start, here], matrix[here, here] = after[:start], -pivot
        matrix[here, here.stop :] = after[here.stop :].T
    for start in range(0, size, BLOCK):
        end = start + BLOCK
        matrix[start:end, start:] *= -1
        matrix[end:, start:end] = matrix[start:end, end:].T
        matrix[start:end, start:end] = _mirrored(matrix[start:end, start:end])


def _inverse_of_pivot(matrix, start):
    inverse, failed = lapack.spotrf(matrix.T, lower=1)  # LAPACK counts by columns
    if not failed:
        inverse, failed = lapack.spotri(inverse, lower=1)
    if failed or not np.isfinite(inverse).all():
        raise ArithmeticError(f"not positive definite past {start}: are there numbers among the ratings that are none?")
    return _mirrored(inverse.T)


def _mirrored(matrix):
    return np.triu(matrix) + np.triu(matrix, 1).T


def _inverse_by_people(ratings, parts, regularisation, workers, tell):
    """The same P where rows are few: (X'X + r I)^-1 = (I - X' (XX' + r I)^-1 X) / r (Woodbury)."""
    rows = sparse.vstack([ratings.matrix(starts) * np.float32(np.sqrt(share)) for starts, share in parts], format="csr")
    small = _gram([(rows.T.tocsr(), 1.0)], rows.shape[0], workers, tell)
    small[np.diag_indices_from(small)] += regularisation
    _invert(small)
    out = np.empty((rows.shape[1], rows.shape[1]), np.float32)
    by_film = rows.T.tocsr()
    for start in range(0, len(out), BLOCK):
        here = by_film[start : start + BLOCK]
        out[start : start + BLOCK] = -(by_film @ (here @ small).T).T / regularisation
    out[np.diag_indices_from(out)] += 1 / regularisation
    return out
