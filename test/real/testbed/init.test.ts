/** The image's own init as pid 1. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../../src/log.ts';
import { findCgroup } from '../../../src/namespaces/cgroups.ts';
import { isAlive, nameOf } from '../../../src/processes/identity.ts';
import { openCache } from '../../../src/rootfs/cache.ts';
import { idMapsFor } from '../../../src/testbed/holding.ts';
import { Provider } from '../../../src/testbed/provider.ts';
import type { OpenTestbed, TestbedOptions } from '../../../src/testbed/types.ts';
import { waitUntil } from '../../../src/wait.ts';
import { patience } from '../../support/patience.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { lack, ONLY_ROOT } from '../../support/skip.ts';
import { Terminal } from '../../support/terminal.ts';
import { script, testOptions, testProvider } from '../../support/testbed.ts';

const BOOT_ID = 'cat /proc/sys/kernel/random/boot_id';
const WITH_INIT = { init: 'image', network: 'none' } as const;

/** Directories in the cgroup of this process that belong to a server with this pid. */
function groupsOf(pid: number): string[] {
  const { path } = findCgroup();
  assert.ok(path !== undefined);
  return readdirSync(path)
    .filter((name) => name.startsWith(`virt-ts-unshare-${pid}-`))
    .map((name) => join(path, name));
}

