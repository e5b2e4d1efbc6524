#!/bin/sh
# engine.sh: as root in a machine (scripts/machine), makes a farm of debci, RabbitMQ and two workers of Debian's packages, requests 20 tests of
# mock packages and 2 of real ones, and kills a worker in the middle of a test. Writes the transcript to stdout, and what
# the steps print to /tmp/farm.log. `npm run farm` calls it.
set -eu

log=/tmp/farm.log
results=/tmp/results
# Without those that need options of the server or of the driver, or that autopkgtest 6 serves otherwise.
mocks='hello fails stderr allow-stderr skippable flaky needs-root ordinary-user depends artifacts test-command breaks-testbed
    leak killed output isolation reboot'
# Requested a second time, so that there are 20 with mock-long.
again='hello allow-stderr'
real='gzip hostname'
# Ports of this machine's network, which is that of the host. The root filesystem has one of them, so a machine that is kept keeps them.
[ -f /root/port ] || shuf --input-range=20000-29999 --head-count=1 >/root/port
port=$(cat /root/port)
repository=http://127.0.0.1:$((port + 1))

say() {
    printf '%s\n' "$*"
}

step() {
    say "== $*"
}

fail() {
    say "FAILED: $*"
    for each in "$log" /tmp/*.log; do
        say "-- $each"
        tail -n 30 "$each"
    done
    exit 1
}

quietly() {
    "$@" >>"$log" 2>&1 </dev/null || fail "$*"
}

# show COMMAND...: as the account of debci, with its command line in the transcript.
show() {
    say "\$ $*"
    as_debci "$@"
}

# As a service has it: no HOME that can be written to, a short PATH. It does not return.
become_debci() {
    exec setpriv --reuid=debci --regid=debci --init-groups env --ignore-environment \
        PATH=/usr/local/bin:/usr/bin:/bin HOME=/usr/share/debci debci_amqp_server="amqp://localhost:$port" "$@"
}

as_debci() {
    (become_debci "$@")
}

start_worker() {
    become_debci setsid debci worker >"/tmp/worker-$1.log" 2>&1 </dev/null &
}

# wait_until SECONDS WHAT COMMAND...
wait_until() {
    limit=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$(date +%s)" -lt "$limit" ] || fail "$what: not within the time"
        sleep 0.5
    done
}

# The pid 1 of the testbed in which the long test sleeps, and the process that opened the testbed.
long_testbed() {
    as_debci virt-ts-unshare ps --json 2>/dev/null |
        jq -r '.[] | select(any(.processes[].command; . == "sleep 20.5")) | "\(.pid) \(.owner)"'
}

long_test_runs() {
    [ -n "$(long_testbed)" ]
}

# ancestor PID WORD...: the one of the words that is an ancestor of the process.
ancestor() {
    pid=$1
    shift
    while [ "${pid:-0}" -gt 1 ]; do
        for each in "$@"; do
            [ "$each" != "$pid" ] || say "$pid"
        done
        pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
    done
}

both_connected() {
    [ "$(cat /tmp/worker-[12].log | grep -c 'Connecting to AMQP queue')" -eq 2 ]
}

# A line for each request: package, status or "-".
jobs_table() {
    # shellcheck disable=SC2016
    as_debci debci shell --batch -- -e \
        'Debci::Job.order(:id).each { |job| puts "#{job.id} #{job.package.name} #{job.status || "-"}" }'
}

received() {
    grep -c "/$(dpkg --print-architecture)[/ ]" /tmp/collector.log || true
}

# The table is asked for when the collector has them: it takes more processor time than a test.
all_answered() {
    [ "$(received)" -ge "$wanted" ] || return 1
    jobs_table >"$results"
    [ "$(grep -c . "$results")" -eq "$wanted" ] && ! grep -q -e ' -$' "$results"
}

queues() {
    rabbitmqctl --quiet list_queues name messages --formatter json | jq -r '.[] | "\(.name) \(.messages)"' | sort
}

queues_are_empty() {
    ! queues | grep -q -v ' 0$'
}

processes_of_debci() {
    ps -u debci -o pid= -o args= || true
}

debci_has_ended() {
    [ -z "$(processes_of_debci)" ]
}

# What debci makes of autopkgtest's exit status.
status_word() {
    case $1 in
        0 | 2) say pass ;;
        8) say neutral ;;
        4 | 6 | 12 | 14) say fail ;;
        *) say tmpfail ;;
    esac
}

step 'packages of Debian'
cd /
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
quietly apt-get update --quiet=2
ours=$(ls /mnt/build/deb/virt-ts-unshare_*.deb)
quietly apt-get install --yes --quiet=2 --no-install-recommends debci-worker debci-collector rabbitmq-server autopkgtest \
    mmdebstrap zstd uidmap dpkg-dev jq python3 "$ours"
dpkg-query -W -f '${Package} ${Version}\n' autopkgtest debci rabbitmq-server
dpkg-query -W -f 'this program ${Version}\n' virt-ts-unshare

step 'the backend, and an account with subordinate ids'
grep -q '^debci:' /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 debci
say '# virt-ts-unshare debci install'
virt-ts-unshare debci install 2>&1

step 'an archive with mock packages, and a package with a test of 20 seconds'
rm -rf /srv/farm
mkdir -p /srv/farm/src /srv/farm/archive
for name in $mocks; do cp -r "/mnt/mock-packages/$name" /srv/farm/src; done
mkdir -p /srv/farm/src/long/debian/tests /srv/farm/src/long/debian/source
cd /srv/farm/src/long/debian
sed 's/mock-hello/mock-long/g' ../../hello/debian/changelog >changelog
sed 's/mock-hello/mock-long/g' ../../hello/debian/control >control
sed 's/mock-hello/mock-long/g' ../../hello/debian/rules >rules
chmod 755 rules
cp ../../hello/debian/source/format source/format
printf 'Test-Command: sleep 20.5\n' >tests/control
mkdir ../bin
printf '#!/bin/sh\n' >../bin/mock-long
for name in $mocks long; do
    cd "/srv/farm/src/$name"
    quietly dpkg-buildpackage --no-sign --no-check-builddeps
done
cd /srv/farm/src
mv -- *.dsc *.tar.* *.deb ../archive
cd ../archive
dpkg-scanpackages . >Packages 2>>"$log"
dpkg-scansources . >Sources 2>>"$log"
cd /
setpriv --reuid=nobody --regid=nogroup --clear-groups \
    python3 -m http.server --bind 127.0.0.1 --directory /srv/farm/archive "$((port + 1))" >/dev/null 2>&1 </dev/null &
archive=$!

step 'configuration'
suite=trixie
mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' /etc/apt/sources.list | head -n 1)
mkdir -p /etc/debci/conf.d /etc/debci/ts_unshare
cat >/etc/debci/conf.d/farm.conf <<CONF
debci_suite=$suite
debci_suite_list=$suite
debci_backend=ts_unshare
debci_backend_list=ts_unshare
debci_lock_dir=/var/lib/debci
CONF
cat >/etc/debci/ts_unshare/$suite.sources <<LIST
deb $mirror $suite main
deb-src $mirror $suite main
deb [trusted=yes] $repository ./
deb-src [trusted=yes] $repository ./
LIST
say '/etc/debci/conf.d/farm.conf:'
cat /etc/debci/conf.d/farm.conf

step 'RabbitMQ, started by hand'
mkdir -p /etc/rabbitmq
cat >/etc/rabbitmq/rabbitmq-env.conf <<CONF
NODENAME=farm@localhost
NODE_IP_ADDRESS=127.0.0.1
NODE_PORT=$port
DIST_PORT=$((port + 2))
ERL_EPMD_PORT=$((port + 3))
CONF
export ERL_EPMD_PORT=$((port + 3)) ERL_EPMD_ADDRESS=127.0.0.1
runuser -u rabbitmq -- env HOME=/var/lib/rabbitmq /usr/lib/rabbitmq/bin/rabbitmq-server >>"$log" 2>&1 </dev/null &
broker=$!
wait_until 300 'RabbitMQ' sh -c 'rabbitmqctl --quiet await_startup >/dev/null 2>&1'
say "RabbitMQ listens to 127.0.0.1:$port"

step 'the root filesystem, made by the backend'
started=$(date +%s)
# Without it each apt of a testbed searches for a proxy.
say '$ GUEST_PROXY=DIRECT debci setup'
as_debci env GUEST_PROXY=DIRECT debci setup >>"$log" 2>&1 || fail 'debci setup'
image=$(cd /var/lib/debci/ts_unshare && ls ./*.tar*)
say "$image ($(($(date +%s) - started)) s)"

step 'the collector and two workers, as the account debci'
# Each in a process group of its own, as a service has a cgroup: the publisher is a script with children.
become_debci setsid debci collector >/tmp/collector.log 2>&1 </dev/null &
collector=$!
publisher=''
if [ -e /usr/share/debci/bin/debci-publisher ]; then
    become_debci setsid debci publisher >/tmp/publisher.log 2>&1 </dev/null &
    publisher=$!
fi
find /tmp /var/tmp -mindepth 1 -maxdepth 1 | sort >/root/before
start_worker 1
one=$!
start_worker 2
two=$!
wait_until 120 'the workers' both_connected
cat /tmp/worker-1.log /tmp/worker-2.log

step 'requests'
names=$(for name in long $mocks $again; do printf 'mock-%s ' "$name"; done)
started=$(date +%s)
wanted=$(printf '%s %s' "$names" "$real" | wc -w)
say "\$ debci enqueue $names$real" | fold --spaces --width=120
# shellcheck disable=SC2086
as_debci debci enqueue $names $real >/tmp/requested 2>>"$log" || fail 'debci enqueue'
head -n 2 /tmp/requested
requested=$(grep -c ' requested$' /tmp/requested)
say "… $requested requests"
[ "$requested" -eq "$wanted" ] || fail "$wanted requests were expected"

step 'a worker is killed in the middle of a test'
wait_until 600 'the test of mock-long' long_test_runs
say '$ virt-ts-unshare ps --processes | cut -c 1-120'
as_debci virt-ts-unshare ps --processes | cut -c 1-120
found=$(long_testbed)
init=${found% *} owner=${found#* }
victim=$(ancestor "$owner" "$one" "$two")
[ -n "$victim" ] || fail "no worker is an ancestor of $owner"
[ "$(cat "/proc/$victim/comm")" = amqp-consume ] || fail 'the worker is not amqp-consume'
before=$(date +%s%N)
kill -KILL "$victim"
while [ -e "/proc/$init" ] && [ "$(($(date +%s%N) - before))" -lt 10000000000 ]; do sleep 0.02; done
took=$((($(date +%s%N) - before) / 1000000))
say "# kill -KILL $victim    (amqp-consume, the process of the worker; pid 1 of its testbed is $init)"
say "the testbed is gone after $took ms"
[ "$took" -lt 2000 ] || fail 'the testbed lasted longer than 2 s'
say 'a worker is started again, as its service would be'
if [ "$victim" = "$one" ]; then
    start_worker 3 && one=$!
else
    start_worker 3 && two=$!
fi

step 'answers'
wait_until 3600 'the answers' all_answered
say "all answered after $(($(date +%s) - started)) s"
wrong=0
while read -r id package status; do
    case $package in
        mock-long | gzip) expected=pass ;;
        # It has one test, which is superficial.
        hostname) expected=neutral ;;
        *)
            number=$(jq -r --arg name "${package#mock-}" '.[] | select(.package == $name) | .status' /mnt/mock-packages/manifest.json)
            expected=$(status_word "$number")
            ;;
    esac
    note=''
    [ "$status" = "$expected" ] || { note="   expected: $expected" && wrong=$((wrong + 1)); }
    printf '%3d  %-22s %s%s\n' "$id" "$package" "$status" "$note"
done <"$results"
[ "$wrong" -eq 0 ] || fail "$wrong results are not those of the manifest"

step 'exactly once, and nothing is left'
say "requests: $wanted, results that the collector received: $(received)"
[ "$(received)" -eq "$wanted" ] || fail 'a request was answered twice or not at all'
# A worker acknowledges a request when it has sent the result.
wait_until 60 'empty queues' queues_are_empty
say '# rabbitmqctl list_queues'
queues
show virt-ts-unshare ps
[ "$(as_debci virt-ts-unshare ps)" = 'no testbed is open' ] || fail 'a testbed is left'
kill -TERM "$one" "$two"
wait "$one" "$two" 2>/dev/null || true
find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'worker-*.log' ! -name results ! -name requested ! -name 'virt-ts-unshare-*' | sort >/root/after
kill -TERM "-$collector" ${publisher:+"-$publisher"}
wait "$collector" ${publisher:+"$publisher"} 2>/dev/null || true
kill "$archive"
wait_until 10 "the end of $(processes_of_debci)" debci_has_ended
new=$(comm -13 /root/before /root/after)
[ -z "$new" ] || fail "files are left: $new"
say 'no process of the account debci, and no file below /tmp and /var/tmp that was not there before'
quietly rabbitmqctl shutdown
wait "$broker" || true
say 'passed'
