"""Ratings in the back office: a table on the pages of people and films, since a composite key cannot be registered."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from movies.models import Movie
from users.models import User


@admin.display(description=gettext_lazy("latest ratings"))
def latest_ratings(owner):
    rows = owner.ratings.select_related("movie").order_by("-rated_at")[:50]
    return format_html_join("", "<div>{} · {} · {}</div>", ((row.user_id, row.movie, row.value) for row in rows)) or _(
        "none yet"
    )


for page in map(admin.site.get_model_admin, (User, Movie)):
    page.readonly_fields = (*page.readonly_fields, latest_ratings)
    page.fields = (*page.fields, latest_ratings)
