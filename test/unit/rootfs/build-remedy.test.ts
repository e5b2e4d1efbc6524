import assert from 'node:assert/strict';
import { buildRemedy } from '../../../src/rootfs/build-remedy.ts';

const SAID: Readonly<Record<string, readonly [said: string, remedy: RegExp]>> = {
  'an expired release': [
    'E: Release file for MIRROR/dists/sid/InRelease is expired (invalid since 22d 22h 15min 5s). Updates for this repository will not be applied.',
    /check-valid-until=no/,
  ],
  'a release that the mirror does not have': [
    "E: The repository 'MIRROR buster Release' does not have a Release file.",
    /^give a release, and an architecture, that the mirror has/,
  ],
  'an architecture that the mirror does not have': [
    'E: Failed to fetch MIRROR/dists/trusty/main/binary-amd64/Packages  404  Not Found [IP: 203.0.113.80 80]',
    /^give a release, and an architecture, that the mirror has/,
  ],
  'a mirror that is being updated': [
    'E: Failed to fetch MIRROR/Packages.xz  File has unexpected size (720 != 1108). Mirror sync in progress?',
    /^try again later/,
  ],
  'an unknown key': [
    "W: GPG error: MIRROR noble InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 871920D1991BC93C",
    /^install the keyring package/,
  ],
  'no network': [
    "E: Failed to fetch MIRROR/dists/sid/InRelease  Could not resolve 'mirror'",
    /^look at the network/,
  ],
  'no arch-test': ['E: install arch-test for foreign architecture support', /^install the package arch-test/],
  'anything else': ['E: setup failed', /^give another release or mirror/],
};

describe('the remedy for a failed build', () => {
  for (const [what, [said, remedy]] of Object.entries(SAID)) {
    it(`of ${what}`, () => assert.match(buildRemedy(said), remedy));
  }

  it('is there without a word of the program', () =>
    assert.match(buildRemedy(undefined), /VIRT_TS_UNSHARE_DEBUG=1 shows/));
});
