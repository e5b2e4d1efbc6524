/** The files of an output directory that are about the whole run: log, summary, testinfo.json. */
import { formatSummary, type Summary } from './results.ts';

/** The log of a driver without debug messages, and without the summary at its end: there is one summary for all drivers. */
export function logOfDriver(log: string, summary: string): string {
  const text = log
    .split('\n')
    .filter((line) => !/^\S+: DBG: |^\* +Test specification is valid$/.test(line))
    .join('\n');
  const end = /^\S+ \[\d\d:\d\d:\d\d\]: @{20} summary\n$/m;
  if (summary === '' || !text.endsWith(summary)) return text;
  const before = text.slice(0, -summary.length);
  const [last] = [...before.matchAll(new RegExp(end, 'gm'))].slice(-1);
  return last !== undefined && last.index + last[0].length === before.length
    ? before.slice(0, last.index)
    : text;
}

export function summaryOfLog(summary: Summary, time: Date): string {
  const two = (part: number) => String(part).padStart(2, '0');
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':');
  return `autopkgtest [${clock}]: ${'@'.repeat(20)} summary\n${formatSummary(summary)}`;
}

/**
 * @param infos contents of testinfo.json of all drivers, of which the first is that which built the package
 * @param server the server's words as the user gave them
 */
export function testInfo(infos: readonly string[], server: string): string {
  const all = infos.flatMap((text) => {
    try {
      const value: unknown = JSON.parse(text);
      return isRecord(value) ? [value] : [];
    } catch {
      return [];
    }
  });
  const kernels = all.flatMap(({ test_kernel_versions: versions }) =>
    Array.isArray(versions) ? versions : [],
  );
  const merged = {
    ...all[0],
    virt_server: server,
    ...(kernels.length === 0 ? {} : { test_kernel_versions: kernels }),
  };
  return JSON.stringify(merged, undefined, 2);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
