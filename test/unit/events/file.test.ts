import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEventFile } from '../../../src/events/file.ts';
import type { TestbedEvent } from '../../../src/events/types.ts';

const EVENT: TestbedEvent = { v: 1, session: '0123456789ab', time: 1, event: 'end', duration: 1 };

describe('the file of events', () => {
  let folder: string;
  let warnings: string[];
  const open = (path: string) =>
    openEventFile(path, { debugging: false, debug: () => {}, warn: (text) => void warnings.push(text) });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-events-'));
    warnings = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('keeps what is in it, and what others append meanwhile', () => {
    const path = join(folder, 'events');
    writeFileSync(path, 'before\n');
    const [one, two] = [open(path), open(path)];
    one.onEvent(EVENT);
    appendFileSync(path, 'between\n');
    two.onEvent({ ...EVENT, status: 3 });
    one.close();
    two.close();
    const [before, first, between, second] = readFileSync(path, 'utf8').split('\n');
    assert.deepEqual([before, between], ['before', 'between']);
    assert.deepEqual(
      [first, second].map((line) => JSON.parse(line ?? '')),
      [EVENT, { ...EVENT, status: 3 }],
    );
    assert.deepEqual(warnings, []);
  });

  it('may be a FIFO, which keeps what fits until a program reads it', () => {
    const path = join(folder, 'events');
    execFileSync('mkfifo', [path]);
    const file = open(path);
    file.onEvent(EVENT);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    file.onEvent({ ...EVENT, status: 3 });
    file.close();
    const lines = readFileSync(reader, 'utf8').trimEnd().split('\n');
    closeSync(reader);
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [EVENT, { ...EVENT, status: 3 }],
    );
    assert.deepEqual(warnings, []);
  });

  it('that is a full FIFO costs one warning', () => {
    const path = join(folder, 'events');
    execFileSync('mkfifo', [path]);
    const file = open(path);
    // Its size is 64 KiB, where no program has changed it.
    const argv = ['x'.repeat(30_000)];
    const command: TestbedEvent = { ...EVENT, event: 'command', testbed: 1, argv };
    for (let i = 0; i < 4; i++) file.onEvent(command);
    file.close();
    assert.deepEqual(warnings, [
      `cannot write an event to ${path}: EAGAIN: resource temporarily unavailable; start the program that reads it, or give a file`,
      `2 events were not written to ${path}`,
    ]);
  });

  it('on a full disk costs one warning, and the number of lost events at the end', () => {
    const file = open('/dev/full');
    for (let i = 0; i < 3; i++) file.onEvent(EVENT);
    file.close();
    assert.deepEqual(warnings, [
      'cannot write an event to /dev/full: ENOSPC: no space left on device; free space on its disk, or give another file',
      '3 events were not written to /dev/full',
    ]);
  });

  for (const [what, name, words] of [
    [
      'in a missing directory',
      'missing/events',
      'ENOENT: no such file or directory; make its directory first, or',
    ],
    [
      'that is a directory',
      '.',
      'EISDIR: illegal operation on a directory; give a file that this user may write',
    ],
  ] as const) {
    it(`${what} costs a warning that fits`, () => {
      const file = open(join(folder, name));
      file.onEvent(EVENT);
      file.close();
      assert.equal(warnings.length, 1);
      assert.ok(
        warnings[0]?.startsWith(`cannot write an event to ${join(folder, name)}: ${words}`),
        warnings[0],
      );
    });
  }
});
