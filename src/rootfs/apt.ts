import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeTemporary } from '../folders.ts';
import { type Argv, quickHost } from '../host.ts';
import type { Log } from '../log.ts';
import { findProgram } from '../processes/find.ts';

interface AptIndex {
  readonly origin: string;
  readonly label: string;
  readonly site: string;
  readonly release: string;
  readonly codename: string;
}

const FORMAT = '$(ORIGIN)\t$(LABEL)\t$(SITE)\t$(RELEASE)\t$(CODENAME)';

/** None when there is no apt or it cannot reach its sources. @throws the reason of the signal */
export async function readAptIndexes(log: Log, signal?: AbortSignal): Promise<AptIndex[]> {
  if (findProgram('apt-get') === undefined) return [];
  const known = await askApt([], log, signal);
  if (known.some((index) => index.origin !== '')) return known;
  // The host's lists are missing, and only they name the publisher of an archive: download them.
  const folder = makeTemporary('virt-ts-unshare-');
  try {
    for (const name of ['lists/partial', 'cache/archives/partial']) {
      mkdirSync(join(folder, name), { recursive: true });
    }
    const own = [`Dir::State::lists=${folder}/lists`, `Dir::Cache=${folder}/cache`, 'APT::Sandbox::User='];
    const options = own.flatMap((option) => ['-o', option]);
    await quickHost(['apt-get', ...options, '--quiet=2', 'update'], log, abortedBy(signal));
    return await askApt(options, log, signal);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function askApt(
  options: readonly string[],
  log: Log,
  signal: AbortSignal | undefined,
): Promise<AptIndex[]> {
  const argv: Argv = ['apt-get', ...options, 'indextargets', '--format', FORMAT, 'Created-By: Packages'];
  const { status, stdout } = await quickHost(argv, log, abortedBy(signal));
  signal?.throwIfAborted();
  return status === 0 ? parseIndexes(stdout) : [];
}

function abortedBy(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/**
 * From the package DISTRIBUTION-archive-keyring or DISTRIBUTION-keyring, on the host and in the built root filesystem.
 * @param id as in os-release(5)
 */
export function keyringOf(id: string): string {
  return `/usr/share/keyrings/${id}-archive-keyring.gpg`;
}

export function parseIndexes(text: string): AptIndex[] {
  return text.split('\n').flatMap((line) => {
    const [origin, label, site, release, codename] = line.split('\t');
    if (origin === undefined || label === undefined || site === undefined) return [];
    if (release === undefined || codename === undefined) return [];
    // A field that apt does not know is the name of the field.
    const known = (field: string) => (field.startsWith('$(') ? '' : field);
    return [
      {
        origin: known(origin),
        label: known(label),
        site: known(site),
        release: known(release),
        codename: known(codename),
      },
    ];
  });
}

/**
 * Lines for a release from the host's mirrors: those of that release, else the same archives with the usual suites of the
 * release (unstable has neither updates nor security). Archives of third parties are left out.
 * @param origin the distribution, as its archives name it
 * @param keyring file that signs the archives, on the host and in the root filesystem; undefined: what apt trusts
 */
export function sourceLines(
  indexes: readonly AptIndex[],
  release: string,
  origin: string,
  keyring: string | undefined,
): string[] {
  const fitting = indexes.filter((index) => index.origin === origin);
  const main = fitting.find(
    (index) => index.label === origin && !/-(updates|backports)$/.test(index.release),
  );
  if (main === undefined) return [];
  const security = fitting.find((index) => index.label === `${origin}-Security`);
  const own = [release, `${release}-updates`, `${release}-security`].flatMap((suite) => {
    const index = fitting.find((each) => each.release === suite || each.codename === suite);
    return index === undefined ? [] : [{ site: index.site, suite }];
  });
  const rolling = release === 'unstable' || release === 'sid';
  const usual = [
    { site: main.site, suite: release },
    ...(rolling ? [] : [{ site: main.site, suite: `${release}-updates` }]),
    ...(rolling || security === undefined ? [] : [{ site: security.site, suite: `${release}-security` }]),
  ];
  const options = keyring === undefined ? '' : `[signed-by=${keyring}] `;
  const chosen = own[0]?.suite === release ? own : usual;
  return ['deb', 'deb-src'].flatMap((type) =>
    chosen.map(({ site, suite }) => `${type} ${options}${site} ${suite} main`),
  );
}
