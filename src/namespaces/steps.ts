/**
 * What the helper does for a request, as data: files to make, mounts, and the pid 1 to become (helper/steps.c). Pure. A path is
 * looked up below the root of the last `root` step, and so are the links in it.
 */

/** A name, a description that is reported when it fails, and its arguments. */
export type Step = readonly [name: string, description: string, ...args: string[]];

/** From here on paths are looked up below this directory of the holder's. */
export const root = (path: string): Step => ['root', `opening the root ${path}`, path];

/** @param mode octal digits; a directory that is there gets it */
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

/** Shows a file or directory of the holder's, with all that is mounted below it. */
export const bind = (source: string, path: string, access: 'rw' | 'ro' = 'rw'): Step => [
  'bind',
  `binding ${path}`,
  source,
  path,
  access,
];

export const detach = (path: string): Step => ['detach', `detaching ${path}`, path];

/** Copies what lies in a directory, with owners, modes, links and extended attributes, by the host's cp. */
export const copy = (source: string, path: string): Step => [
  'copy',
  'copying the root filesystem',
  source,
  path,
];

export const keyring = (name: string): Step => ['keyring', 'making a session keyring', name];

export const hostname = (name: string): Step => ['hostname', 'setting the host name', name];

/** The interface lo of an own network namespace goes up. */
export const loopback = (): Step => ['loopback', 'setting the interface lo up'];

/** Copies the base's accounts, and reports the event `accounts`: `files` it has, its first ordinary `user`, its `bash`. */
export const accounts = (base: string): Step => ['accounts', 'copying the accounts', base];

/** A directory below /home with what the base has in /etc/skel. */
export const home = (base: string, user: string, id: number): Step => [
  'home',
  `making the home of ${user}`,
  base,
  user,
  String(id),
];

/** Makes what is missing of a path, so that something can be bound there. */
export const place = (path: string, kind: 'directory' | 'file'): Step => [
  'place',
  `making the mount point ${path}`,
  path,
  kind,
];

/** Makes a mount point the root, and becomes a testbed's pid 1: `/bin/sh` with this script. */
export const init = (path: string, mark: string, script: string): Step => [
  'init',
  'executing /bin/sh of the root filesystem',
  path,
  mark,
  script,
];
