// Takes the README's pictures of the nodes, in the real front end and after a real run; scripts/screenshots.sh stores them.
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import {
  dropOnNode,
  getBytes,
  loadPrompt,
  openFrontEnd,
  press,
  root,
  runOnce,
  screenshots,
  textOn,
} from "./front_end.mjs";

const folder = process.env.ASDM_PICTURES ?? screenshots;
const MOST_BYTES = 150_000; // a README is to open at once
const MARGIN = 20;
const HEAD = 55; // title and badge, which stand above a node
const VIEW = [320, 200]; // where on the page the first node lies, clear of the front end's own bars
const [LOADER, MAIN, LATENT, SAMPLER, REPORT, DECODER, SAVER] = ["1", "2", "7", "8", "9", "10", "11"];
const TITLES = { [LOADER]: "your model", [MAIN]: "ASDM Faster SD/SDXL", [REPORT]: "ASDM Report" };
const PICTURES = 4; // in a batch
const LATE = 2000; // ms, until what a run tells is on the node
// Where the nodes of a picture stand, and how large they are at least.
const RUN = {
  [LOADER]: [0, 0, 260, 0],
  [MAIN]: [300, 0, 430, 0],
  [SAMPLER]: [770, 0, 240, 0],
  [DECODER]: [1050, 0, 200, 0],
  [SAVER]: [1050, 100, 200, 220],
};
const RECORD = { [MAIN]: [0, 0, 560, 0], [REPORT]: [600, 0, 440, 560] };

let browser;
let page;

before(async () => {
  ({ browser, page } = await openFrontEnd());
});
after(() => browser?.close());

// The demo's graph, with several pictures at once: what a run gains is then more than the time around its steps.
async function demoPrompt() {
  const file = path.join(root, "example_workflows/api/Text to image (demo model).json");
  const prompt = JSON.parse(await readFile(file, "utf8"));
  for (const [id, title] of Object.entries(TITLES)) prompt[id]._meta = { title };
  prompt[LATENT].inputs.batch_size = PICTURES;
  return prompt;
}

// Leaves the nodes of `places` alone, there and no larger than they need: links of others would run across the picture.
const lay = (places) =>
  page.evaluate((places) => {
    for (const node of [...window.app.graph._nodes]) {
      if (!(node.id in places)) {
        window.app.graph.remove(node);
        continue;
      }
      const [x, y, width, height] = places[node.id];
      node.pos = [x, y];
      node.setSize([width, Math.max(height, node.computeSize()[1])]);
    }
  }, places);

// The nodes `ids` alone, at full size.
async function take(name, ids) {
  const box = await page.evaluate(
    ({ ids, view }) => {
      const { canvas, graph } = window.app;
      const nodes = ids.map((id) => graph.getNodeById(id));
      const least = [0, 1].map((axis) => Math.min(...nodes.map(({ pos }) => pos[axis])));
      const most = [0, 1].map((axis) => Math.max(...nodes.map(({ pos, size }) => pos[axis] + size[axis])));
      canvas.ds.scale = 1;
      canvas.ds.offset = least.map((at, axis) => view[axis] - at);
      canvas.setDirty(true, true);
      return { width: most[0] - least[0], height: most[1] - least[1] };
    },
    { ids, view: VIEW },
  );
  await page.waitForTimeout(600); // until it is drawn there
  const file = path.join(folder, `${name}.png`);
  const clip = {
    x: VIEW[0] - MARGIN,
    y: VIEW[1] - HEAD - MARGIN,
    width: box.width + 2 * MARGIN,
    height: box.height + HEAD + 2 * MARGIN,
  };
  await page.screenshot({ path: file, clip });
  assert.ok((await stat(file)).size < MOST_BYTES);
}

test("the node behind a model, with what it gained", async () => {
  const prompt = await demoPrompt();
  delete prompt[REPORT];
  prompt[DECODER].inputs.samples = [SAMPLER, 0];
  await loadPrompt(page, prompt);
  await runOnce(page); // the first run of a model takes longer than all others
  await runOnce(page);
  await page.waitForTimeout(LATE);
  assert.match(await textOn(page, MAIN), /^[\d.]+x faster · \d+ of 20 full · [\d.]+ s saved · \d+ % of the work/);
  // The sampler keeps the last preview of its latent, which is no picture yet.
  await page.evaluate((id) => {
    const node = window.app.graph.getNodeById(id);
    node.imgs = undefined;
    const preview = node.widgets.find(({ name }) => name === "$$canvas-image-preview");
    if (preview) node.removeWidget(preview);
  }, SAMPLER);
  await lay(RUN);
  await take("nodes", Object.keys(RUN));
});

test("what a run did, and its plan as a grid to paint", async () => {
  const prompt = await demoPrompt();
  await loadPrompt(page, prompt);
  const { outputs } = await runOnce(page);
  const bytes = await getBytes("/view", outputs[SAVER].images[0]);
  const inputs = { model: [LOADER, 0], plan: "" };
  prompt[MAIN] = { class_type: "ASDMApplyPlan", inputs, _meta: { title: "ASDM Apply Plan" } };
  await loadPrompt(page, prompt);
  await dropOnNode(page, MAIN, { name: "picture.png", type: "image/png", bytes }, "title");
  assert.match(await textOn(page, MAIN), /^plan of picture.png loaded: 20 evaluations/);
  await press(page, MAIN, "edit plan");
  await runOnce(page);
  await page.waitForTimeout(LATE);
  await page.locator(".asdm-plan-share", { hasText: "as in the last run, 128x128" }).waitFor();
  assert.match(await textOn(page, MAIN), /^[\d.]+x faster · \d+ of 20 full/);
  assert.match(await textOn(page, REPORT, "shown_text"), /^\*\*[\d.]+x faster/);
  await lay(RECORD);
  await take("plan_and_report", Object.keys(RECORD));
});
