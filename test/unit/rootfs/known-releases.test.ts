import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkRelease, knownReleases } from '../../../src/rootfs/known-releases.ts';

describe('a release', () => {
  it('that is nearly the name of a known one is refused, with that name', () => {
    for (const [typed, meant] of [
      ['trixy', 'trixie'],
      ['bokworm', 'bookworm'],
      ['bullsyee', 'bullseye'],
      ['Sid', 'sid'],
      ['unstabel', 'unstable'],
    ] as const) {
      assert.throws(() => checkRelease(typed, {}), {
        code: 'UNKNOWN_RELEASE',
        message: `the release ${typed} is not known (did you mean ${meant}); give a release that exists, or the mirror that has this one with mirror`,
      });
    }
  });

  it('that is known, or may be newer than this machine, is not refused', () => {
    for (const name of [...knownReleases(), 'next-but-one', 'kali-rolling', 'chimaera', 'zurg', 'x']) {
      checkRelease(name, {});
    }
    assert.ok(['bookworm', 'trixie', 'forky', 'sid'].every((name) => knownReleases().includes(name)));
  });

  it('is not the name of a file', () => {
    for (const name of ['y.tar', 'sid.tar.zst', 'chroots/sid', './sid', 'sid.tgz']) {
      assert.throws(() => checkRelease(name, { mirror: 'http://mirror.example/debian' }), {
        code: 'WRONG_VALUE',
        message: `${name} is the name of a file, not of a release; give a release, such as trixie; a tarball is given with rootfs, or becomes an image by rootfs import`,
      });
    }
  });

  it('is left to a mirror or a command that is named', () => {
    checkRelease('trixy', { mirror: 'http://mirror.example/debian' });
    // No path of this machine: apt reports what is wrong.
    for (const mirror of ['file://mirror/debian', 'copy://mirror/debian', 'file:///a%zz']) {
      checkRelease('trixy', { mirror });
    }
    checkRelease('trixy', { mirror: 'deb [trusted=yes] http://mirror.example/debian trixy main' });
    checkRelease('trixy', { bootstrapcmd: 'make-it' });
  });

  it('is looked for in a mirror on this machine', () => {
    const mirror = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-mirror-'));
    try {
      // Not the layout of a mirror: apt may know it.
      checkRelease('trixie', { mirror });
      mkdirSync(join(mirror, 'dists/trixie'), { recursive: true });
      for (const word of [mirror, `file:${mirror}`, `file://${mirror}`, `deb copy:${mirror} trixie main`]) {
        checkRelease('trixie', { mirror: word });
        assert.throws(() => checkRelease('trixy', { mirror: word }), {
          code: 'UNKNOWN_RELEASE',
          message: `the mirror ${word} has no release trixy (did you mean trixie); give one of trixie`,
        });
      }
    } finally {
      rmSync(mirror, { recursive: true });
    }
  });
});
