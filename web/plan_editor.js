// The plan editor of ASDM Apply Plan, behind a button: a grid to paint. The text is the plan, the grid a view of it.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { drawAnew } from "./nodes2.js";
import { PlanGrid } from "./plan_grid.js";
import { catchDrops } from "./plan_in_picture.js";
import { PLAN_NODE, askPlan, isPlanLinked, noteForUndo, planWidget, setPlan } from "./plan_server.js";
import { unsaved } from "./widgets.js";
import { translate } from "./words.js";

const BUTTON = "edit plan";
const GRID = "asdm_plan_grid";
const OPEN = "asdm_plan_editor"; // property of a node whose editor is open
const LINKED = "The plan comes by a link, and can be changed only where it comes from.";
const TYPING = 400; // ms, behind which a text counts as typed
const PADDING = 24;

class Editor {
  constructor(node) {
    this.node = node;
    this.asked = 0; // answers to all but the last question are stale
    this.isOwn = false; // whether it is the editor that changes the text
    this.queue = Promise.resolve(); // a cell is painted on what the one before left
    this.grid = new PlanGrid({
      paint: (evaluation, site, inherits) => this.change({ paint: { evaluation, site, inherits } }),
      finish: () => this.settle(),
      begin: (family, steps) => {
        this.change({ begin: { family, steps } });
        return this.settle();
      },
    });
    this.widget = unsaved(node.addDOMWidget(GRID, GRID, this.grid.element, { serialize: false, hideOnZoom: false }));
    catchDrops(this.grid.element, node);
    this.widget.options.getMinHeight = () => this.grid.height + PADDING;
  }

  change(asked) {
    this.queue = this.queue.then(async () => {
      const answer = await askPlan(this.node, { plan: planWidget(this.node).value, ...asked });
      if (answer.error) return this.grid.complain(answer.error);
      this.isOwn = true;
      setPlan(this.node, answer.plan);
      this.isOwn = false;
      this.show(answer);
    });
    return this.queue;
  }

  // A stroke is over: it can be undone as one.
  settle() {
    return this.queue.then(() => {
      drawAnew(this.node);
      noteForUndo();
    });
  }

  async refresh() {
    if (this.isOwn) return;
    const number = ++this.asked;
    const text = planWidget(this.node).value.trim();
    if (isPlanLinked(this.node)) return this.fit(() => this.grid.say(translate(LINKED)));
    if (!text) return this.fit(() => this.grid.offer());
    const answer = await askPlan(this.node, { plan: text });
    if (number !== this.asked) return;
    if (answer.error) this.fit(() => this.grid.say(`⚠ ${answer.error}`));
    else this.show(answer);
  }

  show(answer) {
    this.asked++;
    this.fit(() => this.grid.show(answer));
  }

  fit(draw) {
    const before = this.grid.height;
    draw();
    if (this.grid.height === before) return;
    const [width, height] = this.node.computeSize();
    this.node.setSize([Math.max(this.node.size[0], width), Math.max(this.node.size[1], height)]);
    drawAnew(this.node);
  }
}

const editors = new WeakMap(); // of nodes whose editor is open

function setOpen(node, isOpen) {
  if (isOpen === editors.has(node)) return;
  if (isOpen) {
    node.properties[OPEN] = true;
    editors.set(node, new Editor(node));
    editors.get(node).refresh();
  } else {
    delete node.properties[OPEN];
    const { grid, widget } = editors.get(node);
    editors.delete(node);
    node.removeWidget(widget);
    node.setSize([node.size[0], Math.max(node.computeSize()[1], node.size[1] - grid.height - PADDING)]);
  }
  drawAnew(node);
}

// Sees the text change by whatever hand.
function watch(node) {
  const widget = planWidget(node);
  const callback = widget.callback;
  let timer;
  widget.callback = function () {
    const answer = callback?.apply(this, arguments);
    clearTimeout(timer);
    if (!editors.get(node)?.isOwn) timer = setTimeout(() => editors.get(node)?.refresh(), TYPING);
    return answer;
  };
  const onConnectionsChange = node.onConnectionsChange;
  node.onConnectionsChange = function () {
    onConnectionsChange?.apply(this, arguments);
    editors.get(node)?.refresh();
  };
}

app.registerExtension({
  name: "ASDM.PlanEditor",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (nodeData.name !== PLAN_NODE) return;
    const onConfigure = nodeType.prototype.onConfigure;
    nodeType.prototype.onConfigure = function () {
      onConfigure?.apply(this, arguments);
      setOpen(this, Boolean(this.properties[OPEN]));
      editors.get(this)?.refresh();
    };
  },
  nodeCreated(node) {
    if (node.comfyClass !== PLAN_NODE) return;
    const button = unsaved(node.addWidget("button", BUTTON, null, () => setOpen(node, !editors.has(node))));
    button.label = translate(BUTTON);
    watch(node);
  },
  setup() {
    // What a plan costs is counted on the UNet of the last run.
    api.addEventListener("execution_success", () => {
      for (const node of app.graph.nodes) editors.get(node)?.refresh();
    });
  },
});
