# Two commands on a fresh machine: `make demo` and `make test`. Both need Python >= 3.10 with venv, and make.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Two torch or BLAS threads on shared cores are 2-12 times slower than one; parallelism comes from trials.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

.PHONY: install demo check test mutants bench soak clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench,dev]'
	touch $(STAMP)

demo: $(STAMP)  ## the main job on scikit-learn's digits: 40 trainings, a front of firmwares, a report
	$(BIN)/tinypareto search digits --trials 40 --jobs 2 --out runs/digits
	$(BIN)/tinypareto front runs/digits
	$(BIN)/tinypareto report runs/digits

check: $(STAMP)  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check  ## everything that must hold, in under 15 minutes on 2 cores
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile

mutants: $(STAMP)  ## plants each committed bug in a copy and fails unless the tests notice every one
	$(BIN)/python tools/mutants.py

BENCHMARKS := bumps search ablation suggestion mcu networks static large_trials trainings

bench: $(STAMP)  ## completes every file of results, in many hours; it may be stopped at any time and goes on
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/bench_$$name.py; done

soak: $(STAMP)  ## 500 random graphs under sanitizers, then 10 minutes of damaged ONNX files
	$(BIN)/python tools/soak.py

clean:
	rm -rf .venv build dist runs .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info
