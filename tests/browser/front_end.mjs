// Opens ComfyUI's own front end in a headless Chromium and acts on it as a user would.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";

const READY_TIMEOUT = 120_000;
const RUN_TIMEOUT = 300_000;
// Wide enough that the whole of a workflow is drawn with its text.
const VIEWPORT = { width: 2400, height: 1200 };
// Of ComfyUI's front end, from 1.32 on.
const SEARCH_BOX = ".comfy-vue-node-search-container input, .comfy-autocomplete input";
const SEARCH_RESULTS = ".p-autocomplete-option, [role=option]";
const SEARCH_TRIES = 4;
const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const server = process.env.ASDM_SERVER;
export const root = path.resolve(import.meta.dirname, "../..");
export const screenshots = path.join(root, ".test/screenshots");
export const TEXT = "$$node-text-preview"; // the widget of the host that shows what a node tells
export const NODES2 = "Comfy.VueNodes.Enabled"; // the host's setting

export async function openFrontEnd() {
  if (!server) throw new Error("ASDM_SERVER is not set: run this through tests/host/with_server.py");
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
  const page = await browser.newPage({ viewport: VIEWPORT });
  await page.goto(server, { waitUntil: "domcontentloaded", timeout: READY_TIMEOUT });
  await waitUntilReady(page);
  return { browser, page };
}

async function waitUntilReady(page) {
  await page.waitForFunction(() => window.app?.extensionManager && window.app?.graph, null, { timeout: READY_TIMEOUT });
  await page.locator(".p-blockui-mask").waitFor({ state: "hidden", timeout: READY_TIMEOUT });
  await closeDialogs(page);
}

// The template gallery and release notes may cover the canvas on a first visit.
export async function closeDialogs(page) {
  for (let attempt = 0; attempt < 5 && (await visibleDialogs(page)).length > 0; attempt++) {
    await page.keyboard.press("Escape");
    await page.waitForTimeout(300);
  }
}

// The text of each dialog on the screen, in one line: the missing-node and missing-model warnings are such dialogs, or,
// in newer front ends, an overlay in the corner, some of which begin with a count.
export function visibleDialogs(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll('[role="dialog"], .p-dialog, .comfy-modal, [data-testid="error-overlay"]')]
      .filter((dialog) => dialog.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }))
      .map((dialog) => dialog.innerText.trim().replaceAll(/\s+/g, " "))
      .filter((text) => text.length > 0),
  );
}

// Drops a file on the middle of the canvas, as from a file manager.
export async function dropFile(page, file) {
  const content = await readFile(file, "utf8");
  await page.evaluate(
    ({ content, name }) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([content], name, { type: "application/json" }));
      const at = { clientX: innerWidth / 2, clientY: innerHeight / 2 };
      const target = document.elementFromPoint(at.clientX, at.clientY);
      for (const kind of ["dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true, ...at }));
      }
    },
    { content, name: path.basename(file) },
  );
}

// Brings a node into the middle of the view, at full size.
export async function showNode(page, id) {
  await page.evaluate((id) => {
    const { canvas } = window.app;
    const node = window.app.graph.getNodeById(id);
    canvas.ds.scale = 1;
    canvas.ds.offset = [500 - node.pos[0], 150 - node.pos[1]];
    canvas.setDirty(true, true);
  }, id);
  await page.waitForTimeout(600); // until it is drawn there
}

