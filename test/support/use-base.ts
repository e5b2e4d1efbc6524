/**
 * A process of its own that uses the base of a tarball: argv is the tarball. Says the path and what unpacking said on
 * stdout, then holds the base until its stdin ends.
 */
import { createLog } from '../../src/log.ts';
import { useBase } from '../../src/rootfs/base.ts';
import { openCache } from '../../src/rootfs/cache.ts';
import { fakeHolder } from './fake-holder.ts';

const path = process.argv[2] ?? '';
const cache = openCache(process.env);
const log = createLog({ debug: true });
const base = await useBase({ kind: 'tarball', path }, fakeHolder, cache, log);
process.stdout.write(`${base.path}\n`);
process.stdin.resume();
process.stdin.once('end', () => void base.release());
