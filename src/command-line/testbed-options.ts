/** From the words of the command line to the options of a testbed. Reads no file: preflight.ts does. */
import { tmpdir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../errors.ts';
import { didYouMean } from '../nearest.ts';
import { isHostname } from '../network/hosts.ts';
import { isTestbedName } from '../processes/testbed-name.ts';
import { checkNotOfKernel } from '../rootfs/source.ts';
import type { InitChoice } from '../testbed/init-choice.ts';
import type { Scratch, TestbedOptions } from '../testbed/types.ts';
import type { Words } from './given.ts';
import type { OptionName } from './table.ts';
import { parseCount, parseSeconds, parseSize, wrongValue } from './values.ts';

/** Empty, they are as if they were not given, as for autopkgtest-virt-unshare: `-m "$MIRROR"`. */
const MAY_BE_EMPTY: ReadonlySet<OptionName> = new Set(['prefix', 'unpack-dir', 'mirror'] as const);

/** `env` gives AUTOPKGTEST_VIRT_COPY_TIMEOUT, as for the reference server. @throws UsageError */
export function testbedFromWords(words: Words, env: Readonly<NodeJS.ProcessEnv>): TestbedOptions {
  const one = (name: OptionName): string | undefined => {
    const value = words.one(name);
    if (value === '' && MAY_BE_EMPTY.has(name)) return undefined;
    if (value === '' && name !== 'report-leaks' && name !== 'init') throw emptyValue(name);
    return value;
  };
  const network = choice('network', one('network') ?? 'host', ['host', 'none', 'private']);
  const publish = words.all('publish');
  if (publish.length > 0 && network !== 'private') {
    throw new UsageError("--publish needs a network of the testbed's own", {
      code: 'WRONG_OPTION',
      remedy: 'add --network=private',
    });
  }
  if (words.has('tarball') && words.has('rootfs')) throw onlyOne('--tarball', '--rootfs');
  if (words.has('remember-packages') && words.one('mode') === 'copy') {
    throw onlyOne('--remember-packages', '--mode copy');
  }
  const name = nameOf(one('name'));
  const arch = anyAsNone(one('arch'));
  // It has a letter that no name of Debian has.
  if (arch === 'x86_64') checkNotOfKernel(arch);
  return Object.freeze({
    root: Object.freeze({
      tarball: one('tarball'),
      rootfs: one('rootfs'),
      release: matching('release', anyAsNone(one('release')), (text) => RELEASE.test(text), 'bookworm'),
      arch: matching('arch', arch, (text) => ARCH.test(text), 'arm64'),
      mirror: one('mirror'),
      bootstrapcmd: one('bootstrapcmd'),
    }),
    binds: Object.freeze([
      ...words.pairs('bind').map(([outside, inside]) => bind('--bind', outside, inside)),
      ...words.pairs('bind-ro').map(([outside, inside]) => bind('--bind-ro', outside, inside)),
    ]),
    scratch: Object.freeze(scratch(one('scratch'), one('prefix'), one('unpack-dir'))),
    mode: choice('mode', one('mode') ?? 'overlay', ['overlay', 'copy']),
    // Else isolation-container would be advertised for an image whose services do not start.
    init: initChoice(one('init') ?? (network === 'private' ? 'auto' : undefined)),
    hostname: matching(
      'hostname',
      one('hostname') ?? hostnameOf(name),
      isHostname,
      'testbed-1, with small letters, digits and hyphens',
    ),
    name,
    network,
    publish: Object.freeze([...publish]),
    drainTimeout: parseSeconds('--drain-timeout', one('drain-timeout') ?? '10'),
    copyTimeout: parseSeconds(COPY_TIMEOUT, env[COPY_TIMEOUT] ?? '300'),
    ...(words.has('remember-packages') ? { rememberPackages: true } : {}),
    maxCopyBytes: size('max-copy', one('max-copy')),
    maxProcesses: parseCount('--max-processes', one('max-processes')),
    maxMemory: size('max-memory', one('max-memory')),
    ...leakReport(one('report-leaks')),
    ...eventsOf(words),
  });
}

function nameOf(name: string | undefined): string | undefined {
  if (name === undefined || isTestbedName(name)) return name;
  throw /^\d+$/.test(name)
    ? wrongValue(`--name cannot be ${name}: exec, close and others take a number for a pid`, 'add a letter')
    : wrongValue(`--name cannot be ${name}`, 'give 1 to 63 letters, digits, dots and hyphens, such as web');
}

function hostnameOf(name: string | undefined): string | undefined {
  return name !== undefined && isHostname(name) ? name : undefined;
}

const COPY_TIMEOUT = 'AUTOPKGTEST_VIRT_COPY_TIMEOUT';
const RELEASE = /^[A-Za-z0-9][A-Za-z0-9+._-]*$/;
const ARCH = /^[a-z0-9][a-z0-9-]*$/;

/** @throws UsageError */
export function initChoice(value: string | undefined): InitChoice | undefined {
  if (value === undefined || value === 'none') return undefined;
  if (value === '' || value === 'image') return 'image';
  if (value === 'auto' || value === 'systemd') return value;
  if (isAbsolute(value)) return value;
  throw wrongValue(
    `--init is ${value}${didYouMean(value, ['auto', 'systemd', 'none'])}`,
    'give auto, systemd, none or an absolute path in the testbed',
  );
}

function isAbsolute(path: string): path is `/${string}` {
  return path.startsWith('/');
}

/** @throws UsageError */
export function eventsOf(words: Words): Pick<TestbedOptions, 'eventFile'> {
  const path = words.one('events');
  if (path === '') throw emptyValue('events');
  return path === undefined ? {} : { eventFile: resolve(path) };
}

function emptyValue(name: OptionName): UsageError {
  return new UsageError(`the value of --${name} is empty`, { code: 'WRONG_VALUE', remedy: 'give one' });
}

function leakReport(value: string | undefined): Pick<TestbedOptions, 'reportLeaks' | 'leakFile'> {
  if (value === undefined) return {};
  const [format = '', ...file] = (value || 'text').split(':');
  return {
    reportLeaks: choice('report-leaks', format, ['text', 'json']),
    ...(file.length === 0 ? {} : { leakFile: resolve(file.join(':')) }),
  };
}

function choice<const T extends string>(name: OptionName, value: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === value);
  if (found === undefined) {
    const last = choices.at(-1);
    const list = `${choices.slice(0, -1).join(', ')} or ${last}`;
    throw wrongValue(`--${name} cannot be ${value}${didYouMean(value, choices)}`, `give ${list}`);
  }
  return found;
}