function readlinkOrNothing(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

async function withInit(
  body: (testbed: OpenTestbed) => Promise<void>,
  changes: Partial<TestbedOptions> = {},
): Promise<void> {
  const provider = testProvider({ root: { tarball: testTarball('init') }, ...WITH_INIT, ...changes });
  try {
    await body(await provider.open());
  } finally {
    await provider.dispose();
  }
}

describe('an init of the image', function () {
  this.timeout(120_000);
  before(function () {
    if (ONLY_ROOT) lack(this, 'without subordinate ids there is no user but root');
    const { why } = findCgroup();
    if (why !== undefined) lack(this, why);
  });

  it('has booted when open resolves, and nothing is left of it afterwards', async () => {
    let pid1 = nameOf(process.pid);
    await withInit(async (testbed) => {
      pid1 = nameOf(testbed.pid);
      const text = (command: string) => script(testbed, command).then(({ stdout }) => stdout.trim());
      assert.equal(await text('systemctl is-system-running; cat /proc/1/comm'), 'running\nsystemd');
      assert.equal(
        await text('systemctl is-active cron dbus systemd-logind systemd-journald'),
        'active\n'.repeat(4).trim(),
      );
      assert.equal(await text('systemd-detect-virt --container >/dev/null && echo yes'), 'yes');
      assert.equal(await text('wc -c </etc/machine-id'), '33');
      // A session needs the process in a cgroup of the testbed.
      assert.match(
        await text('su - -c "cat /proc/self/cgroup"'),
        /^0::\/user\.slice\/user-0\.slice\/session-\w+\.scope$/m,
      );
      assert.match(
        await text('systemd-run --quiet --scope cat /proc/self/cgroup'),
        /^0::\/system\.slice\/run-[\w-]+\.scope$/m,
      );
      assert.equal(
        await text('systemd-run --quiet --wait --pipe sh -c "echo out; cat /proc/1/comm"'),
        'out\nsystemd',
      );
      assert.deepEqual(await testbed.leaks(), []);
      assert.equal(groupsOf(process.pid).length, 1);
    });
    assert.equal(isAlive(pid1), false);
    assert.deepEqual(groupsOf(process.pid), []);
  });

  it('leaves a command its output, and a unit that failed is left behind', async () => {
    await withInit(async (testbed) => {
      const piped = await script(
        testbed,
        'mkfifo /tmp/p; (sleep 0.1; cat </tmp/p) & seq 20000 >/tmp/p; rm /tmp/p; sleep 1000 &',
      );
      assert.equal(piped.stdout.split('\n').length, 20001);
      const ended = (await testbed.leaks()).map((leak) =>
        leak.kind === 'process' ? leak.command : leak.kind,
      );
      assert.deepEqual(ended, ['sleep 1000']);
      await script(testbed, 'systemd-run --quiet --wait --unit=bad false');
      assert.deepEqual(
        (await testbed.leaks()).filter(({ kind }) => kind !== 'process'),
        [{ kind: 'unit', name: 'bad.service', state: 'failed' }],
      );
      await script(testbed, 'systemctl reset-failed; systemd-run --quiet --unit=good sleep 1000');
      const left = (await testbed.leaks()).map((leak) =>
        leak.kind === 'process' ? leak.command : leak.kind,
      );
      assert.deepEqual(left.sort(), ['/usr/bin/sleep 1000', 'sleep 1000']);
    });
  });

  it('reboots from inside and by request, with the same execute command', async () => {
    await withInit(async (testbed) => {
      const [program = '', ...words] = testbed.executeCommand;
      const run = (text: string) =>
        execFileSync(program, [...words, 'sh', '-c', text], { encoding: 'utf8' }).trim();
      const ids = [run(BOOT_ID)];
      run('touch /root/kept /tmp/kept /run/lost; systemctl enable --quiet --now cron');
      await testbed.reboot();
      ids.push(run(BOOT_ID));
      assert.equal(
        run('ls -d /root/kept /tmp/kept /run/lost 2>/dev/null; systemctl is-system-running'),
        '/root/kept\n/tmp/kept\nrunning',
      );
      assert.equal(statSync(`/proc/${testbed.pid}/root${testbed.scratchDirectory}`).mode & 0o777, 0o777);
      const before = nameOf(testbed.pid);
      await script(testbed, 'systemctl reboot');
      assert.ok(await waitUntil(() => !isAlive(before), 60_000));
      await testbed.run(['true']);
      ids.push(run(BOOT_ID));
      assert.equal(new Set(ids).size, 3);
      assert.match(run('cat /proc/self/cgroup'), /^0::\/commands$/m);
      assert.equal(groupsOf(process.pid).length, 1);
      const last = nameOf(testbed.pid);
      await script(testbed, 'systemctl poweroff');
      assert.ok(await waitUntil(() => !isAlive(last), 60_000));
      await assert.rejects(testbed.run(['true']), { code: 'CLOSED' });
    });
  });

  it('has a command at a terminal in the cgroup of commands, and is rebooted from there', async () => {
    await withInit(async (testbed) => {
      const boot = () => script(testbed, BOOT_ID).then(({ stdout }) => stdout);
      const first = await boot();
      const before = nameOf(testbed.pid);
      const [program = '', ...words] = testbed.executeCommand;
      const text = 'tty; grep ^0: /proc/self/cgroup; systemctl reboot; sleep 600';
      const terminal = new Terminal([program, ...words, 'sh', '-c', text], {
        env: process.env,
        cwd: '/',
        size: [24, 80],
      });
      try {
        await terminal.see(/^\/dev\/pts\/\d+\r\n0::\/commands\r\n/m);
        // systemd-shutdown waits 10 s for a process of whose end it does not get to know.
        assert.ok(await waitUntil(() => !isAlive(before), patience(8000)));
        assert.notEqual(await boot(), first);
      } finally {
        terminal.kill();
      }
    });
  });

  it('boots with its records, journal and generators, also those that it needs only after the boot', async () => {
    const service =
      '#!/bin/sh\n### BEGIN INIT INFO\n# Provides: $1\n# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n';
    await withInit(async (testbed) => {
      const text = (command: string) => script(testbed, command).then(({ stdout }) => stdout.trim());
      const records = 'runlevel; who -b | sed "s/  *[A-Z].*//"; stat -c %U:%G:%a /run/utmp';
      // systemd 257 of Debian does not read these records.
      assert.match(await text(records), /^(?:N 5|unknown)\n {9}system boot\nroot:utmp:664$/);
      assert.equal(
        await text('ls /run/systemd/system-generators | grep -c -E "(fstab|sysv)-generator"'),
        '0',
      );
      await script(
        testbed,
        `mkdir -p /var/log/journal /srv/mounted
        printf '${service}exit 0\n' >/etc/init.d/old; chmod 755 /etc/init.d/old; ln -s ../init.d/old /etc/rc3.d/S01old
        systemctl daemon-reload; systemctl start old; logger before
        printf '# none\n\nnone /srv/mounted tmpfs size=64k 0 0\n' >/etc/fstab
        systemctl set-default --quiet multi-user.target`,
      );
      assert.equal(await text('systemctl is-active old'), 'active');
      await testbed.reboot();
      assert.match(
        await text('systemctl is-system-running; systemctl is-active old; runlevel'),
        /^running\nactive\n(?:N 3|unknown)$/,
      );
      assert.equal(
        await text('stat -f -c %T /srv/mounted; journalctl -b -1 -t root -o cat'),
        'tmpfs\nbefore',
      );
    });
  });

  it('boots again after a revert and over a snapshot', async () => {
    await withInit(async (testbed) => {
      await script(testbed, 'touch /root/early; systemctl stop cron');
      await testbed.revert();
      const state = 'ls /root; systemctl is-active cron';
      assert.equal((await script(testbed, state)).stdout, 'active\n');
      await script(testbed, 'touch /root/late; systemctl disable --quiet --now cron');
      const snapshot = await testbed.snapshot();
      assert.equal((await script(testbed, state)).stdout, 'late\ninactive\n');
      await snapshot.dispose();
    });
  });

  it('is needed by --init, not by --init=auto', async () => {
    await assert.rejects(
      withInit(async () => {}, { root: { tarball: testTarball('small') } }),
      { code: 'NO_INIT' },
    );
    await withInit(
      async (testbed) => assert.equal((await script(testbed, 'cat /proc/1/comm')).stdout, 'sh\n'),
      { root: { tarball: testTarball('small') }, init: 'auto' },
    );
    await assert.rejects(
      withInit(async () => {}, { init: '/bin/false' }),
      { code: 'NOT_BOOTED', message: /\/bin\/false .* status 1/ },
    );
    assert.deepEqual(groupsOf(process.pid), []);
    const opened = readdirSync('/proc/self/fd').map((fd) => readlinkOrNothing(`/proc/self/fd/${fd}`));
    assert.deepEqual(
      opened.filter((path) => path.includes('/testbeds/')),
      [],
    );
  });

  it('leaves no mark of use of a base when it cannot be made', async () => {
    const options = testOptions({ root: { tarball: testTarball('init') }, ...WITH_INIT });
    const provider = new Provider(options, silentLog, { idMaps: { ...idMapsFor(options), single: true } });
    // Another file of tests may keep a testbed open.
    const marks = () => {
      const { bases } = openCache(process.env);
      const all = readdirSync(bases).flatMap((key) => namesIn(join(bases, key, 'users')));
      return all.filter((mark) => mark.startsWith(`${process.pid}.`)).sort();
    };
    const before = marks();
    try {
      await assert.rejects(provider.open(), { code: 'NO_IDS' });
      assert.deepEqual(marks(), before);
    } finally {
      await provider.dispose();
    }
  });

  it('ends with the server, whatever ends it, and its cgroups too', async () => {
    const server = Server.start({ argv: ['--init', '--network=none', '--tarball', testTarball('init')] });
    assert.equal(await server.reply(), 'ok');
    await server.ask('open');
    assert.match((await server.ask('capabilities')).join(' '), /isolation-container/);
    const pid = await server.pid;
    assert.equal(groupsOf(pid).length, 1);
    await server.kill('SIGKILL');
    assert.deepEqual(await server.leftAfter(10_000), []);
    assert.ok(await waitUntil(() => groupsOf(pid).length === 0, 10_000));
  });

  it('is no leak to a server that reports leaks', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-leaks-'));
    const report = join(folder, 'report');
    const argv = [
      '--init',
      '--network=none',
      '--tarball',
      testTarball('init'),
      `--report-leaks=json:${report}`,
    ];
    const server = Server.start({ argv });
    try {
      assert.equal(await server.reply(), 'ok');
      await server.ask('open');
      await server.ask('command systemd-run,--quiet,--wait,--unit=bad,false');
      await server.ask('close');
      const lines = readFileSync(report, 'utf8').trimEnd().split('\n');
      const left = lines.map((line) => JSON.parse(line)).map(({ at, kind, name }) => [at, kind, name]);
      assert.deepEqual(left, [
        ['command', 'unit', 'bad.service'],
        ['close', 'unit', 'bad.service'],
      ]);
    } finally {
      server.endOfFile();
      await server.reaped;
      rmSync(folder, { recursive: true });
    }
  });

  it('of a server whose stage was killed too leaves a cgroup that the next start removes', async () => {
    const server = Server.start({ argv: ['--init', '--network=none', '--tarball', testTarball('init')] });
    assert.equal(await server.reply(), 'ok');
    await server.ask('open');
    const pid = await server.pid;
    const stage = execFileSync('pgrep', ['-P', String(pid), '-f', 'virt-ts-unshare stage'], {
      encoding: 'utf8',
    }).trim();
    process.kill(Number(stage), 'SIGKILL');
    await server.kill('SIGKILL');
    assert.deepEqual(await server.leftAfter(10_000), []);
    await withInit(async () => assert.deepEqual(groupsOf(pid), []));
  });
});
