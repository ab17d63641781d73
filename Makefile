# Targets, and what may stand after them: `make help`.

SHELL := /bin/bash
OUT ?= runs/$(FRAMEWORK)-$(shell date +%Y%m%d-%H%M%S)
FRAMEWORK ?= keras
DATA ?=
ARGS ?=
GPU ?= 0
SECONDS ?= 60
export GPU
CONFIG = $(if $(filter 1,$(GPU)),conf/gpu.yaml --num-proc $$(nvidia-smi --list-gpus | wc -l),conf/local.yaml)
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
export SPARK_CONF_DIR := $(CURDIR)/conf
IN_ENV = ENV=$$(environment/run.sh) && export PATH="$(CURDIR)/environment/bin:$$ENV/bin:$$PATH" PYSPARK_PYTHON="$$ENV/bin/python" PYSPARK_DRIVER_PYTHON="$$ENV/bin/python" &&

BASE ?= debian:bookworm-slim
IMAGE = aslspark:$(or $(STACK),current)$(if $(filter 1,$(GPU)),-cuda)

# Java reads the classes that Spark loads from an archive. It says where they are by itself, so it is not for a shell, in
# which people add to the class path.
QUICK_START = export SPARK_SUBMIT_OPTS="-XX:SharedArchiveFile=$$ENV/spark.jsa -cp '$$(cat $$ENV/spark-classpath):$(CURDIR)/conf'" &&

.PHONY: help train shell notebooks site image test test-fast test-long test-stack coverage bench bench-gpu lint env lock audit fuzz mutants
help:
	@echo 'make train       train a network, on hands that it draws, or on yours: DATA="letters.csv more.csv" OUT=runs/mine'
	@echo '                 FRAMEWORK=keras|torch  GPU=1  ARGS="--epochs 15 --set network.name=small_cnn"'
	@echo 'make shell       a shell in which all else runs: aslspark COMMAND, spark-submit jobs/...'
	@echo 'make notebooks   the notebooks as .ipynb, in OUT (runs/notebooks)'
	@echo 'make site        the pages of docs/ as a site, in OUT (runs/site)'
	@echo 'make env         build the environment (the others do so, once, where it is missing)'
	@echo 'make image       the same, with what is committed of the package, as an image for docker: docs/cluster.md'
	@echo
	@echo 'To work on the package:'
	@echo 'make test | test-fast | test-long | coverage     its tests; fast: those without Spark'
	@echo 'make lint | fuzz [SECONDS=60] | mutants          ruff, mypy, order of imports; what the tests notice'
	@echo 'make bench | bench-gpu [DATA=...] [ARGS=...]     how fast it is'
	@echo 'make lock | audit                                its packages, pinned, and their known weaknesses'
	@echo
	@echo 'STACK=spark35 after any of them: Spark 3.5 and Keras 2 in place of Spark 4 and Keras 3.'
	@echo 'What is there: README.md. In `make shell`: aslspark --help, aslspark settings, aslspark doctor.'

train:
	@$(IN_ENV) $(QUICK_START) aslspark train-cnn \
	  $(if $(DATA),--data $(DATA)) --out $(OUT) --framework $(FRAMEWORK) --config $(CONFIG) $(ARGS) && \
	  echo "  (make shell: a shell with aslspark on its path)"

shell:
	@$(IN_ENV) echo "aslspark, spark-submit and python are on the path; aslspark --help says what there is, exit leaves" && { $${SHELL:-bash} || true; }

notebooks:
	@$(IN_ENV) python notebooks/to_ipynb.py $(if $(filter command line environment,$(origin OUT)),$(OUT),runs/notebooks)

site:
	@docs/site/build.sh $(if $(filter command line environment,$(origin OUT)),$(OUT),runs/site)

# What is committed, and no more, is in it.
image:
	git archive HEAD | docker build --tag $(IMAGE) --file environment/Dockerfile --build-arg BASE=$(BASE) \
	  --build-arg STACK=$(or $(STACK),current) --build-arg GPU=$(GPU) $(IMAGE_ARGS) -

# Two processes, each with a Spark of its own; a file's tests stay together, for the bundles that they share.
PYTEST = -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test:
	@$(IN_ENV) $(QUICK_START) python $(PYTEST)

test-fast:
	@$(IN_ENV) $(QUICK_START) python $(PYTEST) -m "not slow and not long"

test-long:
	@$(IN_ENV) $(QUICK_START) python -m pytest -m long
	@$(MAKE) --no-print-directory test-stack STACK=spark35

test-stack:
	@$(IN_ENV) $(QUICK_START) python $(PYTEST) -m "stack and not long"

# Lines and branches that the tests run, in every Python process that they start; a report by file.
coverage:
	@$(IN_ENV) $(QUICK_START) mkdir -p runs/coverage && coverage erase && \
	  { coverage run $(PYTEST); tests=$$?; coverage combine --quiet && coverage report && exit $$tests; }

bench:
	@$(IN_ENV) for bench in $(filter-out %/bench_gpu.py,$(wildcard benchmarks/bench_*.py)); do spark-submit $$bench $(if $(DATA),--data $(DATA)) $(ARGS) || exit 1; done

bench-gpu: GPU = 1
bench-gpu:
	@$(IN_ENV) spark-submit benchmarks/bench_gpu.py $(if $(DATA),--data $(DATA)) $(ARGS)

lint:
	@$(IN_ENV) ruff check . && ruff format --check . && mypy && lint-imports

env:
	@environment/run.sh

lock:
	@environment/lock.sh

audit:
	@$(IN_ENV) python environment/audit.py $(ARGS)

fuzz:
	@$(IN_ENV) nice python tests/fuzz/fuzz.py --seconds $(SECONDS) $(ARGS)

mutants:
	@$(IN_ENV) nice python tests/mutations/run.py $(ARGS)
