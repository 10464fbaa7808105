// Plans in the front end: pictures that carry them are dropped on ASDM Apply Plan, and the grid there is painted.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import {
  NODES2,
  TEXT,
  addNode,
  closeDialogs,
  dropOnNode,
  getBytes,
  loadPrompt,
  openFrontEnd,
  openWithSetting,
  press,
  root,
  runOnce,
  screenshots,
  showNode,
  visibleDialogs,
} from "./front_end.mjs";

const NODE = "ASDMApplyPlan";
const STEPS = 6;
const VERSIONS = { "the classic front end": false, "Nodes 2.0": true };
const LANGUAGE = "Comfy.Locale"; // the host's setting
const OTHER_SITE = "in.1.attn.0.attn1";

let seed = 1000; // another for each prompt, or the server would keep what an earlier one gave
let browser;
let page;
const files = {}; // made by runs: {png, webp, both}

before(async () => {
  ({ browser, page } = await openFrontEnd());
  await makePictures();
});
after(() => browser?.close());

// The demo's prompt with few steps, without a report.
async function demoPrompt() {
  const file = path.join(root, "tests/browser/first_version/text_to_image.api.json");
  const prompt = JSON.parse(await readFile(file, "utf8"));
  delete prompt[9];
  delete prompt[12];
  seed += 1;
  Object.assign(prompt[8].inputs, { steps: STEPS, seed });
  prompt[2].inputs.interval = 2;
  prompt[10].inputs.samples = ["8", 0];
  return prompt;
}

// The pictures that a prompt saves: {id of the node: bytes}.
async function picturesOf(prompt) {
  await loadPrompt(page, prompt);
  const { outputs } = await runOnce(page);
  const pictures = {};
  for (const [id, { images }] of Object.entries(outputs)) if (images) pictures[id] = await getBytes("/view", images[0]);
  return pictures;
}

async function makePictures() {
  const prompt = await demoPrompt();
  prompt[20] = {
    class_type: "SaveAnimatedWEBP",
    inputs: { images: ["10", 0], filename_prefix: "plan", fps: 6, lossless: true, quality: 80, method: "default" },
  };
  const one = await picturesOf(prompt);
  const two = await demoPrompt();
  const again = { ...two[8].inputs, latent_image: ["8", 0], denoise: 0.5 };
  two[21] = { class_type: "KSampler", inputs: again };
  two[10].inputs.samples = ["21", 0];
  const both = await picturesOf(two);
  Object.assign(files, {
    png: { name: "one.png", type: "image/png", bytes: one[11] },
    webp: { name: "one.webp", type: "image/webp", bytes: one[20] },
    both: { name: "both.png", type: "image/png", bytes: both[11] },
    none: { name: "none.png", type: "image/png", bytes: await plainPng() },
    workflow: { name: "workflow.json", type: "application/json", bytes: Buffer.from('{"nodes": [], "links": []}') },
  });
}

// What a PNG carries: a chunk of its length, its kind, its keyword and a zero, its text.
function plansIn(png) {
  const keyword = "tEXtasdm_plans\0";
  const at = png.indexOf(keyword, 0, "latin1");
  assert.ok(at > 0, "the picture carries no plans");
  return JSON.parse(png.subarray(at + keyword.length, at + 4 + png.readUInt32BE(at - 4)).toString("latin1"));
}

// A picture that no ComfyUI has made.
async function plainPng() {
  const url = await page.evaluate(() => {
    const canvas = document.createElement("canvas");
    canvas.getContext("2d").fillRect(0, 0, 8, 8);
    return canvas.toDataURL("image/png");
  });
  return Buffer.from(url.split(",")[1], "base64");
}

const planOn = (id) =>
  page.evaluate((id) => window.app.graph.getNodeById(id).widgets.find(({ name }) => name === "plan").value, id);

const sitesOn = async (id) => JSON.parse(await planOn(id)).evaluations.map(({ sites }) => sites);

const saved = (id) => page.evaluate((id) => window.app.graph.getNodeById(id).serialize().widgets_values, id);

const setPlan = (id, text) =>
  page.evaluate(
    ({ id, text }) => {
      const widget = window.app.graph.getNodeById(id).widgets.find(({ name }) => name === "plan");
      widget.value = text;
      widget.callback?.(text);
    },
    { id, text },
  );

