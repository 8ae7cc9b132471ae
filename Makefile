# sixgate - builds everything into $(B), which defaults to build/.
#
#   make                 libproxyhdr, the programs proxyhdr and sixgated
#   make check           the unit tests, built and run
#   make asan            the same programs and tests under ASan and UBSan, in build-asan/
#   make fuzz            the libFuzzer targets (clang), in build-fuzz/
#   make tidy            clang-tidy and cppcheck over the sources
#   make install         into $(DESTDIR)$(PREFIX)
#   make clean

B       ?= build
PREFIX  ?= /usr/local
CC      ?= cc
VERSION := 0.1.0
# make V=1 shows the commands.
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-6s %s\n' $(1) $(2))

bindir     = $(PREFIX)/bin
sbindir    = $(PREFIX)/sbin
libdir     = $(PREFIX)/lib
includedir = $(PREFIX)/include
mandir     = $(PREFIX)/share/man
datadir    = $(PREFIX)/share/sixgate
completiondir = $(PREFIX)/share/bash-completion/completions
sysconfdir = /etc

WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wpointer-arith -Wcast-align \
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wwrite-strings \
        -Wundef -Wvla -Wformat=2 -Wswitch-enum -Wimplicit-fallthrough \
        -Wdouble-promotion
# Empty where the compiler is not ours to choose: a new one may warn of what this one does not.
WERROR ?= -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE -D_FORTIFY_SOURCE=2 \
          $(shell $(CC) -fcf-protection -E -x c /dev/null > /dev/null 2>&1 && echo -fcf-protection)
OPT     ?= -O2 -g
CFLAGS_ALL  = -std=gnu17 -D_GNU_SOURCE -DSIXGATE_VERSION='"$(VERSION)"' $(WARN) $(WERROR) \
              $(OPT) $(HARDEN) $(CFLAGS) $(SAN) -MMD -MP
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed $(LDFLAGS) $(SAN)

# What each folder may see. proxyhdr/ and netlink/ are compiled without the tree's include path, so
# that an include against the layering rule does not build.
INC_gateway := -Igateway -Iproxyhdr -Inetlink
LIBS_netlink := -lnftnl -lmnl
LIBS_gateway := -lconfuse -ljansson -lseccomp -lcap-ng -lsystemd -lcares -lmicrohttpd $(LIBS_netlink) -lm
LIBS_sixgatectl := -lncursesw

# ---- what is built ------------------------------------------------------------------------------

