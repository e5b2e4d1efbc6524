/**
 * The switch of a laboratory: a network namespace with its bridges, and the user namespace above all members, so that one
 * process has rights in all their network namespaces and may connect them.
 */
import { TestbedError, UsageError } from '../errors.ts';
import { helperWords } from '../helper.ts';
import { type Argv, briefWords, mustRunHost, quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { Holder } from '../namespaces/holder.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import { findProgram, systemPath } from '../processes/find.ts';
import { isAlive, nameOf, type ProcessName } from '../processes/identity.ts';

interface SwitchPort {
  readonly name: string;
  readonly bridge: string | undefined;
  readonly carries: boolean;
}

export class Switch {
  readonly process: ProcessName;
  readonly #log: Log;
  readonly #idMap = chooseIdMaps(readCaller());

  constructor(process: ProcessName, log: Log) {
    this.process = process;
    this.#log = log;
  }

  get alive(): boolean {
    return isAlive(this.process);
  }

  async ip(lines: readonly string[], what: string, member?: number): Promise<void> {
    await mustRunHost(this.#enter(['ip', '-batch', '-'], member), this.#log, what, {
      env: { PATH: systemPath() },
      input: lines.map((line) => `${line}\n`).join(''),
    });
  }

  /** The kernel has deleted them when this resolves. A missing interface is no error. */
  async delete(interfaces: readonly string[]): Promise<void> {
    if (interfaces.length === 0 || !this.alive) return;
    const lines = interfaces.map((name) => `link delete ${name}\n`).join('');
    const { stderr } = await quickHost(this.#enter(['ip', '-force', '-batch', '-']), this.#log, {
      env: { PATH: systemPath() },
      input: lines,
    });
    const complaints = stderr.split('\n').filter((line) => line !== '' && !GONE.test(line));
    if (complaints.length > 0 && this.alive) {
      throw new TestbedError(
        `cannot delete the interfaces ${interfaces.join(', ')}: ${briefWords(complaints.join('\n'))}`,
        { code: 'NETWORK_FAILED', remedy: 'end the laboratory' },
      );
    }
  }

  async ports(member?: number): Promise<SwitchPort[]> {
    const text = await mustRunHost(
      this.#enter(['ip', '-json', 'link', 'show'], member),
      this.#log,
      'listing the ports of a laboratory',
      { env: { PATH: systemPath() } },
    );
    const links: unknown = JSON.parse(text);
    if (!Array.isArray(links)) return [];
    return links.flatMap((link: { ifname?: unknown; master?: unknown; operstate?: unknown }) =>
      typeof link.ifname === 'string' && link.ifname !== 'lo'
        ? [
            {
              name: link.ifname,
              bridge: typeof link.master === 'string' ? link.master : undefined,
              carries: link.operstate === 'UP',
            },
          ]
        : [],
    );
  }

  /** Resolves when the ports pass packets: the kernel drops them for some time after a link was set up. */
  async carrying(names: readonly string[], member?: number): Promise<void> {
    for (const end = performance.now() + CARRIER_LIMIT; performance.now() < end; ) {
      const ports = await this.ports(member);
      const carrying = new Set(ports.filter((port) => port.carries).map(({ name }) => name));
      if (names.every((name) => carrying.has(name))) return;
    }
    throw new TestbedError(`the links ${names.join(', ')} do not come up`, {
      code: 'NETWORK_FAILED',
      remedy: 'check that their other ends are up',
    });
  }

  async queue(name: string, words: readonly string[] | undefined, member?: number): Promise<void> {
    const tc: Argv = words === undefined ? ['tc', 'qdisc', 'del', 'dev', name, 'root'] : queue(name, words);
    const { status, stderr } = await quickHost(this.#enter(tc, member), this.#log, {
      env: { PATH: systemPath() },
    });
    if (status === 0 || words === undefined) return;
    const module = words[0] === 'netem' ? 'sch_netem' : 'sch_tbf';
    throw new UsageError(
      `this kernel has no ${words[0]}, which ${module === 'sch_netem' ? 'latency and loss need' : 'bandwidth needs'}: ${briefWords(stderr) || `tc ended with status ${status}`}`,
      {
        code: 'NO_KERNEL_MODULE',
        remedy: `as root: modprobe ${module}, or install the extra modules of the kernel`,
      },
    );
  }

  async forward(member: number): Promise<void> {
    const text = 'for knob in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 >/proc/sys/net/$knob; done';
    await mustRunHost(this.#enter(['sh', '-c', text], member), this.#log, 'making a host a router');
  }

  #enter(argv: Argv, member?: number): Argv {
    const { pid } = this.process;
    const beside = member === undefined ? [] : ['-o', String(member)];
    const letters = this.#idMap.stage === 'none' ? 'n' : 'un';
    return helperWords('enter', '-n', letters, ...beside, String(pid), ...argv);
  }
}

export function newBridge(name: string): string[] {
  // No spanning tree, and a port forwards at once.
  return [`link add ${name} type bridge forward_delay 0 mcast_snooping 0`, `link set ${name} up`];
}

/** Milliseconds for a link to come up. */
const CARRIER_LIMIT = 5000;

const GONE = /^Cannot find device|^Command failed -:\d+$/;

function queue(name: string, words: readonly string[]): Argv {
  return ['tc', 'qdisc', 'replace', 'dev', name, 'root', ...words];
}

export class OwnSwitch extends Switch {
  readonly #keeper: Holder;

  private constructor(keeper: Holder, log: Log) {
    super(nameOf(keeper.stagePid), log);
    this.#keeper = keeper;
  }

  static async start(log: Log): Promise<OwnSwitch> {
    if (findProgram('ip') === undefined) {
      throw new UsageError('a laboratory needs the program ip', {
        code: 'NO_PROGRAM',
        remedy: 'install the package iproute2',
      });
    }
    const idMap = chooseIdMaps(readCaller());
    return new OwnSwitch(await Holder.start({ idMap, sources: [], log, ownNetwork: true }), log);
  }

  async stop(): Promise<void> {
    try {
      if (this.alive) await this.delete((await this.ports()).map(({ name }) => name));
    } finally {
      await this.#keeper.stop();
    }
  }
}
