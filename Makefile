# nanoftpd: everything that is built, tried or installed goes through here.

CARGO ?= cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)

DESTDIR =
PREFIX = /usr/local
SYSCONFDIR = /etc
LOCALSTATEDIR = /var
RUNDIR = /run

SBIN = $(DESTDIR)$(PREFIX)/sbin
MAN = $(DESTDIR)$(PREFIX)/share/man
COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
CONF = $(DESTDIR)$(SYSCONFDIR)/nanoftpd
# Where fail2ban looks, or, without it, where its files wait to be copied there.
FAIL2BAN = $(or $(patsubst %/filter.d,%,$(wildcard $(DESTDIR)/etc/fail2ban/filter.d)),$(DESTDIR)$(PREFIX)/share/nanoftpd/fail2ban)
LOG = $(DESTDIR)$(LOCALSTATEDIR)/log/nanoftpd
MANUALS = man/nanoftpd.8 man/nanoftpd.conf.5 man/nanoftpd-users.5

# Files name the usual places; this puts those of the variables into a copy.
PLACES = sed -e 's|/usr/local/|$(PREFIX)/|g' -e 's|/etc/nanoftpd/|$(SYSCONFDIR)/nanoftpd/|g' \
	-e 's|/var/log/nanoftpd|$(LOCALSTATEDIR)/log/nanoftpd|g' -e 's|/run/nanoftpd|$(RUNDIR)/nanoftpd|g'

# Paths of this machine stay out of what is built, so that the same sources give the same bytes wherever
# that is.
GIVEN_FLAGS := $(RUSTFLAGS)
UNPLACED = --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo
all check-all bench conformance: export RUSTFLAGS = $(strip $(GIVEN_FLAGS) $(UNPLACED))

# Where the program looks unless it is told otherwise: `make` and `make install` want the same variables.
all check-all bench conformance: export NANOFTPD_CONF = $(SYSCONFDIR)/nanoftpd/nanoftpd.conf
all check-all bench conformance: export NANOFTPD_USERS = $(SYSCONFDIR)/nanoftpd/users
all check-all bench conformance: export NANOFTPD_PIDFILE = $(RUNDIR)/nanoftpd/nanoftpd.pid
all check-all bench conformance: export NANOFTPD_SOCKET = $(RUNDIR)/nanoftpd/control.sock
all check-all bench conformance: export NANOFTPD_LOG = $(LOCALSTATEDIR)/log/nanoftpd/nanoftpd.log
all check-all bench conformance: export NANOFTPD_XFERLOG = $(LOCALSTATEDIR)/log/nanoftpd/xferlog

.PHONY: all run test lint check check-all fuzz bench conformance dist deb install uninstall clean

all:
	$(CARGO) build --release --workspace --locked

# PORT=2121, STATE=directory that is kept, TRACKER=host:port instead of a node of its own.
run: all
	@PORT='$(PORT)' STATE='$(STATE)' TRACKER='$(TRACKER)' tests/run-demo '$(TARGET)/release'

# MOGILEFS_TRACKER=host:port runs the same tests against a real tracker.
test:
	tests/run-clients
	CARGO='$(CARGO)' tests/run-suite

lint:
	tests/run-clients
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	mandoc -Tlint -Wwarning $(MANUALS)

check: lint test

# What takes longer: the optimised build, large files with it, and an operator's day in a private root. The
# fuzzer begins with the same seed each time: what it finds is of what was changed.
check-all: all
	tests/run-clients
	RUSTFLAGS='$(GIVEN_FLAGS)' tests/reproducible '$(TARGET)/release'
	BIG_MIB=1024 $(CARGO) test --release --locked --test transfers
	$(CARGO) test --release --locked --test sandbox --test rights
	CHAOS_SECONDS=30 $(CARGO) test --release --locked --test chaos -- --nocapture
	TROUBLE_SECONDS=20 $(CARGO) test --release --locked --test trouble -- --nocapture
	tests/run-in-private-root tests/install-scenario '$(TARGET)/release'
	tests/run-in-private-root tests/nat-scenario '$(TARGET)/release'
	tests/run-in-private-root tests/migrate-scenario '$(TARGET)/release'
	tests/systemd-scenario '$(TARGET)/release'
	tests/run-in-private-root tests/package-scenario '$(TARGET)'
	etc/package/dist '$(TARGET)'
	tests/run-in-private-root tests/dist-scenario '$(TARGET)'
	tests/scoreboard/run '$(TARGET)/release' ours
	OPTIONS=-seed=1 fuzz/run-if-possible 5

# TIME=seconds for each target, TARGET=name for one of them: see docs/fuzzing.md.
fuzz:
	CARGO='$(CARGO)' fuzz/run '$(or $(TIME),60)' $(if $(findstring command,$(origin TARGET)),$(TARGET))

# CASES='retr list …' and ROUNDS=3 for parts; MOGILEFS_TRACKER=host:port for a real tracker; DOCS=directory
# to write elsewhere than to docs; UNFTP=program for the one server that is no package, where it is not on the
# PATH. As root: the other servers run in a private root that vanishes.
bench: all
	CASES='$(CASES)' ROUNDS='$(or $(ROUNDS),7)' DOCS='$(DOCS)' bench/run '$(TARGET)/release'

# What the RFCs ask for, case by case, beside other servers: docs/conformance.md. As root, in a private root.
# ADDRESS=host:port USER= PASSWORD= DIRECTORY= for any server instead; ONLY='TLS 2428' for some of the cases.
ifdef ADDRESS
conformance:
	@ADDRESS='$(ADDRESS)' USER='$(USER)' PASSWORD='$(PASSWORD)' DIRECTORY='$(DIRECTORY)' ONLY='$(ONLY)' tests/scoreboard/run -
