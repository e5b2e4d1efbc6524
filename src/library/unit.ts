/** Units of the systemd of a testbed. */
import { CommandFailedError, UsageError } from '../errors.ts';
import { checkCount, checkNames, notAllowed } from './checks.ts';
import type { Command, CommandOptions } from './command.ts';

/** As of `systemctl is-active`. */
export type UnitState =
  | 'active'
  | 'inactive'
  | 'failed'
  | 'activating'
  | 'deactivating'
  | 'reloading'
  | 'maintenance'
  | 'unknown';

const STATES: readonly UnitState[] = [
  ...(['active', 'inactive', 'failed', 'activating', 'deactivating', 'reloading', 'maintenance'] as const),
];

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Run = (command: Command, options?: CommandOptions) => Promise<Ran>;

/** Lines of the journal in an error. */
const LAST = 20;

/** A unit of the testbed's systemd, by `testbed.unit(name)`. The testbed needs the option `init`. */
export class Unit {
  /** As given: `postgresql`, `apt-daily.timer`. */
  readonly name: string;
  readonly #run: Run;

  /** @internal */
  constructor(name: string, run: Run) {
    this.name = checkUnit(name);
    this.#run = run;
  }

  /**
   * Starts it, and resolves when it has started, as systemd understands it.
   * @throws CommandFailedError with the last lines of its journal as `stderr`
   */
  start(): Promise<void> {
    return this.#do('start');
  }

  /** Stops it, and resolves when its processes have ended. @throws CommandFailedError */
  stop(): Promise<void> {
    return this.#do('stop');
  }

  /** Stops it, if it is active, and starts it. @throws CommandFailedError */
  restart(): Promise<void> {
    return this.#do('restart');
  }

  /** Its state at present; `inactive` too when there is no such unit. */
  async state(): Promise<UnitState> {
    const { stdout } = await this.#run(['systemctl', 'is-active', '--', this.name]);
    return STATES.find((each) => each === stdout.trim()) ?? 'unknown';
  }

  /**
   * What it has written to the journal since the testbed has booted, a line for each message, oldest first.
   * @param options lines: at most so many, the last ones. Default: all
   */
  async journal(options: { readonly lines?: number } = {}): Promise<string> {
    checkNames('journal', options, { lines: true });
    checkCount('lines', options.lines);
    // What a process has just written may still be on its way.
    await this.#run(['journalctl', '--sync']);
    const { stdout } = await this.#run([
      ...(['journalctl', '--boot', '--no-pager', '--quiet', '--output=cat'] as const),
      ...(options.lines === undefined ? [] : [`--lines=${options.lines}`]),
      `--unit=${this.name}`,
    ]);
    return stdout;
  }

  async #do(verb: 'start' | 'stop' | 'restart'): Promise<void> {
    const { status, stdout, stderr } = await this.#run(['systemctl', verb, '--', this.name]);
    if (status === 0) return;
    const journal = await this.journal({ lines: LAST });
    const [reason = `systemctl ended with status ${status}`] = stderr.trim().split('\n');
    throw new CommandFailedError(`systemctl ${verb} ${this.name} failed: ${reason}`, {
      ...{ status, stdout },
      stderr: `${stderr}${journal}`,
    });
  }
}

function checkUnit(name: unknown): string {
  if (typeof name === 'string' && /^[A-Za-z0-9_][A-Za-z0-9:_.\\@-]{0,254}$/.test(name)) return name;
  throw notAllowed('the name of a unit', name, 'write it like postgresql or apt-daily.timer');
}

export function withoutInit(): UsageError {
  return new UsageError('the testbed has no units, because it has no init of its own', {
    code: 'NO_INIT',
    remedy: 'open it with init: true',
  });
}
