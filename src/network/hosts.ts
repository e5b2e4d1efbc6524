export function isHostname(text: string): boolean {
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

interface HostEntry {
  readonly address: string;
  readonly name: string;
}

export function hostLines(entries: readonly HostEntry[]): string {
  return entries.map(({ address, name }) => `${address} ${name}`).join('\n');
}

export function hostsFile(lines: string): string {
  return [
    '127.0.0.1 localhost',
    lines,
    '::1 localhost ip6-localhost ip6-loopback',
    'ff02::1 ip6-allnodes',
    'ff02::2 ip6-allrouters',
    '',
  ].join('\n');
}
