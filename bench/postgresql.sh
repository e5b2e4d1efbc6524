# Starts PostgreSQL and asks it something, as root of a Debian system that has it, but no init.
set -e
install -d -o postgres /run/postgresql
for conf in /etc/postgresql/*/main; do :; done
version=${conf#/etc/postgresql/}
version=${version%/main}
data=/var/lib/postgresql/$version/main
# Its status is in this file. A client that asks too early would take longer than it waits.
is_ready() {
    while read -r line; do
        case $line in ready*) return 0 ;; esac
    done <"$data/postmaster.pid"
    return 1
}
as_postgres() { setpriv --reuid postgres --regid postgres --init-groups -- "$@"; }
cd /
as_postgres "/usr/lib/postgresql/$version/bin/postgres" -D "$data" -c "config_file=$conf/postgresql.conf" \
    </dev/null >/dev/null 2>&1 &
until [ -e "$data/postmaster.pid" ] && is_ready; do sleep 0.002; done
as_postgres "/usr/lib/postgresql/$version/bin/psql" -Atc 'select 1'
