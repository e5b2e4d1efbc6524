import assert from 'node:assert/strict';
import { parseEnded } from '../../../src/leaks/ended.ts';
import { type Leak, newLeaks } from '../../../src/leaks/leak.ts';
import { newFiles } from '../../../src/leaks/look.ts';
import { leakLine } from '../../../src/leaks/report.ts';
import { newInterfaces, newMounts, printable } from '../../../src/leaks/text.ts';

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

  it('are files that no layer has, the topmost layer first', () => {
    const listed = (at: number, path: string, size: number, type = 'file') => {
      return { event: 'file', in: at, path, type, uid: 0, gid: 5, size, modified: '1.000000005' };
    };
    const found = newFiles([
      ...[listed(1, '/tmp/kept', 1), listed(1, '/tmp/changed', 1), listed(1, '/tmp/twice', 9)],
      ...[listed(2, '/tmp/twice', 8), listed(2, '/tmp/was-file', 0)],
      ...[listed(0, '/tmp/kept', 1), listed(0, '/tmp/changed', 2), listed(0, '/tmp/twice', 9)],
      ...[
        listed(0, '/tmp/was-file', 0, 'directory'),
        listed(0, '/tmp/\xc3\xbc\x1b', 0),
        listed(0, '/tmp/x', 0, 'y'),
      ],
      ...[listed(0, '/run/lock', 4, 'link'), listed(0, '/run/lock', 4, 'link'), { event: 'other' }],
    ]);
    const leak = (path: string, size: number, type = 'file') => {
      return { kind: 'file', path, type, uid: 0, gid: 5, size };
    };
    assert.deepEqual(found, [
      leak('/run/lock', 4, 'link'),
      leak('/tmp/changed', 2),
      leak('/tmp/was-file', 0, 'directory'),
      leak('/tmp/ü%1B', 0),
    ]);
  });

  it('reads the events of processes that were ended, with any byte in a command line, and nothing else', () => {
    const lines = [
      '{"event":"ended","pid":8,"uid":0,"command":"sleep\\u00001\\u0000"}',
      '{"event":"ended","pid":9,"uid":33,"command":"a\\u000a\\u001b\\u00c3\\u00bc%"}',
      '{"event":"failed","code":"NO_USER","what":"it has no user x","pid":12}',
      '{"event":"ended","pid":"x","uid":0,"command":"a"}',
      '{"event":"ended","pid":10,"uid":0,"command":""}',
      '{"event":"ended","pid":11,"uid":0,"comm',
    ];
    const ended = { kind: 'process', ended: true };
    assert.deepEqual(parseEnded(lines.join('\n')), [
      { ...ended, pid: 8, uid: 0, command: 'sleep 1' },
      { ...ended, pid: 9, uid: 33, command: 'a%0A%1Bü%25' },
      { ...ended, pid: 10, uid: 0, command: '' },
    ]);
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

  it('distinguishes a process that was ended from one that runs', () => {
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
