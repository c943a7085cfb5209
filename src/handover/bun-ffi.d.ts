/** The one function of Bun that headgate uses, so that Bun's whole type package need not be installed. */
declare module "bun:ffi" {
  export function dlopen<Name extends string>(
    library: string,
    functions: Record<Name, { readonly args: readonly string[]; readonly returns: string }>,
  ): { readonly symbols: Record<Name, (...values: unknown[]) => number> };
}

/** What the bundle's CommonJS wrapper, and Bun, provide. */
declare const require: (name: string) => unknown;