// Waits until the node tells what `wanted` matches.
async function told(id, wanted) {
  const text = () =>
    page.evaluate(
      ({ id, name }) => window.app.graph.getNodeById(id).widgets.find((widget) => widget.name === name)?.value ?? "",
      { id, name: TEXT },
    );
  for (let waited = 0; waited < 40 && !wanted.test(await text()); waited++) await page.waitForTimeout(250);
  assert.match(await text(), wanted);
}

const cell = (row, column) => page.locator(`.asdm-plan-cell[data-row="${row}"][data-column="${column}"]`);
const OUT_8 = 3; // rows of SD1.x from the output to the input
const OUT_10 = 1;

async function shareShown() {
  return parseFloat(await page.locator(".asdm-plan-share").innerText());
}

// Each in both front ends, on an empty graph.
function inBoth(name, body) {
  for (const [version, isNodes2] of Object.entries(VERSIONS)) {
    test(`${name}, in ${version}`, async () => {
      await openWithSetting(page, NODES2, isNodes2);
      try {
        await body(isNodes2);
      } finally {
        await page.evaluate(() => document.querySelectorAll(".litecontextmenu").forEach((menu) => menu.remove()));
        await closeDialogs(page);
        await openWithSetting(page, NODES2, false);
      }
    });
  }
}

inBoth("a picture dropped on the node loads the plan of its run", async () => {
  for (const file of [files.png, files.webp]) {
    for (const place of ["title", "text"]) {
      await page.evaluate(() => window.app.graph.clear());
      const id = await addNode(page, NODE);
      await dropOnNode(page, id, file, place);
      await told(id, new RegExp(`^plan of ${file.name} loaded: ${STEPS} evaluations, \\d+ % of the work`));
      const sites = await sitesOn(id);
      assert.deepEqual(sites.map(({ length }) => length > 0), [false, true, false, true, false, true]);
      assert.equal(await page.evaluate(() => window.app.graph._nodes.length), 1, "the workflow was opened");
    }
  }
});

inBoth("of a picture with several plans one is chosen", async () => {
  const id = await addNode(page, NODE);
  await dropOnNode(page, id, files.both, "title");
  const entries = page.locator(".litecontextmenu .litemenu-entry");
  await entries.first().waitFor({ timeout: 10_000 });
  assert.deepEqual(await entries.allInnerTexts(), ["KSampler (8)", "KSampler (21)"]);
  await entries.nth(1).click();
  await told(id, /^plan of both.png loaded/);
  assert.equal(JSON.parse(await planOn(id)).steps, STEPS);
  const { sigma } = JSON.parse(await planOn(id)).evaluations[0];
  assert.ok(sigma < 10, `the second sampler begins in mid-schedule, and this plan at ${sigma}`);
});

inBoth("what holds no plan is refused in a sentence, and opens nothing", async () => {
  const id = await addNode(page, NODE);
  await dropOnNode(page, id, files.none, "title");
  await told(id, /^⚠ none.png carries no plan/);
  await dropOnNode(page, id, files.workflow, "text");
  await told(id, /^⚠ workflow.json holds no plan that could be followed: plan\.format: /);
  await dropOnNode(page, id, { name: "a.txt", type: "text/plain", bytes: Buffer.from("x") }, "title");
  await told(id, /^⚠ a.txt is neither/);
  assert.equal(await planOn(id), "");
  assert.equal(await page.evaluate(() => window.app.graph._nodes.length), 1);
  assert.deepEqual(await visibleDialogs(page), []);
});

inBoth("a plan file dropped on the node loads it", async () => {
  const id = await addNode(page, NODE);
  const plan = { format: "asdm.plan", version: 1, family: "sdxl", steps: 2, value: "hold", storage: "compute" };
  plan.evaluations = [{ sigma: 2, sites: [] }, { sigma: 1, sites: ["out.5"] }];
  const bytes = Buffer.from(JSON.stringify(plan));
  await dropOnNode(page, id, { name: "plan.json", type: "application/json", bytes }, "text");
  await told(id, /^plan of plan.json loaded: 2 evaluations/);
  assert.deepEqual(JSON.parse(await planOn(id)), plan);
});

