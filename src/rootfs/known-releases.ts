/**
 * Whether a release can exist, without a look at the network. A name is refused only when it cannot be one: a mirror on this machine
 * does not have it, or it is unknown and nearly the name of a known release. Any other name may be one that is newer than this program.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../errors.ts';
import { didYouMean, nearestTo } from '../nearest.ts';
import { option } from '../option-words.ts';

/** Debian's own, so that a typo is found on a machine without distro-info-data. */
const DEBIAN = [
  ...'buzz rex bo hamm slink potato woody sarge etch lenny squeeze wheezy jessie stretch buster'.split(' '),
  ...'bullseye bookworm trixie forky duke sid oldoldstable oldstable stable testing unstable'.split(' '),
];

const CSV_FILES = '/usr/share/distro-info';
const DEBOOTSTRAP = '/usr/share/debootstrap/scripts';
const APT_LISTS = '/var/lib/apt/lists';

interface Wanted {
  readonly mirror?: string | undefined;
  readonly bootstrapcmd?: string | undefined;
}

/** @param images names that would be found too @throws UsageError */
export function checkRelease(
  release: string,
  { mirror, bootstrapcmd }: Wanted,
  images: readonly string[] = [],
): void {
  // Another command may make anything of any name.
  if (bootstrapcmd !== undefined) return;
  if (isFileName(release)) {
    throw new UsageError(`${release} is the name of a file, not of a release`, {
      code: 'WRONG_VALUE',
      remedy: `give a release, such as trixie; a tarball is given with ${option('tarball')}, or becomes an image by rootfs import`,
    });
  }
  const local = mirror === undefined ? undefined : localMirror(mirror);
  if (local !== undefined) checkSuites(release, `${local}/dists`, mirror ?? local);
  if (mirror !== undefined) return;
  const known = [...knownReleases(), ...images];
  if (known.includes(release)) return;
  const meant =
    nearestTo(release, known, 1) ??
    (release.length < LONG ? undefined : nearestTo(release, [...DEBIAN, ...images], 2));
  if (meant === undefined) return;
  throw new UsageError(`the release ${release} is not known (did you mean ${meant})`, {
    code: 'UNKNOWN_RELEASE',
    remedy: `give a release that exists, or the mirror that has this one with ${option('mirror')}`,
  });
}

/** A path, or the name of a tarball. */
export function isFileName(text: string): boolean {
  return text.includes('/') || /\.(?:tar(?:\.[a-z0-9]+)?|tgz|txz|tbz2?|tzst)$/.test(text);
}

/** A name with two wrong letters is a typo where it has so many. */
const LONG = 5;

/** The directory of a mirror on this machine, given alone or in a line of sources.list(5). */
function localMirror(mirror: string): string | undefined {
  const word = mirror.split(/\s+/).find((each) => /^(?:(?:file|copy):)?\//.test(each));
  if (word === undefined) return undefined;
  const path = word.replace(/^(?:file|copy):/, '');
  if (!path.startsWith('//')) return path;
  try {
    return fileURLToPath(`file:${path}`);
  } catch {
    // Of another machine, or with a wrong percent code: apt reports it.
    return undefined;
  }
}

function checkSuites(release: string, folder: string, mirror: string): void {
  // A file of sources.list(5), or an archive without this directory, is left to apt.
  if (!existsSync(folder) || existsSync(`${folder}/${release}`)) return;
  const suites = readNames(folder);
  throw new UsageError(`the mirror ${mirror} has no release ${release}${didYouMean(release, suites)}`, {
    code: 'UNKNOWN_RELEASE',
    remedy: suites.length === 0 ? 'give another mirror' : `give one of ${suites.join(', ')}`,
  });
}

export function knownReleases(): string[] {
  const csv = readNames(CSV_FILES)
    .filter((name) => name.endsWith('.csv'))
    .flatMap((name) => seriesOf(`${CSV_FILES}/${name}`));
  const lists = readNames(APT_LISTS).flatMap((name) => /_dists_([^_]+)_/.exec(name)?.[1] ?? []);
  const all = [...DEBIAN, ...csv, ...lists, ...readNames(DEBOOTSTRAP)];
  return [...new Set(all)];
}

interface Machine {
  /** As in os-release(5). */
  readonly id: string;
  readonly release: string | undefined;
}

/**
 * Whether the release belongs to another distribution than this machine. That of the machine does not, though Raspbian has the names
 * of Debian's releases.
 * @param seriesIn names of the releases of the distribution with this id
 */
export function isOfAnother(release: string, { id, release: own }: Machine, seriesIn = releasesOf): boolean {
  if (release === own) return false;
  const others = ['debian', 'ubuntu'].filter((other) => other !== id);
  return others.some((other) => seriesIn(other).includes(release)) && !seriesIn(id).includes(release);
}

function releasesOf(id: string): readonly string[] {
  return [...(id === 'debian' ? DEBIAN : []), ...seriesOf(`${CSV_FILES}/${id}.csv`)];
}

/** The third field of a line: `13,Trixie,trixie,2023-06-10,...`. */
function seriesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .slice(1)
      .flatMap((line) => line.split(',')[2] || []);
  } catch {
    return [];
  }
}

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
