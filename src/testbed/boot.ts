/** Waits until the init of a testbed has started what it starts at boot. */
import { access, readFile } from 'node:fs/promises';
import { TestbedError } from '../errors.ts';
import { textOf } from '../host.ts';
import type { Log } from '../log.ts';
import { type Instance, initEnded } from '../namespaces/instance.ts';
import { option } from '../option-words.ts';
import { allPids, namespaceOf } from '../processes/list.ts';
import { within } from '../wait.ts';
import { startCommand, type Target } from './execute.ts';
import type { Init } from './init.ts';

/** Seconds. A machine with much other work may need some of it. */
const BOOT_LIMIT = 180;
/** Milliseconds between two looks. */
const PAUSE = { first: 2, most: 50, ofScripts: 15 } as const;

interface Booting {
  readonly init: Init;
  readonly instance: Instance;
  readonly target: Target;
  readonly log: Log;
  /** Its abort ends the wait. */
  readonly signal: AbortSignal;
}

/** Gives the units that have failed. @throws TestbedError when the init ends, or has not booted in its time */
export async function awaitBoot(booting: Booting): Promise<readonly string[]> {
  const { init, instance, signal } = booting;
  const limit = performance.now() + BOOT_LIMIT * 1000;
  const look = init.kind === 'systemd' ? () => askSystemd(booting, limit) : lookAtScripts(instance);
  const first = init.kind === 'systemd' ? PAUSE.first : PAUSE.ofScripts;
  for (let pause: number = first; ; pause = Math.min(1.1 * pause, PAUSE.most)) {
    const failed = await look();
    signal.throwIfAborted();
    if (failed !== undefined) return failed;
    if (await within(instance.ended, pause)) throw initEnded(init.path, await instance.ended);
    if (performance.now() > limit) throw await late(booting);
  }
}

/** systemd listens there before it starts the first unit. */
const SOCKET = '/run/systemd/private';
const BOOTED: readonly string[] = ['running', 'degraded'];

async function askSystemd(booting: Booting, limit: number): Promise<readonly string[] | undefined> {
  const { init, instance } = booting;
  try {
    await access(`/proc/${instance.pid}/root${SOCKET}`);
  } catch {
    return undefined;
  }
  // --wait lasts until the end of the boot, from systemd 240 on.
  const state = (await ask(booting, ['systemctl', 'is-system-running', '--wait'], limit)).trim();
  if (BOOTED.includes(state)) return state === 'running' ? [] : failedUnits(booting);
  if (state !== 'maintenance' && state !== 'stopping') return undefined;
  const failed = await failedUnits(booting);
  throw new TestbedError(
    `the init ${init.path} of the testbed did not boot but went to the state ${state}${failed.length > 0 ? `; units that failed: ${failed.join(', ')}` : ''}`,
    { code: 'NOT_BOOTED', remedy: `correct these units in the image, or use ${option('init', 'none')}` },
  );
}

/** Names of units, as the testbed gives them. */
export async function failedUnits(
  booting: Pick<Booting, 'target' | 'log'>,
  limit = performance.now() + 20_000,
): Promise<string[]> {
  const text = await ask(
    booting,
    ['systemctl', 'list-units', '--state=failed', '--plain', '--no-legend', '--no-pager', '--full'],
    limit,
  );
  return text
    .split('\n')
    .flatMap((line) => /^(?:\S )?([A-Za-z0-9:_.\\@-]{1,255})(?: |$)/.exec(line)?.[1] ?? []);
}

/** The output of a command, which is killed at the limit. */
async function ask(
  { target, log }: Pick<Booting, 'target' | 'log'>,
  argv: readonly [string, ...string[]],
  limit: number,
): Promise<string> {
  const started = await startCommand(target, argv, ['ignore', 'pipe', 'ignore'], log);
  const timer = setTimeout(() => started.kill('SIGKILL'), Math.max(0, limit - performance.now()));
  try {
    const [text] = await Promise.all([textOf(started.child.stdout, 'latin1'), started.exited]);
    return text;
  } finally {
    clearTimeout(timer);
  }
}

/** Names of the scripts of sysvinit, openrc and busybox, as /proc/PID/comm has them. */
const SCRIPT = /^(rcS?|startpar|openrc|openrc-run.*|[SK]\d\d.*)$/;
/** Milliseconds after which an init that runs no script counts as booted. */
const NO_SCRIPT = 300;

/** Such an init does not report that it has booted: its scripts are waited for. */
function lookAtScripts({ pid }: Instance): () => Promise<readonly string[] | undefined> {
  const begin = performance.now();
  let seen = false;
  let quiet = 0;
  return async () => {
    const namespace = namespaceOf(pid, 'pid');
    const inside = allPids().filter((each) => each !== pid && namespaceOf(each, 'pid') === namespace);
    const names = await Promise.all(
      inside.map((each) => readFile(`/proc/${each}/comm`, 'latin1').catch(() => '')),
    );
    const busy = names.some((name) => SCRIPT.test(name.trim()));
    seen ||= busy;
    quiet = busy ? 0 : quiet + 1;
    const enough = seen || performance.now() - begin > NO_SCRIPT;
    return quiet >= 3 && enough ? [] : undefined;
  };
}

async function late(booting: Booting): Promise<TestbedError> {
  const { init } = booting;
  const jobs =
    init.kind === 'systemd'
      ? await ask(
          booting,
          ['systemctl', 'list-jobs', '--plain', '--no-legend', '--no-pager'],
          performance.now() + 5000,
        ).catch(() => '')
      : '';
  const units = jobs.split('\n').flatMap((line) => /^\s*\d+ ([!-~]+)/.exec(line)?.[1] ?? []);
  return new TestbedError(
    `the init ${init.path} of the testbed has not booted after ${BOOT_LIMIT} s${units.length > 0 ? `, and still starts ${units.slice(0, 5).join(', ')}` : ''}`,
    {
      code: 'NOT_BOOTED',
      remedy: `mask what waits for something that a testbed has not, or use ${option('init', 'none')}`,
    },
  );
}
