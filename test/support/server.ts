/** The real server as a driver has it, started so that whatever it leaves running is known. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { Duplex } from 'node:stream';
import { allPids, commandLine } from '../../src/processes/list.ts';
import { processState } from '../../src/processes/stat.ts';
import { within } from '../../src/wait.ts';
import { projectDir } from './rootfs.ts';

export interface ServerOptions {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A program that executes the server, and its arguments. */
  readonly by?: readonly string[];
}

export class Server {
  /** Resolves with the exit status of the server, 128 + n for its death by signal n. */
  readonly ended: Promise<number>;
  /** Resolves when no process that descends from the server is left. */
  readonly reaped: Promise<unknown>;
  /** Its stderr. */
  complaints = '';
  readonly #reaper: ChildProcess;
  readonly #replies: AsyncIterator<string>;
  readonly #pid: Promise<number>;

  private constructor(reaper: ChildProcess, replies: Interface, news: AsyncIterator<string>) {
    this.#reaper = reaper;
    this.#replies = replies[Symbol.asyncIterator]();
    const number = async (word: string) => {
      const { value } = await news.next();
      const text = new RegExp(`^${word} (\\d+)$`).exec(String(value))?.[1];
      if (text === undefined) throw new Error(`the reaper said ${value} instead of ${word}`);
      return Number(text);
    };
    this.reaped = once(reaper, 'exit');
    this.#pid = number('started');
    this.ended = this.#pid.then(() => number('ended'));
    this.ended.catch(() => {});
  }

  static start({ argv, env = {}, by = [] }: ServerOptions): Server {
    const program = [...by, process.execPath, `${projectDir}bin/virt-ts-unshare`, ...argv];
    const reaper = spawn('perl', [`${projectDir}test/support/reaper.pl`, ...program], {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const reports = reaper.stdio[3];
    if (reaper.stdout === null || !(reports instanceof Duplex)) throw new Error('the reaper has no pipes');
    const server = new Server(
      reaper,
      createInterface({ input: reaper.stdout }),
      createInterface({ input: reports })[Symbol.asyncIterator](),
    );
    reaper.stderr?.setEncoding('utf8').on('data', (text: string) => {
      server.complaints += text;
    });
    // A killed server reads no more.
    reaper.stdin?.on('error', () => {});
    return server;
  }

  /** Sends a request without waiting. */
  send(line: string): void {
    this.#reaper.stdin?.write(`${line}\n`);
  }

  /** The next line from the server; undefined at its end. */
  async reply(): Promise<string | undefined> {
    const { value, done } = await this.#replies.next();
    return done === true ? undefined : value;
  }

  /** Sends a request and gives the words behind `ok`. Throws when the reply is another. */
  async ask(line: string): Promise<string[]> {
    this.send(line);
    const reply = await this.reply();
    const [ok, ...words] = reply?.split(' ') ?? [];
    if (ok !== 'ok') throw new Error(`${line}: ${reply ?? 'end of file'}\n${this.complaints}`);
    return words;
  }

  get pid(): Promise<number> {
    return this.#pid;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    process.kill(await this.#pid, signal);
  }

  endOfFile(): void {
    this.#reaper.stdin?.end();
  }

  /** Whatever descends from the server and runs, the server included. */
  running(): string[] {
    const states = allPids().flatMap((pid) => processState(pid) ?? []);
    const tree = new Set([this.#reaper.pid]);
    for (let size = 0; size !== tree.size; ) {
      size = tree.size;
      for (const { pid, parent } of states) if (tree.has(parent)) tree.add(pid);
    }
    tree.delete(this.#reaper.pid);
    return states
      .filter(({ pid, state }) => tree.has(pid) && state !== 'Z')
      .map(({ pid, state }) => `${pid} ${state} ${commandLine(pid)}`);
  }

  /** Waits at most `limit` ms until nothing is left, and gives what is. */
  async leftAfter(limit: number): Promise<string[]> {
    return (await within(this.reaped, limit)) ? [] : this.running();
  }
}
