/** From the server's argv to frozen options: what the words mean. Looks at no file: that is preflight.ts. */
import { tmpdir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { UsageError } from './errors.ts';
import { isHostname } from './network/hosts.ts';
import { collect, type Name } from './option-words.ts';
import type { Scratch, TestbedOptions } from './testbed/types.ts';

export type Parsed =
  | { readonly action: 'help' }
  | { readonly action: 'version' }
  | { readonly action: 'serve'; readonly debug: boolean; readonly testbed: TestbedOptions };

/** Empty, they are as if they were not given, as for autopkgtest-virt-unshare: `-m "$MIRROR"`. */
const MAY_BE_EMPTY: ReadonlySet<Name> = new Set(['prefix', 'unpack-dir', 'mirror'] as const);

/**
 * Reads the words after the program's name. `env` gives AUTOPKGTEST_VIRT_COPY_TIMEOUT, as for the reference server.
 * Throws UsageError.
 */
export function parseOptions(argv: readonly string[], env: Readonly<NodeJS.ProcessEnv> = {}): Parsed {
  const given = collect(argv);
  if (given.has('help')) return { action: 'help' };
  if (given.has('version')) return { action: 'version' };
  const one = (name: Name): string | undefined => {
    const value = given.get(name)?.at(-1)?.[0];
    if (value === '' && MAY_BE_EMPTY.has(name)) return undefined;
    if (value === '' && name !== 'report-leaks') throw new UsageError(`--${name} is empty; give it a value`);
    return value;
  };
  const all = (name: Name) =>
    (given.get(name) ?? []).map(([first = '', second = '']) => [first, second] as const);
  const network = choice('network', one('network') ?? 'host', ['host', 'none', 'private']);
  const publish = all('publish').map(([port]) => port);
  if (publish.length > 0 && network !== 'private') {
    throw new UsageError("--publish needs a network of the testbed's own; add --network=private");
  }
  if (given.has('tarball') && given.has('rootfs')) {
    throw new UsageError('--tarball and --rootfs both name a root filesystem; give one of them');
  }
  return {
    action: 'serve',
    debug: given.has('debug'),
    testbed: Object.freeze({
      root: Object.freeze({
        tarball: one('tarball'),
        rootfs: one('rootfs'),
        release: matching('release', anyAsNone(one('release')), (text) => RELEASE.test(text), 'bookworm'),
        arch: matching('arch', anyAsNone(one('arch')), (text) => ARCH.test(text), 'arm64'),
        mirror: one('mirror'),
        bootstrapcmd: one('bootstrapcmd'),
      }),
      binds: Object.freeze([
        ...all('bind').map(([outside, inside]) => bind('--bind', outside, inside)),
        ...all('bind-ro').map(([outside, inside]) => bind('--bind-ro', outside, inside)),
      ]),
      scratch: Object.freeze(scratch(one('scratch'), one('prefix'), one('unpack-dir'))),
      mode: choice('mode', one('mode') ?? 'overlay', ['overlay', 'copy']),
      hostname: matching('hostname', one('hostname'), isHostname, 'testbed'),
      network,
      publish: Object.freeze(publish),
      drainTimeout: seconds('--drain-timeout', one('drain-timeout') ?? '10'),
      copyTimeout: seconds(COPY_TIMEOUT, env[COPY_TIMEOUT] ?? '300'),
      maxCopyBytes: bytes(one('max-copy')),
      ...leakReport(one('report-leaks')),
    }),
  };
}

const COPY_TIMEOUT = 'AUTOPKGTEST_VIRT_COPY_TIMEOUT';
const RELEASE = /^[A-Za-z0-9][A-Za-z0-9+._-]*$/;
const ARCH = /^[a-z0-9][a-z0-9-]*$/;

function leakReport(value: string | undefined): Pick<TestbedOptions, 'reportLeaks' | 'leakFile'> {
  if (value === undefined) return {};
  const [format = '', ...file] = (value || 'text').split(':');
  return {
    reportLeaks: choice('report-leaks', format, ['text', 'json']),
    ...(file.length === 0 ? {} : { leakFile: resolve(file.join(':')) }),
  };
}

function choice<const T extends string>(name: Name, value: string, choices: readonly T[]): T {
  const found = choices.find((each) => each === value);
  if (found === undefined) throw new UsageError(`--${name}=${value} is none of ${choices.join(', ')}`);
  return found;
}

function matching<T extends string | undefined>(
  name: Name,
  value: T,
  fits: (text: string) => boolean,
  example: string,
): T {
  if (value !== undefined && !fits(value)) {
    throw new UsageError(`--${name}=${value} is not understood; write it like ${example}`);
  }
  return value;
}

/** The peer's default for release and arch is `*`, any. */
function anyAsNone(value: string | undefined): string | undefined {
  return value === '*' ? undefined : value;
}

function bind(
  option: '--bind' | '--bind-ro',
  outside: string,
  inside: string,
): TestbedOptions['binds'][number] {
  if (outside === '')
    throw new UsageError(`${option} has an empty OUTSIDE; name a file or directory of the host`);
  if (!inside.startsWith('/')) {
    throw new UsageError(`${option} ${outside} ${inside}: INSIDE must be an absolute path, such as /mnt`);
  }
  return Object.freeze({
    outside: resolve(outside),
    inside,
    ...(option === '--bind-ro' ? { readOnly: true } : {}),
  });
}

/** Relative paths are made absolute: the stage has a working directory of its own. */
function scratch(
  value: string | undefined,
  prefix: string | undefined,
  unpackDirectory: string | undefined,
): Scratch {
  if (value !== undefined && (prefix ?? unpackDirectory) !== undefined) {
    throw new UsageError('--scratch, --prefix and --unpack-dir all place the scratch; give one of them');
  }
  // With both, autopkgtest-virt-unshare takes the folder.
  if (unpackDirectory !== undefined)
    return { kind: 'directory', path: resolve(unpackDirectory), create: true };
  // As for mkdtemp of Python: what is no absolute path begins in the folder for temporary files.
  if (prefix !== undefined) {
    return { kind: 'directory', path: resolve(tmpdir(), dirname(`${prefix}x`)) };
  }
  if (value === undefined || value === 'auto') return { kind: 'auto' };
  const tmpfs = /^tmpfs(?::(.*))?$/s.exec(value);
  if (tmpfs === null) return { kind: 'directory', path: resolve(value) };
  const size = tmpfs[1];
  if (size !== undefined && !/^[1-9]\d*[kKmMgG%]?$/.test(size)) {
    throw new UsageError(
      `--scratch=${value} has no size that tmpfs knows; write it like tmpfs:2g or tmpfs:50%`,
    );
  }
  return { kind: 'tmpfs', size };
}

function seconds(what: string, text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  // Longer ones do not fit the timers of Node.
  if (!(value > 0 && value <= 2_147_483))
    throw new UsageError(`${what} is ${text}; give seconds, more than 0`);
  return value;
}

function bytes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit = ''] = /^([1-9]\d*)([kKmMgGtT]?)$/.exec(text) ?? [];
  if (digits === undefined) throw new UsageError(`--max-copy=${text} is no size; write it like 500M or 2G`);
  return Number(digits) * 1024 ** ['', 'k', 'm', 'g', 't'].indexOf(unit.toLowerCase());
}
