/** Events as a driver's run has them, with short times. */
import type { CommandEvent, TestbedEvent } from '../../src/events/types.ts';

export const LISTS = { base: '00000000000000aa', more: '00000000000000bb' } as const;

export function wrapped(name: string): readonly string[] {
  const script = `set -e; exec /tmp/x/wrapper.sh --script-pid-file=/tmp/p --stderr=/tmp/x/${name}-stderr --stdout=/tmp/x/${name}-stdout -- /tmp/x/tests/${name} ;`;
  return ['su', '-s', '/bin/bash', 'root', '-c', script];
}

/** Makes events of a session; each begins where the one before has ended, `gap` later. */
export class Story {
  readonly events: TestbedEvent[] = [];
  readonly #common;
  #now: number;

  constructor(session = '0123456789ab', begin = 1_000_000) {
    this.#common = { v: 1, session } as const;
    this.#now = begin;
    this.events.push({
      ...{ ...this.#common, event: 'start', time: begin, program: 'server', version: '1', pid: 3 },
      caller: { pid: 2, argv: ['autopkgtest', '<b>x</b>'] },
    });
  }

  pass(gap: number): this {
    this.#now += gap;
    return this;
  }

  open(duration = 20): this {
    const more = { event: 'open', name: 'testbed', root: '/x.tar', network: 'host' } as const;
    return this.#add(duration, (facts) => ({ ...facts, ...more }));
  }

  command(argv: readonly string[], duration: number, more: Partial<CommandEvent> = {}): this {
    return this.#add(duration, (facts) => ({ ...facts, event: 'command', argv, status: 0, ...more }));
  }

  revert(duration = 10): this {
    return this.#add(duration, (facts) => ({ ...facts, event: 'revert' }));
  }

  reboot(duration = 10): this {
    return this.#add(duration, (facts) => ({ ...facts, event: 'reboot', by: 'caller' }));
  }

  wait(duration: number): this {
    const { testbed: _, ...facts } = this.#facts(duration);
    this.events.push({ ...facts, event: 'wait', until: 'end' });
    this.#now += duration;
    return this;
  }

  leak(path: string): this {
    const leak = { kind: 'file', path, type: 'file', uid: 0, gid: 0, size: 3 } as const;
    this.events.push({ ...this.#common, event: 'leak', testbed: 1, time: this.#now, at: 'revert', leak });
    return this;
  }

  packages(installed: Readonly<Record<string, string>>, id: string, base?: string): this {
    this.events.push({
      ...{ ...this.#common, event: 'packages', testbed: 1, time: this.#now, id, installed },
      ...{ ...(base === undefined ? {} : { base }), removed: {}, changed: {} },
    });
    return this;
  }

  end(): readonly TestbedEvent[] {
    this.events.push({ ...this.#common, event: 'end', time: this.#now, duration: 0, status: 0 });
    return this.events;
  }

  #add(duration: number, make: (facts: Facts) => TestbedEvent): this {
    this.events.push(make(this.#facts(duration)));
    this.#now += duration;
    return this;
  }

  #facts(duration: number): Facts {
    return { ...this.#common, testbed: 1, time: this.#now, duration };
  }
}

interface Facts {
  readonly v: 1;
  readonly session: string;
  readonly testbed: number;
  readonly time: number;
  readonly duration: number;
}

export function linesOf(events: readonly TestbedEvent[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('');
}
