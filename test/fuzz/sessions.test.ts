/** Random sessions of the built server with real testbeds. Sizes and seed: test/support/fuzz.ts. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Duplex, type Readable } from 'node:stream';
import fc from 'fast-check';
import { within } from '../../src/wait.ts';
import { makeRoots } from '../race/beds.ts';
import { rounds, seed } from '../support/fuzz.ts';
import { mountsThere } from '../support/left.ts';
import { patience } from '../support/patience.ts';
import { virt } from '../support/program.ts';
import { projectDir } from '../support/rootfs.ts';
import { type Manner, manners, type Request, realSessions, requestsOf } from './real-requests.ts';

const SIDE_BY_SIDE = 2;
const RUNS = rounds({ short: 5, long: 2000 / SIDE_BY_SIDE });
/** Milliseconds for one session. */
const LIMIT = 60_000;

describe(`random sessions with real testbeds (seed ${seed})`, function () {
  this.timeout(0);
  const work = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-sessions-'));
  const folders = { XDG_CACHE_HOME: join(work, 'cache'), TMPDIR: join(work, 'tmp') };
  let roots: ReturnType<typeof makeRoots>;
  let sessions = 0;
  before(() => {
    roots = makeRoots(['busybox']);
    for (const folder of Object.values(folders)) mkdirSync(folder);
  });
  after(async () => {
    await virt(['rootfs', 'prune', '--all'], { env: folders });
    rmSync(work, { recursive: true });
    rmSync(roots.folder, { recursive: true });
  });

  async function check(requests: readonly Request[], manner: Manner, folder: string): Promise<void> {
    for (const { needs } of requests) {
      if (needs === undefined) continue;
      mkdirSync(dirname(needs.path), { recursive: true });
      writeFileSync(needs.path, needs.content);
    }
    const driver = new Driver(['--tarball', roots.tarball('busybox'), '--mode', 'overlay'], folders, manner);
    await driver.send(requests);
    const { status, replies, complaints } = await driver.end();
    const context = `${JSON.stringify(manner)}\n${requests.map(({ line }) => line.slice(0, 200)).join('\n')}\n${complaints}`;
    const expected = ['ok', ...requests.flatMap(({ reply }) => reply ?? [])];
    for (const [index, reply] of replies.entries())
      assert.ok(matches(reply, expected[index]), `${index}: ${reply}\n${context}`);
    for (const line of complaints.split('\n').slice(0, -1))
      assert.match(line, /^virt-ts-unshare: [^:]/, context);
    assert.doesNotMatch(complaints, /internal error/, context);
    const wasCut = driver.wasCut;
    const quits = requests.at(-1)?.line === 'quit';
    const statuses = wasCut === undefined ? [quits ? 0 : 12] : wasCut === 'signal' ? [143, 0, 12] : [0, 12];
    assert.ok(statuses.includes(status), `status ${status}\n${context}`);
    if (status === 0) assert.ok(quits, context);
    // At the end of file without quit, the request under way has one second.
    const least = expected.length - (quits || manner.waits ? 0 : 1);
    if (wasCut === undefined) assert.ok(replies.length >= least, `${replies.length} replies\n${context}`);
    for (const [index, { made }] of requests.entries()) {
      if (made === undefined || replies.length < index + 2) continue;
      assert.ok(readFileSync(made.path).equals(made.content), `${made.path}\n${context}`);
    }
    for (const name of readdirSync(folder)) assert.doesNotMatch(name, /^\./, context);
  }

  it(`${RUNS * SIDE_BY_SIDE} of them`, async () => {
    const before = mountsThere();
    let requests = 0;
    const run = (own: number) =>
      fc.assert(
        fc.asyncProperty(realSessions, manners, async (actions, manner) => {
          const folder = join(work, `s${sessions++}`);
          mkdirSync(folder);
          const list = requestsOf(actions, folder);
          requests += list.length;
          await check(list, manner, folder);
          rmSync(folder, { recursive: true });
        }),
        { numRuns: RUNS, seed: own, endOnFailure: process.env.FUZZ_SHRINK === undefined },
      );
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, (_, index) => run(seed + index)));
    assert.deepEqual(readdirSync(folders.TMPDIR), []);
    assert.deepEqual(left(join(folders.XDG_CACHE_HOME, 'virt-ts-unshare/bases')), []);
    assert.deepEqual(mountsThere(), before);
    console.log(`        ${RUNS * SIDE_BY_SIDE} sessions, ${requests} requests, seed ${seed}`);
  });
});

