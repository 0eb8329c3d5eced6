# flamekeep - build, test, check, install. `make help` lists the targets.
#
# A variant is a folder: build/debug, build/release, build/asan, build/tsan,
# build/cover, build/fuzz. Each holds its objects, libflamekeep.a, the server,
# the tests. Switching variants never needs `make clean`; a changed flag, header
# or .proto rebuilds what depends on it. Nothing is generated outside build/.
#
#   make WERROR=1          warnings are errors (CI)
#   make CC=clang-14       the other compiler
#   make DEPS=no           never ask the package manager for anything
#   make V=1               print whole commands

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL = /bin/bash

VARIANT ?= debug
B := build/$(VARIANT)
GEN := build/gen

ifeq ($(origin CC),default)
  CC := $(if $(filter fuzz,$(VARIANT)),clang-14,gcc)
endif
ifeq ($(origin CXX),default)
  CXX := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),$(subst gcc,g++,$(CC)))
endif
AR ?= ar
PYTHON = $(shell [ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 8 ] && n=8; echo $$n)
ifeq ($(filter -j%,$(MAKEFLAGS))$(MAKELEVEL),0)
  MAKEFLAGS += -j$(JOBS)
endif

PREFIX ?= /usr/local
DESTDIR ?=

# ---- flags ---------------------------------------------------------------------------------

ARCH := $(shell uname -m)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wformat=2 -Wundef -Wpointer-arith -Wwrite-strings \
        $(if $(WERROR),-Werror) \
        $(if $(findstring clang,$(CC)),-Wno-gnu-zero-variadic-macro-arguments)
