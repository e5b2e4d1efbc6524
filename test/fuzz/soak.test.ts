/**
 * Very many rounds in one server, many servers in a row, and many at once with random kills: what they use stays flat. The long form is
 * `npm run soak`; FUZZ is the part of it, FUZZ_SEED the seed (test/support/fuzz.ts).
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeRoots } from '../race/beds.ts';
import { rounds, seed } from '../support/fuzz.ts';
import { mountsThere } from '../support/left.ts';
import { patience } from '../support/patience.ts';
import { virt } from '../support/program.ts';
import { randomFrom } from '../support/random.ts';
import { Server } from '../support/server.ts';

const ROUNDS = rounds({ short: 6, long: 5000 });
const SERVERS = rounds({ short: 2, long: 500 });
const AT_ONCE = process.env.FUZZ ? 20 : 2;
const SECONDS = rounds({ short: 2, long: 600 });

/** What a server uses, at one moment. */
interface Use {
  readonly memory: number;
  readonly descriptors: number;
  readonly processes: number;
  readonly mounts: number;
  readonly milliseconds: number;
  /** Time of processors, which other work on the machine changes less than the time that passes. */
  readonly processor: number;
}

/** Of the server and of the holder, which make all that a round needs. */
interface Moment extends Omit<Use, 'milliseconds' | 'processor'> {
  /** Milliseconds so far, with those of ended children. */
  readonly spent: number;
}

