# Podgraft. `make run` serves on this machine, `make test` tests everything; both get what they need by themselves.

CARGO ?= cargo
# What takes long to build is built once, outside the checkout.
PODGRAFT_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/podgraft
DENY_VERSION := 0.20.2
DENY := $(PODGRAFT_CACHE)/tools/bin/cargo-deny

.DEFAULT_GOAL := help
.PHONY: help run test lint bench

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

run: ## Build and serve: presets of policies/, no cluster, no configuration
	@exec $(CARGO) run --quiet --locked -- serve

test: ## Run every test
	$(CARGO) test --locked

lint: $(DENY) ## Check format, lints, documentation, dependencies
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items
	tests/house.sh
	$(DENY) --locked check --hide-inclusion-graph bans licenses sources

bench: ## Measure: times are ratios side by side, allocations and instructions are exact
	$(CARGO) bench --locked

$(DENY):
	@echo "building cargo-deny $(DENY_VERSION), once, into $(PODGRAFT_CACHE)/tools: takes some minutes"
	$(CARGO) install --quiet --locked --root $(PODGRAFT_CACHE)/tools --version $(DENY_VERSION) cargo-deny
