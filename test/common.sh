# What test/demo, test/run and their like share; to be sourced by bash.
#
# They leave the clone and the system as they were: packages are installed and stay, everything
# else happens in a temporary directory.  PostgreSQL finds its files relative to its own
# executables, so a copy of the executables beside links to the rest is an installation of its own,
# into which the extension goes.  Only apt needs root.

set -eu
umask 022
export LANG=C.UTF-8 LC_ALL=C.UTF-8

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pg_majors="18 17 16 15"   # supported, best first
pg_major=                 # the one that is used; make_workspace finds it
system_bin=
cluster_conf=/etc/postgresql-common/createcluster.conf

work=           # the temporary directory, once there is one
children=()     # processes to end

say()
{
	printf '%s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo > /dev/null; then
		sudo "$@"
	else
		die "root or sudo is needed to install packages"
	fi
}

# Whoever we are, with a clean environment; root becomes postgres, which PostgreSQL's package makes.
# replace=exec as_user ... & makes $! the process of the command, not of a shell around it.
as_user()
{
	local drop=()
	if [ "$(id -u)" = 0 ]; then
		drop=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi
	${replace:-} "${drop[@]}" env -i "PATH=${bin:-$system_bin}:/usr/local/bin:/usr/bin:/bin" "HOME=$work/home" \
		"TMPDIR=$work/tmp" "LANG=$LANG" "LC_ALL=$LC_ALL" TZ=UTC "PGHOST=$work/socket" "PGPORT=${port:-5432}" PGUSER=postgres "$@"
}

make_workspace()
{
	make_directory
	find_postgresql
}

make_directory()
{
	command -v apt-get > /dev/null || die "this needs Debian, or another system with its packages"
	[ -r /proc/self/stat ] || die "/proc is not mounted"
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	work=$(mktemp -d "/tmp/censync-${0##*/}.XXXXXX")
	chmod 755 "$work"
	cd "$work"
}

clean_up()
{
	local status=$?
	trap - EXIT
	trap '' HUP INT TERM
	set +e
	cd /
	restore_cluster_conf
	for pid in "${children[@]}"; do
		kill "$pid" 2> /dev/null && wait "$pid" 2> /dev/null
	done
	if [ -n "$work" ]; then
		find "$work" -name postmaster.pid | while read -r file; do
			as_user pg_ctl -D "${file%/*}" -m immediate -w stop > /dev/null 2>&1
		done
		rm -rf "$work"
	fi
	exit $status
}

# The newest PostgreSQL that is installed with its headers, else the newest that apt offers.
find_postgresql()
{
	pg_major=${CENSYNC_PG_MAJOR:-$(first_major is_installed)}
	[ -n "$pg_major" ] || pg_major=$(first_major is_offered)
	if [ -z "$pg_major" ]; then
		run_apt update
		pg_major=$(first_major is_offered)
	fi
	[ -n "$pg_major" ] || die "apt offers none of PostgreSQL $pg_majors"
	system_bin=/usr/lib/postgresql/$pg_major/bin
}

# first_major TEST: the first one whose headers' package passes.
first_major()
{
	local major
	for major in $pg_majors; do
		if "$1" "postgresql-server-dev-$major"; then
			say "$major"
			return
		fi
	done
}

is_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null || true)" = installed ]
}

is_offered()
{
	apt-cache policy "$1" 2> /dev/null | grep -q '^ *Candidate: [^(]'
}

# Installs what is missing of the packages named, without a question.
need_packages()
{
	local missing=() package
	for package in "$@"; do
		is_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} = 0 ] && return
	say "Installing packages: ${missing[*]}"
	run_apt update
	case " ${missing[*]} " in
		*" postgresql-$pg_major "*)
			# Its package would create and start a server that nobody asked for.
			run_apt install postgresql-common
			forbid_main_cluster
			;;
	esac
	run_apt install "${missing[@]}"
	restore_cluster_conf
}

