// What nodes tell of runs that went past them, and of those that did not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MAIN, demoPrompt, idOf } from "./demo_prompt.mjs";
import { TEXT, loadPrompt, openFrontEnd, runOnce, textOn } from "./front_end.mjs";

let browser;
let page;

before(async () => {
  ({ browser, page } = await openFrontEnd());
});
after(() => browser?.close());

test("a merge that drops what the node set is told on the node", async () => {
  const prompt = await demoPrompt();
  const id = idOf(prompt, MAIN);
  const sampler = Object.keys(prompt).find((key) => prompt[key].class_type === "KSampler");
  prompt[sampler].inputs.model = ["90", 0];
  prompt[90] = { class_type: "ModelMergeSimple", inputs: { model1: prompt[id].inputs.model, model2: [id, 0], ratio: 1 } };
  await loadPrompt(page, prompt);
  await runOnce(page);
  assert.match(await textOn(page, id), /^⚠ not used in this run: .* merge/);
});

test("a node that is bypassed, or whose sampler only a later report stands behind, is told nothing", async () => {
  const prompt = await demoPrompt();
  const id = idOf(prompt, MAIN);
  const report = idOf(prompt, "ASDMReport");
  const shown = () =>
    page.evaluate(
      ({ id, name }) => window.app.graph.getNodeById(id).widgets.find((widget) => widget.name === name)?.value ?? "",
      { id, name: TEXT },
    );
  await loadPrompt(page, prompt);
  await page.evaluate((id) => {
    for (const { widgets } of window.app.graph._nodes) {
      for (const widget of widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    }
    window.app.graph.getNodeById(id).mode = 4;
  }, id);
  await runOnce(page);
  assert.equal(await shown(), "");
  await page.evaluate((id) => (window.app.graph.getNodeById(id).mode = 0), id);
  await runOnce(page);
  const told = await shown();
  assert.match(told, /full/);
  await page.evaluate((id) => {
    const [before, graph] = [window.app.graph.getNodeById(id), window.app.graph];
    const added = window.LiteGraph.createNode("ASDMReport");
    graph.add(added);
    const link = (slot) => graph.links.get(before.inputs[slot].link);
    for (const slot of [0, 1]) graph.getNodeById(link(slot).origin_id).connect(link(slot).origin_slot, added, slot);
    const shows = window.LiteGraph.createNode("PreviewAny");
    graph.add(shows);
    added.connect(1, shows, 0);
  }, report);
  await runOnce(page);
  assert.equal(await shown(), told);
});
