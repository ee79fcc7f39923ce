# Every target sets up what it needs first; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format types lock chaos compose-check bench up down clean

PYTHON_DIR := .venv/bin
RUN := $(PYTHON_DIR)/python

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: ## install the locked dependencies into .venv
	@sh scripts/bootstrap.sh

demo: setup ## run the whole road once, results in out/ (KEEP=1 leaves the mesh running)
	@$(RUN) scripts/demo.py $(if $(KEEP),--keep)

up: setup ## start the mesh in the background
	@$(PYTHON_DIR)/concilium up

down: setup ## stop the mesh
	@$(PYTHON_DIR)/concilium down

test: setup ## run every test group that can run here (ALL=1: all must run; GROUPS="unit ocr")
	@$(RUN) scripts/test.py $(if $(ALL),--all) $(GROUPS)

lint: setup ## check style and the direction of imports
	@$(PYTHON_DIR)/ruff format --check .
	@$(PYTHON_DIR)/ruff check .
	@PYTHONPATH=services $(PYTHON_DIR)/lint-imports

format: setup ## format the code and fix what can be fixed
	@$(PYTHON_DIR)/ruff check --fix .
	@$(PYTHON_DIR)/ruff format .

types: setup ## check the types
	@$(PYTHON_DIR)/mypy

chaos: setup ## kill, freeze and starve the mesh, then check that nothing was lost (ARGS=…)
	@$(RUN) -m tests.chaos $(ARGS)

compose-check: setup ## run docker-compose.yml on a real Docker engine and check it (ARGS=…; as root)
	@$(RUN) -m tests.compose $(ARGS)

bench: setup ## measure latency, throughput and memory (ARGS=…)
	@$(RUN) -m benchmarks.path $(ARGS)

lock: setup ## resolve the dependencies again and write the lock files
	@sh scripts/lock.sh

clean: ## remove what was built here (not ~/.concilium, not the download cache)
	rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
