.DEFAULT_GOAL := help
LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

help: ## print the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

test: ## run the tests; more of them where PostgreSQL is found
	go test ./...

test-race: ## the same as CI: with the race detector, in random order
	go test -race -shuffle=on ./...

test-postgres: ## run the tests, and fail where PostgreSQL is missing
	USTAT_TEST_REQUIRE=postgres go test ./...

full: ## the figures that the issues name, at full scale; needs USTAT_TEST_DATA
	./bench/full.sh

lint: ## vet, the linter, the format
	go vet ./...
	$(LINT) run

fuzz-short: ## fuzz each target for ten seconds
	go test -run='^$$' -fuzz=FuzzTerms -fuzztime=10s ./courses/fulltext
	go test -run='^$$' -fuzz=FuzzQueryNeverFailsTheServer -fuzztime=10s ./httpapi
	go test -run='^$$' -fuzz=FuzzOpen -fuzztime=10s ./core
	go test -run='^$$' -fuzz=FuzzToken -fuzztime=20s ./accounts
	go test -run='^$$' -fuzz=FuzzSanitize -fuzztime=10s ./courses/richtext
	go test -run='^$$' -fuzz=FuzzMake -fuzztime=10s ./courses/slugs
	go test -run='^$$' -fuzz=FuzzText -fuzztime=10s ./reports
	go test -run='^$$' -fuzz=FuzzLinks -fuzztime=10s ./blob
	go test -run='^$$' -fuzz=FuzzOpen -fuzztime=10s ./payments/signed

bench: ## handlers beside hand-written ones, on both engines
	go test -run='^$$' -bench=. -benchtime=2s ./bench

verify: ## fail when go.mod or the format is not tidy
	go mod tidy -diff
	@test -z "$$(gofmt -l .)" || (gofmt -l . && exit 1)

.PHONY: help test test-race test-postgres full lint fuzz-short bench verify
