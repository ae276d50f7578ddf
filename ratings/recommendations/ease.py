"""The item-item model behind /recommend, learned from all users' ratings (numpy, scipy; no database).

Weighted EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", arXiv:1905.03375). X is users x
movies, 0 where there is no rating, else w = max(0, 1 + 0.3 * (rating - the user's mean)), ratings from 1 to 10:

    G = X'X          P = (G + regularisation * I)^-1          weight[i, j] = -P[i, j] / P[j, j], 0 for i == j

A user's score for movie j is the sum of weight[i, j] * vector[i] over the movies i they rated
(ratings.recommendations.user_profile).
Two things are added, both from the order in which a user rated, both worth more than any other method we tried:

- G counts, as well as whole users, sessions of about 20 and 100 consecutive ratings of a user: movies rated together
  say more about each other than movies rated years apart (SESSIONS).
- weight[i, j] is multiplied by how late in users' lists movie j comes, compared with chance (`novelty`): users rate
  first what everyone has seen, and the question is what comes next.

How much information the order carries is measured first (`order_weight`, 0-1): where times are missing or arbitrary,
both are off.

Only the training process imports this module; arrays are float32 where they are large.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import lapack

from ratings.recommendations.user_profile import RATING_SLOPE

SESSIONS = ((20, 0.3), (100, 0.3))  # (length in ratings, share of G); the rest of G is whole users
NOVELTY_SCALE = 20, 0.5  # how far from the end of a list counts as late: ratings at least, else a share of the list
NOVELTY_PRIOR = 10  # imaginary ratings of average novelty that every movie gets
MIN_RATINGS_FOR_ORDER = 10  # of a user whose list tells whether the order carries information
ORDER_RATIO_RANGE = 1.02, 0.13  # the ratio of order_weight() that means 0, and how much more means 1
BLOCK_ROWS = 32  # movies multiplied at once: 32 x 20,000 float32 are 2.5 MB
SELECTION_ROWS = 8  # movies whose neighbours are selected at once
STRIP_COLUMNS = 4096  # movies transposed at once, a multiple of BLOCK_ROWS
PIVOT_BLOCKS = 40  # blocks in which the matrix is inverted: that needs a twentieth of the matrix as scratch space
TILE_ROWS = 1024  # rows and columns of a product that is subtracted at once
GOLDEN_RATIO = 0.6180339887498949  # spreads the offsets of users' sessions evenly

Report = Callable[[str], None]  # called with the step in words; may raise, which ends the training
FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
SmallIndexArray = npt.NDArray[np.int32]


class RatingChunk(NamedTuple):
    """Ratings as equally long arrays [n]; a user's rows stand together, and may continue in the next chunk."""

    user_ids: IndexArray
    movie_ids: IndexArray
    ratings: npt.NDArray[np.number]  # 1-10
    rated_at: npt.NDArray[np.number]  # any numbers that grow with time
    user_weight: float = 1.0  # how much each user of the chunk counts


class MovieNeighbours(NamedTuple):
    """What a movie leads to; the first `n_nearest` neighbours are the most similar, best first."""

    movie_id: int
    neighbour_ids: IndexArray  # [n]
    weights: FloatArray  # [n]; added to each neighbour's score for one unit of the movie; may be negative
    n_nearest: int


