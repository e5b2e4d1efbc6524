/** What a testbed has more when an init of the root filesystem is its pid 1. */
import { TestbedError } from '../errors.ts';
import type { HelperEvent } from '../helper.ts';
import * as steps from '../namespaces/steps.ts';
import type { InitChoice } from './init-choice.ts';

export interface Init {
  /** As it is executed. */
  readonly path: string;
  readonly kind: 'systemd' | 'other';
}

/** @param event of the step `inits`. @throws TestbedError with code NO_INIT, unless the choice is `auto` */
export function initOf(event: HelperEvent | undefined, choice: InitChoice): Init | undefined {
  const path = Buffer.from(String(event?.path ?? ''), 'latin1').toString();
  if (path !== '') return { path, kind: event?.name === 'systemd' ? 'systemd' : 'other' };
  if (choice === 'auto') return undefined;
  const wanted =
    choice === 'image' ? 'no init' : choice === 'systemd' ? 'no systemd' : `no program ${choice}`;
  throw new TestbedError(`the root filesystem has ${wanted}`, {
    code: 'NO_INIT',
    remedy:
      'install systemd-sysv in an image, such as by \'virt-ts-unshare rootfs build --from RELEASE --run "apt-get install -y systemd-sysv" NAME\'',
  });
}

/**
 * Units that cannot work in a user namespace (file systems, modules, sysctls and the audit log of the machine), that need a
 * terminal at /dev/console, or would cover the scratch directory in /tmp; and those that do at the first boot after an update of /usr what
 * the installation of packages has done; and the flush of a journal that is in its place from the start. They are masked as by `systemctl mask --runtime`. Those of udev have conditions that are not met,
 * as /sys is read-only; the installation of udev fails where they are masked.
 */
const MASKED = `
sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount
proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount tmp.mount
systemd-hwdb-update.service systemd-modules-load.service modprobe@.service kmod-static-nodes.service
systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service systemd-sysusers.service
ldconfig.service systemd-journal-catalog-update.service systemd-update-done.service
systemd-sysctl.service systemd-remount-fs.service systemd-journald-audit.socket auditd.service apparmor.service
systemd-journal-flush.service systemd-oomd.service systemd-oomd.socket systemd-pcrphase.service systemd-pcrphase-sysinit.service
fstrim.timer e2scrub_all.timer e2scrub_reap.service hwclock-save.service
console-getty.service getty@.service serial-getty@.service container-getty@.service getty-static.service
`;

/**
 * Programs that make units of disks, of the kernel's command line and of consoles. Without them, of which systemd starts each at boot
 * and at each `daemon-reload`, a testbed boots in two thirds of the time.
 */
const MASKED_GENERATORS = `
bless-boot cryptsetup debug factory-reset getty gpt-auto hibernate-resume import integritysetup run tpm2 veritysetup
`;

/**
 * Generators that make nothing in most images, each with what it reads. systemd waits for them before it loads the first unit. A `daemon-reload`
 * gets them again: see RELEASED.
 */
const IDLE_GENERATORS: readonly (readonly [name: string, need: steps.Need])[] = [
  ['fstab', ['lines', '/etc/fstab']],
  ['sysv', ['scripts', '/etc/init.d']],
  ['rc-local', ['exists', '/etc/rc.local']],
  ['system-update', ['exists', '/system-update']],
];

/** These write the records that are in /run/utmp from the start; the line keeps those. */
const MASKED_RECORDS = 'systemd-update-utmp.service systemd-update-utmp-runlevel.service';
const TMPFILES_RECORDS = 'f /run/utmp - - - -\n';

/**
 * Services that each boot waits for, without their sandbox: systemd makes it in a third of the time that a boot takes. What they would be
 * kept from, root of the testbed cannot do to the machine either.
 */
const UNCONFINED = ['systemd-journald', 'systemd-logind'] as const;
const NO_SANDBOX = `[Service]
SystemCallFilter=
SystemCallArchitectures=
RestrictAddressFamilies=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
LockPersonality=no
MemoryDenyWriteExecute=no
NoNewPrivileges=no
IPAddressDeny=
DeviceAllow=
PrivateTmp=no
ProtectClock=no
ProtectControlGroups=no
ProtectHome=no
ProtectHostname=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectSystem=no
`;

/** In place of the file of the same name in /usr/lib, which may empty /tmp: a reboot keeps all files. */
const TMPFILES = `d /tmp 1777 root root -
d /var/tmp 1777 root root -
x /tmp/systemd-private-%b-*
x /var/tmp/systemd-private-%b-*
R! /tmp/systemd-private-*
R! /var/tmp/systemd-private-*
`;

/** Removes the masks of the idle generators when they have been left out. */
const RELEASED = IDLE_GENERATORS.map(([name]) => `r! ${generator(name)}\n`).join('');

/** No credentials are passed to a testbed, and qemu cannot make the mount for them. */
const TMPFILES_SERVICE = '[Service]\nLoadCredential=\n';

const words = (text: string): string[] => text.trim().split(/\s+/);

function generator(name: string): string {
  return `/run/systemd/system-generators/systemd-${name}-generator`;
}

/** After /run is mounted. @param records the boot is recorded in /run/utmp already */
export function runtimeSteps({ kind }: Init, { records }: { readonly records: boolean }): steps.Step[] {
  if (kind !== 'systemd') return [];
  const folders = [
    '/run/systemd',
    '/run/systemd/journal',
    '/run/systemd/system',
    '/run/systemd/system/systemd-tmpfiles-setup.service.d',
    ...UNCONFINED.map((unit) => `/run/systemd/system/${unit}.service.d`),
    '/run/systemd/system-generators',
    '/run/tmpfiles.d',
  ];
  const mask = (path: string) => steps.link(path, '/dev/null');
  const units = words(records ? `${MASKED} ${MASKED_RECORDS}` : MASKED);
  return [
    ...folders.map((path) => steps.directory(path)),
    ...units.map((unit) => mask(`/run/systemd/system/${unit}`)),
    ...words(MASKED_GENERATORS).map((name) => mask(generator(name))),
    ...IDLE_GENERATORS.map(([name, need]) => steps.maskIdle(generator(name), need)),
    ...UNCONFINED.map((unit) => steps.file(`/run/systemd/system/${unit}.service.d/testbed.conf`, NO_SANDBOX)),
    ...(records ? [steps.file('/run/tmpfiles.d/00-testbed.conf', TMPFILES_RECORDS)] : []),
    // journald opens the journal in /var/log/journal at once, where there is that directory.
    steps.file('/run/systemd/journal/flushed'),
    steps.file('/run/tmpfiles.d/tmp.conf', `${TMPFILES}${RELEASED}`),
    steps.file('/run/systemd/system/systemd-tmpfiles-setup.service.d/testbed.conf', TMPFILES_SERVICE),
  ];
}

/** Signals to pid 1 from outside that start a reboot: SIGRTMIN+5 of systemd(1), else Ctrl-Alt-Del. */
export function rebootSignal({ kind }: Init): number {
  return kind === 'systemd' ? 39 : 2;
}