/** Marks of use that no server has. */
function left(bases: string): string[] {
  return readdirSync(bases)
    .map((base) => join(bases, base, 'users'))
    .filter(existsSync)
    .flatMap((users) => readdirSync(users));
}

function matches(reply: string, expected: string | RegExp | undefined): boolean {
  return expected instanceof RegExp ? expected.test(reply) : reply === expected;
}

class Driver {
  /** How the session was ended from outside. */
  wasCut: 'end of file' | 'signal' | undefined;
  readonly #manner: Manner;
  readonly #reaper: ChildProcess;
  readonly #reaped: Promise<unknown>;
  readonly #texts = { stdout: '', stderr: '', reports: '' };
  #wake = () => {};

  constructor(options: readonly string[], env: Readonly<Record<string, string>>, manner: Manner) {
    this.#manner = manner;
    const words = [
      `${projectDir}test/support/reaper.pl`,
      process.execPath,
      `${projectDir}bin/virt-ts-unshare`,
      ...options,
    ];
    this.#reaper = spawn('perl', words, {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#reaped = once(this.#reaper, 'exit');
    for (const event of ['drain', 'close', 'error']) this.#reaper.stdin?.on(event, () => this.#wake());
    const reports = this.#reaper.stdio[3];
    assert.ok(reports instanceof Duplex);
    this.#read('reports', reports);
    const readsStdout = manner.readsStdout || manner.waits;
    if (readsStdout) this.#read('stdout', this.#reaper.stdout);
    if (manner.readsStderr) this.#read('stderr', this.#reaper.stderr);
    // At once: Node drops what is not read right after the end of a process.
    this.#reaper.once('exit', () => {
      if (!readsStdout) this.#read('stdout', this.#reaper.stdout);
      if (!manner.readsStderr) this.#read('stderr', this.#reaper.stderr);
    });
  }

  #read(name: 'stdout' | 'stderr' | 'reports', stream: Readable | null): void {
    stream?.on('data', (chunk: Buffer) => {
      this.#texts[name] += chunk.toString('latin1');
      this.#wake();
    });
  }

  async send(requests: readonly Request[]): Promise<void> {
    const { waits, cut } = this.#manner;
    const groups = waits ? requests.map((request) => [request]) : [requests];
    let sent = 0;
    let replies = 1;
    for (const group of groups) {
      const text = Buffer.from(group.map(({ line }) => `${line}\n`).join(''), 'latin1');
      const room = cut === null ? text.length : Math.max(0, cut.after - sent);
      await this.#write(text.subarray(0, room));
      sent += text.length;
      if (text.length > room) {
        this.wasCut = cut?.signal === true ? 'signal' : 'end of file';
        if (this.wasCut === 'signal') await this.#kill();
        break;
      }
      replies += group.filter(({ reply }) => reply !== undefined).length;
      if (waits) await this.#untilThere(() => this.#texts.stdout.split('\n').length > replies);
    }
    this.#reaper.stdin?.end();
  }

  async #write(text: Buffer): Promise<void> {
    let rest = text;
    for (const size of [...this.#manner.pieces, rest.length]) {
      const piece = rest.subarray(0, size);
      rest = rest.subarray(size);
      if (piece.length > 0 && this.#reaper.stdin?.write(piece) === false)
        await this.#untilThere(() => this.#reaper.stdin?.writableNeedDrain !== true);
      await new Promise(setImmediate);
    }
  }

  /** Resolves also when the server has ended. */
  async #untilThere(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#texts.reports.includes('ended')) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #kill(): Promise<void> {
    await this.#untilThere(() => this.#texts.reports.includes('\n'));
    const pid = Number(/^started (\d+)/.exec(this.#texts.reports)?.[1]);
    process.kill(pid, 'SIGTERM');
  }

  async end(): Promise<{ status: number; replies: string[]; complaints: string }> {
    if (!(await within(this.#reaped, patience(LIMIT)))) {
      const why = `no end: ${JSON.stringify(this.#manner)}, ${this.#texts.reports}, ${this.#texts.stdout}, ${this.#texts.stderr}`;
      process.kill(Number(/^started (\d+)/.exec(this.#texts.reports)?.[1]), 'SIGKILL');
      throw new Error(why);
    }
    await Promise.all(
      [this.#reaper.stdout, this.#reaper.stderr].map((stream) =>
        stream?.closed === true ? undefined : stream && once(stream, 'close'),
      ),
    );
    const status = Number(/ended (\d+)/.exec(this.#texts.reports)?.[1]);
    return { status, replies: this.#texts.stdout.split('\n').slice(0, -1), complaints: this.#texts.stderr };
  }
}
