/** Joins the laboratory that argv names, opens the host that argv names in it, prints its pid 1, and waits to be killed. */
import { Network } from '../../src/network/laboratory.ts';
import { testProvider } from './testbed.ts';

const [laboratory = '', hostname = ''] = process.argv.slice(2);
const network = Network.join(laboratory).member({ hostname });
const testbed = await testProvider({ network, hostname }).open();
process.stdout.write(`${testbed.pid}\n`);
setInterval(() => {}, 1000);
