/** Runs autopkgtest, and reads what it reports while it runs. */
import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { type Argv, spawnHost } from '../host.ts';
import type { Log } from '../log.ts';

export interface DriverCall {
  /** Before the `--`. */
  readonly args: readonly string[];
  readonly server: Argv;
  /** Gets what it writes to stdout and stderr. */
  readonly logFile: string;
  readonly onLine: (line: string) => void;
  /** For its temporary files, which it leaves when a signal ends it. */
  readonly temporary: string;
  readonly signal: AbortSignal;
}

export interface DriverEnd {
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

export interface Driver {
  readonly pid: number;
  readonly ended: Promise<DriverEnd>;
  stop(): void;
}

/** Milliseconds. */
const READ_INTERVAL = 100;
const STOP_LIMIT = 10_000;

const MOST_BYTES = 64 * 1024;
const LONGEST_LINE = 8192;

/** It ends with this process: then its server reads the end of its input, and ends its testbed. @throws TestbedError */
export async function startDriver(call: DriverCall, log: Log): Promise<Driver> {
  call.signal.throwIfAborted();
  // A file: the driver opens /dev/stderr again, which fails on the sockets that Node has in place of pipes.
  const output = openSync(call.logFile, 'a', 0o644);
  try {
    const argv: Argv = [
      ...(['setpriv', '--pdeathsig=TERM', '--', 'autopkgtest'] as const),
      ...call.args,
      '--',
      ...call.server,
    ];
    // In a session of its own, because a terminal would interrupt the driver, its server and its helpers in any order.
    const started = await spawnHost(argv, log, {
      stdio: ['ignore', output, output],
      env: { TMPDIR: call.temporary },
      detached: true,
    });
    const lines = new LineReader(call.logFile, call.onLine);
    const timer = setInterval(() => lines.read(), READ_INTERVAL);
    let isEnded = false;
    let killer: NodeJS.Timeout | undefined;
    const stop = () => {
      if (isEnded || killer !== undefined) return;
      started.kill('SIGTERM');
      killer = setTimeout(() => {
        if (!isEnded) process.kill(-started.pid, 'SIGKILL');
      }, STOP_LIMIT);
    };
    call.signal.addEventListener('abort', stop, { once: true });
    if (call.signal.aborted) stop();
    const ended = started.exited.then((end) => {
      isEnded = true;
      clearInterval(timer);
      clearTimeout(killer);
      call.signal.removeEventListener('abort', stop);
      lines.read();
      lines.close();
      return end;
    });
    return { pid: started.pid, ended, stop };
  } finally {
    closeSync(output);
  }
}

/** Gives the lines of a file that grows; of a long line only the start. */
class LineReader {
  readonly #descriptor: number;
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder('utf8');
  readonly #buffer = Buffer.alloc(MOST_BYTES);
  #position = 0;
  #rest = '';

  constructor(path: string, onLine: (line: string) => void) {
    this.#descriptor = openSync(path, 'r');
    this.#onLine = onLine;
  }

  read(): void {
    for (;;) {
      const count = readSync(this.#descriptor, this.#buffer, 0, MOST_BYTES, this.#position);
      if (count === 0) return;
      this.#position += count;
      const lines = (this.#rest + this.#decoder.write(this.#buffer.subarray(0, count))).split('\n');
      this.#rest = (lines.pop() ?? '').slice(0, LONGEST_LINE);
      for (const line of lines) this.#onLine(line);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

export type Step = { readonly name: string; readonly step: 'preparing' | 'running' | 'ended' };

const STEP =
  /^\S+ \[\d\d:\d\d:\d\d\]: test (\S+): (?:(preparing testbed)|(\[-{23})|(-{23}\])| - .* results - .*)$/;

/** What a line of the log reports about the progress of a test. A test may write such a line too. */
export function stepOf(line: string): Step | undefined {
  const [matched, name = '', preparing, running] = STEP.exec(line) ?? [];
  if (matched === undefined) return undefined;
  return { name, step: preparing !== undefined ? 'preparing' : running !== undefined ? 'running' : 'ended' };
}
