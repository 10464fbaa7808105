// The shared workflows in the real front end, against the server that ASDM_SERVER names.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import {
  coloursOnNode,
  dropFile,
  getJson,
  openFrontEnd,
  root,
  runOnce,
  screenshots,
  server,
  showWholeGraph,
  unknownNodeTypes,
  visibleDialogs,
  waitForNodes,
} from "./front_end.mjs";
import { overlaps } from "./layout.mjs";

const MIN_COLOURS = 64;
const EXAMPLES = "example_workflows";
const EARLIER = "workflows/earlier"; // files that earlier versions shipped
const PACK = "ComfyUI-ASDM";
const SMALL = { batch_size: 1, steps: 8 }; // a calibration samples up to twenty-four times
let browser;
let page;

before(async () => {
  ({ browser, page } = await openFrontEnd());
});
after(() => browser?.close());

async function readJson(...parts) {
  return JSON.parse(await readFile(path.join(root, ...parts), "utf8"));
}

// Drops FOLDER/NAME.json on the canvas and checks that it opened whole.
async function openWorkflow(folder, name) {
  const workflow = await readJson(folder, name);
  await page.evaluate(() => window.app.graph.clear());
  await dropFile(page, path.join(root, folder, name));
  await waitForNodes(page, workflow.nodes.length);
  assert.deepEqual(await unknownNodeTypes(page), []);
  assert.deepEqual(await visibleDialogs(page), []);
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

async function jsonFiles(folder) {
  return (await readdir(path.join(root, folder))).filter((file) => file.endsWith(".json"));
}

const examples = await jsonFiles(EXAMPLES);
for (const [folder, names] of [[EXAMPLES, examples], [EARLIER, await jsonFiles(EARLIER)]]) {
  for (const name of names) {
    test(`${name} opens whole and says the same as its API twin`, async () => {
      await openWorkflow(folder, name);
      await showWholeGraph(page);
      await page.screenshot({ path: path.join(screenshots, `${path.basename(name, ".json")}.png`) });
      const { output } = await page.evaluate(() => window.app.graphToPrompt());
      assert.deepEqual(withoutTrimmings(output), withoutTrimmings(await readJson(folder, "api", name)));
    });
  }
}

for (const name of examples) {
  test(`${name} is laid out to be read, and says what to change`, async () => {
    const { nodes } = await readJson(EXAMPLES, name);
    assert.deepEqual(overlaps(nodes), []);
    const [note] = nodes.filter(({ type }) => type === "MarkdownNote").map((node) => node.widgets_values[0]);
    assert.equal(note, await readFile(path.join(root, EXAMPLES, "notes", name.replace(".json", ".md")), "utf8"));
    assert.ok(note.startsWith(`## ${path.basename(name, ".json")}\n`));
    for (const word of ["**Change**", "**Expect**"]) assert.ok(note.includes(word), `no ${word} in ${note}`);
    // The report shows itself.
    assert.deepEqual(nodes.filter(({ type }) => type === "PreviewAny"), []);
    const known = await readJson("tests/browser/public_models.json");
    for (const node of nodes.filter(({ type }) => ["CheckpointLoaderSimple", "ControlNetLoader", "LoraLoader"].includes(type))) {
      const [file] = node.widgets_values;
      assert.deepEqual(node.properties.models, [{ name: file, ...known[file] }]);
    }
  });
}

test("the template gallery has each workflow once, with its thumbnail", async () => {
  const templates = await getJson("/workflow_templates");
  const titles = examples.map((name) => path.basename(name, ".json")).toSorted();
  assert.deepEqual(templates[PACK].toSorted(), titles);
  for (const title of titles) {
    const thumbnail = await fetch(`${server}/api/workflow_templates/${PACK}/${encodeURIComponent(title)}.jpg`);
    assert.equal(thumbnail.status, 200, title);
    assert.equal(thumbnail.headers.get("content-type"), "image/jpeg");
  }
});

// Connects what the subgraph node of a blueprint takes to the demo model, and what it gives to nodes that show it.
function connectDemo(prompt) {
  return page.evaluate((prompt) => {
    const { graph } = window.app;
    const subgraph = graph._nodes[0];
    const add = (type, widgets = {}) => {
      const node = window.LiteGraph.createNode(type);
      graph.add(node);
      for (const [name, value] of Object.entries(widgets)) node.widgets.find((widget) => widget.name === name).value = value;
      return node;
    };
    const clip = add("CLIPLoader", { clip_name: "asdm_demo_text_encoder.safetensors" });
    const text = add("CLIPTextEncode", { text: prompt });
    clip.connect(0, text, 0);
    const given = {
      MODEL: add("ASDMLoadUNet", { unet_name: "asdm_demo_unet.safetensors" }),
      CONDITIONING: text,
      LATENT: add("EmptyLatentImage", { width: 128, height: 128 }),
      VAE: add("VAELoader", { vae_name: "asdm_demo_vae.safetensors" }),
    };
    subgraph.inputs.forEach((input, index) => {
      if (!input.widget) given[input.type].connect(0, subgraph, index);
    });
    const shown = [];
    subgraph.outputs.forEach(({ type }, index) => {
      let [node, slot] = [subgraph, index];
      if (type === "LATENT") {
        const decode = add("VAEDecode");
        subgraph.connect(index, decode, 0);
        given.VAE.connect(0, decode, 1);
        [node, slot] = [decode, 0];
      }
      const preview = add("PreviewImage");
      node.connect(slot, preview, 0);
      shown.push(String(preview.id));
    });
    return shown;
  }, prompt);
}

for (const name of await jsonFiles("subgraphs")) {
  test(`the blueprint ${name} is known to the front end, and runs`, async () => {
    const title = path.basename(name, ".json");
    const blueprints = Object.values(await getJson("/global_subgraphs"));
    assert.equal(blueprints.filter((entry) => entry.name === title).length, 1);
    const { nodes, definitions } = await openWorkflow("subgraphs", name);
    assert.deepEqual(nodes.map(({ type }) => type), [definitions.subgraphs[0].id]);
    const shown = await connectDemo("strawberry");
    const run = await runOnce(page);
    for (const id of shown) assert.equal(run.outputs[id].images.length, 1);
  });
}

test("the dropped demo workflow runs and shows its picture", async () => {
  const workflow = await openWorkflow(EXAMPLES, "Text to image (demo model).json");
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
  await openWorkflow(EARLIER, "asdm_demo_calibrate_plan.json");
  await page.evaluate((small) => {
    const widgets = window.app.graph._nodes.flatMap((node) => node.widgets ?? []);
    for (const widget of widgets) if (widget.name in small) widget.value = small[widget.name];
  }, SMALL);
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
        .widgets.some(({ name, value }) => name === "shown_text" && /times less work at [\d.]+ dB/.test(value)),
    undefined,
    { timeout: 30_000 },
  );
  await showWholeGraph(page);
  await page.screenshot({ path: path.join(screenshots, "calibrated_run.png") });
  const after = await widgets();
  assert.equal(after.seed, before.seed);
  assert.equal(before.effort, "thorough"); // what all calibrations were before there was a choice
  assert.ok(!("control_after_generate" in after));
});
