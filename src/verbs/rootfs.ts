/** `virt-ts-unshare rootfs ...`: the root filesystems that are kept, for a person. The words of the command line. */
import { UsageError } from '../errors.ts';
import { createLog } from '../log.ts';
import { openCache } from '../rootfs/cache.ts';
import { ROOTFS_COMMANDS } from './rootfs-commands.ts';
import type { RunVerb } from './verb.ts';
import { parseVerb } from './words.ts';

export const ROOTFS_USAGE = `Usage: virt-ts-unshare rootfs COMMAND [OPTION]...

The root filesystems that testbeds start from: images (tarballs that were built or imported) and bases (what tarballs
were unpacked to).

  list [--json]            show images and bases, with size, last use and the processes that use them now
  build [RELEASE]          build the image of a release (default: the host's own)
  update [NAME...]         build images anew that were built before (default: all of them)
  import PATH NAME         make an image of a tarball or directory, also in place of one that was imported
  remove NAME|KEY...       remove images or bases
  prune                    remove bases that were not used for long, and what crashes or rm -r left
  verify [KEY...]          compare bases with the tarballs that they came from (default: all)

NAME is RELEASE-ARCH, or RELEASE for this machine's architecture; KEY the first characters of a base's key.

Options:
  -a, --arch ARCH          build, import: Debian's name of the architecture (default: the host's own)
  -m, --mirror MIRROR      build, update: take packages from this mirror (default: the machine's own)
      --bootstrapcmd CMD   build, update: use this command instead of mmdebstrap
      --all                prune: remove every base that is not in use, so that rm -rf can delete the cache
      --max-age DAYS       prune: keep bases that were used in that time (default: 30)
      --max-size SIZE      prune: bytes, or with K, M, G, that all bases may take together (default: 20G)
  -d, --debug              say on stderr what is done
      --stay-root          do not become the user who called sudo

A base in use is never removed. An image with the name of a release is used by the server without further options.

Examples:
  virt-ts-unshare rootfs build trixie
  virt-ts-unshare rootfs list
  virt-ts-unshare rootfs prune --max-age 7
`;

/** Gives the exit status: 0, or 1 when something that was named is in use or different. */
export const rootfs: RunVerb = async (argv, signal) => {
  const { values, positionals } = parse(argv);
  const [command, ...names] = positionals;
  if (values.help === true) {
    process.stdout.write(ROOTFS_USAGE);
    return 0;
  }
  const known = ROOTFS_COMMANDS;
  const run = command !== undefined && Object.hasOwn(known, command) ? known[command] : undefined;
  if (run === undefined) {
    const given = command === undefined ? 'rootfs needs a command' : `rootfs knows no command ${command}`;
    throw new UsageError(`${given}; give one of ${Object.keys(known).join(', ')}, or --help`);
  }
  const strange = Object.keys(values).find((name) => !COMMON.includes(name) && !run.options.includes(name));
  if (strange !== undefined) {
    throw new UsageError(`--${strange} does not go with rootfs ${command}; see rootfs --help`);
  }
  const log = createLog({ debug: values.debug ?? false });
  return run.carryOut({ names, values, cache: openCache(process.env), log, signal });
};

/** Options of every command. */
const COMMON: readonly string[] = ['debug', 'help'];

function parse(argv: readonly string[]) {
  return parseVerb('rootfs', {
    args: [...argv],
    allowPositionals: true,
    options: {
      arch: { type: 'string', short: 'a' },
      mirror: { type: 'string', short: 'm' },
      bootstrapcmd: { type: 'string' },
      'max-age': { type: 'string' },
      'max-size': { type: 'string' },
      json: { type: 'boolean' },
      all: { type: 'boolean' },
      debug: { type: 'boolean', short: 'd' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
