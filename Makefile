# Everything runs in .venv, made from plain python3 with the pinned, hash-checked packages of requirements/.
# A caller's index, mirror or certificates reach pip through pip's own environment variables.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON) -m pip --disable-pip-version-check install --quiet
# Most tests wait for a broker most of the time. Each process has a broker of its own; a file stays in one process.
PARALLEL := --numprocesses 3 --dist loadfile
COMPILE := $(VENV)/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-annotate

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:

.PHONY: help
help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/installed-demo  ## a real Kafka, generated users, fit, worker, live view; Ctrl-C ends it
	@exec $(PYTHON) -m demo run

.PHONY: check
check: $(VENV)/installed-test  ## format, lint, types, import directions
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m ruff check
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports

.PHONY: docs
docs: $(VENV)/installed-docs  ## the documentation site, into build/docs; a broken link is an error
	@$(VENV)/bin/zensical build --strict

.PHONY: test
test: check docs  ## check and docs, then every test that needs no container engine, on a broker of its own
	$(PYTHON) -m pytest $(PARALLEL) -ra --durations=5 --cov

EVENTS := 1000000
SEED := 1

.PHONY: fuzz
fuzz: $(VENV)/installed-test  ## a million spoilt events through the worker's process; EVENTS= and SEED= change that
	$(PYTHON) -m tests.fuzz --events $(EVENTS) --seed $(SEED)

.PHONY: test-container
test-container: $(VENV)/installed-test engine  ## the integration tests on the official Kafka image
	TEST_BROKER=container $(PYTHON) -m pytest $(PARALLEL) -ra tests/integration

.PHONY: test-compose
test-compose: $(VENV)/installed-test engine  ## docker-compose.yml, built, started, used and removed
	$(PYTHON) -m pytest -ra -m compose tests/compose

SEEDS := 1 2 3 4 5 6 7 8 9 10
EVENTS := 100000
MUTANTS := read_uncommitted bare_group_id snapshot_after_poll producer_used_again

.PHONY: chaos
chaos: $(VENV)/installed-test  ## kills and cuts everything, for an hour; SEEDS="1 2" EVENTS=10000 MUTANTS= make it less
	$(PYTHON) -m tests.chaos --directed $(MUTANTS:%=--mutant %) --events $(EVENTS) $(SEEDS)

.PHONY: engine
engine:
	@reason=$$(docker info 2>&1 >/dev/null) && docker compose version >/dev/null 2>&1 || { \
		echo "This needs a running Docker engine with compose; start one and try again. docker info says:" >&2; \
		echo "$${reason:-compose is missing}" >&2; exit 1; }

.PHONY: fmt
fmt: $(VENV)/installed-test  ## format and sort, and mend what the linter can
	$(PYTHON) -m ruff format
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format --quiet

# One resolution: the smaller sets are cut out of the largest, so that all extras agree on every version.
.PHONY: lock
lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: $(VENV)/installed-lock  ## pin what pyproject.toml asks for; LOCK_FLAGS=--upgrade takes newer versions
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra test -o requirements/test.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra demo -c requirements/test.txt -o requirements/demo.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra export -c requirements/test.txt -o requirements/export.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra trainer -c requirements/test.txt -o requirements/trainer.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml -c requirements/test.txt -o requirements/base.txt
	$(COMPILE) $(LOCK_FLAGS) requirements/build.in -c requirements/test.txt -o requirements/build.txt
	$(COMPILE) $(LOCK_FLAGS) requirements/docs.in -c requirements/test.txt -o requirements/docs.txt
	$(COMPILE) $(LOCK_FLAGS) requirements/lock.in -o requirements/lock.txt

.PHONY: browser
browser: promtool  ## Chromium for the tests that look at a page, where apt-get and root are; and promtool
	@if command -v chromium >/dev/null; then echo "browser: $$(command -v chromium) is there"; \
	elif ! command -v apt-get >/dev/null; then echo "browser: no apt-get here; page tests will be skipped without a chromium in PATH"; \
	elif [ "$$(id -u)" -ne 0 ]; then echo "browser: apt-get needs root; page tests will be skipped without a chromium in PATH"; \
	else echo "browser: installing Debian's chromium …"; apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y chromium >/dev/null; fi

# Out of the package rather than by installing it: that would start a Prometheus server on this machine.
.PHONY: promtool
promtool: | $(PYTHON)  ## promtool, out of Debian's prometheus, for the tests of the alert rules, where apt-get is
	@if [ -x $(VENV)/bin/promtool ] || command -v promtool >/dev/null; then echo "promtool: it is there"; \
	elif ! command -v apt-get >/dev/null; then echo "promtool: no apt-get here; rule tests will be skipped without a promtool in PATH"; \
	else echo "promtool: taking it out of Debian's prometheus …"; there=$$(mktemp -d) && trap 'rm -rf "$$there"' EXIT && cd "$$there" && \
		{ [ "$$(id -u)" -ne 0 ] || apt-get -qq update; } && apt-get -qq -o APT::Sandbox::User=root download prometheus && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xf - ./usr/bin/promtool && install -m 755 usr/bin/promtool "$(CURDIR)/$(VENV)/bin/" || \
		echo "promtool: it cannot be had here, the reason is above; rule tests will be skipped without a promtool in PATH"; fi

.PHONY: clean
clean:  ## remove what make and the tools made; models and settings stay
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp says that .venv holds the locked packages of one extra, and the project itself from this checkout.
$(VENV)/installed-%: requirements/%.txt requirements/build.txt pyproject.toml | $(PYTHON)
	@echo "installing requirements/$*.txt into $(VENV) …"
	@$(PIP_INSTALL) --require-hashes -r requirements/$*.txt -r requirements/build.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-lock $(VENV)/installed-docs: $(VENV)/installed-%: requirements/%.txt | $(PYTHON)
	@$(PIP_INSTALL) --require-hashes -r requirements/$*.txt
	@touch $@

# As python3 -m venv does, but Ctrl-C ends it without a traceback; make then deletes the half-made target.
$(PYTHON):
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed as python3 in PATH; here it is: $$(python3 --version 2>&1)" >&2; exit 1; }
	@rm -rf $(VENV)
	@python3 -c 'import signal, venv; signal.signal(signal.SIGINT, signal.SIG_DFL); venv.main(["$(VENV)"])' || { \
		rm -rf $(VENV); exit 1; }
