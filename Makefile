# The words a newcomer needs. Everything runs in .venv, which `setup` makes from the lock files.
BIN := .venv/bin
ARGS ?=

.PHONY: help setup demo test check test-faults nightly soak bench bench-surge bench-cause bench-keys kafka screenshots \
	format lock

help:
	@echo 'make demo    the whole system on this machine, with real conversations replayed into it'
	@echo 'make test    the whole test suite'
	@echo 'make check   format, lint, types and fast tests: the loop while changing something'
	@echo 'make setup   the locked environment in .venv (the others begin with it)'
	@echo 'make bench   the measurements, some hour and a half (BENCH=short shows that all of it runs);'
	@echo '             make bench-surge, bench-cause, bench-keys: those of the models'
	@echo 'make kafka   the tests on a real Kafka, which Maven fetches (needs Java and Maven)'
	@echo 'make test-faults   the fault matrix: what dies, hangs, lies or comes twice'
	@echo 'make nightly       its long forms; make soak: hours of load with chance faults'
	@echo 'make screenshots   pictures of the demo in its surge (needs Chromium)'
	@echo 'make format  put the code into its form'
	@echo 'make lock    newer versions into the lock files'

setup:
	@sh scripts/setup.sh

demo: setup
	@exec $(BIN)/tidewatch demo $(ARGS)

test: setup
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: setup
	@$(BIN)/ruff format --check --quiet . || { echo 'make format puts it right'; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@exec $(BIN)/python -m pytest -q -n auto -m 'not slow and not bench and not nightly and not faults' $(ARGS)

test-faults: setup
	@exec $(BIN)/python -m pytest -q -m 'not bench and not nightly' tests/faults tests/rig tests/cluster tests/sinks/test_faults.py \
		tests/kafka $(ARGS)

nightly: setup
	@$(BIN)/python -m pytest -q -m nightly $(ARGS)
	@TIDEWATCH_NIGHTLY=1 $(BIN)/python -m pytest -q -m '' tests/faults/test_model.py

soak: setup
	@TIDEWATCH_SOAK_MIN=$${TIDEWATCH_SOAK_MIN:-240} $(BIN)/python -m pytest -s -m nightly -k s01 tests/faults/test_nightly.py

bench: setup
	@exec $(BIN)/python -m pytest -q -s -m bench $(ARGS)

bench-surge: setup
	@exec $(BIN)/python -m tests.bench.surge $(ARGS)

bench-cause: setup
	@exec $(BIN)/python -m tests.bench.cause $(ARGS)

bench-keys: setup
	@exec $(BIN)/python -m tests.bench.keys $(ARGS)

kafka: setup
	@$(BIN)/python -m tests.kafka.broker
	@TIDEWATCH_REQUIRE='java mvn' exec $(BIN)/python -m pytest -q tests/kafka $(ARGS)

screenshots: setup
	@exec $(BIN)/python -m tests.board.picture $(ARGS)

format: setup
	@$(BIN)/ruff check --quiet --fix --exit-zero .
	@$(BIN)/ruff format --quiet .

COMPILE := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' --no-emit-index-url --upgrade

lock: setup
	@$(BIN)/python -m pip install --quiet uv
	@$(COMPILE) pyproject.toml -o requirements.lock
	@$(COMPILE) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@grep '^setuptools==' requirements-dev.lock | sed 's/ .*//' | $(COMPILE) - -o requirements-build.lock
	@echo 'locked; make setup installs it'
