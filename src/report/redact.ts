/** A password in a URL of Postgres, in any spelling of the scheme: everything between the first colon and the @. */
const urlPassword = /(postgres(?:ql)?(?:\+\w+)?:\/\/[^\s:@/"']*:)[^\s"']*@/gi;

/** Shorter secrets are words that occur by chance; replacing them would make the log unreadable and hide nothing. */
const shortestSecret = 6;

/**
 * Removes passwords from finished text: those that are known, however they are escaped, and any in a Postgres URL.
 * @param secrets may grow later, when a secret file is read again
 */
export function redactor(secrets: ReadonlySet<string>): (text: string) => string {
  return (text) => {
    let clean = text.replace(urlPassword, "$1[redacted]@");
    for (const secret of secrets) {
      if (secret.length < shortestSecret) continue;
      const inJson = JSON.stringify(secret).slice(1, -1);
      for (const form of new Set([secret, inJson, encodeURIComponent(secret)])) {
        clean = clean.replaceAll(form, "[redacted]");
      }
    }
    return clean;
  };
}