@dataclass
class RatingMatrix:
    """X in compressed sparse rows: all ratings, user by user, each user's latest first.

    movie_ids    int64[n_movies]     ascending
    user_starts  int64[n_users + 1]  where each user's ratings start
    columns      int32[n]            index into movie_ids
    weights      float32[n]          w, times the root of the user's own weight
    later        int32[n]            how many ratings the same user made strictly later
    """

    movie_ids: IndexArray
    user_starts: IndexArray
    columns: SmallIndexArray
    weights: FloatArray
    later: SmallIndexArray

    @property
    def n_users(self) -> int:
        return len(self.user_starts) - 1

    def to_csr(self, starts: IndexArray | None = None) -> sparse.csr_matrix:
        """X, float32[n_users, n_movies]; other `starts` cut the same ratings into other rows."""
        starts = self.user_starts if starts is None else starts
        index_type = np.int32 if len(self.columns) < 2**31 else np.int64
        shape = (len(starts) - 1, len(self.movie_ids))
        return sparse.csr_matrix((self.weights, self.columns, starts.astype(index_type)), shape=shape, copy=False)

    def session_starts(self, length: int) -> IndexArray:
        """Starts of rows of about `length` consecutive ratings; equal times stay together, cuts differ by user."""
        user = np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.user_starts))
        offset = (np.arange(self.n_users) * GOLDEN_RATIO % 1 * length).astype(np.int32)
        session = (self.later + offset[user]) // length
        cuts = np.flatnonzero((np.diff(session) != 0) | (np.diff(user) != 0)) + 1
        return np.concatenate(([0], cuts, [len(self.columns)]))

    def with_min_count(self, min_count: int) -> RatingMatrix:
        """Without the movies that fewer than `min_count` users rated."""
        selected = np.bincount(self.columns, minlength=len(self.movie_ids)) >= min_count
        return self if selected.all() else self.select_movies(selected)

    def select_movies(self, selected: npt.NDArray[np.bool_]) -> RatingMatrix:
        """Only the movies for which the mask `selected` [n_movies] is true."""
        chosen = selected[self.columns]
        chosen_before = np.concatenate(([0], np.cumsum(chosen)))
        columns = (np.cumsum(selected) - 1).astype(np.int32)[self.columns[chosen]]
        starts = chosen_before[self.user_starts]
        return RatingMatrix(self.movie_ids[selected], starts, columns, self.weights[chosen], self.later[chosen])

    def drop_ratings(self) -> None:
        """Free the memory of the ratings; the movie ids stay."""
        self.columns, self.weights, self.later = self.columns[:0], self.weights[:0], self.later[:0]


class _Columns(NamedTuple):
    """RatingMatrix while it is read: growing arrays of C numbers."""

    movie_ids: array[int]
    weights: array[float]
    later: array[int]
    user_lengths: array[int]  # ratings of each user


def read_ratings(chunks: Iterable[RatingChunk]) -> RatingMatrix:
    """The matrix of all ratings. Needs 12 bytes a rating, 20 while it ends."""
    read = _Columns(array("i"), array("f"), array("i"), array("q"))
    rest: list[npt.NDArray[Any]] = []  # the last user's columns, of several types: they may continue in the next chunk
    for chunk in chunks:
        if not len(chunk.user_ids):
            continue
        user_weights = np.full(len(chunk.user_ids), chunk.user_weight)
        columns: list[npt.NDArray[Any]] = [chunk.user_ids, chunk.movie_ids, chunk.ratings.astype(np.float32)]
        columns += [chunk.rated_at, user_weights]
        if rest:
            columns = [np.concatenate(pair) for pair in zip(rest, columns, strict=True)]
        of_others = np.flatnonzero(columns[0] != columns[0][-1])
        end = int(of_others[-1]) + 1 if len(of_others) else 0
        rest = [column[end:] for column in columns]
        if end:
            _append_users([column[:end] for column in columns], read)
    if rest:
        _append_users(rest, read)
    indexes = np.frombuffer(read.movie_ids, np.int32)
    movie_ids = np.unique(indexes)
    for start in range(0, len(indexes), 1 << 20):  # in place, and in parts: searchsorted returns int64
        part = indexes[start : start + (1 << 20)]
        part[:] = np.searchsorted(movie_ids, part)
    weights, later = np.frombuffer(read.weights, np.float32), np.frombuffer(read.later, np.int32)
    starts = np.concatenate(([0], np.cumsum(np.frombuffer(read.user_lengths, np.int64))))
    return RatingMatrix(movie_ids.astype(np.int64), starts, indexes, weights, later)


def _append_users(columns: list[npt.NDArray[Any]], read: _Columns) -> None:
    """Add whole users: `columns` are user ids, movie ids, ratings, times and user weights, equally long."""
    users, movies, ratings, times, user_weights = columns
    starts = np.concatenate(([0], np.flatnonzero(users[1:] != users[:-1]) + 1))
    length = np.diff(np.append(starts, len(users)))
    user = np.repeat(np.arange(len(starts)), length)
    order = np.lexsort((movies, -times, user))
    mean = np.add.reduceat(ratings, starts) / length
    weight = np.maximum(0, 1 + RATING_SLOPE * (ratings - mean[user])) * np.sqrt(user_weights)
    place = np.arange(len(users)) - starts[user]
    new_time = np.concatenate(([True], (np.diff(times[order]) != 0) | (np.diff(user) != 0)))
    first = np.maximum.accumulate(np.where(new_time, np.arange(len(users)), 0))  # of each run of equal times
    read.movie_ids.frombytes(movies[order].astype(np.int32).tobytes())
    read.weights.frombytes(weight[order].astype(np.float32).tobytes())
    read.later.frombytes(place[first].astype(np.int32).tobytes())
    read.user_lengths.frombytes(length.astype(np.int64).tobytes())


