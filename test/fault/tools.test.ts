/**
 * Each program of the host that a session starts fails, hangs, is slow, prints rubbish or is killed: a directory that is first on PATH has
 * another one of its name. Each session ends with a sentence or works, and leaves nothing. FAULT_ROUNDS: with 100 or more every way is
 * tried for each program, else one way for some of them, by FAULT_SEED.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from '../../src/wait.ts';
import { makeRoots } from '../race/beds.ts';
import { patience } from '../support/patience.ts';
import { call, virt } from '../support/program.ts';
import { randomFrom } from '../support/random.ts';
import { Server } from '../support/server.ts';

const THOROUGH = Number(process.env.FAULT_ROUNDS ?? 26) >= 100;
const SEED = Number(process.env.FAULT_SEED ?? Date.now() % 1_000_000);

const WAYS = {
  'fails without a word': 'exit 3',
  'fails with many words': 'seq 100000 >&2; printf "\\033[2J" >&2; exit 1',
  'prints rubbish and succeeds': 'head -c 100000 /dev/urandom; exit 0',
  'is killed': 'kill -9 $$',
  'is slow': 'sleep 2; exec "$REAL" "$@"',
  hangs: 'exec sleep 1000',
} as const;

/** What a session starts: a tarball that zstd compressed, a scratch on disk, a copy of a tree, and a network. */
const TOOLS = [
  'tar',
  'zstd',
  'flock',
  'cp',
  'find',
  'chown',
  'mkdir',
  'rm',
  'ip',
  'newuidmap',
  'newgidmap',
] as const;

describe(`programs of the host that fail (seed ${SEED})`, function () {
  this.timeout('10m');
  const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-tools-'));
  const tree = join(work, 'tree');
  let roots: ReturnType<typeof makeRoots>;
  let tarball = '';
  let tried = 0;
  before(async () => {
    roots = makeRoots(['busybox']);
    tarball = join(work, 'root.tar.zst');
    await call(['zstd', '-q', roots.tarball('busybox'), '-o', tarball]);
    mkdirSync(join(tree, 'a'), { recursive: true });
    writeFileSync(join(tree, 'a/file'), 'x'.repeat(100_000));
  });
  after(() => {
    rmSync(work, { recursive: true });
    rmSync(roots.folder, { recursive: true });
    console.log(`        ${tried} sessions, seed ${SEED}`);
  });

  /** A directory for PATH in which one program behaves in this way. */
  async function broken(tool: string, script: string, folder: string): Promise<string> {
    const { stdout } = await call(['sh', '-c', `command -v ${tool}`]);
    mkdirSync(folder);
    writeFileSync(
      join(folder, tool),
      `#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin REAL=${stdout.trim()}\n${script}\n`,
    );
    chmodSync(join(folder, tool), 0o755);
    return folder;
  }

  async function check(tool: string, way: keyof typeof WAYS): Promise<void> {
    tried += 1;
    const folder = mkdtempSync(join(work, 'case-'));
    const [cache, tmp, scratch] = ['cache', 'tmp', 'scratch'].map((name) => join(folder, name));
    assert.ok(cache !== undefined && tmp !== undefined && scratch !== undefined);
    for (const each of [cache, tmp, scratch]) mkdirSync(each);
    const path = await broken(tool, WAYS[way], join(folder, 'bin'));
    const env = { XDG_CACHE_HOME: cache, TMPDIR: tmp };
    const argv = ['--tarball', tarball, '--scratch', scratch, '--mode=copy', '--network=none'];
    const server = Server.start({ argv, env: { ...env, PATH: `${path}:${process.env.PATH}` } });
    for (const request of [
      'open',
      `copydown ${tree}/ /tmp/tree/`,
      `copyup /tmp/tree/ ${folder}/out/`,
      'revert',
      'close',
      'quit',
    ]) {
      server.send(request);
    }
    // One that hangs is hung for ever: then a signal must end the session.
    const ended = await within(server.ended, way === 'hangs' ? 4000 : patience(60_000));
    if (!ended) await server.kill('SIGTERM');
    assert.ok(ended || way === 'hangs', `${tool} ${way}: no end`);
    const status = await server.ended;
    assert.deepEqual(await server.leftAfter(patience(5000)), [], `${tool} ${way}`);
    const complaints = server.complaints;
    const context = `${tool} ${way}: status ${status}\n${complaints}`;
    assert.ok([0, 2, 12, 143].includes(status), context);
    assert.doesNotMatch(complaints, /internal error|\n {4}at /, context);
    if (status === 12) assert.match(complaints, /^virt-ts-unshare: [^\n]*[^\s:;]\n/m, context);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they could control a terminal
    assert.doesNotMatch(complaints, /[\x00-\x08\x0b-\x1f\x7f]/, context);
    assert.deepEqual(readdirSync(tmp), [], context);
    // With the real program it works again, in the same cache.
    if (THOROUGH || way === 'is killed') {
      const { status: again, stderr } = await virt(argv, { env, input: 'open\nquit\n' });
      assert.equal(again, 0, `${context}\nthen: ${stderr}`);
    }
    await virt(['rootfs', 'prune', '--all'], { env });
    rmSync(folder, { recursive: true, force: true });
  }

  const random = randomFrom(SEED);
  const chosen = THOROUGH ? TOOLS : TOOLS.filter((_, index) => index % 4 === SEED % 4);
  for (const tool of chosen) {
    const ways = Object.keys(WAYS) as (keyof typeof WAYS)[];
    const some = THOROUGH ? ways : ways.slice(Math.floor(random() * ways.length)).slice(0, 1);
    for (const way of some) it(`${tool} ${way}`, () => check(tool, way));
  }
});
