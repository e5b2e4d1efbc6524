/** Random sessions against parser and state machine, with a testbed that does nothing. Sizes and seed: test/support/fuzz.ts. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import type { Log } from '../../../src/log.ts';
import { serve } from '../../../src/protocol/server.ts';
import { Snapshot } from '../../../src/testbed/snapshot.ts';
import type { OpenTestbed, RunOptions } from '../../../src/testbed/types.ts';
import { parameters, rounds, seed } from '../../support/fuzz.ts';
import { type Call, expected, FOLDER, type Step, sessions } from './requests.ts';

const RUNS = rounds({ short: 600, long: 100_000 });

/** Does what the calls say, in this order, and notes what it was asked. */
class Puppet {
  readonly asked: string[] = [];
  closes = 0;
  opens = 0;
  disposed = 0;
  readonly #calls: Call[];

  constructor(calls: readonly Call[]) {
    this.#calls = [...calls];
  }

  readonly provider = {
    normalUser: async () => 'user',
    startsServices: async () => true,
    open: async () => {
      this.#perform('open', []);
      this.opens += 1;
      return this.testbed;
    },
    dispose: async () => {
      this.disposed += 1;
    },
  };

  readonly testbed: OpenTestbed = {
    scratchDirectory: '/tmp/scratch dir',
    executeCommand: ['/x/execute.sh', 'a,b', '%'],
    pid: 4242,
    ended: new Promise<void>(() => {}),
    run: async (argv, options) => {
      const { status } = this.#perform('run', [argv, optionsOf(options)]);
      return { status };
    },
    copyIn: async (from, to) => void this.#perform('copyIn', [from.toString('hex'), to.toString('hex')]),
    copyOut: async (from, to) => void this.#perform('copyOut', [from.toString('hex'), to.toString('hex')]),
    revert: async () => void this.#perform('revert', []),
    reboot: async () => void this.#perform('reboot', []),
    snapshot: async () => {
      this.#perform('snapshot', []);
      return Object.assign(Object.create(Snapshot.prototype), { dispose: async () => {} });
    },
    close: async () => {
      this.closes += 1;
      const [next] = this.#calls;
      // The end of the session closes it too.
      if (next?.method === 'close') this.#perform('close', []);
    },
    leaks: async () => [],
    attach: async () => ({ status: 0 }),
    shell: async () => 0,
    commit: async () => '',
  };

  #perform(method: Call['method'], args: readonly unknown[]): { readonly status: number } {
    const call = this.#calls.shift();
    this.asked.push(`${method} ${JSON.stringify(args)}`);
    if (call?.failure !== undefined) throw call.failure;
    return { status: Number(call?.answer ?? 0) };
  }
}

function optionsOf({ cwd, user, timeout, env = {}, ...files }: RunOptions = {}) {
  const { stdin, stdout, stderr } = files;
  const given = [stdin, stdout, stderr].filter((file) => file !== undefined).length;
  return { cwd, user, timed: timeout !== undefined, env: Object.entries(env).sort(), files: given };
}

/** Splits bytes at random places into random pieces. */
const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 12 });

function pieces(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const found: Buffer[] = [];
  let rest = bytes;
  for (const size of sizes) {
    found.push(rest.subarray(0, size));
    rest = rest.subarray(size);
  }
  return [...found, rest].filter(({ length }) => length > 0);
}

interface Told {
  readonly status: number;
  readonly output: string;
  readonly told: readonly string[];
  readonly puppet: Puppet;
}

async function converse(
  input: readonly Buffer[],
  calls: readonly Call[],
  { stopAfter }: { readonly stopAfter?: number } = {},
): Promise<Told> {
  const puppet = new Puppet(calls);
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const said: Buffer[] = [];
  stdout.on('data', (chunk: Buffer) => said.push(chunk));
  const told: string[] = [];
  const log: Log = { debugging: true, debug: () => {}, warn: (message) => told.push(message) };
  const stop = new AbortController();
  const ended = serve({
    ...{ input: stdin, output: stdout, provider: puppet.provider, ownNetwork: false, log },
    signal: stop.signal,
  });
  for (const [index, piece] of input.entries()) {
    if (index === stopAfter) stop.abort();
    stdin.write(piece);
    if (index % 2 === 0) await new Promise(setImmediate);
  }
  if (stopAfter !== undefined) stop.abort();
  else stdin.end();
  return { status: await ended, output: Buffer.concat(said).toString('latin1'), told, puppet };
}

function textOf(session: readonly Step[]): Buffer {
  return Buffer.from(session.map(({ line }) => `${line}\n`).join(''), 'latin1');
}

/** What must hold at every end of a session. */
function checkEnd({ told, puppet, status }: Told): void {
  assert.ok(puppet.disposed > 0, 'the provider is not disposed of');
  for (const sentence of told) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they could control a terminal
    if (status !== 16) assert.doesNotMatch(sentence, /[\x00-\x1f\x7f]| {4}at /);
  }
}

describe(`random sessions (seed ${seed})`, function () {
  this.timeout(0);
  after(() => rmSync(FOLDER, { recursive: true }));

  it(`${RUNS} of them: the replies, the calls and the end are those of protocol.md`, async () => {
    let requests = 0;
    await fc.assert(
      fc.asyncProperty(sessions, cuts, async (session, sizes) => {
        requests += session.length;
        const { replies, calls, status, reported } = expected(session);
        const told = await converse(pieces(textOf(session), sizes), calls);
        assert.deepEqual(told.output, replies.map((reply) => `${reply}\n`).join(''));
        assert.equal(told.status, status, told.told.join('\n'));
        assert.deepEqual(
          told.puppet.asked,
          calls.map(({ method, args }) => `${method} ${args}`).filter((call) => call !== 'shell []'),
        );
        assert.equal(told.puppet.opens > 0, told.puppet.closes > 0, 'opened and not closed');
        const ends = told.told.filter(
          (sentence) => !/^\w+: |cannot open a shell|a testbed is open|no testbed is/.test(sentence),
        );
        assert.equal(ends.length, reported ? 1 : 0, told.told.join('\n'));
        checkEnd(told);
      }),
      parameters(RUNS),
    );
    console.log(`        ${RUNS} sessions, ${requests} requests, seed ${seed}`);
  });

  it(`${RUNS} of them with bytes changed, ended anywhere or stopped: a clean end`, async () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        ...([
          sessions,
          cuts,
          damage,
          fc.nat({ max: 2000 }),
          fc.option(fc.nat({ max: 12 }), { freq: 3 }),
        ] as const),
        async (session, sizes, changes, end, stopAfter) => {
          const bytes = textOf(session).subarray(0, end);
          if (bytes.length > 0) for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          const told = await converse(pieces(bytes, sizes), [], stopAfter === null ? {} : { stopAfter });
          assert.ok([0, 12].includes(told.status), `${told.status}: ${told.told.join('\n')}`);
          assert.equal(told.puppet.opens > 0, told.puppet.closes > 0, 'opened and not closed');
          checkEnd(told);
        },
      ),
      parameters(RUNS),
    );
  });
});
