# Starts PostgreSQL and asks it something, as root of a Debian system that has it, but no init.
set -e
install -d -o postgres /run/postgresql
for conf in /etc/postgresql/*/main; do :; done
version=${conf#/etc/postgresql/}
version=${version%/main}
as_postgres() { setpriv --reuid postgres --regid postgres --init-groups -- "$@"; }
cd /
as_postgres "/usr/lib/postgresql/$version/bin/postgres" -D "/var/lib/postgresql/$version/main" \
    -c "config_file=$conf/postgresql.conf" </dev/null >/dev/null 2>&1 &
until as_postgres "/usr/lib/postgresql/$version/bin/psql" -Atc 'select 1' 2>/dev/null; do sleep 0.01; done
