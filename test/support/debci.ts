/** The scripts of Debian's debci in a directory of a test, with settings and data of its own, and without a broker. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { shellQuote } from '../../src/log.ts';
import { cacheHome } from '../../src/rootfs/cache.ts';
import { testTarball } from './rootfs.ts';

const PACKAGES = ['debci', 'debci-worker'];

/** Downloaded once: 200 kB, of the release of this machine. */
function downloaded(): string[] {
  const folder = join(cacheHome(process.env), 'virt-ts-unshare/tests/debci');
  mkdirSync(folder, { recursive: true });
  const find = () => readdirSync(folder).filter((name) => name.endsWith('.deb'));
  if (find().length < PACKAGES.length) {
    execFileSync('apt-get', ['--quiet=2', 'download', ...PACKAGES], { cwd: folder, stdio: 'ignore' });
  }
  return find().map((name) => join(folder, name));
}

export interface Debci {
  /** debci's own directory, for `debci install --prefix`. */
  readonly base: string;
  /** The program. */
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  /** Gives the published tar archives, each with a result. */
  answers(): string[];
  /** What mmdebstrap was called with, one word a line. */
  readonly bootstrap: string;
}

/**
 * @param folder where all of it is
 * @param archive a directory that testbeds have as /srv/archive
 */
export function makeDebci(folder: string, archive: string): Debci {
  for (const file of downloaded()) execFileSync('dpkg-deb', ['--extract', file, join(folder, 'unpacked')]);
  const base = join(folder, 'debci');
  cpSync(join(folder, 'unpacked/usr/share/debci'), base, { recursive: true, verbatimSymlinks: true });
  rmSync(join(folder, 'unpacked'), { recursive: true });
  for (const [link, name] of [
    ['config', 'etc'],
    ['data', 'lib/data'],
    ['log', 'log'],
  ] as const) {
    rmSync(join(base, link));
    mkdirSync(join(folder, name), { recursive: true });
    symlinkSync(join(folder, name), join(base, link));
  }
  const [answers, bootstrap] = [join(folder, 'answers'), join(folder, 'bootstrap')];
  mkdirSync(answers);
  // With the base that exists.
  mkdirSync(join(folder, 'lib/ts_unshare/cache'), { recursive: true });
  symlinkSync(
    join(cacheHome(process.env), 'virt-ts-unshare'),
    join(folder, 'lib/ts_unshare/cache/virt-ts-unshare'),
  );
  writeSettings(folder, archive);
  writePrograms(join(folder, 'bin'), answers, bootstrap);
  const env = { PATH: `${join(folder, 'bin')}:${process.env.PATH}`, TMPDIR: join(folder, 'tmp') };
  mkdirSync(env.TMPDIR);
  // A worker of debci 3.12 leaves its results, each with a stamp, to a process that publishes them.
  const results = join(folder, 'lib/data/results');
  mkdirSync(results);
  const paths = (each: string) => readdirSync(each).map((name) => join(each, name));
  return {
    ...{ base, program: join(base, 'bin/debci'), env, bootstrap },
    answers: () => [answers, results].flatMap(paths).filter((path) => !path.endsWith('.stamp')),
  };
}

const ACCOUNTS = [
  ['root', 0],
  ['_apt', 42],
  ['debci', 1000],
  ['nobody', 65534],
] as const;

/** Without a line in /etc/shadow. */
function accountLine([name, id]: (typeof ACCOUNTS)[number], isUser: boolean): string {
  return isUser ? `${name}:*:${id}:${id}::/tmp:/bin/sh` : `${name}:*:${id}:`;
}

function writeSettings(folder: string, archive: string): void {
  // The root filesystem of the tests lacks the account, which `create-testbed` makes.
  const accounts = ['passwd', 'group'].map((name) => {
    const path = join(folder, name);
    writeFileSync(path, ACCOUNTS.map((account) => `${accountLine(account, name === 'passwd')}\n`).join(''));
    return `--bind-ro ${path} /etc/${name}`;
  });
  writeFileSync(
    join(folder, 'etc/debci.conf'),
    [
      'debci_suite=bookworm',
      'debci_backend=ts_unshare',
      `debci_lock_dir=${folder}`,
      `export debci_autopkgtest_args_ts_unshare="--bind-ro ${archive} /srv/archive ${accounts.join(' ')}"`,
      '',
    ].join('\n'),
  );
  mkdirSync(join(folder, 'etc/ts_unshare'));
  writeFileSync(
    join(folder, 'etc/ts_unshare/bookworm.sources'),
    'deb http://localhost/debian bookworm main\n',
  );
}

/** Programs in place of a broker's and of mmdebstrap, whose root filesystem is one of the tests. */
function writePrograms(folder: string, answers: string, bootstrap: string): void {
  mkdirSync(folder);
  const programs: Readonly<Record<string, readonly string[]>> = {
    mmdebstrap: [
      `printf '%s\\n' "$@" >${shellQuote(bootstrap)}`,
      `for word; do case $word in *.tar.zst) cp ${shellQuote(testTarball('build'))} "$word" ;; esac; done`,
    ],
    retry: ['shift', 'exec "$@"'],
    'amqp-publish': [`cat >"$(mktemp ${shellQuote(join(answers, 'XXXXXX'))})"`],
    // As the real one, it stays the parent of what serves the request on its stdin.
    'amqp-consume': ['"$@"', 'exit $?'],
  };
  for (const [name, lines] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${lines.join('\n')}\n`);
    chmodSync(join(folder, name), 0o755);
  }
}
