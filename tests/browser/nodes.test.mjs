// The pack's nodes as a user meets them: found, placed, set, run and told about, in the real front end.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { MAIN, STEPS, demoPrompt, idOf, nextSeed } from "./demo_prompt.mjs";
import {
  NODES2,
  TEXT,
  addNode,
  closeDialogs,
  dropFile,
  getJson,
  loadPrompt,
  openFrontEnd,
  openWithSetting,
  press,
  root,
  runOnce,
  screenshots,
  searchNodes,
  showWholeGraph,
  textOn,
  visibleDialogs,
  waitForNodes,
} from "./front_end.mjs";

let browser;
let page;

before(async () => {
  ({ browser, page } = await openFrontEnd());
});
after(() => browser?.close());
beforeEach(async () => {
  await closeDialogs(page);
  await page.evaluate(() => window.app.graph.clear());
});

const readJson = async (...parts) => JSON.parse(await readFile(path.join(root, ...parts), "utf8"));

// The same as a saved graph, whose nodes lie where they were saved; the id of its main node, with changed widgets.
async function dropDemo(values) {
  const file = path.join(root, "tests/browser/first_version/text_to_image.json");
  await dropFile(page, file);
  await waitForNodes(page, JSON.parse(await readFile(file, "utf8")).nodes.length);
  const ids = await page.evaluate(() =>
    Object.fromEntries(window.app.graph._nodes.map(({ type, id }) => [type, String(id)])),
  );
  await choose(ids.KSampler, { steps: STEPS, seed: nextSeed() });
  await choose(ids[MAIN], values);
  return ids[MAIN];
}

// {name: {shown, grey, value}} of the widgets of a node.
const widgetsOf = (id) =>
  page.evaluate((id) => {
    const { widgets } = window.app.graph.getNodeById(id);
    return Object.fromEntries(
      widgets.map((widget) => [
        widget.name,
        { shown: !widget.hidden, grey: Boolean(widget.disabled), value: widget.value },
      ]),
    );
  }, id);

const choose = (id, values) =>
  page.evaluate(
    ({ id, values }) => {
      const { widgets } = window.app.graph.getNodeById(id);
      for (const [name, value] of Object.entries(values)) {
        const widget = widgets.find((candidate) => candidate.name === name);
        widget.value = value;
        widget.callback?.(value);
      }
    },
    { id, values },
  );

const names = (widgets, test) => Object.keys(widgets).filter((name) => test(widgets[name]));

for (const words of ["fast", "cache", "speed", "deepcache", "compress", "sdxl faster"]) {
  test(`a search for "${words}" finds the pack`, async () => {
    const found = await searchNodes(page, words);
    assert.ok(found.some((title) => title.startsWith("ASDM ")), `found: ${found.join(" | ")}`);
  });
}

test("a search for what the main node does names it first among the pack's", async () => {
  for (const words of ["deepcache", "sdxl faster"]) {
    const found = (await searchNodes(page, words)).filter((title) => title.startsWith("ASDM "));
    assert.match(found[0], /^ASDM Faster/, words);
  }
});

// Front ends load a language late; 1.32 then drops what packs had given it, later ones do not.
test("the server hands the words of the pack to the front end, in every language", async () => {
  const words = await getJson("/i18n");
  for (const language of ["en", "zh", "ja", "ko", "fr", "de", "es"]) {
    const { display_name, inputs } = words[language].nodeDefs[MAIN];
    assert.match(display_name, /^ASDM .*faster/i, language);
    assert.ok(inputs.interval.name.includes("interval"), language);
  }
});

test("a link of a MODEL that is dropped on the canvas offers the main node", async () => {
  await page.evaluate(async () => {
    await window.app.extensionManager.setting.set("Comfy.LinkRelease.Action", "context menu");
  });
  const id = await addNode(page, "CheckpointLoaderSimple");
  const [x, y] = await page.evaluate((id) => {
    const node = window.app.graph.getNodeById(id);
    const { ds, canvas } = window.app.canvas;
    const rect = canvas.getBoundingClientRect();
    return node.getOutputPos(0).map((at, axis) => (at + ds.offset[axis]) * ds.scale + [rect.left, rect.top][axis]);
  }, id);
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x + 200, y + 80, { steps: 8 });
  await page.mouse.up();
  const entries = await page.locator(".litecontextmenu .litemenu-entry").allInnerTexts();
  await page.keyboard.press("Escape");
  await page.evaluate(() => document.querySelectorAll(".litecontextmenu").forEach((menu) => menu.remove()));
  assert.ok(entries.includes(MAIN), `offered: ${entries.join(" | ")}`);
});

