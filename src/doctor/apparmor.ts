/**
 * AppArmor's restriction of user namespaces (Ubuntu 23.10 and later) does not apply to a program with a profile that allows them. One for
 * the helper alone leaves the machine protected. Pure.
 */

const FILE = '/etc/apparmor.d/virt-ts-unshare';

/** @param helper path of the helper */
function appArmorProfile(helper: string): string {
  return `abi <abi/4.0>,\ninclude <tunables/global>\nprofile virt-ts-unshare "${helper}" flags=(unconfined) {\n  userns,\n}\n`;
}

export function appArmorRemedy(helper: string): string {
  const lines = appArmorProfile(helper).replaceAll('\n', '\\n').replaceAll("'", "'\\''");
  return `as root, a profile for the helper: printf '${lines}' >${FILE} && apparmor_parser --replace ${FILE}`;
}
