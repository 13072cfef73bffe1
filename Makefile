# The front door. `make help` lists the targets; cmake, ctest and tools/*.sh do the work.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
DATA ?= samples/data
OUT ?= build/demo
PREFIX ?= /usr/local
SECONDS := 60
BUILD := build

.DEFAULT_GOAL := help
.PHONY: help setup setup-test build demo table1 test soak fuzz install sdk-matrix reliability-table reference bench bench-peers format lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install packages and unpack LibTorch and the encoder into .deps/; CUDA=1: what a GPU needs too (docs/gpu.md)
	@tools/setup.sh $(if $(CUDA),cuda)

setup-test:  ## the same, and the packages of tests, benchmarks and the reference
	@tools/setup.sh test $(if $(CUDA),cuda)

build: setup  ## build the program and the stock plugins
	@tools/build.sh release $(JOBS)

demo: build  ## train, evaluate and report; DATA=folder, OUT=folder, DEVICE=cuda
	@tools/demo.sh "$(DATA)" "$(OUT)"

# The pass for a deep expert gives what the adapter and the gate read, too: it comes first.
table1: OUT := build/table1
table1: build  ## all three kinds of expert for each domain of DATA, gate, report; OUT=build/table1; BASELINES=1: the deep multi-task model too; SEEDS=3: three seeds of each deep expert, DISTILL=1: then one expert from them (FOLDS=5: from their answers for all texts); GATE=linear
	@tools/demo.sh "$(DATA)" "$(OUT)" lexical deep-adapter adapter

test: setup-test  ## build and run every test; the torch-free ones also under ASan and UBSan
	@tools/test.sh $(JOBS)

soak: setup-test  ## make test with full counts: every expert of the zoo on all levels, a hundred times the damaged inputs
	@MOECOLLAB_SOAK=1 tools/test.sh $(JOBS)

fuzz: setup-test  ## libFuzzer on every parser of outside bytes; SECONDS=60 for all of them
	@tools/fuzz.sh "$(SECONDS)" $(JOBS)

install: build  ## install program, plugins, LibTorch, encoder and SDK; PREFIX=/usr/local, may be moved afterwards
	@cmake --install $(BUILD) --prefix "$(PREFIX)" > $(BUILD)/install.log
	@echo "installed under $(PREFIX) (list: $(BUILD)/install_manifest.txt); try: $(PREFIX)/bin/moecollab doctor"

sdk-matrix: build  ## build experts by each compiler, standard and way to consume the SDK, and for Windows, where they answer under Wine
	@tools/setup.sh test windows
	@tools/sdk_matrix.py --jobs $(JOBS) --wine

reliability-table:  ## write docs/reliability.md: what bad input gets, and the tests; fails as long as a row lacks one
	@tools/reliability_table.py --write

reference: setup-test  ## the SDK's reference into build/docs/reference
	@mkdir -p $(BUILD)/docs/reference
	@doxygen docs/reference/Doxyfile
	@echo "reference: $(BUILD)/docs/reference/html/index.html"

bench: setup-test build  ## measure the machine's peak, every stage against it, and start-up, as ratios where a peer exists
	@tools/bench.sh

bench-peers: build  ## encode beside sentence-transformers, ONNX Runtime and OpenVINO (into build/peers, several GB), and write the table of docs/performance.md; DATA=folder
	@tools/bench_peers.sh --data "$(DATA)" --write

format:  ## format all C, C++ and CUDA sources in place
	@git ls-files '*.h' '*.hpp' '*.c' '*.cpp' '*.cu' ':!sdk/template' ':!tests/abi/released' | xargs clang-format -i

lint: setup-test  ## check the format, and run clang-tidy over the torch-free stages
	@git ls-files '*.h' '*.hpp' '*.c' '*.cpp' '*.cu' ':!sdk/template' ':!tests/abi/released' | xargs clang-format --dry-run -Werror
	@tools/build.sh tidy $(JOBS)

clean:  ## remove build/ (the set-up in .deps/ stays)
	@rm -rf $(BUILD)
