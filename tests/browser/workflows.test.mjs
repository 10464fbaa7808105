// The shared workflows in the real front end, against the server that ASDM_SERVER names.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import {
  coloursOnNode,
  dropFile,
  openFrontEnd,
  runOnce,
  showWholeGraph,
  unknownNodeTypes,
  visibleDialogs,
  waitForNodes,
} from "./front_end.mjs";

const root = path.resolve(import.meta.dirname, "../..");
const screenshots = path.join(root, ".test/screenshots");
const MIN_COLOURS = 64;
// Of asdm_swap_in_sd15; newer front ends say that it is not there.
const USERS_CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors";

let browser;
let page;

before(async () => {
  await mkdir(screenshots, { recursive: true });
  ({ browser, page } = await openFrontEnd());
});
after(() => browser?.close());

async function readJson(...parts) {
  return JSON.parse(await readFile(path.join(root, ...parts), "utf8"));
}

// Whether a warning is that the one checkpoint of a user's own is not there: by its name, or by count where a front end
// shows the name only when it is asked.
function isOfUsersCheckpoint(text, workflow) {
  const isAlone = /^1 ERROR (Missing Models \(1\)|1 required model is missing) /.test(text);
  return JSON.stringify(workflow).includes(USERS_CHECKPOINT) && (isAlone || text.includes(USERS_CHECKPOINT));
}

// Drops workflows/NAME.json on the canvas and checks that it opened whole.
async function openWorkflow(name) {
  const workflow = await readJson("workflows", name);
  await page.evaluate(() => window.app.graph.clear());
  await dropFile(page, path.join(root, "workflows", name));
  await waitForNodes(page, workflow.nodes.length);
  assert.deepEqual(await unknownNodeTypes(page), []);
  const warnings = await visibleDialogs(page);
  assert.deepEqual(warnings.filter((text) => !isOfUsersCheckpoint(text, workflow)), []);
  return workflow;
}

// Class and inputs of each node, without titles and the text boxes that the front end adds to PreviewAny.
function withoutTrimmings(graph) {
  const bare = {};
  for (const [id, { class_type, inputs }] of Object.entries(graph)) {
    const kept = Object.entries(inputs).filter(([name]) => class_type !== "PreviewAny" || name === "source");
    bare[id] = { class_type, inputs: Object.fromEntries(kept) };
  }
  return bare;
}

for (const name of (await readdir(path.join(root, "workflows"))).filter((file) => file.endsWith(".json"))) {
  test(`${name} opens whole and says the same as its API twin`, async () => {
    await openWorkflow(name);
    await showWholeGraph(page);
    await page.screenshot({ path: path.join(screenshots, `${path.basename(name, ".json")}.png`) });
    const { output } = await page.evaluate(() => window.app.graphToPrompt());
    assert.deepEqual(withoutTrimmings(output), withoutTrimmings(await readJson("workflows/api", name)));
  });
}

test("the dropped demo workflow runs and shows its picture", async () => {
  const workflow = await openWorkflow("asdm_demo_text_to_image.json");
  const saveId = String(workflow.nodes.find((node) => node.type === "SaveImage").id);
  await showWholeGraph(page);
  const coloursBefore = await coloursOnNode(page, saveId);

  const run = await runOnce(page);
  assert.equal(run.outputs[saveId].images.length, 1);
  await page.waitForFunction(
    () =>
      window.app.graph._nodes
        .find(({ type }) => type === "ASDMFeatureInheritance")
        .widgets.some(({ value }) => /^([\d.]+x faster|not faster) · \d+ of 20 full/.test(value)),
    undefined,
    { timeout: 30_000 },
  );

  await page.waitForFunction(
    (id) => window.app.graph._nodes.find((node) => String(node.id) === id).imgs?.[0]?.naturalWidth > 0,
    saveId,
    { timeout: 30_000 },
  );
  await showWholeGraph(page);
  await page.screenshot({ path: path.join(screenshots, "demo_run.png") });
  const coloursAfter = await coloursOnNode(page, saveId);
  assert.ok(
    coloursAfter > Math.max(coloursBefore, MIN_COLOURS),
    `the SaveImage node shows ${coloursAfter} colours, ${coloursBefore} before the run`,
  );
  assert.deepEqual(await visibleDialogs(page), []);
});

test("the calibrating node shows what it found, and keeps its seed", async () => {
  await openWorkflow("asdm_demo_calibrate_plan.json");
  const widgets = () =>
    page.evaluate(() => {
      const node = window.app.graph._nodes.find(({ type }) => type === "ASDMCalibratePlan");
      return Object.fromEntries(node.widgets.map(({ name, value }) => [name, value]));
    });
  const before = await widgets();
  await runOnce(page);
  await page.waitForFunction(
    () =>
      window.app.graph._nodes
        .find(({ type }) => type === "ASDMCalibratePlan")
        .widgets.some(({ name, value }) => name === "shown_text" && /times as fast at [\d.]+ dB/.test(value)),
    undefined,
    { timeout: 30_000 },
  );
  await showWholeGraph(page);
  await page.screenshot({ path: path.join(screenshots, "calibrated_run.png") });
  const after = await widgets();
  assert.equal(after.seed, before.seed);
  assert.ok(!("control_after_generate" in after));
});
