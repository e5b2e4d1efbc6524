/** Errors of the system that are no fault of this program: it has no more of something, or refuses to write. Each has a remedy. */
import { reasonOf, systemCodeOf, TestbedError } from './errors.ts';

const KINDS: Readonly<Record<string, { readonly words: string; readonly remedy: string }>> = {
  EAGAIN: {
    words: 'Resource temporarily unavailable|Cannot fork|can.t fork',
    remedy:
      'end other processes of this user, or raise its limit (ulimit -u, or TasksMax= of the systemd unit)',
  },
  EDQUOT: { words: 'Disk quota exceeded', remedy: 'delete files of this user, or raise its quota' },
  EFBIG: {
    words: 'File too large|File size limit exceeded',
    remedy: 'raise the limit of the size of files (ulimit -f)',
  },
  EIO: { words: 'Input/output error', remedy: 'look at the messages of the kernel (dmesg)' },
  EMFILE: { words: 'Too many open files', remedy: 'raise the limit of open files (ulimit -n)' },
  ENFILE: {
    words: 'Too many open files in system',
    remedy: 'end programs that have many files open, or raise fs.file-max with sysctl',
  },
  ENOMEM: { words: 'Cannot allocate memory', remedy: 'free some memory' },
  ENOSPC: { words: 'No space left on device', remedy: 'free space on that file system' },
  EROFS: {
    words: 'Read-only file system',
    remedy: 'mount it so that it can be written, or name another directory',
  },
};

/** @param code of a system error, such as `ENOSPC` */
export function scarceRemedy(code: string | undefined): string | undefined {
  return KINDS[code ?? '']?.remedy;
}

/** @param words of a program that was run with LC_ALL=C */
export function remedyInWords(words: string): string | undefined {
  // The longer one of two that fit.
  const fits = Object.values(KINDS).filter((kind) => new RegExp(kind.words, 'i').test(words));
  return fits.sort((one, other) => other.words.length - one.words.length)[0]?.remedy;
}

/** A sentence for such an error; undefined for every other one. */
export function scarceError(error: unknown): TestbedError | undefined {
  const code = systemCodeOf(error);
  if (code === 'ENOENT' && callOf(error).syscall === 'uv_cwd') {
    return new TestbedError('the working directory does not exist any more', {
      ...{ code, cause: error, remedy: 'change to another one (cd)' },
    });
  }
  const remedy = scarceRemedy(code);
  if (code === undefined || remedy === undefined) return undefined;
  const { syscall, path } = callOf(error);
  const on = path === undefined ? '' : ` of ${path}`;
  return new TestbedError(`${syscall ?? 'a system call'}${on} failed: ${reasonOf(error)}`, {
    code,
    remedy,
    cause: error,
  });
}

function callOf(error: unknown): { readonly syscall: string | undefined; readonly path: string | undefined } {
  const member = (name: string): string | undefined => {
    const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  return { syscall: member('syscall'), path: member('path') };
}
