/** Gives every peer memory that was in use just before. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** The largest order of the kernel's blocks of free pages. */
const MAX_ORDER = 10;

/** Whether this virtual machine gives free memory back to its host, and waits for it when it is used again. */
export function givesMemoryAway(): boolean {
  const balloons = '/sys/bus/virtio/drivers/virtio_balloon';
  const smallest = '/sys/module/page_reporting/parameters/page_reporting_order';
  if (!existsSync(smallest) || !existsSync(balloons)) return false;
  return (
    readdirSync(balloons).some((name) => name.startsWith('virtio')) &&
    Number(readFileSync(smallest)) <= MAX_ORDER
  );
}

/** Memory that is unused for two seconds goes back to the host, and to get it again takes several times as long as to fill it. */
export function touchMemory(): void {
  execFileSync('sh', [
    '-c',
    'head -c 700M /dev/zero >"$0"; rm "$0"',
    `/dev/shm/virt-ts-unshare-bench-${process.pid}`,
  ]);
}
