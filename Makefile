# Everything that people and CI do here. `make` alone lists it.
# The tools are installed into .venv by uv, and uv itself by pip where it is missing.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
KUEUE_KS := $(BIN)/kueue-ks
SEEDS  ?= 2000
PARTS  := .parts

.DEFAULT_GOAL := help
.PHONY: help sync fmt lint test test-unit simulate test-fleet soak bench replay demo install uninstall run docs generate build sbom image clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv from PATH, else from pip into .tools: --target works on Pythons that refuse other installs (PEP 668).
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
export UV_PYTHON_DOWNLOADS = never
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.tools/bin/uv:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv

$(VENV)/.synced: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --locked --python $(PYTHON)
	@touch $@

sync: $(VENV)/.synced ## install the locked dependencies into .venv

fmt: sync ## format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint: sync ## formatting, lint, types, import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# First what computes. Then the tests on fleets, which wait most of the time: half of them beside the other half, each
# with fleets of its own. Of those, one half is shown as it goes on, the other afterwards; last comes what failed.
# All three at once would be faster, but nice does not keep the first from starving fleets that have a session of
# their own (``demo``, ``up --detach``): the kernel shares a CPU among sessions before it asks for niceness.
test: lint ## everything: lint, unit tests, and the tests on the real control planes (built on first use)
	$(BIN)/kueue-ks fleet build
	@mkdir -p $(PARTS); rm -f $(PARTS)/*
	@code=0; \
	$(MAKE) --no-print-directory $(PARTS)/unit || code=1; \
	$(MAKE) --no-print-directory --keep-going -j2 $(PARTS)/fleet $(PARTS)/jobs || code=1; \
	cd $(PARTS) && cat jobs && for part in unit fleet jobs; do \
		printf '\n%s:\n' $$part; sed -n '/ short test summary info /,$$p' $$part | grep . || tail -n 1 $$part; \
	done; exit $$code

# By time, of the tests on fleets.
HALF := tests/fleet/jobs tests/fleet/failures tests/fleet/test_quota_table.py tests/fleet/test_sources.py

$(PARTS)/%: SHELL := bash
$(PARTS)/unit:
	@set -o pipefail; $(BIN)/pytest -m "not fleet and not k3d and not replay" 2>&1 | tee $@

$(PARTS)/fleet:
	@set -o pipefail; $(BIN)/pytest -m "fleet and not k3d and not replay" $(addprefix --ignore=,$(HALF)) 2>&1 | tee $@

$(PARTS)/jobs:
	@$(BIN)/pytest -m "fleet and not k3d and not replay" $(HALF) > $@ 2>&1

test-unit: sync ## only what needs no control planes
	$(BIN)/pytest -m "not fleet and not k3d and not replay"

simulate: sync ## WorkloadController among imitated servers in virtual time (SEEDS=100000 for a night)
	$(BIN)/python -m tests.simulation --seeds 0:$(SEEDS)

test-fleet: sync ## only the tests on the real control planes
	$(BIN)/pytest -m "fleet and not replay"

bench: sync ## how long decisions, commands and jobs take (BENCH="decisions -o json"; latency needs a fleet)
	$(BIN)/python -m tests.bench $(BENCH)

replay: sync ## simulated seeds on a real fleet (REPLAY_SEEDS=100)
	$(BIN)/kueue-ks fleet build
	$(BIN)/pytest -m replay

soak: sync ## half an hour of random trouble on a real fleet (ARGS="--minutes 5 --seed 7")
	$(BIN)/kueue-ks fleet build
	$(BIN)/python -m tests.soak $(ARGS)

demo: sync ## a fleet, a queue, jobs on two workers, live (ARGS="--keep" leaves it running)
	$(KUEUE_KS) demo $(ARGS)

install: sync ## CRDs, admission policy and RBAC into the hub of the current kube context
	$(KUEUE_KS) install $(ARGS)

uninstall: sync ## take them out again
	$(KUEUE_KS) uninstall $(ARGS)

run: sync ## both controllers against the hub of the current kube context
	$(KUEUE_KS) run $(ARGS)

docs: sync ## the documentation's site, into site/
	$(BIN)/zensical build --strict --config-file mkdocs.yml

generate: sync ## the KubeStellar client from its OpenAPI document, and the Helm chart from the manifests
	$(BIN)/python scripts/generate_client.py
	$(BIN)/python scripts/generate_chart.py

build: sync ## wheel and source archive into dist/
	$(UV) build

# Of what the image has: the locked dependencies without those of development.
SBOM := dist/sbom.cdx.json
sbom: $(UV) ## the dependencies as a CycloneDX document in dist/
	@mkdir -p dist
	$(UV) export --quiet --locked --no-default-groups --no-emit-project --output-file dist/requirements.txt
	$(UV) tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements dist/requirements.txt \
		--pyproject pyproject.toml --output-reproducible --output-file $(SBOM)

image: ## the container image (ARGS="--tag registry/name:tag"); needs Docker
	docker build --tag kueue-kubestellar:0.1.0 $(ARGS) .

clean: ## caches and the virtual environment
	rm -rf $(VENV) $(PARTS) .tools dist site .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
