# Each target works in a fresh checkout: libtorch is fetched once into the cache where it is missing.
# Needed before: Rust, a C++ compiler, make, git, Python 3 with pip.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

CARGO ?= cargo
OVERNIGHT := target/release/overnight

.PHONY: help demo test build lint bench peers storm gpu-check

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: build ## train four small models on this repository's own source text, with a live report
	$(OVERNIGHT) run experiments/self-portrait.toml --serve

test: ## everything the tests need, then all tests; one that needs processes has a second chance, alone
	scripts/with-libtorch scripts/run-tests --features torch

build: ## both release binaries
	scripts/with-libtorch $(CARGO) build --release --features torch

lint: ## formatting and clippy, with the worker and without
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	scripts/with-libtorch $(CARGO) clippy --all-targets --features torch -- -D warnings

bench: build ## how fast reports are built and models trained, on this machine
	scripts/with-libtorch $(CARGO) build --release --features torch --example fake-worker
	TENSORBOARD=$$(scripts/tensorboard || true) scripts/with-libtorch $(CARGO) bench --features torch

PEERS := $${XDG_CACHE_HOME:-$$HOME/.cache}/overnight/peers

peers: build ## what other programs write and read, by those programs; some hundred MiB from PyPI at the first time
	scripts/with-libtorch $(CARGO) build --release --features torch --example fake-worker
	python3 -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet $(foreach file,$(wildcard tests/peers/requirements-*.txt),-r $(file))
	$(PEERS)/bin/pip install --quiet --no-deps -r tests/peers/without-dependencies.txt
	$(PEERS)/bin/python tests/peers/exported_runs.py $(OVERNIGHT) target/release/examples/fake-worker
	$(PEERS)/bin/python tests/peers/foreign_logs.py $(OVERNIGHT)
	$(PEERS)/bin/python tests/peers/foreign_stores.py $(OVERNIGHT)
	$(PEERS)/bin/python tests/peers/foreign_lightning.py $(OVERNIGHT)
	tests/peers/schemathesis.sh $(OVERNIGHT)

# Another length, or the same storm again: make storm KILLS=50 SEED=1234 ROWS_SECONDS=60 FUZZ_SECONDS=10
RUNS ?= 20
KILLS ?= 200
STEPS ?= 300
ROWS_SECONDS ?= 600
FUZZ_SECONDS ?= 120

storm: ## 200 SIGKILLs and a bit-for-bit comparison, a fuzzer on the server, a day's rows under one page; takes half an hour
	OVERNIGHT_STORM_RUNS=$(RUNS) OVERNIGHT_STORM_KILLS=$(KILLS) OVERNIGHT_STORM_STEPS=$(STEPS) \
	$(if $(SEED),OVERNIGHT_STORM_SEED=$(SEED)) scripts/with-libtorch \
	$(CARGO) test --release --features torch --test worker a_storm_of_kills -- --nocapture
	OVERNIGHT_FUZZ_SECONDS=$(FUZZ_SECONDS) $(if $(SEED),OVERNIGHT_FUZZ_SEED=$(SEED)) scripts/with-libtorch \
	$(CARGO) test --release --features torch --test suite serve::fuzz -- --nocapture
	OVERNIGHT_ROWS_SECONDS=$(ROWS_SECONDS) scripts/with-libtorch \
	$(CARGO) test --release --features torch --test browser storm:: -- --nocapture --test-threads 1

gpu-check: build ## pack what a machine with an NVIDIA GPU needs, and run it if this is one
	scripts/pack-gpu-check target/gpu-check
	if [ -e /proc/driver/nvidia/version ]; then target/gpu-check/gpu-check; \
	else echo "no NVIDIA GPU here: copy target/gpu-check to a machine that has one and PyTorch 2.11.0, and run its gpu-check"; fi