else
conformance: all
	ONLY='$(ONLY)' tests/scoreboard/run '$(TARGET)/release'
endif

# Source with all crates, a static binary, what it is made of, and checksums, in target/dist.
dist:
	@mkdir -p '$(TARGET)'
	etc/package/dist '$(TARGET)'

# The Debian package, in target/deb.
deb: all
	etc/package/deb '$(TARGET)'

# Only copies. A running binary is replaced by a rename; configuration and users are left alone. Where systemd
# finds its unit it starts at boot what is enabled as such, and looks at no link of the init script: those say
# whether somebody has switched the service off.
install:
	@test -x '$(TARGET)/release/nanoftpd' || { echo 'nothing to install yet: run make first' >&2; exit 1; }
	install -d -m 755 '$(SBIN)' '$(MAN)/man5' '$(MAN)/man8' '$(CONF)'
	install -d -m 755 '$(DESTDIR)/etc/init.d' '$(DESTDIR)/etc/default' '$(DESTDIR)/etc/logrotate.d'
	install -d -m 750 '$(LOG)'
	install -m 755 '$(TARGET)/release/nanoftpd' '$(SBIN)/.nanoftpd.new'
	mv -f '$(SBIN)/.nanoftpd.new' '$(SBIN)/nanoftpd'
	$(PLACES) man/nanoftpd.8 > '$(MAN)/man8/nanoftpd.8'
	$(PLACES) man/nanoftpd.conf.5 > '$(MAN)/man5/nanoftpd.conf.5'
	$(PLACES) man/nanoftpd-users.5 > '$(MAN)/man5/nanoftpd-users.5'
	chmod 644 '$(MAN)/man8/nanoftpd.8' '$(MAN)/man5/nanoftpd.conf.5' '$(MAN)/man5/nanoftpd-users.5'
	install -d -m 755 '$(COMPLETIONS)' '$(UNITS)'
	install -m 644 etc/bash-completion/nanoftpd '$(COMPLETIONS)/nanoftpd'
	install -d -m 755 '$(FAIL2BAN)/filter.d' '$(FAIL2BAN)/jail.d'
	for part in filter.d jail.d; do $(PLACES) etc/fail2ban/$$part/nanoftpd.conf > '$(FAIL2BAN)/'$$part/nanoftpd.conf && \
		chmod 644 '$(FAIL2BAN)/'$$part/nanoftpd.conf || exit 1; done
	for unit in nanoftpd.service nanoftpd.socket; do \
		$(PLACES) init/systemd/$$unit > '$(UNITS)/'$$unit && chmod 644 '$(UNITS)/'$$unit || exit 1; done
	$(PLACES) init/nanoftpd > '$(DESTDIR)/etc/init.d/.nanoftpd.new'
	chmod 755 '$(DESTDIR)/etc/init.d/.nanoftpd.new'
	mv -f '$(DESTDIR)/etc/init.d/.nanoftpd.new' '$(DESTDIR)/etc/init.d/nanoftpd'
	test -e '$(DESTDIR)/etc/default/nanoftpd' || { $(PLACES) init/default > '$(DESTDIR)/etc/default/nanoftpd' && \
		chmod 644 '$(DESTDIR)/etc/default/nanoftpd'; }
	test -e '$(DESTDIR)/etc/logrotate.d/nanoftpd' || { $(PLACES) logrotate/nanoftpd > '$(DESTDIR)/etc/logrotate.d/nanoftpd' && \
		chmod 644 '$(DESTDIR)/etc/logrotate.d/nanoftpd'; }
	test -e '$(CONF)/nanoftpd.conf' || { $(PLACES) etc/nanoftpd.conf > '$(CONF)/nanoftpd.conf' && chmod 644 '$(CONF)/nanoftpd.conf'; }
	test -e '$(CONF)/users' || install -m 640 etc/users '$(CONF)/users'
ifeq ($(DESTDIR),)
	getent group nanoftpd >/dev/null || groupadd -r nanoftpd
	getent passwd nanoftpd >/dev/null || useradd -r -g nanoftpd -M -d /nonexistent -s /usr/sbin/nologin nanoftpd
	if command -v update-rc.d >/dev/null; then update-rc.d nanoftpd defaults; \
	elif command -v chkconfig >/dev/null; then chkconfig --add nanoftpd; fi
	if command -v systemctl >/dev/null && ls /etc/rc3.d/S*nanoftpd >/dev/null 2>&1; then \
		systemctl --root=/ --quiet enable nanoftpd.service || true; fi
endif

# Configuration, users, logs and the system user stay.
uninstall:
ifeq ($(DESTDIR),)
	if command -v systemctl >/dev/null; then systemctl --root=/ --quiet disable nanoftpd.service nanoftpd.socket || true; fi
endif
	rm -f '$(FAIL2BAN)/filter.d/nanoftpd.conf' '$(FAIL2BAN)/jail.d/nanoftpd.conf'
	rm -f '$(COMPLETIONS)/nanoftpd' '$(UNITS)/nanoftpd.service' '$(UNITS)/nanoftpd.socket'
	rm -f '$(SBIN)/nanoftpd' '$(MAN)/man8/nanoftpd.8' '$(MAN)/man5/nanoftpd.conf.5' '$(MAN)/man5/nanoftpd-users.5'
ifeq ($(DESTDIR),)
	if command -v chkconfig >/dev/null && ! command -v update-rc.d >/dev/null; then chkconfig --del nanoftpd; fi
endif
	rm -f '$(DESTDIR)/etc/init.d/nanoftpd' '$(DESTDIR)/etc/logrotate.d/nanoftpd'
ifeq ($(DESTDIR),)
	if command -v update-rc.d >/dev/null; then update-rc.d nanoftpd remove; fi
endif

clean:
	$(CARGO) clean