run_apt()
{
	local command=$1
	shift
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold "$command" "$@" \
		< /dev/null > "$work/apt.log" 2>&1 && return
	tail -n 20 "$work/apt.log" >&2
	die "apt-get $command failed"
}

forbid_main_cluster()
{
	restore_cluster_conf
	as_root cp -p "$cluster_conf" "$cluster_conf.censync-saved"
	printf 'create_main_cluster = false\n' | as_root tee -a "$cluster_conf" > /dev/null
}

restore_cluster_conf()
{
	if [ -e "$cluster_conf.censync-saved" ]; then
		as_root mv "$cluster_conf.censync-saved" "$cluster_conf"
	fi
}

# The sources, without anything built, as an archive on standard output.
tar_sources()
{
	tar -C "$top" -cf - --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
		--exclude='./censync--*.sql' --exclude=./results --exclude=./tmp_check --exclude=./log \
		--exclude=./output_iso --exclude='./regression.*' --exclude=__pycache__ .
}

# A copy of the sources without anything built, and a PostgreSQL of our own to install into.
make_copies()
{
	mkdir "$work/src" "$work/home" "$work/tmp" "$work/socket"
	tar_sources | tar -xf - --no-same-owner -C "$work/src"
	[ "$(id -u)" != 0 ] || chown -R postgres: "$work"
	as_user sh -ec '
		root=$1 major=$2
		mkdir -p "$root/usr/lib/postgresql/$major" "$root/usr/share/postgresql" "$root/usr/include"
		cp -rL "/usr/lib/postgresql/$major/bin" "$root/usr/lib/postgresql/$major/"
		cp -rs "/usr/lib/postgresql/$major/lib" "$root/usr/lib/postgresql/$major/"
		cp -rs "/usr/share/postgresql/$major" "$root/usr/share/postgresql/"
		ln -s /usr/include/postgresql "$root/usr/include/postgresql"
		rm -f "$root/usr/lib/postgresql/$major/lib"/censync*
		rm -f "$root/usr/share/postgresql/$major/extension"/censync*
	' sh "$work" $pg_major
	bin=$work/usr/lib/postgresql/$pg_major/bin
}

# make_cluster NAME [configuration line ...]: a running server in $work/NAME, reached by $PGHOST.
make_cluster()
{
	local directory=$work/$1
	shift
	as_user initdb -D "$directory" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
		> "$work/initdb.log" 2>&1 || { cat "$work/initdb.log" >&2; die "initdb failed"; }
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$work/socket'" \
		"port = $port" "fsync = off" "$@" | as_user tee -a "$directory/postgresql.conf" > /dev/null
	as_user pg_ctl -D "$directory" -l "$directory.log" -w start > /dev/null ||
		{ tail -n 20 "$directory.log" >&2; die "the server does not start"; }
}

# The extension, built from a copy of the sources and installed into a PostgreSQL of our own.
build_extension()
{
	say "Building and installing into a private copy of PostgreSQL $pg_major"
	make_copies
	as_user make -s -j2 -C "$work/src" install PG_CONFIG="$bin/pg_config" > "$work/make.log" 2>&1 ||
		{ tail -n 20 "$work/make.log" >&2; die "the build failed"; }
}

# serve_directory DIRECTORY: the fake HTTP server, with DIRECTORY below /files; its address is $http.
serve_directory()
{
	replace=exec as_user python3 -B "$work/src/test/http/server.py" --root "$1" --parent-pid $$ \
		--port-file "$work/http-port" > "$work/http.log" 2>&1 &
	children+=($!)
	for _ in $(seq 100); do
		[ -e "$work/http-port" ] && break
		sleep 0.1
	done
	[ -e "$work/http-port" ] || { cat "$work/http.log" >&2; die "the HTTP server does not start"; }
	http=http://127.0.0.1:$(cat "$work/http-port")
}
