# The face of the project for a newcomer: `make demo`, `make test`. Both do everything themselves.
.PHONY: demo test check conformance crash build packages fmt

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
DDN := $(CARGO_TARGET_DIR)/debug/ddn

build: ## compile everything once, in the one profile
	@ops/packages build
	cargo build --locked --workspace

demo: ## start two nodes, publish a site (SITE=dir, NAME=x.ddn), say where to look
	@ops/packages demo
	cargo build --locked -p ddn
	@SITE='$(SITE)' NAME='$(NAME)' ops/demo/run $(DDN)

test: build ## every test of the usual run
	cargo test --locked --workspace

check: ## format, lints and documentation, warnings are errors
	@ops/packages build
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

conformance: ## the public suite for IPFS gateways against a real node; needs Go
	@ops/packages build
	cargo build --locked -p ddn
	@tests/peers/conformance/run $(DDN)

crash: build ## the long campaign: 50 kills at random points of publish, 50 of paid fetches
	DDN_CRASHES=50 cargo test --locked --workspace crash -- --nocapture --test-threads 1

fmt:
	cargo fmt
