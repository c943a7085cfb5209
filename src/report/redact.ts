const redacted = "[redacted]";

/** Passwords that are recognised by where they stand, in a finished line: plain, or escaped for JSON. */
const patterns: readonly (readonly [where: RegExp, replacement: string])[] = [
  // In a URL of Postgres, in any spelling of the scheme: everything between the first colon and the last @.
  [/(postgres(?:ql)?(?:\+\w+)?:\/\/[^\s:@/"']*:)[^\s"']*@/gi, `$1${redacted}@`],
  // In any other URL, whose path may hold an @ of its own.
  [/([a-z][a-z\d+.-]*:\/\/[^\s:@/?#"']*:)[^\s@/?#"']*@/gi, `$1${redacted}@`],
  [
    /([?&][\w-]*(?:password|passwd|token|secret|api[_-]?key|signature)=)[^&#\s"'\\]+/gi,
    `$1${redacted}`,
  ],
  // In libpq's `password=x` and `password='x y'`, as CREATE SUBSCRIPTION and dblink take it.
  [/(\bpassword\s*=\s*)(?:'+(?:\\.|[^'"\\])*'*|[^\s'"&\\]+)/gi, `$1${redacted}`],
  // In SQL's PASSWORD 'x', E'x' and $$x$$. The quotes are doubled inside another literal, so what follows one without
  // a space belongs to it too.
  [
    /(\bpassword(?:\s|\\[nrt])+)(?:e|u&)?'+(?:\\\\'|\\.|''|[^'"\\])*'*(?:[^\s"',;)\\][^"']*'+)?/gi,
    `$1'${redacted}'`,
  ],
  [/(\bpassword(?:\s|\\[nrt])+)(\$\w*\$).*?\2/gis, `$1$2${redacted}$2`],
];

/** Shorter secrets are words that occur by chance; replacing them would make the log unreadable and hide nothing. */
const shortestSecret = 6;

/**
 * Removes passwords from finished text: those that are known, however they are escaped, and those that stand where
 * passwords stand.
 * @param secrets may grow later, when a secret file is read again
 */
export function redactor(secrets: ReadonlySet<string>): (text: string) => string {
  return (text) => {
    let clean = text;
    for (const [where, replacement] of patterns) clean = clean.replace(where, replacement);
    for (const form of formsOf(secrets)) clean = clean.replaceAll(form, redacted);
    return clean;
  };
}

/** Every spelling of every secret, the longest first, because one may be part of another. */
function formsOf(secrets: ReadonlySet<string>): string[] {
  const forms = [...secrets]
    .filter((secret) => secret.length >= shortestSecret)
    .flatMap((secret) => [secret, encodeURIComponent(secret), secret.replaceAll("'", "''")])
    .flatMap((form) => [form, JSON.stringify(form).slice(1, -1)]);
  return [...new Set(forms)].toSorted((a, b) => b.length - a.length);
}
