# What test/majors and test/mysql share: other Debians, each in a directory of its own; to be sourced by
# bash behind common.sh.  Bootstrapped from the mirror and with the settings that apt has here.

keep=          # the directory given by -k
systems=       # where the systems are
mirror=

# What is mounted is mounted in a namespace that ends with its processes; so a directory can be
# removed once they are gone.
end()
{
	local status=$?
	trap '' HUP INT TERM
	set +e
	for pid in "${children[@]}"; do
		kill -KILL "$pid" 2> /dev/null && wait "$pid" 2> /dev/null
	done
	children=()
	[ -n "$keep" ] || [ -z "$systems" ] || rm -rf --one-file-system "$systems"
	(exit "$status")   # which is what clean_up exits with
	clean_up
}

make_systems()
{
	if [ -n "$keep" ]; then
		systems=$keep
		mkdir -p "$systems"
	else
		systems=$(mktemp -d /tmp/censync-systems.XXXXXX)
	fi
	chmod 755 "$systems"
}

# The archive that apt has the system itself from.
find_mirror()
{
	mirror=$(apt-get --print-uris update |
		sed -n "s/^'\(.*\)\/dists\/[a-z]*\/InRelease' .*/\1/p" | head -n 1)
	[ -n "$mirror" ] || die "apt knows no mirror of Debian here"
	if [ -z "${http_proxy:-}" ]; then
		eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
		[ -z "${http_proxy:-}" ] || [ "$http_proxy" = DIRECT ] || export http_proxy
	fi
}

# bootstrap SUITE DIRECTORY: a Debian, whole or not marked as such.
bootstrap()
{
	local suite=$1 root=$2 include=()
	say "Bootstrapping $suite"
	case $mirror in
		https:*) include=(--include=ca-certificates) ;;
	esac
	rm -rf --one-file-system "$root"
	in_namespace debootstrap --variant=minbase "${include[@]}" "$suite" "$root" "$mirror" ||
		return 1
	take_settings "$root" || return 1
	touch "$root/.bootstrapped"
}

# How apt here gets at the mirror, and whom it trusts.
take_settings()
{
	local file
	apt-config dump Acquire | grep -E '^Acquire::(https?|Check-|Retries|ForceIPv|Languages)' \
		> "$1/etc/apt/apt.conf.d/90censync" || true
	for file in $(sed -n 's/.* "\(\/.*\)";$/\1/p' "$1/etc/apt/apt.conf.d/90censync") \
		/etc/ssl/certs/ca-certificates.crt /etc/resolv.conf /etc/hosts; do
		[ ! -f "$file" ] || install -D -m 644 "$file" "$1$file"
	done
}

in_namespace()
{
	unshare --mount --pid --ipc --fork --kill-child "$@" < /dev/null &
	children=($!)
	local status=0
	wait $! || status=$?
	children=()
	return $status
}

# inside DIRECTORY COMMAND ...: runs it there, as root.
inside()
{
	local root=$1
	shift
	in_namespace bash -ec '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
		exec chroot "$root" "$@"
	' bash "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		${http_proxy:+"http_proxy=$http_proxy"} "$@"
}