function matching<T extends string | undefined>(
  name: OptionName,
  value: T,
  fits: (text: string) => boolean,
  example: string,
): T {
  if (value !== undefined && !fits(value)) {
    throw wrongValue(`--${name} cannot be ${value}`, `write it like ${example}`);
  }
  return value;
}

function onlyOne(...names: readonly string[]): UsageError {
  return new UsageError(`${names.join(' and ')} exclude each other`, {
    code: 'WRONG_OPTION',
    remedy: 'give one of them',
  });
}

function anyAsNone(value: string | undefined): string | undefined {
  return value === '*' ? undefined : value;
}

function bind(
  option: '--bind' | '--bind-ro',
  outside: string,
  inside: string,
): TestbedOptions['binds'][number] {
  if (outside === '') {
    throw wrongValue(`the OUTSIDE of ${option} is empty`, 'name a file or directory of the host');
  }
  if (!inside.startsWith('/')) {
    throw wrongValue(
      `the INSIDE of ${option} ${outside} ${inside} is not an absolute path`,
      'write it like /mnt',
    );
  }
  return Object.freeze({
    outside: resolve(outside),
    inside,
    ...(option === '--bind-ro' ? { readOnly: true } : {}),
  });
}

/** What -p of docker and podman has. */
const PORTS = /^(?:[0-9.]+:)?\d{1,5}:\d{1,5}(?:\/(?:tcp|udp))?$/;

/** Relative paths are made absolute, since the stage has another working directory. */
function scratch(
  value: string | undefined,
  prefix: string | undefined,
  unpackDirectory: string | undefined,
): Scratch {
  if (value !== undefined && (prefix ?? unpackDirectory) !== undefined) {
    throw onlyOne('--scratch', prefix === undefined ? '--unpack-dir' : '--prefix');
  }
  // With both, autopkgtest-virt-unshare uses the directory.
  if (unpackDirectory !== undefined)
    return { kind: 'directory', path: resolve(unpackDirectory), create: true };
  if (prefix !== undefined && PORTS.test(prefix)) {
    throw wrongValue(
      `--prefix is ${prefix}, where the start of a path is expected`,
      `write --network=private --publish=${prefix} for ports`,
    );
  }
  // As Python's mkdtemp does: a relative path starts in the directory for temporary files.
  if (prefix !== undefined) {
    return { kind: 'directory', path: resolve(tmpdir(), dirname(`${prefix}x`)) };
  }
  if (value === undefined || value === 'auto') return { kind: 'auto' };
  const tmpfs = /^tmpfs(?::(.*))?$/s.exec(value);
  if (tmpfs === null) return { kind: 'directory', path: resolve(value) };
  const size = tmpfs[1];
  if (size !== undefined && !/^[1-9]\d*[kKmMgG%]?$/.test(size)) {
    throw wrongValue(`--scratch is ${value}, which has no valid size`, 'write it like tmpfs:2g or tmpfs:50%');
  }
  return { kind: 'tmpfs', size };
}

function size(name: OptionName, text: string | undefined): number | undefined {
  const bytes = parseSize(`--${name}`, text);
  if (bytes === 0) throw wrongValue(`--${name} is 0`, 'give a size, more than 0');
  return bytes;
}
