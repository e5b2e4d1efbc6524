/** Memory that was in use just now, for everybody alike. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Of the kernel's blocks of free pages, as a power of two. */
const MAX_ORDER = 10;

/** Whether this is a virtual machine that gives its host what memory is free, and has to wait for it when it needs it again. */
export function givesMemoryAway(): boolean {
  const balloons = '/sys/bus/virtio/drivers/virtio_balloon';
  const smallest = '/sys/module/page_reporting/parameters/page_reporting_order';
  if (!existsSync(smallest) || !existsSync(balloons)) return false;
  return (
    readdirSync(balloons).some((name) => name.startsWith('virtio')) &&
    Number(readFileSync(smallest)) <= MAX_ORDER
  );
}

/**
 * What a virtual machine has not used for two seconds goes back to its host, and to get it again takes several times as long
 * as to copy something into it. So everybody finds memory that was in use just now.
 */
export function touchMemory(): void {
  execFileSync('sh', [
    '-c',
    'head -c 700M /dev/zero >"$0"; rm "$0"',
    `/dev/shm/virt-ts-unshare-bench-${process.pid}`,
  ]);
}
