"""The project's addresses and one more, which fails."""

from django.urls import path

from config.urls import urlpatterns as ours
from tests.helpers.secret_leak_harness import view

urlpatterns = [*ours, path("spill/", view)]