def order_weight(ratings: RatingMatrix, pairs: int = 6000, max_distance: int = 3, seed: int = 0) -> float:
    """0-1: how much more similar two movies are that a user rated one after another than two far apart.

    Compares, over random `pairs`, the mean cosine of the movies' columns without that user, so that chance gives a
    ratio of 1 whatever the data. MovieLens gives 1.15-1.25 (so 1.0 here) from 25 users on, shuffled times 0.98-1.02.
    """
    rng = np.random.default_rng(seed)
    candidates = np.flatnonzero(np.diff(ratings.user_starts) >= MIN_RATINGS_FOR_ORDER)
    if not len(candidates):
        return 0.0
    one, near, far = [], [], []
    for user in rng.choice(candidates, pairs):
        start, end = ratings.user_starts[user : user + 2]
        index = rng.integers(end - start)
        distance = np.abs(ratings.later[start:end] - ratings.later[start + index])
        here, there = (
            np.flatnonzero((distance > 0) & (distance <= max_distance)),
            np.flatnonzero(distance > max_distance),
        )
        if len(here) and len(there):
            one.append(start + index)
            near.append(start + rng.choice(here))
            far.append(start + rng.choice(there))
    if len(one) < pairs / 10:
        return 0.0
    by_movie = ratings.to_csr().tocsc()
    squares = np.bincount(ratings.columns, ratings.weights.astype(float) ** 2, len(ratings.movie_ids))

    def mean_cosine(left: IndexArray, right: IndexArray) -> float:
        a, b = ratings.columns[left], ratings.columns[right]
        u, v = ratings.weights[left].astype(float), ratings.weights[right].astype(float)
        parts = (slice(start, start + 100) for start in range(0, len(a), 100))
        both = np.concatenate([by_movie[:, a[part]].multiply(by_movie[:, b[part]]).sum(axis=0).A1 for part in parts])
        return float(((both - u * v) / np.sqrt((squares[a] - u * u + 1) * (squares[b] - v * v + 1))).mean())

    base = mean_cosine(np.array(one), np.array(far))
    ratio = mean_cosine(np.array(one), np.array(near)) / base if base > 0 else 1.0
    neutral, span = ORDER_RATIO_RANGE
    return float(np.clip((ratio - neutral) / span, 0, 1))


def novelty(ratings: RatingMatrix) -> FloatArray:
    """float32[n_movies]: how late in users' lists a movie comes, compared with chance, which gives 1."""
    length = np.diff(ratings.user_starts)
    scale = np.maximum(NOVELTY_SCALE[0], NOVELTY_SCALE[1] * length).astype(np.float32)
    late = np.exp(-ratings.later / np.repeat(scale, length))
    non_empty = length > 0
    mean = np.zeros(len(length))
    mean[non_empty] = np.add.reduceat(late, ratings.user_starts[:-1][non_empty]) / length[non_empty]
    n_movies = len(ratings.movie_ids)
    observed = np.bincount(ratings.columns, late, n_movies)
    expected = np.bincount(ratings.columns, np.repeat(mean, length), n_movies)
    prior = NOVELTY_PRIOR * (mean * length).sum() / max(1, length.sum())
    ratio: DoubleArray = (observed + prior) / (expected + prior)
    return ratio.astype(np.float32)


def popularity(ratings: RatingMatrix) -> DoubleArray:
    """float64[n_movies]: the share of all weight that went to a movie; sums to 1."""
    total = np.bincount(ratings.columns, ratings.weights, len(ratings.movie_ids))
    share: DoubleArray = total / max(total.sum(), 1)
    return share


