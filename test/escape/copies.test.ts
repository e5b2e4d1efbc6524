/** CVE-2018-15664, CVE-2019-14271: links that are exchanged while a copy runs, and programs and libraries of the image that lie in wait. */
import assert from 'node:assert/strict';
import { cpSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { forEachCaller } from './each.ts';
import { ROUNDS } from './tally.ts';
import { command } from './world.ts';

forEachCaller('a copy', ['swap', 'liar', 'liar.so'], (caller, scene) => {
  it('reaches nothing of the host while root inside exchanges a directory and a link', async () => {
    const { world, canaries } = scene;
    const target = world.directory('copies-');
    mkdirSync(join(target, 'down'));
    writeFileSync(join(target, 'down/file'), 'from the host\n');
    const copies = Array.from({ length: 3 * ROUNDS }, (_, n) => [
      `copyup /race/way/file ${target}/file${n}`,
      `copyup /race/way/ ${target}/tree${n}/`,
      `copydown ${target}/down/file /race/way/file`,
      `copydown ${target}/down/ /race/way/`,
    ]).flat();
    const requests = [
      'open',
      command(
        `mkdir -p /race/way /race/dir; echo inside >/race/way/file; ln -s ${canaries.folder} /race/link
         /attacks/swap /race/way /race/link /stop >/swaps 2>&1 </dev/null & until [ -s /swaps ]; do :; done`,
      ),
      ...copies,
      command('touch /stop; until grep -q swaps /swaps; do :; done'),
      'quit',
    ];
    const { status, stdout, stderr } = await world.session(caller, requests);
    assert.equal(status, 0, stderr);
    assert.equal(stdout.match(/^(ok|copy-failed)/gm)?.length, requests.length + 1, stdout + stderr);
    for (const name of readdirSync(target, { recursive: true, encoding: 'utf8' })) {
      const path = join(target, name);
      assert.ok(!lstatSync(path).isFile() || lstatSync(path).size < 20, `${name} is no file of the testbed`);
    }
    await canaries.check([stdout, stderr], copies.length);
    rmSync(target, { recursive: true });
  });

  it('executes no program and loads no library of the image on the host', async () => {
    const { world, canaries } = scene;
    const root = world.directory('liar-');
    world.makeRoot(root);
    for (const program of ['tar', 'cp', 'cat', 'sh']) {
      rmSync(join(root, 'bin', program));
      cpSync(join(world.programs, 'liar'), join(root, 'bin', program));
    }
    // What a program that calls getpwnam(3) or dlopen(3) after chroot(2) would load.
    for (const folder of ['lib', 'lib64', 'usr/lib', 'lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu']) {
      mkdirSync(join(root, folder), { recursive: true });
      for (const library of ['libc.so.6', 'libnss_files.so.2', 'libnss_compat.so.2', 'liar.so']) {
        cpSync(join(world.programs, 'liar.so'), join(root, folder, library));
      }
    }
    writeFileSync(join(root, 'etc/ld.so.preload'), '/lib/liar.so\n');
    writeFileSync(join(root, 'etc/nsswitch.conf'), 'passwd: files\n');
    writeFileSync(join(root, 'etc/liar'), `${canaries.file}\n`);
    symlinkSync('/lib', join(root, 'sbin'));
    const target = join(world.folder, 'lies');
    const requests = [
      'open',
      'command id user=root',
      'command sh,-c,true',
      `copyup /etc/passwd ${target}`,
      `copyup /etc/ ${target}-tree/`,
      `copydown ${world.root}/etc/ /copied/`,
      'revert',
      'quit',
    ];
    const { stdout, stderr } = await world.session(caller, requests, { options: ['--rootfs', root] });
    // The liar runs, inside: pid 1 is one.
    assert.match(stderr, /^lied in a testbed$/m, stdout + stderr);
    assert.doesNotMatch(stderr, /^lied on the host$/m);
    await canaries.check([stdout, stderr], requests.length);
    for (const left of [target, `${target}-tree`, root]) rmSync(left, { recursive: true, force: true });
  });
});