WARN_C := -Wstrict-prototypes -Wmissing-prototypes
# A silent truncation there is a hole: these read bytes that somebody else wrote.
WCONVERSION_SRC := $(wildcard base/bytes*.c api/decode/*.c)

FLAGS_debug := -O1 -g3
FLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
                 $(if $(filter x86_64,$(ARCH)),-fcf-protection)
FLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan := -O1 -g -fsanitize=thread
FLAGS_cover := -O0 -g --coverage -fprofile-update=atomic
FLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
              -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_cover := --coverage
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
ifeq ($(FLAGS_$(VARIANT)),)
  $(error VARIANT=$(VARIANT): must be one of debug release asan tsan cover fuzz)
endif

# Frame pointers stay everywhere: a profiler's own server should be easy to profile.
COMMON := $(FLAGS_$(VARIANT)) -fPIE -fno-omit-frame-pointer -pthread -I. -I$(GEN)
CFLAGS_ALL := -std=gnu17 -D_GNU_SOURCE= -include base/banned.h $(COMMON) $(WARN) $(WARN_C) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 $(COMMON) $(WARN) $(CXXFLAGS)
# protoc-c's output is not ours to tidy.
CFLAGS_GEN := -std=gnu17 -D_GNU_SOURCE= $(COMMON) -w
LDFLAGS_ALL := $(LDFLAGS_$(VARIANT)) -pthread -Wl,-z,noexecstack -Wl,--as-needed $(LDFLAGS)
LIBS := -lmicrohttpd -lprotobuf-c -ljansson -lsqlite3 -lzstd -ldeflate -lxxhash -lre2 -lyaml -lm

# ---- what there is -------------------------------------------------------------------------

LIB_DIRS := base storage/model storage api/decode api/encode api server/http server/backup server
LIB_SRC := $(filter-out server/main.c,$(foreach d,$(LIB_DIRS),$(wildcard $(d)/*.c $(d)/*.cc)))
PROTOS := $(wildcard api/proto/*.proto)
WEB_FILES := $(shell find web/static -type f 2>/dev/null | LC_ALL=C sort)
TEST_SRC := $(shell find tests/unit tests/fault -name 'test_*.c' 2>/dev/null | LC_ALL=C sort)
TOOL_SRC := $(filter-out $(TEST_SRC),$(wildcard tests/fault/*.c))
SUPPORT_SRC := $(wildcard tests/support/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
SEED_SRC := $(wildcard tests/fuzz/seed_*.c)
BENCH_SRC := $(wildcard bench/bench_*.c)

PROTO_C := $(PROTOS:%.proto=$(GEN)/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)
WEB_GEN := $(if $(WEB_FILES),$(GEN)/web/assets.c $(GEN)/web/assets_data.S)

obj = $(patsubst %,$(B)/%.o,$(1))
GEN_OBJ := $(call obj,$(PROTO_C:$(GEN)/%=gen/%) $(WEB_GEN:$(GEN)/%=gen/%))
LIB_OBJ := $(call obj,$(LIB_SRC)) $(GEN_OBJ)
LIB := $(B)/libflamekeep.a
SUPPORT := $(B)/libtestsupport.a
BIN := $(if $(wildcard server/main.c),$(B)/flamekeep)
TESTS := $(TEST_SRC:%.c=$(B)/%)
TEST_TOOLS := $(TOOL_SRC:%.c=$(B)/%)
FUZZERS := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(B)/fuzz_%)
BENCHES := $(BENCH_SRC:%.c=$(B)/%)
C_SRC := $(LIB_SRC) $(wildcard server/main.c) $(TEST_SRC) $(TOOL_SRC) $(SUPPORT_SRC) $(FUZZ_SRC) \
         $(SEED_SRC) $(BENCH_SRC)

# ---- everyday targets ----------------------------------------------------------------------

.PHONY: all release run test unit e2e asan tsan fuzz fuzzers seeds bench lint format cover check soak \
        install docker docker-check help clean deps deps-build deps-test deps-lint deps-fuzz \
        deps-cover deps-docker tests compile_commands.json FORCE

all: $(BIN) $(LIB) ## debug build (the default)

release: ## optimised and hardened: build/release/flamekeep
	@$(MAKE) --no-print-directory VARIANT=release all

RUN_DIR ?= build/run
LISTEN ?= 127.0.0.1:4040
run: release ## build a release and serve on 127.0.0.1:4040 with data in build/run (LISTEN=, ARGS=)
	@mkdir -p $(RUN_DIR)
	build/release/flamekeep serve --listen $(LISTEN) --data $(RUN_DIR)/data $(ARGS)

test: all tests ## unit, fault and black-box tests; ends in `N passed, N failed`
	@$(PYTHON) tests/tools/run_tests.py --variant $(VARIANT) --jobs $(JOBS) \
	    $(if $(BIN),--server $(BIN)) --unit $(TESTS) --pytest tests/e2e

unit: tests ## unit and fault tests only (ONLY=word picks by path)
	@$(PYTHON) tests/tools/run_tests.py --variant $(VARIANT) --jobs $(JOBS) \
	    $(if $(BIN),--server $(BIN)) --unit $(if $(ONLY),$(foreach t,$(TESTS),$(if $(findstring $(ONLY),$(t)),$(t))),$(TESTS))

e2e: all deps-test ## black-box tests against the built server (ONLY=word picks by pytest -k)
	@$(PYTHON) tests/tools/run_tests.py --variant $(VARIANT) $(if $(BIN),--server $(BIN)) \
	    --pytest tests/e2e $(if $(ONLY),--only '$(ONLY)')

asan tsan: ## the same tests under ASan+UBSan, or TSan
	@$(MAKE) --no-print-directory VARIANT=$@ test

check: ## what a commit must pass: lint, test, asan
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory asan

T ?= 60
fuzz: ## run each fuzz target for T=60 seconds from its seeds (ONLY=word picks)
	@$(MAKE) --no-print-directory seeds
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzzers
	@$(PYTHON) tests/tools/run_fuzz.py --seconds $(T) --jobs $(JOBS) --only '$(ONLY)' build/fuzz

bench: ## figures with their bars, against a release build
	@$(MAKE) --no-print-directory VARIANT=release bench-run

lint: deps-lint $(PROTO_H) compile_commands.json ## format, tidy, cppcheck, layers, headers, banned, shellcheck, codespell
	@bash tests/lint/run.sh

format: deps-lint ## let clang-format rewrite the sources
	@clang-format-14 -i $$(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cc')

cover: deps-cover ## coverage of the tests: build/cover/index.html
	@$(MAKE) --no-print-directory VARIANT=cover test
	@gcovr --root . --object-directory build/cover --filter 'base/' --filter 'storage/' \
	    --filter 'api/' --filter 'server/' --html-details build/cover/index.html --print-summary \
	    -s >build/cover/summary.txt && tail -n 4 build/cover/summary.txt

SOAK_SECONDS ?= 3600
soak: all tests ## fault loops and fuzzers with random seeds for SOAK_SECONDS=3600
	@FLAMEKEEP_SOAK_SECONDS=$(SOAK_SECONDS) $(PYTHON) tests/tools/run_tests.py \
	    --variant $(VARIANT) --jobs 1 --timeout $$(($(SOAK_SECONDS) + 600)) $(if $(BIN),--server $(BIN)) \
	    --unit $(filter $(B)/tests/fault/%,$(TESTS))

install: release ## into $(DESTDIR)$(PREFIX)
	install -D -m 0755 build/release/flamekeep $(DESTDIR)$(PREFIX)/bin/flamekeep
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local,$(PREFIX),' deploy/flamekeep.service \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/flamekeep.service
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/flamekeep/LICENSE
	install -m 0644 README.md CHANGELOG.md $(DESTDIR)$(PREFIX)/share/doc/flamekeep/

DOCKER ?= docker
IMAGE ?= flamekeep:$(shell cat VERSION)
BASE ?= debian:bookworm-slim
docker: ## build the container image (IMAGE=, BASE=, DOCKER=)
	$(DOCKER) build --build-arg BASE=$(BASE) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

docker-check: deps-docker ## build the image for real, run it locked down, push and query through it
	@bash tests/docker/check.sh

help: ## this list
	@sed -n 's/^\([a-z][a-z_. -]*\):.*## \(.*\)/\1|\2/p' Makefile | \
	    while IFS='|' read -r name text; do printf '  %-22s %s\n' "$$name" "$$text"; done

clean: ## remove everything generated
	rm -rf build

# ---- what has to be installed --------------------------------------------------------------

ifeq ($(DEPS),no)
DEPS_RUN := @:
else
DEPS_RUN = @bash deploy/deps.sh
endif
deps: ## install what build and tests need (Debian packages)
	$(DEPS_RUN) build test
deps-build:
	$(DEPS_RUN) build $(if $(findstring clang,$(CC)),fuzz)
deps-test:
	$(DEPS_RUN) build test
deps-lint:
	$(DEPS_RUN) build test lint
deps-fuzz:
	$(DEPS_RUN) build fuzz
deps-cover:
	$(DEPS_RUN) build test cover
deps-docker:
	$(DEPS_RUN) docker

# ---- rules ---------------------------------------------------------------------------------

ifeq ($(V),)
Q = @printf '  %-4s %s\n' $(1) '$@';
endif

# A stamp changes only when its content does, so a rebuild happens only then.
define stamp
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' >$@
endef

$(B)/flags.stamp: FORCE
	$(call stamp,$(CC) $(CFLAGS_ALL) | $(CXX) $(CXXFLAGS_ALL))
$(B)/link.stamp: FORCE
	$(call stamp,$(CXX) $(LDFLAGS_ALL) $(LIBS))
$(B)/members.stamp: FORCE
	$(call stamp,$(LIB_OBJ))

REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
$(B)/version.stamp: FORCE
	$(call stamp,$(shell cat VERSION) $(REVISION))
$(B)/server/version.c.o: $(B)/version.stamp VERSION
$(B)/server/version.c.o: EXTRA = -DFLAMEKEEP_VERSION='"$(shell cat VERSION)"' \
                                 -DFLAMEKEEP_REVISION='"$(REVISION)"'

$(call obj,$(WCONVERSION_SRC)): EXTRA = -Wconversion

$(B)/gen/%.c.o: $(GEN)/%.c $(B)/flags.stamp | deps-build $(PROTO_H)
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS_GEN) -MMD -MP -MF $@.d -c -o $@ $<

$(B)/gen/%.S.o: $(GEN)/%.S $(B)/flags.stamp | deps-build
	@mkdir -p $(@D)
	$(call Q,as)$(CC) $(filter -fcf-protection%,$(FLAGS_$(VARIANT))) -c -o $@ $<

$(B)/%.c.o: %.c $(B)/flags.stamp | deps-build $(PROTO_H)
	@mkdir -p $(@D)
	$(call Q,cc)$(CC) $(CFLAGS_ALL) $(EXTRA) -MMD -MP -MF $@.d -c -o $@ $<

$(B)/%.cc.o: %.cc $(B)/flags.stamp | deps-build
	@mkdir -p $(@D)
	$(call Q,c++)$(CXX) $(CXXFLAGS_ALL) -MMD -MP -MF $@.d -c -o $@ $<

# Imports count too: protoc-c is told the whole set whenever one of them changed.
$(GEN)/%.pb-c.c $(GEN)/%.pb-c.h &: %.proto $(PROTOS) | deps-build
	@mkdir -p $(GEN)
	$(call Q,gen)protoc-c -I. --c_out=$(GEN) $<

$(GEN)/web/assets.c $(GEN)/web/assets_data.S &: web/embed.sh $(WEB_FILES)
	$(call Q,gen)bash web/embed.sh web/static $(GEN)/web

$(LIB): $(LIB_OBJ) $(B)/members.stamp
	@rm -f $@
	$(call Q,ar)$(AR) rcs $@ $(LIB_OBJ)

$(SUPPORT): $(call obj,$(SUPPORT_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	$(call Q,ar)$(AR) rcs $@ $^

# The C++ driver links: one file of the library is C++ (RE2).
LINK = $(call Q,link)mkdir -p $(@D) && $(CXX) $(LDFLAGS_ALL) -o $@

$(B)/flamekeep: $(B)/server/main.c.o $(LIB) $(B)/link.stamp
	$(LINK) $< $(LIB) $(LIBS)

tests: deps-test $(TESTS) $(TEST_TOOLS)
$(TESTS) $(TEST_TOOLS): $(B)/tests/%: $(B)/tests/%.c.o $(SUPPORT) $(LIB) $(B)/link.stamp
	$(LINK) $< $(SUPPORT) $(LIB) $(LIBS) -lcmocka

fuzzers: $(FUZZERS)
ifeq ($(VARIANT),fuzz)
$(FUZZERS): $(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.c.o $(SUPPORT) $(LIB) $(B)/link.stamp
	$(LINK) $< $(SUPPORT) $(LIB) $(LIBS)
$(call obj,$(FUZZ_SRC)): | deps-fuzz
endif

# tests/fuzz/seed_<target>.c (or .py) writes files into the folder it is given.
SEEDS := $(SEED_SRC:tests/fuzz/seed_%.c=build/seeds/%/.done) \
         $(patsubst tests/fuzz/seed_%.py,build/seeds/%/.done,$(wildcard tests/fuzz/seed_*.py))
seeds: $(SEEDS)
$(SEED_SRC:tests/fuzz/seed_%.c=$(B)/seed_%): $(B)/seed_%: $(B)/tests/fuzz/seed_%.c.o $(SUPPORT) $(LIB)
	$(LINK) $< $(SUPPORT) $(LIB) $(LIBS)
build/seeds/%/.done: $(B)/seed_%
	@rm -rf $(@D) && mkdir -p $(@D)
	$< $(@D) && touch $@
build/seeds/%/.done: tests/fuzz/seed_%.py
	@rm -rf $(@D) && mkdir -p $(@D)
	$(PYTHON) $< $(@D) && touch $@

.PHONY: bench-run
bench-run: all $(BENCHES)
	@bash bench/run.sh $(B) $(BENCHES)
$(BENCHES): $(B)/bench/%: $(B)/bench/%.c.o $(SUPPORT) $(LIB) $(B)/link.stamp
	$(LINK) $< $(SUPPORT) $(LIB) $(LIBS)

compile_commands.json: ## build/compile_commands.json for editors and clang-tidy
	@mkdir -p build
	@{ printf '['; sep=; for f in $(filter %.c,$(C_SRC)); do \
	    printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' "$$sep" "$(CURDIR)" "$$f" \
	        "clang-14 $(subst ",\",$(CFLAGS_ALL)) -c $$f"; sep=,; \
	done; printf '\n]\n'; } >build/compile_commands.json

-include $(shell find $(B) -name '*.d' 2>/dev/null)