inBoth("a plan is begun, painted, and followed by a run", async (isNodes2) => {
  const prompt = await demoPrompt();
  prompt[2] = { class_type: NODE, inputs: { model: prompt[2].inputs.model, plan: "" } };
  await loadPrompt(page, prompt);
  // Apart from the others, over which it grows.
  await page.evaluate(() => (window.app.graph.getNodeById("2").pos = [-1200, -1500]));
  const folded = await page.evaluate(() => window.app.graph.getNodeById("2").size[1]);
  await press(page, "2", "edit plan");
  await showNode(page, "2");
  await page.locator(".asdm-plan-begin input").fill(String(STEPS));
  await page.locator(".asdm-plan-begin button").click();
  await cell(OUT_8, STEPS - 1).waitFor({ timeout: 10_000 });
  await showNode(page, "2");
  // In Nodes 2.0 the page lays nodes out, and what follows clicks on cells that must be in sight.
  if (!isNodes2) {
    await page.waitForFunction((least) => window.app.graph.getNodeById("2").size[1] > least, folded + 200);
  }
  for (let column = 0; column < STEPS; column++) await unpaint("2", column);
  assert.equal(await shareShown(), 100);

  await cell(OUT_8, 1).click();
  await painted("2", 1, ["out.8"]);
  const one = await shareShown();
  assert.ok(one < 95, `${one}`);
  assert.match(await cell(OUT_8 + 1, 1).getAttribute("class"), /asdm-n/);
  await drag(cell(OUT_10, 3), cell(OUT_10, 5));
  await painted("2", 5, ["out.10"]);
  assert.deepEqual(await sitesOn("2"), [[], ["out.8"], [], ["out.10"], ["out.10"], ["out.10"]]);
  assert.ok((await shareShown()) < one);
  await cell(OUT_10, 4).click();
  await painted("2", 4, []);
  await cell(OUT_10, 1).click();
  await painted("2", 1, ["out.10"]);
  await cell(OUT_8, 1).click();
  await painted("2", 1, ["out.8"]);
  await page.screenshot({ path: path.join(screenshots, `plan_editor_${isNodes2 ? "nodes2" : "classic"}.png`) });

  const { output } = await page.evaluate(() => window.app.graphToPrompt());
  assert.deepEqual(Object.keys(output[2].inputs).sort(), ["model", "plan"]);
  const { outputs } = await runOnce(page);
  const carried = plansIn(await getBytes("/view", outputs[11].images[0]));
  assert.deepEqual(carried[8][0].evaluations.map(({ sites }) => sites), await sitesOn("2"));
  await page.locator(".asdm-plan-share", { hasText: "as in the last run, 128x128" }).waitFor();
});

inBoth("a stroke passes over cells that are reused already, and is undone as one", async () => {
  const id = await addNode(page, NODE);
  await dropOnNode(page, id, files.png, "title");
  await told(id, /loaded/);
  await press(page, id, "edit plan");
  await showNode(page, id);
  const before = await sitesOn(id);
  for (const column of [2, 4]) {
    await drag(cell(OUT_8, column), cell(OUT_8, column + 1));
    await painted(id, column, ["out.8"]);
    await painted(id, column + 1, ["out.8"]);
  }
  assert.doesNotMatch(await page.locator(".asdm-plan-share").innerText(), /⚠/);
  const after = [before[0], before[1], ...Array(4).fill(["out.8"])];
  assert.deepEqual(await sitesOn(id), after);
  for (const wanted of [[...after.slice(0, 4), ...before.slice(4)], before]) {
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press("Control+z");
    await page.waitForTimeout(500);
    assert.deepEqual(await sitesOn(id), wanted);
  }
});

inBoth("an answer that comes when its node is gone leaves the one in its place alone", async () => {
  const id = await addNode(page, NODE);
  await press(page, id, "edit plan");
  let answer;
  const isAsked = new Promise((asked) => {
    page.route("**/asdm/plan", (route) => {
      answer = () => route.continue();
      asked();
    });
  });
  try {
    await setPlan(id, JSON.stringify(plansIn(files.png.bytes)[8][0]));
    await isAsked;
    await page.evaluate(() => window.app.graph.clear());
    assert.equal(await addNode(page, NODE), id, "the new node has another id");
    const isAnswered = page.waitForResponse("**/asdm/plan");
    await answer();
    await isAnswered;
    await page.waitForTimeout(500); // until it is drawn, if it is
  } finally {
    await page.unroute("**/asdm/plan");
  }
  await press(page, id, "edit plan");
  await showNode(page, id);
  await page.locator(".asdm-plan-begin button").waitFor({ timeout: 10_000 });
});

