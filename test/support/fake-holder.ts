/** A stand-in for the holder where no namespaces are to be used: commands run as the caller, paths stay as they are. */
import type { Inside } from '../../src/rootfs/unpack.ts';

export const fakeHolder: Inside = {
  idMap: { key: 'none-1', single: true },
  inside: (path) => path,
  enter: (argv) => argv,
};
