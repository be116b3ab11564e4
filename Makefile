# Everything that people and CI do with this repository. Thin: each target is a command or two.
#
# NGINX_VERSION selects the NGINX to build for and to test with:
#   (not set)   the one that is installed, with the headers of Debian's nginx-dev
#   X.Y.Z       that version: the installed one, or the source that the crate nginx-src carries
# NGINX_BUILD_DIR=/path/to/objs takes a configured source tree of your own instead; NGINX_BINARY is
# the NGINX that the tests then start.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
MODULE := $(TARGET)/release/libngx_http_api_abuse_module.so

INSTALLED_VERSION := $(shell tests/scripts/installed-version)
NGINX_VERSION ?= $(INSTALLED_VERSION)
NGINX_SOURCE := $(abspath target/nginx/$(or $(NGINX_VERSION),none))
NGINX_BUILD_DIR ?= $(NGINX_SOURCE)/objs
ifneq ($(NGINX_VERSION),$(INSTALLED_VERSION))
NGINX_BINARY ?= $(NGINX_BUILD_DIR)/nginx
export NGINX_BINARY
endif

# What nginx-sys reads, and what the tests load.
export NGINX_BUILD_DIR
export API_ABUSE_MODULE ?= $(MODULE)
export PATH := $(PATH):/usr/sbin:$(abspath target/tools/bin)

.PHONY: help
help: ## this list
	@awk '!/^#/ { exit } { sub(/^# ?/, ""); print }' $(firstword $(MAKEFILE_LIST))
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-20s %s\n", $$1, $$2 }'

.PHONY: deps
deps: ## installs what is missing for all of this (Debian and relatives)
	tests/scripts/install-dependencies

.PHONY: deps-test
deps-test: ## the same, and what the recipes in docs/ are tried with: fail2ban, nftables, promtool
	tests/scripts/install-dependencies tests

# Another make, which finds the NGINX that `deps` has just installed: this one has looked before.
AGAIN = env $(foreach name,NGINX_BUILD_DIR NGINX_BINARY,\
	$(if $(filter file,$(origin $(name))),--unset=$(name))) $(MAKE) --no-print-directory

.PHONY: headers
headers: $(NGINX_BUILD_DIR)/Makefile ## configures the source of NGINX, once, below target/nginx

$(NGINX_SOURCE)/objs/Makefile:
	tests/scripts/configure-nginx "$(NGINX_VERSION)" "$(NGINX_SOURCE)"

.PHONY: build
build: headers ## the module, optimised: target/release/libngx_http_api_abuse_module.so
	cargo build --release

.PHONY: vendored-build
vendored-build: ## the module against the source in the crate nginx-src, nothing of NGINX installed
	env -u NGINX_BUILD_DIR cargo build --release --features vendored --target-dir $(TARGET)/vendored

.PHONY: demo
demo: ## a shop, people, attackers for every threat: watch who is denied, and why
	tests/scripts/install-dependencies demo
	+$(AGAIN) build
	cargo build --release -p api-abuse-tests --bin demo
	$(TARGET)/release/demo

.PHONY: test
test: deps-test ## installs what is missing, then everything that tells right from wrong
	+$(AGAIN) build test-units test-loom test-nginx test-demo test-console

.PHONY: test-units
test-units: headers ## engine, shared memory, command line: no NGINX
	cargo test --workspace --exclude api-abuse-tests --features api-abuse/documents

.PHONY: test-loom
test-loom: ## shared memory, every interleaving of its threads
	RUSTFLAGS="--cfg loom" cargo test --release -p api-abuse-shm --test loom --target-dir $(TARGET)/loom

HOST = $(shell rustc -vV | sed -n 's/^host: //p')

# The sanitizers come with nightly Rust. Zones of the tests live as long as their process, as NGINX's
# do: no leaks.
NIGHTLY = $(shell rustc +nightly --version 2>/dev/null)

.PHONY: nightly
nightly:
	@[ -n "$(NIGHTLY)" ] || { echo "this needs nightly Rust: rustup toolchain install nightly"; exit 1; }

