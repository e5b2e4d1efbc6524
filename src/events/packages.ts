/** The packages that a status file of dpkg lists. The file is hostile: of each stanza only valid names and versions are taken. */

export type PackageList = ReadonlyMap<string, string>;

export interface PackageChanges {
  readonly installed: Readonly<Record<string, string>>;
  readonly removed: Readonly<Record<string, string>>;
  readonly changed: Readonly<Record<string, { readonly from: string; readonly to: string }>>;
}

const MOST_PACKAGES = 50_000;
const NAME = /^[a-z0-9][a-z0-9+.-]{0,199}$/;
const VERSION = /^[A-Za-z0-9.+~:_-]{1,200}$/;
const ARCH = /^[a-z0-9][a-z0-9-]{0,49}$/;

/** Versions by name, as `dpkg-query` prints `${binary:Package}`, sorted. Packages that are not installed are left out. */
export function parseDpkgStatus(text: string): PackageList {
  const stanzas = text.split(/\n\n+/).slice(0, MOST_PACKAGES).map(fieldsOf);
  const native = stanzas.find(({ Package }) => Package === 'dpkg')?.Architecture;
  const found = stanzas.flatMap(({ Package = '', Version = '', Architecture = '', Status = '' }) => {
    if (!Status.endsWith(' installed') || !NAME.test(Package) || !VERSION.test(Version)) return [];
    const foreign = Architecture !== 'all' && Architecture !== native && ARCH.test(Architecture);
    return [[foreign && native !== undefined ? `${Package}:${Architecture}` : Package, Version] as const];
  });
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

const WANTED = /^(Package|Version|Architecture|Status): (.*)$/gm;

type Field = 'Package' | 'Version' | 'Architecture' | 'Status';

function fieldsOf(stanza: string): Partial<Record<Field, string>> {
  const fields: Partial<Record<string, string>> = {};
  for (const [, name = '', value = ''] of stanza.matchAll(WANTED)) fields[name] ??= value.trim();
  return fields;
}

export function changesOf(before: PackageList, after: PackageList): PackageChanges {
  const installed: Record<string, string> = {};
  const removed: Record<string, string> = {};
  const changed: Record<string, { from: string; to: string }> = {};
  for (const [name, to] of after) {
    const from = before.get(name);
    if (from === undefined) installed[name] = to;
    else if (from !== to) changed[name] = { from, to };
  }
  for (const [name, version] of before) if (!after.has(name)) removed[name] = version;
  return { installed, removed, changed };
}

/** The list that a change makes of another one. */
export function changedList(base: PackageList, { installed, removed, changed }: PackageChanges): PackageList {
  const list = new Map(base);
  for (const name of Object.keys(removed)) list.delete(name);
  for (const [name, version] of Object.entries(installed)) list.set(name, version);
  for (const [name, { to }] of Object.entries(changed)) list.set(name, to);
  return list;
}
