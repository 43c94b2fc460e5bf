# SPDX-License-Identifier: Apache-2.0
# What a person types. Owns the virtual environment and what is installed in it; how things are built is in pyproject.toml and
# CMakeLists.txt. Stamp files in $(VENV)/stamps make a second run quick.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
TEST_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
CLANGXX ?= clang++
# Interpreters that `make wheels` tries the wheel with; those that are missing are named.
WHEEL_PYTHONS ?= python3.11 python3.12 python3.13
TF_VERSIONS ?= 2.15.1 2.18.1 2.21.0

bin := $(VENV)/bin
python := $(bin)/python
stamps := $(VENV)/stamps
pip_install := $(python) -m pip install --quiet --disable-pip-version-check
# cmake, ninja and cython are those of the environment: Debian 12's cmake is older than CMakePresets.json.
with_tools := PATH="$(abspath $(bin)):$$PATH"
python_folders := src tests tools bench docs/examples
cxx_files = $(shell find src tests bench -name '*.[ch]pp' -o -name '*.h')
native_sources := pyproject.toml CMakeLists.txt \
  $(wildcard src/maskcore/_core.* src/maskcore/records/_native.* src/*/csrc/* src/maskcore/csrc/records/*)

ifeq ($(MASKCORE_PURE),)
# A compiler's error is shown instead of becoming a wheel without the native kernel.
export MASKCORE_REQUIRE_NATIVE := 1
endif

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | while IFS='|' read -r name what; do \
	  printf '  make %-19s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: $(stamps)/maskcore ## build records from real prose and read two epochs through tf.data
	$(python) -m maskcore demo --out demo-records

.PHONY: test
test: $(stamps)/maskcore $(stamps)/test ## prove every backend equal; TEST_ARGS goes to pytest
	$(python) -m pytest $(TEST_ARGS)

.PHONY: lint
lint: $(stamps)/lint ## ruff and clang-format, changing nothing
	$(bin)/ruff check $(python_folders)
	$(bin)/ruff format --check $(python_folders)
	$(bin)/clang-format --dry-run -Werror $(cxx_files)

.PHONY: typecheck
typecheck: $(stamps)/maskcore $(stamps)/lint ## mypy --strict on src
	$(bin)/mypy

.PHONY: format
format: $(stamps)/lint ## let ruff and clang-format change the files
	$(bin)/ruff check --fix $(python_folders)
	$(bin)/ruff format $(python_folders)
	$(bin)/clang-format -i $(cxx_files)

.PHONY: sanitize
sanitize: $(stamps)/native-build ## the C ABI's tests under ASan with UBSan and leak detection, then under TSan
	$(with_tools) tools/sanitize asan
	$(with_tools) tools/sanitize tsan

.PHONY: fuzz
fuzz: $(stamps)/native-build ## fuzz the C ABI for FUZZ_SECONDS, with libFuzzer where CLANGXX is clang
	$(with_tools) CLANGXX="$(CLANGXX)" tools/fuzz $(FUZZ_SECONDS) $(FUZZ_SEED)

.PHONY: bench
bench: $(stamps)/maskcore $(stamps)/bench ## measure beside the peers; BENCH_ARGS goes to pytest
	mkdir -p .benchmarks
	$(python) -m pytest bench --benchmark-only --benchmark-json=.benchmarks/bench.json $(BENCH_ARGS)
	$(python) -m bench.compare .benchmarks/bench.json

.PHONY: wheels
wheels: $(stamps)/wheels ## manylinux2014 wheels for x86-64 and aarch64 and the pure one, checked, in wheelhouse/
	$(with_tools) tools/build-wheels wheelhouse
	$(python) tools/test_wheels.py wheelhouse $(WHEEL_PYTHONS)

.PHONY: test-wheel-aarch64
test-wheel-aarch64: $(stamps)/wheels ## run the aarch64 wheel of `make wheels` under qemu-aarch64-static
	$(with_tools) tools/test-wheel-aarch64 wheelhouse

.PHONY: test-tf-matrix
test-tf-matrix: $(stamps)/wheels ## run one built wheel in TF_VERSIONS, with Keras 2 and 3, each in a fresh environment
	rm -rf build/tf-matrix
	$(python) -m pip wheel --quiet --no-deps --wheel-dir build/tf-matrix .
	$(python) tools/test_tf_matrix.py build/tf-matrix $(TF_VERSIONS)

.PHONY: clean
clean: ## remove what was built, but not $(VENV)
	rm -rf build dist wheelhouse demo-records .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find $(python_folders) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove $(VENV), too
	rm -rf $(VENV)

$(stamps)/venv:
	tools/check-system $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(pip_install) --upgrade 'pip>=25.1'
	mkdir -p $(stamps) && touch $@

# Editable installs know the modules that there were: the list of files is part of what they depend on.
.PHONY: always
$(stamps)/modules: always | $(stamps)/venv
	@find src -name '*.py' | sort >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(stamps)/maskcore: $(stamps)/venv $(stamps)/modules $(native_sources)
	@echo "Compiling maskcore and installing it with Numba, TensorFlow and what the record builder needs: a few minutes, once."
	$(pip_install) --editable '.[all]'
	touch $@

$(stamps)/test $(stamps)/lint $(stamps)/native-build $(stamps)/wheels: $(stamps)/%: $(stamps)/venv pyproject.toml
	$(pip_install) --group $*
	touch $@

$(stamps)/bench: $(stamps)/venv pyproject.toml bench/requirements.txt
	$(pip_install) --group bench --requirement bench/requirements.txt
	touch $@
