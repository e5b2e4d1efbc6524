/** `cp`: files, directories and archives between the host and an open testbed, as podman cp has them. */
import { existsSync, type Stats, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isatty } from 'node:tty';
import { parseSize } from '../command-line/values.ts';
import { copyIn, copyOut } from '../copy/copy.ts';
import { getArchive } from '../copy/get-archive.ts';
import { isDirectoryInside } from '../copy/is-directory.ts';
import { putArchive } from '../copy/put-archive.ts';
import { withCopyLine } from '../copy/shown-copy.ts';
import type { CopyOptions, CopyTestbed } from '../copy/types.ts';
import { reasonOf, systemCodeOf, UsageError } from '../errors.ts';
import { createLog, type Log } from '../log.ts';
import { readCaller } from '../namespaces/caller.ts';
import { chooseIdMaps } from '../namespaces/idmap.ts';
import { registered } from '../processes/open-testbeds.ts';
import { type Place, placeOfWord } from './copy-place.ts';
import { copyTestbed } from './copy-target.ts';
import { choose } from './exec.ts';
import type { RunVerb } from './verb.ts';

/** Seconds: a person ends it by Ctrl-C. */
const NO_LIMIT = 2_000_000;

export const cp: RunVerb = async (words, signal) => {
  const [from, to] = words.operands.map(placeOfWord);
  if (from === undefined || to === undefined) {
    throw new UsageError('cp needs a source and a destination', {
      code: 'MISSING_WORD',
      remedy: 'write it like cp web:/etc/hostname . or cp notes.txt web:/root',
    });
  }
  const log = createLog({ debug: words.has('debug') });
  const maxBytes = parseSize('--max-copy', words.one('max-copy'));
  const options = {
    ...{ log, signal, timeout: NO_LIMIT },
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
  if (from.kind === 'testbed' && to.kind !== 'testbed') await fromTestbed(from, to, options);
  else if (to.kind === 'testbed' && from.kind !== 'testbed') await intoTestbed(from, to, options);
  else throw wrongSides(from.kind === 'testbed');
  return 0;
};

type Outside = Exclude<Place, { kind: 'testbed' }>;
type Inside = Extract<Place, { kind: 'testbed' }>;

function wrongSides(isInside: boolean): UsageError {
  return isInside
    ? new UsageError('cp does not copy from one testbed to another', {
        code: 'WRONG_VALUE',
        remedy: 'write it like virt-ts-unshare cp one:/srv - | virt-ts-unshare cp - other:/srv',
      })
    : new UsageError('neither the source nor the destination of cp is in a testbed', {
        code: 'WRONG_VALUE',
        remedy: 'write one of them like web:/etc/hostname',
      });
}

function open({ name, word }: Inside, log: Log): CopyTestbed {
  const testbeds = registered(process.env);
  if (!testbeds.some((each) => each.name === name) && existsSync(word)) {
    throw new UsageError(`this user has no open testbed ${name}`, {
      code: 'NO_TESTBED',
      remedy: `write ./${word} for the file of the host`,
    });
  }
  return copyTestbed(choose(name, testbeds), log);
}

async function fromTestbed(from: Inside, to: Outside, options: CopyOptions): Promise<void> {
  if (to.kind === 'archive' && isatty(1)) {
    throw new UsageError('cp writes a tar archive to stdout, which is a terminal', {
      code: 'WRONG_OUTPUT',
      remedy: 'write it to a file: cp NAME:PATH - >FILE',
    });
  }
  const testbed = open(from, options.log);
  const inside = Buffer.from(from.path);
  if (to.kind === 'archive') {
    const archive = await getArchive(testbed, inside, options);
    // A reader that has enough, such as head(1), is no failure.
    await pipeline(archive, process.stdout, { end: false }).catch((error: unknown) => {
      if (systemCodeOf(error) !== 'EPIPE') throw error;
    });
    return;
  }
  const isDirectory = await isDirectoryInside(testbed, from.path, options);
  const slash = isDirectory ? '/' : '';
  const target = isDirectoryHere(to.path) ? within(to.path, from) : to.path;
  await withCopyLine(`copying ${from.word}`, options, (shown) =>
    copyOut(testbed, Buffer.from(from.path + slash), Buffer.from(target + slash), shown),
  );
}

async function intoTestbed(from: Outside, to: Inside, options: CopyOptions): Promise<void> {
  if (from.kind === 'archive' && isatty(0)) {
    throw new UsageError('cp reads a tar archive from stdin, which is a terminal', {
      code: 'WRONG_INPUT',
      remedy: 'give it a file: cp - NAME:DIR <FILE',
    });
  }
  const isDirectory = from.kind === 'file' && mustExist(from.path).isDirectory();
  const testbed = open(to, options.log);
  if (from.kind === 'archive') {
    const owners = !chooseIdMaps(readCaller()).single;
    await putArchive(testbed, process.stdin, Buffer.from(to.path), { ...options, owners });
    return;
  }
  const slash = isDirectory ? '/' : '';
  const target = (await isDirectoryInside(testbed, to.path, options)) ? within(to.path, from) : to.path;
  await withCopyLine(`copying ${from.path}`, options, (shown) =>
    copyIn(testbed, Buffer.from(from.path + slash), Buffer.from(target + slash), shown),
  );
}

/** @throws UsageError */
function mustExist(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    throw systemCodeOf(cause) === 'ENOENT'
      ? new UsageError(`there is no file ${path}`, { code: 'NO_FILE', remedy: 'give one that exists', cause })
      : new UsageError(`cannot reach ${path}: ${reasonOf(cause)}`, {
          code: 'CANNOT_REACH',
          remedy: 'give the path of a file that this user can read',
          cause,
        });
  }
}

/** A copy to a path that cannot be reached fails with the reason. */
function isDirectoryHere(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Below a directory that exists, by the last name of the source; `DIR/.` is its content. */
function within(directory: string, { path }: { readonly path: string }): string {
  const name = basename(path);
  return ['.', '..', ''].includes(name) || path.endsWith('/.') ? directory : join(directory, name);
}
