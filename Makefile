# make help  lists the targets. Everything below needs only GNU make, bash and Python 3.10 or newer.
SHELL := bash
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

SCALE ?= laptop
DATA ?= scenes
SEED ?= 0
ENV ?= .venv
BASE_PYTHON ?= python3
CONDA ?= $(firstword $(foreach tool,mamba micromamba conda,$(shell command -v $(tool) 2>/dev/null)))
JOBS ?= 2
IMAGES ?= 40000
DATA_SEED ?= 42
EXPERIMENTS := test0 run1 run2 test3 run3 run4 run5 run6 run1_blind run2_blind run3_blind run4_blind run5_blind
# Rungs of the ladder that every build makes (vljepa_core/rungs.py, IN_EVERY_BUILD).
RUNGS := direct pretrained_direct
# The audit's other runs, at laptop as long again as all of the above: by default the book shows their recorded results.
# make book CONTROLS='capacity_overfit capacity_oracle capacity_table run2_imagenet run4_token'
CONTROLS ?=

# ---- refuse a bad choice at once --------------------------------------------------------------------
ifneq ($(words $(SCALE)) $(filter smoke laptop paper,$(SCALE)),1 $(SCALE))
$(error SCALE=$(SCALE) is not a scale; use SCALE=smoke, SCALE=laptop or SCALE=paper)
endif
ifneq ($(shell [[ '$(SEED)' =~ ^[0-9]+$$ ]] && echo number),number)
$(error SEED=$(SEED) is not a whole number; use for example SEED=0)
endif
ifneq ($(shell [[ '$(DATA)' =~ ^(shapes|coco|scenes(:[0-4])?)$$ || -d '$(DATA)' ]] && echo found),found)
$(error DATA=$(DATA) is neither shapes, scenes (or scenes:0 to scenes:4), coco nor a folder; a folder holds images/ and captions_*.json)
endif

# ---- which Python -----------------------------------------------------------------------------------
# `make PYTHON=/path/to/python ...` uses that Python as it is. Otherwise the environment is made in $(ENV).
# Only the command line counts: a PYTHON variable that happens to be in someone's shell does not.
ifeq ($(origin PYTHON),command line)
ENV_READY :=
export PYTHONPATH := $(CURDIR)
else
PYTHON := $(ENV)/bin/python
ENV_READY := $(ENV)/.ready
unexport PYTHONPATH
endif
export PYTHONNOUSERSITE := 1
export JUPYTER_PREFER_ENV_PATH := 1