describe(`soak (seed ${seed})`, function () {
  this.timeout(0);
  const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-soak-'));
  const folders = { XDG_CACHE_HOME: join(work, 'cache'), TMPDIR: join(work, 'tmp') };
  // V8 enlarges the space of young objects in steps, up to 48 MiB, which looks as if memory leaked.
  const env = { ...folders, NODE_OPTIONS: '--max-semi-space-size=1' };
  let roots: ReturnType<typeof makeRoots>;
  before(async () => {
    roots = makeRoots(['busybox']);
    for (const folder of [...Object.values(folders), join(work, 'tree')]) mkdirSync(folder);
    for (let i = 0; i < 20; i += 1) writeFileSync(join(work, 'tree', `${i}`), 'x'.repeat(i * 1000));
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--all'], { env: folders });
    rmSync(work, { recursive: true });
    rmSync(roots.folder, { recursive: true });
  });

  const start = () => Server.start({ argv: ['--tarball', roots.tarball('busybox')], env });
  const requests = (name: string) => [
    'open',
    'command sh,-c,echo%20x%20%3E/tmp/f%3B%20sleep%20100%20%26%20exit%203',
    `copydown ${work}/tree/ /tmp/tree/`,
    `copyup /tmp/tree/ ${work}/${name}/`,
    'snapshot',
    'command rm,/tmp/f',
    'revert',
    'command test,-e,/tmp/f',
    'close',
  ];

  async function round(server: Server, name: string): Promise<void> {
    for (const request of requests(name)) await server.ask(request);
    rmSync(join(work, name), { recursive: true });
  }

  const filesInCache = () => readdirSync(folders.XDG_CACHE_HOME, { recursive: true }).length;

  it(`${ROUNDS} rounds in one server`, async () => {
    const server = start();
    await server.reply();
    const pid = await server.pid;
    const uses: Use[] = [];
    let before = 0;
    for (let i = 0; i < ROUNDS; i += 1) {
      const begin = performance.now();
      await round(server, 'rounds');
      const milliseconds = performance.now() - begin;
      const { spent, ...use } = momentOf(pid, server);
      uses.push({ ...use, milliseconds, processor: spent - before });
      before = spent;
    }
    await server.ask('quit');
    assert.equal(await server.ended, 0);
    const part = Math.max(2, Math.floor(ROUNDS / 10));
    const first = average(uses.slice(Math.min(2, ROUNDS - part), part + 2));
    const last = average(uses.slice(-part));
    console.log(`        first ${part}: ${shown(first)}\n        last ${part}: ${shown(last)}`);
    assert.ok(Math.abs(last.descriptors - first.descriptors) <= 1, 'descriptors');
    assert.ok(Math.abs(last.processes - first.processes) <= 0.5, 'processes');
    assert.ok(Math.abs(last.mounts - first.mounts) <= 1, 'mounts of the holder');
    assert.ok(last.memory < first.memory * 1.3 + 20, 'memory');
    // The kernel counts in ticks of 10 ms.
    if (ROUNDS >= 100) assert.ok(last.processor < first.processor * 1.5, 'time of processors');
  });

  it(`${SERVERS} servers in a row`, async () => {
    const mounts = mountsThere();
    let files: number | undefined;
    for (let i = 0; i < SERVERS; i += 1) {
      const server = start();
      await server.reply();
      await round(server, 'row');
      await server.ask('quit');
      assert.equal(await server.ended, 0);
      assert.deepEqual(await server.leftAfter(patience(2000)), []);
      files ??= filesInCache();
    }
    assert.ok(Math.abs(filesInCache() - (files ?? 0)) <= 1, 'the cache grows');
    assert.deepEqual(readdirSync(folders.TMPDIR), []);
    assert.deepEqual(mountsThere(), mounts);
  });

  it(`${AT_ONCE} servers at once for ${SECONDS} s, killed at random`, async () => {
    const mounts = mountsThere();
    const end = performance.now() + SECONDS * 1000;
    let [kills, sessions] = [0, 0];
    const live = async (index: number): Promise<void> => {
      const random = randomFrom(seed + index);
      while (performance.now() < end) {
        sessions += 1;
        const server = start();
        const isKilled = random() < 0.5;
        const work = (async () => {
          await server.reply();
          for (;;) await round(server, `at-once-${index}`);
        })().catch((error: unknown) => error);
        await delay(random() * 2000);
        if (isKilled) {
          kills += 1;
          await server.kill(random() < 0.5 ? 'SIGKILL' : 'SIGTERM');
        } else server.endOfFile();
        await server.ended;
        assert.deepEqual(await server.leftAfter(patience(5000)), []);
        assert.doesNotMatch(server.complaints, /internal error/);
        await work;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => live(index)));
    console.log(`        ${sessions} sessions, ${kills} of them killed, seed ${seed}`);
    // The next one removes what SIGKILL could leave.
    const server = start();
    await server.reply();
    await server.ask('open');
    await server.ask('quit');
    assert.equal(await server.ended, 0);
    assert.deepEqual(mountsThere(), mounts);
  });
});

/** utime, stime, cutime, cstime of proc_pid_stat(5), in milliseconds. */
function spentBy(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

function momentOf(pid: number, server: Server): Moment {
  const holder = server.running().find((line) => line.includes('virt-ts-unshare holder'));
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return {
    memory: Number(kilobytes) / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    processes: server.running().length,
    mounts:
      holder === undefined
        ? 0
        : readFileSync(`/proc/${Number.parseInt(holder, 10)}/mountinfo`, 'utf8').split('\n').length,
    spent: spentBy(pid) + (holder === undefined ? 0 : spentBy(Number.parseInt(holder, 10))),
  };
}

function average(uses: readonly Use[]): Use {
  const of = (name: keyof Use) => uses.reduce((sum, use) => sum + use[name], 0) / uses.length;
  return {
    memory: of('memory'),
    descriptors: of('descriptors'),
    processes: of('processes'),
    mounts: of('mounts'),
    milliseconds: of('milliseconds'),
    processor: of('processor'),
  };
}

function shown({ memory, descriptors, processes, mounts, milliseconds, processor }: Use): string {
  return `${memory.toFixed(1)} MiB, ${descriptors.toFixed(1)} descriptors, ${processes.toFixed(1)} processes, ${mounts.toFixed(1)} mounts of the holder, ${milliseconds.toFixed(0)} ms a round, ${processor.toFixed(0)} ms of processors`;
}
