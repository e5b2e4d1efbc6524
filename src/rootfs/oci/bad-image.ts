import { CopyError, reasonOf, UsageError } from '../../errors.ts';

const SAVE_AGAIN = 'save the image again, as by skopeo copy … oci-archive:FILE';

/** A container image that is broken, hostile, or of a kind that cannot be used. */
export function badImage(
  what: string,
  facts: { code?: string; remedy?: string; cause?: unknown } = {},
): UsageError {
  return new UsageError(what, { code: 'BAD_IMAGE', remedy: SAVE_AGAIN, ...facts });
}

/** An error of the readers of archives becomes one of the image; others stay. @param where begins the sentence: "layer 2" */
export function inImage(where: string, error: unknown): unknown {
  if (!(error instanceof CopyError)) return error;
  return badImage(`${where}: ${reasonOf(error)}`, { cause: error });
}
