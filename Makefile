# `make demo` reviews a warehouse that has troubles, from configured queries to the report; `make test` runs every test;
# `make clients` runs the AWS CLI, boto3 and Airflow against the command. Each first sees to what it needs: the PostgreSQL
# server programs, for the template checks cfn-lint, for the clients a folder of Python packages (a minute the first
# time, 540 MB).

CFN_LINT_VERSION := 1.51.0
TOOLS := .tasker/tools

.PHONY: demo test lint clients clients-update check-docs postgres

demo: postgres
	cargo run --release -- run review --seed troubled

test: postgres
	cargo test --workspace --all-targets

# The templates. cfn-lint is used as found; missing, it is installed into a folder of this checkout.
lint: $(TOOLS)/cfn-lint
	$(TOOLS)/cfn-lint

$(TOOLS)/cfn-lint:
	@mkdir -p $(TOOLS)
	@if command -v cfn-lint >/dev/null 2>&1; then \
		ln -sf "$$(command -v cfn-lint)" $@; \
	elif python3 -m venv $(TOOLS)/venv 2>/dev/null && $(TOOLS)/venv/bin/pip install --quiet cfn-lint==$(CFN_LINT_VERSION); then \
		ln -sf venv/bin/cfn-lint $@; \
	else \
		echo "cfn-lint is missing and could not be installed: install Python 3 with venv (Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python), or cfn-lint itself." >&2; exit 1; \
	fi

# Real clients, at the versions of tests/clients. Their folder is made anew when these change.
CLIENTS := tests/clients
CLIENTS_ENV := $(TOOLS)/clients
CARGO_TARGET := $(or $(CARGO_TARGET_DIR),target)

clients: postgres $(CLIENTS_ENV)/installed
	cargo build --quiet
	TASKER="$(abspath $(CARGO_TARGET))/debug/tasker" $(CLIENTS_ENV)/bin/python -m pytest $(CLIENTS)

$(CLIENTS_ENV)/installed: $(CLIENTS)/requirements.txt $(CLIENTS)/constraints.txt
	@rm -rf $(CLIENTS_ENV)
	@mkdir -p $(TOOLS)
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "The clients need Python 3.10 or newer (Debian, Ubuntu: apt-get install python3; macOS: brew install python)." >&2; exit 1; }
	@python3 -m venv $(CLIENTS_ENV) || \
		{ echo "The clients need Python's venv (Debian, Ubuntu: apt-get install python3-venv; macOS: brew install python)." >&2; exit 1; }
	@$(CLIENTS_ENV)/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: \
		-r $(CLIENTS)/requirements.txt -c $(CLIENTS)/constraints.txt || \
		{ echo "The clients could not be installed: pip has to reach a package index that has what $(CLIENTS)/requirements.txt names." >&2; exit 1; }
	@touch $@

# Fixes what the clients bring with them anew, after a change of requirements.txt.
clients-update:
	rm -rf $(CLIENTS_ENV)
	python3 -m venv $(CLIENTS_ENV)
	$(CLIENTS_ENV)/bin/pip install --quiet -r $(CLIENTS)/requirements.txt
	$(CLIENTS_ENV)/bin/pip freeze | grep -v -x -F -f $(CLIENTS)/requirements.txt > $(CLIENTS)/constraints.txt

postgres:
	@sh .ci/postgres
