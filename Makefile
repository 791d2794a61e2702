# Everything happens in .venv, which any target makes when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := build/native

.PHONY: demo test check native-test python-test test-torch docs bench format clean \
  stress sanitize sanitize-thread sanitize-address sanitize-undefined sanitize-python \
  faults-memory fuzz interrupts kills soak fuzz-loaders accuracy \
  coverage minimum-versions newest-versions sdist-check cluster-faults demo-cluster

## Train on real measurements, forecast them, draw the pictures.
demo: $(VENV)/demo
	$(BIN)/python examples/demo.py

## Learn as many points as kin40k has on a cluster of this machine, and check it without one.
demo-cluster: $(VENV)/demo
	$(BIN)/python -m pip install --quiet --group cluster
	$(BIN)/python examples/cluster/demo.py

## All checks and all tests.
test: check native-test python-test

## Style, formatting and types.
check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files '*.cpp' '*.hpp' | xargs $(BIN)/clang-format --dry-run --Werror

python-test: $(VENV)/test
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest tests/with_jax src/gprat/jax

## What needs PyTorch, which is too heavy a download for everyone who runs the tests.
test-torch: $(VENV)/torch
	$(BIN)/python -m pytest tests/pytorch tests/for_botorch src/gprat/torch src/gprat/botorch \
	  'tests/test_documents.py::test_examples_of_the_documentation_run[torch]' \
	  'tests/test_documents.py::test_examples_of_the_documentation_run[botorch]'

native-test: $(VENV)/test
	$(BIN)/cmake -G Ninja -S . -B $(NATIVE) -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DPython_EXECUTABLE=$(abspath $(BIN))/python \
	  -DGPRAT_BUILD_PYTHON=OFF -DGPRAT_BUILD_TESTS=ON -DGPRAT_BUILD_BENCHMARKS=ON \
	  -DGPRAT_WARNINGS_AS_ERRORS=ON
	$(BIN)/cmake --build $(NATIVE)
	$(BIN)/ctest --test-dir $(NATIVE) --output-on-failure

## Inputs at random over the whole public interface.
fuzz: $(VENV)/test
	$(BIN)/python -m campaigns.fuzz --record

## Ctrl-C at random moments, in a terminal and in a notebook.
interrupts: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group interrupts
	$(BIN)/python -m campaigns.interrupts

## Processes that are killed while they save, and disks that fail.
kills: $(VENV)/test
	$(BIN)/python -m campaigns.kills

## Clusters whose workers are killed, join and leave, and whose scheduler is killed.
cluster-faults: $(VENV)/test
	$(BIN)/python -m campaigns.cluster_faults

## Hours in one process: make soak HOURS=1.
HOURS ?= 1
soak: $(VENV)/test
	$(BIN)/python -m campaigns.soak --hours $(HOURS)

## Models, checkpoints and calibrations that are hostile, found by coverage.
fuzz-loaders: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m campaigns.fuzz_loaders

## The documentation, as HTML in build/docs. A warning is an error.
docs: $(VENV)/docs
	rm -rf docs/api/generated
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going docs build/docs
	@echo build/docs/index.html

## Every study of speed and memory, measured on this machine, and the page that shows them.
bench: native-test
	$(BIN)/python -m benchmarks peers install
	$(BIN)/python -m benchmarks all

## Random graphs and sequences of operations; sanitizers; allocations that fail. What they count
## goes to campaigns/results.
stress: $(VENV)/test
	$(BIN)/python -m campaigns.stress

sanitize: $(VENV)/test
	$(BIN)/python -m campaigns.sanitize

sanitize-thread sanitize-address sanitize-undefined sanitize-python: sanitize-%: $(VENV)/test
	$(BIN)/python -m campaigns.sanitize $*

faults-memory: $(VENV)/test
	$(BIN)/python -m campaigns.faults_memory

## Scaled residuals by kind of matrix and model, and certificates against true errors.
accuracy: $(VENV)/test
	$(BIN)/python -m campaigns.accuracy

## Which lines of Python and of C++ the tests run; pages in build/coverage.
coverage: $(VENV)/test
	$(BIN)/python -m campaigns.coverage

## The tests with the oldest dependencies that pyproject.toml allows, and with the newest.
minimum-versions newest-versions: %-versions: $(VENV)/test
	$(BIN)/python -m campaigns.versions $*

## The source distribution: reproducible, complete, and works where nothing is installed.
sdist-check: $(VENV)/test
	$(BIN)/python -m campaigns.sdist

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files '*.cpp' '*.hpp' | xargs $(BIN)/clang-format -i

clean:
	rm -rf $(VENV) build demo_output docs/api/generated docs/gallery

# The editable install is repeated when anything compiled has changed.
SOURCES := pyproject.toml CMakeLists.txt $(wildcard cmake/*.cmake) \
  $(shell find core bindings -name '*.[ch]pp' -o -name CMakeLists.txt)

$(VENV)/pip: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --group build
	touch $@

$(VENV)/gprat: $(VENV)/pip $(SOURCES)
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable . \
	  --config-settings=build-dir=build/editable \
	  --config-settings=cmake.define.GPRAT_WARNINGS_AS_ERRORS=ON
	touch $@

$(VENV)/demo: $(VENV)/gprat
	$(BIN)/python -m pip install --quiet --group demo
	touch $@

$(VENV)/test: $(VENV)/gprat
	$(BIN)/python -m pip install --quiet --group test
	touch $@

$(VENV)/torch: $(VENV)/test
	$(BIN)/python -m pip install --quiet --group torch
	touch $@

$(VENV)/docs: $(VENV)/gprat
	$(BIN)/python -m pip install --quiet --group docs
	touch $@
