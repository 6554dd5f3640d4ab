# censync: see README.md for the two commands that matter.
MODULE_big = censync
EXTENSION = censync
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" censync.control)
DATA_built = censync--$(EXTVERSION).sql

SRCS = $(wildcard src/*.c src/*/*.c)
OBJS = $(SRCS:.c=.o)

PG_CPPFLAGS = -I$(CURDIR)/src
# PostgreSQL 15 leaves PGDLLEXPORT empty; without it nothing would be visible to the server.
PG_CPPFLAGS += -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CFLAGS = -fvisibility=hidden
SHLIB_LINK = -lcurl -ljansson -lz

# "make installcheck" runs these against the running server that libpq's variables name.
REGRESS = install objects behaviors paths bad_rows mappings definitions destinations newer types hardening triggers cursor add_columns
ISOLATION = $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(CURDIR)/test/isolation

# What needs no PostgreSQL to begin with.
TASKS = demo test lint indent check-indent
ifneq (,$(filter-out $(TASKS),$(or $(MAKECMDGOALS),all)))
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
# The server's headers are the system's: our warnings are about our code.
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
# The server's own flags are gcc's; clang need not tell us which it does not know.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif
# Nothing here is worth inlining into a query's JIT code; half the build time is.
override with_llvm := no
include $(PGXS)

# Every object depends on every header: the tree is small, and a stale object is a bug hunt.
$(OBJS): $(wildcard src/*/*.h)

censync--$(EXTVERSION).sql: $(wildcard sql/extension/*.sql)
	cat $(sort $^) > $@
endif

.PHONY: $(TASKS)
demo:
	@test/demo
test:
	@test/run
lint:
	@test/lint
indent:
	clang-format -i $(wildcard src/*.c src/*/*.[ch] test/unit*/*.c test/full_disk/*.c)
check-indent:
	clang-format --dry-run -Werror $(wildcard src/*.c src/*/*.[ch] test/unit*/*.c test/full_disk/*.c)
