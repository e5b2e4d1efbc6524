/** Requests to the helper as data (helper/steps.c). Paths and links in them are looked up below the last `root` step. */

/** A name, a description for its failure, and its arguments. */
export type Step = readonly [name: string, description: string, ...args: string[]];

/** Following paths are looked up below this directory of the holder. */
export const root = (path: string): Step => ['root', `opening the root ${path}`, path];

/** @param mode octal digits; an existing directory gets it */
export const directory = (path: string, mode = '0755'): Step => [
  'directory',
  `making the directory ${path}`,
  path,
  mode,
];

export const file = (path: string, text = '', mode = '0644'): Step => [
  'file',
  `writing ${path}`,
  path,
  mode,
  text,
];

export const append = (path: string, text: string): Step => ['append', `adding to ${path}`, path, text];

export const link = (path: string, target: string): Step => ['link', `making the link ${path}`, path, target];

/** @param options separated by commas, as of mount(8): those of the file system, and nosuid, nodev, noexec, ro */
export const mount = (type: string, path: string, options: string): Step => [
  'mount',
  `mounting ${type} on ${path}`,
  type,
  path,
  options,
];

export const bind = (source: string, path: string, access: 'rw' | 'ro' = 'rw'): Step => [
  'bind',
  `binding ${path}`,
  source,
  path,
  access,
];

export const detach = (path: string): Step => ['detach', `detaching ${path}`, path];

export const copy = (source: string, path: string): Step => [
  'copy',
  'copying the root filesystem',
  source,
  path,
];

/** @param owner a user of the holder without other keys, because the kernel limits the keys of each user */
export const keyring = (name: string, owner: number): Step => [
  'keyring',
  'making a session keyring',
  name,
  String(owner),
];

/** Limits the number of processes in the user namespace that is made next. */
export const processes = (count: number): Step => ['processes', 'limiting the processes', String(count)];

export const hostname = (name: string): Step => ['hostname', 'setting the host name', name];

export const loopback = (): Step => ['loopback', 'setting the interface lo up'];

/** Copies the base's accounts, and reports the event `accounts`: `files` it has, its first ordinary `user`, its `bash`. */
export const accounts = (base: string): Step => ['accounts', 'copying the accounts', base];

export const home = (base: string, user: string, id: number): Step => [
  'home',
  `making the home of ${user}`,
  base,
  user,
  String(id),
];

/** Lets maintainer scripts start services. Reports the event `services`: `start` is 0 where the image does not allow it. */
export const services = (base: string): Step => ['services', 'allowing services to start', base];

/** Makes `/run/utmp`, empty or with the records of a system that has booted, in the format of the host's C library. */
export const utmp = (content: 'boot' | 'empty'): Step => ['utmp', 'making /run/utmp', content];

/** What a generator of systemd needs: a file that exists, one with lines that are no comments, or scripts that have no unit. */
export type Need = readonly [kind: 'exists' | 'lines' | 'scripts', path: string];

/** Makes the link `path` to /dev/null where there is no need of what it hides. */
export const maskIdle = (path: string, [kind, what]: Need): Step => [
  'mask_idle',
  `masking ${path}`,
  path,
  kind,
  what,
];

/** Makes what is missing of a path, as a target for a bind mount. */
export const place = (path: string, kind: 'directory' | 'file'): Step => [
  'place',
  `making the mount point ${path}`,
  path,
  kind,
];

/** Reports the event `init`: `path` and `name` of the init of the base, and `machine`, 0 where it has no machine id. */
export const inits = (base: string, choice: string): Step => [
  'inits',
  'looking for the init of the root filesystem',
  base,
  choice,
];

interface Pid1 {
  readonly mark: string;
  readonly script: string;
  /** `later`: the run waits for `Hold.go`, when all is mounted and nothing of the root filesystem has run. */
  readonly when: 'now' | 'later';
  /** An init of the root filesystem, in place of the script. */
  readonly program?: string | undefined;
}

/** Makes a mount point the root, and becomes pid 1: `/bin/sh` with this script, or a program. */
export const init = (path: string, { mark, script, when, program = '' }: Pid1): Step => [
  'init',
  `executing ${program || '/bin/sh'} of the root filesystem`,
  path,
  mark,
  script,
  when,
  program,
];
