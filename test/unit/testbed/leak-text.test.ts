import assert from 'node:assert/strict';
import type { Leak } from '../../../src/testbed/leak.ts';
import {
  leakLine,
  newInterfaces,
  newLeaks,
  newMounts,
  parseEnded,
  parseListing,
  printable,
} from '../../../src/testbed/leak-text.ts';

const file = (path: string, size = 1): Leak => ({ kind: 'file', path, type: 'file', uid: 0, gid: 0, size });

describe('the text of leaks', () => {
  it('keeps what is safe to print and encodes what is not, so that no two names become one', () => {
    assert.equal(printable(Buffer.from('/tmp/a b/ü')), '/tmp/a b/ü');
    assert.equal(printable(Buffer.from('a\nb\x1b[31m%')), 'a%0Ab%1B[31m%25');
    assert.equal(printable(Buffer.from('a\u202eb')), 'a%E2%80%AEb');
    assert.equal(printable(Buffer.from([0x61, 0xff, 0x25, 0x0a])), 'a%FF%25%0A');
  });

  it('is one line of ASCII words, or one object', () => {
    assert.equal(
      leakLine(file('/tmp/ü b'), 'revert', 'text'),
      'left at revert: file path=/tmp/%C3%BC%20b type=file uid=0 gid=0 size=1',
    );
    assert.deepEqual(JSON.parse(leakLine(file('/tmp/ü b'), 'close', 'json')), {
      at: 'close',
      ...file('/tmp/ü b'),
    });
  });

  it('reads what leaks.sh lists, with any byte in a name', () => {
    const fields = [
      ...['/proc/7/root/tmp/a\n--', 's', '0', '1000', '12', '1.5'],
      ...['--', '81', 'shm', '  key shmid perms size uid\n 1 32768 600 5000 33\n'],
      ...['sem', '', 'msg', '', 'q\n', '5', 'QSIZE:129 NOTIFY:0\n', ''],
    ];
    assert.deepEqual(parseListing(fields.join('\0')), {
      files: [
        { path: '/proc/7/root/tmp/a\n--', type: 'socket', uid: 0, gid: 1000, size: 12, modified: '1.5' },
      ],
      reader: 81,
      ipc: [
        { kind: 'ipc', type: 'shm', id: '32768', uid: 33, size: 5000 },
        { kind: 'ipc', type: 'mqueue', id: '/q%0A', uid: 5, size: 129 },
      ],
    });
  });

  it('reads what drain.sh writes, with any byte in a command line, and nothing else', () => {
    const hex = (text: string) =>
      [...Buffer.from(text)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const lines = [
      `8 0 ${hex('sleep\x001\0')}`,
      `9 33 ${hex('a\n\x1bü%')}`,
      '7 0',
      `x 0 ${hex('a')}`,
      '10 0 6',
    ];
    const ended = { kind: 'process', ended: true };
    assert.deepEqual(parseEnded(lines.join('\n')), [
      { ...ended, pid: 8, uid: 0, command: 'sleep 1' },
      { ...ended, pid: 9, uid: 33, command: 'a%0A%1Bü%25' },
      { ...ended, pid: 10, uid: 0, command: '' },
    ]);
  });

  it('drops the last entry of a listing that was cut short', () => {
    const text = ['/a', 'f', '0', '0', '1', '1.0', '/b', 'f', '0', '--', '', 'shm', '', 'sem', '', 'msg', ''];
    assert.deepEqual(
      parseListing(text.join('\0')).files.map(({ path }) => path),
      ['/a'],
    );
  });

  it('finds new mounts, also one over another, and unescapes their names', () => {
    const before = '20 1 0:5 / / rw shared:1 - overlay overlay rw\n21 20 0:6 / /run rw - tmpfs tmpfs rw\n';
    const now = `${before.replace('shared:1', 'shared:2')}22 21 0:7 / /run rw - tmpfs tmpfs rw\n23 20 0:8 / /a\\040b\\012 rw - fuse.x x\\134y rw\n`;
    assert.deepEqual(newMounts(before, now), [
      { kind: 'mount', path: '/run', type: 'tmpfs', source: 'tmpfs' },
      { kind: 'mount', path: '/a b%0A', type: 'fuse.x', source: 'x\\y' },
    ]);
  });

  it('finds new interfaces', () => {
    const text = (...names: string[]) =>
      `Inter-| Receive\n face |bytes\n${names.map((n) => `${n.padStart(6)}: 0 0\n`).join('')}`;
    assert.deepEqual(newInterfaces(text('lo'), text('lo', 'veth0')), [{ kind: 'interface', name: 'veth0' }]);
  });

  it('tells a process that was ended from one that is there', () => {
    const there: Leak = { kind: 'process', pid: 8, uid: 0, command: 'sleep 1' };
    const ended: Leak = { ...there, ended: true };
    assert.deepEqual(newLeaks([there], [there, ended]), [ended]);
    assert.equal(
      leakLine(ended, 'command', 'text'),
      'left at command: process pid=8 uid=0 command=sleep%201 ended=true',
    );
  });

  it('does not take a file that has grown for a new one', () => {
    assert.deepEqual(newLeaks([file('/tmp/log', 1)], [file('/tmp/log', 2), file('/tmp/new')]), [
      file('/tmp/new'),
    ]);
  });
});
