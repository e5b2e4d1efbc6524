/** Opens a testbed with the network that argv names, prints its pid 1, and waits to be killed. */
import { testProvider } from './testbed.ts';

const network = process.argv[2] === 'private' ? 'private' : 'none';
const testbed = await testProvider({ network }).open();
process.stdout.write(`${testbed.pid}\n`);
setInterval(() => {}, 1000);
