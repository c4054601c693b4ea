.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DJANGO6 := .venv-django6
# What `find_python` accepts as it stands: 3.11 first, because there the lock file means Django 5.2.
CANDIDATES = $(or $(PYTHON),python3.11 python3 python3.13 python3.12)
NEWER_CANDIDATES = python3.13 python3.12 \
	$(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.13.*/bin/python3) \
	$(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.12.*/bin/python3)

# $(call find_python,minor version,candidates): the first that really runs (a shim may not) and is new enough.
find_python = $(shell for python in $(2); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, $(1)))' 2>/dev/null && { echo "$$python"; break; }; done)

# $(call make_environment,directory,python)
define make_environment
	$(2) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(2) cannot create environments: install its venv package (Debian, Ubuntu: apt-get install python3-venv)."; exit 1; }
	echo "Installing the locked dependencies into $(1) with $$($(2) --version): a minute or two the first time …"
	$(2) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $(1)/.ready
endef

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(READY) ## run the whole system; PORT=8001 for another port
	@exec $(BIN)/python manage.py up --port $(PORT) $(ARGS)

.PHONY: test
test: $(READY) check ## set up, check, and run every test, on Django 6 too where Python 3.12 is found
	$(BIN)/python tests/chromium.py
	@$(MAKE) --no-print-directory -j 2 test-postgres test-elsewhere

.PHONY: test-postgres
test-postgres: $(READY)
	$(BIN)/python -m pytest

# Beside the tests on PostgreSQL, which wait half of their time; what is said here comes at the end, so that it does not mix.
.PHONY: test-elsewhere
test-elsewhere:
	@said=$$(mktemp) && status=0; \
	  { $(MAKE) --no-print-directory test-sqlite && $(MAKE) --no-print-directory test-django6; } >"$$said" 2>&1 || status=$$?; \
	  cat "$$said"; rm "$$said"; exit $$status

# What people see and what the broker does is the same on every database.
.PHONY: test-sqlite
test-sqlite: $(READY) ## the core's tests again, on SQLite
	LRO_TEST_SQLITE=1 $(BIN)/python -m pytest -n 2 tests/lro tests/transports/test_following.py \
	  $(foreach name,admin command_line kills socketio testing,--ignore=tests/lro/test_$(name).py)

# What meets Django itself: the core, its transports, what writes other apps' rows, and the modules' own views.
MEET_DJANGO := tests/config tests/lro tests/migrations_app tests/transports tests/uploads/test_datasets.py \
	tests/uploads/test_resumable.py tests/uploads/test_tus.py tests/validations/test_rule_sets.py

.PHONY: test-django6
test-django6: ## the quicker of the tests that meet Django, on Django 6
	@if [ -z "$(call find_python,12,$(NEWER_CANDIDATES))" ]; then \
	  echo "Skipped: the tests on Django 6, which need Python 3.12 or newer, and none was found."; \
	else \
	  $(MAKE) --no-print-directory $(DJANGO6)/.ready && $(DJANGO6)/bin/python -m pytest -n 2 -m "not slow" $(MEET_DJANGO); \
	fi

.PHONY: cuts
cuts: $(READY) ## see that the walk through the browser fails without each of its layers: half an hour
	$(BIN)/python -m tests.end_to_end.cuts $(ARGS)

.PHONY: chaos
chaos: $(READY) ## kill everything again and again while operations run, and count what is lost: ten rounds, half an hour
	$(BIN)/python -m tests.chaos.run $(ARGS)

.PHONY: reaction
reaction: $(READY) ## how soon what was killed is at work again, and what was cancelled is gone
	$(BIN)/python -m tests.chaos.reaction $(ARGS)

.PHONY: churn
churn: $(READY) ## two hundred followers that come and go for three minutes while the broker is killed
	$(BIN)/python -m tests.end_to_end.churn $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## twenty thousand sequences of frames that no client should send
	$(BIN)/python -m tests.end_to_end.fuzz $(ARGS)

.PHONY: bench
bench: $(READY) ## all benchmarks, each beside what people would use instead; ARGS="imports --rows 10000000" for one
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: mutants
mutants: $(READY) ## change the core in one place at a time and see that a test fails; ARGS="--sample 50" for a part
	$(BIN)/python -m tests.lro.mutants $(ARGS)

.PHONY: check
check: $(READY) ## lint, format, types and the contracts between layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

.PHONY: schemas
schemas: $(READY) ## write the OpenAPI document of the project's own operations anew
	DJANGO_SETTINGS_MODULE=config.settings $(BIN)/python manage.py spectacular --validate --fail-on-warn \
	  --file docs/openapi.yaml

.PHONY: check-js
check-js: ## types of the scripts, where npm is found
	@if ! command -v npm >/dev/null; then \
	  echo "Skipped: the types of the scripts, which need npm, and none was found."; \
	else \
	  npm ci --prefix tests/javascript --silent --no-audit --no-fund && tests/javascript/node_modules/.bin/tsc -p tests/javascript; \
	fi

.PHONY: lock
lock: $(READY) ## resolve the dependencies of pyproject.toml again
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --all-extras --group dev \
	  --generate-hashes --no-emit-index-url --no-emit-find-links -o requirements.lock -q \
	  --custom-compile-command "make lock"

.PHONY: clean-data
clean-data: ## delete the data of the running system: database, broker, files, passwords
	@[ -x $(BIN)/python ] || { echo "Nothing to delete: run \`make run\` first."; exit 0; }; \
	  $(BIN)/python -m config.data_directory

$(READY): requirements.lock
	@$(if $(call find_python,11,$(CANDIDATES)),,echo "Python 3.11 or newer is needed, and none was found as $(CANDIDATES). \
	  Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1)
	@$(call make_environment,$(VENV),$(call find_python,11,$(CANDIDATES)))

$(DJANGO6)/.ready: requirements.lock
	@$(call make_environment,$(DJANGO6),$(call find_python,12,$(NEWER_CANDIDATES)))
