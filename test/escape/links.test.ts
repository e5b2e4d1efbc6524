/**
 * CVE-2025-31133, CVE-2025-52565, CVE-2026-41579, CVE-2026-47766, CVE-2026-55686: root filesystems in which places that get files or
 * mounts are links, and links that are changed meanwhile.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { forEachCaller } from './each.ts';
import { ROUNDS, some } from './tally.ts';
import { command } from './world.ts';

const PLACES = [
  ...['dev', 'dev/null', 'dev/pts', 'dev/console', 'dev/shm', 'proc', 'sys', 'run', 'tmp', 'home', 'root'],
  ...[
    'etc',
    'etc/resolv.conf',
    'etc/hosts',
    'etc/hostname',
    'etc/passwd',
    'etc/group',
    'etc/shadow',
    'etc/environment',
  ],
];
const KINDS = ['absolute', 'relative', 'loop', 'dangling'] as const;
const MODES = ['overlay', 'copy'] as const;
const CASES = PLACES.flatMap((place) =>
  KINDS.flatMap((kind) => MODES.map((mode) => ({ place, kind, mode }))),
);
const REQUESTS = [
  'open',
  command('echo changed >/etc/resolv.conf; echo changed >>/etc/hosts; id'),
  'revert',
  'quit',
];

forEachCaller('a link to the host', ['swap'], (caller, scene) => {
  /** Where a link leads if it is followed on the host. */
  const targetOf = (place: string): string => {
    const { folder } = scene.canaries;
    return place.includes('/') && !/pts|shm/.test(place) ? join(folder, 'resolv.conf') : folder;
  };

  it('in the place of a file or mount is not followed', async () => {
    const { world, canaries } = scene;
    for (const { place, kind, mode } of some(CASES, 3)) {
      const root = world.directory('links-');
      const path = join(root, place);
      world.makeRoot(root);
      rmSync(path, { recursive: true, force: true });
      mkdirSync(dirname(path), { recursive: true });
      const target = targetOf(place);
      const text = {
        absolute: target,
        relative: relative(dirname(path), target),
        loop: path,
        dangling: join(canaries.folder, 'made'),
      }[kind];
      symlinkSync(text, path);
      const { stdout, stderr, status } = await world.session(caller, REQUESTS, {
        options: ['--rootfs', root, '--mode', mode],
      });
      const what = `${place} as ${kind} link, mode ${mode}: ${stdout}${stderr}`;
      // It opens, or fails in sentences.
      assert.ok([0, 1, 2, 16].includes(status), what);
      assert.doesNotMatch(stderr, /^ +at /m, what);
      await canaries.check([stdout, stderr], 1).catch((error: unknown) => {
        throw new Error(what, { cause: error });
      });
      rmSync(root, { recursive: true });
    }
  });

  it('that is exchanged with a directory while open and revert run is not followed', async () => {
    const { world, canaries } = scene;
    for (const { place, mode } of some(
      [
        { place: 'etc', mode: 'overlay' },
        { place: 'etc', mode: 'copy' },
        { place: 'dev', mode: 'overlay' },
        { place: 'run', mode: 'copy' },
      ] as const,
      1,
    )) {
      const root = world.directory('swap-');
      world.makeRoot(root);
      symlinkSync(canaries.folder, join(root, `${place}-link`));
      const swapping = spawn(`${world.programs}/swap`, [join(root, place), join(root, `${place}-link`)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(swapping.stdout, 'data');
      const requests = ['open', ...Array.from({ length: 3 * ROUNDS }, () => 'revert'), 'quit'];
      const { stdout, stderr } = await world.session(caller, requests, {
        options: ['--rootfs', root, '--mode', mode],
      });
      swapping.kill('SIGKILL');
      await once(swapping, 'close');
      assert.doesNotMatch(stderr, /^ +at /m, stderr);
      await canaries.check([stdout, stderr], requests.length);
      rmSync(root, { recursive: true });
    }
  });

  it('is followed by a program that does not take care (the control)', () => {
    const path = join(scene.world.folder, 'careless');
    symlinkSync(join(scene.world.folder, 'target'), path);
    appendFileSync(path, 'changed');
    assert.equal(readFileSync(join(scene.world.folder, 'target'), 'utf8'), 'changed');
    rmSync(path);
    rmSync(join(scene.world.folder, 'target'));
  });

  it('on the way to a mount point of a bind, made by an earlier testbed, is not followed', async () => {
    const { world, canaries } = scene;
    const shared = world.directory('shared-');
    chmodSync(shared, 0o777);
    const bind = ['--bind', shared, '/w'];
    const targets = [canaries.folder, '/', '../../..', relative(shared, canaries.folder)];
    for (const target of some(targets, 1)) {
      await world.run(caller, `rm -rf /w/a; ln -s ${target} /w/a`, { options: bind });
      assert.deepEqual(readdirSync(shared), ['a']);
      for (const inside of some(['/w/a/b/c', '/w/a/sub/made', `/w/a${canaries.folder}/made`], 1)) {
        const { stdout, stderr } = await world.run(caller, 'echo changed >>/w/a/b/c; true', {
          options: [...bind, '--bind', join(world.root, 'etc/group'), inside],
        });
        await canaries.check([stdout, stderr]);
      }
    }
    rmSync(shared, { recursive: true });
  });

  it('in the place of the scratch, which root inside has moved away, is not followed at the end', async () => {
    const { world, canaries } = scene;
    const scratch = world.directory('scratch-');
    const script = `for name in /s/scratch-*; do mv $name /s/moved; ln -s ${canaries.folder} $name; done; ls /s`;
    const { stdout, stderr } = await world.run(caller, script, {
      options: ['--scratch', scratch, '--bind', scratch, '/s'],
    });
    await canaries.check([stdout, stderr]);
    // What root inside has moved away belongs to it.
    await world.run(caller, 'rm -rf /s/*', { options: ['--bind', scratch, '/s'] });
    rmSync(scratch, { recursive: true });
  });

  it('may be the scratch, the working directory and the home of the caller', async () => {
    const { world, canaries } = scene;
    const real = world.directory('real-');
    const link = join(world.folder, 'link');
    symlinkSync(real, link);
    mkdirSync(join(real, 'scratch'));
    const { status, stdout, stderr } = await world.run(caller, 'echo opened', {
      options: ['--scratch', join(link, 'scratch')],
      env: { HOME: link, XDG_CACHE_HOME: join(link, 'cache') },
      cwd: link,
    });
    assert.deepEqual([status, stdout], [0, 'opened\n'], stderr);
    assert.deepEqual(readdirSync(join(real, 'scratch')), []);
    await canaries.check([stdout, stderr], 3);
    rmSync(link);
    rmSync(real, { recursive: true });
  });
});