test("a new node shows what most need, and greys what its speed does not read", async () => {
  const id = await addNode(page, MAIN);
  const fresh = await widgetsOf(id);
  const shown = ["mode", "interval", "full_evaluations", "start_percent", "speed", "advanced"];
  assert.deepEqual(names(fresh, (widget) => widget.shown), shown);
  assert.deepEqual(names(fresh, (widget) => widget.shown && widget.grey), shown.slice(0, 4));

  await choose(id, { speed: "custom" });
  assert.deepEqual(names(await widgetsOf(id), (widget) => widget.shown && widget.grey), []);
  await choose(id, { mode: "front" });
  assert.deepEqual(names(await widgetsOf(id), (widget) => widget.shown && widget.grey), ["interval"]);
  await choose(id, { mode: "explicit" });
  const explicit = await widgetsOf(id);
  assert.deepEqual(names(explicit, (widget) => widget.shown && widget.grey), ["interval", "full_evaluations"]);
  assert.ok(explicit.full_at.shown && !explicit.full_at.grey);
  assert.ok(!explicit.threshold.shown && explicit.threshold.grey);
});

for (const isNodes2 of [false, true]) {
  const version = isNodes2 ? "Nodes 2.0" : "the classic front end";
  test(`a count of full steps greys the interval, but where gaps grow from it, in ${version}`, async () => {
    await openWithSetting(page, NODES2, isNodes2);
    try {
      const id = await addNode(page, MAIN);
      // What Nodes 2.0 draws, else what the canvas goes by.
      const isGrey = async () => {
        if (!isNodes2) return (await widgetsOf(id)).interval.grey;
        await page.waitForTimeout(400);
        const field = page.locator(`[data-node-id="${id}"] .lg-node-widget`, { hasText: "interval" });
        return field.locator("input").isDisabled();
      };
      await choose(id, { speed: "custom" });
      assert.equal(await isGrey(), false);
      await choose(id, { full_evaluations: 5 });
      assert.equal(await isGrey(), true);
      await choose(id, { mode: "growing" });
      assert.equal(await isGrey(), false);
      await choose(id, { mode: "uniform", full_evaluations: 0 });
      assert.equal(await isGrey(), false);
    } finally {
      await openWithSetting(page, NODES2, false);
    }
  });
}

test("the button shows all and hides them again, at the node's own height", async () => {
  const id = await addNode(page, MAIN);
  const height = () => page.evaluate((id) => window.app.graph.getNodeById(id).size[1], id);
  const folded = await height();
  await press(page, id, "advanced");
  assert.deepEqual(names(await widgetsOf(id), (widget) => !widget.shown), []);
  assert.ok((await height()) > folded + 150);
  await press(page, id, "advanced");
  assert.equal(await height(), folded);
});

test("a folded value that is not its default opens the fold", async () => {
  const prompt = await demoPrompt();
  const id = idOf(prompt, MAIN);
  prompt[id].inputs.storage = "bf16";
  await loadPrompt(page, prompt);
  assert.deepEqual(names(await widgetsOf(id), (widget) => !widget.shown), []);
});

test("folding changes neither the prompt nor what is saved", async () => {
  const id = await addNode(page, MAIN);
  const state = () =>
    page.evaluate(async (id) => {
      const { output } = await window.app.graphToPrompt();
      return { inputs: output[id].inputs, values: window.app.graph.getNodeById(id).serialize().widgets_values };
    }, id);
  const folded = await state();
  await choose(id, { speed: "custom" });
  await choose(id, { speed: "2x" });
  await press(page, id, "advanced");
  assert.deepEqual(await state(), folded);
  assert.equal(folded.values.length, 15);
});

