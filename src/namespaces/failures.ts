/** Failures of stage, holder and the set-up of a testbed: the errors that they become, with remedies. Pure. */
import { TestbedError } from '../errors.ts';
import { failureText, type HelperFailure } from '../helper.ts';
import { option } from '../option-words.ts';
import { scarceRemedy } from '../scarce.ts';

const DOCTOR = 'virt-ts-unshare doctor names what this machine lacks';

export function cannotHold(failure: HelperFailure | undefined): TestbedError {
  const why = failure === undefined ? 'its helper was killed' : failureText(failure);
  const code = failure?.code ?? 'NO_NAMESPACES';
  return new TestbedError(`no testbed can be made: ${why}`, {
    code,
    remedy: failure === undefined ? DOCTOR : remedyOf(failure),
  });
}

export function stepFailed(failure: HelperFailure): TestbedError {
  return new TestbedError(`making a testbed failed: ${failureText(failure)}`, {
    code: failure.code,
    remedy: remedyOf(failure),
  });
}

/** What to do about a failure of stage, holder or set-up. */
export function remedyOf({ code, errno, what }: HelperFailure): string {
  const scarce = scarceRemedy(typeof errno === 'string' ? errno : undefined);
  if (code === 'NO_SHELL')
    return scarce ?? 'use a root filesystem with a /bin/sh that this machine can execute';
  if (code === 'NO_INIT') {
    return scarce ?? `name an init that this machine can execute, or use ${option('init', 'none')}`;
  }
  // clone3(2) has this error for a limit of namespaces.
  if (errno === 'ENOSPC' && what.includes('namespace')) {
    return 'the limit of namespaces is reached: raise user.max_*_namespaces with sysctl, or close other testbeds';
  }
  // Of mounts, see fs.mount-max in proc_sys_fs(5).
  if (errno === 'ENOSPC' && /^(mounting|binding)/.test(what)) {
    return 'the limit of mounts is reached: raise fs.mount-max with sysctl, or close other testbeds';
  }
  if (errno === 'ENOSPC') return roomRemedy();
  return scarce ?? DOCTOR;
}

/** Of what is written in a testbed. */
export function roomRemedy(): string {
  return `free space where the testbeds are (${option('scratch')}), or give them more memory (${option('max-memory')})`;
}

/** @param left processes that have got SIGKILL, with their command lines */
export function survived(what: string, left: readonly string[]): TestbedError {
  return new TestbedError(`${what}: ${left.join(', ')}`, {
    code: 'LEFT_OVER',
    remedy:
      'SIGKILL does not end them before they are taken out of a frozen cgroup, or have what they wait for, such as a disk or a network file system',
  });
}

export function endedEarly(status: number): TestbedError {
  return new TestbedError(`making a testbed failed: its set-up ended with status ${status}`, {
    code: 'SETUP_KILLED',
    remedy: 'check whether another process has killed it, for example because memory ran out',
  });
}
