// The demo's prompt, in the format of the API, as the first version of the pack saved it, with few steps.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { root } from "./front_end.mjs";

export const MAIN = "ASDMFeatureInheritance";
export const STEPS = 4;

let seed = Date.now() % 1e9;

// Another for each prompt, of each file of tests, or the server would keep what an earlier one gave.
export function nextSeed() {
  seed += 1;
  return seed;
}

export async function demoPrompt() {
  const file = path.join(root, "tests/browser/first_version/text_to_image.api.json");
  const prompt = JSON.parse(await readFile(file, "utf8"));
  const run = { steps: STEPS, seed: nextSeed() };
  for (const { inputs } of Object.values(prompt)) if ("steps" in inputs) Object.assign(inputs, run);
  return prompt;
}

export const idOf = (prompt, type) => Object.keys(prompt).find((id) => prompt[id].class_type === type);