test("a graph of the first version means what it meant", async () => {
  const saved = await readJson("tests/browser/first_version/text_to_image.json");
  const meant = await readJson("tests/browser/first_version/text_to_image.api.json");
  await dropFile(page, path.join(root, "tests/browser/first_version/text_to_image.json"));
  await waitForNodes(page, saved.nodes.length);
  const { output } = await page.evaluate(() => window.app.graphToPrompt());
  for (const [id, { class_type, inputs }] of Object.entries(meant)) {
    assert.equal(output[id].class_type, class_type);
    const known = class_type === "PreviewAny" ? { source: inputs.source } : inputs;
    for (const [name, value] of Object.entries(known)) assert.deepEqual(output[id].inputs[name], value, `${class_type}.${name}`);
  }
  const id = idOf(meant, MAIN);
  assert.equal(output[id].inputs.speed, "custom");
  const widgets = await widgetsOf(id);
  assert.ok(widgets.interval.shown && !widgets.interval.grey);
  assert.deepEqual(await visibleDialogs(page), []);
});

test("what cannot be is refused before anything runs, once, and at its widget", async () => {
  const prompt = await demoPrompt();
  const id = idOf(prompt, MAIN);
  Object.assign(prompt[id].inputs, { speed: "custom", start_percent: 0.8, end_percent: 0.2 });
  await loadPrompt(page, prompt);
  await page.getByTestId("queue-button").click();
  await page.waitForFunction((id) => window.app.lastNodeErrors?.[id], id, { timeout: 30_000 });
  const { errors } = await page.evaluate((id) => window.app.lastNodeErrors[id], id);
  assert.deepEqual(errors.map(({ extra_info }) => extra_info.input_name), ["end_percent"]);
  assert.match(errors[0].details, /expected a number above start_percent \(0\.8\), got 0\.2/);
  const outline = await page.evaluate(
    (id) => window.app.graph.getNodeById(id).widgets.find(({ name }) => name === "end_percent").outline_color,
    id,
  );
  assert.equal(outline, "red");
  await closeDialogs(page);
});

for (const isNodes2 of [false, true]) {
  const version = isNodes2 ? "Nodes 2.0" : "the classic front end";
  test(`a run tells what it gained on the node, which grows with it, in ${version}`, async () => {
    await openWithSetting(page, NODES2, isNodes2);
    try {
      const id = await dropDemo({ speed: "custom", interval: 2 });
      const before = await page.evaluate((id) => window.app.graph.getNodeById(id).size[1], id);
      await runOnce(page);
      const text = await textOn(page, id);
      assert.match(text, /^([\d.]+x faster|not faster) · 2 of 4 full · .*% of the work · .* kept\n- few steps \(4\)/);
      await page.waitForTimeout(500);
      const { height, bottom } = await page.evaluate(
        ({ id, name }) => {
          const node = window.app.graph.getNodeById(id);
          window.app.canvas.draw(true, true);
          const widget = node.widgets.find((candidate) => candidate.name === name);
          return { height: node.size[1], bottom: widget.y + widget.computedHeight };
        },
        { id, name: TEXT },
      );
      await showWholeGraph(page);
      await page.screenshot({ path: path.join(screenshots, `told_${isNodes2 ? "nodes2" : "classic"}.png`) });
      assert.ok(height > before, `${before} before, ${height} behind the run`);
      if (isNodes2) {
        const [frame, told] = await page.evaluate(
          ({ id }) => {
            const frame = document.querySelector(`[data-node-id="${id}"]`);
            const told = [...frame.querySelectorAll("*")].filter((part) => part.innerText?.includes("of the work")).at(-1);
            return [frame, told].map((part) => part.getBoundingClientRect().bottom);
          },
          { id },
        );
        assert.ok(told <= frame + 1, `the text ends at ${told}, the node at ${frame}`);
      } else {
        assert.ok(bottom <= height + 1, `the text ends at ${bottom}, the node at ${height}`);
      }
    } finally {
      await openWithSetting(page, NODES2, false);
    }
  });
}

