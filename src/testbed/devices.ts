/** What is at /dev. */
export const DEVICES = ['null', 'zero', 'full', 'random', 'urandom', 'tty', 'net/tun'];
export const DEVICE_LINKS = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
] as const;