.PHONY: test-asan
test-asan: nightly ## engine and shared memory under AddressSanitizer (nightly Rust)
	ASAN_OPTIONS=detect_leaks=0 RUSTFLAGS="-Zsanitizer=address" cargo +nightly test \
		-p api-abuse-engine -p api-abuse-shm --lib --target $(HOST) --target-dir $(TARGET)/asan

# The standard library is not built for ThreadSanitizer without rust-src; the sanitizer then does not see
# into it, and what it says of it is left out.
.PHONY: test-tsan
test-tsan: nightly ## shared memory under ThreadSanitizer (nightly Rust)
	TSAN_OPTIONS=suppressions=$(abspath tests/data/tsan.suppressions) \
	RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" cargo +nightly test \
		-p api-abuse-shm --lib --target $(HOST) --target-dir $(TARGET)/tsan

# NGINX 1.28.3 and the module, both with the sanitizer in them, and the tests of what they do together.
# The module is a debug build, optimised: arithmetic that overflows and debug assertions count, too. Two
# tests are not for it: memory grows by what the sanitizer keeps, and a faked clock is preloaded before it.
SANITIZED_NGINX := $(abspath target/nginx/1.28.3-address)
SANITIZED_TARGET := $(TARGET)/nginx-asan
SANITIZED_ENVIRONMENT := NGINX_BINARY=$(SANITIZED_NGINX)/objs/nginx \
	API_ABUSE_MODULE=$(SANITIZED_TARGET)/$(HOST)/debug/libngx_http_api_abuse_module.so \
	ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=1
SANITIZED_TESTS ?=

.PHONY: build-asan
build-asan: nightly ## NGINX and the module with AddressSanitizer in them (nightly Rust)
	[ -x $(SANITIZED_NGINX)/objs/nginx ] || \
		SANITIZER=address tests/scripts/configure-nginx 1.28.3 $(SANITIZED_NGINX)
	NGINX_BUILD_DIR=$(SANITIZED_NGINX)/objs RUSTFLAGS="-Zsanitizer=address" \
		cargo +nightly build --config profile.dev.opt-level=2 --target $(HOST) --target-dir $(SANITIZED_TARGET)

.PHONY: test-nginx-asan
test-nginx-asan: build-asan ## the tests on a real NGINX, all of it under AddressSanitizer (nightly Rust)
	$(SANITIZED_ENVIRONMENT) cargo test -p api-abuse-tests --test nginx -- \
		--skip clock:: --skip gibibyte $(SANITIZED_TESTS)

# As above, with ThreadSanitizer: NGINX's main thread and the module's threads, in one process. Shared memory
# is seen from one process at a time. Two more tests are not for it: the sanitizer has a thread of its own in
# every process, and cannot name functions in a daemon, so that what is to be left out is not.
THREADED_NGINX := $(abspath target/nginx/1.28.3-thread)
THREADED_TARGET := $(TARGET)/nginx-tsan

.PHONY: test-nginx-tsan
test-nginx-tsan: nightly ## the tests on a real NGINX, all of it under ThreadSanitizer (nightly Rust)
	[ -x $(THREADED_NGINX)/objs/nginx ] || \
		SANITIZER=thread tests/scripts/configure-nginx 1.28.3 $(THREADED_NGINX)
	NGINX_BUILD_DIR=$(THREADED_NGINX)/objs \
	RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" cargo +nightly build \
		--config profile.dev.opt-level=2 --target $(HOST) --target-dir $(THREADED_TARGET)
	NGINX_BINARY=$(THREADED_NGINX)/objs/nginx \
	API_ABUSE_MODULE=$(THREADED_TARGET)/$(HOST)/debug/libngx_http_api_abuse_module.so \
	TSAN_OPTIONS=suppressions=$(abspath tests/data/nginx-tsan.suppressions):print_suppressions=0 \
	cargo test -p api-abuse-tests --test nginx -- --skip clock:: --skip gibibyte \
		--skip only_processes_that_detect --skip another_binary $(SANITIZED_TESTS)

