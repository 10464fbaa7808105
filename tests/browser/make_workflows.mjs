// Rewrites example_workflows/*.json (what the front end opens) from example_workflows/api/*.json (what the server runs)
// and example_workflows/notes/*.md, and subgraphs/*.json from blueprints.json:
//   python tests/host/with_server.py workflows node tests/browser/make_workflows.mjs
// The front end itself makes them, so that they are what it would have saved; we only lay the nodes out in columns.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { loadPrompt, openFrontEnd } from "./front_end.mjs";
import { layOut } from "./layout.mjs";

const root = path.resolve(import.meta.dirname, "../..");
const folder = path.join(root, "example_workflows");
const readJson = async (file) => JSON.parse(await readFile(file, "utf8"));
const publicModels = await readJson(path.join(import.meta.dirname, "public_models.json"));

// The front end gives an imported graph the zero id, and two workflows of one id share a tab.
function stableId(name) {
  const digits = createHash("sha256").update(name).digest("hex");
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}

// What is on the canvas, with the note, as the front end saves it.
function saved(page, note) {
  return page.evaluate((note) => {
    // A shared workflow shall give everybody the same picture.
    for (const node of window.app.graph._nodes) {
      for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    }
    const added = window.LiteGraph.createNode("MarkdownNote");
    window.app.graph.add(added);
    added.widgets[0].value = note;
    added.title = "Note";
    return JSON.parse(JSON.stringify(window.app.graph.serialize()));
  }, note);
}

// So that the front end offers the download of what is missing.
function nameModels(workflow) {
  for (const node of workflow.nodes) {
    const models = (node.widgets_values ?? []).filter((value) => value in publicModels);
    if (models.length > 0) node.properties.models = models.map((name) => ({ name, ...publicModels[name] }));
  }
}

async function convert(page, file) {
  const name = path.basename(file, ".json");
  await loadPrompt(page, await readJson(path.join(folder, "api", file)), name);
  const workflow = await saved(page, await readFile(path.join(folder, "notes", `${name}.md`), "utf8"));
  layOut(workflow);
  nameModels(workflow);
  workflow.id = stableId(name);
  workflow.nodes.sort((a, b) => a.id - b.id);
  workflow.extra = { ...workflow.extra, ds: { scale: 0.7, offset: [20, 60] } };
  await writeFile(path.join(folder, file), JSON.stringify(workflow, null, 2) + "\n");
  console.log(`example_workflows/${file}: ${workflow.nodes.length} nodes`);
}

// One subgraph of some nodes of a workflow, as the front end publishes a blueprint.
async function publish(page, name, { workflow, nodes, widgets, outputs, description }) {
  await loadPrompt(page, await readJson(path.join(folder, "api", `${workflow}.json`)), name);
  const made = await page.evaluate(
    ({ name, nodes, widgets }) => {
      const { graph, canvas } = window.app;
      const chosen = graph._nodes.filter(({ id }) => nodes.includes(String(id)));
      // Several samplers that are to show the same picture, of which none shows its seed outside.
      const fixed = !widgets.some(([, name]) => name === "seed");
      for (const widget of chosen.flatMap(({ widgets }) => widgets ?? [])) {
        if (fixed && widget.name === "control_after_generate") widget.value = "fixed";
      }
      const { node } = graph.convertToSubgraph(new Set(chosen));
      node.title = name;
      node.properties.proxyWidgets = widgets;
      return JSON.parse(JSON.stringify(canvas._serializeItems([node])));
    },
    { name, nodes, widgets },
  );
  const [node] = made.nodes;
  const [subgraph] = made.subgraphs;
  for (const input of node.inputs) input.link = null;
  outputs.forEach((label, index) => {
    node.outputs[index].links = [];
    node.outputs[index].label = subgraph.outputs[index].label = label;
  });
  node.size = [Math.max(node.size[0], 320), node.size[1]];
  node.pos = [0, 0];
  node.type = stableId(`subgraph ${name}`);
  Object.assign(subgraph, { id: node.type, name });
  const blueprint = {
    id: stableId(`blueprint ${name}`),
    revision: 0,
    last_node_id: node.id,
    last_link_id: 0,
    nodes: [node],
    links: [],
    version: 0.4,
    definitions: { subgraphs: [subgraph] },
    extra: { BlueprintDescription: description },
  };
  await mkdir(path.join(root, "subgraphs"), { recursive: true });
  await writeFile(path.join(root, "subgraphs", `${name}.json`), JSON.stringify(blueprint, null, 2) + "\n");
  console.log(`subgraphs/${name}.json: ${subgraph.nodes.length} nodes`);
}

const { browser, page } = await openFrontEnd();
try {
  for (const file of (await readdir(path.join(folder, "api"))).filter((name) => name.endsWith(".json"))) {
    await convert(page, file);
  }
  const blueprints = await readJson(path.join(import.meta.dirname, "blueprints.json"));
  for (const [name, blueprint] of Object.entries(blueprints)) await publish(page, name, blueprint);
} finally {
  await browser.close();
}
