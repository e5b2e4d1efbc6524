/**
 * The race suite, `npm run race`. Not among the checks of `npm test`: on a loaded machine the root filesystems with mksh and
 * bash sometimes do not start. RACE_ROUNDS: how often each case runs (default 2); RACE_HOGS: processes that do nothing but use a
 * processor (default 0); RACE_SHELLS: which /bin/sh (default all).
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { makeRoots, RaceBed, type Shell, shells } from './beds.ts';
import { cases } from './cases.ts';
import { outputs, run, runCase } from './runner.ts';

const rounds = Number(process.env.RACE_ROUNDS ?? 2);
const wanted = (process.env.RACE_SHELLS ?? shells.join()).split(',');

/** Signals that end a process when it does nothing about them, without those that it would inherit as ignored. */
function terminating(): number[] {
  const ignored = BigInt(`0x${/^SigIgn:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`);
  return Array.from({ length: 64 }, (_, index) => index + 1).filter(
    (number) =>
      // CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH do not; 32 and 33 are the C library's own.
      ![17, 18, 19, 20, 21, 22, 23, 28, 32, 33].includes(number) && !((ignored >> BigInt(number - 1)) & 1n),
  );
}

describe('the end of a command', function () {
  this.timeout(0);
  let roots: ReturnType<typeof makeRoots>;
  const hogs: ChildProcess[] = [];
  before(() => {
    roots = makeRoots();
    for (let hog = 0; hog < Number(process.env.RACE_HOGS ?? 0); hog++) {
      hogs.push(spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' }));
    }
  });
  after(() => {
    for (const hog of hogs) hog.kill('SIGKILL');
    rmSync(roots.folder, { recursive: true });
  });

  for (const shell of shells.filter((name) => wanted.includes(name))) {
    describe(`where /bin/sh is ${shell}`, () => {
      let bed: RaceBed;
      before(async () => {
        bed = await RaceBed.open(roots.tarball(shell));
      });
      after(() => bed.dispose());

      for (const one of cases) {
        if (one.needs !== undefined && one.needs !== shell) continue;
        it(one.name, async () => {
          const seen: string[] = [];
          for (let round = 0; round < rounds; round++) {
            const output = outputs[round % outputs.length] ?? 'pipe';
            const { faults } = await runCase(one, bed, output);
            for (const [fault, what] of faults) seen.push(`round ${round}, ${output}: ${fault}: ${what}`);
          }
          assert.deepEqual(seen, []);
        });
      }

      it('leaves no zombie', async () => {
        await run([...bed.execute(10), 'sh', '-c', '(sleep 0.01 & sleep 0.02 &) >/dev/null 2>&1'], 'socket');
        assert.deepEqual(await settled(bed), ['S', 'S']);
      });
      statuses(shell, () => bed);
    });
  }
});

/** States of all processes once there are but two, pid 1 and its reader. */
async function settled(bed: RaceBed): Promise<string[]> {
  const end = performance.now() + 10_000;
  for (;;) {
    const states = bed.processes().map(({ state }) => state);
    if (states.length === 2 || performance.now() > end) return states;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function statuses(shell: Shell, bed: () => RaceBed): void {
  it('brings back exit 0 to 255', async () => {
    const wrong: string[] = [];
    for (let status = 0; status < 256; status++) {
      const outcome = await run([...bed().execute(10), 'sh', '-c', `exit ${status}`], 'socket');
      const expected = status > 253 ? 253 : status;
      if (outcome.status !== expected || outcome.stderr !== '') {
        wrong.push(`${status}: ${outcome.status} ${outcome.stderr}`);
      }
    }
    assert.deepEqual(wrong, []);
  });

  it('brings back death by every signal, without a word', async () => {
    const wrong: string[] = [];
    for (const signal of terminating()) {
      // Not the shell itself: some catch or ignore what would end them.
      const words = ['sh', '-c', `(sleep 0.02; kill -${signal} $$) >/dev/null 2>&1 & exec sleep 9`];
      const outcome = await run([...bed().execute(10), ...words], 'socket');
      if (outcome.status !== 128 + signal || outcome.stderr !== '') {
        wrong.push(`${shell} ${signal}: ${outcome.status} ${outcome.stderr}`);
      }
    }
    assert.deepEqual(wrong, []);
  });
}
