import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { CommandEvent, TestbedEvent } from '../../../src/events/types.ts';
import { Testbed } from '../../../src/index.ts';
import { checkedEvents, only, readEvents } from '../../support/event-schema.ts';
import { TMPFS } from '../../support/inside.ts';
import { call, ended, virt } from '../../support/program.ts';
import { testTarball } from '../../support/rootfs.ts';
import { Server } from '../../support/server.ts';
import { testProvider } from '../../support/testbed.ts';

const UPGRADE = `sed -i '/^Package: dash$/,/^$/s/^Version: .*/Version: 99/' /var/lib/dpkg/status`;

/** What a command of a testbed is without what differs between runs. */
function facts({ argv, status, killed }: CommandEvent) {
  return { argv, ...(status === undefined ? {} : { status }), ...(killed === undefined ? {} : { killed }) };
}

describe('events', function () {
  this.timeout(120_000);
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-test-'));
    file = join(folder, 'events');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const start = () => Server.start({ argv: ['--tarball', testTarball(), `--events=${file}`] });
  const kinds = (events: readonly TestbedEvent[]) => events.map(({ event }) => event);

  it('of a session are one line for each thing that happened, in order', async () => {
    const server = start();
    await server.reply();
    await server.ask('open');
    await server.ask('command sh,-c,exit%203');
    await server.ask(`copydown /etc/hostname /tmp/name`);
    await server.ask('reboot');
    await server.ask('snapshot');
    await server.ask('revert');
    server.send('copyup /nowhere /tmp/nowhere');
    assert.equal(await server.reply(), 'copy-failed');
    await server.ask('close');
    server.send('nonsense');
    assert.equal(await server.ended, 12);
    const events = readEvents(file);
    const others = events.filter(({ event }) => event !== 'packages' && event !== 'wait');
    assert.deepEqual(kinds(others), [
      ...['start', 'open', 'command', 'copy', 'reboot', 'leak', 'snapshot', 'revert', 'copy', 'close'],
      ...['error', 'end'],
    ]);
    assert.equal(new Set(events.map(({ session }) => session)).size, 1);
    const [command] = only('command', events);
    assert.equal(command?.status, 3);
    assert.ok(command.duration > 0 && command.packages?.before !== undefined);
    const [copied, failed] = only('copy', events);
    assert.deepEqual(
      [copied?.direction, copied?.outside, copied?.inside],
      ['in', '/etc/hostname', '/tmp/name'],
    );
    assert.ok(copied?.bytes !== undefined && copied.bytes > 0);
    assert.ok(failed?.error?.message.includes('/nowhere'), JSON.stringify(failed));
    assert.equal(only('error', events)[0]?.code, 'UNKNOWN_COMMAND');
    assert.equal(only('end', events)[0]?.status, 12);
  });

  it('have the commands that a driver starts by the execute command, also one that it kills', async () => {
    const server = start();
    await server.reply();
    await server.ask('open');
    const [list = ''] = await server.ask('print-execute-command');
    const [program = '', ...words] = list.split(',').map(decodeURIComponent);
    const run = (...argv: readonly string[]) => call([program, ...words, ...argv]);
    assert.equal(
      (await run('sh', '-c', 'cat /etc/passwd >/dev/null; sleep 0.1; echo "$1"', 'sh', '\u{e9}"')).status,
      0,
    );
    await run('sh', '-c', UPGRADE);
    const killed = spawn(program, [...words, 'sh', '-c', 'echo started; exec sleep 100']);
    killed.stdout.once('data', () => killed.kill('SIGKILL'));
    assert.equal((await ended(killed)).status, 137);
    await server.ask('quit');
    const events = readEvents(file);
    const commands = only('command', events);
    assert.deepEqual(commands.map(facts), [
      { argv: ['sh', '-c', 'cat /etc/passwd >/dev/null; sleep 0.1; echo "$1"', 'sh', '\u{e9}"'], status: 0 },
      { argv: ['sh', '-c', UPGRADE], status: 0 },
      { argv: ['sh', '-c', 'echo started; exec sleep 100'], killed: true },
    ]);
    const [first, second] = commands;
    assert.ok((first?.read ?? 0) > 500 && (first?.written ?? 0) > 500, JSON.stringify(first));
    assert.ok(first !== undefined && first.duration >= 100);
    // dpkg's status, read from outside.
    const [all, change] = only('packages', events);
    assert.equal(all?.base, undefined);
    assert.match(all?.installed.dash ?? '', /^0\.5/);
    assert.deepEqual([second?.packages?.before, second?.packages?.after], [all?.id, change?.id]);
    assert.equal(change?.base, all?.id);
    assert.deepEqual({ ...change?.changed }, { dash: { from: all?.installed.dash, to: '99' } });
  });

  it('of archives have what was sent, and come before that of the close though one is never read', async () => {
    const events: TestbedEvent[] = [];
    const onEvent = (event: TestbedEvent) => void events.push(event);
    const testbed = await Testbed.open({ rootfs: testTarball(), onEvent });
    await testbed.run(['sh', '-c', 'mkdir /srv/a; echo text >/srv/a/b']);
    await buffer(await testbed.getArchive('/srv/a'));
    // More than buffers take.
    const archive = await testbed.getArchive('/usr/share');
    await testbed.close();
    assert.deepEqual(kinds(events).slice(-2), ['copy', 'close']);
    const [read, unread] = only('copy', events);
    assert.ok(read?.error === undefined && read?.files === 2 && read.bytes > 0, JSON.stringify(read));
    assert.ok(unread?.error !== undefined);
    await assert.rejects(buffer(archive));
  });

  it('of two servers share a file', async () => {
    const servers = [start(), start()];
    await Promise.all(
      servers.map(async (server) => {
        await server.reply();
        await server.ask('open');
        for (let i = 0; i < 20; i++) await server.ask(`command true,${i},${'x'.repeat(5000)}`);
        await server.ask('quit');
        await server.ended;
      }),
    );
    const events = readEvents(file);
    const sessions = [...new Set(events.map(({ session }) => session))];
    assert.equal(sessions.length, 2);
    for (const session of sessions) {
      const own = events.filter((event) => event.session === session);
      assert.deepEqual(
        only('command', own).map(({ argv }) => argv[1]),
        Array.from({ length: 20 }, (_, i) => String(i)),
      );
      assert.equal(own.at(-1)?.event, 'end');
    }
  });

  it('never cost a result: a full disk is one warning', async () => {
    const { status, stdout, stderr } = await virt([
      ...['run', '--tarball', testTarball(), '--events=/dev/full', '--', 'sh', '-c', 'echo result; exit 3'],
    ]);
    assert.deepEqual({ status, stdout }, { status: 3, stdout: 'result\n' });
    assert.equal(stderr.match(/cannot write an event/g)?.length, 1, stderr);
  });

  it('of a file that cannot be made are a wrong call', async () => {
    const { status, stderr } = await virt([
      'run',
      '--tarball',
      testTarball(),
      '--events=/nowhere/x',
      '--',
      'true',
    ]);
    assert.equal(status, 2);
    assert.match(stderr, /--events: \/nowhere does not exist; make this directory, or/);
  });

  it('of run have its leaks, and its end', async () => {
    await virt(['run', '--tarball', testTarball(), '--events', file, '--', 'touch', '/tmp/left']);
    const events = readEvents(file);
    const others = events.filter(({ event }) => event !== 'packages' && event !== 'wait');
    assert.deepEqual(kinds(others), [...['start', 'open', 'command', 'leak', 'close', 'end']]);
    const [leak] = only('leak', events);
    assert.deepEqual([leak?.at, leak?.leak.kind === 'file' && leak.leak.path], ['command', '/tmp/left']);
  });

  for (const [name, text] of Object.entries({
    'is a link out of the testbed': 'ln -sf /proc/1/root/etc/passwd /var/lib/dpkg/status',
    'is a fifo': 'rm /var/lib/dpkg/status; mkfifo /var/lib/dpkg/status',
    'is in another file system': `${TMPFS}\ncp -a /var/lib/dpkg /srv; tmpfs none /var/lib; cp -a /srv/dpkg /var/lib`,
    'has a link above it': 'mv /var/lib/dpkg /srv/dpkg; ln -s /srv/dpkg /var/lib/dpkg',
  })) {
    it(`have no packages where dpkg's status ${name}`, async () => {
      const events: TestbedEvent[] = [];
      const provider = testProvider({ onEvent: (event) => void events.push(event) });
      try {
        const testbed = await provider.open();
        await testbed.run(['sh', '-ec', text]);
        await testbed.run(['true']);
        const [before, after] = only('command', events);
        assert.notEqual(before?.packages?.before, undefined);
        assert.deepEqual([before?.packages?.after, after?.packages], [undefined, undefined]);
      } finally {
        await provider.dispose();
      }
    });
  }

  it('reach onEvent of the library before the promise resolves, those of forks too', async () => {
    const events: TestbedEvent[] = [];
    await using testbed = await Testbed.open({
      rootfs: testTarball(),
      onEvent: (event) => void events.push(event),
    });
    await testbed.run(['sh', '-c', 'exit 4']);
    assert.deepEqual(only('command', events).map(facts), [{ argv: ['sh', '-c', 'exit 4'], status: 4 }]);
    await testbed.run(['sleep', '100'], { timeout: 0.2 }).catch(() => {});
    assert.equal(only('command', events).length, 2);
    await using snapshot = await testbed.snapshot();
    const fork = await Testbed.open({ from: snapshot });
    await fork.write({ '/tmp/x': 'hello' });
    await fork.close();
    const [first, second] = only('open', events);
    assert.deepEqual([first?.fork, second?.fork], [undefined, true]);
    const [copy] = only('copy', events);
    assert.deepEqual([copy?.testbed, copy?.bytes, copy?.files], [second?.testbed, 5, 1]);
    assert.equal(events.at(-1)?.event, 'close');
    checkedEvents(events.map((event) => JSON.stringify(event)).join('\n'));
  });
});
