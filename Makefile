# `make` alone lists what there is. `make run` and `make test` set everything up by themselves.
#
#   PYTHON=python3.12   the interpreter (default: the first python3 that is 3.11 or newer)
#   VENV=.venv          where the virtual environment goes
#   QUESTION="…"        what `make run` asks
#   MODE=agent          who decides what it searches: `static`, a flow as it stands in a file, `agent`, a supervisor, or
#                       `events`, a team of agents
#   ARGS="-k journal"   more arguments for pytest, benchmarks/run.py …

VENV ?= .venv
ARGS ?=
MODE ?= static
QUESTION ?= how do I limit how many tasks run at once?

# The texts reach the recipe through the environment, as they were written: `value` keeps make from reading a `$`
# in them, and the quotes around "$$QUESTION" keep the shell from reading anything else.
override MODE := $(value MODE)
override QUESTION := $(value QUESTION)
export MODE QUESTION VENV
ifdef PYTHON
export PYTHON
endif

bin := $(VENV)/bin
.DEFAULT_GOAL := help
.NOTPARALLEL:  # two set-ups at once would write into one folder
.PHONY: help run test check format bench bench-peers campaign constraints clean setup-run setup-run-llm setup-dev setup-bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: setup-run$(if $(DAGGER_MODEL),-llm) ## answer QUESTION from the source code of the standard library
	@"$(bin)/python" examples/stdlib_search/ask.py --mode "$$MODE" "$$QUESTION"

test: check ## everything in `check`, then all tests
	"$(bin)/python" -m pytest $(ARGS)

check: setup-dev ## lint, format, types, layers, public names: what pre-commit and CI run
	"$(bin)/ruff" check .
	"$(bin)/ruff" format --check .
	"$(bin)/mypy"
	"$(bin)/python" -m pytest -q tests/test_layers.py tests/test_public_api.py

format: setup-dev ## mend what ruff can mend
	"$(bin)/ruff" check --fix-only --quiet .
	"$(bin)/ruff" format .

bench: setup-bench ## measure with benchmarks/run.py
	"$(bin)/python" benchmarks/run.py $(ARGS)

bench-peers: setup-bench ## measure beside other libraries, each in its own environment under build/peers
	"$(bin)/python" benchmarks/run_peers.py $(ARGS)

campaign: setup-dev ## all tests, the long ones too: crash points, seeds
	"$(bin)/python" -m pytest --campaign $(ARGS)

constraints: ## write constraints.txt anew with the newest versions that pyproject.toml allows
	rm -rf build/constraints
	$(or $(PYTHON),python3) -m venv build/constraints
	build/constraints/bin/python -m pip install --quiet --disable-pip-version-check ".[all,bench,dev]"
	{ sed '/^[^#]/d' constraints.txt; build/constraints/bin/python -m pip freeze --exclude dagger-flow; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/constraints

clean: ## remove the virtual environment, caches, what was built and what `make run` left
	rm -rf "$(VENV)" build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .stdlib_search
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

setup-run setup-run-llm setup-dev setup-bench:
	@scripts/setup $(@:setup-%=%)
