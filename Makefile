# Everything installs into .venv here; `make demo` and `make test` are the only two commands to remember.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench validate proof soak sbom lock clean

help:
	@echo "make demo     install and show a simulated bedside with its live page"
	@echo "make test     install what the tests need and run them with all checks"
	@echo "make lint     formatting, lint, types and layers"
	@echo "make bench    measure; writes docs/performance.md"
	@echo "make validate indices against known truths and recordings; writes docs/validation.md"
	@echo "make proof    the long proofs, within an hour"
	@echo "make soak     the longest ones, for hours"
	@echo "make sbom     what is installed, with hashes and licences; writes dist/sbom.json (CycloneDX)"

.venv/runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "perfusion needs Python 3.11 or newer, and $(PYTHON) is %d.%d: try make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/test: .venv/runtime requirements-test.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	touch $@

.venv/system: tests/install_system_packages.sh .venv/runtime
	sh tests/install_system_packages.sh
	touch $@

demo: .venv/runtime
	$(BIN)/perfusion demo $(DEMO)

lint: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: .venv/test .venv/system lint
	$(BIN)/pytest -m "not proof and not soak" -n 2 --dist loadfile

bench: .venv/test
	$(BIN)/python -m benchmarks

validate: .venv/test
	$(BIN)/python -m benchmarks.validate

proof: .venv/test .venv/system validate
	$(BIN)/pytest -m proof -n 2 --dist worksteal --timeout 3600

soak: .venv/test .venv/system
	$(BIN)/pytest -m "soak or proof" -n 2 --dist worksteal --timeout 36000

sbom: .venv/test
	mkdir -p dist
	$(BIN)/python -m release.sbom > dist/sbom.json

lock: .venv/runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --build-deps-for editable --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --constraint requirements.lock --extra test --output-file requirements-test.lock pyproject.toml

clean:
	rm -rf .venv dist build
