import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { failureText, findHelper, isFailure, parseEvent, parseEvents } from '../../src/helper.ts';

describe('the helper', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'virt-ts-unshare-helper-'));
    writeFileSync(join(root, 'package.json'), '{}');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const put = (name: string) => {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
    chmodSync(path, 0o755);
    return path;
  };
  const packaged = `node_modules/@virt-ts-unshare/linux-${process.arch}/helper`;

  it('is the one compiled in dist, else that of the npm package for this architecture', () => {
    const fromPackage = put(packaged);
    assert.equal(findHelper(root), fromPackage);
    const compiled = put(`dist/helper-${process.arch}`);
    assert.equal(findHelper(root), compiled);
    chmodSync(compiled, 0o644);
    // Root may execute only files with an execute bit.
    assert.equal(findHelper(root), fromPackage);
  });

  it('that is not there is reported with the command that compiles it', () => {
    assert.throws(() => findHelper(root), {
      code: 'NO_HELPER',
      remedy: `compile it, with gcc and libc6-dev installed: ${root}/helper/compile ${root}/dist/helper-${process.arch}`,
    });
  });
});

describe('events of the helper', () => {
  it('are lines with a JSON object that has an event; other lines are no events', () => {
    const text = [
      '{"event":"held","id":0,"pid":17}',
      'newuidmap: write to uid_map failed',
      '{"pid":17}',
      '{"event":"held","pid":',
      '{"event":"held","pid":{"a":1}}',
      '{"event":"done","status":0}',
      '',
    ].join('\n');
    assert.deepEqual(parseEvents(text), [
      { event: 'held', id: 0, pid: 17 },
      { event: 'done', status: 0 },
    ]);
  });

  it('keep each byte of a name', () => {
    assert.equal(parseEvent('{"event":"file","path":"/tmp/\\u00c3\\u00bc\\u0000"}')?.path, '/tmp/\xc3\xbc\0');
  });

  it('that report a failure make a sentence', () => {
    const sentence = (line: string) => {
      const event = parseEvent(line);
      assert.ok(event !== undefined && isFailure(event), line);
      return failureText(event);
    };
    const start = '{"event":"failed","code":"STEP_FAILED","what":"mounting overlay on /"';
    assert.equal(sentence(`${start}}`), 'mounting overlay on / failed');
    assert.equal(
      sentence(`${start},"on":"/x","errno":"EINVAL","reason":"Invalid argument"}`),
      'mounting overlay on / /x failed: Invalid argument',
    );
  });

  it('are no failure without code and cause', () => {
    const event = parseEvent('{"event":"failed","id":3}');
    assert.equal(event !== undefined && isFailure(event), false);
  });
});
