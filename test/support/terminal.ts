/** A command on a terminal of its own, by script(1) of util-linux: its input is typed, its output is read. */
import { type ChildProcess, spawn } from 'node:child_process';
import { shellLine } from '../../src/log.ts';

export class Terminal {
  /** Everything that was shown so far, what was typed included. */
  shown = '';
  #seen = 0;
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;
  #wake: () => void = () => {};

  /** @param size rows and columns that the terminal has when the command starts */
  constructor(
    argv: readonly string[],
    options: { env: NodeJS.ProcessEnv; cwd: string; size: [number, number] },
  ) {
    const [rows, columns] = options.size;
    const command = `stty rows ${rows} cols ${columns}; exec ${shellLine(argv)}`;
    this.#child = spawn('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
      ...options,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.shown += text;
        this.#wake();
      });
    }
    this.#closed = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code) => {
        resolve(code);
        this.#wake();
      });
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error('script did not start; install the package bsdutils');
    return pid;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Resolves with all that was shown once a text that matches has come after `from`; rejects when the command ends first. */
  async waitFor(pattern: RegExp, from = 0): Promise<string> {
    let ended = false;
    void this.#closed.then(() => {
      ended = true;
    });
    while (!pattern.test(this.shown.slice(from))) {
      if (ended) throw new Error(`the command ended before it showed ${pattern}:\n${this.shown}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.shown;
  }

  /** Waits for a text that matches, behind the one that was seen before; gives it. */
  async see(pattern: RegExp): Promise<string> {
    await this.waitFor(pattern, this.#seen);
    const [text = ''] = pattern.exec(this.shown.slice(this.#seen)) ?? [];
    this.#seen = this.shown.indexOf(text, this.#seen) + text.length;
    return text;
  }

  /** Types a line into root's shell and waits for its next prompt. Gives what it printed, and the status of the line before it. */
  async ask(line: string): Promise<{ output: string; statusBefore: number }> {
    const from = this.shown.length;
    // The marks as typed have quotes in them: only their output is the mark itself. What is typed before the next prompt
    // is there would be read in another mode of the terminal.
    this.type(`echo "be""gin $?"; ${line}; echo "e""nd"\n`);
    const answer = /begin (\d+)\r?\n(.*?)end\r?\n.*# $/s;
    await this.waitFor(answer, from);
    const [, status, output = ''] = answer.exec(this.shown.slice(from)) ?? [];
    return { output: output.replaceAll('\r', '').trimEnd(), statusBefore: Number(status) };
  }

  /** Resolves with the exit status of the command, null when a signal ended script itself. */
  ended(): Promise<number | null> {
    return this.#closed;
  }

  /** Ends whatever is left; for the `after` hook of a test. */
  kill(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nothing is left.
    }
  }
}
