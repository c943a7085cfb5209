/** The first message that a client says by a simple query: `Q`, its length, its text, a zero byte. */
export function queryIn(bytes: Buffer): string | undefined {
  return bytes[0] === 0x51 ? bytes.subarray(5, -1).toString() : undefined;
}

/** Whether a client says goodbye, to which there is no answer. */
export const isGoodbye = (bytes: Buffer): boolean => bytes[0] === 0x58;

/**
 * Whether a server has said all it has to say: that it is ready for a query, or what the client has to answer while
 * it logs in (PostgreSQL, "Message Formats").
 */
export function isComplete(answer: Buffer): boolean {
  let at = 0;
  let type = "";
  let code = 0;
  while (at + 5 <= answer.length) {
    type = String.fromCharCode(answer[at] ?? 0);
    const length = answer.readUInt32BE(at + 1);
    code = length >= 8 && at + 9 <= answer.length ? answer.readUInt32BE(at + 5) : 0;
    at += 1 + length;
  }
  const asksForMore = type === "R" && (code === 10 || code === 11);
  return at === answer.length && (type === "Z" || asksForMore);
}
