/**
 * Pid 1: an init of the root filesystem, which has to have one (`image`), or may (`auto`); its systemd; or the program at a path.
 */
export type InitChoice = 'auto' | 'image' | 'systemd' | `/${string}`;
