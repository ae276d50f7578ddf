# `make run` and `make test` are all a newcomer needs; both install first what they need, when its lock has changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
HOW ?= -n 3 --dist worksteal  # or: make test HOW="-x tests/ratings/test_rate.py"
CATALOGUE := config/locale/ru/LC_MESSAGES/django.po

.PHONY: help install server peers run test test-quick test-processes test-services test-services-quick \
	test-services-processes test-browser lint types lock messages pictures soak bench fuzz clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/.installed  ## .venv with everything, from the lock

server: $(VENV)/.server  ## .venv with what running needs, for a server

# What running needs is a part of requirements.lock, in the same versions: `make install` adds the rest to its .venv.
$(VENV)/.installed: requirements.lock
$(VENV)/.server: requirements-server.lock
$(VENV)/.installed $(VENV)/.server:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Kinoteka needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@echo "Installing $< into $(VENV): once, a minute or so."
	@$(PYTHON) -m venv $(if $(wildcard $@),--clear) $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

run: $(VENV)/$(if $(wildcard $(VENV)/.installed),.installed,.server)  ## everything on this machine; with no token, on the sandbox
	@$(PY) manage.py runall $(if $(PORT),--port $(PORT)) $(if $(VERBOSE),--verbose)

# Tests that start real processes meet in time: they run one after another, in a step of their own.
test: test-quick test-processes  ## the whole suite on SQLite; what needs a browser says so and skips where there is none

test-quick test-processes: export DATABASE_URL=
test-quick test-processes: export REDIS_URL=
test-quick: install
	$(PY) -m pytest $(HOW) -m "not processes" $(MORE) $(COVERAGE)
test-processes: install
	$(PY) -m pytest -m processes $(MORE)

# ask nothing of PostgreSQL or Redis
SERVERLESS := tests/browser tests/sandbox tests/config/monitoring/test_secrets.py tests/ratings/files/test_formats.py \
	$(addprefix tests/config/test_,env_file.py hostile_servers.py http_client.py proxies.py start.py)

test-services: test-services-quick test-services-processes  ## the same on PostgreSQL and Redis; fails where they are not there

test-services-quick test-services-processes: export DATABASE_URL := $(or $(DATABASE_URL),postgres://postgres@127.0.0.1:5432/postgres)
test-services-quick test-services-processes: export REDIS_URL := $(or $(REDIS_URL),redis://127.0.0.1:6379/15)
test-services-quick: install
	$(PY) -m pytest $(HOW) -m "not processes" $(addprefix --ignore=,$(SERVERLESS))
test-services-processes: install
	$(PY) -m pytest -m processes $(addprefix --ignore=,$(SERVERLESS))

test-browser: install  ## the chat page and the admin in the system's Chromium; skips where there is none
	DATABASE_URL= REDIS_URL= $(PY) -m pytest tests/browser

pictures: install  ## the pictures of the documents anew, from the sandbox in the system's Chromium
	$(PY) docs/images/make.py

soak: install  ## everything under load while processes are killed and services fail (MINUTES=10 SEED=… UPDATES_BY=polling)
	$(PY) -m tests.soak

peers: .venv-peers/.installed  ## .venv-peers with lenskit, beside which `make bench` measures ours (some 3 GB)

.venv-peers/.installed: requirements-peers.lock
	$(PYTHON) -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-peers.lock
	@touch $@

bench: install  ## every figure the documents name, in one run (MOVIELENS=DIR DATABASE_URL=… REDIS_URL=… for all)
	for bench in tests/bench/bench_*.py; do $(PY) -m $$(echo $${bench%.py} | tr / .) || exit 1; done

fuzz: install  ## hostile updates, answers, images and files for MINUTES (10) a target; the suite tries a few
	DATABASE_URL= REDIS_URL= $(PY) -m tests.fuzz $(or $(MINUTES),10)

lint: install  ## ruff: style and errors; bandit: what an attacker would look for
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m bandit --quiet -c pyproject.toml -r config movies posters ratings users sandbox manage.py gunicorn.conf.py

types: install  ## mypy
	$(PY) -m mypy .

lock:  ## requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile --universal --generate-hashes --all-extras --python-version 3.11 \
	  --no-emit-index-url --no-header --quiet --upgrade pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --extra postgres --extra redis --python-version 3.11 \
	  --no-emit-index-url --no-header --quiet -c requirements.lock pyproject.toml -o requirements-server.lock
	uv pip compile --universal --generate-hashes --group peers --python-version 3.11 \
	  --no-emit-index-url --no-header --quiet --upgrade -o requirements-peers.lock

messages: install  ## new texts from the code into the catalogue, and the catalogue as the bot reads it (needs gettext)
	$(PY) manage.py makemessages -l ru --no-location --no-obsolete -i .venv -i sandbox -i data -i tests
	sed -i.old -E '/^"(POT-Creation-Date|Report-Msgid-Bugs-To):/d' $(CATALOGUE) && rm $(CATALOGUE).old
	$(PY) manage.py compilemessages -l ru -i .venv

clean:  ## forget .venv
	rm -rf $(VENV)
