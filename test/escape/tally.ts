/** How many attacks were tried, with which seed, and how long a run is: ESCAPE_ROUNDS and ESCAPE_SEED. */
import { randomInt } from 'node:crypto';
import { randomFrom } from '../support/random.ts';

/** 1 is the short form. */
export const ROUNDS = Number(process.env.ESCAPE_ROUNDS ?? 1);
export const SEED = Number(process.env.ESCAPE_SEED ?? randomInt(2 ** 31));

export const random = randomFrom(SEED);

let attacks = 0;

export function count(more: number): void {
  attacks += more;
}

/** So many of the list, in an order that depends on the seed; all of them in a long run. */
export function some<T>(list: readonly T[], few: number): T[] {
  const left = [...list];
  const chosen: T[] = [];
  while (left.length > 0 && chosen.length < few * ROUNDS) {
    chosen.push(...left.splice(Math.floor(random() * left.length), 1));
  }
  return chosen;
}

process.once('exit', () => {
  process.stdout.write(`${attacks} attacks, ESCAPE_ROUNDS=${ROUNDS} ESCAPE_SEED=${SEED}\n`);
});
