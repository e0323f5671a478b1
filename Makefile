# Everything is done in each of these modules, which have to be there. The module tools
# only pins the tools.
MODULES  ?= . examples bench
FUZZTIME ?= 20s

# More flags for go test, such as -run=Refresh or -v.
TESTFLAGS ?=

TOOL := tool -modfile=$(CURDIR)/tools/go.mod

# $(call each,COMMAND) runs COMMAND in a shell for each module $$m, up to the first failure.
each = @set -e; for m in $(MODULES); do echo "== $$m"; $(1); done

.PHONY: help test lint fuzz bench tidy
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## get what the tests need, then run them all, on real servers, with the race detector
	@scripts/install-test-deps.sh
	$(call each,AUTH_REQUIRE_MYSQL=1 CGO_ENABLED=1 go -C $$m test -race -shuffle=on -timeout=20m $(TESTFLAGS) ./...)

lint: ## golangci-lint, go vet, and whether go.mod and go.sum are tidy
	$(call each,go -C $$m $(TOOL) golangci-lint run --config=$(CURDIR)/.golangci.yml --allow-parallel-runners ./...; go -C $$m vet ./...; go -C $$m mod tidy -diff)
	@echo "== tools"; go -C tools mod tidy -diff

fuzz: ## run every fuzz target for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME) $(MODULES)

bench: ## run the benchmarks
	$(call each,go -C $$m test -run='^$$' -bench=. -benchmem ./...)

tidy: ## make every go.mod and go.sum tidy
	$(call each,go -C $$m mod tidy)
	@echo "== tools"; go -C tools mod tidy