.PHONY: fuzz-http
fuzz-http: build-asan ## mutated bytes through NGINX's parsers into the module (FUZZ_SECONDS=60 FUZZ_SEED=1)
	cargo build --release -p api-abuse-tests --bin fuzz_http
	$(SANITIZED_ENVIRONMENT) $(TARGET)/release/fuzz_http

.PHONY: test-miri
test-miri: nightly ## shared memory under Miri (nightly Rust with miri)
	cargo +nightly miri test -p api-abuse-shm --lib --target-dir $(TARGET)/miri

.PHONY: test-nginx
test-nginx: build ## a real NGINX, from outside
	cargo build -p api-abuse
	cargo test -p api-abuse-tests

# HTTP/3 needs an NGINX that has it, and a client: the source in the crate nginx-src, and aioquic in a
# virtual environment. The module for that NGINX has a directory of its own.
HTTP3_TARGET := $(abspath target/http3)

.PHONY: test-http3
test-http3: ## HTTP/1.1, 2 and 3 over TLS and QUIC, with an NGINX 1.28.3 that has them all
	[ -x $(HTTP3_TARGET)/python/bin/python ] || python3 -m venv $(HTTP3_TARGET)/python
	$(HTTP3_TARGET)/python/bin/pip install --quiet aioquic
	+$(AGAIN) build NGINX_VERSION=1.28.3 CARGO_TARGET_DIR=$(HTTP3_TARGET)
	HTTP3_PYTHON=$(HTTP3_TARGET)/python/bin/python NGINX_BINARY=$(abspath target/nginx/1.28.3/objs/nginx) \
	API_ABUSE_MODULE=$(HTTP3_TARGET)/release/libngx_http_api_abuse_module.so \
	cargo test -p api-abuse-tests --test nginx -- --nocapture tls::

.PHONY: compare-nginx-tests
compare-nginx-tests: build ## NGINX's own tests without and with the module: NGINX_TESTS=/path/to/nginx-tests
	tests/scripts/compare-nginx-tests $(NGINX_TESTS)

.PHONY: test-demo
test-demo: build ## the demo, and what it promises
	cargo build --release -p api-abuse-tests --bin demo
	$(TARGET)/release/demo --check

# The console needs no build. Its tests need Node 18 and two packages from npm.
CONSOLE_TESTS := tests/console

.PHONY: test-console
test-console: deps build $(CONSOLE_TESTS)/node_modules ## the console in Chromium: a mock of its API, then NGINX; or CONSOLE_URL=http://…
	npm --prefix $(CONSOLE_TESTS) --silent test
	$(if $(CONSOLE_URL),,cargo test -p api-abuse-tests --test browser -- --ignored --nocapture --test-threads 1)

.PHONY: screenshots
screenshots: deps $(CONSOLE_TESTS)/node_modules ## the pictures of the console in docs/
	npm --prefix $(CONSOLE_TESTS) --silent run screenshots
	pngquant --force --ext .png --speed 1 docs/console-*.png

$(CONSOLE_TESTS)/node_modules: $(CONSOLE_TESTS)/package-lock.json
	npm ci --no-audit --no-fund --prefix $(CONSOLE_TESTS)
	touch $@

.PHONY: check
check: headers ## format, lints, rules of the repository, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features api-abuse/documents -- -D warnings
	cargo test -p api-abuse-tests --test rules
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; \
	else echo "cargo-deny is not installed: licences and sources were not checked"; fi

