import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { silentLog } from '../../../src/log.ts';
import { ReportFile } from '../../../src/testbed/report-file.ts';

describe('the file for events of execute programs', () => {
  it('closes no other file when it is closed again', () => {
    const report = ReportFile.open(silentLog);
    assert.ok(report !== undefined);
    const number = Number(report.path.split('/').at(-1));
    report.close();
    const other = openSync('/dev/null', 'r');
    assert.equal(other, number);
    report.close();
    assert.ok(fstatSync(other).isCharacterDevice());
    closeSync(other);
    assert.deepEqual(report.ended(), []);
  });

  it('is closed with the testbed, which is why a command did not run', () => {
    const report = ReportFile.open(silentLog);
    assert.equal(report?.failureOf(1), undefined);
    report?.close();
    assert.equal(report?.failureOf(1)?.code, 'CLOSED');
  });
});
