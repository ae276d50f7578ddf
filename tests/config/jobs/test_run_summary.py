"""What a run of a job says of itself in the log."""

import threading

from config.jobs.run import Run


def test_a_run_that_ended_before_it_did_anything_has_no_line():
    run = Run(seconds=None, stop=threading.Event())
    assert run.reserve(5) == 5
    run.stop.set()
    assert run.summary("read") == ""


def test_a_line_names_what_became_of_the_films():
    run = Run(seconds=None, stop=threading.Event())
    run.count("done")
    run.count("failed")
    run.add_error("the channel waits")
    assert run.summary("uploaded") == "1 uploaded, 1 failed; the channel waits"
