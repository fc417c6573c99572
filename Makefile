# Every thing a developer does, each one line. What to run after which change: CONTRIBUTING.md.
.DEFAULT_GOAL := help
.PHONY: help up down toolchain test test-quick preview bench bench-teams check generate clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

up: ## set up what is missing, then cluster, factory and team
	./factory up

down: ## remove team, factory and cluster; the cache stays
	./factory down

toolchain: ## build programs and images that are not in the cache yet
	./factory toolchain

test: toolchain ## checks and every test, with the real engine and a real cluster
	npx jest

test-quick: node_modules ## the tests that need no cluster; without a toolchain, those that need none
	npx jest --testPathIgnorePatterns test/check test/e2e

preview: ## what this checkout changes in the factory, and whether it breaks a rule; BASE=<ref> COMMENT=<file>
	./factory preview $(if $(BASE),--base $(BASE)) $(if $(COMMENT),--comment $(COMMENT))

bench: ## measure the factory that is up; adds 130 entries to its log
	node --require @swc-node/register test/bench/main.ts

bench-teams: ## measure what 1, 5 and 20 teams more take; makes them and removes them, in a quarter of an hour
	node --require @swc-node/register test/bench/teams.ts

check: node_modules ## formatting, lint, types
	npm run check

generate: node_modules ## write the files that are derived from the program
	npm run generate

clean: down ## remove the factory and the cache; the next `make up` builds everything anew
	rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/secure-software-factory" toolchain.lock.json

node_modules: package-lock.json
	npm ci --no-audit --no-fund
	touch node_modules
