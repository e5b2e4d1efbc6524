/** The built program as a person calls it, with and without a terminal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { shellLine } from '../../src/log.ts';
import { projectDir } from './rootfs.ts';

export const PROGRAM = `${projectDir}bin/virt-ts-unshare`;

export interface Ended {
  /** Exit status, or 128 + signal number. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CallOptions {
  readonly input?: string;
  readonly cwd?: string;
  /** Added to the environment of the tests. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a host program to its end. */
export async function call(argv: readonly [string, ...string[]], options: CallOptions = {}): Promise<Ended> {
  const [file, ...args] = argv;
  const { cwd, env, input } = options;
  const child = spawn(file, args, { ...(cwd ? { cwd } : {}), env: { ...process.env, ...env } });
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  return ended(child);
}

/** What is reported of work that takes long, as on a busy machine. */
const PROGRESS =
  /^virt-ts-unshare: (?:(?:unpacking|committing|packing) \S+|(?:writing|reading) the layers [^\n]*)\n/gm;

/** Runs virt-ts-unshare to its end. Its stderr is without lines of progress. */
export async function virt(args: readonly string[], options: CallOptions = {}): Promise<Ended> {
  const end = await call([process.execPath, PROGRAM, ...args], options);
  return { ...end, stderr: end.stderr.replace(PROGRESS, '') };
}

/** Everything that a child writes until its end. */
export async function ended(child: ChildProcess): Promise<Ended> {
  const output: [string, string] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output[0] += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output[1] += text;
  });
  await once(child, 'close');
  const { exitCode, signalCode } = child;
  const status = exitCode ?? 128 + (signalCode === null ? 0 : constants.signals[signalCode]);
  return { status, stdout: output[0], stderr: output[1] };
}

/** Milliseconds in which a terminal has to show something new; what it shows instead is then reported. */
const LIMIT = 20_000;

/** A shell on a pseudo terminal that script(1) makes, for what a person would do there. */
export class Terminal {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;
  #text = '';
  #waiting: (() => void) | undefined;

  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const line = `trap : INT; stty rows 31 cols 97; ${shellLine(argv)}; echo "status=$? foreground=$(ps -o stat= -p $$ | tr -dc +)"`;
    this.#child = spawn('script', ['-qefc', line, '/dev/null'], {
      env: { ...process.env, SHELL: '/bin/sh', ...env },
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
      this.#waiting?.();
    });
    this.#ended = ended(this.#child);
    this.#child.once('close', () => this.#waiting?.());
  }

  /** Types; `\x03` is Ctrl-C, `\x1a` Ctrl-Z. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits until the screen shows a text behind the last one that was waited for. Gives what came before it. */
  async shows(text: string): Promise<string> {
    for (;;) {
      const at = this.#text.indexOf(text);
      if (at >= 0) {
        const before = this.#text.slice(0, at);
        this.#text = this.#text.slice(at + text.length);
        return before;
      }
      if (this.#child.exitCode !== null) throw new Error(`${JSON.stringify(text)} never came: ${this.#text}`);
      await new Promise<void>((resolve, reject) => {
        const limit = setTimeout(
          () => reject(new Error(`${JSON.stringify(text)} does not come: ${JSON.stringify(this.#text)}`)),
          LIMIT,
        );
        this.#waiting = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    }
  }

  /** Closes the terminal. */
  async close(): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill('SIGHUP');
    await this.#ended;
  }
}
