# Everything is done in each of these modules, which have to be there. The module tools
# only pins the tools.
MODULES  ?= . examples bench e2e
FUZZTIME ?= 20s
FUZZ     ?= .

# More flags for go test, such as -run=Refresh. GOTESTSUM_FORMAT=standard-verbose shows every
# test as it runs.
TESTFLAGS ?=

TOOL := tool -modfile=$(CURDIR)/tools/go.mod

# $(call each,COMMAND) runs COMMAND in a shell for each module $$m, up to the first failure.
each = @set -e; for m in $(MODULES); do echo "== $$m"; $(1); done

.PHONY: help test chaos chaos-cluster browser mutants purge bench-storm lint vuln fuzz bench tidy
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## get what the tests need, then run them all, on real servers, with the race detector
	@scripts/install-test-deps.sh
	@rm -rf .build
	$(call each,mkdir -p .build/$$m; AUTH_REQUIRE_MYSQL=1 CGO_ENABLED=1 go -C $$m $(TOOL) gotestsum --hide-summary=skipped --jsonfile-timing-events=$(CURDIR)/.build/$$m/tests.json -- -race -shuffle=on -timeout=20m $(TESTFLAGS) ./...)
# A run of some tests is no evidence of the others.
ifeq ($(TESTFLAGS)$(origin MODULES),file)
	go -C e2e run ./evidence .. ../.build
endif

# $(call e2e,TAG) runs the tests of e2e that have this build tag.
e2e = AUTH_REQUIRE_MYSQL=1 CGO_ENABLED=1 go -C e2e test -race -shuffle=on -count=1 -timeout=30m -tags=$(1) -v $(TESTFLAGS)

chaos: ## two instances and their database under kills, cuts, lost replies and thefts
	@scripts/install-test-deps.sh
	$(call e2e,chaos) -run=Chaos .

chaos-cluster: ## the same on a Galera cluster and on Group Replication, and what only clusters do
	@scripts/install-test-deps.sh
	@scripts/get-galera.sh
	$(call e2e,cluster) ./cluster
	go -C e2e run ./mutants -tags=cluster

browser: ## the browser example in a real browser
	@scripts/install-test-deps.sh
	@scripts/install-browser.sh
	$(call e2e,browser) ./browser

mutants: ## plant faults in a copy of the code, and see the tests fail that are named for them
	@scripts/install-test-deps.sh
	go -C e2e run ./mutants

purge: ## purge a million sessions beside refreshes, and print the ratio of their p99
	@scripts/install-test-deps.sh
	AUTH_REQUIRE_MYSQL=1 go -C bench test -count=1 -timeout=30m -tags=million -run=TestMillion -v ./purge

bench-storm: ## what /profile keeps of its rate beside a storm of logins, on one server and on a cluster
	@scripts/install-test-deps.sh
	@scripts/get-galera.sh
	AUTH_REQUIRE_MYSQL=1 go -C bench test -count=1 -timeout=30m -tags=storm -run=TestStorm -v $(TESTFLAGS) ./storm

lint: ## golangci-lint, go vet, and whether go.mod and go.sum are tidy
	$(call each,go -C $$m $(TOOL) golangci-lint run --config=$(CURDIR)/.golangci.yml --allow-parallel-runners ./...; go -C $$m vet ./...; go -C $$m mod tidy -diff)
	@echo "== tools"; go -C tools mod tidy -diff

vuln: ## govulncheck, where its database can be reached
	@scripts/vuln.sh $(CURDIR)/tools/go.mod $(MODULES)

fuzz: ## run every fuzz target that FUZZ matches for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME) '$(FUZZ)' $(MODULES)

bench: ## run the benchmarks
	$(call each,go -C $$m test -run='^$$' -bench=. -benchmem ./...)

tidy: ## make every go.mod and go.sum tidy
	$(call each,go -C $$m mod tidy)
	@echo "== tools"; go -C tools mod tidy
