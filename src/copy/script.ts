/** The scripts of src/in-testbed that a copy runs in the testbed. */
import type { StdioList } from '../host.ts';
import { scriptText } from '../scripts.ts';
import { shellEscaped } from './bytes.ts';
import type { End, Ends } from './ends.ts';
import type { CopyTestbed } from './types.ts';

export type CopyScript = `copy-${'in' | 'out'}-${'file' | 'tree'}`;

/**
 * Starts one as an end of a copy.
 * @param path its first argument, here not yet escaped for printf %b
 * @param more its further arguments
 * @throws TestbedError when nothing can be started
 */
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
