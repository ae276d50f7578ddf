"""A process that writes people's ratings as it is told, line by line: python -m tests.helpers.rating_writers.

Each line names one of the functions below and its numbers; "ok", or what went wrong, answers it.
"""

import os
import sys
import threading
import traceback


def file(file_id):
    from ratings.files import importer

    while importer.resume(file_id, 60, threading.Event(), lambda _file: None):
        pass


def account():
    from ratings.tasks import import_ratings

    import_ratings()


def outbox():
    from ratings.tasks import write_ratings

    write_ratings()


def press(user_id, movie_id, *values):
    from ratings.rate import rate
    from users.models import User

    for value in values:
        rate(User.objects.get(pk=user_id), movie_id, value)


def take_back(user_id, movie_id):
    from ratings import rate
    from users.models import User

    rate.take_back(User.objects.get(pk=user_id), movie_id)


def undo(file_id, user_id):
    from ratings.files import importer
    from ratings.models import FileImport

    importer.restart(file_id, user_id, FileImport.Stage.UNDO)
    file(file_id)


def main():
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    print("ok", flush=True)
    for line in sys.stdin:
        for order in line.split(";"):
            name, *numbers = order.split()
            try:
                globals()[name](*map(int, numbers))
            except Exception:
                print(repr(traceback.format_exc()), flush=True)
                break
        else:
            print("ok", flush=True)


if __name__ == "__main__":
    main()
