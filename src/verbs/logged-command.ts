/** A command of a testbed whose output goes to a log. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Argv, HostProcess } from '../host.ts';
import { Pipes } from '../library/fifos.ts';
import type { Log } from '../log.ts';
import { type CommandPlace, isExecuting } from '../testbed/execute.ts';
import type { OpenTestbed } from '../testbed/types.ts';
import { within } from '../wait.ts';
import type { BoundedLog } from './bounded-log.ts';

/** Milliseconds. */
const LOOK = 5;
const EXECUTE_LIMIT = 2_000;
/** For what is still in the pipe. */
const LAST_OUTPUT = 1_000;

/** Bytes. */
const BEGINNING = 4096;

/** Statuses of a program that is missing or cannot be executed, and of a command that was not run. */
const NOT_EXECUTED: readonly (number | undefined)[] = [126, 127, 255];

interface LoggedOptions extends Pick<CommandPlace, 'cwd' | 'user' | 'env'> {
  readonly output: BoundedLog;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export class LoggedCommand {
  /** Resolves when all output is logged. Rejects as `OpenTestbed.run`. */
  readonly status: Promise<number>;
  readonly #started: () => HostProcess | undefined;
  #beginning = Buffer.alloc(0);

  private constructor(
    { read, write }: Awaited<ReturnType<Pipes['take']>>,
    testbed: OpenTestbed,
    argv: Argv,
    { output, signal, ...options }: LoggedOptions,
  ) {
    const stream = new Socket({ fd: read, readable: true, writable: false });
    stream.on('data', (chunk: Buffer) => {
      this.#beginning = Buffer.concat([this.#beginning, chunk]).subarray(0, BEGINNING);
      output.write(chunk);
    });
    stream.on('error', () => {});
    const closed = new Promise((resolve) => stream.once('close', resolve));
    let started: HostProcess | undefined;
    this.#started = () => started;
    const onStart = (process: HostProcess) => {
      started = process;
      closeSync(write);
    };
    const place = { ...options, stdout: write, stderr: write, signal, onStart };
    this.status = testbed
      .run(argv, place)
      .then(({ status }) => status)
      .finally(async () => {
        if (started === undefined) closeSync(write);
        await within(closed, LAST_OUTPUT);
        stream.destroy();
      });
    this.status.catch(() => {});
  }

  static async start(testbed: OpenTestbed, argv: Argv, options: LoggedOptions): Promise<LoggedCommand> {
    const pipes = new Pipes(options.log);
    try {
      return new LoggedCommand(await pipes.take(), testbed, argv, options);
    } finally {
      pipes.close();
    }
  }

  /** The first of its output. */
  get beginning(): string {
    return this.#beginning.toString('utf8');
  }

  /** Whether the program was found and executed. */
  async isExecuted(): Promise<boolean> {
    let isEnded = false;
    const ended = this.status.then(
      (status) => !NOT_EXECUTED.includes(status),
      () => false,
    );
    void ended.then(() => {
      isEnded = true;
    });
    const limit = performance.now() + EXECUTE_LIMIT;
    while (!isEnded && performance.now() < limit) {
      const started = this.#started();
      if (started !== undefined && isExecuting(started)) return true;
      await within(ended, LOOK);
    }
    return isEnded ? ended : true;
  }
}
