# Podgraft. `make run` serves on this machine, `make test` tests everything; both get what they need by themselves.

CARGO ?= cargo
# What takes long to build is built once, outside the checkout.
PODGRAFT_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/podgraft
DENY_VERSION := 0.20.2
DENY := $(PODGRAFT_CACHE)/tools/bin/cargo-deny

.DEFAULT_GOAL := help
.PHONY: help run test cluster lint gates bench bench-cluster

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

run: ## Build and serve: presets of policies/, no cluster, no configuration
	@exec $(CARGO) run --quiet --locked -- serve

# Tests wait for most of their time, and a control plane's programs spend much of theirs on garbage that they have the memory for.
test: export RUST_TEST_THREADS ?= 6
test: export GOGC ?= 400

test: ## Run every test, on real API servers too (PODGRAFT_TEST_CLUSTER=off leaves those out)
	$(CARGO) test --locked
	@if [ "$$PODGRAFT_TEST_CLUSTER" = off ]; then echo "LEFT OUT: no test against a real API server was run (PODGRAFT_TEST_CLUSTER=off)"; fi

cluster: ## A real control plane with Podgraft in front of it; Ctrl-C takes it away (KUBERNETES=1.34)
	@exec $(CARGO) test --locked --test cluster -- up $(KUBERNETES)

lint: $(DENY) ## Check format, lints, documentation, dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	tests/house.sh
	$(DENY) --locked check --hide-inclusion-graph bans licenses sources

gates: ## Instructions of a review, counted by callgrind, against their limits
	benches/gates.sh

bench: ## Measure: times are ratios side by side, instructions are exact
	$(CARGO) bench --locked --bench core
	$(CARGO) bench --locked --bench handler
	benches/gates.sh

bench-cluster: ## What a Pod's creation gains in latency on a real API server, beside a webhook that answers a constant (KUBERNETES=1.34)
	$(CARGO) bench --locked --bench cluster -- $(KUBERNETES)

$(DENY):
	@echo "building cargo-deny $(DENY_VERSION), once, into $(PODGRAFT_CACHE)/tools: takes some minutes"
	$(CARGO) install --quiet --locked --debug --root $(PODGRAFT_CACHE)/tools --version $(DENY_VERSION) cargo-deny
