# censync: see README.md for the two commands that matter.
MODULE_big = censync
EXTENSION = censync
VERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" censync.control)
DATA_built = censync--$(VERSION).sql

SRCS = $(wildcard src/*.c src/*/*.c)
OBJS = $(SRCS:.c=.o)

PG_CPPFLAGS = -I$(CURDIR)/src
PG_CFLAGS = -fvisibility=hidden
SHLIB_LINK = -lcurl -ljansson -lpq

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
PG_CPPFLAGS += -I$(shell $(PG_CONFIG) --includedir)
# Nothing here is worth inlining into a query's JIT code; half the build time is.
override with_llvm := no
include $(PGXS)

# Every object depends on every header: the tree is small, and a stale object is a bug hunt.
$(OBJS): $(wildcard src/*/*.h)

censync--$(VERSION).sql: $(wildcard sql/extension/*.sql)
	cat $(sort $^) > $@
