PY := .venv/bin/python

.PHONY: setup demo lint test test-all avx2 test-avx2 soak bench bench-quick bench-page docs site gallery clean

setup: .venv/.ready
.venv/.ready: pyproject.toml constraints.txt
	@echo "setup: a virtual environment in .venv with everything pinned in constraints.txt, one to three minutes"
	@python3 -c "import sys; sys.exit(sys.version_info < (3, 11) and 'striate needs Python 3.11 or later; this is ' + sys.version.split()[0])"
	python3 -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,search,serve,dev]"
	@touch $@
	@echo "setup: done. Next: make demo, make test, or . .venv/bin/activate and striate --help"

demo: setup
	@echo "demo: trains on scikit-learn's handwritten digits, a quarter of a minute on two cores"
	.venv/bin/striate train digits
	@echo "demo: done. Next: open the report, or .venv/bin/striate train YOUR_FOLDER_OF_CLASS_FOLDERS"

lint: setup
	.venv/bin/ruff check --output-format concise src tests
	.venv/bin/ruff format --check --quiet src tests
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo 2>/dev/null || .venv/bin/lint-imports

# One thread a process, and a process a core.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE .venv/bin/pytest -n auto --dist worksteal

test: setup
	$(PYTEST) -m "not slow"

# Random examples, and the long checks.
test-all: setup
	STRIATE_EXAMPLES=random $(PYTEST)

# A command as on a machine with AVX2 alone, as most laptops are: make avx2 CMD="striate machine", CMD="make bench".
# It reaches torch and its libraries; TensorFlow, ONNX Runtime and OpenVINO ask the processor themselves.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2

avx2: setup
	@test -n "$(CMD)" || { echo 'make avx2 CMD="striate machine"'; exit 2; }
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(AVX2) $(CMD)

# The rooms that compute, once more with AVX2 alone; where torch has no more than that, `make test` was it.
NUMERIC := tests/modules tests/net/layers tests/training tests/explaining tests/export

test-avx2: setup
	@if $(PY) -c "import sys, torch; sys.exit(not torch.backends.cpu.get_cpu_capability().startswith('AVX512'))"; \
	then $(AVX2) $(PYTEST) -m "not slow" $(NUMERIC); \
	else echo "test-avx2: torch uses no more than AVX2 here, so make test has run it"; fi

# Half a million mutated pictures; 200 kills and 400 failing writes, all resumed to the same bits.
soak: setup
	STRIATE_MUTANTS=500000 $(PYTEST) tests/checks/test_mutated.py
	STRIATE_SOAK=1 $(PYTEST) tests/survival

# Hours, and 8 GB for the peers; benchmarks/README.md says what each is.  One that fails does not keep the others.
BENCHES := start memory thrift steps optimizer pipeline transfer mnist photos load inference reject serve cifar ablation parity

bench: setup
	@failed=; for name in $(BENCHES); do $(PY) benchmarks/$$name.py || failed="$$failed $$name"; done; \
	$(PY) docs/make_benchmarks.py && test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# A smoke run, in minutes; writes no results.
bench-quick: setup
	@failed=; for name in $(BENCHES); do $(PY) benchmarks/$$name.py --quick > /dev/null || failed="$$failed $$name"; done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

bench-page: setup
	$(PY) docs/make_benchmarks.py

docs: setup
	$(PY) docs/make_zoo.py
	$(PY) docs/make_doctor.py
	$(PY) docs/make_claims.py
	$(PY) docs/make_defaults.py

# The guide, the zoo, claims and benchmarks as pages, searched without a network: dist/site/index.html.
site: docs
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[site]"
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=src $(PY) -m mkdocs build --quiet
	@echo "site: dist/site/index.html"

# Pictures of all that can be seen; trains two networks on digits.
gallery: setup
	$(PY) docs/make_gallery.py

clean:
	rm -rf .venv runs dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