proxyhdr_tool_src := proxyhdr/proxyhdr_main.c
proxyhdr_src      := $(filter-out $(proxyhdr_tool_src),$(wildcard proxyhdr/*.c))
netlink_src       := $(wildcard netlink/*.c)
gateway_main_src  := gateway/main.c gateway/sixgatectl.c
gateway_src       := $(filter-out $(gateway_main_src),$(wildcard gateway/*.c))
unit_src          := $(wildcard tests/unit/test_*.c)
fuzz_src          := $(wildcard tests/fuzz/fuzz_*.c)
helper_src        := $(wildcard tests/netns/*.c)

obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

SO_VERSION := 1
unit_bin   := $(patsubst tests/unit/%.c,$(B)/tests/%,$(unit_src))
browser_bin := $(B)/tests/render_page
helper_bin := $(patsubst tests/netns/%.c,$(B)/tests/%,$(helper_src))
fuzz_bin   := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(fuzz_src))
programs   := $(B)/proxyhdr $(B)/sixgated $(B)/sixgatectl
archives   := $(B)/libgateway.a $(B)/libproxyhdr.a $(B)/libnetlink.a

.PHONY: all tests check asan tidy fuzz fuzzers install clean format format-check
.DELETE_ON_ERROR:

all: $(programs) $(B)/libproxyhdr.a $(B)/libproxyhdr.so.$(SO_VERSION) $(B)/libproxyhdr.pc

tests: $(unit_bin) $(helper_bin) $(browser_bin)

$(B)/obj/proxyhdr/%.o: proxyhdr/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -fPIC -fvisibility=hidden -c -o $@ $<

$(B)/obj/netlink/%.o: netlink/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/obj/gateway/%.o: gateway/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(INC_gateway) -c -o $@ $<

$(B)/obj/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(INC_gateway) -Itests/unit -c -o $@ $<

$(B)/libproxyhdr.a: $(call obj,$(proxyhdr_src))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(B)/libproxyhdr.so.$(SO_VERSION): $(call obj,$(proxyhdr_src)) proxyhdr/libproxyhdr.map
	$(call say,LINK,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=proxyhdr/libproxyhdr.map \
		-Wl,-z,relro,-z,now $(LDFLAGS) $(SAN) -o $@ $(filter %.o,$^)

$(B)/libproxyhdr.pc: proxyhdr/libproxyhdr.pc.in Makefile
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' \
		-e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(libdir))|' \
		-e 's|@VERSION@|$(VERSION)|' $< > $@

$(B)/libnetlink.a: $(call obj,$(netlink_src))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(B)/libgateway.a: $(call obj,$(gateway_src))
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(B)/proxyhdr: $(call obj,$(proxyhdr_tool_src)) $(B)/libproxyhdr.a
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL)

$(B)/sixgated: $(B)/obj/gateway/main.o $(archives)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) $(LIBS_gateway)

$(B)/sixgatectl: $(B)/obj/gateway/sixgatectl.o $(archives)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) $(LIBS_gateway) $(LIBS_sixgatectl)

# A unit test links its module and what lies below: the archives give it just what it names.
$(unit_bin): $(B)/tests/%: $(B)/obj/tests/unit/%.o $(archives)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) $(LIBS_gateway) -lcmocka

$(browser_bin): $(B)/tests/%: $(B)/obj/tests/browser/%.o $(archives)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) $(LIBS_gateway)

$(helper_bin): $(B)/tests/%: $(B)/obj/tests/netns/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) -lpthread

# ---- checks -------------------------------------------------------------------------------------

check: all tests
	@set -e; for t in $(unit_bin); do echo "== $$t"; $$t; done

SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
asan:
	$(MAKE) B=build-asan OPT='-O1 -g' HARDEN='-fPIE' SAN='$(SAN_FLAGS)' all tests

fuzz:
	$(MAKE) B=build-fuzz CC=clang OPT='-O1 -g' HARDEN='-fPIE' \
		SAN='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzzers

fuzzers: $(fuzz_bin)

$(fuzz_bin): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(archives)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -o $@ $^ $(LDFLAGS_ALL) -fsanitize=fuzzer $(LIBS_gateway)

TIDY_FLAGS = -std=gnu17 -D_GNU_SOURCE -DSIXGATE_VERSION='"$(VERSION)"' $(INC_gateway)
tidy_targets := $(addprefix tidy-,$(subst /,@,$(wildcard proxyhdr/*.c netlink/*.c gateway/*.c)))
.PHONY: $(tidy_targets) cppcheck
tidy: $(tidy_targets) cppcheck

$(tidy_targets): tidy-%:
	@clang-tidy --quiet --warnings-as-errors='*' $(subst @,/,$*) -- $(TIDY_FLAGS) 2>/dev/null

cppcheck:
	@cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability --suppress=missingIncludeSystem \
		-D_GNU_SOURCE -DSIXGATE_VERSION='"x"' $(INC_gateway) proxyhdr netlink gateway

C_FILES := $(wildcard $(foreach d,proxyhdr netlink gateway tests/unit tests/fuzz tests/netns tests/browser,$(d)/*.[ch]))
format:
	clang-format -i $(C_FILES)

format-check:
	@clang-format --dry-run --Werror $(C_FILES)

# ---- install ------------------------------------------------------------------------------------

install: all
	install -d $(addprefix $(DESTDIR),$(bindir) $(sbindir) $(libdir)/pkgconfig $(includedir) \
		$(mandir)/man1 $(mandir)/man3 $(mandir)/man5 $(mandir)/man8 $(completiondir) $(datadir) \
		$(sysconfdir)/iproute2/rt_protos.d $(sysconfdir)/fail2ban/action.d)
	install -m 755 $(B)/proxyhdr $(DESTDIR)$(bindir)/
	install -m 755 $(B)/sixgated $(B)/sixgatectl $(DESTDIR)$(sbindir)/
	install -m 644 $(B)/libproxyhdr.a $(DESTDIR)$(libdir)/
	install -m 755 $(B)/libproxyhdr.so.$(SO_VERSION) $(DESTDIR)$(libdir)/
	ln -sf libproxyhdr.so.$(SO_VERSION) $(DESTDIR)$(libdir)/libproxyhdr.so
	install -m 644 $(B)/libproxyhdr.pc $(DESTDIR)$(libdir)/pkgconfig/
	install -m 644 proxyhdr/proxyhdr.h $(DESTDIR)$(includedir)/
	install -m 644 proxyhdr/proxyhdr.1 $(DESTDIR)$(mandir)/man1/
	install -m 644 proxyhdr/libproxyhdr.3 $(DESTDIR)$(mandir)/man3/
	install -m 644 gateway/sixgated.conf.5 $(DESTDIR)$(mandir)/man5/
	install -m 644 gateway/sixgated.8 gateway/sixgatectl.8 $(DESTDIR)$(mandir)/man8/
	install -m 644 gateway/sixgate.rules.yml gateway/sixgate-dashboard.json $(DESTDIR)$(datadir)/
	install -m 644 gateway/sixgatectl.bash $(DESTDIR)$(completiondir)/sixgatectl
	install -m 644 netlink/rt_protos.conf $(DESTDIR)$(sysconfdir)/iproute2/rt_protos.d/sixgate.conf
	install -m 644 gateway/fail2ban.conf $(DESTDIR)$(sysconfdir)/fail2ban/action.d/sixgate.conf

clean:
	rm -rf build build-asan build-clang build-fuzz

-include $(shell find $(B) -name '*.d' 2>/dev/null)
