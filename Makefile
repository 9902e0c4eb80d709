# `make run` brings up the example network, `make test` runs everything that checks it. Both set up what they need:
# a virtual environment in .venv, the Debian packages of the emulation (as root, or by sudo), and the gRPC stubs.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# Hundreds of programs are started, by tests most of all: each would compile every module that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
TOPOLOGY ?= topologies/elan9.grid.yaml

DEBIAN_PACKAGES := mininet openvswitch-switch ethtool iputils-ping iproute2 etcd-server etcd-client
# Programs that only tests use.
TEST_PACKAGES := curl prometheus chromium groff-base systemd
KERNELS := $(shell find controller/routing -name '*.py')
PROTOS := $(shell find proto -name '*.proto')
STUBS := $(PROTOS:proto/%.proto=%_pb2.py)
SOURCES := benchmarks controller dgc dgctl digitalgrid examples router_agent topologies tests trading
ORTOOLS := .venv-ortools

# The first interpreter that is new enough.
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$python" && break; done)
# Nothing where we are root, sudo where it asks for no password, and otherwise empty. Bytecode that root compiles stays
# out of the user's tree, which the user could not remove it from.
ROOT_BYTECODE := /var/cache/digitalgrid
SUDO := $(shell [ "$$(id -u)" = 0 ] || { sudo -n true 2>/dev/null && \
	echo 'sudo -n env PYTHONPYCACHEPREFIX=$(ROOT_BYTECODE)'; })
# Steps that have nothing to do with each other run side by side.
STEPS := $(MAKE) --no-print-directory --jobs=2

.PHONY: help setup ready python debian proto run stop demo protect market mesh bench chaos docs docs-serve first-minutes test explore promised checked lint style types arrows clean

help: ## Says what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Makes .venv, installs Debian packages where it may, generates stubs, compiles kernels
	@$(STEPS) ready $(STAMPS)/compiled
	@echo "ready: see what $(BIN)/dgc, $(BIN)/dgctl and $(BIN)/dgr can do by --help, or try 'make run'"

# What a network needs to run; kernels are compiled while it does.
ready: debian $(STUBS)

# Packages are looked for every time: that is quick, and right also after somebody removed one.
debian: | python
	@tools/debian-packages $(DEBIAN_PACKAGES)

python:
	@[ -n "$(PYTHON)" ] || { echo "setup: Python 3.11 or newer is needed and was not found" >&2; exit 1; }
	@[ -x $(BIN)/pip ] || $(PYTHON) -c 'import ensurepip' 2>/dev/null || tools/debian-packages python3-venv

$(STAMPS)/installed: setup.cfg pyproject.toml | python
	@[ -x $(BIN)/pip ] || tools/phase "Python environment" 6 $(PYTHON) -m venv $(VENV)
	@tools/phase "Python packages" 12 tools/install $(BIN)/python --editable '.[emulation,proto]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/compiled: $(STUBS) $(KERNELS)
	@tools/phase "routing kernels, compiled and kept" 45 $(BIN)/python -m controller.computing.warm_up
	@touch $@

# What `make run` does not need: tests, peers of the benchmarks, and published networks.
$(STAMPS)/measured: $(STAMPS)/installed
	@tools/phase "packages of tests and benchmarks" 25 \
		tools/install $(BIN)/python --editable '.[emulation,proto,test,docs,bench,study,tracing]'
	@[ -x $(ORTOOLS)/bin/pip ] || tools/phase "environment of OR-Tools" 6 $(PYTHON) -m venv $(ORTOOLS)
	@tools/phase "OR-Tools" 8 tools/install $(ORTOOLS)/bin/python 'ortools>=9.11,<10'
	@touch $@

$(STAMPS)/plots: $(STAMPS)/installed
	@tools/phase "packages of pictures" 6 tools/install $(BIN)/python --editable '.[emulation,proto,plots]'
	@touch $@

