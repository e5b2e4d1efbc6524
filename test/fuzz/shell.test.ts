/**
 * Random shell programs in testbeds where /bin/sh is dash, bash or busybox: each output arrives complete, the status is right, and the
 * processes that must live on do. Half of the long form runs beside processes that use the processors. Sizes and seed:
 * test/support/fuzz.ts.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import fc from 'fast-check';
import { makeRoots, RaceBed } from '../race/beds.ts';
import { outputs, run, sleepingOnes } from '../race/runner.ts';
import { rounds, seed } from '../support/fuzz.ts';
import { bytesOf, type Compiled, compile, programs } from './programs.ts';

const SHELLS = ['dash', 'bash', 'busybox'] as const;
/** Of each shell, idle and loaded. */
const RUNS = rounds({ short: 5, long: Math.ceil(10_000 / SHELLS.length / 2) });
/** Milliseconds after which a program hangs. */
const LIMIT = 60_000;

describe(`random shell programs (seed ${seed})`, function () {
  this.timeout(0);
  let roots: ReturnType<typeof makeRoots>;
  const hogs: ChildProcess[] = [];
  let folders = 0;
  /** Programs that the shell itself did not carry out. */
  let interrupted = 0;
  before(() => {
    roots = makeRoots(SHELLS);
  });
  after(() => {
    for (const hog of hogs) hog.kill('SIGKILL');
    rmSync(roots.folder, { recursive: true });
  });

  /** What is wrong with a run of a program. */
  async function faults(
    bed: RaceBed,
    { script, status, texts, uncertain, alive }: Compiled,
  ): Promise<string[]> {
    folders += 1;
    const folder = `/tmp/fuzz-${folders}`;
    const output = outputs[folders % outputs.length] ?? 'pipe';
    const words = ['sh', '-c', `mkdir "$1"\n${script}`, 'program', folder];
    const outcome = await run([...bed.execute(10), ...words], output, LIMIT, 'latin1');
    if (/can't (create|open) .*: Interrupted system call/.test(outcome.stderr)) {
      // busybox gives up to open a FIFO when a child ends meanwhile.
      interrupted += 1;
      await bed.endSleeping();
      return [];
    }
    const found: string[] = [];
    if (outcome.status === undefined) found.push(`no end after ${LIMIT / 1000} s`);
    else if (outcome.status !== status) found.push(`status ${outcome.status}, not ${status}`);
    for (const [sink, parts] of texts) {
      const isOutput = sink === 'stdout' || sink === 'stderr';
      const text = isOutput ? outcome[sink] : ((await bed.read(`${folder}/${sink}`, 'latin1')) ?? '');
      found.push(...wrongBytes(sink, text, parts, uncertain.has(sink)));
    }
    const left = (await sleepingOnes(bed, alive.length)).sort((a, b) => a - b);
    if (left.join() !== alive.join()) found.push(`processes left: ${left.join()}, not ${alive.join()}`);
    if (left.length > 0) await bed.endSleeping();
    return found.map((fault) => `${output}: ${fault}`);
  }

  for (const [row, load] of (['idle', 'loaded'] as const).entries()) {
    for (const [column, shell] of SHELLS.entries()) {
      const own = seed + row * SHELLS.length + column;
      it(`${RUNS} in ${shell}, ${load}`, async () => {
        const wanted = load === 'idle' ? 0 : 2 * availableParallelism();
        while (hogs.length < wanted)
          hogs.push(spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
        const bed = await RaceBed.open(roots.tarball(shell));
        let bytes = 0;
        interrupted = 0;
        try {
          await fc.assert(
            fc.asyncProperty(programs, async (program) => {
              const compiled = compile(program, shell);
              for (const parts of compiled.texts.values()) for (const part of parts) bytes += part.length;
              const found = await faults(bed, compiled);
              assert.deepEqual(found, [], `${compiled.script}\n${found.join('\n')}`);
            }),
            // A fault that depends on timing cannot be made smaller.
            { ...{ numRuns: RUNS, seed: own }, endOnFailure: process.env.FUZZ_SHRINK === undefined },
          );
        } finally {
          await bed.dispose();
        }
        console.log(
          `        ${RUNS} programs, ${(bytes / 2 ** 20).toFixed(1)} MiB of output, ${interrupted} given up by busybox, seed ${own}`,
        );
      });
    }
  }
});

/** What an output has too much or too little of. */
function wrongBytes(sink: string, text: string, parts: readonly string[], mayHaveMore: boolean): string[] {
  const expected = parts.reduce((sum, { length }) => sum + length, 0);
  const wrong = parts.flatMap((part) => {
    const seen = bytesOf(text, part);
    return seen === part ? [] : [`${sink}: ${seen.length} instead of ${part.length} bytes of a source`];
  });
  if (wrong.length === 0 && !mayHaveMore && text.length !== expected) {
    wrong.push(
      `${sink}: ${text.length - expected} bytes that no source wrote: ${JSON.stringify(text.slice(0, 300))}`,
    );
  }
  return wrong;
}
