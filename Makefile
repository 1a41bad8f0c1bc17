# Each target is a line or two: the work is in bootstrap.sh, drainproof, pytest and tox.
PYTHON_RUN = .venv/bin/python
export TOX_WORK_DIR = .tox
# For tests that run side by side: no figure of theirs depends on what else the machine does.
SIDE_BY_SIDE = -n auto --maxprocesses 8 --dist loadfile

.PHONY: help setup workshop certify test unit contract browser containers lab-tests lint bench bench-instrument lab image cleanup

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything that the project needs
	@./bootstrap.sh

workshop: ## install what only the project's own tests need besides: a browser
	@./bootstrap.sh workshop

certify: setup ## certify a node drain on the embedded lab: exit 0 pass, 1 fail, 2 unknown, 3 could not run
	@.venv/bin/drainproof certify $(ARGS); code=$$?; echo "exit code $$code"; exit $$code

test: setup lint unit contract browser containers lab-tests ## every test of the project

lint: setup ## ruff, mypy and the import contracts
	@$(PYTHON_RUN) -m ruff check .
	@$(PYTHON_RUN) -m mypy .
	@.venv/bin/lint-imports

unit: setup ## tests that need nothing
	@$(PYTHON_RUN) -m pytest tests/unit $(SIDE_BY_SIDE)

contract: setup ## the lab's API against its clients: kubectl, the kubernetes package, recorded exchanges
	@$(PYTHON_RUN) -m pytest tests/contract $(SIDE_BY_SIDE)

browser: workshop ## the certificate in a real browser
	@$(PYTHON_RUN) -m pytest tests/browser

containers: setup ## tests with a real Prometheus and MariaDB in containers; skipped without an engine
	@$(PYTHON_RUN) -m pytest tests/containers

lab-tests: setup ## tests with real guests
	@$(PYTHON_RUN) -m pytest tests/lab

bench: setup ## print the project's figures
	@$(PYTHON_RUN) -m bench $(ARGS)

bench-instrument: setup ## prove the stopwatch against known blackouts (as root, about half an hour)
	@$(PYTHON_RUN) -m bench.instrument $(ARGS)

image: setup ## write the guest image for clusters: disk, OCI archive and Containerfile, in image/ (as root)
	@$(PYTHON_RUN) -m lab.image.publish $(ARGS)

lab: setup ## start the embedded lab and leave it running
	@.venv/bin/drainproof lab up

cleanup: setup ## remove whatever killed runs have left
	@.venv/bin/drainproof cleanup
