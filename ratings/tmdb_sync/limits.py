"""Sizes and times of an import. Read as attributes of this module, so that a test can shorten one for all."""

THREADS = 16  # of the 20 connections TMDb takes from one address; the rest is for the chat and the posters
MAX_USERS = 200  # imported concurrently
DETAILS_BATCH = 50  # details written in one transaction
MAX_ATTEMPTS = 4  # for a movie, or for a page TMDb refuses, before that is taken for its answer
MAX_PAST_IMPORTS = 10  # saved of each user

POLL_SECONDS = 1.0  # between two queries for newly queued users
MAX_BATCH_WAIT_SECONDS = 0.5  # that details wait for a full batch
DRAIN_SECONDS = 5.0  # that the end of a run leaves to requests in progress
FIRST_RETRY_SECONDS = 0.5  # before the second attempt; then twice as long
MAX_RETRY_SECONDS = 30.0
MAX_IDLE_SECONDS = 5.0  # that a run waits for a retry; a later one is left to the next run
POSTER_WAKE_UP_SECONDS = 15.0  # between two wake-ups of the poster worker

FAILURES_TO_OPEN = 4  # in a row, after which only probes are sent
FIRST_PROBE_SECONDS = 1.0  # before the second probe; then twice as long
SERVICE_DOWN_SECONDS = 15.0  # without an answer, after which the run ends

GIVE_UP_PAGE_SECONDS = 6 * 3600  # after which an import goes on without a page that TMDb will not give
RETRY_IMPORT_SECONDS = 20  # until a run resumes an import that TMDb has failed
NOT_FOUND_RETRY_SECONDS = 7 * 86_400  # for details of a movie that TMDb does not have; then twice as long
BROKEN_RETRY_SECONDS = 600  # for details that TMDb cannot show; then three times as long
MAX_DETAILS_RETRY_SECONDS = 60 * 86_400
REFRESH_GRACE_SECONDS = 43_200  # for which the refresh of movies leaves one alone whose details were asked for
MAX_SMALL_REMOVAL = 3  # ratings that two readings in one run may remove; more wait for a later run
CONFIRM_REMOVAL_SECONDS = 3600  # between two readings that have to say the same
KEEP_REMOVED_SECONDS = 30 * 86_400
FULL_READ_SECONDS = 7 * 86_400  # after which a daily import reads the whole account
