import { version } from "../version.ts";

/** The server cuts application_name at NAMEDATALEN - 1 bytes. */
const mostBytes = 63;

/**
 * The name under which other replicas and DBAs see this session: `headgate/<version> <host> <file>`, shortened to
 * fit: first the file to its number and what follows, then the host to its end, where pods of one set differ.
 * @param file while a migration runs
 */
export function nameApplication(host: string, file?: string): string {
  const start = `headgate/${version} `;
  const room = mostBytes - start.length;
  const plainHost = toAscii(host);
  if (file === undefined) return start + plainHost.slice(-room);
  const plainFile = toAscii(file.replace(/\.(sql|js)$/i, ""));
  const forFile = Math.min(plainFile.length, Math.max(20, room - 1 - plainHost.length));
  const forHost = room - 1 - forFile;
  return `${start}${plainHost.slice(-forHost)} ${plainFile.slice(0, forFile)}`;
}

/** The server replaces anything else by question marks or escapes, depending on its version. */
const toAscii = (text: string): string => text.replace(/[^!-~]/g, "_");
