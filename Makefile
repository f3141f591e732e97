# Two commands on a fresh machine: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ADDRESS ?= 127.0.0.1:10432
SCENARIO ?= leak
PYTEST = $(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadgroup
WORKERS ?= auto
MUTANTS ?= 1000000
SEED ?= 1
INPUTS ?=
ENGINE ?= auto
SECONDS ?= 3600
FUZZ_SECONDS ?= inf
TAG ?=
RELEASE = build/release/bin
SITE = build/site-tools/bin
SITE_ADDRESS ?= 127.0.0.1:8000

.PHONY: help demo test test-all fuzz soak clients servers lint docs rules dashboards pictures lock
.PHONY: release-check test-clients clean cluster docs-site docs-serve
.DEFAULT_GOAL := help

help:
	@echo "make demo   PostgreSQL, two applications (one leaks) and the exporter; Ctrl-C ends it"
	@echo "            (make demo ADDRESS=127.0.0.1:10433 where the port is taken;"
	@echo "            SCENARIO=trouble shows more that can go wrong)"
	@echo "make test   the tests, in parallel; reports what is skipped because a program is missing"
	@echo "make test-all  the slow ones too: live dashboards, alerts and workloads"
	@echo "make fuzz   a million mutants of each kind of input (make fuzz MUTANTS=10000 INPUTS=jolokia)"
	@echo "            (make fuzz FUZZ_SECONDS=600: of each kind at most that long)"
	@echo "make soak   an hour in which everything restarts: memory, descriptors and so on stay flat"
	@echo "            (make soak SECONDS=600)"
	@echo "make clients  builds the applications in Node, Java and Go that tests start, with their tools"
	@echo "make servers  fetches PostgreSQL 13, 14, 15 and 17, which tests start"
	@echo "make test-clients  the own tests of the clients in Go, Node and Java"
	@echo "            (make test-clients JAVA=/path/to/java: on Java 21 or newer, with virtual threads)"
	@echo "make cluster  builds Kubernetes' API server, Helm and Kustomize for tests (needs Go; four minutes)"
	@echo "make lint   ruff, mypy, import order"
	@echo "make docs   write the generated documentation again"
	@echo "make docs-serve  serves the documentation as a site (make docs-serve SITE_ADDRESS=127.0.0.1:8001)"
	@echo "make docs-site  builds it in build/site; fails for a link or an anchor that leads nowhere"
	@echo "make rules  write the generated rules again"
	@echo "make dashboards  write the dashboards' JSON again"
	@echo "make pictures  make the pictures of the documentation again (five minutes)"
	@echo "make lock   write the lock files of the container image and of CI again (needs uv)"
	@echo "make release-check  builds the package and checks it as an index would"
	@echo "            (make release-check TAG=v0.1.0: also whether that may be published)"
	@echo "make clean  remove the virtual environment and caches"

demo: $(VENV)/.demo
	@$(BIN)/pg-pool-exporter demo --scenario=$(SCENARIO) --web.listen-address=$(ADDRESS)

test: $(VENV)/.dev
	$(PYTEST) -m 'not slow'

test-all: $(VENV)/.dev
	$(PYTEST)

fuzz: $(VENV)/.fuzz
	PYTHONPATH=tests $(BIN)/python -m fuzz --mutants $(MUTANTS) --seed $(SEED) --engine $(ENGINE) \
	  --seconds $(FUZZ_SECONDS) $(INPUTS)

soak: $(VENV)/.dev
	$(BIN)/python -m bench.soak --seconds=$(SECONDS)

clients:
	cd tests/clients/node && npm ci --silent --ignore-scripts
	cd clients/java && mvn --quiet --batch-mode install -Dmaven.test.skip=true
	cd tests/clients/java/pools && mvn --quiet --batch-mode package
	cd tests/clients/java/spring && mvn --quiet --batch-mode package
	cd tests/clients/java/quarkus && mvn --quiet --batch-mode package
	cd tests/clients/go && GOTOOLCHAIN=local go build -buildvcs=false -o build/app . && \
	  GOTOOLCHAIN=local go build -buildvcs=false -o build/scenarios ./scenarios

# The packages' own scripts make the links between their libraries.
servers:
	cd tests/servers && npm ci --silent

# Needs DATABASE_URL and JDBC_URL: .venv/bin/python .ci/with_postgres.py make test-clients
test-clients:
	cd clients/go && GOTOOLCHAIN=local go vet ./... && GOTOOLCHAIN=local go test ./...
	cd clients/node && npm ci --silent --ignore-scripts && npm test --silent && npm run --silent types
	cd clients/java && mvn --quiet --batch-mode $(if $(JAVA),-Djvm=$(JAVA)) test

CLUSTER = $(CURDIR)/tests/cluster
# Else it says that it is v0.0.0, which is too old for the chart.
VERSION_OF_KUBERNETES = -X k8s.io/component-base/version.gitVersion=v1.34.4 \
  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34
CLUSTER_PROGRAMS = helm.sh/helm/v4/cmd/helm@v4.3.1 \
  sigs.k8s.io/kustomize/kustomize/v5@v5.8.0 github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# Of the objects that the chart and the documentation have for operators: MODULE:FILE.
PROMETHEUS_OPERATOR = github.com/prometheus-operator/prometheus-operator@v0.85.0
DEFINITIONS = \
  $(foreach type,servicemonitors podmonitors prometheusrules,$(PROMETHEUS_OPERATOR):example/prometheus-operator-crd/monitoring.coreos.com_$(type).yaml) \
  github.com/cloudnative-pg/cloudnative-pg@v1.27.0:config/crd/bases/postgresql.cnpg.io_clusters.yaml \
  github.com/zalando/postgres-operator@v1.14.0:manifests/postgresql.crd.yaml

cluster:
	cd $(CLUSTER)/apiserver && GOTOOLCHAIN=local go build -trimpath -buildvcs=false \
	  -ldflags='-s -w $(VERSION_OF_KUBERNETES)' -o $(CLUSTER)/build/kube-apiserver .
	cd $(CLUSTER)/alloy && GOTOOLCHAIN=local go build -buildvcs=false -o $(CLUSTER)/build/alloy-syntax .
	for definition in $(DEFINITIONS); do \
	  module=$$(GOTOOLCHAIN=local go mod download -json $${definition%:*} | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p') && \
	  install -m 644 -t $(CLUSTER)/build $$module/$${definition#*:} || exit 1; done
	for program in $(CLUSTER_PROGRAMS); do \
	  GOTOOLCHAIN=local GOBIN=$(CLUSTER)/build go install -ldflags='-s -w' $$program || exit 1; done

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(BIN)/pg-pool-exporter metrics > docs/reference/metrics.md
	$(BIN)/python tools/formats_page.py > docs/reference/formats.md
	$(BIN)/python tools/shell_files.py
	$(BIN)/python tools/client_catalogues.py
	$(BIN)/python tools/command_line_page.py > docs/reference/command-line.md
	PYTHONPATH=tests:. $(BIN)/python tools/tables.py

docs-site: build/site-tools/.done
	$(PYTHON) tools/site.py
	$(SITE)/zensical build --clean --strict
	$(PYTHON) tools/site.py redirects

docs-serve: build/site-tools/.done
	$(PYTHON) tools/site.py
	$(SITE)/zensical serve --dev-addr $(SITE_ADDRESS)

build/site-tools/.done: .ci/site.lock
	$(PYTHON) -m venv --clear build/site-tools
	$(SITE)/pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement .ci/site.lock
	@touch $@

rules: $(VENV)/.dev
	$(BIN)/python deploy/prometheus/findings.py
	$(BIN)/python deploy/prometheus/mapped_pools.py

dashboards: $(VENV)/.dev
	$(BIN)/python -W ignore::DeprecationWarning -m dashboards.builder

pictures: $(VENV)/.dev
	npm ci --silent --ignore-scripts --prefix dashboards/preview
	PYTHONPATH=tests $(BIN)/python -m tools.pictures

LOCK = uv pip compile --quiet --generate-hashes --upgrade --no-header \
  --no-annotate --no-emit-index-url --no-emit-find-links

IMAGE_LOCK = $(LOCK) --python-version 3.13 --python-platform linux

lock:
	$(IMAGE_LOCK) deploy/image/build.in --output-file deploy/image/build.lock
	$(IMAGE_LOCK) pyproject.toml --extra daemon --extra logs \
	  --output-file deploy/image/requirements.lock
	$(IMAGE_LOCK) --no-deps deploy/compose/requirements.in \
	  --output-file deploy/compose/requirements.lock
	$(LOCK) pyproject.toml .ci/requirements.in --extra fuzz --universal --python-version 3.11 \
	  --output-file .ci/requirements.lock
	$(LOCK) .ci/release.in --universal --python-version 3.11 --output-file .ci/release.lock
	$(LOCK) .ci/site.in --universal --python-version 3.11 --output-file .ci/site.lock

# Without isolation: exactly the packages of the lock build it.
release-check: build/release/.done
	rm -rf dist
	$(RELEASE)/validate-pyproject pyproject.toml
	$(RELEASE)/python -W error::UserWarning -m build --no-isolation
	$(RELEASE)/twine check --strict dist/*
	$(RELEASE)/check-wheel-contents dist/*.whl
	$(RELEASE)/pyroma --min=10 dist/*.tar.gz
	$(if $(TAG),$(RELEASE)/python tools/release.py ready $(TAG))

build/release/.done: .ci/release.lock
	$(PYTHON) -m venv --clear build/release
	$(RELEASE)/pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement .ci/release.lock
	@touch $@

clean:
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# An extra is installed anew when what it asks for may have changed.
$(VENV)/.%: pyproject.toml | $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3-venv is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }
