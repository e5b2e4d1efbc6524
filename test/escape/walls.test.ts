/** Ways out of namespaces, sockets, keys, signals, control groups, and what the kernel lets be written below /sys and /proc/sys. */
import assert from 'node:assert/strict';
import { shellLine } from '../../src/log.ts';
import { call } from '../support/program.ts';
import { forEachCaller } from './each.ts';
import { ROUNDS } from './tally.ts';
import { command } from './world.ts';

/** A pid that no process has: beyond the limit of the kernel. */
const NO_PROCESS = '4194304';

/** For root as the caller with one id: root inside is root of the machine for the kernel, see docs/security.md. */
const OPEN_TO_REAL_ROOT = ['/sys', 'another /sys', 'control groups', '/proc/sys'];

forEachCaller('the walls of a testbed', ['walls'], (caller, scene) => {
  const words = (program: string) => {
    const { canaries } = scene;
    return [program, canaries.file, canaries.abstractName, canaries.socketPath, String(canaries.victimPid)];
  };
  const isRoot = process.getuid?.() === 0;
  const known = caller.sameId && isRoot ? OPEN_TO_REAL_ROOT : [];
  const outs = (stdout: string) =>
    [...stdout.matchAll(/^OUT by (.*)$/gm)]
      .map(([, name = '']) => name)
      .filter((name) => !known.includes(name));

  for (const network of ['none', 'host'] as const) {
    it(`have no way out, network ${network}`, async () => {
      const { world, canaries } = scene;
      for (let round = 0; round < ROUNDS; round += 1) {
        const { stdout, stderr } = await world.run(
          caller,
          `mkdir -p /mnt; ${shellLine(words('/attacks/walls'))}`,
          {
            options: [`--network=${network}`],
          },
        );
        const tried = Number(/^(\d+) ways tried$/m.exec(stdout)?.[1]);
        assert.ok(tried >= 17, stdout + stderr);
        // An abstract socket belongs to the network. With the caller's id its control groups can be written, if it has some.
        const open = network === 'host' ? ['an abstract socket'] : [];
        const groups =
          caller.sameId && !/^writable (?!\/sys\/fs\/cgroup\/)/m.test(stdout)
            ? ['/sys', 'control groups']
            : [];
        const found = outs(stdout);
        assert.deepEqual(
          found.filter((way) => ![...open, ...groups].includes(way)),
          [],
          stdout,
        );
        assert.ok(
          open.every((way) => found.includes(way)),
          stdout,
        );
        if (network === 'host') await canaries.expectConnection();
        await canaries.check([stdout, stderr], tried);
      }
    });
  }

  it('are found open where there are none (the control)', async () => {
    const { world, canaries } = scene;
    const [file = '', ...args] = words(`${world.programs}/walls`);
    // In a user namespace of the caller's, so that nothing of the machine is changed by it.
    const { stdout } = await call([
      'unshare',
      '--user',
      '--map-root-user',
      '--mount',
      file,
      ...args.slice(0, -1),
      NO_PROCESS,
    ]);
    const open = outs(stdout);
    for (const way of ['chroot', '/proc/PID/root', 'a path of a socket'])
      assert.ok(open.includes(way), stdout);
    await canaries.expectConnection();
  });

  it('hold where root inside has mounted over /proc', async () => {
    const { world, canaries } = scene;
    const lies = `mount -t tmpfs none /proc && mkdir -p /proc/1 /proc/self /proc/sys/kernel &&
      for name in root cwd exe ns fd; do ln -s ${canaries.folder} /proc/1/$name; ln -s ${canaries.folder} /proc/self/$name; done;
      echo 0 >/proc/sys/kernel/ns_last_pid; ln -s ${canaries.file} /proc/1/environ; ln -s ${canaries.file} /proc/mounts`;
    const requests = [
      ...['open', command(lies), 'command id', `copydown ${world.root}/etc/group /group`],
      ...[
        `copyup /group ${world.folder}/group`,
        `copyup /etc/ ${world.folder}/etc/`,
        command('sleep 100 & echo left'),
      ],
      ...['revert', command(lies), 'command id', 'close', 'quit'],
    ];
    const { status, stdout, stderr } = await world.session(caller, requests, { options: ['--report-leaks'] });
    assert.equal(status, 0, stderr);
    assert.equal(stdout.match(/^ok/gm)?.length, requests.length + 1, stdout + stderr);
    await canaries.check([stdout, stderr], requests.length);
  });
});
