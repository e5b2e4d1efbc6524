/** The built program as a child process with pipes, as a driver has it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { projectDir, testTarball } from './rootfs.ts';

export const program = `${projectDir}bin/virt-ts-unshare`;

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface StartOptions {
  /** Put before the options; default: the program on the tests' small root filesystem. */
  readonly argv?: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

export class ServerProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly #lines: AsyncIterator<string>;

  constructor(options: readonly string[] = [], { argv, env }: StartOptions = {}) {
    const [file, ...args] = argv ?? [program, '--tarball', testTarball()];
    // A session of its own, so that the server does not have the terminal of the tests.
    this.child = spawn(file, [...args, ...options], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      detached: true,
    });
    const { stdout, stderr, stdin } = this.child;
    if (stdout === null || stderr === null || stdin === null) throw new Error('no pipes');
    stdin.on('error', () => {});
    let said = '';
    stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    this.ended = once(this.child, 'close').then(([status, signal]) => ({ status, signal, stderr: said }));
  }

  /** The next line; undefined at the end. */
  async reply(): Promise<string | undefined> {
    const { value, done } = await this.#lines.next();
    return done === true ? undefined : value;
  }

  send(text: string): void {
    this.child.stdin?.write(text);
  }

  async ask(request: string): Promise<string | undefined> {
    this.send(`${request}\n`);
    return this.reply();
  }

  /** Sends requests one after the other, the first `ok` expected before; gives the replies. */
  async askAll(...requests: string[]): Promise<(string | undefined)[]> {
    const replies = [await this.reply()];
    for (const request of requests) replies.push(await this.ask(request));
    return replies;
  }
}

/** Runs the program with `input` to its end. */
export async function runProgram(
  argv: readonly [string, ...string[]],
  input = '',
): Promise<Ended & { readonly stdout: string }> {
  const server = new ServerProcess([], { argv });
  server.child.stdin?.end(input);
  const lines: string[] = [];
  for (let line = await server.reply(); line !== undefined; line = await server.reply()) lines.push(line);
  return { ...(await server.ended), stdout: lines.map((line) => `${line}\n`).join('') };
}
