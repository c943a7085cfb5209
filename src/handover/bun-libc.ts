/** The functions of the C library that Bun lacks. Loading them takes half a millisecond. @throws where there is none */
export function loadLibc(): Record<"setrlimit" | "signal", (...values: unknown[]) => number> {
  const { dlopen } = require("bun:ffi") as typeof import("bun:ffi");
  // musl's loader answers to this name too.
  const { symbols } = dlopen("libc.so.6", {
    setrlimit: { args: ["i32", "ptr"], returns: "i32" },
    signal: { args: ["i32", "ptr"], returns: "ptr" },
  });
  return symbols;
}