inBoth("the text is the plan: what is typed is drawn, and what has no row stays", async () => {
  const id = await addNode(page, NODE);
  const before = await saved(id);
  await press(page, id, "edit plan");
  await showNode(page, id);
  await page.locator(".asdm-plan-begin button").waitFor();
  await dropOnNode(page, id, files.png, "text");
  await told(id, /loaded/);
  const plan = JSON.parse(await planOn(id));
  plan.evaluations[1].sites = ["out.8", OTHER_SITE];
  plan.evaluations[2].sites = ["in.1*"];
  await setPlan(id, JSON.stringify(plan));
  await page.locator(".asdm-plan-notes", { hasText: `other site ${OTHER_SITE}: 1` }).waitFor();
  assert.match(await page.locator(".asdm-plan-notes").innerText(), /other site in\.1\*: 2/);
  await showNode(page, id);
  await cell(OUT_8, 1).click();
  await painted(id, 1, [OTHER_SITE]);
  await cell(OUT_10, 2).click();
  await painted(id, 2, ["in.1*", "out.10"]);
  await setPlan(id, "{");
  await page.locator(".asdm-plan-share", { hasText: "⚠ plan" }).waitFor();
  await setPlan(id, "");
  await page.locator(".asdm-plan-begin button").waitFor();
  // The text that the node tells is the host's, and stands last.
  const values = (await saved(id)).slice(0, -1).filter((value) => value !== undefined && value !== null);
  assert.deepEqual([before, values], [[""], [""]]);

  await press(page, id, "edit plan");
  assert.equal(await page.locator(".asdm-plan").count(), 0);
  const properties = await page.evaluate((id) => Object.keys(window.app.graph.getNodeById(id).properties), id);
  assert.ok(!properties.includes("asdm_plan_editor"));
});

inBoth("the editor speaks the language of the front end, and English where the pack has no words in it", async () => {
  const spoken = {
    de: ["Plan bearbeiten", "einen Plan beginnen", "% der Arbeit", "teils gerechnet"],
    ru: ["edit plan", "begin a plan", "% of the work", "computed in part"],
  };
  try {
    for (const [language, [button, offer, ...shown]] of Object.entries(spoken)) {
      await openWithSetting(page, LANGUAGE, language);
      const id = await addNode(page, NODE);
      const labels = await page.evaluate((id) => window.app.graph.getNodeById(id).widgets.map(({ label }) => label), id);
      assert.ok(labels.includes(button), labels.join());
      await press(page, id, "edit plan");
      await showNode(page, id);
      await page.locator(".asdm-plan-begin button", { hasText: offer }).click();
      await cell(OUT_8, 0).waitFor();
      const text = await page.locator(".asdm-plan").innerText();
      assert.ok(shown.every((words) => text.includes(words)), text);
    }
  } finally {
    await openWithSetting(page, LANGUAGE, "en");
  }
});

async function unpaint(id, column) {
  for (const site of (await sitesOn(id))[column]) {
    const label = page.locator(".asdm-plan-label", { hasText: new RegExp(`^${site}$`) });
    await cell(await label.evaluate((label) => label.nextSibling.dataset.row), column).click();
  }
  await painted(id, column, []);
}

async function painted(id, column, sites) {
  const isThere = async () => (await sitesOn(id))[column].join() === sites.join();
  for (let waited = 0; waited < 40 && !(await isThere()); waited++) await page.waitForTimeout(100);
  assert.deepEqual((await sitesOn(id))[column], sites);
}

async function drag(from, to) {
  const [start, end] = [await from.boundingBox(), await to.boundingBox()];
  const middle = ({ x, y, width, height }) => [x + width / 2, y + height / 2];
  await page.mouse.move(...middle(start));
  await page.mouse.down();
  await page.mouse.move(...middle(end), { steps: 12 });
  await page.mouse.up();
}
