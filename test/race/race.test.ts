/**
 * The race suite: what a command has written is whole when it returns, and what it leaves does not keep it from returning.
 * RACE_ROUNDS: how often each case runs (default 2; npm run race: 500); RACE_HOGS: processes that do nothing but use a processor
 * (default 0); RACE_SHELLS: which /bin/sh (default all), or arm64, for busybox in qemu, with a tenth of the rounds; RACE_PEER_ROUNDS: how often the peer runs each case, whose results are
 * printed beside ours (default 0; npm run race: 50).
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { makeRoots, RaceBed, type Shell, shells } from './beds.ts';
import { type Case, cases } from './cases.ts';
import { PEER, PeerBed } from './peer.ts';
import { type Bed, outputs, run, runCase } from './runner.ts';
import { Tally, table } from './tally.ts';

const rounds = Number(process.env.RACE_ROUNDS ?? 2);
const peerRounds = Number(process.env.RACE_PEER_ROUNDS ?? 0);
/** Milliseconds after which the peer's command is ended; none of its cases has anything to wait for so long. */
const PEER_LIMIT = 15_000;
/** How many testbeds share the rounds of a case that mostly waits. */
const SIDE_BY_SIDE = 8;
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
  // What goes wrong once in a while is what is looked for.
  this.retries(0);
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

  for (const shell of shells.filter((each) => wanted.includes(each))) {
    describe(`where /bin/sh is ${shell}`, () => {
      let bed: RaceBed;
      const chosen = cases.filter(({ needs }) => needs === undefined || needs === shell);
      const tally = new Tally();
      const times = shell === 'arm64' ? Math.ceil(rounds / 10) : rounds;
      before(async () => {
        bed = await RaceBed.open(roots.tarball(shell));
      });
      after(async () => {
        await bed.dispose();
        if (peerRounds === 0) return;
        const peer = await peerTally(roots.tarball(shell), chosen);
        const columns = [
          { title: 'virt-ts-unshare', tally },
          { title: PEER, tally: peer },
        ];
        console.log(`\nwhere /bin/sh is ${shell}\n${table(columns)}\n`);
      });

      for (const one of chosen) {
        it(one.name, async () => {
          const more = one.waits === true ? Math.min(times, SIDE_BY_SIDE) - 1 : 0;
          const others = await Promise.all(
            Array.from({ length: more }, () => RaceBed.open(roots.tarball(shell))),
          );
          const seen = await runRounds(one, [bed, ...others], times, tally);
          for (const other of others) await other.dispose();
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

/** Runs a case again and again in each of the testbeds, to each kind of output in turn, and gives what was wrong. */
async function runRounds(
  one: Case,
  beds: readonly Bed[],
  times: number,
  tally: Tally,
  limit?: number,
): Promise<string[]> {
  const seen: string[] = [];
  let next = 0;
  const run = async (bed: Bed) => {
    for (let round = next++; round < times; round = next++) {
      const output = outputs[round % outputs.length] ?? 'pipe';
      const outcome = await runCase(one, bed, output, limit);
      tally.add(one.name, outcome);
      for (const [fault, what] of outcome.faults) seen.push(`round ${round}, ${output}: ${fault}: ${what}`);
    }
  };
  await Promise.all(beds.map(run));
  return seen;
}

/** What the peer makes of the cases, or why it cannot be asked. */
async function peerTally(tarball: string, chosen: readonly Case[]): Promise<Tally | string> {
  const bed = await PeerBed.open(tarball);
  if (typeof bed === 'string') return bed;
  const tally = new Tally();
  try {
    for (const one of chosen) await runRounds(one, [bed], peerRounds, tally, PEER_LIMIT);
    return tally;
  } finally {
    await bed.dispose();
  }
}

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
    // qemu uses some real-time signals itself, and has a message of its own where a program would dump its core.
    const dumping = [3, 4, 5, 6, 7, 8, 11];
    const own = (signal: number) => shell !== 'arm64' || (signal < 32 && !dumping.includes(signal));
    for (const signal of terminating().filter(own)) {
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