// Drops {name, type, bytes} on a node, from a file manager: on its title, which the canvas draws, or on the text that lies
// over it. A browser sends the events to what is on top there.
export async function dropOnNode(page, id, { name, type, bytes }, place) {
  const content = Buffer.from(bytes).toString("base64");
  await showNode(page, id);
  await page.evaluate(
    ({ id, name, type, content, place }) => {
      const node = window.app.graph.getNodeById(id);
      const { ds, canvas } = window.app.canvas;
      const { left, top } = canvas.getBoundingClientRect();
      const frame = document.querySelector(`[data-node-id="${id}"]`);
      const text = (frame ?? document).querySelector("textarea");
      const box = (place === "text" ? text : frame)?.getBoundingClientRect();
      const [x, y] = box
        ? [box.left + box.width / 2, box.top + (place === "text" ? box.height / 2 : 10)]
        : [(node.pos[0] + 30 + ds.offset[0]) * ds.scale + left, (node.pos[1] - 10 + ds.offset[1]) * ds.scale + top];
      const at = { clientX: x, clientY: y };
      const dataTransfer = new DataTransfer();
      const data = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
      dataTransfer.items.add(new File([data], name, { type }));
      const target = document.elementFromPoint(x, y);
      for (const kind of ["dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true, ...at }));
      }
    },
    { id, name, type, content, place },
  );
}

export async function waitForNodes(page, count) {
  await page.waitForFunction((count) => window.app.graph._nodes.length === count, count, { timeout: 30_000 });
  await page.waitForTimeout(500); // a warning dialog comes up a moment after the graph
}

// Puts a prompt, in the format of the API, on the canvas.
export async function loadPrompt(page, prompt, name = "test") {
  await page.evaluate(({ prompt, name }) => window.app.loadApiJson(prompt, name), { prompt, name });
  await waitForNodes(page, Object.keys(prompt).length);
}

// What a widget of a node shows, as soon as it shows something.
export async function textOn(page, id, name = TEXT) {
  const found = await page.waitForFunction(
    ({ id, name }) => window.app.graph.getNodeById(id)?.widgets?.find((widget) => widget.name === name)?.value,
    { id, name },
    { timeout: 30_000 },
  );
  return found.jsonValue();
}

// Presses a button of a node.
export function press(page, id, button) {
  return page.evaluate(
    ({ id, button }) => window.app.graph.getNodeById(id).widgets.find(({ name }) => name === button).callback(),
    { id, button },
  );
}

// Types on the canvas that the server does not know.
export function unknownNodeTypes(page) {
  return page.evaluate(() =>
    window.app.graph._nodes.map((node) => node.type).filter((type) => !(type in window.LiteGraph.registered_node_types)),
  );
}

export async function showWholeGraph(page) {
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Canvas.FitView"));
  await page.waitForTimeout(800); // the view glides there
}

// Number of different colours the canvas shows where the node lies: a picture has many, an empty node a handful.
export function coloursOnNode(page, nodeId) {
  return page.evaluate((nodeId) => {
    const { canvas, ds } = window.app.canvas;
    const node = window.app.graph._nodes.find((candidate) => String(candidate.id) === nodeId);
    const scale = ds.scale * (canvas.width / canvas.clientWidth);
    const left = (node.pos[0] + ds.offset[0]) * scale;
    const top = (node.pos[1] + ds.offset[1]) * scale;
    const area = canvas.getContext("2d").getImageData(left, top, node.size[0] * scale, node.size[1] * scale);
    return new Set(new Uint32Array(area.data.buffer)).size;
  }, nodeId);
}

export async function getJson(route) {
  const answer = await fetch(server + route);
  if (!answer.ok) throw new Error(`${route}: HTTP ${answer.status}`);
  return answer.json();
}

// What a route gives, as bytes.
export async function getBytes(route, query) {
  const answer = await fetch(`${server}${route}?${new URLSearchParams(query)}`);
  if (!answer.ok) throw new Error(`${route}: HTTP ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

// Runs what is on the canvas, as a user does; what the server keeps of the run.
export async function runOnce(page) {
  const known = new Set(Object.keys(await getJson("/history")));
  await page.getByTestId("queue-button").click();
  const deadline = Date.now() + RUN_TIMEOUT;
  while (Date.now() < deadline) {
    const fresh = Object.entries(await getJson("/history")).filter(([id]) => !known.has(id));
    if (fresh.length > 0) {
      const [[, run]] = fresh;
      assert.equal(run.status.status_str, "success", JSON.stringify(run.status.messages));
      return run;
    }
    await page.waitForTimeout(250);
  }
  throw new Error(`nothing came into the history within ${RUN_TIMEOUT / 1000} s`);
}

// Puts a new node on the canvas, as the menus do; its id.
export function addNode(page, type) {
  return page.evaluate((type) => {
    const node = window.LiteGraph.createNode(type);
    node.pos = [100, 100];
    window.app.graph.add(node);
    return String(node.id);
  }, type);
}

// Opens the node search by a double click on the canvas; its input. A busy machine can take the clicks for two single
// ones, and then a user clicks again.
async function openSearch(page) {
  const box = page.locator(SEARCH_BOX).last();
  for (let left = SEARCH_TRIES; ; --left) {
    await page.mouse.dblclick(VIEWPORT.width / 2, VIEWPORT.height - 250);
    try {
      await box.waitFor({ timeout: 5_000 });
      return box;
    } catch (error) {
      if (left === 1) {
        throw error;
      }
    }
  }
}

// What `read` gives, once it has given the same twice in a row; after ten times as it is.
async function settled(page, read) {
  let last = null;
  for (let left = 10; left > 0; --left) {
    await page.waitForTimeout(700);
    const now = await read();
    if (JSON.stringify(now) === JSON.stringify(last)) {
      break;
    }
    last = now;
  }
  return last;
}

// Types into the node search; the titles that it lists, best first.
export async function searchNodes(page, words) {
  await page.evaluate(async () => {
    const { setting } = window.app.extensionManager;
    await setting.set("Comfy.NodeSearchBoxImpl", "default");
  });
  const box = await openSearch(page);
  await box.fill(words);
  await page.locator(SEARCH_RESULTS).first().waitFor({ timeout: 10_000 });
  const titles = await settled(page, () => page.locator(SEARCH_RESULTS).allInnerTexts());
  await page.keyboard.press("Escape");
  await box.waitFor({ state: "hidden", timeout: 10_000 });
  return titles.map((title) => title.trim().split("\n")[0]);
}

// Opens the front end anew, with a setting of the user's changed.
export async function openWithSetting(page, name, value) {
  await page.evaluate(({ name, value }) => window.app.extensionManager.setting.set(name, value), { name, value });
  await page.reload({ waitUntil: "domcontentloaded" });
  await waitUntilReady(page);
  await page.evaluate(() => window.app.graph.clear());
}
