import { hash } from "node:crypto";

const byteOrderMark = "\uFEFF";

/**
 * The checksum that postgres-migrations keeps in its `hash` column: SHA-1 in hex over the UTF-8 bytes of the file's
 * name followed by its text (postgres-migrations 5.3.0, dist/migration-file.js). Renaming a file changes it.
 */
export function checksumOf(fileName: string, text: string): string {
  return hash("sha1", fileName + text);
}

/**
 * Whether a recorded checksum belongs to this text, give or take line endings and a byte order mark: git's autocrlf
 * and Windows editors change those, and nobody means them as an edit.
 */
export function isSameText(recorded: string, fileName: string, text: string): boolean {
  return recorded === checksumOf(fileName, text) || checksumsOf(fileName, text).includes(recorded);
}

/** Every checksum that counts as this text's. */
export function checksumsOf(fileName: string, text: string): readonly string[] {
  const lf = withoutByteOrderMark(text).replaceAll("\r\n", "\n");
  const crlf = lf.replaceAll("\n", "\r\n");
  const variants = new Set([text, lf, crlf, byteOrderMark + lf, byteOrderMark + crlf]);
  return [...variants].map((variant) => checksumOf(fileName, variant));
}

/** The server takes a byte order mark for a syntax error; it is no part of the SQL. */
export function withoutByteOrderMark(text: string): string {
  return text.startsWith(byteOrderMark) ? text.slice(1) : text;
}
