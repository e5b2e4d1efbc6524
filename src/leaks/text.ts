import type { InterfaceLeak, MountLeak } from './leak.ts';

export function printable(bytes: Buffer): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replace(/[%\p{C}\p{Zl}\p{Zp}]/gu, (char) => encodeURIComponent(char));
  } catch {
    return bytes
      .toString('latin1')
      .replace(/[^ -$&-~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
  }
}

export function commandText(text: string): string {
  const words = text.replace(/\0+$/, '').replaceAll('\0', ' ');
  return printable(Buffer.from(words, 'latin1'));
}

export function newMounts(before: string, now: string): MountLeak[] {
  const known = new Set(parseMounts(before).map(({ identity }) => identity));
  return parseMounts(now).flatMap(({ identity, leak }) => (known.has(identity) ? [] : [leak]));
}

function parseMounts(text: string): { identity: string; leak: MountLeak }[] {
  return text.split('\n').flatMap((line) => {
    // The optional fields before the hyphen change with mounts elsewhere.
    const [front = '', back = ''] = line.split(' - ');
    const [id, parent, device, root, point = ''] = front.split(' ');
    const [type = '', source = ''] = back.split(' ');
    if (type === '') return [];
    const leak: MountLeak = {
      kind: 'mount',
      path: printable(unescapeMount(point)),
      type: printable(Buffer.from(type, 'latin1')),
      source: printable(unescapeMount(source)),
    };
    return [{ identity: [id, parent, device, root, point, type, source].join(' '), leak }];
  });
}

/** proc_pid_mountinfo(5): white space and backslash are octal escapes. */
function unescapeMount(text: string): Buffer {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, 'latin1');
}

export function newInterfaces(before: string, now: string): InterfaceLeak[] {
  const names = (text: string) => text.split('\n').flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);
  const known = new Set(names(before));
  return names(now).flatMap((name) =>
    known.has(name) ? [] : [{ kind: 'interface', name: printable(Buffer.from(name, 'latin1')) }],
  );
}
