// Rewrites workflows/*.json (what the front end opens) from workflows/api/*.json (what the server runs):
//   python tests/host/with_server.py workflows node tests/browser/make_workflows.mjs
// The front end itself makes them, so that they are what it would have saved; we only lay the nodes out in columns.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { openFrontEnd, waitForNodes } from "./front_end.mjs";

const folder = path.resolve(import.meta.dirname, "../../workflows");
const SIZES = {
  ASDMCalibratePlan: [420, 560],
  CLIPTextEncode: [360, 140],
  KSampler: [300, 262],
  ASDMReport: [420, 420],
  PreviewAny: [560, 720],
  PreviewImage: [300, 320],
  SaveImage: [320, 400],
};
const COLUMN_GAP = 60;
const ROW_GAP = 60;

// Each node stands one column right of its last supplier.
function layOut(workflow) {
  const byId = new Map(workflow.nodes.map((node) => [node.id, node]));
  const column = (node) => {
    const suppliers = workflow.links.filter((link) => link[3] === node.id).map((link) => byId.get(link[1]));
    return suppliers.length === 0 ? 0 : 1 + Math.max(...suppliers.map(column));
  };
  const columns = [];
  for (const node of workflow.nodes.toSorted((a, b) => a.id - b.id)) {
    node.size = SIZES[node.type] ?? [Math.max(node.size[0], 300), node.size[1]];
    (columns[column(node)] ??= []).push(node);
  }
  let left = 40;
  for (const nodes of columns) {
    let top = 60;
    for (const node of nodes) {
      node.pos = [left, top];
      top += node.size[1] + ROW_GAP;
    }
    left += Math.max(...nodes.map((node) => node.size[0])) + COLUMN_GAP;
  }
}

// The front end gives an imported graph the zero id, and two workflows of one id share a tab.
function stableId(name) {
  const digits = createHash("sha256").update(name).digest("hex");
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}

async function convert(page, file) {
  const api = JSON.parse(await readFile(path.join(folder, "api", file), "utf8"));
  const name = path.basename(file, ".json");
  await page.evaluate(({ api, name }) => window.app.loadApiJson(api, name), { api, name });
  await waitForNodes(page, Object.keys(api).length);
  const workflow = await page.evaluate(() => {
    // A shared workflow shall give everybody the same picture.
    for (const node of window.app.graph._nodes) {
      for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    }
    return JSON.parse(JSON.stringify(window.app.graph.serialize()));
  });
  layOut(workflow);
  workflow.id = stableId(name);
  workflow.nodes.sort((a, b) => a.id - b.id);
  workflow.extra = { ...workflow.extra, ds: { scale: 0.8, offset: [20, 60] } };
  await writeFile(path.join(folder, file), JSON.stringify(workflow, null, 2) + "\n");
  console.log(`workflows/${file}: ${workflow.nodes.length} nodes`);
}

const { browser, page } = await openFrontEnd();
try {
  for (const file of (await readdir(path.join(folder, "api"))).filter((name) => name.endsWith(".json"))) {
    await convert(page, file);
  }
} finally {
  await browser.close();
}
