"""Sizes and times of an import. Read as attributes of this module, so that a test can shorten one for all."""

THREADS = 6  # with the ten for details (movies.details), 16 of the 20 connections TMDb takes from one address
FILMS_IN_TURN = 100  # whose details are read for one import before another has its turn; a shorter one goes first
MAX_USERS = 200  # imported concurrently
MAX_ATTEMPTS = 4  # for a page TMDb refuses, before that is taken for its answer
MAX_PAST_IMPORTS = 10  # saved of each user

POLL_SECONDS = 1.0  # between two queries for newly queued users
LOOK_SECONDS = 0.5  # between two looks whether the details of an import's films have come
FIRST_RETRY_SECONDS = 0.5  # before the second attempt; then twice as long
MAX_RETRY_SECONDS = 30.0
MAX_IDLE_SECONDS = 5.0  # that a run waits for a retry; a later one is left to the next run
POSTER_WAKE_UP_SECONDS = 15.0  # between two wake-ups of the poster worker

GIVE_UP_PAGE_SECONDS = 6 * 3600  # after which an import goes on without a page that TMDb will not give
RETRY_IMPORT_SECONDS = 20  # until a run resumes an import that TMDb has failed
MAX_SMALL_REMOVAL = 3  # ratings that two readings in one run may remove; more wait for a later run
CONFIRM_REMOVAL_SECONDS = 3600  # between two readings that have to say the same
KEEP_REMOVED_SECONDS = 30 * 86_400
FULL_READ_SECONDS = 7 * 86_400  # after which a daily import reads the whole account
