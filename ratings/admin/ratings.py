"""Ratings of a user and of a movie.

A model with a composite key cannot be registered in the admin, so ratings have pages of their own, linked from the
pages of users and movies. They are paginated by key: a page reads none of the rows before it.
"""

from __future__ import annotations

import re

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from config.admin.formatting import format_datetime
from config.admin.model_admin import parse_id
from config.admin.site import page, render_page
from config.bot.validation import cleaned
from movies.models import Movie, casefolded_text
from ratings.models import Rating
from users.models import User

PAGE_SIZE = 50


@page("ratings/user/<int:user_id>/", "ratings_of_user", "users.view_user")
def ratings_of_user(request: HttpRequest, user_id: int) -> TemplateResponse:
    """What a user has rated, newest first; searchable by title."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise Http404
    rows = Rating.objects.filter(user_id=user_id)
    for part in casefolded_text(cleaned(request.GET.get("q", ""))).split():
        rows = rows.filter(movie__search_text__contains=part)
    return ratings_page(request, rows, ("rated_at", "movie_id"), _("Ratings of %s") % user_id, user)


@page("ratings/movie/<int:movie_id>/", "ratings_of_movie", "movies.view_movie")
def ratings_of_movie(request: HttpRequest, movie_id: int) -> TemplateResponse:
    """Who has rated a movie; searchable by the user's id.

    In the order of user ids, since no index holds a movie's ratings by time: a movie may have a hundred thousand.
    """
    movie = Movie.objects.filter(pk=movie_id).first()
    if movie is None:
        raise Http404
    rows = Rating.objects.filter(movie_id=movie_id)
    if query := request.GET.get("q", "").strip():
        user_id = parse_id(query)
        rows = rows.none() if user_id is None else rows.filter(user_id=user_id)
    return ratings_page(request, rows, ("user_id",), _("Ratings of %s") % movie, movie)


def ratings_page(
    request: HttpRequest, rows: QuerySet[Rating], order: tuple[str, ...], title: str, owner: User | Movie
) -> TemplateResponse:
    """One page of ratings in descending `order`, after the row that the parameter `after` names."""
    after = parse_cursor(request.GET.get("after", ""), len(order))
    if after:
        rows = rows.filter(keyset_after(order, after))
    rows = rows.select_related("movie").defer("movie__overview", "movie__search_text")
    found = list(rows.order_by(*(f"-{field}" for field in order))[: PAGE_SIZE + 1])
    last = found[PAGE_SIZE - 1] if len(found) > PAGE_SIZE else None
    return render_page(
        request,
        "ratings/admin/ratings.html",
        title,
        rows=[(rating, format_datetime(rating.rated_at)) for rating in found[:PAGE_SIZE]],
        of_user=isinstance(owner, User),
        next_cursor=last and ".".join(str(getattr(last, field)) for field in order),
        after=after,
        query=request.GET.get("q", ""),
        owner=owner,
        opts=owner._meta,
    )


def parse_cursor(text: str, parts: int) -> list[int] | None:
    """The numbers of the parameter `after`; None for what is no cursor."""
    numbers = text.split(".")
    if len(numbers) != parts or not all(re.fullmatch(r"-?[0-9]{1,18}", number) for number in numbers):
        return None
    return [int(number) for number in numbers]


def keyset_after(order: tuple[str, ...], values: list[int]) -> Q:
    """The rows that come after these values in descending `order`."""
    first, *rest = order
    after = Q(**{f"{first}__lt": values[0]})
    return after | Q(**{first: values[0]}) & keyset_after(tuple(rest), values[1:]) if rest else after
