/** The program with a testbed that never goes away and that nothing waits for: Node ends before the work is done. */
import { main } from '../../src/cli.ts';

const never = new Promise<never>(() => {});

main(process.argv.slice(2), async () => ({
  normalUser: async () => undefined,
  startsServices: async () => false,
  open: () => never,
  dispose: () => never,
}));