@dataclass
class EaseModel:
    """A finished model, still in memory: `by_movie()` yields it movie by movie."""

    ratings: RatingMatrix
    order: float  # order_weight()
    per_movie: int
    max_per_movie: int
    nearest: int
    head: IndexArray  # [n_head], ascending: the columns of ratings.movie_ids that P is about
    inverse: FloatArray  # P [n_head, n_head]
    novelty: FloatArray  # [n_movies]
    regularisation: float

    def by_movie(self) -> Iterator[MovieNeighbours]:
        """One movie after another; those outside P, with the fewest ratings, first, since P's lead back to them."""
        links = _TailLinks()
        yield from self._tail(links)
        tail_columns, tail_weights, starts = links.by_head(self.head, len(self.ratings.movie_ids))
        movie_ids = self.ratings.movie_ids[self.head]
        scale = -self.novelty[self.head] / self.inverse.diagonal()
        root = np.sqrt(self.inverse.diagonal())
        threshold = self._threshold(scale)
        nearest = min(self.nearest, len(movie_ids) - 1)
        for start in range(0, len(movie_ids), SELECTION_ROWS):
            rows = self.inverse[start : start + SELECTION_ROWS]
            here = np.arange(len(rows))
            weight = rows * scale
            similarity = -rows / root  # partial correlation but for a factor of the row's own
            weight[here, start + here] = 0
            similarity[here, start + here] = -np.inf
            selected = self._largest(np.abs(weight), threshold)
            for row in here:
                near = np.argpartition(-similarity[row], nearest - 1)[:nearest] if nearest > 0 else here[:0]
                near = near[np.argsort(-similarity[row, near], kind="stable")]
                near = near[similarity[row, near] > 0]
                selected[row, near] = False
                columns = np.concatenate((near, np.flatnonzero(selected[row])))
                more = slice(starts[start + row], starts[start + row + 1])
                yield MovieNeighbours(
                    int(movie_ids[start + row]),
                    np.concatenate((movie_ids[columns], self.ratings.movie_ids[tail_columns[more]])),
                    np.concatenate((weight[row, columns], tail_weights[more])),
                    len(near),
                )

    def _largest(self, sizes: FloatArray, threshold: np.float32) -> npt.NDArray[np.bool_]:
        """Mask of the `sizes` [rows, n_head] that reach the threshold, about `max_per_movie` a row at most."""
        selected = sizes >= threshold
        for row in np.flatnonzero(selected.sum(axis=1) > self.max_per_movie):
            selected[row] &= sizes[row] >= np.partition(sizes[row], -self.max_per_movie)[-self.max_per_movie]
        return selected

    def _threshold(self, scale: FloatArray) -> np.float32:
        """The |weight| that `per_movie` neighbours a movie reach, to a part in 2,000: a histogram of the first bits."""
        bins = np.zeros(1 << 19, np.int64)  # the first bits of all floats that are not negative
        for start in range(0, len(self.inverse), SELECTION_ROWS):
            weight = np.abs(self.inverse[start : start + SELECTION_ROWS] * scale)
            here = np.arange(len(weight))
            weight[here, start + here] = 0
            bins += np.bincount(weight.view(np.int32).ravel() >> 12, minlength=len(bins))
        bins[0] = 0
        above = np.cumsum(bins[::-1])[::-1]
        enough = np.flatnonzero(above >= max(1, self.per_movie * len(self.inverse)))
        bits = np.array([(enough[-1] if len(enough) else 1) << 12], np.int32)
        return np.float32(bits.view(np.float32)[0])

    def _tail(self, links: _TailLinks) -> Iterator[MovieNeighbours]:
        """Cosine neighbours, shrunk as EASE shrinks, of the movies outside P; the way back goes into `links`."""
        ratings = self.ratings
        tail = np.setdiff1d(np.arange(len(ratings.movie_ids)), self.head)
        if not len(tail):
            return
        matrix = ratings.to_csr()
        squares = np.bincount(ratings.columns, ratings.weights**2, len(ratings.movie_ids))
        root = np.sqrt(squares + self.regularisation)
        in_head = np.zeros(len(ratings.movie_ids), bool)
        in_head[self.head] = True
        by_movie = matrix.T.tocsr()
        for start in range(0, len(tail), BLOCK_ROWS):
            columns = tail[start : start + BLOCK_ROWS]
            block = (by_movie[columns] @ matrix).tocsr()
            for row, column in enumerate(columns):
                part = slice(block.indptr[row], block.indptr[row + 1])
                others = block.indices[part]
                cosine = block.data[part] / (root[column] * root[others])
                best = np.argsort(-cosine, kind="stable")
                best = best[others[best] != column][: self.nearest]
                others, cosine = others[best], cosine[best].astype(np.float32)
                weights = cosine * self.novelty[others]
                yield MovieNeighbours(int(ratings.movie_ids[column]), ratings.movie_ids[others], weights, len(others))
                head = in_head[others]
                links.add(others[head], column, cosine[head] * self.novelty[column])


