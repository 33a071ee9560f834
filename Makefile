# Two commands set up and use effbatch on a machine with Python >= 3.11 and make:
#   make validate   trains the quick simulations and writes out/report.pdf
#   make test       runs the tests
# Besides, `make docs` builds the documentation into site/, `make data` installs the data sets that the platform offers,
# and `make torture` tries what a sweep survives.
# constraints.txt pins the tested versions. Of PyTorch, pip takes the CPU build where it finds one.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out

.PHONY: validate test torture lint docs data setup clean

validate: setup
	$(BIN)/effbatch validate --quick --out $(OUT)

# In two processes of one thread each: on two cores half the time of one process with two threads.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# Kills, full disks, damaged files, large sweeps, bad input, intervals, at length: half an hour; writes docs/reliability.md.
torture: setup
	$(BIN)/python tests/reliability/record.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --site-dir site

setup: $(VENV)/installed
	@$(BIN)/python -c "import weasyprint" >/dev/null 2>&1 || $(MAKE) --no-print-directory pango

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'effbatch needs Python 3.11 or newer; give one with make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

# WeasyPrint draws the PDF with Pango, a system library: install it where we may, else say how.
.PHONY: pango
pango:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0; \
	else \
	  echo "The PDF needs the system library Pango. Install it with:"; \
	  echo "  Debian, Ubuntu: sudo apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"; \
	  echo "  Fedora: sudo dnf install pango      macOS: brew install pango"; \
	  exit 1; \
	fi

# Fashion-MNIST is a system package of Debian and Ubuntu: install it where we may, else say how. Never fails.
data:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get install -y -qq dataset-fashion-mnist || \
	  { apt-get update -qq && apt-get install -y -qq dataset-fashion-mnist; } || \
	  echo "apt-get could not install dataset-fashion-mnist: see docs/data.md for other ways."; \
	else \
	  echo "Fashion-MNIST: on Debian or Ubuntu, sudo apt-get install dataset-fashion-mnist; elsewhere, see docs/data.md."; \
	fi
	@echo "The other data sets: effbatch datasets says what is here, docs/data.md how to bring the rest."

clean:
	rm -rf $(VENV) out site