# ---- what depends on what ---------------------------------------------------------------------------
# Each (scale, data, seed) has a folder of its own, so that their outputs are never taken for each other.
TAG := $(SCALE)-$(shell basename '$(DATA)' | tr -c 'A-Za-z0-9._\n-' '-')-$(SEED)
BUILD := build/$(TAG)
NOTEBOOKS := $(sort $(wildcard notebooks/*.py))
EXECUTED := $(NOTEBOOKS:notebooks/%.py=$(BUILD)/source/notebooks/%.ipynb)
CORE := $(shell find vljepa_core -name '*.py')
RECORDED := $(wildcard data/recorded/*/*.json data/recorded/*/*/*.json data/recorded/sweeps/*/*/*.json)
# Of a folder of one's own: its captions, and its folders, whose times change as images come and go.
ifeq ($(shell [[ ! '$(DATA)' =~ ^(shapes|coco|scenes(:[0-4])?)$$ ]] && echo folder),folder)
OWN_DATA := $(shell find -L '$(DATA)' -type d -o -name 'captions*.json' | sed 's/ /\\ /g')
else ifeq ($(DATA),coco)
OWN_DATA := $(wildcard $(or $(VLJEPA_DATA),data)/coco/*.json)
endif
BOOK := book/_config.yml book/_toc.yml book/myst.yml book/status.py book/data_used.py book/speed.py benchmarks/table.py \
  $(wildcard book/*.md book/_static/* benchmarks/recorded/*)
HTML := $(BUILD)/_build/html/index.html

EXPECT_smoke := about 5 minutes, 2 of them for the environment
EXPECT_laptop := about 20 minutes on 2 cores that multiply in bfloat16, 1 or 2 of them for the environment
EXPECT_paper := hours on a CUDA GPU, days without; what is finished is kept, and an interrupted run resumes

.PHONY: help book notebooks records data test bench lab env pairs lint clean full-clean FORCE

help:  ## this list
	@echo "make TARGET [SCALE=smoke|laptop|paper] [DATA=shapes|scenes|coco|FOLDER] [SEED=n]     (now: $(SCALE), $(DATA), $(SEED))"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo "FOLDER: images/ and captions_*.json in COCO captions format.  PYTHON=path: use that Python as it is.  ENV=path: make the environment there."

book:  ## environment, training, notebooks and the HTML book; says where it is
	@echo "book: scale $(SCALE), data $(DATA), seed $(SEED). From nothing: $(EXPECT_$(SCALE)). What is done already is not done again."
	@+$(MAKE) --no-print-directory -j$(JOBS) $(HTML)
	@ln -sfn '$(TAG)/_build/html' build/html
	@echo "The book: $(CURDIR)/build/html/index.html"

notebooks: $(EXECUTED)  ## run every notebook, without building the book

records: $(BUILD)/records.done  ## train and evaluate every experiment, or load what is already done

data: $(ENV_READY)  ## fetch COCO for DATA=coco, or go on fetching it; IMAGES=40000 DATA_SEED=42 FETCH='--root FOLDER_WITH_ZIPS'
	$(PYTHON) -m vljepa_core data coco --images $(IMAGES) --seed $(DATA_SEED) $(FETCH)

test: $(ENV_READY)  ## the tests
	$(PYTHON) -m pytest

bench: $(ENV_READY)  ## this package beside the published path, timed; DEVICE=cpu|cuda BENCH='--only train --scale laptop'
	$(PYTHON) benchmarks/bench.py $(if $(DEVICE),--device $(DEVICE)) $(BENCH)

# Jupyter's root is notebooks/, so that a module of the core is never opened (and saved) as a notebook;
# kernels start in the repository's root, as they do under papermill.
lab: $(ENV_READY)  ## JupyterLab; either half of a pair opens as the notebook, saving writes both
	JUPYTER_CONFIG_PATH='$(CURDIR)/notebooks/.jupyter' $(PYTHON) -m jupyterlab notebooks \
	  --MappingKernelManager.root_dir='$(CURDIR)' $(LAB_OPTIONS)

env: $(ENV_READY)  ## the environment: conda, mamba or micromamba if present, else venv

pairs: $(ENV_READY)  ## write every notebooks/*.ipynb anew from its .py, without outputs
	$(PYTHON) book/pairs.py $(NOTEBOOKS)

lint: $(ENV_READY)  ## ruff
	$(PYTHON) -m ruff check .

clean:  ## remove what was built; keep the environment, the runs, the data caches and what was fetched
	rm -rf build

full-clean: clean  ## remove the runs, the data caches and the environment as well; keep what was fetched (data/coco)
	rm -rf data/runs data/sweeps data/cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@if [ -e '$(ENV)/.ready' ]; then echo "rm -rf $(ENV)"; rm -rf '$(ENV)'; fi

# ---- environment: remade when the list of dependencies or the tested versions change ------------------
# --no-compile: Python compiles what it imports when it first does, which is a small part of all this.
# constraints.txt needs Python 3.11 or newer; on 3.10 pip chooses from pyproject.toml's ranges.
$(ENV)/.ready: pyproject.toml constraints.txt
	@echo "environment: making $(ENV) (about 3 minutes; PyTorch is most of it)"
	@set -e; if [ ! -x '$(ENV)/bin/python' ]; then \
	  if [ -n '$(CONDA)' ]; then \
	    '$(CONDA)' create --yes --quiet --prefix '$(ENV)' --override-channels --channel conda-forge python=3.11 pip \
	      || { echo "environment: $(CONDA) failed. 'make env CONDA=' uses python's own venv instead." >&2; exit 1; }; \
	  else \
	    $(BASE_PYTHON) -c 'import sys; ok = sys.version_info >= (3, 10); ok or print(f"environment: {sys.executable} is Python {sys.version.split()[0]}; 3.10 or newer is needed. Choose one: make env BASE_PYTHON=python3.11"); sys.exit(not ok)' >&2; \
	    $(BASE_PYTHON) -m venv '$(ENV)' \
	      || { rm -rf '$(ENV)'; echo "environment: $(BASE_PYTHON) cannot make a venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	  fi; \
	fi; \
	constraint=$$('$(ENV)/bin/python' -c 'import sys; print("--constraint constraints.txt" if sys.version_info >= (3, 11) else "")'); \
	'$(ENV)/bin/python' -m pip install --disable-pip-version-check --progress-bar off --no-compile --quiet $$constraint --editable '.[notebooks,book,test]'; \
	'$(ENV)/bin/python' -c 'import matplotlib.font_manager'
	@touch $@

# ---- parameters: rewritten only when they change ------------------------------------------------------
$(BUILD)/params.yaml: FORCE
	@mkdir -p $(@D)
	@printf 'scale: %s\ndata: "%s"\nseed: %s\n' '$(SCALE)' '$(DATA)' '$(SEED)' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Every run that was asked for so far, one a line: a control that is asked for later makes the records again.
$(BUILD)/asked: FORCE
	@mkdir -p $(@D)
	@touch -a $@
	@printf '%s\n' $(EXPERIMENTS) $(CONTROLS) $(RUNGS) | grep -vxFf $@ >> $@ || true

# ---- records: the core decides which of them still hold, and trains the others --------------------------
$(BUILD)/records.done: $(BUILD)/params.yaml $(BUILD)/asked $(CORE) $(OWN_DATA) constraints.txt | $(ENV_READY)
	$(PYTHON) -m vljepa_core run $(EXPERIMENTS) $(CONTROLS) --rungs $(RUNGS) \
	  --scale $(SCALE) --data '$(DATA)' --seed $(SEED) --jobs $(JOBS)
	@touch $@

# ---- notebooks: each depends on its own text, on the core and on the records, and on no other notebook.
# A notebook that came to read another one's output would get a line of its own here.
$(BUILD)/source/notebooks/%.ipynb: notebooks/%.py book/execute.py $(BUILD)/params.yaml $(BUILD)/records.done $(CORE) $(RECORDED)
	@$(PYTHON) book/execute.py $< $@ --parameters $(BUILD)/params.yaml --failed $(BUILD)/failed

# ---- the book: hand-written pages and executed notebooks side by side in $(BUILD)/source -----------------
# A warning is an error. --all: the sidebar of every page names every other page. After a failure the
# half-built pages go, because Sphinx would not warn about them a second time.
$(HTML): $(EXECUTED) $(BOOK)
	@echo "book: building the pages (half a minute)"
	@mkdir -p $(BUILD)/source
	@cp -R book/_config.yml book/_toc.yml book/myst.yml book/*.md book/_static $(BUILD)/source/
	@printf '%s\n' status data_used speed | xargs -P $(JOBS) -I{} $(PYTHON) book/{}.py $(BUILD)/source
	@$(PYTHON) -c 'from jupyter_book.cli.main import main; main()' build $(BUILD)/source --path-output $(BUILD) \
	  --all -W --keep-going --quiet > /dev/null || { rm -rf $(BUILD)/_build; exit 1; }
	@touch $@
