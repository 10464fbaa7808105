// Loads the plan of a picture, or of a .json file, that is dropped on ASDM Apply Plan: without this the host would open
// the workflow that the picture carries.
import { app } from "../../scripts/app.js";
import { drawAnew } from "./nodes2.js";
import { pictureTexts } from "./picture_text.js";
import { PLAN_NODE, askPlan, isPlanLinked, noteForUndo, planWidget, setPlan, tellOn } from "./plan_server.js";
import { translate } from "./words.js";

const PLANS = "asdm_plans"; // where pictures carry them
const NO_PICTURE = "is neither a PNG or WebP picture nor a .json file";
const WITHOUT = "carries no plan; pictures of runs that inherit do, where they were saved with metadata";

// [{label, plan}] of what a picture carries: {id of a sampling node: [plan]}, or a list of plans in those of before.
function plansOf(texts) {
  const carried = JSON.parse(texts[PLANS] ?? "[]");
  if (Array.isArray(carried)) return carried.map((plan, index) => ({ label: translate("plan {number}", { number: index + 1 }), plan }));
  const prompt = promptOf(texts);
  return Object.entries(carried).flatMap(([id, plans]) =>
    plans.map((plan, index) => ({ label: labelOf(prompt[id], id, plans.length > 1 ? index + 1 : 0), plan })),
  );
}

// For the names of nodes alone. The host may write NaN into it, which is no JSON.
function promptOf({ prompt }) {
  try {
    return JSON.parse(prompt);
  } catch {
    return {};
  }
}

function labelOf(node, id, run) {
  const name = node?._meta?.title ?? node?.class_type ?? "node";
  return `${name} (${id})${run ? `, ${translate("run {number}", { number: run })}` : ""}`;
}

async function plansIn(file) {
  if (file.name.endsWith(".json")) return [{ label: file.name, text: await file.text() }];
  const texts = await pictureTexts(file);
  if (!texts) throw new Error(translate(NO_PICTURE));
  const plans = plansOf(texts);
  if (plans.length === 0) throw new Error(translate(WITHOUT));
  return plans.map(({ label, plan }) => ({ label, text: JSON.stringify(plan) }));
}

// The one of several that the user wants; none where the menu is left.
function choose(plans, event) {
  if (plans.length === 1) return Promise.resolve(plans[0]);
  return new Promise((resolve) => {
    const entries = plans.map((plan) => ({ content: plan.label, callback: () => resolve(plan) }));
    new window.LiteGraph.ContextMenu(entries, { event, title: translate("Plan of") });
  });
}

async function load(node, file, event) {
  try {
    if (isPlanLinked(node)) throw new Error(translate("was not loaded, as the plan comes by a link"));
    const chosen = await choose(await plansIn(file), event);
    const { plan, error, grid } = await askPlan(node, { plan: chosen.text });
    if (error) throw new Error(translate("holds no plan that could be followed: {error}", { error }));
    setPlan(node, plan);
    drawAnew(node);
    noteForUndo();
    const told = { file: file.name, count: grid.columns.length, share: Math.round(grid.share * 100) };
    tellOn(node, translate("plan of {file} loaded: {count} evaluations, {share} % of the work", told));
  } catch (error) {
    tellOn(node, `⚠ ${file.name} ${error.message}`);
  }
}

const holdsFile = (event) => [...(event.dataTransfer?.items ?? [])].some(({ kind }) => kind === "file");

// Elements of widgets lie over the canvas, where the host does not look for a node.
export function catchDrops(element, node) {
  element?.addEventListener("dragover", (event) => holdsFile(event) && event.preventDefault());
  element?.addEventListener("drop", (event) => {
    if (!holdsFile(event)) return;
    event.preventDefault();
    event.stopPropagation();
    node.onDragDrop(event);
  });
}

app.registerExtension({
  name: "ASDM.PlanInPicture",
  nodeCreated(node) {
    if (node.comfyClass !== PLAN_NODE) return;
    node.onDragOver = holdsFile;
    node.onDragDrop = (event) => {
      const file = event.dataTransfer?.files?.[0];
      if (file) load(node, file, event);
      return Boolean(file);
    };
    catchDrops(planWidget(node)?.element, node);
  },
});
