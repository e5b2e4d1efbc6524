/** Prints the script of a newcomer: `node --import tsx test/newcomer/script.ts RELEASE WAY`. */
import { readFileSync } from 'node:fs';
import { projectDir } from '../support/rootfs.ts';
import { RELEASES, type Release, scriptOf, stepsOf, WAYS, type Way } from './steps.ts';

/** Seconds; more on a busy machine. */
const LIMIT = Number(process.env.NEWCOMER_SECONDS ?? 180);

const isRelease = (name: string | undefined): name is Release => name !== undefined && name in RELEASES;
const isWay = (name: string | undefined): name is Way => WAYS.some((way) => way === name);

const [release, way] = process.argv.slice(2);
if (!isRelease(release) || !isWay(way)) {
  console.error(`usage: script.ts ${Object.keys(RELEASES).join('|')} ${WAYS.join('|')}`);
  process.exitCode = 2;
} else {
  const page = readFileSync(`${projectDir}docs/install.md`, 'utf8');
  process.stdout.write(scriptOf(stepsOf(page, way, release), LIMIT));
}
