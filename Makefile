# One line per target; each does its own set-up. `make` alone lists them.
.PHONY: help demo story test chaos bench build image docs lint fmt tidy client-test clean-demo deb test-debian fuzz mutants
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
demo: ## scale an application over edge nodes with an official client, real containers (DEMO_ONCE=1: then tear down)
	@scripts/demo
story: ## a bad night at the edge on real containers: a site is lost, held, back, drained, rebalanced
	@examples/bad-night
test: ## everything: format, lints, all tests, the official SDKs against a live server
	@scripts/test
chaos: ## the real server and containers under kill -9, full disks and a lying registry (SECONDS=300 KILLS= SEED=)
	@scripts/chaos
bench: ## measure beside runc, crun, Docker Swarm and etcd, and write docs/benchmarks.md (PART=api,memory… QUICK=1)
	@scripts/bench
build: ## the release binary, target/release/ensemble
	cargo build --release --package ensemble-cli
image: ## the example image, target/hello-edge.oci (no network)
	@scripts/image
docs: ## docs/reference, from the code
	cargo run --quiet --package ensemble-cli -- reference docs/reference
deb: ## the Debian package, target/debian/ensemble_*.deb
	@scripts/deb
lint: ## format check, and clippy with warnings as errors
	cargo fmt --all -- --check && cargo clippy --workspace --all-targets -- -D warnings
fmt: ## format the code
	cargo fmt --all
tidy: ## lengths, module heads, forbidden dependencies, dead links
	cargo test --package ensemble-tests --test tidy
client-test: ## only the official SDKs against a live server
	@scripts/client-test
test-debian: ## the package in a stock Debian 12 under QEMU (ALL=1: also without systemd, and with cgroup version 1)
	@scripts/test-debian
fuzz: ## fuzz each target for a minute (SECONDS=60 TARGETS="template …" KEEP=1: what is new joins the corpus); nightly Rust
	@scripts/fuzz $(or $(SECONDS),60)
mutants: ## plant known bugs, one at a time: the simulator must find each (SEEDS=300 ONLY="name …" STRICT=1)
	@scripts/mutants
clean-demo: ## end the demo's server and containers and remove its data
	@scripts/demo clean
