# The face of the project for a newcomer: `make demo`, `make test`. Both do everything themselves.
.PHONY: demo test check attacks cheats conformance clients crash sim simulate bench bench-ledger kubo build packages fmt

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
	cargo test --locked --workspace --lib --bins --test '[!e]*'
	@# Nodes wait more than they work, so there are more of them at once.
	cargo test --locked --workspace --test 'e*' -- --test-threads 3

check: ## format, lints and documentation, warnings are errors
	@ops/packages build
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

conformance: ## the public suite for IPFS gateways against a real node; needs Go
	@ops/packages build
	cargo build --locked -p ddn
	@tests/peers/conformance/run $(DDN)

clients: ## IPFS clients, browsers and HTTP clients that others wrote, against a real node (CLIENTS=names: only these)
	@ops/packages clients
	cargo build --locked -p ddn
	tests/peers/clients/run $(DDN) $(CLIENTS)

attacks: ## attacks on the gateway, in turns with and without: how much longer honest readers wait (TURNS=how many)
	DDN_ATTACK_TURNS=$(or $(TURNS),7) cargo test --locked --workspace --test attack -- --nocapture --test-threads 1

cheats: build ## every way to cheat that is known, against whole nodes, and what each gained
	DDN_DEEDS=all cargo test --locked --workspace --test e2e -- cheats:: --nocapture

crash: build ## the long campaign: 50 kills at random points of publish, 50 of paid fetches
	DDN_CRASHES=50 cargo test --locked --workspace crash -- --nocapture --test-threads 1

# SEEDS: worlds with everything that goes wrong, from FIRST on; NODES: in the world in which policies are compared.
SEEDS ?= 10000
FIRST ?= 0
NODES ?= 1000

sim: ## the long campaign of the routing simulator, and its table
	for nodes in $(NODES); do \
	  DDN_SIM_NODES=$$nodes cargo test --locked -p nearest --test sim -- --nocapture beside_the_others || exit 1; done
	DDN_SIM_FIRST=$(FIRST) DDN_SIM_SEEDS=$(SEEDS) cargo test --locked -p nearest --test sim -- --nocapture in_every_seed

# SEEDS: worlds of delegates, from FIRST on, each with one kind of fault or with all; SEATS: in each of them, 0: by the seed.
SEATS ?= 0
simulate: SEEDS = 1000

simulate: ## the long campaign of the simulator of consensus, and what was seen of each kind of fault
	DDN_SIMULATE_FIRST=$(FIRST) DDN_SIMULATE_SEEDS=$(SEEDS) DDN_SIMULATE_SEATS=$(SEATS) \
	  cargo test --locked -p consensus --test sim -- --nocapture in_every_seed

# ROWS: beginnings of the names of rows, as in `ROWS=B1,B4`; ROUNDS and SECONDS: how many times, and for how long, each
# server is measured; LARGE_MIB: the size of the large file; PROFILE: of cargo.
ROWS ?= B,H
ROUNDS ?= 7
SECONDS ?= 3
LARGE_MIB ?= 1024
PROFILE ?= release
BUILT := $(CARGO_TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

bench: ## measure the gateway, names and deliveries beside others and a floor, and write BENCHMARKS.md
	@ops/packages build
	@ops/packages bench || echo "going on with the servers that are here"
	cargo build --locked -p ddn -p bench -p testkit --profile $(PROFILE)
	DDN_BIN=$(BUILT)/ddn $(BUILT)/bench run --rows '$(ROWS)' --rounds $(ROUNDS) --seconds $(SECONDS) \
	  --large-mib $(LARGE_MIB) --profile $(PROFILE) --results $(CARGO_TARGET_DIR)/bench --page BENCHMARKS.md

bench-ledger: ## measure the ledger beside its floor (row F), and write BENCHMARKS.md
	cargo build --locked -p ddn -p bench -p testkit --profile $(PROFILE)
	$(BUILT)/bench ledger --rounds $(ROUNDS) --folder $(CARGO_TARGET_DIR)/tmp --results $(CARGO_TARGET_DIR)/bench --page BENCHMARKS.md

kubo: ## an unmodified Kubo finds and fetches what a node has published (needs Go; not part of CI)
	@ops/packages build
	cargo build --locked -p ddn
	tests/peers/kubo/run $(DDN)

fmt:
	cargo fmt
