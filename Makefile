# Everything a developer does, one word each. `make` alone lists the words.
#
# Nothing needs preparing: each target first does the set-up it needs, and does it once. What is large and slow to make
# (the virtual environment, the Kubernetes control plane, Gitea) lies in ~/.cache/agentk-dev, shared by all clones.

SHELL := bash
PYTHON ?= python3
export PYTHON
# Tests start hundreds of processes; where nothing compiled is kept, each compiles all of kas or agentk anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
BIN := .venv/bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## The two that matter

.PHONY: demo
demo: packages venv ## Watch a push reach a real cluster (KEEP=1 leaves it running, USE_KUBECONFIG=1 uses $KUBECONFIG)
	@$(BIN)/python -m scripts.demo

.PHONY: test
# In the order of the folders, which has what takes long first: sorted by the number of tests, one worker idles at the end.
test: test-packages venv servers ## Run every test (ARGS='tests/unit -k name' runs some)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS); status=$$?; \
	if [ -n "$$PYTEST_STATUS_FILE" ]; then echo $$status >"$$PYTEST_STATUS_FILE"; else exit $$status; fi

## Checking and measuring

.PHONY: lint
lint: venv ## Check style, types, import directions and generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory check-protos

.PHONY: chaos-kas
chaos-kas: test-packages venv ## Break three kas, their database, broker and network for five minutes (ARGS='--seconds 3600')
	@$(BIN)/python -m tests.chaos.replicas $(ARGS)

.PHONY: fuzz
fuzz: packages venv ## Feed every parser of foreign bytes with random inputs for five minutes (SECONDS=3600 for an hour)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),300) $(ARGS)

.PHONY: bench
bench: packages venv ## Measure, and write build/bench.json (ONLY=name,name measures some)
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

.PHONY: chaos
chaos: packages venv ## Disturb agentk at every step of a large plan; takes hours (ARGS='killed --every 20' tries some)
	@$(BIN)/python -m tests.chaos $(ARGS)

## What is shipped

.PHONY: images
images: ## Build the images of agentk and kas (REGISTRY=registry.example.com/group/ puts a name in front)
	@scripts/images

.PHONY: base-image
base-image: ## Take the newest base image into both Containerfiles, by digest
	@scripts/base-image

.PHONY: release
release: venv ## Make what a release holds into dist/ (KEY=release.key signs, IMAGES=no leaves the images out)
	@$(BIN)/python -m scripts.release $(if $(KEY),--key $(KEY)) $(if $(filter no,$(IMAGES)),--no-images)

.PHONY: audit
audit: venv ## Compare the pinned packages with the index: withdrawn, replaced, known to be vulnerable
	@$(BIN)/python -m scripts.release.audit

## A cluster to play with

.PHONY: cluster
cluster: packages venv ## Start a Kubernetes control plane and print the KUBECONFIG to use
	@$(BIN)/python -m tests.controlplane up

.PHONY: cluster-down
cluster-down: venv ## End it
	@$(BIN)/python -m tests.controlplane down

## Set-up

.PHONY: packages
packages: ## Make sure of git, Go and the like (installs from Debian as root)
	@scripts/system-packages

.PHONY: test-packages
test-packages: ## The same for what tests need besides: PostgreSQL, Redis, Chromium, a C compiler
	@scripts/system-packages tests

.PHONY: venv
venv: ## Install the pinned requirements into .venv
	@scripts/venv

.PHONY: servers
servers: venv ## Build the real servers that tests run against, unless cached
	@$(BIN)/python -m tests.controlplane build
	@$(BIN)/python -m tests.forge

## Files that are made, and committed

PROTOS := $(wildcard protos/*/*/*.proto)
PROTOS_OUT ?= .

.PHONY: protos
protos: venv ## Generate agentlink/v1 from protos/
	@$(BIN)/python -m grpc_tools.protoc -I protos --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc \
		--python_out=$(PROTOS_OUT) --pyi_out=$(PROTOS_OUT) --grpc_python_out=$(PROTOS_OUT) --mypy_grpc_out=$(PROTOS_OUT) \
		$(PROTOS)

.PHONY: check-protos
check-protos: venv
	@rm -rf build/protos && mkdir -p build/protos
	@$(MAKE) --no-print-directory protos PROTOS_OUT=build/protos
	@diff -r -x __init__.py -x __pycache__ build/protos/agentlink/v1 agentlink/v1 || \
		{ echo "agentlink/v1 is not what protos/ gives: run 'make protos' and commit the result" >&2; exit 1; }

.PHONY: schema
schema: venv ## Write docs/config.schema.json, for editors, from the models of config.yaml
	@$(BIN)/python -m kas.desired.editor_schema >docs/config.schema.json

.PHONY: requirements
requirements: ## Pin requirements/ anew from pyproject.toml (UPGRADE=1 takes the newest of everything)
	@scripts/requirements

.PHONY: clean
clean: ## Remove what was made in this directory; the cache in ~/.cache/agentk-dev stays
	rm -rf build dist .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
