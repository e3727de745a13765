# `make demo` reviews a warehouse that has troubles, from configured queries to the report; `make test` runs every test;
# `make clients` runs the AWS CLI, boto3 and Airflow against the command, `make ministack` the packaged functions on an
# emulator of AWS that others wrote. Each first sees to what it needs: the PostgreSQL server programs, for the template
# checks cfn-lint, cfn-guard and checkov (two minutes the first time), for the clients folders of Python packages (a minute
# the first time, 600 MB), for ministack the functions built for Lambda (ten minutes the first time).

CFN_LINT_VERSION := 1.51.0
CHECKOV_VERSION := 3.3.30
CFN_GUARD_VERSION := 3.2.1
TOOLS := .tasker/tools

.PHONY: demo test lint clients ministack clients-update check-docs postgres

demo: postgres
	cargo run --release -- run review --seed troubled

test: postgres
	cargo test --workspace --all-targets

# The templates: what CloudFormation would refuse (.cfnlintrc.yaml), our own rules (infra/rules), what is known to be unsafe
# (.checkov.yaml). Each program is installed at its version into a folder of this checkout, the first time.
LINT := $(TOOLS)/cfn-lint-$(CFN_LINT_VERSION)
CHECKOV := $(TOOLS)/checkov-$(CHECKOV_VERSION)
GUARD := $(TOOLS)/cfn-guard-$(CFN_GUARD_VERSION)

lint: $(LINT)/installed $(CHECKOV)/installed $(GUARD)/bin/cfn-guard
	$(LINT)/bin/cfn-lint
	$(GUARD)/bin/cfn-guard validate --rules infra/rules --data infra/*.yaml --show-summary fail
	sh infra/rules/test.sh $(GUARD)/bin/cfn-guard
	$(CHECKOV)/bin/checkov --config-file .checkov.yaml

# $(1) the folder, $(2) what pip installs: each has its own folder, because their dependencies do not agree.
define from_pypi
	@rm -rf $(1)
	@mkdir -p $(TOOLS)
	@python3 -m venv $(1) && $(1)/bin/pip install --quiet --disable-pip-version-check $(2) || \
		{ echo "$(2) could not be installed: it needs Python 3 with venv (Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python) and a package index." >&2; exit 1; }
	@touch $@
endef

$(LINT)/installed:
	$(call from_pypi,$(LINT),cfn-lint==$(CFN_LINT_VERSION))

$(CHECKOV)/installed:
	$(call from_pypi,$(CHECKOV),checkov==$(CHECKOV_VERSION))

# Two minutes; the release build would take many.
$(GUARD)/bin/cfn-guard:
	@cargo install cfn-guard --version $(CFN_GUARD_VERSION) --locked --debug --quiet --root $(GUARD) --target-dir $(TOOLS)/cfn-guard-build || \
		{ echo "cfn-guard $(CFN_GUARD_VERSION) could not be built: cargo has to reach crates.io; or put the program of its GitHub release to $@." >&2; exit 1; }
	@rm -rf $(TOOLS)/cfn-guard-build

# Real clients, at the versions of tests/clients, and ministack, which fixes other versions of the same packages. Each
# folder is made anew when these change.
CLIENTS := tests/clients
CLIENTS_ENV := $(TOOLS)/clients
MINISTACK := $(CLIENTS)/ministack
MINISTACK_ENV := $(TOOLS)/ministack
CARGO_TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

clients: postgres $(CLIENTS_ENV)/installed
	cargo build --quiet
	TASKER="$(CARGO_TARGET)/debug/tasker" $(CLIENTS_ENV)/bin/python -m pytest $(CLIENTS)

# The packaged functions themselves, on an emulator of AWS that others wrote. Builds them for Lambda first, which takes
# minutes, or takes those in TASKER_FUNCTIONS (<function>/bootstrap).
ministack: postgres $(MINISTACK_ENV)/installed
	cargo build --quiet
	TASKER="$(CARGO_TARGET)/debug/tasker" $(MINISTACK_ENV)/bin/python -m pytest $(MINISTACK)

$(CLIENTS_ENV)/installed: $(CLIENTS)/requirements.txt $(CLIENTS)/constraints.txt
	$(call clients_from_pypi,$(CLIENTS_ENV),$(CLIENTS))

$(MINISTACK_ENV)/installed: $(MINISTACK)/requirements.txt $(MINISTACK)/constraints.txt
	$(call clients_from_pypi,$(MINISTACK_ENV),$(MINISTACK))

# $(1) the folder, $(2) where requirements.txt and constraints.txt are.
define clients_from_pypi
	@rm -rf $(1)
	@mkdir -p $(TOOLS)
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "The clients need Python 3.10 or newer (Debian, Ubuntu: apt-get install python3; macOS: brew install python)." >&2; exit 1; }
	@python3 -m venv $(1) || \
		{ echo "The clients need Python's venv (Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python)." >&2; exit 1; }
	@$(1)/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: \
		-r $(2)/requirements.txt -c $(2)/constraints.txt || \
		{ echo "The clients could not be installed: pip has to reach a package index that has what $(2)/requirements.txt names." >&2; exit 1; }
	@touch $@
endef

# Fixes what the clients bring with them anew, after a change of requirements.txt.
clients-update:
	$(call fix_versions,$(CLIENTS_ENV),$(CLIENTS))
	$(call fix_versions,$(MINISTACK_ENV),$(MINISTACK))

define fix_versions
	rm -rf $(1)
	python3 -m venv $(1)
	$(1)/bin/pip install --quiet -r $(2)/requirements.txt
	$(1)/bin/pip freeze | grep -v -x -F -f $(2)/requirements.txt > $(2)/constraints.txt
endef

postgres:
	@sh .ci/postgres