class _TailLinks:
    """Weights that lead from movies of P to movies outside it, by columns of RatingMatrix.movie_ids."""

    def __init__(self) -> None:
        self.sources: list[IndexArray] = [np.empty(0, int)]
        self.targets: list[IndexArray] = [np.empty(0, int)]
        self.weights: list[FloatArray] = [np.empty(0, np.float32)]

    def add(self, sources: IndexArray, target: int, weights: FloatArray) -> None:
        self.sources.append(sources)
        self.targets.append(np.full(len(sources), target))
        self.weights.append(weights)

    def by_head(self, head: IndexArray, n_movies: int) -> tuple[IndexArray, FloatArray, IndexArray]:
        """(targets, weights, starts [n_head + 1]): the links of head[i] are those from starts[i] to starts[i + 1]."""
        sources = np.concatenate(self.sources)
        order = np.argsort(sources, kind="stable")
        starts = np.searchsorted(sources[order], np.append(head, n_movies))
        return np.concatenate(self.targets)[order], np.concatenate(self.weights)[order], starts


def fit(
    ratings: RatingMatrix,
    *,
    regularisation: float = 300.0,
    per_movie: int = 50,
    max_per_movie: int = 200,
    nearest: int = 10,
    dense_limit: int = 30_000,
    order: float | None = None,
    workers: int = 2,
    report: Report = lambda words: None,
) -> EaseModel:
    """A model with about `per_movie` neighbours a movie, `max_per_movie` at most, the `nearest` in any case.

    Memory: 4 * movies^2 bytes and some 20 bytes a rating. Movies past `dense_limit`, fewest ratings first, get cosines;
    where there are none, `ratings` is used up: only its movie ids stay. `order`: instead of the measured
    order_weight(). Raises ArithmeticError where a rating is not a finite number.
    """
    order = order_weight(ratings) if order is None else order
    late = novelty(ratings) ** order
    dense, head = ratings, np.arange(len(ratings.movie_ids))
    if len(head) > dense_limit:
        rated = np.bincount(ratings.columns, minlength=len(ratings.movie_ids))
        head = np.sort(np.argsort(-rated, kind="stable")[:dense_limit])
        in_head = np.zeros(len(ratings.movie_ids), bool)
        in_head[head] = True
        dense = ratings.select_movies(in_head)
    parts = [(dense.user_starts, 1 - order * sum(share for _length, share in SESSIONS))]
    if order:
        parts += [(dense.session_starts(length), order * share) for length, share in SESSIONS]
    trim_heap()
    if sum(len(starts) for starts, _share in parts) * 3 < len(head):
        inverse = _inverse_by_users(dense, parts, regularisation, workers, report)
    else:
        inverse = _gram(((dense.to_csr(starts), share) for starts, share in parts), len(head), workers, report)
        inverse[np.diag_indices_from(inverse)] += regularisation
        del parts
        if dense is ratings:
            ratings.drop_ratings()
        trim_heap()
        report("weighing films against each other")
        _invert(inverse)
    return EaseModel(ratings, order, per_movie, max_per_movie, nearest, head, inverse, late, regularisation)


def trim_heap() -> None:
    """Return freed memory to the system, which the C library would retain; glibc only."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _gram(matrices: Iterable[tuple[sparse.csr_matrix, float]], size: int, workers: int, report: Report) -> FloatArray:
    """Sum of share * X'X over (X, share), float32[size, size]."""
    out = np.zeros((size, size), np.float32)
    for matrix, share in matrices:
        _add_products(out, matrix, np.float32(share), workers, report)
    return out


def _add_products(out: FloatArray, matrix: sparse.csr_matrix, share: np.float32, workers: int, report: Report) -> None:
    """Add share * X'X of the matrix X [rows, movies] to `out` [movies, movies]."""

    def add_block(start: int) -> None:
        part = (transposed[start : start + BLOCK_ROWS] @ matrix).toarray()
        part *= share
        out[first + start : first + start + BLOCK_ROWS] += part

    with ThreadPoolExecutor(workers) as pool:  # scipy multiplies without the interpreter's lock
        for first in range(0, len(out), STRIP_COLUMNS):
            report(f"counting what was rated together: film {first} of {len(out)}")
            transposed = matrix[:, first : first + STRIP_COLUMNS].T.tocsr()
            list(pool.map(add_block, range(0, transposed.shape[0], BLOCK_ROWS)))


def _invert(matrix: FloatArray) -> None:
    """Invert a symmetric positive definite matrix [n, n] in its own memory (Gauss-Jordan elimination, by blocks).

    LAPACK's Cholesky of the whole is quicker by a third, but that of OpenBLAS 0.3.30 writes past its buffers from some
    27,000 rows on. Raises ArithmeticError where the matrix is not positive definite.
    """
    size = len(matrix)
    step = max(64, -(-size // PIVOT_BLOCKS))
    column, swept = np.empty((2, size, step), np.float32)
    tile = np.empty(TILE_ROWS * TILE_ROWS, np.float32)
    for start in range(0, size, step):  # the triangle above the diagonal becomes that of -inverse
        here = slice(start, min(start + step, size))
        pivot = _inverse_of_pivot(matrix[here, here], start)
        rows, after = column[:, : len(pivot)], swept[:, : len(pivot)]
        rows[:start], rows[here], rows[here.stop :] = matrix[:start, here], 0, matrix[here, here.stop :].T
        np.matmul(rows, pivot, out=after)
        for top in range(0, size, TILE_ROWS):
            for left in range(top, size, TILE_ROWS):
                part = matrix[top : top + TILE_ROWS, left : left + TILE_ROWS]
                product = tile[: part.size].reshape(part.shape)
                part -= np.matmul(after[top : top + TILE_ROWS], rows[left : left + TILE_ROWS].T, out=product)
        matrix[:start, here], matrix[here, here] = after[:start], -pivot
        matrix[here, here.stop :] = after[here.stop :].T
    for start in range(0, size, BLOCK_ROWS):
        end = start + BLOCK_ROWS
        matrix[start:end, start:] *= -1
        matrix[end:, start:end] = matrix[start:end, end:].T
        matrix[start:end, start:end] = _mirrored(matrix[start:end, start:end])


def _inverse_of_pivot(matrix: FloatArray, start: int) -> FloatArray:
    """Inverse of the block [m, m] on the diagonal that begins at row `start`, by LAPACK's Cholesky."""
    inverse, failed = lapack.spotrf(matrix.T, lower=1)  # LAPACK counts by columns
    if not failed:
        inverse, failed = lapack.spotri(inverse, lower=1)
    if failed or not np.isfinite(inverse).all():
        raise ArithmeticError(f"not positive definite past {start}: are there numbers among the ratings that are none?")
    return _mirrored(inverse.T)


def _mirrored(matrix: FloatArray) -> FloatArray:
    """The symmetric matrix [m, m] of which `matrix` holds the upper triangle."""
    return np.triu(matrix) + np.triu(matrix, 1).T


def _inverse_by_users(
    ratings: RatingMatrix, parts: list[tuple[IndexArray, float]], regularisation: float, workers: int, report: Report
) -> FloatArray:
    """P where there are fewer rows than movies: (X'X + r I)^-1 = (I - X' (XX' + r I)^-1 X) / r (Woodbury)."""
    rows = sparse.vstack([ratings.to_csr(starts) * np.float32(np.sqrt(share)) for starts, share in parts], format="csr")
    small = _gram([(rows.T.tocsr(), 1.0)], rows.shape[0], workers, report)
    small[np.diag_indices_from(small)] += regularisation
    _invert(small)
    out = np.empty((rows.shape[1], rows.shape[1]), np.float32)
    by_movie = rows.T.tocsr()
    for start in range(0, len(out), BLOCK_ROWS):
        here = by_movie[start : start + BLOCK_ROWS]
        out[start : start + BLOCK_ROWS] = -(by_movie @ (here @ small).T).T / regularisation
    out[np.diag_indices_from(out)] += 1 / regularisation
    return out
