# Everything here sets up what it needs by itself: the virtual environment, the dependencies, and,
# where a real Asterisk is called, a test PBX fetched from Debian into a cache of this user's.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo demo-stay test test-postgresql docker-test alerts matrix chaos soak day fuzz audit lint bench docs clean

help:            ## Say what there is
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(STAMP)   ## One real call to the sample bot on a real Asterisk, checked afterwards
	@$(BIN)/turnrec demo --dir var/demo

demo-stay: $(STAMP)   ## The sample bot, waiting for your own softphone
	@$(BIN)/turnrec demo --dir var/demo --stay

test: $(STAMP) lint   ## Lint, types and every test, those on a real Asterisk included
	@tools/run_tests.sh $(BIN) $(PYTEST_ARGS)

test-postgresql: $(STAMP)   ## The ledger on PostgreSQL: TURNREC_TEST_POSTGRESQL=URL of an empty one
	$(BIN)/python -m pip --quiet install -c constraints.txt -e '.[postgresql]'
	$(BIN)/pytest -m postgresql tests/unit/ledger tests/unit/backup

docker-test: $(STAMP)   ## compose.yaml built and run, and a call placed; without an engine, one from Debian
	$(BIN)/pytest -m docker tests/docker $(PYTEST_ARGS)

alerts: $(STAMP)   ## The alerts, held against Prometheus' own promtool, which must be there
	$(BIN)/pytest -m promtool tests/unit/deploy $(PYTEST_ARGS)

matrix: $(STAMP)   ## Every way to an agent x policy x state at entry, on Asterisk 22 (core ones on 16)
	$(BIN)/pytest -m matrix tests/pbx/matrix $(PYTEST_ARGS)

chaos: $(STAMP)   ## Calls under random faults, judged by a program of its own: CHAOS="--seed 11 --calls 200"
	$(BIN)/python -m tests.chaos $(CHAOS)

soak: $(STAMP)   ## 200 calls for half an hour: leaks, memory, descriptors: SOAK="--minutes 5"
	$(BIN)/python -m bench soak $(SOAK)

day: $(STAMP)   ## A day of calls at speed, a million turns with a made-up Asterisk: DAY="--turns 20000"
	$(BIN)/python -m bench day $(DAY)

fuzz: $(STAMP)   ## Everything that reads bytes from outside, with 2000 examples each
	TURNREC_FUZZ_EXAMPLES=2000 $(BIN)/pytest tests/fuzz tests/pbx/test_contract.py $(PYTEST_ARGS)

audit: $(STAMP)   ## Known holes in what turnrec depends on (asks an advisory service), and in its own code
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install 'bandit>=1.9' 'pip-audit>=2.10'
	$(BIN)/bandit -q -r src -s B101,B105,B311,B404,B603  # what ruff's S rules look for already
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r constraints.txt

lint: $(STAMP)   ## Formatter, linter and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP)   ## Time of a turn, and what turnrec costs, beside a bare FastAGI handler
	$(BIN)/python -m bench

docs: $(STAMP)   ## The docs site, into var/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open var/site/index.html"

clean:           ## Take away what was made here (not the cache of Asterisks)
	rm -rf $(VENV) var build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "turnrec needs Python 3.11 or later: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || tools/make_venv.sh $(PYTHON) $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install -c constraints.txt -e '.[dev]'
	@touch $@
