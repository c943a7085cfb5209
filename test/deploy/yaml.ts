import { execa } from "execa";
import { root } from "./deploy-test.ts";

/** Parses YAML (an array when it is several documents) with Bun, which the project has for its executables. */
export const parseYaml = (text: string): Promise<unknown> => parse("YAML", text);
export const parseToml = (text: string): Promise<unknown> => parse("TOML", text);

async function parse(format: "YAML" | "TOML", text: string): Promise<unknown> {
  const program = `console.log(JSON.stringify(Bun.${format}.parse(await Bun.stdin.text())))`;
  const { stdout } = await execa("bun", ["--eval", program], {
    input: text,
    cwd: root,
    preferLocal: true,
  });
  return JSON.parse(stdout);
}
