/** What happens where the kernel lacks a system call: a testbed that works, or one sentence; and nothing is left. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { makeRoots } from '../race/beds.ts';
import { rounds } from '../support/fuzz.ts';
import { ended } from '../support/program.ts';
import { projectDir } from '../support/rootfs.ts';
import { skip } from '../support/skip.ts';

/** Numbers that all architectures share. */
const CALLS = {
  close_range: 436,
  clone3: 435,
  openat2: 437,
  mount_setattr: 442,
  pidfd_open: 434,
  pidfd_send_signal: 424,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
} as const;

/** The execute program reports for itself. */
const SENTENCE = /^(virt-ts-unshare: cannot run a command [^\n]+\n)?virt-ts-unshare: [^\n]+; [^\n]+\n$/;

const REQUESTS =
  'open\ncommand sh,-c,exit%207\ncopydown /etc/hostname /tmp/x\nrevert\ncommand true\nclose\nquit\n';

describe('a kernel without', function () {
  this.timeout('2m');
  let roots: ReturnType<typeof makeRoots>;
  const results: string[] = [];
  before(function () {
    if (process.getuid?.() !== 0) skip(this, 'an ordinary user with a filter cannot use newuidmap');
    roots = makeRoots(['busybox']);
  });
  after(() => {
    if (roots !== undefined) rmSync(roots.folder, { recursive: true });
    console.log(`        ${results.join('\n        ')}`);
  });

  for (const [name, number] of Object.entries(CALLS).slice(0, rounds({ short: 5, long: 99 }))) {
    it(`${name}: a testbed that works, or one sentence`, async () => {
      const server = [
        process.execPath,
        `${projectDir}bin/virt-ts-unshare`,
        '--tarball',
        roots.tarball('busybox'),
      ];
      const argv = [
        `${projectDir}test/support/reaper.pl`,
        'perl',
        `${projectDir}test/fuzz/without-calls.pl`,
        `${number}`,
        ...server,
      ];
      const child = spawn('perl', argv, { stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
      const exit = once(child, 'exit');
      child.stdin?.end(REQUESTS);
      const { stdout, stderr } = await ended(child);
      // The reaper ends with the last process.
      await exit;
      results.push(`${name}: ${stdout.endsWith('ok\n') && stderr === '' ? 'works' : stderr.trim()}`);
      assert.doesNotMatch(stderr, /internal| {4}at /);
      if (stderr === '') assert.match(stdout, /^ok\nok \S+\nok 7\nok\nok \S+\nok 0\nok\nok\n$/);
      else assert.match(stderr, SENTENCE);
    });
  }
});
