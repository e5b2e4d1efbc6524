import { shellEscaped } from '../archive/bytes.ts';
import type { StdioList } from '../host.ts';
import { scriptText } from '../scripts.ts';
import type { End, Ends } from './ends.ts';
import type { CopyTestbed } from './types.ts';

type CopyScript = `copy-${'in' | 'out'}-${'file' | 'tree' | 'archive'}`;

/** Starts a script of src/in-testbed as one process of a copy. @throws TestbedError */
export async function startInside(
  testbed: CopyTestbed,
  ends: Ends,
  script: CopyScript,
  stdio: StdioList,
  path: Buffer,
  ...more: readonly string[]
): Promise<End> {
  const text = scriptText('in-testbed', `${script}.sh`);
  return ends.add(
    await testbed.start(['sh', '-c', text, script, shellEscaped(path), ...more], stdio),
    'testbed',
  );
}
