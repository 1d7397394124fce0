PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo api sizes test lint types imports tests browser clothes real bench clean

demo: $(STAMP)  ## make a picture with the bundled model and write a page one can open
	$(BIN)/regard look "a cat and a blue car on the beach" --seed 0 --verify --out demo --overwrite
	@echo "open demo/page.html in a browser"

test: lint types imports tests  ## all that CI checks

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

api: $(STAMP)  ## write docs/reference/api from the docstrings; a test says when that is due
	$(BIN)/python docs/make_api.py

sizes:  ## how long modules and functions are
	$(PYTHON) benchmarks/sizes.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

tests: $(STAMP) browser clothes
	$(BIN)/pytest --numprocesses auto --dist loadfile -rs  # its last lines say what was skipped, and why

# Two things that pip does not have. Where they cannot be installed, their tests are skipped and say so.
INSTALL = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get -qq update && \
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends >/dev/null

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { $(INSTALL) chromium; } || \
	  echo "no Chromium: the tests of the page in a browser will be skipped"

real: $(STAMP) browser  ## a real DINOv2-small on real photographs; fetches the model once, 90 MB
	@$(BIN)/python -c "import onnx, skimage" 2>/dev/null || \
	  $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,real]' || \
	  { echo "real: onnx and scikit-image are missing and could not be installed"; exit 1; }
	@$(BIN)/python tests/real/make_model.py .real
	$(BIN)/pytest tests/real

clothes:
	@[ -d /usr/share/datasets/fashion-mnist ] || { $(INSTALL) dataset-fashion-mnist; } || \
	  echo "no Fashion-MNIST: the tests that read its files will be skipped"

bench: $(STAMP)
	$(BIN)/python benchmarks/observe.py
	$(BIN)/python benchmarks/measure.py
	$(BIN)/python benchmarks/steer.py
	$(BIN)/python benchmarks/sweep.py --quick

clean:
	rm -rf $(VENV) demo
