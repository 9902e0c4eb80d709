# `make run` brings up the example network, `make test` runs everything that checks it. Both set up what they need:
# a virtual environment in .venv, the Debian packages of the emulation (as root, or by sudo), and the gRPC stubs.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
EXTRAS := emulation,proto,test
TOPOLOGY ?= topologies/elan9.grid.yaml

DEBIAN_PACKAGES := mininet openvswitch-switch ethtool iputils-ping iproute2 etcd-server etcd-client
KERNELS := $(shell find controller/routing -name '*.py')
PROTOS := $(shell find proto -name '*.proto')
STUBS := $(PROTOS:proto/%.proto=%_pb2.py)
SOURCES := benchmarks controller dgc dgctl digitalgrid router_agent topologies tests
ORTOOLS := .venv-ortools

# The first interpreter that is new enough.
PYTHON := $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$python" && break; done)
# Nothing where we are root, sudo where it asks for no password, and otherwise empty with AS_ROOT=no.
SUDO := $(shell [ "$$(id -u)" = 0 ] || { sudo -n true 2>/dev/null && echo 'sudo -n'; })
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null && echo yes || echo no)

.PHONY: help setup debian proto run stop demo mesh bench chaos test lint clean

help: ## Says what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: debian $(STUBS) $(STAMPS)/compiled ## Makes .venv, installs Debian packages where it may, generates stubs, compiles kernels

# Packages are looked for every time: that is quick, and right also after somebody removed one. Of etcd only the program
# is wanted, which tests start by themselves: RUNLEVEL keeps invoke-rc.d from starting the service that comes with it
# (the emulation starts Open vSwitch where it does not run), and what systemd starts all the same is stopped.
debian:
	@missing=(); \
	for package in $(DEBIAN_PACKAGES); do \
		dpkg-query -W -f '$${Status}' "$$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$$package"); \
	done; \
	"$(or $(PYTHON),python3)" -c 'import ensurepip' 2>/dev/null || [ -x $(BIN)/pip ] || missing+=(python3-venv); \
	if [ $${#missing[@]} = 0 ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
		echo "setup: no apt-get here; install yourself what Debian calls: $${missing[*]}" >&2; \
	elif [ $(AS_ROOT) = no ]; then \
		echo "setup: not root and no sudo, so these Debian packages stay missing: $${missing[*]}" >&2; \
		echo "setup: without them only the local backend works" >&2; \
	else \
		$(SUDO) apt-get update -q; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
			apt-get install -qy --no-install-recommends "$${missing[@]}"; \
		if [[ " $${missing[*]} " = *" etcd-server "* ]]; then \
			$(SUDO) update-rc.d etcd disable; \
			[ ! -d /run/systemd/system ] || $(SUDO) systemctl stop etcd; \
		fi; \
	fi

$(STAMPS)/installed: setup.cfg pyproject.toml | debian
	@[ -n "$(PYTHON)" ] || { echo "setup: Python 3.11 or newer is needed and was not found" >&2; exit 1; }
	[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/compiled: $(STUBS) $(KERNELS)
	@echo "compiling the routing kernels; this takes two minutes, and is kept"
	@$(BIN)/python -m controller.computing.warm_up && touch $@
	@echo "ready: see what $(BIN)/dgc, $(BIN)/dgctl and $(BIN)/dgr can do by --help, or try 'make run'"

# What `make run` does not need: peers of the benchmarks, and published networks.
$(STAMPS)/measured: $(STAMPS)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS),bench,study]'
	[ -x $(ORTOOLS)/bin/pip ] || $(PYTHON) -m venv $(ORTOOLS)
	$(ORTOOLS)/bin/pip install --quiet --disable-pip-version-check 'ortools>=9.11,<10'
	@touch $@

proto: $(STUBS) ## Generates the gRPC stubs from proto/, where it changed

$(STUBS) &: $(PROTOS) $(STAMPS)/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iproto \
		--python_out=. --grpc_python_out=. --mypy_out=quiet:. $(PROTOS)

run: setup ## Brings up the example network (Mininet as root, else local processes) and leaves it running
	@$(SUDO) $(BIN)/dgc emulate $(TOPOLOGY) --detach

stop: ## Removes everything that `make run` started, also after a crash
	@[ ! -x $(BIN)/dgc ] || $(SUDO) $(BIN)/dgc stop

demo: setup ## Runs the main job with faults and prints what it measured (demo.json)
	@$(SUDO) $(BIN)/python -m topologies.demo

mesh: setup ## Measures how large a network this machine carries: 100 routers, 200 circuits (mesh.json)
	@$(SUDO) $(BIN)/python -m topologies.demo.mesh

bench: setup $(STAMPS)/measured ## Measures the routing engine beside its peers (bench.json); FULL=1 for all sizes
	@$(BIN)/python -m benchmarks $(if $(FULL),--full)

chaos: setup ## Kills, stops and cuts off controllers and etcd, checks that no promise is lost (chaos.json)
	@$(BIN)/python -m tests.chaos

test: setup $(STAMPS)/measured lint ## Lint, types, arrows of the house, then all tests (as root also those with Mininet)
	$(BIN)/pytest

lint: $(STUBS) $(STAMPS)/measured ## Style (ruff), types (mypy), who may import whom (import-linter), what is declared and used
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit/test_dependencies.py

clean: stop ## Removes .venv and all that is generated
	rm -rf $(VENV) $(ORTOOLS) .run build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f $(STUBS) $(STUBS:.py=.pyi) $(STUBS:_pb2.py=_pb2_grpc.py) demo.json mesh.json bench.json chaos.json
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
