#!/bin/sh
# What a newcomer does with the Debian package in /mnt/build/deb on Debian 13, as the user of the machine. `npm run newcomer`
# runs it in a machine as Debian's installer leaves it, and prints how long each step took.
set -eu

started=$(date +%s)
step() {
    now=$(date +%s)
    printf '%3d s: %s\n' "$((now - started))" "$1"
}

sudo apt-get update --quiet=2
# shellcheck disable=SC2024
sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends \
    /mnt/build/deb/virt-ts-unshare_*.deb autopkgtest mmdebstrap zstd >/tmp/apt.log 2>&1 </dev/null || {
    cat /tmp/apt.log
    exit 1
}
step 'installed'

virt-ts-unshare doctor | grep -F 'The server will work'
step 'doctor'

mkdir -p package/debian/tests
cd package
printf 'Source: hello\nMaintainer: A <a@example.org>\n\nPackage: hello\nArchitecture: all\nDescription: hello\n' >debian/control
printf 'hello (1.0) unstable; urgency=low\n\n  * First.\n\n -- A <a@example.org>  Sat, 01 Nov 2025 00:00:00 +0000\n' \
    >debian/changelog
printf 'Test-Command: cat /etc/debian_version\n' >debian/tests/control
autopkgtest --no-built-binaries . -- ts-unshare --release trixie >/tmp/driver.log 2>&1 || {
    cat /tmp/driver.log
    exit 1
}
grep '^command1 *PASS' /tmp/driver.log
step 'a driver run'

# shellcheck disable=SC2016
# The terminal shows the words of the command too, so they differ from its output.
printf 'echo sh""ell of $(id -un)\nexit\n' |
    script --quiet --command 'virt-ts-unshare shell --release trixie' /dev/null | grep -F 'shell of root'
step 'a shell'

cat >library.cjs <<'END'
const { Testbed } = require('virt-ts-unshare');
(async () => {
  const testbed = await Testbed.open({ release: 'trixie' });
  const { stdout } = await testbed.run(['cat', '/etc/debian_version']);
  await testbed.close();
  console.log(stdout);
})();
END
node library.cjs | grep '^13'
step 'a test with the library'

man --pager=cat virt-ts-unshare | grep -F -q 'SYNOPSIS'
step 'a man page'

bash -c '
    . /usr/share/bash-completion/bash_completion
    _comp_load virt-ts-unshare
    complete -p virt-ts-unshare' | grep virt-ts-unshare
step 'a completion'

[ "$(($(date +%s) - started))" -lt 180 ] || {
    echo 'it took more than three minutes'
    exit 1
}