proto: $(STUBS) ## Generates the gRPC stubs from proto/, where it changed

$(STUBS) &: $(PROTOS) $(STAMPS)/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iproto \
		--python_out=. --grpc_python_out=. --mypy_out=quiet:. $(PROTOS)

run: ## Brings up the example network (Mininet as root, else local processes) and leaves it running
	@$(STEPS) ready
	@$(SUDO) $(BIN)/dgc emulate $(TOPOLOGY) --detach

stop: ## Removes the network that `make run` started, also after a crash
	@[ ! -x $(BIN)/dgc ] || $(SUDO) $(BIN)/dgc stop

demo: setup ## Runs the main job with faults and prints what it measured (demo.json)
	@$(SUDO) $(BIN)/python -m topologies.demo

protect: setup ## Breaks lines, routers and a source under a hundred protected circuits, with a controller and without (protect.json)
	@$(SUDO) $(BIN)/python -m topologies.demo.protect

market: setup $(STAMPS)/plots ## Lets ten parties trade for two minutes, breaks what can break, and makes their bills (market.json, market.svg)
	@$(SUDO) $(BIN)/python -m topologies.market_day

mesh: setup ## Measures how large a network this machine carries: 100 routers, 200 circuits (mesh.json)
	@$(SUDO) $(BIN)/python -m topologies.demo.mesh

bench: setup $(STAMPS)/measured ## Measures the routing engine beside its peers (bench.json); FULL=1 for all sizes
	@$(BIN)/python -m benchmarks $(if $(FULL),--full)

chaos: setup ## Kills, stops and cuts off controllers and etcd, checks that no promise is lost (chaos.json)
	@$(BIN)/python -m tests.chaos

docs: setup $(STAMPS)/measured ## Makes the documentation a site, in build/site
	@tools/site build

docs-serve: setup $(STAMPS)/measured ## The same, served on loopback, anew with each change
	@tools/site serve

first-minutes: ## Measures a first `make run`: from a fresh clone, with nothing kept, to power at a load
	@$(PYTHON) benchmarks/first_minutes.py

test: ## Lint, types, arrows of the house, then all tests (as root also those with Mininet)
	@$(STEPS) ready $(STAMPS)/measured
	@tools/debian-packages $(TEST_PACKAGES)
	@$(STEPS) $(STAMPS)/compiled types arrows style
	@tools/test

explore: setup $(STAMPS)/measured ## Tries other random cases of all properties than `make test` always has
	$(BIN)/pytest -n $$(nproc) --no-loadscope-reorder --part units -m hypothesis --hypothesis-profile=explore

promised: setup $(STAMPS)/measured ## Tries properties of the exchange as often as is promised, and every bit of a log (a quarter of an hour)
	@nice $(BIN)/python -m tests.promised

checked: setup $(STAMPS)/measured ## Runs the routing engine's tests with a look at every access to an array (minutes)
	$(BIN)/pytest -n $$(nproc) --engine checked -m 'not engines' tests/unit/routing tests/property/routing

lint: $(STUBS) $(STAMPS)/measured ## Style (ruff), types (mypy), who may import whom (import-linter), what is declared and used
	@$(STEPS) types arrows style
	$(BIN)/pytest -q tests/unit/test_dependencies.py

style:
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(STUBS)
	$(BIN)/mypy

arrows: $(STUBS)
	$(BIN)/lint-imports

clean: stop ## Removes .venv and all that is generated
	$(SUDO) rm -rf $(VENV) $(ORTOOLS) .run build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	$(SUDO) rm -f $(STUBS) $(STUBS:.py=.pyi) $(STUBS:_pb2.py=_pb2_grpc.py) demo.json protect.json mesh.json market.json market.svg bench.json chaos.json
	$(SUDO) find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
	[ -z "$(SUDO)" ] || $(SUDO) rm -rf $(ROOT_BYTECODE)