.PHONY: msrv
msrv: headers ## that the oldest Rust we promise is enough (needs that toolchain)
	cargo +$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) check --workspace --all-targets

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= access_log record checkpoint identity operations

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZ_SECONDS=60 (nightly Rust; cargo install cargo-fuzz)
	@cargo fuzz --version >/dev/null || { echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
	set -e; for target in $(FUZZ_TARGETS); do \
		cargo +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1; \
	done

.PHONY: soak
soak: build ## ten minutes of load, reloads, kills, full tables, a jumping clock (SOAK_SECONDS=600)
	cargo build --release -p api-abuse-tests --bin soak
	$(TARGET)/release/soak

.PHONY: endurance
endurance: build ## a million addresses, two hundred reloads: nothing is forgotten, nothing grows
	cargo test -p api-abuse-tests --test endurance -- --ignored --nocapture --test-threads 1

# Slow as it is, valgrind suits tests that ask whether, not how fast.
MEMCHECK_TESTS ?= enforcement:: counting:: identity:: exchanges:: secrets:: protocol::hostile_

.PHONY: memcheck
memcheck: build ## the module in NGINX under valgrind, over tests of what it does to requests
	MEMCHECK_NGINX="$(NGINX_BINARY)" NGINX_BINARY=$(abspath tests/scripts/nginx-memcheck) \
	cargo test -p api-abuse-tests --test nginx -- --test-threads 1 $(MEMCHECK_TESTS)

.PHONY: check-instructions
check-instructions: build ## that the module adds no more instructions to a request than it did
	cargo build --release -p api-abuse-tests --bin bench_instructions
	$(TARGET)/release/bench_instructions --check

.PHONY: bench-detector
bench-detector: ## the engine by stage, bytes a source; replay beside GoAccess and fail2ban; writes docs/performance.md
	cargo build --release -p api-abuse-tests --bin bench
	$(TARGET)/release/bench engine replay

.PHONY: bench-instructions
bench-instructions: build ## instructions that the module adds to a request, by callgrind
	cargo build --release -p api-abuse-tests --bin bench_instructions
	$(TARGET)/release/bench_instructions

.PHONY: bench-api
bench-api: build ## the console with 100,000 denials: how soon it answers, how long a worker is held up
	cargo test -p api-abuse-tests --test many_denials -- --ignored --nocapture

.PHONY: deps-bench
deps-bench: ## installs what make bench compares with, and what makes its load
	tests/scripts/install-dependencies bench

.PHONY: bench
BENCH ?= path growth denylist enforce detector engine replay
bench: build ## half an hour: what it costs beside what others cost; writes docs/performance.md (BENCH="path growth …")
	cargo build --release -p api-abuse-tests --bin bench
	$(TARGET)/release/bench $(BENCH)

.PHONY: evaluate
EVALUATION_SEED ?= 2002
evaluate: ## writes docs/evaluation.md: detection and false convictions, from a seed no code was tuned on
	cargo build --release -p api-abuse
	$(TARGET)/release/api-abuse simulate --scenario all --seed $(EVALUATION_SEED) \
		--runs 75 --runs-single 385 --markdown --ablation > docs/evaluation.md

.PHONY: calibrate
calibrate: ## what evidence means, from the simulator: writes crates/engine/src/fusion/confidence.rs
	cargo build --release -p api-abuse
	$(TARGET)/release/api-abuse simulate --calibrate --seed 21 --population 6000 --days 5 --runs 2 > $(TARGET)/confidence.rs
	mv $(TARGET)/confidence.rs crates/engine/src/fusion/confidence.rs

.PHONY: train
TRAIN_SEED ?= 11
train: ## trains the engine's linear models on the simulator and writes crates/engine/src/learned/scorers.rs
	cargo build --release -p api-abuse
	$(TARGET)/release/api-abuse simulate --train --seed $(TRAIN_SEED) --population 2500 --days 3 --runs 3 > $(TARGET)/scorers.rs
	mv $(TARGET)/scorers.rs crates/engine/src/learned/scorers.rs

include packaging/targets.mk

.PHONY: tools
tools: ## cargo-deny, into target/tools (some minutes, once)
	@cargo deny --version 2>/dev/null || cargo install --locked --root target/tools cargo-deny

.PHONY: clean
clean: ## removes what was built, the configured NGINX included
	cargo clean
	rm -rf target/nginx target/tools
