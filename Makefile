# censync: see README.md for the two commands that matter.
MODULE_big = censync
EXTENSION = censync
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" censync.control)
DATA_built = censync--$(EXTVERSION).sql

# Client libraries beyond libpq and libcurl live in modules of their own, src/driver_<name>/ each.
DRIVERS = mysql tds
SRCS = $(filter-out $(wildcard src/driver_*/*.c),$(wildcard src/*.c src/*/*.c))
OBJS = $(SRCS:.c=.o)

PG_CPPFLAGS = -I$(CURDIR)/src
# PostgreSQL 15 leaves PGDLLEXPORT empty; without it nothing would be visible to the server.
PG_CPPFLAGS += -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CFLAGS = -fvisibility=hidden
SHLIB_LINK_INTERNAL = $(libpq)
SHLIB_LINK = -lcurl -lcrypto -ljansson -lz

# "make installcheck" runs these against the running server that libpq's variables name.
REGRESS = install objects behaviors paths bad_rows mappings definitions destinations newer types hardening triggers cursor add_columns foreign
ISOLATION = $(sort $(notdir $(basename $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=$(CURDIR)/test/isolation

# What needs no PostgreSQL to begin with.
TASKS = demo test lint indent check-indent
ifneq (,$(filter-out $(TASKS),$(or $(MAKECMDGOALS),all)))
PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
# The server's headers are the system's: our warnings are about our code.
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir-server)
# libpq's, too.
PG_CPPFLAGS += -isystem $(shell $(PG_CONFIG) --includedir)
# The server's own flags are gcc's; clang need not tell us which it does not know.
ifneq (,$(findstring clang,$(CC)))
PG_CFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif
# Nothing here is worth inlining into a query's JIT code; half the build time is.
override with_llvm := no
include $(PGXS)

# Every object depends on every header: the tree is small, and a stale object is a bug hunt.
$(OBJS): $(wildcard src/*/*.h)

# A driver is built where its library's headers are: <name>_LIBS is empty where they are not.
mysql_CFLAGS := $(patsubst -I%,-isystem %,$(shell mariadb_config --include 2>/dev/null))
mysql_LIBS := $(if $(mysql_CFLAGS),$(shell mariadb_config --libs))
tds_LIBS := $(if $(and $(wildcard /usr/include/sybdb.h /usr/local/include/sybdb.h),$(wildcard /usr/include/openssl/ssl.h /usr/local/include/openssl/ssl.h)),-lsybdb -lssl -lcrypto)

define driver_rules
$(1)_OBJS := $$(patsubst %.c,%.o,$$(wildcard src/driver_$(1)/*.c))
$$($(1)_OBJS): $$(wildcard src/*/*.h)
$$($(1)_OBJS): override CPPFLAGS += $$($(1)_CFLAGS)
censync_$(1)$$(DLSUFFIX): $$($(1)_OBJS)
	$$(CC) $$(CFLAGS) $$^ $$(LDFLAGS) $$(LDFLAGS_SL) -shared -o $$@ $$($(1)_LIBS)
ifneq (,$$(and $$($(1)_LIBS),$$($(1)_OBJS)))
all: censync_$(1)$$(DLSUFFIX)
install: install-driver-$(1)
endif
install-driver-$(1): censync_$(1)$$(DLSUFFIX)
	$$(INSTALL_SHLIB) $$< '$$(DESTDIR)$$(pkglibdir)/'
clean: clean-driver-$(1)
clean-driver-$(1):
	rm -f censync_$(1)$$(DLSUFFIX) $$($(1)_OBJS)
uninstall: uninstall-driver-$(1)
uninstall-driver-$(1):
	rm -f '$$(DESTDIR)$$(pkglibdir)/censync_$(1)$$(DLSUFFIX)'
.PHONY: $$(addsuffix -driver-$(1),install clean uninstall)
endef
$(foreach driver,$(DRIVERS),$(eval $(call driver_rules,$(driver))))

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
