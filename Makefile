# Python 3.10 to 3.13. Another than `python3`: make PYTHON=python3.12 …  (after `make clean`, if there is a .venv)
PYTHON ?= python3

# What is set for somebody's other Python programs shall not reach ours.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONWARNINGS

# exec: a signal to the recipe is one to the program.
RUN := exec env PYTHONPATH=plugins:include .venv/bin/python
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo airflow test drill mwaa mutants bench bench-reports bench-waiting page constraints clean

help: ## Say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-13s  %s\n' "$$name" "$$what"; done

demo: .venv/.for-demo ## Snapshot a local AWS's Glacier jobs into Parquet through Airflow, and query them
	@$(RUN) -m demo

airflow: .venv/.for-demo ## Run Airflow with its UI on this machine, wired to a local AWS (ready in 30 s); Ctrl-C stops all
	@$(RUN) -m demo.serve

test: .venv/.for-test ## Lint, check types, and run the tests: about 11 minutes on two cores
	@echo "== Lint (ruff)"
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .
	@echo "== Tests (pytest), and types (mypy) beside them"
	@.venv/bin/python -m mypy >.venv/types.txt 2>&1 & types=$$!; trap 'kill $$types; exit 130' INT TERM; \
	.venv/bin/python -m pytest -m "not drill" -n 2 --dist worksteal; tests=$$?; \
	echo "== Types (mypy)"; wait $$types; types=$$?; cat .venv/types.txt; exit $$((tests | types))

drill: .venv/.for-drill ## Break things: the demo, a real Airflow with each executor, a browser, Spark, every Python
	@echo "== Drills (pytest)"
	@.venv/bin/python -m pytest -m "drill or quick_drill or many_examples" --hypothesis-profile drill \
		-n 3 --dist loadfile --no-loadscope-reorder

mutants: .venv/.for-mutants ## Change core modules in small ways, and print what no test notices; ARGS="--mutants 50" for more
	@rm -rf .local/mutants && mkdir -p .local/mutants && git archive HEAD | tar -x -C .local/mutants
	@ln -s "$(CURDIR)/.venv" .local/mutants/.venv
	@cd .local/mutants && exec .venv/mutants/bin/python tests/mutants.py $(ARGS)

bench-reports: .venv/.for-test ## Measure the reports over months of hourly observations; ARGS="--days 365" for a year
	@$(RUN) -m benchmarks.reports $(ARGS)

bench-waiting: .venv/.for-demo ## Measure deferred sensors on 1 to 1,000 vaults; ARGS="--triggers 100" for fewer
	@$(RUN) -m benchmarks.waiting $(ARGS)

bench: .venv/.for-demo ## Measure speed, memory and size against boto3 and pandas
	@$(RUN) -m benchmarks

constraints: .venv/.created ## Put exact versions into constraints.txt, and into MWAA's constraints files beside its images' own
	@echo "== Resolving the versions of all requirements"
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	@.venv/bin/python -m uv pip compile --universal --python-version 3.10 --no-header --no-annotate \
		tests/drills/requirements.txt -o constraints.txt
	@echo 'apache-airflow==3.1.8' | .venv/bin/python -m uv pip compile --quiet --python-version 3.10 --no-header \
		--no-annotate tests/requirements-package.txt - -o tests/drills/constraints-3.1.8.txt
	@PYTHONPATH=include .venv/bin/python -m mwaa.constraints

mwaa: ## Build what Amazon MWAA takes, for each of its Airflow 3 images, into dist/mwaa
	@exec env PYTHONPATH=include $(PYTHON) -m mwaa

page: ## Build the page "Glacier jobs" into the package, from include/page_frontend; needs Node.js and npm
	@echo "== Building the page"
	@cd include/page_frontend && npm ci --no-audit --no-fund --silent && npm run --silent check && npm run --silent build

clean: ## Remove the environment, the demo's data and all caches
	rm -rf .venv .local dist .mypy_cache .pytest_cache .ruff_cache .hypothesis include/page_frontend/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || { \
		echo "Python 3.10 to 3.13 is needed, but \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1);" \
		"name another: make PYTHON=python3.12" >&2; exit 1; }
	@echo "== Creating a Python environment in .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.for-demo: .venv/.created constraints.txt requirements.txt include/local_aws/requirements.txt
	@echo "== Installing Airflow and the local AWS into .venv (once; a minute or two)"
	@$(PIP) -r include/local_aws/requirements.txt -r requirements.txt
	@touch $@

.venv/.for-test: .venv/.created constraints.txt requirements.txt include/local_aws/requirements.txt tests/requirements.txt tests/requirements-package.txt
	@echo "== Installing what the tests need into .venv (once; a minute or two)"
	@$(PIP) -r tests/requirements.txt
	@touch $@

# In an environment of its own: it needs another SQLAlchemy than Airflow.
.venv/.for-mutants: .venv/.for-test
	@echo "== Installing Cosmic Ray into .venv/mutants (once)"
	@.venv/bin/python -m venv .venv/mutants
	@.venv/mutants/bin/python -m pip install --quiet --disable-pip-version-check cosmic-ray==8.7.0
	@touch $@

.venv/.for-drill: .venv/.for-test tests/drills/requirements.txt
	@echo "== Installing what the drills need into .venv (once; Spark is large)"
	@$(PIP) -r tests/drills/requirements.txt
	@touch $@