test("in Nodes 2.0 what is shown and what is grey follows the mode, however often it changes", async () => {
  await openWithSetting(page, NODES2, true);
  try {
    const id = await dropDemo({ speed: "custom" });
    const shown = async () => {
      await page.waitForTimeout(400);
      return page.evaluate((id) => document.querySelector(`[data-node-id="${id}"]`).innerText.split(/\s+/), id);
    };
    assert.ok(!(await shown()).includes("full_at"));
    await choose(id, { mode: "explicit" });
    assert.ok((await shown()).includes("full_at"));
    await choose(id, { mode: "adaptive" });
    const adaptive = await shown();
    assert.ok(!adaptive.includes("full_at") && adaptive.includes("threshold"), adaptive.join(" "));
    await press(page, id, "advanced");
    const open = await shown();
    assert.ok(["full_at", "storage", "sites"].every((name) => open.includes(name)), open.join(" "));
  } finally {
    await openWithSetting(page, NODES2, false);
  }
});

test("a report opens large enough, and begins with what was gained", async () => {
  const alone = await addNode(page, "ASDMReport");
  assert.deepEqual(await page.evaluate((id) => [...window.app.graph.getNodeById(id).size], alone), [440, 560]);
  await page.evaluate(() => window.app.graph.clear());
  const prompt = await demoPrompt();
  Object.assign(prompt[idOf(prompt, MAIN)].inputs, { speed: "custom", interval: 2 });
  await loadPrompt(page, prompt);
  await runOnce(page);
  const text = await textOn(page, idOf(prompt, "ASDMReport"), "shown_text");
  assert.match(text, /^\*\*([\d.]+x faster|not faster)\*\* · 2 of 4 full/);
  assert.doesNotMatch(text, /fallback|MACs|forced|native calls/);
  await showWholeGraph(page);
  await page.screenshot({ path: path.join(screenshots, "report.png") });
});

test("a calibrating node tells how far it is, and shows its plot and no preview of a latent", async () => {
  const prompt = await demoPrompt();
  const sampler = Object.values(prompt).find(({ class_type }) => class_type === "KSampler");
  const { model, ...run } = sampler.inputs;
  const calibrating = {
    class_type: "ASDMCalibratePlan",
    inputs: { ...run, model: prompt[idOf(prompt, MAIN)].inputs.model, steps: 5, target_speedup: 1.2, effort: "quick" },
  };
  sampler.inputs.model = ["91", 0];
  await loadPrompt(page, {
    ...prompt,
    90: calibrating,
    91: { class_type: "ASDMApplyPlan", inputs: { model, plan: ["90", 0] } },
  });
  await page.evaluate(() => {
    window.told = [];
    window.comfyAPI.api.api.addEventListener("progress_text", ({ detail }) => window.told.push(detail.text));
  });
  await runOnce(page);
  const told = await page.evaluate(() => window.told);
  assert.equal(told[0], "run 1 of 6");
  assert.match(told[2], /^run 3 of 6, best 1\.\d+x at \d+ dB, about \d+ (s|min)$/);
  assert.match(await textOn(page, "90"), /^runs: [3-6]$/);
  await page.waitForTimeout(2000); // previews come late, and stay for a moment
  const pictures = await page.evaluate(() => window.app.graph.getNodeById("90").imgs?.map(({ src }) => src) ?? []);
  assert.equal(pictures.length, 1);
  assert.match(pictures[0], /\/view\?/);
});

test("a prompt with a node that is not installed leaves the open graph as it is", async () => {
  const id = await dropDemo({ speed: "2x" });
  const other = { class_type: "CLIPTextEncode", inputs: { text: "a cat" } };
  const absent = { class_type: "NobodyHasThis", inputs: {} };
  await page.evaluate((prompt) => window.app.loadApiJson(prompt, "other"), { [id]: other, 99: absent });
  await page.waitForTimeout(500);
  await closeDialogs(page);
  const speed = await page.evaluate(
    (id) => window.app.graph.getNodeById(id)?.widgets.find(({ name }) => name === "speed")?.value,
    id,
  );
  assert.equal(speed, "2x");
});
