# `make demo` shows the system at work, `make test` runs every test. Both first see to what they need:
# the PostgreSQL server programs, and for the template checks cfn-lint.

CFN_LINT_VERSION := 1.51.0
TOOLS := .tasker/tools

.PHONY: demo test lint check-docs postgres

demo: postgres
	cargo run --release -- demo

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

postgres:
	@sh .ci/postgres
