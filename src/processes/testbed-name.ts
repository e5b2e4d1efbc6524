/** A number alone is a pid. */
export function isTestbedName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/.test(text) && !/^\d+$/.test(text);
}
