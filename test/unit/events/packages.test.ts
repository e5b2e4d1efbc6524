import assert from 'node:assert/strict';
import { changedList, changesOf, parseDpkgStatus } from '../../../src/events/packages.ts';

function stanza(name: string, version: string, more: Readonly<Record<string, string>> = {}): string {
  const fields = {
    Package: name,
    Status: 'install ok installed',
    Architecture: 'amd64',
    Version: version,
    ...more,
  };
  return `${Object.entries(fields)
    .map(([field, value]) => `${field}: ${value}`)
    .join('\n')}\nDescription: of ${name}\n Version: 99\n`;
}

const DPKG = stanza('dpkg', '1.21.22');

describe("dpkg's status", () => {
  const listOf = (...stanzas: readonly string[]) => [...parseDpkgStatus([DPKG, ...stanzas].join('\n'))];

  it('gives the installed packages, those of foreign architectures by another name', () => {
    assert.deepEqual(
      listOf(
        stanza('zlib1g', '1:1.2.13', { Architecture: 'i386' }),
        stanza('adduser', '3.134', { Architecture: 'all' }),
        stanza('gone', '1', { Status: 'deinstall ok config-files' }),
        stanza('half', '1', { Status: 'install ok unpacked' }),
        stanza('held', '2~rc1+b3', { Status: 'hold ok installed' }),
      ),
      [
        ['adduser', '3.134'],
        ['dpkg', '1.21.22'],
        ['held', '2~rc1+b3'],
        ['zlib1g:i386', '1:1.2.13'],
      ],
    );
  });

  it('that is hostile gives nothing that is no name or version', () => {
    for (const [name, version] of [
      ['__proto__', '1'],
      ['a b', '1'],
      ['<b>x</b>', '1'],
      ['x\u001b[31m', '1'],
      ['a'.repeat(300), '1'],
      ['fine', '1<script>'],
      ['fine', ''],
    ] as const) {
      assert.deepEqual(listOf(stanza(name, version)), [['dpkg', '1.21.22']], name);
    }
    assert.deepEqual([...parseDpkgStatus('\0\0\0')], []);
    assert.deepEqual([...parseDpkgStatus('Package: x')], []);
  });

  it('before and after gives what was installed, removed and changed, and the change makes the list again', () => {
    const before = new Map([
      ['a', '1'],
      ['b', '1'],
    ]);
    const after = new Map([
      ['b', '2'],
      ['c', '1'],
    ]);
    const changes = changesOf(before, after);
    assert.deepEqual(changes, {
      installed: { c: '1' },
      removed: { a: '1' },
      changed: { b: { from: '1', to: '2' } },
    });
    assert.deepEqual([...changedList(before, changes)], [...after]);
    assert.deepEqual(changesOf(after, after), { installed: {}, removed: {}, changed: {} });
  });
});
