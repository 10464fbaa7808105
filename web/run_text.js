// Makes a node as large as the text that a run tells on it, and says so where a run went past one of the pack's nodes.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { drawAnew } from "./nodes2.js";
import { widgetOf } from "./widgets.js";

const TEXT = "$$node-text-preview"; // the widget of the host that shows it
const LINE_HEIGHT = 18;
const PADDING = 24;
const LETTER_WIDTH = 6.5;
const MOST_LINES = 9; // of the host's box, behind which it scrolls
// Nodes whose settings a sampler uses, and what carries them there.
const USED_BY_SAMPLERS = [
  "ASDMFeatureInheritance",
  "ASDMApplyPlan",
  "ASDMNativeUNet",
  "ASDMSwitchUNets",
  "ASDMWrapSampler",
];
const CARRIERS = ["MODEL", "SAMPLER", "GUIDER"];
const TELLS_OF_RUNS = "ASDMReport"; // which takes a MODEL, gives a LATENT, and samples nothing
const ALWAYS = 0; // the mode of a node that is neither muted nor bypassed
const PASSED_OVER =
  "⚠ not used in this run: no sampler met it, as a merge or another node behind it dropped it; put it last, right before " +
  "the sampler";

const told = new Set(); // nodes that the run now told something on
const executed = new Set(); // nodes that ran, out of no cache

function linesOf(text, width) {
  const inALine = Math.max((width - PADDING) / LETTER_WIDTH, 10);
  return text.split("\n").reduce((lines, line) => lines + Math.max(1, Math.ceil(line.length / inALine)), 0);
}

function fit(node) {
  const widget = widgetOf(node, TEXT);
  if (!widget || typeof widget.value !== "string") return;
  const lines = Math.min(linesOf(widget.value, node.size[0]), MOST_LINES);
  widget.options.getMinHeight = () => lines * LINE_HEIGHT + PADDING;
  const [, height] = node.computeSize();
  if (node.size[1] < height) node.setSize([node.size[0], height]);
  drawAnew(node);
}

// Sampling nodes that what `node` gives comes to and that ran.
function meetsASampler(node, seen = new Set()) {
  if (seen.has(node)) return false;
  seen.add(node);
  const targets = (node.outputs ?? [])
    .filter(({ type }) => CARRIERS.includes(type))
    .flatMap(({ links }) => links ?? [])
    .map((id) => node.graph.links.get?.(id) ?? node.graph.links[id])
    .map((link) => link && node.graph.getNodeById(link.target_id))
    .filter(Boolean);
  return targets.some((target) => {
    const samples = target.comfyClass !== TELLS_OF_RUNS && target.outputs?.some(({ type }) => type === "LATENT");
    return (samples && executed.has(String(target.id))) || meetsASampler(target, seen);
  });
}

function tellPassedOver() {
  for (const node of app.graph.nodes) {
    if (!USED_BY_SAMPLERS.includes(node.comfyClass) || node.mode !== ALWAYS) continue;
    if (told.has(String(node.id)) || !meetsASampler(node)) continue;
    api.dispatchCustomEvent("progress_text", { nodeId: String(node.id), text: PASSED_OVER });
  }
}

app.registerExtension({
  name: "ASDM.RunText",
  setup() {
    api.addEventListener("execution_start", () => [told, executed].forEach((nodes) => nodes.clear()));
    api.addEventListener("executing", ({ detail }) => executed.add(String(detail)));
    api.addEventListener("execution_success", tellPassedOver);
    api.addEventListener("progress_text", ({ detail }) => {
      const id = String(detail.nodeId).split(":").at(-1);
      told.add(id);
      const node = app.canvas.graph?.getNodeById(id);
      // Behind the host's own listener, which makes the widget.
      if (node?.comfyClass?.startsWith("ASDM")) setTimeout(() => fit(node));
    });
  },
});
