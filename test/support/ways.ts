/** The two ways into a testbed: on-host/enter.c, and nsenter(1) where that was not compiled. */

export const ways = ['enter', 'nsenter'] as const;
export type Way = (typeof ways)[number];

/** The words of an execute command, made to go that way. The build has to have compiled enter.c. */
export function goingBy(way: Way, words: readonly string[]): string[] {
  const at = words.indexOf('-E');
  if (at < 0)
    throw new Error('on-host/enter.c is not compiled; install gcc and libc6-dev and run: npm run build');
  return way === 'enter' ? [...words] : words.toSpliced(at, 2);
}
