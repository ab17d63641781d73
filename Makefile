# make train [DATA="PATH ..."] [OUT=DIR] [FRAMEWORK=keras|torch] [ARGS="--epochs 15 ..."]
# make shell | test | test-long | bench | lint | env | lock

SHELL := /bin/bash
OUT ?= runs/$(FRAMEWORK)-$(shell date +%Y%m%d-%H%M%S)
FRAMEWORK ?= keras
DATA ?=
ARGS ?=
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
export SPARK_CONF_DIR := $(CURDIR)/conf
IN_ENV = ENV=$$(environment/build.sh) && export PATH="$$ENV/bin:$$PATH" PYSPARK_PYTHON="$$ENV/bin/python" PYSPARK_DRIVER_PYTHON="$$ENV/bin/python" &&

.PHONY: train shell test test-long bench lint env lock
train:
	@$(IN_ENV) spark-submit jobs/train_cnn.py \
	  $(if $(DATA),--data $(DATA)) --out $(OUT) --framework $(FRAMEWORK) --config conf/local.yaml $(ARGS)

shell:
	@$(IN_ENV) exec $${SHELL:-bash}

test:
	@$(IN_ENV) python -m pytest

test-long:
	@$(IN_ENV) python -m pytest -m long

bench:
	@$(IN_ENV) for bench in benchmarks/bench_*.py; do spark-submit $$bench $(if $(DATA),--data $(DATA)) $(ARGS) || exit 1; done

lint:
	@$(IN_ENV) ruff check . && ruff format --check . && mypy

env:
	@environment/build.sh

lock:
	@environment/lock.sh
